/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Hot-plug with a guest that is this test: it reads event words, ejects and
 * refuses through the chip's registers, and looks at what stands in its memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86_64/layout.h"
#include "boot/acpi.h"
#include "boot/layout_x86.h"
#include "devices/pci/pci.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/fake_vm.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/byteorder.h"
#include "vmm/hotplug.h"
#include "vmm/util.h"

#define CHECK 1u
#define EJECT_REQUEST 3u
#define HOT_GPA (8 * GIB)
#define HOT_BLOCKS 12u
#define NR_CPUS 4u

static struct fake_vm fv;
static struct kvm kvm;
static struct hotplug hp;
static struct device *chip;
static char image[] = "/tmp/vmm-hotplug-XXXXXX";
static char said[256]; /* the last callback */
static unsigned int nr_said, nr_told, nr_untold;
static char drivers[64]; /* "+id" and "-id" for each on_driver() */
static unsigned int cpu_threads; /* bit per vCPU */
static unsigned int refuse_cpu; /* this one cannot start */
static unsigned int nr_slots; /* KVM memory slots in use */
static uint8_t slot_byte; /* the first one of the DIMM that went last */

/* ---- doubles of vmm/kvm.c ---- */

int kvm_start_vcpu(struct kvm *k unused_param, unsigned int index,
		   struct error *err)
{
	if (index == refuse_cpu)
		return error_set(err, ENOMEM, "no memory for vCPU %u", index);
	assert_false(cpu_threads >> index & 1);
	cpu_threads |= 1u << index;
	return 0;
}

void kvm_stop_vcpu(struct kvm *k unused_param, unsigned int index)
{
	cpu_threads &= ~(1u << index);
}

void kvm_hold(struct kvm *k unused_param)
{
}

void kvm_release(struct kvm *k unused_param)
{
}

/* ---- KVM's memory slots ---- */

static int slot_added(struct gmem_listener *gl unused_param,
		      const struct gmem_range *range,
		      struct error *err unused_param)
{
	if (range->kind != GMEM_DIMM)
		return 0;
	assert_in_range(range->slot, GMEM_MAX_RAM, GMEM_MAX_RANGES - 1);
	assert_ptr_equal(gmem_ptr(&fv.board.gmem, range->gpa, range->len),
			 range->hva);
	nr_slots++;
	return 0;
}

static void slot_removed(struct gmem_listener *gl unused_param,
			 const struct gmem_range *range)
{
	/* Devices find it no more, and its pages are still there. */
	assert_null(gmem_ptr(&fv.board.gmem, range->gpa, 1));
	slot_byte = *range->hva;
	nr_slots--;
}

static struct gmem_listener slots = { .added = slot_added,
				      .removed = slot_removed };

/* ---- callbacks ---- */

static void on_driver_news(struct board *board unused_param, struct device *dev,
			   enum device_news news)
{
	plug_driver_news(&hp.plug, dev, news);
}

static void on_eject_answer(struct board *board unused_param,
			    enum hotplug_kind kind, unsigned int index,
			    bool ejected)
{
	asks_answer(&hp.asks, kind, index, ejected);
}

static void on_plugged(void *opaque unused_param,
		       const struct hotplug_place *at, const char *why)
{
	snprintf(said, sizeof(said), "%s %s %s", why ? why : "plugged", at->id,
		 at->bdf);
	nr_said++;
}

static void on_driver(void *opaque unused_param, const char *id, bool active,
		      unsigned int nr)
{
	if (nr_told++ > 5)
		drivers[0] = '\0';
	strncat(drivers, active ? "+" : "-", 2);
	strncat(drivers, id, 8);
	nr_untold += nr;
}

static void on_removed(void *opaque unused_param,
		       const struct hotplug_place *was)
{
	snprintf(said, sizeof(said), "removed %s %s", was->id, was->bdf);
	nr_said++;
}

static void on_remove_failed(void *opaque unused_param, const char *id,
			     const char *why)
{
	snprintf(said, sizeof(said), "kept %s: %s", id, why);
	nr_said++;
}

static void on_resized(void *opaque unused_param,
		       const struct hotplug_size *size, const char *why)
{
	unsigned long long actual = size->actual >> (size->memory ? 27 : 0);
	const char *what = size->memory ? "memory" : "vcpus";

	if (why)
		snprintf(said, sizeof(said), "%s stays %llu: %s", what, actual,
			 why);
	else
		snprintf(said, sizeof(said), "%s %llu", what, actual);
	nr_said++;
}

