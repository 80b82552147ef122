/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The order of requests for another size, and memory that takes time to come.
 * The guest is a chip that notes what it is asked; this test answers.
 */
#include "vmm/hotplug.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/fake_vm.h"
#include "vmm/util.h"

#define HOT_GPA (8 * GIB)
#define HOT_BLOCKS 8u
#define NONE 99u

static struct fake_vm fv;
static struct kvm kvm;
static struct hotplug hp;
static char said[512]; /* what was reported, one line each */
static unsigned int asked; /* this DIMM is asked for; NONE */
static uint32_t told; /* DIMMs that the guest was told of: a bit each */

/* ---- a host that has no pages left ---- */

static atomic_bool refuse_pages;

int madvise(void *addr, size_t len, int advice)
{
	if (advice == MADV_POPULATE_WRITE && atomic_load(&refuse_pages)) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_madvise, addr, len, advice);
}

/* ---- doubles of vmm/kvm.c ---- */

int kvm_start_vcpu(struct kvm *k unused_param, unsigned int index unused_param,
		   struct error *err unused_param)
{
	return 0;
}

void kvm_stop_vcpu(struct kvm *k unused_param, unsigned int index unused_param)
{
}

void kvm_hold(struct kvm *k unused_param)
{
}

void kvm_release(struct kvm *k unused_param)
{
}

/* ---- the chip ---- */

static void chip_came(void *opaque unused_param, enum hotplug_kind kind,
		      unsigned int index, gpa_t gpa unused_param,
		      uint64_t len unused_param)
{
	if (kind != HOTPLUG_MEMORY)
		return;
	/* What it is told of is there. */
	assert_non_null(gmem_ptr(&fv.board.gmem,
				 gmem_dimm(&fv.board.gmem, index)->gpa,
				 GMEM_BLOCK));
	told |= 1u << index;
}

static bool chip_ask(void *opaque unused_param, enum hotplug_kind kind,
		     unsigned int index, bool on)
{
	bool was = asked == index;

	assert_int_equal(kind, HOTPLUG_MEMORY);
	asked = on ? index : NONE;
	return was;
}

static bool chip_is(void *opaque unused_param)
{
	return true;
}

static bool chip_is_unread(void *opaque unused_param,
			   enum hotplug_kind kind unused_param,
			   unsigned int index unused_param)
{
	return false;
}

static const struct hotplug_chip_ops chip_ops = {
	.came = chip_came,
	.ask = chip_ask,
	.is_heard = chip_is,
	.is_unread = chip_is_unread,
};

static void answer(bool ejected)
{
	board_eject_answer(&fv.board, HOTPLUG_MEMORY, asked, ejected);
	fake_vm_turn(&fv);
}

/* ---- reports ---- */

static unsigned long long in_blocks(uint64_t bytes)
{
	return (bytes - fv.board.gmem.config.size) / GMEM_BLOCK;
}

static void on_resized(void *opaque unused_param,
		       const struct hotplug_size *size, const char *why)
{
	size_t at = strlen(said);

	snprintf(said + at, sizeof(said) - at, "%s%llu of %llu%s%s\n",
		 size->memory ? "" : "vCPUs ",
		 size->memory ? in_blocks(size->actual)
			      : (unsigned long long)size->actual,
		 size->memory ? in_blocks(size->wanted)
			      : (unsigned long long)size->wanted,
		 why ? ": " : "", why ? why : "");
}

static const struct hotplug_listener listener = { .resized = on_resized };

static bool has_said(void *arg unused_param)
{
	return said[0];
}

static void expect_said(const char *text)
{
	assert_string_equal(said, text);
	said[0] = '\0';
}

static void want(unsigned int nr)
{
	struct error err = { "" };
	uint64_t size = fv.board.gmem.config.size + nr * GMEM_BLOCK;

	if (hotplug_resize_memory(&hp, size, &err))
		fail_msg("%s", err.msg);
}

static unsigned long long size_now(void)
{
	return in_blocks(gmem_size(&fv.board.gmem));
}

/* ---- fixture ---- */

