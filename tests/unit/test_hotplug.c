/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Devices that come and go. */
#include "tests/unit/hotplug_fixture.h"

#include "devices/registry.h"

static char image[] = "/tmp/vmm-hotplug-XXXXXX";

static void *disk_config(const char *id)
{
	const struct param_set *set = blk_class.params;
	void *config = calloc(1, set->size);
	struct error err;

	assert_non_null(config);
	param_defaults(set, config);
	assert_int_equal(
		param_assign(param_find(set, "path"), config, image, &err), 0);
	assert_int_equal(
		param_assign(param_find(set, "readonly"), config, "on", &err),
		0);
	assert_int_equal(param_assign(param_find(set, "id"), config, id, &err),
			 0);
	return config;
}

static void free_config(void *config)
{
	param_free(blk_class.params, config);
	free(config);
}

/* How a plug began. */
struct plugged {
	char id[64];
	char bdf[16];
	bool pending; /* its driver is waited for */
};

static unsigned int said_before; /* of has_come() */

static bool has_come(void *arg)
{
	return nr_said != said_before || hotplug_find(&hp, arg);
}

/* Until it is there, or the host has refused it. */
static int plug(void *config, struct plugged *out, struct error *err)
{
	const struct device_config dc = { .class = &blk_class,
					  .config = config };
	char *id = *device_config_id(&dc);
	int r = hotplug_add(&hp, &dc, 1, err);
	struct device *dev;

	if (r)
		return r;
	said_before = nr_said;
	assert_true(fake_vm_turn_until(&fv, has_come, id));
	dev = hotplug_find(&hp, id);
	out->pending = nr_said == said_before;
	nr_said = said_before;
	if (!dev)
		return error_set(err, EIO, "%s", said);
	snprintf(out->id, sizeof(out->id), "%s", dev->id);
	snprintf(out->bdf, sizeof(out->bdf), "0000:%02x:%02x.0", dev->bus,
		 dev->slot);
	return 0;
}

static int unplug(const char *id, bool force, struct error *err)
{
	int r = hotplug_remove(&hp, id, force, 2, err);

	fake_vm_turn(&fv);
	return r;
}

static uint8_t slot_status(struct guest_virtio *gv)
{
	return (uint8_t)gv_read(gv, GV_STATUS, 1);
}

/* A driver binds to what is in the slot. */
static void bind(struct guest_virtio *gv, unsigned int slot)
{
	guest_virtio_probe(gv, &fv, slot);
	assert_true(gv_negotiate(gv, VIRTIO_F(VIRTIO_F_VERSION_1)));
	gv_driver_ok(gv);
	fake_vm_turn(&fv);
}

/* ---- PCI ---- */

static void test_plug_unplug(void **state unused_param)
{
	void *config = disk_config("one"), *none = disk_config("none");
	struct plugged out;
	struct error err;

	assert_int_equal(plug(config, &out, &err), 0);
	assert_string_equal(out.id, "one");
	assert_string_equal(out.bdf, "0000:00:01.0");
	/* One interrupt is there from the start. */
	assert_int_equal(fv.line_changes, 4);
	/* It did not listen: nobody waits for its driver. */
	assert_false(out.pending);
	expect_event(HOTPLUG_PCI, 1, CHECK);
	assert_int_equal(next_event(), 0);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	/* Nothing is left of one that cannot be. */
	assert_int_equal(param_assign(param_find(blk_class.params, "path"),
				      none, "/nonexistent", &err),
			 0);
	assert_int_equal(plug(none, &out, &err), -EIO);
	assert_non_null(strstr(err.msg, "--disk: cannot open disk image"));
	assert_int_equal(next_event(), 0);

	eject(HOTPLUG_PCI, 1); /* nobody asked */
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(unplug("one", false, &err), 0);
	expect_event(HOTPLUG_PCI, 1, EJECT_REQUEST);
	assert_int_equal(unplug("one", false, &err), 0);
	expect_event(HOTPLUG_PCI, 1, EJECT_REQUEST);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(nr_said, 0);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	assert_int_equal(nr_said, 1);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0xffff);
	assert_int_equal(unplug("one", false, &err), -ENOENT);
	free_config(config);
	free_config(none);
}