static const struct hotplug_listener listener = {
	.plugged = on_plugged,
	.driver = on_driver,
	.removed = on_removed,
	.remove_failed = on_remove_failed,
	.resized = on_resized,
};

/* ---- the guest ---- */

static uint32_t next_event(void)
{
	return (uint32_t)fake_pio_read(
		&fv, X86_HOTPLUG_PORT + ACPI_HOTPLUG_EVENT, 4);
}

static void expect_event(unsigned int kind, unsigned int index,
			 unsigned int value)
{
	assert_int_equal(next_event(), ACPI_HOTPLUG_WORD(kind, index, value));
}

static void eject(unsigned int kind, unsigned int index)
{
	fake_pio_write(&fv, X86_HOTPLUG_PORT + ACPI_HOTPLUG_EJECT,
		       ACPI_HOTPLUG_WORD(kind, index, 0), 4);
	fake_vm_turn(&fv);
}

static void status(unsigned int kind, unsigned int index, unsigned int value)
{
	fake_pio_write(&fv, X86_HOTPLUG_PORT + ACPI_HOTPLUG_STATUS,
		       ACPI_HOTPLUG_WORD(kind, index, value), 4);
	fake_vm_turn(&fv);
}

static uint8_t cpu_sta(unsigned int index)
{
	const uint8_t *p =
		gmem_ptr(&fv.board.gmem, BOOT_HOTPLUG, ACPI_STATE_LEN);

	return p[ACPI_STATE_CPUS + index];
}

/* 0 base, 1 length, 2 _STA */
static uint64_t dimm(unsigned int index, unsigned int word)
{
	const uint8_t *p =
		gmem_ptr(&fv.board.gmem, BOOT_HOTPLUG, ACPI_STATE_LEN);

	return le_load(p + ACPI_STATE_DIMMS + index * ACPI_STATE_DIMM_LEN +
			       8ull * word,
		       8);
}

static uint64_t blocks(unsigned int nr)
{
	return gmem_boot_size(&fv.board.gmem) + nr * GMEM_BLOCK;
}

/* ---- fixture ---- */

static int setup(void **state unused_param)
{
	static const struct chip_place place = {
		.class_name = "acpi_hotplug",
		.pio = true,
		.base = X86_HOTPLUG_PORT,
		.gsi = X86_HOTPLUG_GSI,
		.memory = BOOT_HOTPLUG,
	};
	struct error err;

	fake_vm_init(&fv);
	fv.on_driver_news = on_driver_news;
	fv.on_eject_answer = on_eject_answer;
	fv.config.cpus.boot = 1;
	fv.config.cpus.max = NR_CPUS;
	fv.board.nr_cpus = 1;
	fv.board.run = BOARD_RUNNING;
	cpu_threads = 1;
	refuse_cpu = NR_CPUS;
	nr_slots = nr_said = nr_told = nr_untold = 0;
	said[0] = drivers[0] = '\0';
	assert_int_equal(gmem_reserve(&fv.board.gmem, HOT_GPA,
				      HOT_BLOCKS * GMEM_BLOCK, &err),
			 0);
	assert_int_equal(gmem_listen(&fv.board.gmem, &slots, &err), 0);
	kvm = (struct kvm){ .max_vcpus = NR_CPUS };
	hotplug_init(&hp, &fv.board, &kvm, &listener, NULL);
	chip = fake_vm_add(&fv, device_class_find("acpi_hotplug"), &place);
	assert_non_null(chip);
	fake_vm_add_pci(&fv);
	return 0;
}

static int teardown(void **state unused_param)
{
	hotplug_fini(&hp);
	while (!list_is_empty(&fv.board.devices)) {
		struct device *dev = container_of(fv.board.devices.prev,
						  struct device, node);

		if (dev == chip)
			break;
		fake_vm_remove(&fv, dev);
	}
	fake_vm_remove(&fv, chip);
	fake_vm_fini(&fv);
	return 0;
}

static void *disk_config(const char *id)
{
	const struct param_set *set = device_class_find("blk")->params;
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
	param_free(device_class_find("blk")->params, config);
	free(config);
}

