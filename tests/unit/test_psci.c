/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * vCPUs that come and go by PSCI: the guest's calls, and what is asked of the guest.
 * KVM is this test, which keeps the registers that a call has and what a vCPU is
 * started with.
 */
#include <errno.h>
#include <linux/psci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/aarch64/vm.h"
#include "boot/aarch64/device_tree.h"
#include "vmm/board.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

#define NR 20u /* more than one level of affinity names */
#define GRANTED 3u
#define ENTRY 0x40200000ull
#define CONTEXT 0x77ull
#define VM_FD 5

static struct state {
	struct board board;
	struct arch_vm vm;
	struct vcpu vcpus[NR], *list[NR];
	struct kvm_run runs[NR];
	struct error err;

	uint32_t forwarded[4]; /* first word of what KVM was told */
	unsigned int nr_forwarded;
	int forward; /* KVM's answer */
	uint64_t x[4]; /* of the vCPU that calls */
	int64_t answer;
	unsigned int nr_answers;
	unsigned int has_thread, asked; /* bits, by vCPU */
	uint64_t entry, context; /* what was started last */
	unsigned int started, stopped; /* bits, by vCPU */
	bool on_when_stopped; /* as PSCI had it then */
} s;

/* ---- doubles: KVM and threads ---- */

int __wrap_kvm_attr_set(int fd, uint32_t group, uint64_t attr,
			const void *value);
int __wrap_cpu_start(struct vcpu *vcpu, uint64_t entry, uint64_t context);
int __wrap_cpu_stop(struct vcpu *vcpu);
uint64_t __wrap_cpu_argument(const struct vcpu *vcpu, unsigned int n);
void __wrap_cpu_answer(const struct vcpu *vcpu, int64_t answer);
bool __wrap_vcpu_ask(struct vcpu *vcpu, enum vcpu_wish wish);

int __wrap_kvm_attr_set(int fd, uint32_t group, uint64_t attr,
			const void *value)
{
	assert_int_equal(fd, VM_FD);
	assert_int_equal(group, 0); /* KVM_ARM_VM_SMCCC_CTRL */
	assert_int_equal(attr, 0); /* KVM_ARM_VM_SMCCC_FILTER */
	if (s.forward)
		return s.forward;
	assert_true(s.nr_forwarded < ARRAY_SIZE(s.forwarded));
	memcpy(&s.forwarded[s.nr_forwarded++], value, 4);
	return 0;
}

int __wrap_cpu_start(struct vcpu *vcpu, uint64_t entry, uint64_t context)
{
	s.started |= 1u << vcpu->config.index;
	s.entry = entry;
	s.context = context;
	return 0;
}

int __wrap_cpu_stop(struct vcpu *vcpu)
{
	s.stopped |= 1u << vcpu->config.index;
	s.on_when_stopped = s.vm.cpus[vcpu->config.index].on;
	return 0;
}

uint64_t __wrap_cpu_argument(const struct vcpu *vcpu unused_param,
			     unsigned int n)
{
	return s.x[n];
}

void __wrap_cpu_answer(const struct vcpu *vcpu unused_param, int64_t answer)
{
	s.answer = answer;
	s.nr_answers++;
}

bool __wrap_vcpu_ask(struct vcpu *vcpu, enum vcpu_wish wish)
{
	assert_int_equal(wish, VCPU_ATTEND);
	if (!(s.has_thread & 1u << vcpu->config.index))
		return false;
	s.asked |= 1u << vcpu->config.index;
	return true;
}

/* ---- the machine ---- */

static int setup(void **state unused_param)
{
	memset(&s, 0, sizeof(s));
	board_init(&s.board, NULL);
	s.board.nr_cpus = GRANTED;
	for (unsigned int i = 0; i < NR; i++) {
		s.list[i] = &s.vcpus[i];
		s.vcpus[i].run = &s.runs[i];
		s.vcpus[i].config.board = &s.board;
		s.vcpus[i].config.arch = &s.vm;
		s.vcpus[i].config.index = i;
	}
	s.vm.vm_fd = VM_FD;
	s.vm.vcpus = s.list;
	s.vm.nr_vcpus = NR;
	s.vm.board = &s.board;
	s.has_thread = (1u << GRANTED) - 1;
	pthread_mutex_init(&s.vm.lock, NULL);
	return psci_init(&s.vm, &s.err);
}

