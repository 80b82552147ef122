/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The smallest guest: it resets. It measures how long a monitor takes to get here
 * and to go away again.
 */
#include "image.inc"

#define PSCI_SYSTEM_RESET	0x84000009

	.section .boot, "awx"
	.globl	start
start:
	image_header reset

	.text
reset:
	ldr	w0, =PSCI_SYSTEM_RESET
	hvc	#0
1:	wfi
	b	1b

	.section .note.GNU-stack, "", %progbits
