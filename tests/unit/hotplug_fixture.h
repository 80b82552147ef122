/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_HOTPLUG_FIXTURE_H
#define TESTS_UNIT_HOTPLUG_FIXTURE_H

/*
 * Hot-plug with a guest that is this test: it reads event words, ejects and
 * refuses through the chip's registers, and looks at what stands in its memory.
 * For the one file that includes this.
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
#include "boot/x86/acpi.h"
#include "boot/x86/layout.h"
#include "devices/platform/chips.h"
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
static char said[256]; /* the last callback */
static unsigned int nr_said, nr_told, nr_untold;
static char drivers
	[64]; /* "+id", "-id" of on_driver(); "^id", "vid" of on_link() */
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

static void reap(struct loop_call *lc unused_param)
{
	hotplug_reap(&hp);
}

static struct loop_call reap_call = { .fn = reap };

static void on_plugged(void *opaque unused_param, bool add,
		       const struct hotplug_place *at, const char *why,
		       uint64_t ticket unused_param)
{
	if (add)
		snprintf(said, sizeof(said), "%s %s %s", why ? why : "plugged",
			 at->id, at->bdf);
	else if (why)
		snprintf(said, sizeof(said), "kept %s: %s", at->id, why);
	else
		snprintf(said, sizeof(said), "removed %s %s", at->id, at->bdf);
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

static void on_link(void *opaque unused_param, const char *id, bool up)
{
	if (strlen(drivers) > 40)
		drivers[0] = '\0';
	strncat(drivers, up ? "^" : "v", 2);
	strncat(drivers, id, 8);
	nr_told++;
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
	.link = on_link,
	.resized = on_resized,
};

/* ---- the guest ---- */

static unused_param uint32_t next_event(void)
{
	return (uint32_t)fake_pio_read(
		&fv, X86_HOTPLUG_PORT + ACPI_HOTPLUG_EVENT, 4);
}

static unused_param void expect_event(unsigned int kind, unsigned int index,
				      unsigned int value)
{
	assert_int_equal(next_event(), ACPI_HOTPLUG_WORD(kind, index, value));
}

static unused_param void eject(unsigned int kind, unsigned int index)
{
	fake_pio_write(&fv, X86_HOTPLUG_PORT + ACPI_HOTPLUG_EJECT,
		       ACPI_HOTPLUG_WORD(kind, index, 0), 4);
	fake_vm_turn(&fv);
}

static unused_param void status(unsigned int kind, unsigned int index,
				unsigned int value)
{
	fake_pio_write(&fv, X86_HOTPLUG_PORT + ACPI_HOTPLUG_STATUS,
		       ACPI_HOTPLUG_WORD(kind, index, value), 4);
	fake_vm_turn(&fv);
}

static unused_param uint8_t cpu_sta(unsigned int index)
{
	const uint8_t *p =
		gmem_ptr(&fv.board.gmem, BOOT_HOTPLUG, ACPI_STATE_LEN);

	return p[ACPI_STATE_CPUS + index];
}

/* 0 base, 1 length, 2 _STA */
static unused_param uint64_t dimm(unsigned int index, unsigned int word)
{
	const uint8_t *p =
		gmem_ptr(&fv.board.gmem, BOOT_HOTPLUG, ACPI_STATE_LEN);

	return le_load(p + ACPI_STATE_DIMMS + index * ACPI_STATE_DIMM_LEN +
			       8ull * word,
		       8);
}

static unused_param uint64_t blocks(unsigned int nr)
{
	return fv.board.gmem.config.size + nr * GMEM_BLOCK;
}

/* ---- fixture ---- */

static int setup(void **state unused_param)
{
	static const struct chip_place place = {
		.class = &acpi_hotplug_class,
		.pio = true,
		.base = X86_HOTPLUG_PORT,
		.gsi = X86_HOTPLUG_GSI,
		.memory = BOOT_HOTPLUG,
	};
	struct error err;

	fake_vm_init(&fv);
	fv.board.on_quiet = &reap_call;
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
	chip = fake_vm_add(&fv, &acpi_hotplug_class, &place);
	assert_non_null(chip);
	fake_vm_add_pci(&fv);
	return 0;
}

static int teardown(void **state unused_param)
{
	fake_vm_turn(&fv);
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

static unused_param bool has_said(void *arg unused_param)
{
	return nr_said;
}

#endif
