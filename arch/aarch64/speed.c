/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* How fast does this KVM run guest kernels? A loop in EL1 is timed. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/aarch64/reg.h"
#include "arch/arch.h"
#include "vmm/loop.h"
#include "vmm/util.h"

#define SPEED_LEN 0x10000u /* of RAM, from 0 on; a page of any size */
#define SPEED_LOOP_TURNS 20000u
#define SPEED_ROUNDS 3
#define SCTLR_CACHED_CODE (1u << 12) /* I: instructions may be cached */

static const uint32_t speed_code[] = {
	0xf1000400, /* 1: subs x0, x0, #1 */
	0x54ffffe1, /* b.ne 1b */
	0xf9000020, /* str x0, [x1], where no memory is */
};

static int speed_set_registers(int vcpu_fd)
{
	int r = reg_set(vcpu_fd, REG_X(0), SPEED_LOOP_TURNS);

	if (!r)
		r = reg_set(vcpu_fd, REG_X(1), SPEED_LEN);
	return r ? r : reg_set(vcpu_fd, REG_PC, 0);
}

/* The best of a few rounds: the first one fills caches and page tables. An exit
 * is complete when the vCPU is entered again, so each has registers of its own. */
static int speed_measure(int vcpu_fd, const struct kvm_run *run)
{
	uint64_t best_ns = UINT64_MAX;

	for (unsigned int i = 0; i < SPEED_ROUNDS; i++) {
		uint64_t start;
		int r = speed_set_registers(vcpu_fd);

		if (r)
			return r;
		start = loop_now_ns();
		do
			r = ioctl(vcpu_fd, KVM_RUN, 0);
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
		if (run->exit_reason != KVM_EXIT_MMIO)
			return -EIO;
		best_ns = MIN(best_ns, loop_now_ns() - start);
	}
	return (int)(2ull * SPEED_LOOP_TURNS * 1000 / MAX(best_ns, 1ull));
}

static int speed_with_vm(int vm_fd, int run_size, uint8_t *ram)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = SPEED_LEN,
		.userspace_addr = (uintptr_t)ram,
	};
	cleanup_fd int vcpu_fd = -1;
	struct kvm_vcpu_init init;
	struct kvm_run *run;
	int r;

	memcpy(ram, speed_code, sizeof(speed_code));
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return -errno;
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0 || ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) ||
	    ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init))
		return -errno;
	r = reg_set(vcpu_fd, REG_SCTLR_EL1, SCTLR_CACHED_CODE);
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
	ram = mmap(NULL, SPEED_LEN, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -errno;
	r = speed_with_vm(vm_fd, run_size, ram);
	munmap(ram, SPEED_LEN);
	return r;
}
