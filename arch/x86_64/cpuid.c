/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "arch/x86_64/cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "vmm/thread.h"
#include "vmm/util.h"

#define CPUID_MAX_ENTRIES 256u
#define CPUID_ROOM                   \
	(sizeof(struct kvm_cpuid2) + \
	 CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2))

/* Leaf 1 */
#define CPUID_1_ECX_X2APIC (1u << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_1_EDX_HTT (1u << 28)
/* Virtualisation: Intel's, AMD's (leaf 0x80000001), and what that one can do */
#define CPUID_1_ECX_VMX (1u << 5)
#define CPUID_AMD_ECX_SVM (1u << 2)
#define CPUID_AMD_SVM_LEAF 0x8000000au

/* Leaves 0xb and 0x1f: level types */
#define TOPO_INVALID 0u
#define TOPO_SMT 1u
#define TOPO_CORE 2u

static unsigned int log2_up(unsigned int n)
{
	unsigned int bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static void cpuid_fit_leaf1(struct kvm_cpuid_entry2 *e, unsigned int apic_id,
			    unsigned int nr)
{
	unsigned int logical = MIN(1u << log2_up(nr), 255u);

	e->ebx = (e->ebx & 0x0000ffff) | apic_id << 24 | logical << 16;
	e->ecx |= CPUID_1_ECX_X2APIC | CPUID_1_ECX_HYPERVISOR |
		  CPUID_1_ECX_TSC_DEADLINE;
	if (nr > 1)
		e->edx |= CPUID_1_EDX_HTT;
	else
		e->edx &= ~CPUID_1_EDX_HTT;
}

/* How many logical CPUs share a cache: all of them the last level, else one.
 * Intel leaf 4 and AMD leaf 0x8000001d agree in these bits. */
static uint32_t cache_sharing(uint32_t eax, unsigned int nr)
{
	unsigned int level = eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? (1u << log2_up(nr)) - 1 : 0;

	return (eax & ~0x03ffc000u) | sharing << 14;
}

static void cpuid_fit_leaf4(struct kvm_cpuid_entry2 *e, unsigned int nr)
{
	if (!(e->eax & 0x1f))
		return; /* no more caches */
	e->eax = cache_sharing(e->eax, nr) & 0x03ffffffu;
	e->eax |= MIN((1u << log2_up(nr)) - 1, 63u) << 26;
}

static void cpuid_fit_topology(struct kvm_cpuid_entry2 *e, unsigned int apic_id,
			       unsigned int nr)
{
	e->ecx = e->index & 0xff;
	e->edx = apic_id;
	if (e->index == 0) {
		e->eax = 0;
		e->ebx = 1;
		e->ecx |= TOPO_SMT << 8;
	} else if (e->index == 1) {
		e->eax = log2_up(nr);
		e->ebx = nr;
		e->ecx |= TOPO_CORE << 8;
	} else {
		e->eax = e->ebx = 0;
		e->ecx |= TOPO_INVALID << 8;
	}
}

static void cpuid_fit_entry(struct kvm_cpuid_entry2 *e, unsigned int apic_id,
			    unsigned int nr)
{
	switch (e->function) {
	case 0:
		e->eax = MAX(e->eax, 0xbu);
		break;
	case 1:
		cpuid_fit_leaf1(e, apic_id, nr);
		break;
	case 4:
		cpuid_fit_leaf4(e, nr);
		break;
	case 0xb:
	case 0x1f:
		cpuid_fit_topology(e, apic_id, nr);
		break;
	case 0x80000008:
		e->ecx = (e->ecx & ~0xf0ffu) | log2_up(nr) << 12 | (nr - 1);
		break;
	case 0x8000001d:
		if (e->eax & 0x1f)
			e->eax = cache_sharing(e->eax, nr);
		break;
	case 0x8000001e:
		e->eax = apic_id;
		e->ebx = apic_id & 0xff; /* core id, one thread a core */
		e->ecx = 0;
		break;
	default:
		break;
	}
}

/* Leaf 0xb carries the x2APIC id; some hosts do not list it. */
static void cpuid_add_topology(struct kvm_cpuid2 *cpuid,
			       unsigned int max_entries, uint32_t leaf)
{
	uint32_t have = 0, i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == leaf &&
		    cpuid->entries[i].index < 2)
			have |= 1u << cpuid->entries[i].index;
	for (i = 0; i < 2; i++) {
		if (have & 1u << i || cpuid->nent == max_entries)
			continue;
		cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
			.function = leaf,
			.index = i,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	}
}

void cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned int max_entries,
	       unsigned int apic_id, unsigned int nr_cpus)
{
	bool has_1f = false;

	for (uint32_t i = 0; i < cpuid->nent; i++)
		has_1f |= cpuid->entries[i].function == 0x1f;
	cpuid_add_topology(cpuid, max_entries, 0xb);
	if (has_1f)
		cpuid_add_topology(cpuid, max_entries, 0x1f);
	for (uint32_t i = 0; i < cpuid->nent; i++)
		cpuid_fit_entry(&cpuid->entries[i], apic_id, nr_cpus);
}

void cpuid_hide_nested(struct kvm_cpuid2 *cpuid)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 1)
			e->ecx &= ~CPUID_1_ECX_VMX;
		else if (e->function == 0x80000001)
			e->ecx &= ~CPUID_AMD_ECX_SVM;
		else if (e->function == CPUID_AMD_SVM_LEAF)
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
}

/* ---- what KVM supports ---- */

/*
 * The same for all vCPUs of a host, and slow to learn where the host is itself
 * a guest: KVM executes CPUID for each leaf, and each one traps. So it is asked
 * for once, by a thread, while the main thread has KVM make the VM.
 */
struct arch_host {
	int kvm_fd; /* borrowed */
	pthread_t thread;
	bool has_thread;
	/* the thread's, until it is joined */
	int result;
	union cpuid_room {
		struct kvm_cpuid2 head; /* and behind it, its entries */
		uint8_t room[CPUID_ROOM];
	} cpuid;
};

static void *host_run(void *arg)
{
	struct arch_host *host = arg;

	host->cpuid.head.nent = CPUID_MAX_ENTRIES;
	host->result =
		ioctl(host->kvm_fd, KVM_GET_SUPPORTED_CPUID, &host->cpuid)
			? -errno
			: 0;
	return NULL;
}

static void host_wait(struct arch_host *host)
{
	if (host->has_thread)
		pthread_join(host->thread, NULL);
	host->has_thread = false;
}

int arch_host_ask(struct arch_host **out, int kvm_fd, struct error *err)
{
	struct arch_host *host = calloc(1, sizeof(*host));

	if (!host)
		return error_set(err, ENOMEM, "out of memory");
	host->kvm_fd = kvm_fd;
	host->has_thread = !thread_start(&host->thread, "host", host_run, host);
	if (!host->has_thread)
		host_run(host);
	*out = host;
	return 0;
}

void arch_host_free(struct arch_host *host)
{
	if (!host)
		return;
	host_wait(host);
	free(host);
}

int cpuid_init(struct vcpu *vcpu, struct error *err)
{
	struct arch_host *host = vcpu->config.host;
	union cpuid_room cpuid;

	host_wait(host);
	if (host->result)
		return error_set(err, host->result,
				 "KVM_GET_SUPPORTED_CPUID: %s",
				 strerror(-host->result));
	cpuid = host->cpuid;
	cpuid_fit(&cpuid.head, CPUID_MAX_ENTRIES, vcpu->config.index,
		  vcpu->config.nr_max);
	if (!vcpu->config.nested)
		cpuid_hide_nested(&cpuid.head);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, &cpuid))
		return error_set(err, errno, "KVM_SET_CPUID2: %s",
				 strerror(errno));
	return 0;
}
