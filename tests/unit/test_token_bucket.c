/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/token_bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmm/util.h"

#define MS 1000000ull
#define SEC 1000000000ull

static struct token_bucket bucket(uint64_t size, uint64_t burst, uint64_t ms)
{
	const struct token_bucket_config config = { size, burst, ms };
	struct token_bucket tb = { .size = 0 };

	token_bucket_set(&tb, &config, 0);
	return tb;
}

/* Take n tokens. False: none were taken; ask again in *wait. */
static bool take(struct token_bucket *tb, uint64_t now, uint64_t n,
		 uint64_t *wait)
{
	*wait = token_bucket_wait_ns(tb, now);
	if (!*wait)
		token_bucket_spend(tb, n);
	return !*wait;
}

/* Take at once until refused; returns the tokens. */
static uint64_t drain(struct token_bucket *tb, uint64_t now, uint64_t n)
{
	uint64_t wait, sum = 0;

	while (take(tb, now, n, &wait))
		sum += n;
	return sum;
}

/*
 * Ask for n tokens again and again until `end`, each wait `late` too long, as
 * timers do; returns the tokens taken from *now on.
 */
static uint64_t run(struct token_bucket *tb, uint64_t *now, uint64_t end,
		    uint64_t n, uint64_t late)
{
	uint64_t wait, sum = 0;

	while (*now < end) {
		if (take(tb, *now, n, &wait)) {
			sum += n;
		} else {
			assert_true(wait > 0);
			*now += wait + late;
		}
	}
	return sum;
}

static void test_no_limit(void **state unused_param)
{
	struct token_bucket a = bucket(0, 5, 1000), b = bucket(100, 5, 0);
	uint64_t wait = 1;
	int i;

	for (i = 0; i < 1000; i++) {
		assert_true(take(&a, 0, UINT64_MAX, &wait));
		assert_int_equal(wait, 0);
		assert_true(take(&b, 0, UINT64_MAX, &wait));
	}
}

static void test_saves_up_little(void **state unused_param)
{
	struct token_bucket tb = bucket(1000, 0, 1000);
	uint64_t wait;

	assert_int_equal(drain(&tb, 0, 1), 25);
	assert_false(take(&tb, 0, 1, &wait));
	assert_int_equal(wait, MS);
	assert_false(take(&tb, MS - 1, 1, &wait));
	assert_int_equal(wait, 1);
	assert_true(take(&tb, MS, 1, &wait));
	/* Idle: 25 ms again, no more. */
	assert_true(take(&tb, 500 * SEC, 1, &wait));
	assert_int_equal(drain(&tb, 500 * SEC, 1), 24);
}

static void test_one_time_burst(void **state unused_param)
{
	struct token_bucket tb = bucket(100, 250, 100);

	assert_int_equal(drain(&tb, 0, 1), 275);
	/* Each drain ends in a refusal: up to 100 ms gather. */
	assert_int_equal(drain(&tb, 10 * SEC, 1), 100);
	assert_int_equal(drain(&tb, 20 * SEC, 1), 100);
}

static void test_large_request_makes_debt(void **state unused_param)
{
	/* 1 MiB/s in steps of 1 KiB; requests of 1 MiB. */
	struct token_bucket tb = bucket(KIB, 0, 1);
	uint64_t wait;

	assert_true(take(&tb, 0, MIB, &wait));
	assert_false(take(&tb, 0, 1, &wait));
	/* All but the first KiB, and one token more, at 1024 a ms. */
	assert_in_range(wait, 1023 * MS, 1023 * MS + 1000);
	assert_true(take(&tb, wait, MIB, &wait));
}

/* The rate over one second from an empty bucket, for many shapes. */
static void test_rate_is_exact(void **state unused_param)
{
	static const struct {
		uint64_t size, ms, n;
	} shapes[] = {
		{ 1, 1, 1 }, /* 1000 ops/s, a bucket of one */
		{ 10, 10, 1 },
		{ 1000, 1000, 1 },
		{ 100000, 1000, 1 },
		{ 333, 1000, 1 },
		{ 7, 13, 1 },
		{ 10 * MIB, 1000, 4096 },
		{ 10 * MIB, 1000, 1 * MIB },
		{ 10 * KIB, 1, 128 * KIB }, /* requests larger than it */
		{ 1, 1, 10 }, /* likewise */
		{ 4 * GIB, 1000, 1 * MIB },
	};
	static const uint64_t lates[] = { 0, 1, 50000, 900000, 4 * MS };
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		for (k = 0; k < ARRAY_SIZE(lates); k++) {
			struct token_bucket tb =
				bucket(shapes[i].size, 0, shapes[i].ms);
			double rate = (double)shapes[i].size * 1000 /
				      (double)shapes[i].ms;
			uint64_t now = 0, start;
			double sum, slack;

			run(&tb, &now, 2 * SEC, shapes[i].n, lates[k]);
			start = now;
			sum = (double)run(&tb, &now, start + SEC, shapes[i].n,
					  lates[k]);
			/* One request more or less at each end. */
			slack = 2 * (double)shapes[i].n + rate * 0.01;
			sum *= (double)SEC / (double)(now - start);
			assert_true(sum > rate - slack && sum < rate + slack);
		}
	}
}

