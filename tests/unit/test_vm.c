/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

#define LATE_US 20000u

/* The end of a machine without KVM. */

static struct loop *main_loop;
static unsigned int nr_released;

static void on_released(void *opaque)
{
	(void)opaque;
	nr_released++;
}

/* ---- a device whose thread says something when it is gone ---- */

struct late {
	struct device device;
	struct loop *loop;
};

static struct late late;
static bool link_is_news;

static void late_say(struct loop_call *lc)
{
	(void)lc;
	usleep(LATE_US);
	if (link_is_news)
		board_link_news(late.device.board, &late.device, false);
	else
		board_device_quiet(late.device.board);
}

static struct loop_call late_call = { .fn = late_say };

static void late_destroy(struct device *dev)
{
	(void)dev;
	loop_post(late.loop, &late_call);
}

static const struct device_ops late_ops = { .destroy = late_destroy };

static int late_create(struct board *board, const void *config, void *opened,
		       struct device **out, struct error *err);

static const struct device_class late_class = { .name = "late",
						.create = late_create };

static int late_create(struct board *board, const void *config, void *opened,
		       struct device **out, struct error *err)
{
	(void)config;
	(void)opened;
	memset(&late, 0, sizeof(late));
	late.device.class = &late_class;
	late.device.ops = &late_ops;
	late.loop = board_io_loop(board, err);
	assert_non_null(late.loop);
	*out = &late.device;
	return 0;
}

static void quit(struct loop_call *lc)
{
	(void)lc;
	loop_quit(main_loop);
}

/* What was said last does not reach a machine that is freed. */
static void end_machine(void)
{
	static const struct vm_listener listener = { .released = on_released };
	struct loop_call end = { .fn = quit };
	struct vm_config vc;
	struct error err;
	struct vm *vm;

	nr_released = 0;
	vm_config_init(&vc);
	assert_int_equal(vm_create(&vm, &vc, main_loop, &listener, NULL, &err),
			 0);
	assert_int_equal(board_add_device(&vm->board, &late_class, NULL, NULL,
					  NULL, &err),
			 0);
	vm_destroy(vm);
	assert_int_equal(nr_released, 1);
	loop_post(main_loop, &end);
	loop_run(main_loop);
	vm_config_free(&vc);
}

static void test_quiet_at_the_end(void **state)
{
	(void)state;
	link_is_news = false;
	end_machine();
}

static void test_link_at_the_end(void **state)
{
	(void)state;
	link_is_news = true;
	end_machine();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quiet_at_the_end),
		cmocka_unit_test(test_link_at_the_end),
	};
	struct error err;
	int r;

	main_loop = loop_create("test", &err);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	loop_destroy(main_loop);
	return r;
}