static void test_no_answer(void **state unused_param)
{
	void *config = disk_config("one");
	struct plugged out;
	struct error err;

	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(unplug("one", false, &err), 0);
	status(HOTPLUG_PCI, 1, 0x84); /* in progress: no answer yet */
	assert_int_equal(nr_said, 0);
	status(HOTPLUG_PCI, 1, 1);
	assert_string_equal(said, "kept one: the guest refuses");
	eject(HOTPLUG_PCI, 1); /* too late */
	assert_int_equal(nr_said, 1);
	assert_int_equal(unplug("one", false, &err), 0);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	free_config(config);
}

/* No answer at all: the guest keeps it, and may be asked again. */
static void test_deadline(void **state unused_param)
{
	void *config = disk_config("one");
	struct plugged out;
	struct error err;

	hp.ask_ns = 20000000;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(unplug("one", false, &err), 0);
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_string_equal(said, "kept one: the guest did not answer in time");
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	eject(HOTPLUG_PCI, 1); /* too late */
	assert_int_equal(nr_said, 1);
	assert_int_equal(unplug("one", false, &err), 0);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	assert_int_equal(nr_said, 2);
	free_config(config);
}

/* The chip has taken the guest's answer, and the vCPU's thread is held up before
 * it tells. */
static bool answer_late(void *opaque unused_param,
			enum hotplug_kind kind unused_param,
			unsigned int index unused_param, bool on)
{
	return on;
}

/* What the guest has let go of in time is not kept, whoever is slow here. */
static void test_deadline_and_answer(void **state unused_param)
{
	void *config = disk_config("one");
	static struct hotplug_chip_ops late;
	struct plugged out;
	struct error err;

	hp.ask_ns = 20000000;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(hotplug_remove(&hp, "one", false, 0, &err), 0);
	status(HOTPLUG_PCI, 1, 1);
	assert_string_equal(said, "kept one: the guest refuses");
	nr_said = 0;
	late = *fv.board.hotplug[HOTPLUG_PCI].ops;
	late.ask = answer_late;
	fv.board.hotplug[HOTPLUG_PCI].ops = &late;
	assert_int_equal(hotplug_remove(&hp, "one", false, 0, &err), 0);
	usleep(2 * (unsigned int)(hp.ask_ns / 1000));
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	board_eject_answer(&fv.board, HOTPLUG_PCI, 1, true);
	fake_vm_turn(&fv);
	assert_string_equal(said, "removed one 0000:00:01.0");
	assert_int_equal(nr_said, 1);
	free_config(config);
}

static void pause_for(unsigned int ms)
{
	fv.board.run = BOARD_PAUSED;
	hotplug_on_run(&hp);
	usleep(ms * 1000);
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	fv.board.run = BOARD_RUNNING;
	hotplug_on_run(&hp);
}

/* The time of a pause does not count; an answer that waits to be seen does. */
static void test_deadline_and_pause(void **state unused_param)
{
	void *config = disk_config("one");
	struct plugged out;
	struct error err;

	hp.ask_ns = 20000000;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(unplug("one", false, &err), 0);
	pause_for(40);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_string_equal(said, "kept one: the guest did not answer in time");
	nr_said = 0;
	fv.board.run = BOARD_PAUSED;
	assert_int_equal(unplug("one", false, &err), 0);
	pause_for(40);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	free_config(config);
}

static void test_bind(void **state unused_param)
{
	void *config = disk_config("one");
	struct guest_virtio gv;
	struct plugged out;
	unsigned int nr;
	struct error err;

	assert_int_equal(next_event(), 0); /* the guest listens */
	assert_int_equal(plug(config, &out, &err), 0);
	assert_true(out.pending);
	expect_event(HOTPLUG_PCI, 1, CHECK);
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	assert_int_equal(unplug("one", true, &err), -EBUSY);
	bind(&gv, 1);
	assert_string_equal(said, "plugged one 0000:00:01.0");
	assert_int_equal(nr_said, 1);
	/* The driver goes, and comes back before we look. */
	gv_write(&gv, GV_STATUS, 0, 1);
	fake_vm_turn(&fv);
	assert_string_equal(drivers, "+one-one");
	bind(&gv, 1);
	bind(&gv, 1);
	assert_string_equal(drivers, "+one-one+one-one+one");
	for (nr = 5; nr < 405; nr += 2) /* that is told now and then */
		bind(&gv, 1);
	assert_true(nr_told < nr / 4);
	for (; nr_told + nr_untold < nr; fake_vm_turn(&fv))
		;
	assert_string_equal(drivers, "+one");
	assert_int_equal(nr_said, 1);
	assert_int_equal(unplug("one", true, &err), 0);
	free_config(config);
}