static int plug(void *config, struct hotplug_place *out, struct error *err)
{
	return hotplug_add(&hp, device_class_find("blk"), config, out, err);
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

static bool has_said(void *arg unused_param)
{
	return nr_said;
}

/* ---- PCI ---- */

static void test_plug_unplug(void **state unused_param)
{
	void *config = disk_config("one"), *none = disk_config("none");
	struct hotplug_place out;
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
	assert_int_equal(
		param_assign(
			param_find(device_class_find("blk")->params, "path"),
			none, "/nonexistent", &err),
		0);
	assert_int_equal(plug(none, &out, &err), -ENOENT);
	assert_int_equal(next_event(), 0);

	eject(HOTPLUG_PCI, 1); /* nobody asked */
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	expect_event(HOTPLUG_PCI, 1, EJECT_REQUEST);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	expect_event(HOTPLUG_PCI, 1, EJECT_REQUEST);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(nr_said, 0);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	assert_int_equal(nr_said, 1);
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0xffff);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), -ENOENT);
	free_config(config);
	free_config(none);
}

static void test_no_answer(void **state unused_param)
{
	void *config = disk_config("one");
	struct hotplug_place out;
	struct error err;

	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	status(HOTPLUG_PCI, 1, 0x84); /* in progress: no answer yet */
	assert_int_equal(nr_said, 0);
	status(HOTPLUG_PCI, 1, 1);
	assert_string_equal(said, "kept one: the guest refuses");
	eject(HOTPLUG_PCI, 1); /* too late */
	assert_int_equal(nr_said, 1);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	free_config(config);
}

/* No answer at all: the guest keeps it, and may be asked again. */
static void test_deadline(void **state unused_param)
{
	void *config = disk_config("one");
	struct hotplug_place out;
	struct error err;

	hp.asks.deadline_ns = 20000000;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_string_equal(said, "kept one: the guest did not answer in time");
	assert_int_equal(fake_cfg_read(&fv, 1, PCI_VENDOR_ID, 2), 0x1af4);
	eject(HOTPLUG_PCI, 1); /* too late */
	assert_int_equal(nr_said, 1);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	assert_int_equal(nr_said, 2);
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
	struct hotplug_place out;
	struct error err;

	hp.asks.deadline_ns = 20000000;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	pause_for(40);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_string_equal(said, "kept one: the guest did not answer in time");
	nr_said = 0;
	fv.board.run = BOARD_PAUSED;
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	pause_for(40);
	eject(HOTPLUG_PCI, 1);
	assert_string_equal(said, "removed one 0000:00:01.0");
	free_config(config);
}

static void test_bind(void **state unused_param)
{
	void *config = disk_config("one");
	struct guest_virtio gv;
	struct hotplug_place out;
	unsigned int nr;
	struct error err;

	assert_int_equal(next_event(), 0); /* the guest listens */
	assert_int_equal(plug(config, &out, &err), 0);
	assert_true(out.pending);
	expect_event(HOTPLUG_PCI, 1, CHECK);
	fake_vm_turn(&fv);
	assert_int_equal(nr_said, 0);
	assert_int_equal(hotplug_remove(&hp, "one", true, &err), -EBUSY);
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
	assert_int_equal(hotplug_remove(&hp, "one", true, &err), 0);
	free_config(config);
}

/* No driver: nothing of it is left, and it can come again. */
static void test_bind_late(void **state unused_param)
{
	void *config = disk_config("one");
	struct guest_virtio gv;
	struct hotplug_place out;
	struct error err;
	uint64_t start;

	assert_int_equal(next_event(), 0);
	hp.plug.deadline_ns = 50000000;
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
	gv_write(&gv, GV_STATUS, VIRTIO_STATUS_ACKNOWLEDGE, 1);
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
	hp.plug.deadline_ns = PLUG_DEADLINE_NS;
	assert_int_equal(plug(config, &out, &err), 0);
	assert_string_equal(out.bdf, "0000:00:02.0");
	bind(&gv, 2);
	assert_string_equal(said, "plugged one 0000:00:02.0");
	assert_int_equal(hotplug_remove(&hp, "one", true, &err), 0);
	free_config(config);
}

/* A guest that stands still finds it later; one that is gone never does. */
static void test_bind_not(void **state unused_param)
{
	void *config[2] = { disk_config("one"), disk_config("two") };
	struct hotplug_place out;
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
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	free_config(config[0]);
	free_config(config[1]);
}