static int setup(void **state unused_param)
{
	struct error err;

	fake_vm_init(&fv);
	fv.board.nr_cpus = 1;
	fv.board.run = BOARD_RUNNING;
	assert_int_equal(gmem_reserve(&fv.board.gmem, HOT_GPA,
				      HOT_BLOCKS * GMEM_BLOCK, &err),
			 0);
	board_set_hotplug(&fv.board, HOTPLUG_CPU, &chip_ops, NULL);
	board_set_hotplug(&fv.board, HOTPLUG_MEMORY, &chip_ops, NULL);
	kvm = (struct kvm){ .max_vcpus = 4 };
	hotplug_init(&hp, &fv.board, &kvm, &listener, NULL);
	atomic_store(&refuse_pages, false);
	said[0] = '\0';
	asked = NONE;
	told = 0;
	return 0;
}

static int teardown(void **state unused_param)
{
	hotplug_fini(&hp);
	fake_vm_fini(&fv);
	return 0;
}

/* ---- machines that cannot ---- */

static void test_kind_is_not_there(void **state unused_param)
{
	struct error err = { "" };
	uint64_t size = fv.board.gmem.config.size + GMEM_BLOCK;

	board_set_hotplug(&fv.board, HOTPLUG_MEMORY, NULL, NULL);
	assert_int_equal(hotplug_resize_memory(&hp, size, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "memory"));
	/* The other kind is. */
	assert_int_equal(hotplug_resize_vcpus(&hp, 1, &err), 0);
	fake_vm_turn(&fv);
	expect_said("vCPUs 1 of 1\n");
	board_set_hotplug(&fv.board, HOTPLUG_MEMORY, &chip_ops, NULL);
	board_set_hotplug(&fv.board, HOTPLUG_CPU, NULL, NULL);
	assert_int_equal(hotplug_resize_vcpus(&hp, 1, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "vCPUs"));
	want(1);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	expect_said("1 of 1\n");
}

/* ---- order ---- */

/* Behind the one under way, only the latest one waits. */
static void test_replaced(void **state unused_param)
{
	want(4);
	fake_vm_turn(&fv);
	expect_said("4 of 4\n");
	want(2);
	fake_vm_turn(&fv);
	assert_int_equal(asked, 3);
	want(5);
	fake_vm_turn(&fv);
	want(6);
	want(6);
	want(7);
	expect_said(""); /* not from inside the verb */
	fake_vm_turn(&fv);
	expect_said("4 of 5: a later request replaced it\n"
		    "4 of 6: a later request replaced it\n"
		    "4 of 6: a later request replaced it\n");
	want(3);
	want(3); /* one answer each */
	fake_vm_turn(&fv);
	expect_said("4 of 7: a later request replaced it\n");
	answer(true);
	answer(true);
	expect_said("2 of 2\n3 of 3\n3 of 3\n");
	assert_int_equal(told, 0xf);
}

/* One that has ended makes room for the latest of those that came since. */
static void test_not_begun(void **state unused_param)
{
	want(2);
	want(8);
	want(1);
	fake_vm_turn(&fv);
	/* 2 was there at once; 8 was never begun. */
	expect_said("2 of 8: a later request replaced it\n2 of 2\n");
	assert_int_equal(asked, 1);
	answer(false);
	assert_int_equal(asked, 0);
	answer(true);
	expect_said("1 of 1\n");
}

/* Before, memory was taken from the host for a guest that was gone. */
static void test_stop(void **state unused_param)
{
	struct error err;

	want(4);
	fake_vm_turn(&fv);
	want(1);
	fake_vm_turn(&fv);
	want(8);
	assert_int_equal(hotplug_resize_vcpus(&hp, 3, &err), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 4, &err), 0);
	said[0] = '\0';
	asks_eject_all(&hp);
	resize_on_stop(&hp);
	expect_said("1 of 1\n"
		    "vCPUs 3 of 3\n"
		    "vCPUs 3 of 4: the guest stopped before its turn\n"
		    "1 of 8: the guest stopped before its turn\n");
	assert_int_equal(size_now(), 1);
	fake_vm_turn(&fv);
	expect_said("");
}

static void hold_removed(struct gmem_listener *gl unused_param,
			 const struct gmem_range *range)
{
	gmem_hold(&fv.board.gmem, range->slot);
}

