/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

#define LEN 0x10000ull
#define HIGH 0x100000000ull
#define PAGE 4096ull

static struct gmem gm;

/* With what threads have to do for it. */
static void clear(struct gmem *g)
{
	struct pages_job job = { .ended.fn = NULL };

	assert_int_equal(gmem_clear(g, &job), 0);
	pages_start(&job);
	assert_int_equal(pages_end(&job, NULL), 0);
}

static void make(bool shared)
{
	const struct gmem_config gc = { .size = 3 * LEN, .shared = shared };

	gmem_init(&gm, &gc);
	assert_int_equal(gmem_add(&gm, 0, LEN, NULL), 0);
	assert_int_equal(gmem_add(&gm, LEN, LEN, NULL), 0);
	assert_int_equal(gmem_add(&gm, HIGH, LEN, NULL), 0);
}

static int setup(void **state unused_param)
{
	make(false);
	return 0;
}

static int setup_shared(void **state unused_param)
{
	make(true);
	return 0;
}

static int teardown(void **state unused_param)
{
	gmem_fini(&gm);
	return 0;
}

static void test_ptr(void **state unused_param)
{
	static const struct {
		gpa_t gpa;
		uint64_t len;
		bool ok;
	} cases[] = {
		{ 0, LEN, true },
		{ 0, LEN + 1, false }, /* over the border of two regions */
		{ LEN - 1, 1, true },
		{ LEN - 1, 2, false },
		{ LEN, LEN, true },
		{ 2 * LEN - 8, 8, true },
		{ 2 * LEN - 8, 9, false },
		{ 2 * LEN, 0, false },
		{ 2 * LEN, 1, false },
		{ 2 * LEN - 1, 0, true },
		{ HIGH - 1, 1, false },
		{ HIGH - 1, 2, false },
		{ HIGH, LEN, true },
		{ HIGH + LEN - 1, UINT64_MAX, false },
		{ HIGH + 1, UINT64_MAX - HIGH, false },
		{ 1, UINT64_MAX, false },
		{ 0, UINT64_MAX, false },
		{ UINT64_MAX, 1, false },
		{ UINT64_MAX, 2, false },
		{ UINT64_MAX - PAGE + 1, 2 * PAGE, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		void *p = gmem_ptr(&gm, cases[i].gpa, cases[i].len);

		if (!p == cases[i].ok)
			fail_msg("case %u", i);
	}
	assert_ptr_equal(gmem_ptr(&gm, HIGH + 5, 1),
			 (uint8_t *)gmem_ptr(&gm, HIGH, 1) + 5);
}

static void test_span(void **state unused_param)
{
	enum gmem_kind kind;
	uint64_t len = 100;

	assert_non_null(gmem_span(&gm, LEN - 10, &len, &kind));
	assert_int_equal(len, 10);
	len = UINT64_MAX;
	assert_non_null(gmem_span(&gm, LEN + 10, &len, &kind));
	assert_int_equal(len, LEN - 10);
	len = 5;
	assert_non_null(gmem_span(&gm, HIGH, &len, &kind));
	assert_int_equal(len, 5);
	assert_null(gmem_span(&gm, 2 * LEN, &len, &kind));
	assert_null(gmem_span(&gm, UINT64_MAX, &len, &kind));
}

static void test_copy(void **state unused_param)
{
	assert_int_equal(gmem_write(&gm, LEN - 4, "abcd", 4), 0);
	assert_memory_equal(gmem_ptr(&gm, LEN - 4, 4), "abcd", 4);
	assert_int_equal(gmem_write(&gm, LEN - 3, "abcd", 4), -EFAULT);
	assert_null(gmem_ptr(&gm, LEN - 3, 4));
}

static void test_add_refuses(void **state unused_param)
{
	struct error err = { "" };
	unsigned int i;

	assert_int_equal(gmem_add(&gm, 0x80000, 0, &err), -EINVAL);
	assert_int_equal(gmem_add(&gm, 0x80001, PAGE, &err), -EINVAL);
	assert_int_equal(gmem_add(&gm, 0x80000, PAGE + 1, &err), -EINVAL);
	assert_int_equal(gmem_add(&gm, LEN, PAGE, &err), -EINVAL);
	assert_int_equal(gmem_add(&gm, HIGH - PAGE, 2 * PAGE, &err), -EINVAL);
	assert_int_equal(gmem_add(&gm, UINT64_MAX - PAGE + 1, 2 * PAGE, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "--memory"));
	for (i = 3; i < GMEM_MAX_RAM; i++)
		assert_int_equal(gmem_add(&gm, HIGH + i * LEN, LEN, &err), 0);
	assert_int_equal(gmem_add(&gm, 2 * HIGH, LEN, &err), -ENOSPC);
	assert_int_equal(gmem_size(&gm), GMEM_MAX_RAM * LEN);
}

/* ---- files ---- */

static uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i * 31 + i / PAGE);
}

