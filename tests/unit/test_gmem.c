/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/gmem.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

#define LEN 0x10000ull
#define HIGH 0x100000000ull
#define PAGE 4096ull

static struct gmem gm;

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
	uint64_t len = 100;

	assert_non_null(gmem_span(&gm, LEN - 10, &len));
	assert_int_equal(len, 10);
	len = UINT64_MAX;
	assert_non_null(gmem_span(&gm, LEN + 10, &len));
	assert_int_equal(len, LEN - 10);
	len = 5;
	assert_non_null(gmem_span(&gm, HIGH, &len));
	assert_int_equal(len, 5);
	assert_null(gmem_span(&gm, 2 * LEN, &len));
	assert_null(gmem_span(&gm, UINT64_MAX, &len));
}

static void test_copy(void **state unused_param)
{
	char buf[8] = "";

	assert_int_equal(gmem_write(&gm, LEN - 4, "abcd", 4), 0);
	assert_int_equal(gmem_read(&gm, LEN - 4, buf, 4), 0);
	assert_string_equal(buf, "abcd");
	assert_int_equal(gmem_write(&gm, LEN - 3, "abcd", 4), -EFAULT);
	assert_int_equal(gmem_read(&gm, LEN - 3, buf, 4), -EFAULT);
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
	assert_int_equal(gmem_clear(&gm), 0);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t v = 1;

		assert_int_equal(gmem_read(&gm, places[i], &v, 8), 0);
		assert_int_equal(v, 0);
	}
	assert_false(is_mapped(0));
	assert_int_equal(gmem_write(&gm, 0, "x", 1), 0); /* writable again */
	close(fd);
}

static void test_prefault(void **state unused_param)
{
	const struct gmem_config gc = { .size = 4 * MIB, .prefault = true };
	unsigned char resident[1024];
	struct gmem g;
	unsigned int i;

	gmem_init(&g, &gc);
	assert_int_equal(gmem_add(&g, 0, 4 * MIB, NULL), 0);
	assert_int_equal(mincore(gmem_ptr(&g, 0, 1), 4 * MIB, resident), 0);
	for (i = 0; i < 1024; i++)
		assert_true(resident[i] & 1);
	gmem_fini(&g);
	gmem_init(&g, &gc);
	gmem_fini(&g); /* half-built */
}

/* Without pages for it, a place keeps its reservation: no hole is left. */
static void test_plug_fails(void **state unused_param)
{
	const struct gmem_config gc = { .size = 2 * MIB, .hugepages = true };
	const uint64_t len = 1ull << 40; /* more than any pool has */
	struct gmem g;

	gmem_init(&g, &gc);
	assert_int_equal(gmem_reserve(&g, HIGH, len, NULL), 0);
	assert_int_equal(gmem_plug(&g, 0, HIGH, len, NULL), -ENOMEM);
	assert_int_equal(msync(g.reserved.hva, PAGE, MS_ASYNC), 0);
	gmem_fini(&g);
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
		assert_int_equal(gmem_clear(&g), 0);
	}
	gmem_fini(&g);
}

/* ---- windows, listeners, readers ---- */

#define WINDOW (2 * HIGH)

static struct gmem_range make_window(gpa_t gpa, uint64_t len)
{
	struct gmem_range w = { .gpa = gpa,
				.len = len,
				.fd = memfd_create("window", MFD_CLOEXEC) };

	assert_true(w.fd >= 0);
	assert_int_equal(ftruncate(w.fd, (off_t)len), 0);
	w.hva = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
	assert_true(w.hva != MAP_FAILED);
	return w;
}

static void free_window(struct gmem_range *w)
{
	munmap(w->hva, w->len);
	close(w->fd);
}

/* Payload may lie there, what we parse may not. */
static void test_window(void **state unused_param)
{
	struct gmem_range w = make_window(WINDOW, 2 * PAGE), bad = w;
	struct error err = { "" };
	uint64_t len = UINT64_MAX;
	char c;

	assert_int_equal(gmem_add_window(&gm, &w, &err), 0);
	assert_int_equal(w.kind, GMEM_WINDOW);
	assert_in_range(w.slot, GMEM_MAX_RAM + GMEM_MAX_DIMMS,
			GMEM_MAX_RANGES - 1);
	assert_ptr_equal(gmem_span(&gm, WINDOW + 1, &len), w.hva + 1);
	assert_int_equal(len, 2 * PAGE - 1);
	assert_null(gmem_ptr(&gm, WINDOW, 1));
	assert_int_equal(gmem_read(&gm, WINDOW, &c, 1), -EFAULT);
	assert_int_equal(gmem_write(&gm, WINDOW, "x", 1), -EFAULT);
	assert_int_equal(gmem_load_file(&gm, WINDOW, 1, w.fd, 0, false),
			 -EFAULT);
	/* It is no RAM, and nobody else's. */
	assert_int_equal(gmem_size(&gm), 3 * LEN);
	assert_int_equal(gmem_boot_size(&gm), 3 * LEN);
	*w.hva = 7;
	assert_int_equal(gmem_clear(&gm), 0);
	assert_int_equal(*w.hva, 7);
	bad.gpa += PAGE;
	assert_int_equal(gmem_add_window(&gm, &bad, &err), -EINVAL);
	bad.gpa = 0;
	assert_int_equal(gmem_add_window(&gm, &bad, &err), -EINVAL);
	gmem_remove_window(&gm, w.slot);
	assert_null(gmem_span(&gm, WINDOW, &len));
	free_window(&w);
}

