/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The smallest guest: says that it runs, then resets by a triple fault. It
 * measures how long a monitor takes to get here and to go away again.
 */
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	start

	.text
	.code32
	.globl	start
start:
	movb	$1, %al
	outb	%al, $0x80
	lidt	no_idt
	ud2

	.balign	4
no_idt:
	.word	0
	.long	0

	.section .note.GNU-stack, "", @progbits
