/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/request.h"
#include "devices/device.h"
#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/syscall_rule.h"

/*
 * What a port must provide. Everything that differs between x86_64 and
 * aarch64 is behind these functions and tables.
 */
struct vcpu;

/* A message-signalled interrupt names its sender (KVM_MSI_VALID_DEVID). */
extern const bool arch_msi_has_devid;

/* Chips the machine always has, in order of creation; ends with {0}. The port
 * describes them to the guest from this table. */
extern const struct chip_place arch_chips[];

/* The guest's name of the serial console, for console= on its command line. */
extern const char arch_console[];

/* Where the configuration space of PCI devices and their memory BARs are. */
struct arch_pci_layout {
	gpa_t ecam_base; /* 1 MiB a bus, from bus 0 on */
	unsigned int nr_buses;
	gpa_t mmio32_base; /* BARs, below 4 GiB */
	uint64_t mmio32_len; /* bytes */
};
extern const struct arch_pci_layout arch_pci;
/* Where the memory BARs above 4 GiB are: base, behind all RAM there may be, and
 * *len bytes. Main thread. */
gpa_t arch_pci_mmio64(const struct gmem *gm, uint64_t *len);

struct arch_ram {
	gpa_t gpa;
	uint64_t len;
};
/* Split RAM of `size` bytes around the address holes.
 * Returns the number of (gpa, len) pairs, at most 2. Any thread. */
unsigned int arch_ram_layout(uint64_t size, struct arch_ram ram[2]);

/* Do all of RAM, the addresses reserved for DIMMs and the PCI window behind them
 * have addresses that the host's processors know? -EINVAL with a message that
 * names --memory. Any thread. */
int arch_check_memory(const struct gmem *gm, struct error *err);

/* Where the addresses of DIMMs begin when there are `size` bytes of RAM: behind
 * it, on the border of a block that Linux can plug. Any thread. */
gpa_t arch_hotplug_base(uint64_t size);

struct arch_host;
/*
 * Ask KVM for what vCPUs must know of this host and takes long to learn. A
 * thread does it in the background; the first arch_vcpu_init() waits for the
 * answer, which is kept for vCPUs that are added later.
 * @out: to be given to arch_host_free()
 * @kvm_fd: /dev/kvm, borrowed until then
 * Main thread. -ENOMEM with a message; an answer that KVM refuses is an error
 * of arch_vcpu_init().
 */
int arch_host_ask(struct arch_host **out, int kvm_fd, struct error *err);
/* Wait for the thread and free the answer. NULL is accepted. Main thread. */
void arch_host_free(struct arch_host *host);

/* ---- one VM, from KVM_CREATE_VM to its end ---- */

/* What a port keeps of a VM beside what KVM does. */
struct arch_vm;

/* The type of VM that KVM_CREATE_VM is asked for; it may depend on the addresses
 * that gm and what stands behind it take. Main thread. -errno with a message. */
int arch_vm_type(int kvm_fd, const struct gmem *gm, struct error *err);
/* Set up a VM right after KVM_CREATE_VM, before its memory slots. vm_fd is
 * borrowed until arch_vm_destroy(). Main thread. -errno with a message. */
int arch_vm_create(struct arch_vm **out, int vm_fd, struct error *err);
/* All of it but the VM itself, whose vCPUs are gone. NULL is accepted. Main
 * thread. */
void arch_vm_destroy(struct arch_vm *vm);
/* Make the VM's interrupt controllers, after its memory slots: a slot that is
 * set afterwards waits for an RCU grace period, 6 to 11 ms. Before the first
 * vCPU. Main thread. -errno with a message. */
int arch_irqchip_create(struct arch_vm *vm, struct error *err);
/* The vCPUs that the VM starts with are made, and have not run: the rest of its
 * interrupt controllers, where that has to know them. Main thread. -errno with a
 * message. */
int arch_irqchip_finish(struct arch_vm *vm, struct vcpu *const *vcpus,
			unsigned int nr, struct error *err);
/* What KVM_IRQ_LINE calls the interrupt line `gsi`. Any thread. */
uint32_t arch_irq_line(uint32_t gsi);

