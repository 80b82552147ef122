/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Cookies of threads, on a double of the kernel's. */
#include "vmm/core_sched.h"

#include <errno.h>
#include <linux/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

static struct {
	int code; /* the kernel's answer */
	unsigned int nr;
	unsigned long command, thread, scope; /* of the last call */
} kernel;

int __wrap_prctl(int option, unsigned long command, unsigned long thread,
		 unsigned long scope, unsigned long last);
int __wrap_prctl(int option, unsigned long command, unsigned long thread,
		 unsigned long scope, unsigned long last)
{
	assert_int_equal(option, PR_SCHED_CORE);
	assert_int_equal(last, 0);
	kernel.nr++;
	kernel.command = command;
	kernel.thread = thread;
	kernel.scope = scope;
	errno = kernel.code;
	return kernel.code ? -1 : 0;
}

static int setup(void **state unused_param)
{
	memset(&kernel, 0, sizeof(kernel));
	return 0;
}

static void test_off(void **state unused_param)
{
	struct error err;

	kernel.code = EINVAL;
	assert_int_equal(core_sched_prepare(CORE_SCHED_OFF, &err), 0);
	core_sched_join(CORE_SCHED_OFF);
	assert_int_equal(kernel.nr, 0);
}

static void test_vm(void **state unused_param)
{
	static const enum core_sched modes[] = { CORE_SCHED_VM,
						 CORE_SCHED_AUTO };
	struct error err;

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(core_sched_prepare(modes[i], &err), 0);
		assert_int_equal(kernel.command, PR_SCHED_CORE_CREATE);
		assert_int_equal(kernel.thread, 0);
		assert_int_equal(kernel.scope, PR_SCHED_CORE_SCOPE_THREAD);
		core_sched_join(modes[i]);
		assert_int_equal(kernel.command, PR_SCHED_CORE_SHARE_FROM);
		assert_int_equal(kernel.thread, getpid());
		assert_int_equal(kernel.scope, PR_SCHED_CORE_SCOPE_THREAD);
	}
	assert_int_equal(kernel.nr, 4);
}

static void test_vcpu(void **state unused_param)
{
	struct error err;

	assert_int_equal(core_sched_prepare(CORE_SCHED_VCPU, &err), 0);
	core_sched_join(CORE_SCHED_VCPU);
	assert_int_equal(kernel.nr, 2);
	assert_int_equal(kernel.command, PR_SCHED_CORE_CREATE);
	assert_int_equal(kernel.thread, 0);
}

static void test_kernel_without(void **state unused_param)
{
	struct error err;

	kernel.code = EINVAL;
	assert_int_equal(core_sched_prepare(CORE_SCHED_AUTO, &err), 0);
	assert_int_equal(core_sched_prepare(CORE_SCHED_VM, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "--cpus core_scheduling=vm: "));
	assert_non_null(strstr(err.msg, "Linux 5.14"));
	assert_int_equal(core_sched_prepare(CORE_SCHED_VCPU, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "core_scheduling=vcpu"));
	/* One thread a core: nothing is shared. */
	kernel.code = ENODEV;
	assert_int_equal(core_sched_prepare(CORE_SCHED_VM, &err), 0);
	assert_int_equal(core_sched_prepare(CORE_SCHED_VCPU, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_off, setup),
		cmocka_unit_test_setup(test_vm, setup),
		cmocka_unit_test_setup(test_vcpu, setup),
		cmocka_unit_test_setup(test_kernel_without, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
