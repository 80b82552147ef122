/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* bzImages, built here byte by byte, and files that are no kernel at all. */
#include "boot_fixture.h"

#include <stdlib.h>

#define SECTS 2
#define SETUP_LEN ((SECTS + 1) * 512)
#define KERNEL_LEN 0x3000
#define HDR_LEN 0x66 /* behind 0x202: as of protocol 2.12 */
#define INIT_SIZE 0x200000
#define PREF 0x1000000
#define ALIGN 0x200000

struct state {
	struct fixture f;
	uint8_t file[5 * 512 + KERNEL_LEN];
	size_t len;
};

static void put(struct state *s, unsigned int off, uint64_t v, unsigned int len)
{
	le_store(s->file + off, v, len);
}

static void make_image(struct state *s)
{
	memset(s->file, 0xee, SETUP_LEN); /* what is not set must not matter */
	memset(s->file + SETUP_LEN, 0x44, KERNEL_LEN);
	s->len = SETUP_LEN + KERNEL_LEN;
	put(s, 0x1f1, SECTS, 1);
	put(s, 0x1f4, KERNEL_LEN / 16, 4);
	put(s, 0x1fe, 0xaa55, 2);
	put(s, 0x200, 0xeb, 1);
	put(s, 0x201, HDR_LEN, 1);
	put(s, 0x202, 0x53726448, 4);
	put(s, 0x206, 0x20c, 2);
	put(s, 0x211, 0x01, 1);
	put(s, 0x22c, 0x7fffffff, 4);
	put(s, 0x230, ALIGN, 4);
	put(s, 0x234, 1, 1);
	put(s, 0x236, 0x0001, 2);
	put(s, 0x238, 255, 4);
	put(s, 0x250, 0xdeadbeef, 8);
	put(s, 0x258, PREF, 8);
	put(s, 0x260, INIT_SIZE, 4);
}

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	fixture_init(&s->f);
	make_image(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	fixture_fini(&s->f);
	free(s);
	return 0;
}

static int boot(struct state *s)
{
	return fixture_boot(&s->f, s->file, s->len);
}

static void expect_refusal(struct state *s, int code, const char *part)
{
	assert_int_equal(boot(s), -code);
	fixture_expect_error(&s->f, "--kernel K: ");
	fixture_expect_error(&s->f, part);
}

static void test_good(void **state)
{
	struct state *s = *state;

	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
	assert_int_equal(s->f.res.entry, PREF + 0x200);
	assert_int_equal(s->f.res.params, BOOT_ZERO_PAGE);
	fixture_expect_bytes(&s->f, PREF, s->file + SETUP_LEN, KERNEL_LEN);
}

static void test_no_setup_sects(void **state)
{
	struct state *s = *state;

	memset(s->file + SETUP_LEN, 0, 5 * 512 - SETUP_LEN);
	memset(s->file + 5 * 512, 0x55, KERNEL_LEN);
	s->len = 5 * 512 + KERNEL_LEN;
	put(s, 0x1f1, 0, 1);
	assert_int_equal(boot(s), 0);
	fixture_expect_bytes(&s->f, PREF, s->file + 5 * 512, KERNEL_LEN);
}

static void test_truncated(void **state)
{
	struct state *s = *state;
	size_t len;

	for (len = 1; len < s->len; len++) {
		assert_true(fixture_boot(&s->f, s->file, len) < 0);
		fixture_expect_error(&s->f, "--kernel K: ");
		if (len >= 0x206)
			fixture_expect_error(&s->f, "truncated");
	}
}

static void test_bad_header(void **state)
{
	struct state *s = *state;

	put(s, 0x206, 0x20b, 2);
	expect_refusal(s, ENOEXEC, "protocol 2.11, 2.12 is needed");
	make_image(s);
	put(s, 0x236, 0xfffe, 2);
	expect_refusal(s, ENOEXEC, "32-bit");
	make_image(s);
	put(s, 0x211, 0, 1);
	expect_refusal(s, ENOEXEC, "zImage");
	make_image(s);
	put(s, 0x201, 0x61, 1);
	expect_refusal(s, EINVAL, "header ends at 0x263");
	put(s, 0x201, 0xff, 1);
	expect_refusal(s, EINVAL, "header ends at 0x301");
	make_image(s);
	put(s, 0x1f4, 0, 4);
	expect_refusal(s, EINVAL, "only 0 bytes");
	put(s, 0x1f4, 0x20, 4);
	expect_refusal(s, EINVAL, "only 512 bytes");
	put(s, 0x1f4, UINT32_MAX, 4);
	expect_refusal(s, EINVAL, "truncated");
	make_image(s);
	put(s, 0x230, 0, 4);
	expect_refusal(s, EINVAL, "power of two");
	put(s, 0x230, 0x300000, 4);
	expect_refusal(s, EINVAL, "power of two");
}

