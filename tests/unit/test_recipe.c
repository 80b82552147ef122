/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A device by README's recipe, tests/devices/tape.c: what it gets from the rest
 * without another file being touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/registry.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/api/json.h"
#include "vmm/cli.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define RING 0x1000ull
#define RING_SIZE 16u
#define DATA 0x20000ull
#define PLAY 0u
#define RECORD 1u
#define BASE VIRTIO_F(VIRTIO_F_VERSION_1)

static struct fake_vm fv;
static struct guest_virtio gv;
static struct guest_ring rings[2];
static struct device_config dc;
static struct device *device;
static char path[] = "/tmp/test_recipe.XXXXXX";

/* Threads of the device's loops: how many there are, and whether the host makes
 * more. Linked with -Wl,--wrap=loop_thread_start. */
static unsigned int nr_threads;
static bool no_threads;

int __real_loop_thread_start(struct loop *loop, struct error *err);
int __wrap_loop_thread_start(struct loop *loop, struct error *err);

int __wrap_loop_thread_start(struct loop *loop, struct error *err)
{
	if (no_threads)
		return -EAGAIN;
	nr_threads++;
	return __real_loop_thread_start(loop, err);
}

static struct virtio_dev *virtio_of(struct device *dev)
{
	return container_of(dev, struct virtio_dev, device);
}

/* The guest brings its tape up, but for what the main loop does. */
static void drive_until_ok(void)
{
	gpa_t gpa = RING;

	assert_true(gv_negotiate(&gv, BASE));
	for (unsigned int i = 0; i < 2; i++) {
		gpa = guest_ring_init(&rings[i], &fv.board.gmem, gpa,
				      RING_SIZE);
		gv_queue(&gv, i, &rings[i]);
	}
	gv_driver_ok(&gv);
}

static void drive(void)
{
	drive_until_ok();
	fake_vm_turn(&fv);
}

/* A guest that runs gets a tape with these options. */
static void plug(const char *options)
{
	const struct device_class *class = &tape_class;
	char text[256];

	assert_int_equal(device_config_init(&dc, class, &fv.err), 0);
	snprintf(text, sizeof(text), "path=%s,id=t%s", path, options);
	assert_int_equal(param_parse(class->params, dc.config, text, &fv.err),
			 0);
	nr_threads = 0;
	device = fake_vm_add(&fv, class, dc.config);
	assert_non_null(device);
	guest_virtio_probe(&gv, &fv, device->slot);
	assert_int_equal(nr_threads, 0);
	drive();
}

static void unplug(bool forced)
{
	device->ops->unplug(device, forced);
	fake_vm_quiesce(&fv, device);
	fake_vm_remove(&fv, device);
	device_config_free(&dc);
}

static int setup(void **state unused_param)
{
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	return 0;
}

static int teardown(void **state unused_param)
{
	fake_vm_fini(&fv);
	device_config_free(&dc);
	unlink(path);
	return 0;
}

static void offer(unsigned int qidx, unsigned int head, gpa_t gpa, uint32_t len)
{
	guest_ring_desc(&rings[qidx], head, gpa, len,
			qidx == PLAY ? RING_WRITE : 0, 0);
	guest_ring_offer(&rings[qidx], head);
	gv_kick(&gv, qidx);
}

/* The queues' loop is a thread of the device's. */
static bool is_used(unsigned int qidx, uint16_t want)
{
	uint64_t end = loop_now_ns() + 5000000000ull;

	while (guest_ring_used_idx(&rings[qidx]) != want)
		if (loop_now_ns() > end)
			return false;
	return true;
}

static void expect_not_used(unsigned int qidx, uint16_t idx)
{
	usleep(20000);
	assert_int_equal(guest_ring_used_idx(&rings[qidx]), idx);
}

static uint8_t *mem(gpa_t gpa, uint64_t len)
{
	return guest_mem(&fv.board.gmem, gpa, len);
}

/* ---- parameters ---- */

