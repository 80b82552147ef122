/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_KVM_FIXTURE_H
#define TESTS_UNIT_KVM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "vmm/kvm.h"
#include "vmm/util.h"

/* A VM of a real KVM, with a vCPU and no memory. For the one file that includes
 * this. */
static struct board board;
static struct kvm kvm;

/* Skips the test where there is no KVM. */
static void kvm_setup(void)
{
	const struct gmem_config config = { .size = MIB };
	struct error err;
	int r;

	board_init(&board, NULL);
	gmem_init(&board.gmem, &config);
	kvm_init(&kvm, &board, 1);
	r = kvm_open(&kvm, &err);
	if (!r)
		r = kvm_build(&kvm, 1, &err);
	if (r) {
		print_message("%s\n", err.msg);
		kvm_close(&kvm);
		skip();
	}
}

/* The VM's end. */
static void kvm_teardown(void)
{
	kvm_close(&kvm);
	gmem_fini(&board.gmem);
	board_fini(&board);
}

#endif