static void test_placement(void **state)
{
	struct state *s = *state;

	/* It takes init_size up to the last byte of RAM, but no more. */
	put(s, 0x258, FIXTURE_RAM - INIT_SIZE, 8);
	assert_int_equal(boot(s), 0);
	put(s, 0x260, INIT_SIZE + 1, 4);
	expect_refusal(s, ENOSPC, "no room");
	put(s, 0x260, UINT32_MAX, 4);
	expect_refusal(s, ENOSPC, "no room");
	/* init_size may be a lie: what is loaded counts too. */
	put(s, 0x260, 0, 4);
	put(s, 0x258, FIXTURE_RAM - KERNEL_LEN + 1, 8);
	expect_refusal(s, ENOSPC, "no room");
	make_image(s);
	put(s, 0x258, UINT64_MAX, 8);
	expect_refusal(s, ENOSPC, "no room");

	/* It moves up to its alignment, never down. */
	make_image(s);
	put(s, 0x258, PREF + 1, 8);
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.entry, PREF + ALIGN + 0x200);
	put(s, 0x258, 0, 8);
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.entry, ALIGN + 0x200);
}

static void test_fixed_placement(void **state)
{
	struct state *s = *state;

	put(s, 0x234, 0, 1);
	put(s, 0x230, 0, 4);
	put(s, 0x258, PREF + 1, 8);
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.entry, PREF + 1 + 0x200);
	put(s, 0x258, 0x1000, 8);
	put(s, 0x260, 0x1000, 4);
	expect_refusal(s, EINVAL, "overlaps the boot structures");
	put(s, 0x258, FIXTURE_RAM, 8);
	expect_refusal(s, ENOSPC, "not inside RAM");
	put(s, 0x258, UINT64_MAX - 1, 8);
	expect_refusal(s, ENOSPC, "beyond 4 GiB");
	/* A small init_size does not hide a large file. */
	put(s, 0x260, 0x10, 4);
	put(s, 0x258, FIXTURE_RAM - KERNEL_LEN + 1, 8);
	expect_refusal(s, ENOSPC, "not inside RAM");
}

static void test_hole_in_ram(void **state)
{
	struct state *s = *state;

	/* RAM ends inside the preferred place and goes on behind a hole. */
	s->f.map[1] = (struct boot_range){ BOOT_HIGH_MEMORY,
					   PREF + 0x1000 - BOOT_HIGH_MEMORY,
					   BOOT_RANGE_RAM };
	s->f.map[2] =
		(struct boot_range){ PREF + 0x10000, 32 * MIB, BOOT_RANGE_RAM };
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.entry, PREF + ALIGN + 0x200);
}

static void test_not_a_kernel(void **state)
{
	static const struct {
		size_t off;
		const char *magic;
		size_t len;
		const char *say;
	} files[] = {
		{ 0, "\x1f\x8b\x08", 3, "gzip" },
		{ 0, "\x28\xb5\x2f\xfd", 4, "zstd" },
		{ 0, "MZ", 2, "EFI" },
		{ 56, "ARM\x64", 4, "aarch64" },
		{ 0, "070701", 6, "cpio" },
		{ 0, "hello", 5, "not a kernel" },
	};
	struct state *s = *state;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		memset(s->file, 0, sizeof(s->file));
		memcpy(s->file + files[i].off, files[i].magic, files[i].len);
		expect_refusal(s, ENOEXEC, files[i].say);
		fixture_expect_error(&s->f, "x86_64");
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_good),	CASE(test_no_setup_sects),
		CASE(test_truncated),	CASE(test_bad_header),
		CASE(test_placement),	CASE(test_fixed_placement),
		CASE(test_hole_in_ram), CASE(test_not_a_kernel),
	};

	return cmocka_run_group_tests_name("boot_bzimage", tests, NULL, NULL);
}
