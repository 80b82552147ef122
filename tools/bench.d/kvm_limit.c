/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What no monitor can start faster than: the calls of KVM that a machine with
 * one vCPU takes, one after the other, and nothing else. Its guest writes 1 to
 * port 0x80, which ends the process.
 *
 * usage: kvm_limit MEMORY_MIB
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CODE 0x1000u
#define CPUID_ENTRIES 256u
#define IOAPIC_PINS 8u
#define MIB (1ull << 20)

/* mov $1, %al; out %al, $0x80 */
static const uint8_t code[] = { 0xb0, 0x01, 0xe6, 0x80 };

static int call(int fd, unsigned long request, void *arg, const char *name)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "%s", name);
	return r;
}
#define CALL(fd, request, arg) call(fd, request, arg, #request)

/* Memory slots before the interrupt controller: see README.md, figures. */
static int make_machine(int kvm, uint64_t bytes)
{
	struct kvm_enable_cap irqchip = { .cap = KVM_CAP_SPLIT_IRQCHIP,
					  .args = { IOAPIC_PINS } };
	int vm = CALL(kvm, KVM_CREATE_VM, NULL);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};

	if (memory == MAP_FAILED)
		err(1, "%llu bytes of memory", (unsigned long long)bytes);
	memcpy((uint8_t *)memory + CODE, code, sizeof(code));
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	CALL(vm, KVM_ENABLE_CAP, &irqchip);
	return vm;
}

static void set_cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(
		1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		err(1, "CPUID");
	cpuid->nent = CPUID_ENTRIES;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	CALL(vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}

static void set_entry(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	CALL(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	CALL(vcpu, KVM_SET_SREGS, &sregs);
	CALL(vcpu, KVM_SET_REGS, &regs);
}

int main(int argc, char **argv)
{
	uint64_t bytes = argc == 2 ? strtoull(argv[1], NULL, 10) * MIB : 0;
	const struct kvm_run *run;
	int kvm, vm, vcpu;

	if (bytes < MIB)
		errx(2, "usage: kvm_limit MEMORY_MIB");
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = make_machine(kvm, bytes);
	vcpu = CALL(vm, KVM_CREATE_VCPU, NULL);
	run = mmap(NULL, (size_t)CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "the vCPU's area");
	set_cpuid(kvm, vcpu);
	set_entry(vcpu);
	CALL(vcpu, KVM_RUN, NULL);
	if (run->exit_reason != KVM_EXIT_IO)
		errx(1, "the guest ended with exit reason %u",
		     run->exit_reason);
	return 0;
}