/* Changes of a link in a short time are one, and the last one is told. */
static void test_link(void **state unused_param)
{
	void *config = disk_config("one");
	struct plugged out;
	struct device *dev;
	struct error err;
	uint64_t start;

	assert_int_equal(plug(config, &out, &err), 0);
	dev = hotplug_find(&hp, "one");
	nr_told = 0;
	board_link_news(&fv.board, dev, true); /* as it was */
	fake_vm_turn(&fv);
	assert_int_equal(nr_told, 0);
	board_link_news(&fv.board, dev, false);
	fake_vm_turn(&fv);
	assert_string_equal(drivers, "vone");
	for (unsigned int i = 0; i < 1000; i++) {
		board_link_news(&fv.board, dev, i % 2 == 0);
		fake_vm_turn(&fv);
	}
	assert_in_range(nr_told, 1, 20);
	board_link_news(&fv.board, dev, true);
	for (start = loop_now_ns(); loop_now_ns() - start < 300000000;
	     usleep(5000))
		fake_vm_turn(&fv);
	assert_string_equal(drivers + strlen(drivers) - 4, "^one");
	assert_int_equal(unplug("one", true, &err), 0);
	free_config(config);
}

/* No driver: nothing of it is left, and it can come again. */
static void test_bind_late(void **state unused_param)
{
	void *config = disk_config("one");
	struct guest_virtio gv;
	struct plugged out;
	struct error err;
	uint64_t start;

	assert_int_equal(next_event(), 0);
	hp.plug_ns = 50000000;
	assert_int_equal(plug(config, &out, &err), 0);
	/* One that has not read its event yet is slow, no more. */
	for (start = loop_now_ns(); loop_now_ns() - start < 120000000;
	     usleep(5000))
		fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	expect_event(HOTPLUG_PCI, 1, CHECK);
	/* Nor is one that looks at what is there. */
	for (start = loop_now_ns(); loop_now_ns() - start < 120000000;
	     usleep(5000)) {
		fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 4);
		fake_vm_turn(&fv);
	}
	assert_int_equal(nr_said, 0);
	/* A guest that is at it gets more time. */
	usleep(30000);
	guest_virtio_probe(&gv, &fv, 1);
	gv_write(&gv, GV_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE, 1);
	start = loop_now_ns();
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_true(loop_now_ns() - start >= 50000000);
	assert_string_equal(
		said,
		"no driver of the guest took it in time one 0000:00:01.0");
	assert_int_equal(nr_said, 1);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0xffff);
	expect_event(HOTPLUG_PCI, 1, EJECT_REQUEST);
	assert_int_equal(slot_status(&gv), 0);
	hp.plug_ns = PLUG_DEADLINE_NS;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_string_equal(out.bdf, "0000:00:02.0");
	bind(&gv, 2);
	assert_string_equal(said, "plugged one 0000:00:02.0");
	assert_int_equal(unplug("one", true, &err), 0);
	free_config(config);
}