/* A place that I/O still uses is not taken for new memory. */
static void test_held(void **state unused_param)
{
	struct gmem_listener holder = { .removed = hold_removed };
	struct gmem *gm = &fv.board.gmem;
	struct error err;

	assert_int_equal(gmem_listen(gm, &holder, NULL), 0);
	want(HOT_BLOCKS);
	fake_vm_turn(&fv);
	want(HOT_BLOCKS - 2);
	fake_vm_turn(&fv);
	answer(true);
	answer(true);
	assert_int_equal(size_now(), HOT_BLOCKS - 2);
	said[0] = '\0';
	assert_int_equal(
		hotplug_resize_memory(
			&hp, gm->config.size + HOT_BLOCKS * GMEM_BLOCK, &err),
		-EBUSY);
	assert_non_null(strstr(err.msg, "256 MiB"));
	gmem_release(gm, GMEM_MAX_RAM + HOT_BLOCKS - 1);
	want(HOT_BLOCKS - 1);
	fake_vm_turn(&fv);
	expect_said("7 of 7\n");
	gmem_release(gm, GMEM_MAX_RAM + HOT_BLOCKS - 2);
	want(HOT_BLOCKS);
	fake_vm_turn(&fv);
	expect_said("8 of 8\n");
	gmem_unlisten(&holder);
}

/* ---- time ---- */

static bool is_resident(unsigned int i)
{
	const struct gmem_range *d = gmem_dimm(&fv.board.gmem, i);
	unsigned char there[GMEM_BLOCK / 4096];

	assert_int_equal(mincore(d->hva, GMEM_BLOCK, there), 0);
	return !memchr(there, 0, sizeof(there));
}

/* The loop goes on while threads populate it, and the guest hears of it when
 * all is there. Before, the verb took as long as that. */
static void test_populate(void **state unused_param)
{
	unsigned int turns = 0;

	fv.board.gmem.config.prefault = true;
	want(2);
	assert_int_equal(size_now(), 0);
	assert_null(gmem_ptr(&fv.board.gmem, HOT_GPA, 1));
	want(1); /* waits */
	while (!said[0]) {
		assert_int_equal(told, 0);
		fake_vm_turn(&fv);
		turns++;
	}
	assert_true(turns > 1);
	assert_true(is_resident(0) && is_resident(1));
	expect_said("2 of 2\n");
	assert_int_equal(told, 3);
	fake_vm_turn(&fv);
	assert_int_equal(asked, 1);
	answer(true);
	expect_said("1 of 1\n");
}

static void test_populate_stop(void **state unused_param)
{
	uint64_t start;

	fv.board.gmem.config.prefault = true;
	want(HOT_BLOCKS);
	want(1);
	start = loop_now_ns();
	resize_on_stop(&hp);
	assert_true(loop_now_ns() - start < 1000000000);
	expect_said("0 of 8: the guest stopped\n"
		    "0 of 1: the guest stopped before its turn\n");
	assert_int_equal(size_now(), 0);
	assert_int_equal(told, 0);
	/* The places are free. */
	fv.board.gmem.config.prefault = false;
	want(HOT_BLOCKS);
	assert_int_equal(size_now(), HOT_BLOCKS);
	assert_false(is_resident(0));
}

/* It ends with the machine. */
static void test_populate_fini(void **state unused_param)
{
	fv.board.gmem.config.prefault = true;
	want(HOT_BLOCKS);
}

static void test_populate_fails(void **state unused_param)
{
	fv.board.gmem.config.prefault = true;
	refuse_pages = true;
	want(2);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	refuse_pages = false;
	expect_said("0 of 2: --memory prefault=on: cannot populate 256 MiB: "
		    "Cannot allocate memory; lower size or free memory on the "
		    "host\n");
	assert_int_equal(size_now(), 0);
	assert_int_equal(gmem_dimm(&fv.board.gmem, 0)->len, 0);
	want(1);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	expect_said("1 of 1\n");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_kind_is_not_there),
		CASE(test_replaced),
		CASE(test_not_begun),
		CASE(test_stop),
		CASE(test_held),
		CASE(test_populate),
		CASE(test_populate_stop),
		CASE(test_populate_fini),
		CASE(test_populate_fails),
	};

	return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