/* A listener that writes down what it hears: "+1" for a range of slot 1. */
struct ear {
	struct gmem_listener gl;
	char name;
	unsigned int refuse; /* this slot */
};

static char heard[128];

static void hear(const struct ear *ear, char what, unsigned int slot)
{
	size_t at = strlen(heard);

	snprintf(heard + at, sizeof(heard) - at, "%c%c%u ", ear->name, what,
		 slot);
}

static int ear_added(struct gmem_listener *gl, const struct gmem_range *range,
		     struct error *err)
{
	struct ear *ear = container_of(gl, struct ear, gl);
	uint64_t len = 1;

	hear(ear, '+', range->slot);
	assert_ptr_equal(gmem_span(&gm, range->gpa, &len), range->hva);
	if (range->slot == ear->refuse)
		return error_set(err, ENOSPC, "%c is full", ear->name);
	return 0;
}

static void ear_removed(struct gmem_listener *gl,
			const struct gmem_range *range)
{
	uint64_t len = 1;

	hear(container_of(gl, struct ear, gl), '-', range->slot);
	assert_null(gmem_span(&gm, range->gpa, &len));
}

static void test_listeners(void **state unused_param)
{
	const unsigned int slot = GMEM_MAX_RAM + GMEM_MAX_DIMMS;
	struct ear ears[] = {
		{ { ear_added, ear_removed, { NULL, NULL } }, 'a', 99 },
		{ { ear_added, ear_removed, { NULL, NULL } }, 'b', 99 },
		{ { ear_added, ear_removed, { NULL, NULL } }, 'c', 2 },
	};
	struct gmem_range w = make_window(WINDOW, PAGE);
	uint64_t len;
	char expected[64];
	struct error err;

	heard[0] = '\0';
	gmem_unlisten(&ears[0].gl); /* accepted */
	assert_int_equal(gmem_listen(&gm, &ears[0].gl, &err), 0);
	assert_string_equal(heard, "a+0 a+1 a+2 ");
	assert_int_equal(gmem_listen(&gm, &ears[1].gl, &err), 0);
	assert_int_equal(gmem_listen(&gm, &ears[2].gl, &err), -ENOSPC);
	assert_string_equal(err.msg, "c is full");

	heard[0] = '\0';
	assert_int_equal(gmem_add_window(&gm, &w, &err), 0);
	gmem_remove_window(&gm, w.slot);
	snprintf(expected, sizeof(expected), "a+%u b+%u b-%u a-%u ", slot, slot,
		 slot, slot);
	assert_string_equal(heard, expected);

	/* One that cannot take it: the others are told, nothing is left. */
	heard[0] = '\0';
	ears[1].refuse = slot;
	assert_int_equal(gmem_add_window(&gm, &w, &err), -ENOSPC);
	snprintf(expected, sizeof(expected), "a+%u b+%u a-%u ", slot, slot,
		 slot);
	assert_string_equal(heard, expected);
	len = 1;
	assert_null(gmem_span(&gm, WINDOW, &len));

	gmem_unlisten(&ears[1].gl);
	heard[0] = '\0';
	assert_int_equal(gmem_add_window(&gm, &w, &err), 0);
	snprintf(expected, sizeof(expected), "a+%u ", slot);
	assert_string_equal(heard, expected);
	gmem_unlisten(&ears[0].gl);
	free_window(&w);
}

struct reader {
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong found;
	uint8_t *a, *b; /* what may be found at WINDOW */
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(&r->stop)) {
		uint64_t len = UINT64_MAX;
		uint8_t *p = gmem_span(&gm, WINDOW + 8, &len);

		if (!p)
			continue;
		/* Never the address of the one with the length of the other. */
		if (!(p == r->a + 8 && len == PAGE - 8) &&
		    !(p == r->b + 8 && len == 2 * PAGE - 8))
			abort();
		if (gmem_ptr(&gm, 0, LEN) == NULL)
			abort();
		atomic_fetch_add(&r->found, 1);
	}
	return NULL;
}

/* Ranges come and go under a reader, who finds one or the other, or none. */
static void test_readers(void **state unused_param)
{
	struct gmem_range a = make_window(WINDOW, PAGE);
	struct gmem_range b = make_window(WINDOW, 2 * PAGE);
	struct reader r = { .a = a.hva, .b = b.hva };
	unsigned int i;

	assert_int_equal(pthread_create(&r.thread, NULL, reader_run, &r), 0);
	for (i = 0; i < 50000 || atomic_load(&r.found) < 1000; i++) {
		struct gmem_range *w = i % 2 ? &a : &b;

		assert_int_equal(gmem_add_window(&gm, w, NULL), 0);
		gmem_remove_window(&gm, w->slot);
	}
	atomic_store(&r.stop, true);
	pthread_join(r.thread, NULL);
	free_window(&a);
	free_window(&b);
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
		UNIT(test_window),
		UNIT(test_listeners),
		UNIT(test_readers),
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_plug_fails),
		cmocka_unit_test(test_first_pages_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