static int make_file(uint64_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	uint64_t i;

	assert_true(fd >= 0);
	for (i = 0; i < len; i++) {
		uint8_t c = pattern(i);

		assert_int_equal(pwrite(fd, &c, 1, (off_t)i), 1);
	}
	return fd;
}

/* Is the page of gpa mapped from a file? */
static bool is_mapped(gpa_t gpa)
{
	uintptr_t at = (uintptr_t)gmem_ptr(&gm, gpa, 1);
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long lo, hi;
	char line[512];
	bool found = false;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &lo, &hi) == 2 && at >= lo &&
		    at < hi)
			found = strstr(line, "memfd:file") != NULL;
	fclose(maps);
	return found;
}

static void check_loaded(gpa_t gpa, uint64_t len, uint64_t off)
{
	const uint8_t *p = gmem_ptr(&gm, gpa, len);
	uint64_t i;

	assert_non_null(p);
	for (i = 0; i < len; i++)
		if (p[i] != pattern(off + i))
			fail_msg("byte %llu of %llu", (unsigned long long)i,
				 (unsigned long long)len);
}

static void load(int fd, gpa_t gpa, uint64_t len, uint64_t off)
{
	assert_int_equal(gmem_load_file(&gm, gpa, len, fd, off, true), 0);
	check_loaded(gpa, len, off);
}

static void test_load_mapped(void **state unused_param)
{
	int fd = make_file(8 * PAGE);
	uint8_t c = 0;

	load(fd, 0, 3 * PAGE, PAGE);
	assert_true(is_mapped(0));
	assert_true(is_mapped(2 * PAGE));
	assert_false(is_mapped(3 * PAGE));
	/* Head and tail are part pages: read, their surroundings untouched. */
	memset(gmem_ptr(&gm, LEN, 8 * PAGE), 0xee, 8 * PAGE);
	load(fd, LEN + 100, 3 * PAGE + 7, 100);
	assert_false(is_mapped(LEN + 100));
	assert_true(is_mapped(LEN + PAGE));
	assert_true(is_mapped(LEN + 2 * PAGE));
	assert_false(is_mapped(LEN + 3 * PAGE));
	assert_int_equal(gm.nr_mapped, 2);
	assert_int_equal(gm.mapped[1].gpa, LEN + PAGE);
	assert_int_equal(gm.mapped[1].len, 2 * PAGE);
	assert_int_equal(*(uint8_t *)gmem_ptr(&gm, LEN + 99, 1), 0xee);
	assert_int_equal(*(uint8_t *)gmem_ptr(&gm, LEN + 3 * PAGE + 107, 1),
			 0xee);
	/* Writing to memory does not reach the file. */
	memset(gmem_ptr(&gm, 0, PAGE), 0, PAGE);
	assert_int_equal(pread(fd, &c, 1, PAGE + 1), 1);
	assert_int_equal(c, pattern(PAGE + 1));
	close(fd);
	check_loaded(PAGE, PAGE, 2 * PAGE); /* the mapping stays */
}

static void test_load_copied(void **state unused_param)
{
	int fd = make_file(4 * PAGE);

	load(fd, 8, 3 * PAGE, 16); /* other offset in the page */
	assert_false(is_mapped(PAGE));
	load(fd, LEN, PAGE - 1, 0); /* less than a page */
	assert_false(is_mapped(LEN));
	load(fd, LEN + PAGE, 0, 0);
	close(fd);
}

