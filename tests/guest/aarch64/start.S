/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * From an Image's entry to C, in EL1.
 *
 * Until the MMU is on, memory is read and written past the caches, and only as a
 * device's is. So the page tables are laid out by the assembler, nothing is written
 * before, and the way there is some twenty instructions.
 */
#include "image.inc"

#define STACK_SIZE	65536

/* Kinds of memory, of which a page table entry names one. */
#define MAIR		0x04ff		/* 0: cached; 1: registers (nGnRE) */

/* Of descriptors (ARM DDI 0487, D8.3): accessed, and for EL1 alone. */
#define PTE_TABLE	0x3
#define PTE_MEMORY	0x701		/* block, kind 0, inner shareable */
#define PTE_REGISTERS	(0x405 | 3 << 53)	/* block, kind 1, not for code */

/* 39 bits of addresses by TTBR0, none by TTBR1; tables are cached memory. */
#define TCR		(25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23)
#define TCR_IPS_SHIFT	32
#define IPS_MAX		5		/* 48 bits */

/* The bits that are one in ARMv8.0, and I, SA, C and M. */
#define SCTLR		0x30d0180d

	.section .boot, "awx"
	.globl	start
start:
	image_header entry

/* ---- page tables: of the low 4 GiB, the first is registers, then memory -- */
	.balign	4096
	.globl	boot_level1
boot_level1:
	.quad	level2 + PTE_TABLE
	.quad	1 << 30 | PTE_MEMORY
	.quad	2 << 30 | PTE_MEMORY
	.quad	3 << 30 | PTE_MEMORY
	.fill	508, 8, 0
level2:
	.set	frame, 0
	.rept	512
	.quad	(frame << 21) | PTE_REGISTERS
	.set	frame, frame + 1
	.endr

/* ---- vectors: sixteen of 128 bytes, of which two are used --------------- */
	.balign	2048
vectors:
	.set	vector, 0
	.rept	16
	.balign	128
	.if	vector == 5
	b	on_interrupt
	.else
	b	on_fault
	.endif
	.set	vector, vector + 1
	.endr

/* ---- entry: x0 = device tree --------------------------------------------- */
	.text
entry:
	mov	x19, x0
	bl	turn_mmu_on
	ldr	x1, =bss_start
	ldr	x2, =image_end
1:	cmp	x1, x2
	b.hs	2f
	stp	xzr, xzr, [x1], #16
	b	1b
2:	ldr	x1, =stack_top
	mov	sp, x1
	mov	x0, x19
	bl	guest_start

/* ---- CPU 1, as CPU_ON starts it ------------------------------------------ */
	.globl	cpu1_start
cpu1_start:
	bl	turn_mmu_on
	ldr	x1, =cpu1_stack_top
	mov	sp, x1
	bl	cpu1_main

turn_mmu_on:
	ic	iallu
	tlbi	vmalle1
	dsb	nsh
	ldr	x1, =vectors
	msr	vbar_el1, x1
	ldr	x1, =MAIR
	msr	mair_el1, x1
	mrs	x2, id_aa64mmfr0_el1
	and	x2, x2, #0xf
	mov	x3, #IPS_MAX
	cmp	x2, x3
	csel	x2, x2, x3, lo
	ldr	x1, =TCR
	orr	x1, x1, x2, lsl #TCR_IPS_SHIFT
	msr	tcr_el1, x1
	ldr	x1, =boot_level1
	msr	ttbr0_el1, x1
	isb
	ldr	x1, =SCTLR
	msr	sctlr_el1, x1
	isb
	ret

/* ---- interrupts and faults ------------------------------------------------ */
on_interrupt:
	sub	sp, sp, #160
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	bl	irq_on_interrupt
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	add	sp, sp, #160
	eret

on_fault:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	ldr	x3, =fault_stack_top
	mov	sp, x3
	bl	guest_on_fault

	.bss
	.balign	16
	.skip	STACK_SIZE
stack_top:
	.skip	STACK_SIZE
cpu1_stack_top:
	.skip	STACK_SIZE
fault_stack_top:

	.section .note.GNU-stack, "", %progbits
