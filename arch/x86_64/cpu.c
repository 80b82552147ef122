/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <asm/processor-flags.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/host.h"
#include "arch/x86_64/cpuid.h"
#include "boot/x86/layout.h"
#include "boot/x86/formats.h"
#include "vmm/board.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

#define MSR_MISC_ENABLE 0x1a0u
#define MSR_MISC_ENABLE_FAST_STRING 1u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLE (1u << 11)
#define MTRR_TYPE_WB 6u

#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define PTE_PRESENT 1u
#define PTE_WRITE 2u
#define PTE_LARGE (1u << 7)

/* Selectors of the boot GDT: x86 boot protocol, section "64-bit boot
 * protocol": __BOOT_CS 0x10, __BOOT_DS 0x18. */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TR 0x20u

/*
 * Only MSRs whose reset value would mislead a kernel are set: memory is
 * write-back by default and string moves are fast. One that this KVM does not
 * know is left out.
 */
static void cpu_set_msrs(struct vcpu *vcpu)
{
	static const struct kvm_msr_entry wanted[] = {
		{ .index = MSR_MTRR_DEF_TYPE,
		  .data = MTRR_ENABLE | MTRR_TYPE_WB },
		{ .index = MSR_MISC_ENABLE,
		  .data = MSR_MISC_ENABLE_FAST_STRING },
	};
	union {
		struct kvm_msrs head; /* and behind it, one entry */
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(wanted[0])];
	} msrs = { .head.nmsrs = 1 };

	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++) {
		msrs.head.entries[0] = wanted[i];
		(void)!ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
	}
}

int arch_vcpu_init(struct vcpu *vcpu, struct error *err)
{
	int r = cpuid_init(vcpu, err);

	if (!r)
		cpu_set_msrs(vcpu);
	return r;
}

/*
 * The guest's INIT does the rest of the reset. It finds the vCPU by KVM's map
 * from APIC ids to vCPUs, which KVM_CREATE_VCPU makes before the new one is in
 * KVM's list of vCPUs; KVM_SET_LAPIC makes it anew (Linux, arch/x86/kvm/lapic.c,
 * kvm_recalculate_apic_map()). At boot the guest does that itself when it
 * enables its first APIC.
 */
int arch_vcpu_rest(struct vcpu *vcpu, struct error *err)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };
	struct kvm_lapic_state lapic;

	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &state) ||
	    ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) ||
	    ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic))
		return error_set(err, errno, "vCPU %u: its local APIC: %s",
				 vcpu->config.index, strerror(errno));
	return 0;
}

static struct kvm_segment cpu_segment(uint16_t selector, uint8_t type,
				      bool long_mode)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode,
		.db = !long_mode,
	};
}

/* The descriptor that a segment register would have been loaded from. */
static uint64_t cpu_descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 |
	       (uint64_t)(s->type | s->s << 4 | s->dpl << 5 | s->present << 7)
		       << 40 |
	       (limit >> 16 & 0xf) << 48 |
	       (uint64_t)(s->avl | s->l << 1 | s->db << 2 | s->g << 3) << 52 |
	       (s->base >> 24 & 0xff) << 56;
}

static int cpu_set_segments(struct gmem *gm, struct kvm_sregs *sregs,
			    bool long_mode)
{
	struct kvm_segment cs = cpu_segment(BOOT_CS, 0xb, long_mode);
	struct kvm_segment ds = cpu_segment(BOOT_DS, 0x3, false);
	struct kvm_segment tr = {
		.selector = BOOT_TR, .limit = 0x67, .type = 0xb, .present = 1
	};
	const uint64_t gdt[6] = {
		[BOOT_CS / 8] = cpu_descriptor(&cs),
		[BOOT_DS / 8] = cpu_descriptor(&ds),
		[BOOT_TR / 8] = cpu_descriptor(&tr),
	};

	sregs->cs = cs;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = ds;
	sregs->tr = tr;
	sregs->gdt.base = BOOT_GDT;
	sregs->gdt.limit = sizeof(gdt) - 1;
	return gmem_write(gm, BOOT_GDT, gdt, sizeof(gdt));
}

/* Identity map of the first 4 GiB in 2 MiB pages: PML4, PDPT, four PDs. */
static int cpu_page_tables(struct gmem *gm)
{
	uint64_t *t = gmem_ptr(gm, BOOT_PAGE_TABLES, 6 * 4096);

	if (!t)
		return -EFAULT;
	t[0] = (BOOT_PAGE_TABLES + 0x1000) | PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < 4; i++)
		t[512 + i] = (BOOT_PAGE_TABLES + 0x2000 + 0x1000ull * i) |
			     PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < 4 * 512; i++)
		t[1024 + i] = (uint64_t)i << 21 | PTE_PRESENT | PTE_WRITE |
			      PTE_LARGE;
	return 0;
}