static void test_command_line(void **state unused_param)
{
	char *argv[] = { (char *)"vmm",
			 (char *)"--kernel",
			 path,
			 (char *)"--tape",
			 (char *)"/x,bw_size=1M,id=a",
			 (char *)"--tape",
			 (char *)"/y" };
	struct run_config rc = { .mode = RUN_VM };
	char *help = NULL;
	size_t len;
	FILE *out = open_memstream(&help, &len);

	assert_int_equal(cli_parse(&rc, 5, argv, &fv.err), 0);
	assert_int_equal(rc.vm.nr_devices, 1);
	assert_ptr_equal(rc.vm.devices[0].class, &tape_class);
	run_config_free(&rc);
	assert_true(cli_parse(&rc, ARRAY_SIZE(argv), argv, &fv.err) < 0);
	assert_non_null(strstr(fv.err.msg, "--tape: the machine"));
	run_config_free(&rc);
	argv[4] = (char *)"/x,bw_sise=1M";
	assert_true(cli_parse(&rc, 5, argv, &fv.err) < 0);
	assert_non_null(strstr(fv.err.msg, "bw_size"));
	run_config_free(&rc);
	cli_help(out);
	fclose(out);
	assert_non_null(strstr(help, "--tape"));
	free(help);
}

static void test_json(void **state unused_param)
{
	static const char text[] =
		"{\"payload\":{\"kernel\":\"/k\"},\"tape\":{\"path\":\"/x\","
		"\"rate_limiter_config\":{\"ops\":{\"size\":7}},"
		"\"tx\":{\"ops\":{\"refill_time\":8}}}}";
	const struct json_fds fds = { .nr = 0 };
	struct vm_config vc;
	json_t *root = json_read_text(text, strlen(text), &fv.err);
	char *echo;

	vm_config_init(&vc);
	assert_int_equal(json_read_config(&vc, root, &fds, &fv.err), 0);
	json_decref(root);
	assert_int_equal(vc.nr_devices, 1);
	root = json_write_config(&vc);
	echo = json_dumps(root, JSON_COMPACT);
	assert_non_null(strstr(echo, "\"tape\":{"));
	assert_non_null(strstr(echo, "\"ops\":{\"size\":7"));
	assert_non_null(strstr(echo, "\"tx\":{\"ops\":{\"refill_time\":8}}"));
	assert_null(strstr(echo, "\"rx\""));
	free(echo);
	json_decref(root);
	vm_config_free(&vc);
}

/* ---- the device ---- */

static void test_tape(void **state unused_param)
{
	struct virtio_dev *dev;

	plug("");
	dev = virtio_of(device);
	assert_string_equal(device->id, "t");
	/* One loop for both queues, and none of the board's. */
	assert_ptr_equal(dev->queues[0].loop, dev->queues[1].loop);
	assert_ptr_not_equal(dev->queues[0].loop, fv.board.io_loops[0]);
	memcpy(mem(DATA, 5), "hello", 5);
	offer(PLAY, 0, DATA + 100, 64);
	expect_not_used(PLAY, 0);
	offer(RECORD, 0, DATA, 5);
	assert_true(is_used(RECORD, 1));
	assert_true(is_used(PLAY, 1));
	assert_memory_equal(mem(DATA + 100, 5), "hello", 5);
}