static void test_force(void **state unused_param)
{
	void *config[2] = { disk_config("one"), disk_config("two") };
	struct hotplug_place out;
	struct error err;
	gpa_t bar;

	assert_int_equal(plug(config[0], &out, &err), 0);
	expect_event(HOTPLUG_PCI, 1, CHECK);
	fake_cfg_write(&fv, 1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	bar = fake_cfg_read(&fv, 1, PCI_BAR0, 8) & ~0xfull;
	assert_int_equal(hotplug_remove(&hp, "one", false, &err), 0);
	assert_int_equal(hotplug_remove(&hp, "one", true, &err), 0);
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
	fake_cfg_write(&fv, 2, PCI_BAR0, bar, 8);
	fake_cfg_write(&fv, 2, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fake_mmio_read(&fv, bar + 0x12, 2), 1); /* queues */
	eject(HOTPLUG_PCI, 1);
	assert_int_equal(nr_said, 1);
	assert_int_equal(hotplug_remove(&hp, "two", true, &err), 0);
	free_config(config[0]);
	free_config(config[1]);
}

static void test_full_bus(void **state unused_param)
{
	void *config[PCI_SLOTS];
	struct hotplug_place out;
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
	assert_int_equal(plug(config[0], &out, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "31"));
	for (i = 1; i < PCI_SLOTS; i++)
		expect_event(HOTPLUG_PCI, i, CHECK);
	assert_int_equal(next_event(), 0);
	for (i = 1; i < PCI_SLOTS; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		assert_int_equal(hotplug_remove(&hp, id, i % 2, &err), 0);
	}
	assert_int_equal(nr_said, 16);
	chip->ops->reset(chip);
	asks_eject_all(&hp.asks); /* the guest is gone: so are the others */
	assert_int_equal(nr_said, 31);
	for (i = 0; i < PCI_SLOTS; i++)
		free_config(config[i]);
}

/* ---- vCPUs ---- */

static void test_vcpus(void **state unused_param)
{
	struct error err;
	unsigned int i;

	assert_int_equal(hotplug_resize_vcpus(&hp, 1, &err), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 0, &err), -EINVAL);
	assert_int_equal(hotplug_resize_vcpus(&hp, 5, &err), -EINVAL);
	fake_vm_turn(&fv);
	/* Nothing to do is done, too. */
	assert_string_equal(said, "vcpus 1");
	assert_int_equal(nr_said, 1);
	assert_int_equal(hotplug_resize_vcpus(&hp, 4, &err), 0);
	assert_int_equal(cpu_threads, 0xf);
	fake_vm_turn(&fv);
	assert_string_equal(said, "vcpus 4");
	for (i = 1; i < 4; i++) {
		expect_event(HOTPLUG_CPU, i, CHECK);
		assert_int_equal(cpu_sta(i), 0xf);
	}
	assert_int_equal(hotplug_resize_vcpus(&hp, 2, &err), 0);
	/* This one waits. */
	assert_int_equal(hotplug_resize_vcpus(&hp, 3, &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_CPU, 3, EJECT_REQUEST);
	eject(HOTPLUG_CPU, 3);
	assert_int_equal(cpu_sta(3), 0);
	assert_int_equal(cpu_threads, 0x7);
	assert_int_equal(nr_said, 2);
	expect_event(HOTPLUG_CPU, 2, EJECT_REQUEST);
	eject(HOTPLUG_CPU, 2);
	expect_event(HOTPLUG_CPU, 2, CHECK);
	assert_string_equal(said, "vcpus 3");
	assert_int_equal(nr_said, 4);
	assert_int_equal(cpu_threads, 0x7);
}

static void test_vcpus_fail(void **state unused_param)
{
	struct error err;

	refuse_cpu = 3;
	assert_int_equal(hotplug_resize_vcpus(&hp, 4, &err), -ENOMEM);
	assert_int_equal(cpu_threads, 1);
	assert_int_equal(next_event(), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 3, &err), 0);
	assert_int_equal(hotplug_resize_vcpus(&hp, 1, &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_CPU, 1, CHECK);
	expect_event(HOTPLUG_CPU, 2, EJECT_REQUEST);
	eject(HOTPLUG_CPU, 2);
	status(HOTPLUG_CPU, 1, 0x82);
	assert_string_equal(
		said, "vcpus stays 2: the guest refuses; it gave 1 of 2 vCPUs");
	assert_int_equal(fv.board.nr_cpus, 2);
	assert_int_equal(cpu_sta(1), 0xf);
}

/* ---- memory ---- */

static void test_memory(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;
	uint64_t len = 4 * GIB;
	enum gmem_kind kind;
	struct error err;
	uint8_t *p;
	unsigned int i;

	assert_null(gmem_ptr(gm, HOT_GPA, 1));
	assert_int_equal(hotplug_resize_memory(&hp, blocks(1) + 4096, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "128 MiB"));
	assert_int_equal(hotplug_resize_memory(&hp, blocks(13), &err), -ERANGE);
	assert_int_equal(hotplug_resize_memory(&hp, blocks(3), &err), 0);
	fake_vm_turn(&fv);
	assert_string_equal(said, "memory 3");
	assert_int_equal(nr_slots, 3);
	for (i = 0; i < 3; i++) {
		expect_event(HOTPLUG_MEMORY, i, CHECK);
		assert_int_equal(dimm(i, 0), HOT_GPA + i * GMEM_BLOCK);
		assert_int_equal(dimm(i, 1), GMEM_BLOCK);
		assert_int_equal(dimm(i, 2), 0xf);
	}
	/* One piece for devices, wherever its DIMMs meet. */
	p = gmem_span(gm, HOT_GPA + 4096, &len, &kind);
	assert_int_equal(len, 3 * GMEM_BLOCK - 4096);
	memset(p - 4096, 0x5a, 8192);

	assert_int_equal(hotplug_resize_memory(&hp, blocks(0), &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_MEMORY, 2, EJECT_REQUEST);
	eject(HOTPLUG_MEMORY, 2);
	assert_int_equal(dimm(2, 2), 0);
	expect_event(HOTPLUG_MEMORY, 1, EJECT_REQUEST);
	status(HOTPLUG_MEMORY, 1, 0x81);
	expect_event(HOTPLUG_MEMORY, 0, EJECT_REQUEST);
	eject(HOTPLUG_MEMORY, 0);
	assert_non_null(strstr(said, "it gave 256 of 384 MiB"));
	assert_int_equal(nr_slots, 1);
	assert_int_equal(slot_byte, 0x5a);
	assert_null(gmem_ptr(gm, HOT_GPA + 4096, 1));
	assert_int_equal(p[0], 0); /* given back, and still ours to touch */
	assert_int_equal(resize_memory_size(&hp.resize), blocks(1));
	/* Holes are filled first. */
	assert_int_equal(hotplug_resize_memory(&hp, blocks(12), &err), 0);
	assert_int_equal(nr_slots, 12);
	assert_int_equal(*(uint8_t *)gmem_ptr(gm, HOT_GPA + 4096, 1), 0);
}

/* The guest goes away with a request under way. */
static void test_memory_reset(void **state unused_param)
{
	struct error err;

	assert_int_equal(hotplug_resize_memory(&hp, blocks(4), &err), 0);
	fake_vm_turn(&fv);
	assert_int_equal(hotplug_resize_memory(&hp, blocks(1), &err), 0);
	fake_vm_turn(&fv);
	chip->ops->reset(chip);
	asks_eject_all(&hp.asks);
	assert_string_equal(said, "memory 1");
	assert_int_equal(nr_slots, 1);
	assert_int_equal(next_event(), 0);
}

/* The guest lets go of what stays: it is told to look again. */
static void test_memory_late(void **state unused_param)
{
	struct error err;

	hp.asks.deadline_ns = 20000000;
	assert_int_equal(hotplug_resize_memory(&hp, blocks(1), &err), 0);
	fake_vm_turn(&fv);
	expect_event(HOTPLUG_MEMORY, 0, CHECK);
	nr_said = 0;
	assert_int_equal(hotplug_resize_memory(&hp, blocks(0), &err), 0);
	assert_true(fake_vm_turn_until(&fv, has_said, NULL));
	assert_non_null(strstr(said, "did not answer in time"));
	assert_int_equal(next_event(), 0);
	eject(HOTPLUG_MEMORY, 0);
	assert_int_equal(dimm(0, 2), 0xf);
	assert_int_equal(resize_memory_size(&hp.resize), blocks(1));
	expect_event(HOTPLUG_MEMORY, 0, CHECK);
	assert_int_equal(next_event(), 0);
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
		CASE(test_plug_unplug),	 CASE(test_no_answer),
		CASE(test_deadline),	 CASE(test_deadline_and_pause),
		CASE(test_bind),	 CASE(test_bind_late),
		CASE(test_bind_not),	 CASE(test_force),
		CASE(test_full_bus),	 CASE(test_vcpus),
		CASE(test_vcpus_fail),	 CASE(test_memory),
		CASE(test_memory_reset), CASE(test_memory_late),
	};

	return cmocka_run_group_tests_name("hotplug", tests, make_image,
					   remove_image);
}