int arch_enter(struct vcpu *vcpu, const struct boot_result *entry,
	       struct error *err)
{
	struct gmem *gm = &vcpu->config.board->gmem;
	bool long_mode = entry->kind == X86_ENTRY_LINUX64;
	struct kvm_regs regs = { .rip = entry->entry, .rflags = 2 };
	struct kvm_sregs sregs;
	int r;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return error_set(err, errno, "KVM_GET_SREGS: %s",
				 strerror(errno));
	r = cpu_set_segments(gm, &sregs, long_mode);
	if (!r && long_mode)
		r = cpu_page_tables(gm);
	if (r)
		return error_set(err, r,
				 "--memory: too small for the boot structures");
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET;
	if (long_mode) {
		sregs.cr0 |= X86_CR0_PG;
		sregs.cr3 = BOOT_PAGE_TABLES;
		sregs.cr4 = X86_CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
		regs.rsi = entry->params;
	} else {
		regs.rbx = entry->params;
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return error_set(err, errno,
				 "cannot set the boot registers: %s",
				 strerror(errno));
	return 0;
}

/* ---- exits ---- */

static void cpu_on_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	struct bus *bus = &vcpu->config.board->pio;

	/* count > 1: a string instruction, one port access per element */
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(bus, run->io.port, data, run->io.size);
		else
			bus_read(bus, run->io.port, data, run->io.size);
	}
}

bool arch_vcpu_exit(struct vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		return false;
	cpu_on_io(vcpu);
	return true;
}

/* KVM does what vCPUs do to each other. */
void arch_vcpu_attend(struct vcpu *vcpu unused_param)
{
}

/* One that the guest has not started would not take it, and not sleep. */
void arch_vcpu_nmi(struct vcpu *vcpu)
{
	struct kvm_mp_state state = { 0 };

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) ||
	    state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
	    state.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return;
	if (ioctl(vcpu->fd, KVM_NMI, 0))
		log_warn("vcpu%u: NMI: %s", vcpu->config.index,
			 strerror(errno));
}

/* ---- reports ---- */

/* Bytes at a guest linear address, as far as KVM can translate it. */
static void cpu_dump_code(struct vcpu *vcpu, uint64_t linear)
{
	struct kvm_translation tr = { .linear_address = linear };
	const struct gmem *gm = &vcpu->config.board->gmem;
	char text[16 * 3 + 1] = "";
	const uint8_t *c;

	if (!ioctl(vcpu->fd, KVM_TRANSLATE, &tr) && tr.valid)
		for (uint64_t i = 0; i < 16; i++) {
			c = gmem_ptr(gm, tr.physical_address + i, 1);
			if (!c)
				break;
			sprintf(text + 3 * i, " %02x", *c);
		}
	log_error("code at %#llx:%s", llu(linear),
		  *text ? text : " not in memory");
}

void arch_vcpu_dump(struct vcpu *vcpu)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &s)) {
		log_error("registers cannot be read: %s", strerror(errno));
		return;
	}
#define R(name) #name "=%016llx"
	log_error(R(rip) " " R(rflags), r.rip, r.rflags);
	log_error(R(rax) " " R(rbx) " " R(rcx) " " R(rdx), r.rax, r.rbx, r.rcx,
		  r.rdx);
	log_error(R(rsi) " " R(rdi) " " R(rbp) " " R(rsp), r.rsi, r.rdi, r.rbp,
		  r.rsp);
	log_error(R(r8) " " R(r9) " " R(r10) " " R(r11), r.r8, r.r9, r.r10,
		  r.r11);
	log_error(R(r12) " " R(r13) " " R(r14) " " R(r15), r.r12, r.r13, r.r14,
		  r.r15);
	log_error(R(cr0) " " R(cr2) " " R(cr3) " " R(cr4) " " R(efer), s.cr0,
		  s.cr2, s.cr3, s.cr4, s.efer);
	log_error(
		"cs=%04x base=%llx limit=%x l=%u dpl=%u  ss=%04x ds=%04x gdt=%llx/%x idt=%llx/%x",
		s.cs.selector, s.cs.base, s.cs.limit, s.cs.l, s.cs.dpl,
		s.ss.selector, s.ds.selector, s.gdt.base, s.gdt.limit,
		s.idt.base, s.idt.limit);
#undef R
	cpu_dump_code(vcpu, s.cs.base + r.rip);
}

/* Caches are never in the way. */
void arch_clean(const void *p unused_param, uint64_t len unused_param)
{
}

void arch_cpu_relax(void)
{
	__builtin_ia32_pause();
}

uint64_t arch_page_size(void)
{
	return 4096;
}
