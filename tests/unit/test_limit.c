/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmm/param.h"
#include "vmm/util.h"

#define MS 1000000ull

static struct limit limit;

static int setup(void **state unused_param)
{
	limit = (struct limit){ .bytes.size = 0 };
	pthread_mutex_init(&limit.lock, NULL);
	return 0;
}

static int teardown(void **state unused_param)
{
	pthread_mutex_destroy(&limit.lock);
	return 0;
}

/* The parameters of a class with a limit, and other fields around it. */
struct toy_config {
	uint64_t before;
	struct limit_config limit;
	uint64_t after;
};

static const struct param toy_params[] = {
	LIMIT_PARAMS(struct toy_config, limit),
};

static void test_parameters(void **state unused_param)
{
	const struct param_set set = { .option = "toy",
				       .params = toy_params,
				       .nr_params = ARRAY_SIZE(toy_params),
				       .size = sizeof(struct toy_config) };
	struct toy_config c = { .before = 7, .after = 8 };
	struct error err;

	param_defaults(&set, &c);
	assert_int_equal(c.limit.bw.refill_time_ms, 1000);
	assert_int_equal(param_parse(&set, &c,
				     "bw_size=2K,bw_one_time_burst=3,"
				     "bw_refill_time=4,ops_size=5,"
				     "ops_one_time_burst=6,ops_refill_time=9",
				     &err),
			 0);
	assert_int_equal(c.limit.bw.size, 2 * KIB);
	assert_int_equal(c.limit.bw.one_time_burst, 3);
	assert_int_equal(c.limit.bw.refill_time_ms, 4);
	assert_int_equal(c.limit.ops.size, 5);
	assert_int_equal(c.limit.ops.one_time_burst, 6);
	assert_int_equal(c.limit.ops.refill_time_ms, 9);
	assert_int_equal(c.before, 7);
	assert_int_equal(c.after, 8);
}

/* What virtio_queue_admit() does. */
static bool limit_take(struct limit *l, uint64_t now_ns, uint64_t len,
		       uint64_t *until_ns)
{
	bool may = limit_may(l, now_ns, until_ns);

	if (may)
		limit_charge(l, len);
	return may;
}

static void test_takes_both_or_none(void **state unused_param)
{
	const struct limit_config none = { .bw.size = 0 };
	const struct limit_config both = { .bw.size = 10000,
					   .bw.refill_time_ms = 25,
					   .ops.size = 5,
					   .ops.refill_time_ms = 25 };
	uint64_t until;
	int i;

	assert_true(limit_take(&limit, 0, UINT64_MAX, &until));
	limit_set(&limit, &none, 0);
	assert_true(limit_take(&limit, 0, UINT64_MAX, &until));

	limit_set(&limit, &both, 0);
	for (i = 0; i < 5; i++)
		assert_true(limit_take(&limit, 0, 1000, &until));
	assert_false(limit_take(&limit, 0, 1000, &until));
	assert_int_equal(until, 5 * MS);
	assert_int_equal(limit.bytes.state.tokens, 5000);

	/* Now bytes are what is missing. */
	assert_true(limit_take(&limit, 5 * MS, 27000, &until));
	assert_false(limit_take(&limit, 25 * MS, 1, &until));
	assert_in_range(until, 55 * MS, 56 * MS);
	assert_in_range(limit.ops.state.tokens, 4, 5);

	limit_set(&limit, &none, 25 * MS);
	assert_true(limit_take(&limit, 25 * MS, UINT64_MAX, &until));
}

/* The parameters of a class with a limit for each direction. */
struct pair_config {
	uint64_t before;
	struct limits_config limits;
};

static void test_directions(void **state unused_param)
{
	static const struct param params[] = {
		LIMITS_PARAMS(struct pair_config, limits),
	};
	const struct param_set set = {
		.option = "toy", PARAM_TABLE(params, struct pair_config)
	};
	struct pair_config c;
	struct limit_config rx, tx;
	struct error err;

	param_defaults(&set, &c);
	rx = limit_of(&c.limits, VIRTIO_TO_GUEST);
	assert_int_equal(rx.bw.size, 0);
	assert_int_equal(rx.bw.refill_time_ms, 1000);
	/* In any order. */
	assert_int_equal(param_parse(&set, &c,
				     "rx_bw_size=1K,tx_ops_size=0,bw_size=2K,"
				     "ops_size=5,tx_ops_refill_time=9,"
				     "rx_bw_one_time_burst=3",
				     &err),
			 0);
	rx = limit_of(&c.limits, VIRTIO_TO_GUEST);
	tx = limit_of(&c.limits, VIRTIO_FROM_GUEST);
	assert_int_equal(rx.bw.size, KIB);
	assert_int_equal(rx.bw.one_time_burst, 3);
	assert_int_equal(rx.bw.refill_time_ms, 1000);
	assert_int_equal(rx.ops.size, 5);
	assert_int_equal(rx.ops.refill_time_ms, 1000);
	assert_int_equal(tx.bw.size, 2 * KIB);
	assert_int_equal(tx.ops.size, 0);
	assert_int_equal(tx.ops.refill_time_ms, 9);
	assert_true(param_parse(&set, &c, "tx_bw_size=9223372036854775808",
				&err) < 0);
}

/* What is the limit already is not granted anew. */
static void test_same_again(void **state unused_param)
{
	const struct limit_config burst = { .ops.size = 1,
					    .ops.one_time_burst = 2,
					    .ops.refill_time_ms = 1000 };
	uint64_t until;

	assert_true(limit_set(&limit, &burst, 0));
	while (limit_take(&limit, 0, 1, &until))
		;
	assert_false(limit_set(&limit, &burst, 0));
	assert_false(limit_take(&limit, 0, 1, &until));
}

/* Charged when it was done: all who may are, and time pays for it. */
static void test_halves(void **state unused_param)
{
	const struct limit_config rate = {
		.bw = { .size = 1000, .refill_time_ms = 1000 },
		.ops = { .size = 1000, .refill_time_ms = 1000 },
	};
	uint64_t until;

	limit_set(&limit, &rate, 0);
	assert_true(limit_may(&limit, 0, &until));
	assert_true(limit_may(&limit, 0, &until)); /* nothing was charged */
	assert_true(limit_charge(&limit, 10));
	assert_false(limit_charge(&limit, 515)); /* 25 were saved up */
	assert_false(limit_charge(&limit, 1000));
	assert_false(limit_may(&limit, 0, &until));
	assert_int_equal(until, 1501000000);
	assert_false(limit_may(&limit, until - 1, &until));
	assert_true(limit_may(&limit, 1501000000, &until));
	/* Debts do not wrap. */
	limit_charge(&limit, UINT64_MAX);
	limit_charge(&limit, UINT64_MAX);
	assert_false(limit_may(&limit, 1501000000, &until));
	assert_true(until == UINT64_MAX);
}

/* A wait that no clock can tell ends at the end of time, not in the past. */
static void test_absurd_rate(void **state unused_param)
{
	const struct limit_config absurd = { .bw.size = 1,
					     .bw.refill_time_ms = UINT64_MAX };
	uint64_t until;

	limit_set(&limit, &absurd, 5);
	assert_true(limit_take(&limit, 5, UINT64_MAX, &until));
	assert_false(limit_take(&limit, 6, 1, &until));
	assert_true(until == UINT64_MAX);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_parameters),	UNIT(test_takes_both_or_none),
		UNIT(test_absurd_rate), UNIT(test_directions),
		UNIT(test_same_again),	UNIT(test_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
