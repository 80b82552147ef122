/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* vCPUs and memory that come and go. */
#include "tests/unit/hotplug_fixture.h"

/* ---- vCPUs ---- */

static void test_vcpus(void **state unused_param)
{
	struct error err;
	unsigned int i;

	assert_int_equal(hotplug_resize_vcpus(&hp, 1, &err), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 0, &err), -EINVAL);
	assert_int_equal(hotplug_resize_vcpus(&hp, 5, &err), -EINVAL);
	fake_vm_turn(&fv);
	/* Nothing to do is done, too. */
	assert_string_equal(said, "vcpus 1");
	assert_int_equal(nr_said, 1);
	assert_int_equal(hotplug_resize_vcpus(&hp, 4, &err), 0);
	assert_int_equal(cpu_threads, 0xf);
	fake_vm_turn(&fv);
	assert_string_equal(said, "vcpus 4");
	for (i = 1; i < 4; i++) {
		expect_event(HOTPLUG_CPU, i, CHECK);
		assert_int_equal(cpu_sta(i), 0xf);
	}
	assert_int_equal(hotplug_resize_vcpus(&hp, 2, &err), 0);
	/* This one waits. */
	assert_int_equal(hotplug_resize_vcpus(&hp, 3, &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_CPU, 3, EJECT_REQUEST);
	eject(HOTPLUG_CPU, 3);
	assert_int_equal(cpu_sta(3), 0);
	assert_int_equal(cpu_threads, 0x7);
	assert_int_equal(nr_said, 2);
	expect_event(HOTPLUG_CPU, 2, EJECT_REQUEST);
	eject(HOTPLUG_CPU, 2);
	expect_event(HOTPLUG_CPU, 2, CHECK);
	assert_string_equal(said, "vcpus 3");
	assert_int_equal(nr_said, 4);
	assert_int_equal(cpu_threads, 0x7);
}

static void test_vcpus_fail(void **state unused_param)
{
	struct error err;

	refuse_cpu = 3;
	assert_int_equal(hotplug_resize_vcpus(&hp, 4, &err), -ENOMEM);
	assert_int_equal(cpu_threads, 1);
	assert_int_equal(next_event(), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 3, &err), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 1, &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_CPU, 1, CHECK);
	expect_event(HOTPLUG_CPU, 2, EJECT_REQUEST);
	eject(HOTPLUG_CPU, 2);
	status(HOTPLUG_CPU, 1, 0x82);
	assert_string_equal(
		said, "vcpus stays 2: the guest refuses; it gave 1 of 2 vCPUs");
	assert_int_equal(fv.board.nr_cpus, 2);
	assert_int_equal(cpu_sta(1), 0xf);
}

/* ---- memory ---- */

static void test_memory(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;
	uint64_t len = 4 * GIB;
	enum gmem_kind kind;
	struct error err;
	uint8_t *p;
	unsigned int i;

	assert_null(gmem_ptr(gm, HOT_GPA, 1));
	assert_int_equal(hotplug_resize_memory(&hp, blocks(1) + 4096, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "128 MiB"));
	assert_int_equal(hotplug_resize_memory(&hp, blocks(13), &err), -ERANGE);
	assert_int_equal(hotplug_resize_memory(&hp, blocks(3), &err), 0);
	fake_vm_turn(&fv);
	assert_string_equal(said, "memory 3");
	assert_int_equal(nr_slots, 3);
	for (i = 0; i < 3; i++) {
		expect_event(HOTPLUG_MEMORY, i, CHECK);
		assert_int_equal(dimm(i, 0), HOT_GPA + i * GMEM_BLOCK);
		assert_int_equal(dimm(i, 1), GMEM_BLOCK);
		assert_int_equal(dimm(i, 2), 0xf);
	}
	/* One piece for devices, wherever its DIMMs meet. */
	p = gmem_span(gm, HOT_GPA + 4096, &len, &kind);
	assert_int_equal(len, 3 * GMEM_BLOCK - 4096);
	memset(p - 4096, 0x5a, 8192);

	assert_int_equal(hotplug_resize_memory(&hp, blocks(0), &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_MEMORY, 2, EJECT_REQUEST);
	eject(HOTPLUG_MEMORY, 2);
	assert_int_equal(dimm(2, 2), 0);
	expect_event(HOTPLUG_MEMORY, 1, EJECT_REQUEST);
	status(HOTPLUG_MEMORY, 1, 0x81);
	expect_event(HOTPLUG_MEMORY, 0, EJECT_REQUEST);
	eject(HOTPLUG_MEMORY, 0);
	assert_non_null(strstr(said, "it gave 256 of 384 MiB"));
	assert_int_equal(nr_slots, 1);
	assert_int_equal(slot_byte, 0x5a);
	assert_null(gmem_ptr(gm, HOT_GPA + 4096, 1));
	assert_int_equal(p[0], 0); /* given back, and still ours to touch */
	assert_int_equal(gmem_size(&fv.board.gmem), blocks(1));
	/* Holes are filled first. */
	assert_int_equal(hotplug_resize_memory(&hp, blocks(12), &err), 0);
	assert_int_equal(nr_slots, 12);
	assert_int_equal(*(uint8_t *)gmem_ptr(gm, HOT_GPA + 4096, 1), 0);
}

/* The guest goes away with a request under way. */
static void test_memory_reset(void **state unused_param)
{
	struct error err;

	assert_int_equal(hotplug_resize_memory(&hp, blocks(4), &err), 0);
	fake_vm_turn(&fv);
	assert_int_equal(hotplug_resize_memory(&hp, blocks(1), &err), 0);
	fake_vm_turn(&fv);
	chip->ops->reset(chip);
	asks_eject_all(&hp);
	assert_string_equal(said, "memory 1");
	assert_int_equal(nr_slots, 1);
	assert_int_equal(next_event(), 0);
}

/* The guest lets go of what stays: it is told to look again. */
static void test_memory_late(void **state unused_param)
{
	struct error err;

	hp.ask_ns = 20000000;
	assert_int_equal(hotplug_resize_memory(&hp, blocks(1), &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_MEMORY, 0, CHECK);
	nr_said = 0;
	assert_int_equal(hotplug_resize_memory(&hp, blocks(0), &err), 0);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_non_null(strstr(said, "did not answer in time"));
	assert_int_equal(next_event(), 0);
	eject(HOTPLUG_MEMORY, 0);
	assert_int_equal(dimm(0, 2), 0xf);
	assert_int_equal(gmem_size(&fv.board.gmem), blocks(1));
	expect_event(HOTPLUG_MEMORY, 0, CHECK);
	assert_int_equal(next_event(), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_vcpus),	CASE(test_vcpus_fail),
		CASE(test_memory),	CASE(test_memory_reset),
		CASE(test_memory_late),
	};

	return cmocka_run_group_tests_name("hotplug_size", tests, NULL, NULL);
}
