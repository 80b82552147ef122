/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot_fixture.h"

#include "boot/space.h"

#define TOP UINT64_MAX

static const struct boot_range map[] = {
	{ 0x1000, 0x9000, BOOT_RANGE_RAM },
	{ 0xa000, 0x1000, BOOT_RANGE_RESERVED },
	{ 0x10000, 0x10000, BOOT_RANGE_RAM },
	{ TOP - 0xffff, 0x10000, BOOT_RANGE_RAM }, /* up to the last byte */
};

static void test_claim(void **state)
{
	struct error err;
	struct space s;

	(void)state;
	space_init(&s, map, ARRAY_SIZE(map));
	assert_int_equal(space_reserve(&s, 0, 0x2000, "low", &err), 0);
	assert_int_equal(space_claim(&s, 0x2000, 0x1000, "a", &err), 0);
	assert_int_equal(space_claim(&s, 0x1fff, 1, "b", &err), -EINVAL);
	assert_string_equal(
		err.msg,
		"b at 0x1fff-0x1fff overlaps low at 0-0x1fff; link it elsewhere");
	assert_int_equal(space_claim(&s, 0x2fff, 2, "b", &err), -EINVAL);
	assert_int_equal(space_claim(&s, 0x3000, 0, "b", &err), -EINVAL);
	assert_int_equal(space_claim(&s, 0x9fff, 2, "b", &err), -ENOSPC);
	assert_int_equal(space_claim(&s, 0xa000, 1, "b", &err), -ENOSPC);
	assert_int_equal(space_claim(&s, TOP, 2, "b", &err), -EINVAL);
	assert_int_equal(space_claim(&s, 1, TOP, "b", &err), -ENOSPC);
	assert_int_equal(space_claim(&s, TOP, 1, "b", &err), 0);
	assert_int_equal(space_claim(&s, TOP, 1, "c", &err), -EINVAL);
	assert_int_equal(s.nr, 3);
}

static void test_claim_too_many(void **state)
{
	struct error err;
	struct space s;
	unsigned int i;

	(void)state;
	space_init(&s, map, ARRAY_SIZE(map));
	for (i = 0; i < SPACE_MAX_CLAIMS; i++)
		assert_int_equal(space_claim(&s, 0x10000 + i, 1, "a", &err), 0);
	assert_int_equal(space_claim(&s, 0x10000 + i, 1, "a", &err), -ENOSPC);
	assert_int_equal(space_reserve(&s, 0, 1, "a", &err), -ENOSPC);
}

static int find(const struct space *s, bool high, uint64_t len, uint64_t align,
		gpa_t min, gpa_t max, gpa_t *gpa)
{
	const struct space_want want = { len, align, min, max, high };

	return space_find(s, &want, gpa);
}

static void test_find_low(void **state)
{
	struct error err;
	struct space s;
	gpa_t gpa = 0;

	(void)state;
	space_init(&s, map, ARRAY_SIZE(map));
	assert_int_equal(find(&s, false, 0x1000, 0x1000, 0, TOP, &gpa), 0);
	assert_int_equal(gpa, 0x1000);
	assert_int_equal(find(&s, false, 0x1000, 0x4000, 0, TOP, &gpa), 0);
	assert_int_equal(gpa, 0x4000);
	assert_int_equal(space_claim(&s, 0x4800, 0x10, "a", &err), 0);
	assert_int_equal(find(&s, false, 0x1000, 0x4000, 0, TOP, &gpa), 0);
	assert_int_equal(gpa, 0x8000);
	assert_int_equal(find(&s, false, 0x2001, 0x4000, 0, TOP, &gpa), 0);
	assert_int_equal(gpa, 0x10000);
	assert_int_equal(find(&s, false, 0x100, 1, 0x9f01, TOP, &gpa), 0);
	assert_int_equal(gpa, 0x10000);
	assert_int_equal(find(&s, false, 0x100, 1, 0x9f01, 0x1ffff, &gpa), 0);
	assert_int_equal(find(&s, false, 0x10000, 1, 0x10000, 0x1ffff, &gpa),
			 0);
	assert_int_equal(find(&s, false, 0x10000, 1, 0x10000, 0x1fffe, &gpa),
			 -ENOSPC);
	assert_int_equal(find(&s, false, 0x10000, 1, 0x20000, TOP, &gpa), 0);
	assert_int_equal(gpa, TOP - 0xffff);
	assert_int_equal(find(&s, false, TOP, 1, 0, TOP, &gpa), -ENOSPC);
	assert_int_equal(find(&s, false, 0, 1, 0, TOP, &gpa), -ENOSPC);
	assert_int_equal(find(&s, false, 1, 3, 0, TOP, &gpa), -ENOSPC);
	assert_int_equal(find(&s, false, 1, 1ULL << 63, 0, TOP, &gpa), -ENOSPC);
}

static void test_find_high(void **state)
{
	struct error err;
	struct space s;
	gpa_t gpa = 0;

	(void)state;
	space_init(&s, map, ARRAY_SIZE(map));
	assert_int_equal(find(&s, true, 0x1000, 0x1000, 0, TOP, &gpa), 0);
	assert_int_equal(gpa, TOP - 0xfff);
	assert_int_equal(find(&s, true, 0x1000, 0x1000, 0, 0x1ffff, &gpa), 0);
	assert_int_equal(gpa, 0x1f000);
	assert_int_equal(find(&s, true, 0x1000, 0x1000, 0, 0x1fffe, &gpa), 0);
	assert_int_equal(gpa, 0x1e000);
	assert_int_equal(space_claim(&s, 0x1e800, 0x10, "a", &err), 0);
	assert_int_equal(find(&s, true, 0x1000, 0x1000, 0, 0x1fffe, &gpa), 0);
	assert_int_equal(gpa, 0x1d000);
	assert_int_equal(find(&s, true, 0xf000, 0x1000, 0, 0x1ffff, &gpa),
			 -ENOSPC);
	assert_int_equal(find(&s, true, 0x9000, 0x1000, 0, 0x1ffff, &gpa), 0);
	assert_int_equal(gpa, 0x15000);
	assert_int_equal(find(&s, true, 0x1000, 0x1000, 0, 0x1fff, &gpa), 0);
	assert_int_equal(gpa, 0x1000);
	assert_int_equal(find(&s, true, 0x1000, 0x1000, 0, 0x1ffe, &gpa),
			 -ENOSPC);
	assert_int_equal(find(&s, true, 1, 1, 0, 0, &gpa), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claim),
		cmocka_unit_test(test_claim_too_many),
		cmocka_unit_test(test_find_low),
		cmocka_unit_test(test_find_high),
	};

	return cmocka_run_group_tests_name("boot_space", tests, NULL, NULL);
}