static void test_load_fails(void **state unused_param)
{
	int fd = make_file(PAGE);

	assert_int_equal(gmem_load_file(&gm, 2 * LEN, 1, fd, 0, true), -EFAULT);
	assert_int_equal(gmem_load_file(&gm, LEN - 1, 2, fd, 0, true), -EFAULT);
	assert_int_equal(gmem_load_file(&gm, 0, UINT64_MAX, fd, 0, true),
			 -EFAULT);
	assert_int_equal(gmem_load_file(&gm, 1, PAGE, fd, 4, true), -EIO);
	assert_int_equal(gmem_load_file(&gm, 0, PAGE + 1, fd, 0, true), -EIO);
	close(fd);
}

static void test_load_shared(void **state unused_param)
{
	int fd = make_file(2 * PAGE);

	load(fd, 0, 2 * PAGE, 0);
	assert_false(is_mapped(0));
	assert_true(gmem_next(&gm, NULL)->fd >= 0);
	close(fd);
}

static void test_clear(void **state unused_param)
{
	int fd = make_file(2 * PAGE);
	gpa_t places[] = { 0, PAGE, LEN, 2 * LEN - 8, HIGH + LEN - 8 };
	unsigned int i;

	load(fd, 0, 2 * PAGE, 0);
	for (i = 0; i < ARRAY_SIZE(places); i++)
		assert_int_equal(gmem_write(&gm, places[i], "junkjunk", 8), 0);
	clear(&gm);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		const uint64_t zeroes = 0;

		assert_memory_equal(gmem_ptr(&gm, places[i], 8), &zeroes, 8);
	}
	assert_false(is_mapped(0));
	assert_int_equal(gmem_write(&gm, 0, "x", 1), 0); /* writable again */
	close(fd);
}

static void test_prefault(void **state unused_param)
{
	const struct gmem_config gc = { .size = 4 * MIB, .prefault = true };
	unsigned char resident[1024];
	struct pages_job job = { .ended.fn = NULL };
	struct gmem g;
	unsigned int i;

	gmem_init(&g, &gc);
	assert_int_equal(gmem_add(&g, 0, 4 * MIB, NULL), 0);
	gmem_populate(&g, &job);
	pages_start(&job);
	assert_int_equal(pages_end(&job, NULL), 0);
	assert_int_equal(mincore(gmem_ptr(&g, 0, 1), 4 * MIB, resident), 0);
	for (i = 0; i < 1024; i++)
		assert_true(resident[i] & 1);
	gmem_fini(&g);
	gmem_init(&g, &gc);
	gmem_fini(&g); /* half-built */
}

/* Without pages for it, a place keeps its reservation: no hole is left. */
/* What is stopped before it starts does nothing, and the next one does. */
static void test_prefault_stopped(void **state unused_param)
{
	const struct gmem_config gc = { .size = 4 * MIB, .prefault = true };
	struct pages_job job = { .ended.fn = NULL };
	struct error err;
	struct gmem g;

	gmem_init(&g, &gc);
	assert_int_equal(gmem_add(&g, 0, 4 * MIB, NULL), 0);
	gmem_populate(&g, &job);
	pages_stop(&job);
	pages_start(&job);
	assert_int_equal(pages_end(&job, &err), -ECANCELED);
	gmem_populate(&g, &job);
	pages_start(&job);
	assert_int_equal(pages_end(&job, &err), 0);
	gmem_fini(&g);
}

static void test_plug_fails(void **state unused_param)
{
	const struct gmem_config gc = { .size = 2 * MIB, .hugepages = true };
	const uint64_t len = 1ull << 40; /* more than any pool has */
	struct pages_job job = { .ended.fn = NULL };
	struct gmem g;

	gmem_init(&g, &gc);
	assert_int_equal(gmem_reserve(&g, HIGH, len, NULL), 0);
	assert_int_equal(gmem_plug_begin(&g, 0, HIGH, len, &job, NULL),
			 -ENOMEM);
	assert_int_equal(gmem_dimm(&g, 0)->len, 0);
	assert_int_equal(msync(g.reserved.hva, PAGE, MS_ASYNC), 0);
	gmem_fini(&g);
}

