/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * How fast does this KVM run guest kernels? A host without nested
 * virtualisation may still have a /dev/kvm whose ring 0 is interpreted;
 * /proc/cpuinfo does not tell, so a loop in real mode is timed.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "vmm/loop.h"
#include "vmm/util.h"

#define SPEED_CODE_GPA 0x1000u
#define SPEED_LOOP_TURNS 20000u
#define SPEED_ROUNDS 3

/* mov $TURNS, %ecx; 1: dec %ecx; jnz 1b; out %al, $0x80  (real mode) */
static const uint8_t speed_code[] = { 0x66,
				      0xb9,
				      SPEED_LOOP_TURNS & 0xff,
				      SPEED_LOOP_TURNS >> 8,
				      0,
				      0,
				      0x66,
				      0x49,
				      0x75,
				      0xfc,
				      0xe6,
				      0x80 };

static int speed_set_registers(int vcpu_fd)
{
	struct kvm_regs regs = { .rip = SPEED_CODE_GPA, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu_fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

/* The best of a few rounds: the first one fills caches and page tables. */
static int speed_measure(int vcpu_fd, const struct kvm_run *run)
{
	uint64_t best_ns = UINT64_MAX;

	for (unsigned int i = 0; i < SPEED_ROUNDS; i++) {
		uint64_t start = loop_now_ns();
		int r = speed_set_registers(vcpu_fd);

		if (r)
			return r;
		do
			r = ioctl(vcpu_fd, KVM_RUN, 0);
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
		if (run->exit_reason != KVM_EXIT_IO)
			return -EIO;
		best_ns = MIN(best_ns, loop_now_ns() - start);
	}
	return (int)(2ull * SPEED_LOOP_TURNS * 1000 / MAX(best_ns, 1ull));
}

static int speed_with_vm(int vm_fd, int run_size, uint8_t *ram)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = 0x10000,
		.userspace_addr = (uintptr_t)ram,
	};
	cleanup_fd int vcpu_fd = -1;
	struct kvm_run *run;
	int r;

	memcpy(ram + SPEED_CODE_GPA, speed_code, sizeof(speed_code));
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return -errno;
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0)
		return -errno;
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	r = speed_measure(vcpu_fd, run);
	munmap(run, (size_t)run_size);
	return r;
}

int arch_kernel_speed(int kvm_fd)
{
	int run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	cleanup_fd int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	uint8_t *ram;
	int r;

	if (vm_fd < 0 || run_size <= 0)
		return -errno;
	ram = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -errno;
	r = speed_with_vm(vm_fd, run_size, ram);
	munmap(ram, 0x10000);
	return r;
}
