/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* How many vCPUs a machine can have, by a real KVM. */
#include "vmm/kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "vmm/util.h"

/* One more than the host has is refused, with the host's number. */
static void test_one_too_many(void **state unused_param)
{
	const struct gmem_config config = { .size = MIB };
	struct board board = { 0 };
	struct error err;
	struct kvm kvm;
	char most[32];
	int r;

	board_init(&board, NULL);
	gmem_init(&board.gmem, &config);
	kvm_init(&kvm, &board, 1);
	if (kvm_open(&kvm, &err)) {
		print_message("%s\n", err.msg);
		kvm_close(&kvm);
		skip();
	}
	r = ioctl(kvm.fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	assert_true(r > 0);
	snprintf(most, sizeof(most), "%d at most", r);
	kvm.max_vcpus = (unsigned int)r + 1;
	assert_int_equal(kvm_build(&kvm, 1, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "--cpus"));
	assert_non_null(strstr(err.msg, most));
	kvm_close(&kvm);
	gmem_fini(&board.gmem);
	board_fini(&board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
