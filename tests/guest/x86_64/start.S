/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * From the PVH entry point to C in ring 3.
 *
 * Some hosts run guest ring 3 natively but interpret guest ring 0, at a few
 * million instructions a second. So everything that ring 0 needs is laid out
 * by the assembler (page tables, descriptor tables, TSS), the way to ring 3
 * is some thirty instructions, and the handlers below do the least they can.
 *
 * The .boot section is linked at BOOT_BASE, which makes the address of each
 * of its labels a constant that can be cut into descriptor fields.
 */
#define BOOT_BASE	0x100000
#define ADDR_OF(label)	(BOOT_BASE + (label) - boot_base)

#define SEL_CODE0	0x08
#define SEL_DATA0	0x10
#define SEL_DATA3	0x1b
#define SEL_CODE3	0x23
#define SEL_TSS		0x28
#define SEL_TSS1	0x38

#define NR_EXCEPTIONS	32
#define VECTOR_NMI	2
#define VECTOR_UD	6
#define VECTOR_ERROR_CODES 0x60227d00 /* exceptions that push an error code */

#define MSR_EFER	0xc0000080
#define EFER_LME	0x100
#define MSR_X2APIC_EOI	0x80b
#define XAPIC_EOI	0xfee000b0
#define CR4_PAE		0x20
#define CR0_PG_ET_PE	0x80000011
#define RFLAGS_IOPL3	0x3002
#define RFLAGS_IF	0x200

#define PTE_TABLE	0x67	/* present, writable, user, accessed, dirty */
#define PTE_LARGE	0xe7	/* the same, 2 MiB */

#define STACK0_SIZE	4096
#define STACK3_SIZE	65536

/* ---- the ELF note that names the 32-bit entry ------------------------ */
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	start

/* ---- vectors: 16 bytes of code each, vector i at BOOT_BASE + 16 * i ---- */
	.section .boot, "awx", @progbits
	.globl	boot_base
boot_base:
	.code64
	.set	vector, 0
	.rept	256
	.balign	16
	.if	(vector >= NR_EXCEPTIONS) || !((VECTOR_ERROR_CODES >> (vector & 31)) & 1)
	pushq	$0
	.endif
	pushq	$vector
	.if	vector < NR_EXCEPTIONS
	jmp	on_exception
	.else
	jmp	on_interrupt
	.endif
	.set	vector, vector + 1
	.endr
	.org	boot_base + 0x1000

/* ---- page tables: the low 4 GiB in 2 MiB pages, ring 3 may use all ---- */
	.globl	boot_pml4
boot_pml4:
	.quad	pdpt + PTE_TABLE
	.fill	511, 8, 0
pdpt:
	.quad	directories + 0x0000 + PTE_TABLE
	.quad	directories + 0x1000 + PTE_TABLE
	.quad	directories + 0x2000 + PTE_TABLE
	.quad	directories + 0x3000 + PTE_TABLE
	.fill	508, 8, 0
directories:
	.set	frame, 0
	.rept	2048
	.quad	(frame << 21) | PTE_LARGE
	.set	frame, frame + 1
	.endr

/* ---- IDT: every gate is an interrupt gate; ring 3 calls none of them --- */
idt:
	.set	vector, 0
	.rept	256
	.word	(BOOT_BASE + 16 * vector) & 0xffff
	.word	SEL_CODE0
	.word	0x8e00
	.word	(BOOT_BASE + 16 * vector) >> 16
	.quad	0
	.set	vector, vector + 1
	.endr
idt_end:

/* ---- a TSS for each CPU; one I/O bitmap opens all 65536 ports to ring 3 - */
	.balign	16
tss1:
	.long	0
	.quad	cpu1_stack0_top
	.fill	22, 4, 0
	.word	0
	.word	tss_bitmap - tss1
tss:
	.long	0
	.quad	stack0_top
	.fill	22, 4, 0
	.word	0
	.word	tss_bitmap - tss
tss_bitmap:
	.fill	8192, 1, 0
	.byte	0xff
tss_end:

	.balign	16
gdt:
	.quad	0
	.quad	0x00209b0000000000	/* ring 0 code, 64-bit */
	.quad	0x00cf93000000ffff	/* ring 0 data */
	.quad	0x00cff3000000ffff	/* ring 3 data */
	.quad	0x0020fb0000000000	/* ring 3 code, 64-bit */
	.word	tss_end - tss - 1
	.word	ADDR_OF(tss) & 0xffff
	.byte	(ADDR_OF(tss) >> 16) & 0xff
	.byte	0x89, 0
	.byte	(ADDR_OF(tss) >> 24) & 0xff
	.quad	0
	.word	tss_end - tss1 - 1
	.word	ADDR_OF(tss1) & 0xffff
	.byte	(ADDR_OF(tss1) >> 16) & 0xff
	.byte	0x89, 0
	.byte	(ADDR_OF(tss1) >> 24) & 0xff
	.quad	0
gdt_end:

gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt
idt_pointer:
	.word	idt_end - idt - 1
	.quad	idt

/* ---- entry: 32-bit protected mode, no paging, ebx = start_info --------- */
	.text
	.code32
	.globl	start