/* ---- a host that refuses ---- */

static bool refuse_maps;

/* As the kernel may do: what a fixed mapping replaces is gone before it turns
 * out that there is nothing to map. */
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!refuse_maps)
		return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd,
				       off);
	if (flags & MAP_FIXED)
		munmap(addr, len);
	errno = ENOMEM;
	return MAP_FAILED;
}

static bool is_whole(const struct gmem *g)
{
	const struct gmem_range *r;
	bool whole = true;

	gmem_for_each (r, g)
		whole &= !msync(r->hva, r->len, MS_ASYNC);
	return whole;
}

/* No hole is left where somebody else's memory could be mapped, for gmem_fini()
 * to take it away again. */
static void test_no_hole(void **state unused_param)
{
	struct pages_job job = { .ended.fn = NULL };
	int fd = make_file(8 * PAGE);

	refuse_maps = true;
	assert_int_equal(gmem_load_file(&gm, 0, 2 * PAGE, fd, 0, true),
			 -ENOMEM);
	refuse_maps = false;
	assert_true(is_whole(&gm));
	load(fd, 0, 2 * PAGE, 0);
	load(fd, HIGH, 2 * PAGE, 0);
	refuse_maps = true;
	assert_int_equal(gmem_clear(&gm, &job), -ENOMEM);
	refuse_maps = false;
	assert_true(is_whole(&gm));
	/* It can be tried again. */
	clear(&gm);
	assert_false(is_mapped(0));
	assert_false(is_mapped(HIGH));
	assert_int_equal(*(uint8_t *)gmem_ptr(&gm, HIGH, 1), 0);
	close(fd);
}

/* More files than there is room to note are read. */
static void test_many_files(void **state unused_param)
{
	int fd = make_file(PAGE);
	unsigned int i;

	for (i = 0; i <= GMEM_MAX_MAPPED; i++)
		load(fd, 2 * i * PAGE % (2 * LEN), PAGE, 0);
	for (i = 0; i <= GMEM_MAX_MAPPED; i++)
		assert_int_equal(is_mapped(2 * i * PAGE % (2 * LEN)),
				 i < GMEM_MAX_MAPPED);
	clear(&gm);
	for (i = 0; i <= GMEM_MAX_MAPPED; i++)
		assert_false(is_mapped(2 * i * PAGE % (2 * LEN)));
	close(fd);
}

/* ---- huge pages ---- */

#define POOL "/proc/sys/vm/nr_hugepages"

/* The host's pool; -1: cannot be had. */
static long huge_pool(long set)
{
	FILE *f = fopen(POOL, set < 0 ? "re" : "we");
	long nr = -1;

	if (!f)
		return -1;
	if (set >= 0)
		fprintf(f, "%ld", set);
	else if (fscanf(f, "%ld", &nr) != 1)
		nr = -1;
	fclose(f);
	return set < 0 ? nr : huge_pool(-1);
}

static int pool_lock = -1; /* held while the pool is this test's */

static struct thief {
	pthread_t thread;
	atomic_bool stop;
	void *got; /* a huge page that was to be had */
} thief;

/* A huge page that is to be had, or NULL. */
static void *thief_get(void)
{
	void *got = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	return got == MAP_FAILED ? NULL : got;
}

/* Another process that wants one, as soon as there is one. */
static void *thief_run(void *arg unused_param)
{
	while (!atomic_load(&thief.stop) && !thief.got)
		thief.got = thief_get();
	return NULL;
}

/*
 * A reboot with all of the pool in use: before, the pages went back to it and
 * had to be had again, and in between another could take them. Then there was
 * no reboot, or with a memfd, SIGBUS at the next access.
 */
