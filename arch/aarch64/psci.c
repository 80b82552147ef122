/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * vCPUs that come and go, by PSCI (ARM DEN 0022) alone: a guest without firmware
 * cannot be told of processors, but it can turn on and off those that the device
 * tree lists. All that there may be are made, and off. CPU_ON and CPU_OFF come
 * here; starting one that has not been granted, which is one without a thread,
 * is denied. One that is to go is asked for, and taken once the guest has turned
 * it off.
 *
 * KVM does the rest of PSCI, and all of it where there is one vCPU, or where a host
 * before Linux 6.4 forwards nothing. What is off waits inside KVM_RUN, and starts
 * with a signal.
 */
#include <errno.h>
#include <linux/psci.h>
#include <stdlib.h>
#include <string.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/vm.h"
#include "arch/arch.h"
#include "boot/aarch64/device_tree.h"
#include "vmm/board.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

/* Linux 6.4, Documentation/virt/kvm/devices/vm.rst section 6 and api.rst,
 * KVM_EXIT_HYPERCALL; older headers do not have it. */
struct psci_filter {
	uint32_t base;
	uint32_t nr_functions;
	uint8_t action;
	uint8_t pad[15];
};
#define PSCI_FILTER_GROUP 0
#define PSCI_FILTER_ATTR 0
#define PSCI_FORWARD 2

_Static_assert(A64_MAX_CPUS <= HOTPLUG_MAX_INDEX, "vCPUs that come and go");

static int psci_forward(const struct arch_vm *vm, uint32_t function)
{
	const struct psci_filter filter = { .base = function,
					    .nr_functions = 1,
					    .action = PSCI_FORWARD };

	return kvm_attr_set(vm->vm_fd, PSCI_FILTER_GROUP, PSCI_FILTER_ATTR,
			    &filter);
}

/* ---- the guest: vCPU threads ---- */

/* Which vCPU has this MPIDR? nr_vcpus: none. */
static unsigned int psci_find(const struct arch_vm *vm, uint64_t affinity)
{
	unsigned int i = 0;

	while (i < vm->nr_vcpus && dt_cpu_affinity(i) != affinity)
		i++;
	return i;
}

static int psci_cpu_on(struct arch_vm *vm, struct vcpu *caller)
{
	unsigned int i = psci_find(vm, cpu_argument(caller, 1));
	struct psci_cpu *cpu = &vm->cpus[i];

	mutex_guard(&vm->lock);
	if (i == vm->nr_vcpus)
		return PSCI_RET_INVALID_PARAMS;
	if (cpu->on)
		return PSCI_RET_ALREADY_ON;
	cpu->entry = cpu_argument(caller, 2);
	cpu->context = cpu_argument(caller, 3);
	cpu->on = cpu->starting = vcpu_ask(vm->vcpus[i], VCPU_ATTEND);
	return cpu->on ? PSCI_RET_SUCCESS : PSCI_RET_DENIED;
}

static void psci_cpu_off(struct arch_vm *vm, struct vcpu *vcpu)
{
	struct psci_cpu *cpu = &vm->cpus[vcpu->config.index];
	bool asked;
	int r;

	pthread_mutex_lock(&vm->lock);
	cpu->on = false;
	asked = cpu->asked;
	cpu->asked = false;
	pthread_mutex_unlock(&vm->lock);
	/* After that: whoever hears from KVM that it is off can start it. */
	r = cpu_stop(vcpu);
	if (r)
		log_warn("vcpu%u: cannot be turned off: %s", vcpu->config.index,
			 strerror(-r));
	if (asked)
		board_eject_answer(vcpu->config.board, HOTPLUG_CPU,
				   vcpu->config.index, true);
}

void psci_call(struct vcpu *vcpu)
{
	struct arch_vm *vm = vcpu->config.arch;
	int r = PSCI_RET_NOT_SUPPORTED;

	switch ((uint32_t)vcpu->run->hypercall.nr) {
	case PSCI_0_2_FN_CPU_OFF:
		psci_cpu_off(vm, vcpu);
		return;
	case PSCI_0_2_FN64_CPU_ON:
		r = psci_cpu_on(vm, vcpu);
		break;
	default:
		break;
	}
	cpu_answer(vcpu, r);
}

void psci_attend(struct vcpu *vcpu)
{
	struct arch_vm *vm = vcpu->config.arch;
	struct psci_cpu *cpu = &vm->cpus[vcpu->config.index];
	mutex_guard(&vm->lock);
	int r;

	if (!cpu->starting)
		return;
	cpu->starting = false;
	r = cpu_start(vcpu, cpu->entry, cpu->context);
	if (r)
		log_warn("vcpu%u: does not start: %s", vcpu->config.index,
			 strerror(-r));
}

/* ---- the machine: main thread ---- */

/* It is there, but there is no way to tell the guest. */
static void psci_came(void *opaque unused_param,
		      enum hotplug_kind kind unused_param,
		      unsigned int index unused_param, gpa_t gpa unused_param,
		      uint64_t len unused_param)
{
}

static bool psci_ask(void *opaque, enum hotplug_kind kind, unsigned int index,
		     bool on)
{
	struct arch_vm *vm = opaque;
	struct psci_cpu *cpu = &vm->cpus[index];
	bool before, off;

	pthread_mutex_lock(&vm->lock);
	before = cpu->asked;
	off = on && !cpu->on;
	cpu->asked = on && !off;
	pthread_mutex_unlock(&vm->lock);
	if (off)
		board_eject_answer(vm->board, kind, index, true);
	return before;
}

static bool psci_is_heard(void *opaque unused_param)
{
	return false;
}

static bool psci_is_unread(void *opaque unused_param,
			   enum hotplug_kind kind unused_param,
			   unsigned int index unused_param)
{
	return false;
}

static const struct hotplug_chip_ops psci_guest_ops = {
	.came = psci_came,
	.ask = psci_ask,
	.is_heard = psci_is_heard,
	.is_unread = psci_is_unread,
};

static void psci_forget(struct arch_vm *vm)
{
	free(vm->cpus);
	vm->cpus = NULL;
}

int psci_init(struct arch_vm *vm, struct error *err)
{
	int r;

	if (vm->nr_vcpus == 1)
		return 0;
	vm->cpus = calloc(vm->nr_vcpus, sizeof(*vm->cpus));
	if (!vm->cpus)
		return error_set(err, ENOMEM, "out of memory");
	vm->cpus[0].on = true;
	r = psci_forward(vm, PSCI_0_2_FN_CPU_OFF);
	if (!r)
		r = psci_forward(vm, PSCI_0_2_FN64_CPU_ON);
	/* Of 32 bits: it is refused, as no processor starts so. */
	if (!r)
		r = psci_forward(vm, PSCI_0_2_FN_CPU_ON);
	if (r && vm->nr_vcpus > vm->board->nr_cpus)
		return error_set(
			err, r,
			"--cpus max: vCPUs that come later need Linux 6.4 on the host (%s); have all of them from the start",
			strerror(-r));
	if (r)
		psci_forget(vm);
	else
		board_set_hotplug(vm->board, HOTPLUG_CPU, &psci_guest_ops, vm);
	return 0;
}

void psci_fini(struct arch_vm *vm)
{
	if (vm->cpus)
		board_set_hotplug(vm->board, HOTPLUG_CPU, NULL, NULL);
	psci_forget(vm);
}

void psci_rest(struct arch_vm *vm, unsigned int index)
{
	mutex_guard(&vm->lock);

	if (vm->cpus)
		vm->cpus[index] = (struct psci_cpu){ .on = false };
}