static int teardown(void **state unused_param)
{
	psci_fini(&s.vm);
	assert_null(s.board.hotplug[HOTPLUG_CPU].ops);
	board_fini(&s.board);
	pthread_mutex_destroy(&s.vm.lock);
	return 0;
}

/* vCPU `by` makes a call; what it is answered. */
static int64_t call(unsigned int by, uint32_t function)
{
	unsigned int before = s.nr_answers;

	s.runs[by].hypercall.nr = function;
	psci_call(&s.vcpus[by]);
	assert_int_equal(s.nr_answers, before + 1);
	return s.answer;
}

static int64_t turn_on(unsigned int index)
{
	s.x[1] = dt_cpu_affinity(index);
	s.x[2] = ENTRY + index;
	s.x[3] = CONTEXT + index;
	return call(0, PSCI_0_2_FN64_CPU_ON);
}

/* No answer goes to who is off. */
static void turn_off(unsigned int index)
{
	unsigned int before = s.nr_answers;

	s.stopped = 0;
	s.runs[index].hypercall.nr = PSCI_0_2_FN_CPU_OFF;
	psci_call(&s.vcpus[index]);
	assert_int_equal(s.nr_answers, before);
	assert_int_equal(s.stopped, 1u << index);
}

static void attend(unsigned int index)
{
	s.started = 0;
	s.asked &= ~(1u << index);
	psci_attend(&s.vcpus[index]);
}

static bool ask(unsigned int index, bool on)
{
	const struct board_hotplug *by = &s.board.hotplug[HOTPLUG_CPU];

	return by->ops->ask(by->opaque, HOTPLUG_CPU, index, on);
}

/* Has the guest let go of it? */
static bool take(unsigned int index)
{
	return atomic_fetch_and(&s.board.ejected[HOTPLUG_CPU][index / 64],
				~(1ull << index % 64)) &
	       1ull << index % 64;
}

/* ---- calls ---- */

static void test_forwarded(void **state unused_param)
{
	assert_int_equal(s.nr_forwarded, 3);
	assert_int_equal(s.forwarded[0], PSCI_0_2_FN_CPU_OFF);
	assert_int_equal(s.forwarded[1], PSCI_0_2_FN64_CPU_ON);
	assert_int_equal(s.forwarded[2], PSCI_0_2_FN_CPU_ON);
}

/* On by the guest: its thread does it, once, with what the call said. */
static void test_on(void **state unused_param)
{
	assert_int_equal(turn_on(1), PSCI_RET_SUCCESS);
	assert_int_equal(s.asked, 1u << 1);
	assert_int_equal(turn_on(1), PSCI_RET_ALREADY_ON);
	assert_int_equal(turn_on(0), PSCI_RET_ALREADY_ON);
	/* What comes in between changes nothing of it. */
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
	attend(1);
	assert_int_equal(s.started, 1u << 1);
	assert_int_equal(s.entry, ENTRY + 1);
	assert_int_equal(s.context, CONTEXT + 1);
	attend(1);
	assert_int_equal(s.started, 0);
	attend(2);
	assert_int_equal(s.entry, ENTRY + 2);
	/* Nobody asked for this one. */
	attend(0);
	assert_int_equal(s.started, 0);
}

static void test_not_granted(void **state unused_param)
{
	assert_int_equal(turn_on(GRANTED), PSCI_RET_DENIED);
	assert_int_equal(s.asked, 0);
	attend(GRANTED);
	assert_int_equal(s.started, 0);
	/* Sixteen on the lowest level. */
	assert_int_equal(turn_on(17), PSCI_RET_DENIED);
	psci_rest(&s.vm, 17);
	s.has_thread |= 1u << 17;
	assert_int_equal(turn_on(17), PSCI_RET_SUCCESS);
	assert_int_equal(s.asked, 1u << 17);
}

static void test_nobody(void **state unused_param)
{
	static const uint64_t none[] = { NR,	     0x104,	 0x10000,
					 1ull << 32, 0x80000000, UINT64_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		s.x[1] = none[i];
		assert_int_equal(call(0, PSCI_0_2_FN64_CPU_ON),
				 PSCI_RET_INVALID_PARAMS);
	}
	assert_int_equal(s.asked, 0);
}