static void check_huge(bool shared)
{
	const uint64_t len = 8 * MIB;
	const struct gmem_config gc = { .size = len,
					.hugepages = true,
					.shared = shared };
	struct pages_job job = { .ended.fn = NULL };
	unsigned int turn;
	struct gmem g;

	gmem_init(&g, &gc);
	pool_lock = open(POOL, O_RDONLY | O_CLOEXEC);
	if (flock(pool_lock, LOCK_EX | LOCK_NB) || huge_pool(-1)) {
		close_fd(&pool_lock);
		skip(); /* used by others */
	}
	if (huge_pool(4) != 4)
		skip(); /* none to be had */
	assert_int_equal(gmem_add(&g, 0, len, NULL), 0);
	memset(gmem_ptr(&g, 0, len), 0x5a, len);
	thief = (struct thief){ .got = thief_get() };
	if (thief.got)
		skip(); /* somebody has made the pool larger */
	/* Private pages would be mapped anew: nobody is needed to see it. */
	refuse_maps = !shared;
	if (shared)
		assert_int_equal(
			pthread_create(&thief.thread, NULL, thief_run, NULL),
			0);
	for (turn = 0; turn < 200; turn++) {
		*(uint8_t *)gmem_ptr(&g, len - 1, 1) = 0x5a;
		assert_int_equal(gmem_clear(&g, &job), 0);
		pages_start(&job);
		assert_int_equal(pages_end(&job, NULL), 0);
		assert_int_equal(*(uint8_t *)gmem_ptr(&g, len - 1, 1), 0);
		if (!turn)
			assert_int_equal(*(uint8_t *)gmem_ptr(&g, 0, 1), 0);
	}
	refuse_maps = false;
	atomic_store(&thief.stop, true);
	if (shared)
		pthread_join(thief.thread, NULL);
	assert_null(thief.got);
	gmem_fini(&g);
}

static int huge_teardown(void **state unused_param)
{
	refuse_maps = false;
	if (pool_lock >= 0)
		huge_pool(0);
	close_fd(&pool_lock);
	return 0;
}

static void test_huge_private(void **state unused_param)
{
	check_huge(false);
}

static void test_huge_shared(void **state unused_param)
{
	check_huge(true);
}

/* What the kernel was told of the pages at p: "hg" or "nh", or neither. */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	char line[512];
	bool inside = false, found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)p >= start && (uintptr_t)p < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	fclose(f);
	return found;
}

/* A boot writes to few of the first pages: no huge page is cleared for it. */
static void test_first_pages_are_small(void **state unused_param)
{
	const struct gmem_config gc = { .size = 8 * MIB, .thp = true };
	struct gmem g;
	unsigned int turn;

	gmem_init(&g, &gc);
	assert_int_equal(gmem_add(&g, 0, 4 * MIB, NULL), 0);
	assert_int_equal(gmem_add(&g, HIGH, 4 * MIB, NULL), 0);
	if (!has_flag(gmem_ptr(&g, HIGH, 1), "hg")) {
		gmem_fini(&g);
		skip(); /* a kernel without them */
	}
	for (turn = 0; turn < 2; turn++) {
		assert_true(has_flag(gmem_ptr(&g, 2 * MIB - 1, 1), " nh"));
		assert_true(has_flag(gmem_ptr(&g, 2 * MIB, 1), " hg"));
		assert_true(has_flag(gmem_ptr(&g, HIGH, 1), " hg"));
		clear(&g);
	}
	gmem_fini(&g);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define SHARED(t) cmocka_unit_test_setup_teardown(t, setup_shared, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_ptr),
		UNIT(test_span),
		UNIT(test_copy),
		UNIT(test_add_refuses),
		UNIT(test_load_mapped),
		UNIT(test_load_copied),
		UNIT(test_load_fails),
		SHARED(test_load_shared),
		UNIT(test_clear),
		SHARED(test_clear),
		UNIT(test_no_hole),
		UNIT(test_many_files),
		cmocka_unit_test_teardown(test_huge_private, huge_teardown),
		cmocka_unit_test_teardown(test_huge_shared, huge_teardown),
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_prefault_stopped),
		cmocka_unit_test(test_plug_fails),
		cmocka_unit_test(test_first_pages_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