/* ---- vCPUs ---- */

/* More than these a machine cannot have; KVM may have fewer. */
extern const uint64_t arch_max_vcpus;

/* Are all vCPUs that there may be made before the first one runs? Else those that
 * come later are made then. */
extern const bool arch_vcpus_at_once;

/* Set features and registers of a vCPU that KVM has just made. Main thread.
 * -errno with a message. */
int arch_vcpu_init(struct vcpu *vcpu, struct error *err);

/* Make a vCPU that is added to a running machine wait for the guest to start
 * it: a fresh one after arch_vcpu_init(), or one that was in use and was
 * removed. Its thread does not run. Main thread. -errno with a message. */
int arch_vcpu_rest(struct vcpu *vcpu, struct error *err);

/* What a guest is started with. All borrowed. */
struct arch_boot {
	struct boot_request req; /* without what the port knows */
	unsigned int nr_cpus; /* there at the start */
	unsigned int max_cpus; /* that there may be */
	bool has_serial; /* there is a serial port */
	const struct arch_host *host; /* whose vCPUs they are */
};

/* Put kernel, initramfs, command line and tables into memory, which nobody else
 * uses meanwhile, and say how to enter it. Takes as long as the files do. Any
 * thread. -errno with a message. */
int arch_load(const struct arch_boot *boot, struct boot_result *entry,
	      struct error *err);

/* Point the first vCPU, fresh, at the entry. Main thread. -errno with a
 * message. */
int arch_enter(struct vcpu *first, const struct boot_result *entry,
	       struct error *err);

/* Handle an exit reason that vmm/vcpu.c does not know. vCPU thread.
 * Returns true when it was one of this arch's. */
bool arch_vcpu_exit(struct vcpu *vcpu);

/* The guest did something to this vCPU from another one, which has asked it to
 * attend (VCPU_ATTEND). Its own thread. */
void arch_vcpu_attend(struct vcpu *vcpu);

/* Is there a non-maskable interrupt? Else arch_vcpu_nmi() is not called. */
extern const bool arch_has_nmi;
/* Inject one, unless the guest has not started this vCPU. Its own thread. */
void arch_vcpu_nmi(struct vcpu *vcpu);

/* Log registers and the bytes at the instruction pointer. vCPU thread. */
void arch_vcpu_dump(struct vcpu *vcpu);

/* How fast does guest ring 0 (EL1) run? Runs a loop in a throw-away VM on
 * kvm_fd for up to 50 ms. Returns millions of instructions a second, or
 * -errno. */
int arch_kernel_speed(int kvm_fd);

/* ---- what is asked of a host ---- */

/* System calls that the port's files make, beside those of vmm/syscalls.h; ends
 * with an empty name. Not part of the program. */
extern const struct syscall_rule arch_syscalls[];

/* A system call that this port's kernel does not have, and the one that the C
 * library makes instead. */
struct arch_renamed {
	const char *name; /* NULL: the end of the table */
	const char *instead;
};
/* Not part of the program. */
extern const struct arch_renamed arch_renamed[];

/* What to do when there is no /dev/kvm. */
extern const char arch_kvm_advice[];

/* Something that KVM has or lacks (KVM_CHECK_EXTENSION). */
struct arch_cap {
	int cap; /* KVM_CAP_* */
	const char *name; /* NULL: the end of the table */
	bool required; /* no guest runs without it */
	const char *meaning; /* of its lack */
	/* What no KVM_CAP_* says: looks for it itself. NULL: cap says it. */
	bool (*has)(int kvm_fd);
};
#define ARCH_CAP(its_cap, its_name, is_required, its_meaning)              \
	{                                                                  \
		.cap = its_cap, .name = its_name, .required = is_required, \
		.meaning = its_meaning                                     \
	}
/* What this port needs, beside what all do. */
extern const struct arch_cap arch_caps[];

/* Something that the host's kernel says yes to in one of these files. */
struct arch_fact {
	const char *name; /* NULL: the end of the table */
	const char *files[2];
	const char *meaning; /* when it does not */
};
extern const struct arch_fact arch_facts[];

#endif