static void test_unknown(void **state unused_param)
{
	s.x[1] = 1;
	assert_int_equal(call(0, PSCI_0_2_FN_CPU_ON), PSCI_RET_NOT_SUPPORTED);
	assert_int_equal(call(0, PSCI_0_2_FN_MIGRATE), PSCI_RET_NOT_SUPPORTED);
	assert_int_equal(call(0, 0xffffffff), PSCI_RET_NOT_SUPPORTED);
	assert_int_equal(s.asked, 0);
}

/* Whoever hears from KVM that it is off finds it so. */
static void test_off(void **state unused_param)
{
	assert_int_equal(turn_on(1), PSCI_RET_SUCCESS);
	attend(1);
	turn_off(1);
	assert_false(s.on_when_stopped);
	assert_false(take(1));
	assert_int_equal(turn_on(1), PSCI_RET_SUCCESS);
	attend(1);
	assert_int_equal(s.started, 1u << 1);
	/* The first may go as any other. */
	turn_off(0);
	s.x[1] = 0;
	assert_int_equal(call(1, PSCI_0_2_FN64_CPU_ON), PSCI_RET_SUCCESS);
}

/* ---- what is asked of the guest ---- */

static void test_asked(void **state unused_param)
{
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
	attend(2);
	assert_false(ask(2, true));
	assert_false(take(2));
	turn_off(2);
	assert_true(take(2));
	/* Once. */
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
	attend(2);
	turn_off(2);
	assert_false(take(2));
}

static void test_asked_no_more(void **state unused_param)
{
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
	assert_false(ask(2, true));
	assert_true(ask(2, false));
	turn_off(2);
	assert_false(take(2));
	assert_false(ask(2, false));
}

/* One that the guest has off is let go at once. */
static void test_asked_while_off(void **state unused_param)
{
	assert_false(ask(2, true));
	assert_true(take(2));
	assert_false(s.vm.cpus[2].asked);
	/* It came again, and owes nothing. */
	psci_rest(&s.vm, 2);
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
	turn_off(2);
	assert_false(take(2));
}

/* It went between the guest's call and its thread's look. */
static void test_rest(void **state unused_param)
{
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
	psci_rest(&s.vm, 2);
	attend(2);
	assert_int_equal(s.started, 0);
	assert_int_equal(turn_on(2), PSCI_RET_SUCCESS);
}

/* ---- hosts ---- */

static void anew(unsigned int nr_vcpus, unsigned int nr_granted, int forward)
{
	psci_fini(&s.vm);
	s.vm.nr_vcpus = nr_vcpus;
	s.board.nr_cpus = nr_granted;
	s.forward = forward;
	s.nr_forwarded = 0;
}

/* KVM does all. */
static void test_alone(void **state unused_param)
{
	anew(1, 1, 0);
	assert_int_equal(psci_init(&s.vm, &s.err), 0);
	assert_int_equal(s.nr_forwarded, 0);
	assert_null(s.board.hotplug[HOTPLUG_CPU].ops);
	psci_rest(&s.vm, 0);
}

/* A host that forwards nothing: all are there at once, or none can come. */
static void test_old_host(void **state unused_param)
{
	anew(4, 4, -ENXIO);
	assert_int_equal(psci_init(&s.vm, &s.err), 0);
	assert_null(s.vm.cpus);
	assert_null(s.board.hotplug[HOTPLUG_CPU].ops);
	anew(4, 3, -ENXIO);
	assert_int_equal(psci_init(&s.vm, &s.err), -ENXIO);
	assert_non_null(strstr(s.err.msg, "--cpus max"));
	assert_non_null(strstr(s.err.msg, "6.4"));
	assert_null(s.board.hotplug[HOTPLUG_CPU].ops);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_forwarded),	    TEST(test_on),
		TEST(test_not_granted),	    TEST(test_nobody),
		TEST(test_unknown),	    TEST(test_off),
		TEST(test_asked),	    TEST(test_asked_no_more),
		TEST(test_asked_while_off), TEST(test_rest),
		TEST(test_alone),	    TEST(test_old_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