/* A guest that stands still finds it later; one that is gone never does. */
static void test_bind_not(void **state unused_param)
{
	void *config[2] = { disk_config("one"), disk_config("two") };
	struct plugged out;
	struct error err;

	assert_int_equal(next_event(), 0);
	assert_int_equal(plug(config[0], &out, &err), 0);
	assert_true(out.pending);
	fv.board.run = BOARD_PAUSED;
	hotplug_on_run(&hp);
	assert_string_equal(said, "plugged one 0000:00:01.0");
	fv.board.run = BOARD_RUNNING;
	assert_int_equal(plug(config[1], &out, &err), 0);
	assert_true(out.pending);
	fv.board.run = BOARD_STOPPED;
	hotplug_on_run(&hp);
	assert_string_equal(said, "the guest stopped before a driver took it "
				  "two 0000:00:02.0");
	assert_int_equal(nr_said, 2);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(fake_cfg_read(&fv, 2, PCI_VENDOR_ID, 2), 0xffff);
	assert_int_equal(unplug("one", false, &err), 0);
	free_config(config[0]);
	free_config(config[1]);
}

static void test_force(void **state unused_param)
{
	void *config[2] = { disk_config("one"), disk_config("two") };
	struct plugged out;
	struct error err;
	gpa_t bar;

	assert_int_equal(plug(config[0], &out, &err), 0);
	expect_event(HOTPLUG_PCI, 1, CHECK);
	fake_cfg_write(&fv, 1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	bar = fake_cfg_read(&fv, 1, PCI_BASE_ADDRESS_0, 8) & ~0xfull;
	assert_int_equal(unplug("one", false, &err), 0);
	assert_int_equal(unplug("one", true, &err), 0);
	assert_string_equal(said, "removed one 0000:00:01.0");
	expect_event(HOTPLUG_PCI, 1, EJECT_REQUEST);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0xffff);
	/* A driver that waits for status 0 does not wait for ever. */
	assert_int_equal(fake_mmio_read(&fv, bar + 0x14, 1), 0);
	/* The slot is not used again before the others. */
	fv.board.run = BOARD_PAUSED; /* no driver is waited for */
	assert_int_equal(plug(config[1], &out, &err), 0);
	fv.board.run = BOARD_RUNNING;
	assert_false(out.pending);
	assert_string_equal(out.bdf, "0000:00:02.0");
	/* Its addresses are, when the guest gives them to another. */
	fake_cfg_write(&fv, 2, PCI_BASE_ADDRESS_0, bar, 8);
	fake_cfg_write(&fv, 2, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fake_mmio_read(&fv, bar + 0x12, 2), 1); /* queues */
	eject(HOTPLUG_PCI, 1);
	assert_int_equal(nr_said, 1);
	assert_int_equal(unplug("two", true, &err), 0);
	free_config(config[0]);
	free_config(config[1]);
}

static void test_full_bus(void **state unused_param)
{
	void *config[PCI_SLOTS];
	struct plugged out;
	struct error err;
	unsigned int i;
	char id[8];

	for (i = 1; i < PCI_SLOTS; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		config[i] = disk_config(id);
		assert_int_equal(plug(config[i], &out, &err), 0);
	}
	assert_string_equal(out.bdf, "0000:00:1f.0");
	config[0] = disk_config("extra");
	assert_int_equal(plug(config[0], &out, &err), -EIO);
	assert_non_null(strstr(err.msg, "31"));
	for (i = 1; i < PCI_SLOTS; i++)
		expect_event(HOTPLUG_PCI, i, CHECK);
	assert_int_equal(next_event(), 0);
	for (i = 1; i < PCI_SLOTS; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		assert_int_equal(unplug(id, i % 2, &err), 0);
	}
	assert_int_equal(nr_said, 16);
	chip->ops->reset(chip);
	asks_eject_all(&hp); /* the guest is gone: so are the others */
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 31);
	for (i = 0; i < PCI_SLOTS; i++)
		free_config(config[i]);
}

static int make_image(void **state unused_param)
{
	int fd = mkstemp(image);

	if (fd < 0 || ftruncate(fd, MIB))
		return -1;
	return close(fd);
}

static int remove_image(void **state unused_param)
{
	return unlink(image);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_plug_unplug),
		CASE(test_no_answer),
		CASE(test_deadline),
		CASE(test_deadline_and_pause),
		CASE(test_deadline_and_answer),
		CASE(test_bind),
		CASE(test_link),
		CASE(test_bind_late),
		CASE(test_bind_not),
		CASE(test_force),
		CASE(test_full_bus),
	};

	return cmocka_run_group_tests_name("hotplug", tests, make_image,
					   remove_image);
}