/* Looking often must not lose part tokens. */
static void test_frequent_looks(void **state unused_param)
{
	struct token_bucket tb = bucket(3, 0, 1000);
	uint64_t now, wait, sum = 0;

	drain(&tb, 0, 1);
	for (now = 1; now < 10 * SEC; now += 99991)
		if (take(&tb, now, 1, &wait))
			sum++;
	assert_in_range(sum, 29, 30);
}

/* A forgotten refusal lets no more gather than 100 ms are worth. */
static void test_waiting_is_bounded(void **state unused_param)
{
	struct token_bucket tb = bucket(1, 0, 1);
	uint64_t wait;

	drain(&tb, 0, 1);
	assert_false(take(&tb, 0, 1, &wait));
	assert_int_equal(drain(&tb, 1000 * SEC, 1), 100);
	assert_true(take(&tb, 1001 * SEC, 1, &wait));
}

static void test_clock_jumps(void **state unused_param)
{
	struct token_bucket tb = bucket(100, 0, 1000);
	uint64_t now = 3600 * SEC, wait;

	drain(&tb, now, 1);
	/* Back: no tokens from it, and no stall until the old time. */
	now -= 3599 * SEC;
	assert_false(take(&tb, now, 1, &wait));
	assert_in_range(wait, 1, 10 * MS);
	assert_true(take(&tb, now + 10 * MS, 1, &wait));
	/* Far ahead: 100 ms after a refusal, no more. */
	drain(&tb, now + 10 * MS, 1);
	assert_in_range(drain(&tb, UINT64_MAX, 1), 10, 11);
}

/* What a bucket is saved as makes another one go on where it was. */
static void test_state(void **state unused_param)
{
	struct token_bucket tb = bucket(1000, 500, 1000), other;
	uint64_t wait;

	assert_true(take(&tb, 0, 600, &wait)); /* 25 were saved up */
	assert_false(take(&tb, 40 * MS + 300000, 1, &wait));
	assert_int_equal(wait, 75 * MS - 40 * MS - 300000 + MS);
	other = bucket(1000, 500, 1000);
	other.state = tb.state;
	/* Its clock is another one. */
	other.last_ns = 77 * SEC;
	assert_false(take(&other, 77 * SEC, 1, &wait));
	assert_int_equal(wait, 75 * MS - 40 * MS - 300000 + MS);
	assert_true(take(&other, 77 * SEC + wait, 1, &wait));
}

/* Another rate is no way out of a debt, unless there is no limit any more. */
static void test_set_again(void **state unused_param)
{
	const struct token_bucket_config fast = { 10000, 0, 1000 };
	const struct token_bucket_config none = { 0, 0, 0 };
	struct token_bucket tb = bucket(1000, 0, 1000);
	uint64_t wait;

	assert_true(take(&tb, 0, 10025, &wait));
	token_bucket_set(&tb, &fast, 0);
	assert_false(take(&tb, 0, 1, &wait));
	assert_in_range(wait, SEC, SEC + MS);
	token_bucket_set(&tb, &none, 0);
	assert_true(take(&tb, 0, 1, &wait));
	token_bucket_set(&tb, &fast, 0);
	assert_int_equal(drain(&tb, 0, 1), 250);
}

static uint64_t random_u64(void)
{
	uint64_t v = ((uint64_t)rand() << 42) ^ ((uint64_t)rand() << 21) ^
		     (uint64_t)rand();

	switch (rand() % 6) {
	case 0:
		return rand() % 3;
	case 1:
		return UINT64_MAX - (uint64_t)(rand() % 3);
	case 2:
		return v >> (rand() % 64);
	case 3:
		return 1ull << (rand() % 64);
	default:
		return v;
	}
}

/* Any values: waiting as long as told always helps, unless time ends first. */
static void test_any_values(void **state unused_param)
{
	unsigned int round, i;

	srand(7);
	for (round = 0; round < 20000; round++) {
		struct token_bucket tb =
			bucket(random_u64(), random_u64(), random_u64());
		uint64_t now = random_u64(), wait;

		for (i = 0; i < 20; i++) {
			uint64_t n = random_u64();

			if (take(&tb, now, n, &wait)) {
				assert_int_equal(wait, 0);
			} else if (wait > UINT64_MAX - now) {
				break;
			} else {
				assert_true(wait > 0);
				if (wait > 1)
					assert_false(take(&tb, now + wait - 1,
							  n, &wait));
				now += wait;
				/* From the second look on wait is 1. */
				if (i % 2)
					now += wait;
			}
			assert_true(!tb.state.debt || !tb.state.tokens);
			assert_true(!tb.state.debt || !tb.state.burst);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_saves_up_little),
		cmocka_unit_test(test_one_time_burst),
		cmocka_unit_test(test_large_request_makes_debt),
		cmocka_unit_test(test_rate_is_exact),
		cmocka_unit_test(test_frequent_looks),
		cmocka_unit_test(test_waiting_is_bounded),
		cmocka_unit_test(test_clock_jumps),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_set_again),
		cmocka_unit_test(test_any_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