static void count(void *arg, const char *name, uint64_t value)
{
	static const struct {
		const char *name;
		uint64_t value;
	} want[] = {
		{ "read_ops", 1 },	     { "read_bytes", 3 },
		{ "write_ops", 2 },	     { "write_bytes", 3 },
		{ "queue0_read_bytes", 3 },  { "queue0_write_ops", 0 },
		{ "queue1_write_bytes", 3 }, { "errors", 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++)
		if (!strcmp(name, want[i].name)) {
			assert_int_equal(value, want[i].value);
			++*(unsigned int *)arg;
		}
}

static void test_counters(void **state unused_param)
{
	unsigned int seen = 0;

	plug("");
	offer(RECORD, 0, DATA, 1);
	offer(RECORD, 1, DATA, 2);
	assert_true(is_used(RECORD, 2));
	offer(PLAY, 0, DATA + 100, 64);
	assert_true(is_used(PLAY, 1));
	fake_vm_quiesce(&fv, device);
	device->ops->counters(device, count, &seen);
	assert_int_equal(seen, 8);
}

/* Change the tape as the control socket does, by the table of what may be
 * changed. */
static void set(const char *text)
{
	const struct device_class *class = &tape_class;
	json_t *body = json_read_text(text, strlen(text), &fv.err);
	struct device_config changed;

	assert_non_null(body);
	assert_int_equal(device_config_copy(&changed, &dc, &fv.err), 0);
	assert_int_equal(json_read_changes(class->set_params, changed.config,
					   body, &fv.err),
			 0);
	assert_int_equal(device->ops->set(device, changed.config, &fv.err), 0);
	device_config_free(&dc);
	dc = changed;
	json_decref(body);
}

/* Each direction has its limit, and it can be changed. */
static void test_limit(void **state unused_param)
{
	plug(",ops_size=1,ops_refill_time=3600000");
	offer(RECORD, 0, DATA, 1);
	assert_true(is_used(RECORD, 1));
	offer(RECORD, 1, DATA, 1);
	offer(PLAY, 0, DATA + 100, 1);
	assert_true(is_used(PLAY, 1));
	expect_not_used(RECORD, 1);
	set("{\"tx\":{\"ops\":{\"size\":0}}}");
	assert_true(is_used(RECORD, 2));
	offer(PLAY, 1, DATA + 100, 1);
	expect_not_used(PLAY, 1);
	/* What is said of both does not touch what was said of one. */
	set("{\"rate_limiter_config\":{\"ops\":{\"size\":100}}}");
	assert_true(is_used(PLAY, 2));
	set("{\"rx\":{}}");
}

static void test_changes(void **state unused_param)
{
	const struct device_class *class = &tape_class;
	static const char *const bad[] = {
		"{}",
		"{\"rx\":null,\"path\":\"/y\"}",
		"{\"rx\":7}",
		"{\"tx\":{\"ops\":{\"size\":-1}}}",
		"{\"tx\":{\"ops\":{\"refill_time\":99999999999}}}",
	};
	json_t *body;

	plug("");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		body = json_read_text(bad[i], strlen(bad[i]), &fv.err);
		assert_true(json_read_changes(class->set_params, dc.config,
					      body, &fv.err) < 0);
		assert_non_null(strstr(fv.err.msg, i < 3 ? "rx" : "tx.ops."));
		json_decref(body);
	}
}

static void test_pause(void **state unused_param)
{
	plug(",ops_size=1,ops_refill_time=3600000");
	offer(RECORD, 0, DATA, 1);
	offer(RECORD, 1, DATA, 1);
	assert_true(is_used(RECORD, 1));
	fake_vm_quiesce(&fv, device);
	/* What was held is in the ring, uncharged. */
	assert_int_equal(virtio_of(device)->queues[RECORD].vq.start_avail, 1);
	device->ops->resume(device);
	offer(PLAY, 0, DATA + 100, 64);
	assert_true(is_used(PLAY, 1));
	expect_not_used(RECORD, 1);
}

/* A loop of its own has a thread when a queue starts, once. Where the host makes
 * none, the device is broken until its reset, which is acknowledged. */
static void test_threads(void **state unused_param)
{
	no_threads = true;
	plug("");
	assert_true(gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	gv_write(&gv, GV_STATUS, 0, 1);
	assert_int_equal(gv_read(&gv, GV_STATUS, 1), 0);
	no_threads = false;
	drive();
	assert_int_equal(nr_threads, 1);
	assert_false(gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	offer(RECORD, 0, DATA, 1);
	assert_true(is_used(RECORD, 1));
	unplug(false);
	/* It goes while its thread is asked for. */
	no_threads = true;
	plug("");
	gv_write(&gv, GV_STATUS, 0, 1);
	no_threads = false;
	drive_until_ok();
	unplug(true);
}

static void test_unplug(void **state unused_param)
{
	plug("");
	offer(PLAY, 0, DATA, 64); /* waits for what does not come */
	unplug(true);
	plug(",ops_size=1,ops_refill_time=3600000");
	offer(RECORD, 0, DATA, 1);
	offer(RECORD, 1, DATA, 1); /* is held */
	unplug(false);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_command_line), UNIT(test_json),   UNIT(test_tape),
		UNIT(test_counters),	 UNIT(test_limit),  UNIT(test_changes),
		UNIT(test_pause),	 UNIT(test_unplug), UNIT(test_threads),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
