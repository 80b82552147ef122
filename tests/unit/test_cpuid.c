/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* cpuid_fit() on made-up leaves of an Intel and an AMD host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

#include <cmocka.h>

#include "arch/x86_64/cpuid.h"
#include "vmm/util.h"

#define MAX_ENTRIES 32u

static struct kvm_cpuid2 *cpuid;

static struct kvm_cpuid_entry2 *find(uint32_t function, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function &&
		    cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

static void add(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx,
		uint32_t ecx, uint32_t edx)
{
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

/* Of a host with 16 threads of which two share a core. */
static void host_leaves(void)
{
	cpuid->nent = 0;
	add(0, 0, 0x7, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(1, 0, 0x000906ea, 0x0b100800, 0x01020304, 0x10203040);
	add(4, 0, 0x1c004121, 0x01c0003f, 0x3f, 0); /* level 1, 2 threads */
	add(4, 2, 0x1c004143, 0x00c0003f, 0x3ff, 0); /* level 2 */
	add(4, 3, 0x1c03c163, 0x03c0003f, 0x2fff, 6); /* level 3, 16 threads */
	add(4, 4, 0, 0, 0, 0);
	add(7, 0, 0x11, 0x22, 0x33, 0x44);
	add(0x80000008, 0, 0x3028, 1, 0x0000700f, 0);
	add(0x8000001d, 3, 0x0003c163, 0, 0, 0);
	add(0x8000001d, 4, 0, 0, 0, 0);
	add(0x8000001e, 0, 5, 0x105, 0x300, 0);
}

static int setup(void **state unused_param)
{
	cpuid = calloc(1, sizeof(*cpuid) +
				  MAX_ENTRIES * sizeof(cpuid->entries[0]));
	assert_non_null(cpuid);
	host_leaves();
	return 0;
}

static int teardown(void **state unused_param)
{
	free(cpuid);
	return 0;
}

static unsigned int bits_for(unsigned int nr)
{
	unsigned int bits = 0;

	while (1u << bits < nr)
		bits++;
	return bits;
}

static void check_caches(unsigned int nr)
{
	unsigned int all = (1u << bits_for(nr)) - 1;

	assert_int_equal(find(4, 0)->eax >> 14 & 0xfff, 0);
	assert_int_equal(find(4, 2)->eax >> 14 & 0xfff, 0);
	assert_int_equal(find(4, 3)->eax >> 14 & 0xfff, all);
	assert_int_equal(find(4, 3)->eax >> 26, MIN(all, 63u));
	assert_int_equal(find(4, 3)->eax & 0x3fff, 0x163 | (0x3c163 & 0x2000));
	assert_int_equal(find(4, 3)->ebx, 0x03c0003f);
	assert_int_equal(find(4, 4)->eax, 0);
	assert_int_equal(find(0x8000001d, 3)->eax >> 14 & 0xfff, all);
	assert_int_equal(find(0x8000001d, 4)->eax, 0);
}

static void check_topology(unsigned int id, unsigned int nr)
{
	const struct kvm_cpuid_entry2 *smt = find(0xb, 0), *core = find(0xb, 1);

	assert_non_null(smt);
	assert_non_null(core);
	assert_int_equal(smt->eax, 0);
	assert_int_equal(smt->ebx, 1);
	assert_int_equal(smt->ecx, 0x100);
	assert_int_equal(smt->edx, id);
	assert_int_equal(core->eax, bits_for(nr));
	assert_int_equal(core->ebx, nr);
	assert_int_equal(core->ecx, 0x201);
	assert_int_equal(core->edx, id);
	assert_true(core->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	/* All ids fit below the package's shift. */
	assert_true((nr - 1) >> core->eax == 0);
}

static void check_fit(unsigned int id, unsigned int nr)
{
	const struct kvm_cpuid_entry2 *e;

	host_leaves();
	cpuid_fit(cpuid, MAX_ENTRIES, id, nr);
	assert_true(find(0, 0)->eax >= 0xb);
	assert_int_equal(find(0, 0)->ebx, 0x756e6547);
	e = find(1, 0);
	assert_int_equal(e->eax, 0x000906ea);
	assert_int_equal(e->ebx >> 24, id);
	assert_int_equal(e->ebx >> 16 & 0xff, MIN(1u << bits_for(nr), 255u));
	assert_int_equal(e->ebx & 0xffff, 0x0800);
	assert_int_equal(e->ecx, 0x01020304 | 1u << 31 | 1u << 21 | 1u << 24);
	assert_int_equal(e->edx & ~(1u << 28), 0x00203040);
	assert_int_equal(e->edx >> 28 & 1, nr > 1);
	check_caches(nr);
	check_topology(id, nr);
	e = find(0x80000008, 0);
	assert_int_equal(e->ecx & 0xff, nr - 1);
	assert_int_equal(e->ecx >> 12 & 0xf, bits_for(nr));
	assert_int_equal(e->eax, 0x3028);
	e = find(0x8000001e, 0);
	assert_int_equal(e->eax, id);
	assert_int_equal(e->ebx, id);
	assert_int_equal(find(7, 0)->edx, 0x44);
}

static void test_counts(void **state unused_param)
{
	static const unsigned int counts[] = { 1, 2, 3, 4, 254 };
	unsigned int i, id;

	for (i = 0; i < ARRAY_SIZE(counts); i++)
		for (id = 0; id < counts[i]; id++)
			check_fit(id, counts[i]);
}

/* The host's own 0xb, 0x1f and their deeper levels are replaced. */
static void test_host_topology(void **state unused_param)
{
	add(0xb, 0, 1, 2, 0x100, 9);
	add(0xb, 1, 4, 16, 0x201, 9);
	add(0xb, 2, 9, 9, 0x302, 9);
	add(0x1f, 0, 1, 2, 0x100, 9);
	cpuid_fit(cpuid, MAX_ENTRIES, 2, 4);
	assert_int_equal(find(0xb, 0)->ebx, 1);
	assert_int_equal(find(0xb, 1)->eax, 2);
	assert_int_equal(find(0xb, 1)->ebx, 4);
	assert_int_equal(find(0xb, 2)->ecx, 2); /* type 0: invalid */
	assert_int_equal(find(0xb, 2)->ebx, 0);
	assert_non_null(find(0x1f, 1)); /* added */
	assert_int_equal(find(0x1f, 1)->ebx, 4);
	assert_int_equal(find(0x1f, 1)->edx, 2);
}

static void test_no_room(void **state unused_param)
{
	uint32_t nent = cpuid->nent;

	cpuid_fit(cpuid, nent, 0, 2);
	assert_int_equal(cpuid->nent, nent);
	host_leaves();
	cpuid_fit(cpuid, nent + 1, 0, 2);
	assert_int_equal(cpuid->nent, nent + 1);
}

static void test_nested(void **state unused_param)
{
	add(0x80000001, 0, 1, 2, 0x35, 4);
	add(0x8000000a, 0, 1, 0x8000, 3, 0x19ff);
	find(1, 0)->ecx |= 1u << 5;
	cpuid_hide_nested(cpuid);
	assert_int_equal(find(1, 0)->ecx, 0x01020304 & ~(1u << 5));
	assert_int_equal(find(1, 0)->edx & ~(1u << 28), 0x00203040);
	assert_int_equal(find(0x80000001, 0)->ecx, 0x31);
	assert_int_equal(find(0x80000001, 0)->edx, 4);
	assert_int_equal(find(0x8000000a, 0)->eax, 0);
	assert_int_equal(find(0x8000000a, 0)->ebx, 0);
	assert_int_equal(find(0x8000000a, 0)->edx, 0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_counts),
		UNIT(test_host_topology),
		UNIT(test_no_room),
		UNIT(test_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
