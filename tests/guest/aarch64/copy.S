/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Sixteen bytes at a time, and the rest one by one. */
	.text

/* void *memcpy(void *dst, const void *src, size_t len) */
	.globl	memcpy
memcpy:
	mov	x3, x0
1:	subs	x2, x2, #16
	b.lo	2f
	ldp	x4, x5, [x1], #16
	stp	x4, x5, [x3], #16
	b	1b
2:	add	x2, x2, #16
3:	cbz	x2, 4f
	ldrb	w4, [x1], #1
	strb	w4, [x3], #1
	sub	x2, x2, #1
	b	3b
4:	ret

/* void *memset(void *dst, int value, size_t len) */
	.globl	memset
memset:
	mov	x3, x0
	and	x1, x1, #0xff
	orr	x1, x1, x1, lsl #8
	orr	x1, x1, x1, lsl #16
	orr	x1, x1, x1, lsl #32
1:	subs	x2, x2, #16
	b.lo	2f
	stp	x1, x1, [x3], #16
	b	1b
2:	add	x2, x2, #16
3:	cbz	x2, 4f
	strb	w1, [x3], #1
	sub	x2, x2, #1
	b	3b
4:	ret

	.section .note.GNU-stack, "", %progbits
