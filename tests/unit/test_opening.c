/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What a configuration names is opened by the pool: how it ends where the host
 * takes its time. The opener is a double, the pool and its threads are not. */
#include "vmm/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/opener.h"
#include "vmm/pool.h"
#include "vmm/util.h"

#define SOON_NS 20000000ull
#define LATE_NS 60000000000ull

static struct {
	sem_t begun, go; /* of the first look-up of a place, which waits */
	int opened; /* the serial port's file; -1: not yet */
	unsigned int nr_places, nr_bounds, nr_left;
} opener;

int __wrap_opener_open(enum opener_kind kind, const char *path,
		       unsigned int flags, struct opener_found *found);
int __wrap_opener_place(const char *path, unsigned int flags);
int __wrap_opener_bound(void);
void __wrap_opener_leave(void);

int __wrap_opener_open(enum opener_kind kind, const char *path unused_param,
		       unsigned int flags unused_param,
		       struct opener_found *found unused_param)
{
	assert_int_equal(kind, OPENER_OUTPUT);
	opener.opened = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return opener.opened;
}

int __wrap_opener_place(const char *path unused_param,
			unsigned int flags unused_param)
{
	if (!opener.nr_places++) {
		sem_post(&opener.begun);
		sem_wait(&opener.go);
	}
	return 0;
}

int __wrap_opener_bound(void)
{
	opener.nr_bounds++;
	return 0;
}

void __wrap_opener_leave(void)
{
	opener.nr_left++;
}

/* ---- */

static struct loop *loop; /* of all tests, as the pool's news may be late */

struct fixture {
	struct opening *o;
	struct vm_config taken; /* what came back of it */
	unsigned int nr_done;
	int result;
	struct error err;
};

static void on_done(void *opaque, struct opening *o, int r, struct error *err)
{
	struct fixture *fx = opaque;

	assert_ptr_equal(o, fx->o);
	fx->nr_done++;
	fx->result = r;
	if (r)
		fx->err = *err;
	else
		opening_take_config(o, &fx->taken);
	loop_quit(loop);
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct vm_config vc;

	memset(&opener, 0, sizeof(opener));
	opener.opened = -1;
	if (!fx || sem_init(&opener.begun, 0, 0) || sem_init(&opener.go, 0, 0))
		return -1;
	vm_config_init(&fx->taken);
	fx->o = opening_create(loop, on_done, fx);
	vm_config_init(&vc);
	vc.kernel = strdup("/k");
	vc.initramfs = strdup("/i");
	vc.serial.mode = SERIAL_FILE;
	vc.serial.file = strdup("/s");
	vc.landlock = true;
	opening_add_config(fx->o, &vc);
	assert_null(vc.kernel);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	vm_config_free(&fx->taken);
	sem_destroy(&opener.begun);
	sem_destroy(&opener.go);
	free(fx);
	return 0;
}

static void start(struct fixture *fx, uint64_t timeout_ns)
{
	assert_int_equal(opening_start(fx->o, timeout_ns, &fx->err), 0);
}

static void on_turn(struct loop_timer *lt)
{
	if (fcntl(opener.opened, F_GETFD) < 0)
		loop_quit(loop);
	else
		loop_timer_set(loop, lt, loop_now_ns() + 1000000);
}

/* Until the file is closed that was opened and not taken. */
static void wait_closed(void)
{
	struct loop_timer timer = { .on_expire = on_turn };

	loop_timer_set(loop, &timer, 0);
	loop_run(loop);
}

static void test_config(void **state)
{
	struct fixture *fx = *state;

	sem_post(&opener.go);
	start(fx, LATE_NS);
	loop_run(loop);
	assert_int_equal(fx->nr_done, 1);
	assert_int_equal(fx->result, 0);
	assert_int_equal(opener.nr_places, 3);
	assert_int_equal(opener.nr_bounds, 1);
	assert_int_equal(opener.nr_left, 1);
	assert_string_equal(fx->taken.kernel, "/k");
	assert_int_equal(fx->taken.serial.fd, opener.opened);
}

/* Who has heard that it failed finds nothing open and nothing bounded later. */
static void test_deadline(void **state)
{
	struct fixture *fx = *state;

	start(fx, SOON_NS);
	loop_run(loop);
	assert_int_equal(fx->nr_done, 1);
	assert_int_equal(fx->result, -ETIMEDOUT);
	assert_non_null(strstr(fx->err.msg, "in time"));
	assert_int_equal(opener.nr_bounds, 0);
	sem_post(&opener.go);
	wait_closed();
	assert_int_equal(opener.nr_places, 3);
	assert_int_equal(opener.nr_bounds, 0);
	assert_int_equal(opener.nr_left, 1);
	assert_int_equal(fx->nr_done, 1);
}

static void test_dropped(void **state)
{
	struct fixture *fx = *state;

	start(fx, LATE_NS);
	sem_wait(&opener.begun);
	opening_drop(fx->o);
	sem_post(&opener.go);
	wait_closed();
	assert_int_equal(opener.nr_bounds, 0);
	assert_int_equal(fx->nr_done, 0);
}

static void test_taken_back(void **state)
{
	struct fixture *fx = *state;

	opening_take_config(fx->o, &fx->taken);
	opening_drop(fx->o);
	assert_string_equal(fx->taken.kernel, "/k");
	assert_int_equal(fx->nr_done, 0);
}

/* A configuration that was taken is closed by the pool, too. */
static void test_closed(void **state)
{
	struct fixture *fx = *state;

	sem_post(&opener.go);
	start(fx, LATE_NS);
	loop_run(loop);
	opening_close_config(loop, &fx->taken);
	assert_null(fx->taken.kernel);
	assert_int_equal(fx->taken.serial.fd, -1);
	wait_closed();
}

static void test_never_started(void **state)
{
	struct fixture *fx = *state;

	opening_drop(fx->o);
	assert_int_equal(opener.nr_places, 0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_config),  UNIT(test_deadline),
		UNIT(test_dropped), UNIT(test_taken_back),
		UNIT(test_closed),  UNIT(test_never_started),
	};
	struct error err;
	int r;

	loop = loop_create("main", &err);
	if (!loop)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	if (pool_end(10000000000ull))
		return 1;
	loop_quit(loop);
	loop_run(loop);
	loop_destroy(loop);
	return r;
}