start:
	movb	$1, %al
	outb	%al, $0x80
	lgdt	gdt_pointer
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$MSR_EFER, %ecx
	movl	$EFER_LME, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_PG_ET_PE, %eax
	movl	%eax, %cr0
	ljmp	$SEL_CODE0, $start64

	.code64
start64:
	lidt	idt_pointer
	movl	$SEL_TSS, %eax
	ltr	%ax
	movl	$SEL_DATA3, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	$stack0_top, %esp
	pushq	$SEL_DATA3
	pushq	$(stack3_top - 8)
	pushq	$RFLAGS_IOPL3
	pushq	$SEL_CODE3
	pushq	$guest_start
	movl	%ebx, %edi
	iretq

/* ---- CPU 1: a copy of this in low memory, in real mode, straight to 64 bits */
	.code16
	.globl	cpu1_start, cpu1_start_end
cpu1_start:
	cli
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$EFER_LME, %eax
	xorl	%edx, %edx
	wrmsr
	lgdtl	%cs:(cpu1_gdt_pointer - cpu1_start)
	movl	$CR0_PG_ET_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE0, $cpu1_start64
cpu1_gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
cpu1_start_end:

	.code64
cpu1_start64:
	lidt	idt_pointer
	movb	$0x89, gdt + SEL_TSS1 + 5	/* not busy since the last time */
	movl	$SEL_TSS1, %eax
	ltr	%ax
	movl	$SEL_DATA3, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	$cpu1_stack0_top, %esp
	pushq	$SEL_DATA3
	pushq	$(cpu1_stack3_top - 8)
	pushq	$RFLAGS_IOPL3
	pushq	$SEL_CODE3
	pushq	$cpu1_main
	iretq

/* ---- interrupts: count, acknowledge, return ---------------------------- */
on_interrupt:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	movq	24(%rsp), %rax
	incl	irq_counts(, %rax, 4)
	cmpb	$0, irq_x2apic
	jne	1f
	movl	$XAPIC_EOI, %ecx
	movl	$0, (%rcx)
	jmp	2f
1:	movl	$MSR_X2APIC_EOI, %ecx
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
2:	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

/*
 * Exceptions. The #UD at ring0_trap is how ring 3 asks for a service: the
 * software interrupt and the system call instructions are not there on every
 * host. Any other exception goes to guest_on_fault() in ring 3, on a stack of
 * its own. Frame: vector, error, rip, cs, rflags, rsp, ss.
 */
on_exception:
	cmpl	$VECTOR_NMI, (%rsp)
	je	nmi
	cmpl	$VECTOR_UD, (%rsp)
	jne	fault
	cmpq	$ring0_trap, 16(%rsp)
	jne	fault
	addq	$2, 16(%rsp)
	jmp	*services(, %rdi, 8)

nmi:
	incl	irq_counts + 4 * VECTOR_NMI
	addq	$16, %rsp
	iretq

fault:
	movq	(%rsp), %rdi
	movq	8(%rsp), %rsi
	movq	16(%rsp), %rdx
	movq	%cr2, %rcx
	addq	$16, %rsp
	movq	$guest_on_fault, (%rsp)
	movq	$(fault_stack_top - 8), 24(%rsp)
	iretq

service_rdmsr:
	movl	%esi, %ecx
	rdmsr
	shlq	$32, %rdx
	orq	%rdx, %rax
	jmp	service_return
service_wrmsr:
	movl	%esi, %ecx
	movl	%edx, %eax
	shrq	$32, %rdx
	wrmsr
	jmp	service_return
service_cpuid:
	movq	%rbx, %r8
	movq	%rdx, %r9
	movl	%esi, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%eax, (%r9)
	movl	%ebx, 4(%r9)
	movl	%ecx, 8(%r9)
	movl	%edx, 12(%r9)
	movq	%r8, %rbx
	jmp	service_return
service_irq_on:
	orl	$RFLAGS_IF, 32(%rsp)
	jmp	service_return
service_irq_off:
	andl	$~RFLAGS_IF, 32(%rsp)
	jmp	service_return
service_halt:
	sti
	hlt
	cli
	jmp	service_return
service_no_idt:
	lidt	no_idt_pointer
	jmp	service_return
service_return:
	addq	$16, %rsp
	iretq

/* uint64_t ring0_call(service, a, b), for ring 3 */
	.globl	ring0_call
ring0_call:
ring0_trap:
	ud2
	ret

	.section .rodata
	.balign	8
services:				/* in the order of enum ring0_service */
	.quad	service_rdmsr, service_wrmsr, service_cpuid, service_irq_on
	.quad	service_irq_off, service_halt, service_no_idt
no_idt_pointer:
	.word	0
	.quad	0

	.bss
	.balign	16
	.skip	STACK0_SIZE
stack0_top:
	.skip	STACK3_SIZE
stack3_top:
	.skip	STACK0_SIZE
fault_stack_top:
	.skip	STACK0_SIZE
cpu1_stack0_top:
	.skip	STACK3_SIZE
cpu1_stack3_top:

	.section .note.GNU-stack, "", @progbits
