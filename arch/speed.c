/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * How fast does this KVM run guest kernels? A host without nested
 * virtualisation may still have a /dev/kvm that interprets them, and nothing
 * tells, so a loop is timed.
 */
#include "arch/speed_loop.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "vmm/loop.h"
#include "vmm/util.h"

#define SPEED_ROUNDS 3

/* The best of a few rounds: the first one fills caches and page tables. */
static int speed_measure(int vcpu_fd, const struct kvm_run *run)
{
	uint64_t best_ns = UINT64_MAX;

	for (unsigned int i = 0; i < SPEED_ROUNDS; i++) {
		uint64_t start = loop_now_ns();
		int r = speed_enter(vcpu_fd);

		if (r)
			return r;
		do
			r = ioctl(vcpu_fd, KVM_RUN, 0);
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
		if (run->exit_reason != speed_loop.exit_reason)
			return -EIO;
		best_ns = MIN(best_ns, loop_now_ns() - start);
	}
	return (int)(2ull * speed_loop.turns * 1000 / MAX(best_ns, 1ull));
}

static int speed_with_vm(int vm_fd, int run_size, uint8_t *ram)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = SPEED_RAM,
		.userspace_addr = (uintptr_t)ram,
	};
	cleanup_fd int vcpu_fd = -1;
	struct kvm_run *run;
	int r;

	memcpy(ram + speed_loop.gpa, speed_loop.code, speed_loop.len);
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return -errno;
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0)
		return -errno;
	r = speed_prepare(vm_fd, vcpu_fd);
	if (r)
		return r;
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
	ram = mmap(NULL, SPEED_RAM, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -errno;
	r = speed_with_vm(vm_fd, run_size, ram);
	munmap(ram, SPEED_RAM);
	return r;
}
