/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Hot-plug by ACPI (6.5 section 5.6.6): an interrupt of the Generic Event
 * Device says that there is something, then the guest's byte code reads event
 * words until there is none. What is there (_STA, _CRS of processors and
 * memory) stands in guest memory, so that looking costs no exit.
 */
#include <pthread.h>
#include <string.h>

#include "boot/acpi.h"
#include "devices/platform/chip.h"
#include "devices/registry.h"
#include "vmm/byteorder.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/board.h"

/* Values of Notify() (5.6.6). */
#define NOTIFY_DEVICE_CHECK 1u
#define NOTIFY_EJECT_REQUEST 3u

/* _OST of an eject request (6.3.5.2): all others but success are a no. */
#define OST_SUCCESS 0u
#define OST_EJECT_IN_PROGRESS 0x84u

struct acpi_hotplug_state {
	/* values of Notify() that the guest has not read, 0: none */
	uint8_t events[HOTPLUG_KINDS][HOTPLUG_MAX_INDEX];
	/* the guest may eject it */
	bool asked[HOTPLUG_KINDS][HOTPLUG_MAX_INDEX];
	bool heard; /* the guest has looked for events */
};

struct acpi_hotplug {
	struct chip chip;
	/* any thread, under the chip's lock (a leaf) */
	struct acpi_hotplug_state state;
};

/* ---- guest: vCPU threads ---- */

static uint32_t ahp_next_event(struct acpi_hotplug *ahp)
{
	unsigned int kind, i;
	uint32_t word = 0;

	pthread_mutex_lock(&ahp->chip.lock);
	ahp->state.heard = true;
	for (kind = 0; kind < HOTPLUG_KINDS && !word; kind++) {
		for (i = 0; i < HOTPLUG_MAX_INDEX && !word; i++) {
			if (!ahp->state.events[kind][i])
				continue;
			word = ACPI_HOTPLUG_WORD(kind, i,
						 ahp->state.events[kind][i]);
			ahp->state.events[kind][i] = 0;
		}
	}
	pthread_mutex_unlock(&ahp->chip.lock);
	return word;
}

/* Takes back the permission. False: there was none. */
static bool ahp_end_ask(struct acpi_hotplug *ahp, unsigned int kind,
			unsigned int index)
{
	bool asked;

	pthread_mutex_lock(&ahp->chip.lock);
	asked = ahp->state.asked[kind][index];
	ahp->state.asked[kind][index] = false;
	pthread_mutex_unlock(&ahp->chip.lock);
	return asked;
}

/* Where a byte or a DIMM's words of the state area are; NULL: no RAM there. */
static void *ahp_area(struct acpi_hotplug *ahp, uint64_t off, uint64_t len)
{
	return gmem_ptr(&ahp->chip.board->gmem, ahp->chip.place.memory + off,
			len);
}

static void ahp_set_cpu(void *opaque, unsigned int index, bool present)
{
	uint8_t *p = ahp_area(opaque, ACPI_STATE_CPUS + index, 1);

	if (p)
		__atomic_store_n(p, present ? ACPI_STA_PRESENT : 0,
				 __ATOMIC_RELEASE);
}

static void ahp_set_memory(void *opaque, unsigned int index, gpa_t gpa,
			   uint64_t len)
{
	uint8_t *p = ahp_area(opaque,
			      ACPI_STATE_DIMMS + index * ACPI_STATE_DIMM_LEN,
			      ACPI_STATE_DIMM_LEN);

	if (p)
		acpi_store_dimm(p, gpa, len);
}

/* Have the guest look at it. Any thread. */
static void ahp_check(void *opaque, enum hotplug_kind kind, unsigned int index)
{
	struct acpi_hotplug *ahp = opaque;

	pthread_mutex_lock(&ahp->chip.lock);
	ahp->state.events[kind][index] = NOTIFY_DEVICE_CHECK;
	pthread_mutex_unlock(&ahp->chip.lock);
	irq_pulse(ahp->chip.board, ahp->chip.place.gsi);
}

/*
 * The guest let go of something that stays, because it was too slow or nobody
 * asked. What it forgot of vCPUs and memory it finds again only when told to
 * look; a device on the bus, whenever its slot is used.
 */
static void ahp_eject_unasked(struct acpi_hotplug *ahp, unsigned int kind,
			      unsigned int index)
{
	log_debug("hot-plug: the guest ejects %u of kind %u unasked", index,
		  kind);
	if (kind != HOTPLUG_PCI)
		ahp_check(ahp, (enum hotplug_kind)kind, index);
}

/* The guest looks at _STA again right after _EJ0: it is gone by then. */
static void ahp_eject(struct acpi_hotplug *ahp, unsigned int kind,
		      unsigned int index)
{
	if (!ahp_end_ask(ahp, kind, index)) {
		ahp_eject_unasked(ahp, kind, index);
		return;
	}
	if (kind == HOTPLUG_CPU)
		ahp_set_cpu(ahp, index, false);
	else if (kind == HOTPLUG_MEMORY)
		ahp_set_memory(ahp, index, 0, 0);
	board_eject_answer(ahp->chip.board, (enum hotplug_kind)kind, index,
			   true);
}

static void ahp_status(struct acpi_hotplug *ahp, unsigned int kind,
		       unsigned int index, unsigned int status)
{
	if (status == OST_SUCCESS || status == OST_EJECT_IN_PROGRESS)
		return;
	if (ahp_end_ask(ahp, kind, index))
		board_eject_answer(ahp->chip.board, (enum hotplug_kind)kind,
				   index, false);
}

static void ahp_read(void *opaque, uint64_t off, void *data, unsigned int len)
{
	memset(data, 0, len);
	if (off == ACPI_HOTPLUG_EVENT && len == 4)
		le_store(data, ahp_next_event(opaque), 4);
}

static void ahp_write(void *opaque, uint64_t off, const void *data,
		      unsigned int len)
{
	uint32_t word = (uint32_t)le_load(data, len);
	unsigned int kind = word >> 24, index = word >> 8 & 0xffff;

	if (len != 4 || kind >= HOTPLUG_KINDS || index >= HOTPLUG_MAX_INDEX)
		return;
	if (off == ACPI_HOTPLUG_EJECT)
		ahp_eject(opaque, kind, index);
	else if (off == ACPI_HOTPLUG_STATUS)
		ahp_status(opaque, kind, index, word & 0xff);
}

static const struct bus_ops ahp_bus_ops = {
	.read = ahp_read,
	.write = ahp_write,
};

/* ---- machine: main thread ---- */

static bool ahp_ask(void *opaque, enum hotplug_kind kind, unsigned int index,
		    bool on)
{
	struct acpi_hotplug *ahp = opaque;
	bool asked;

	pthread_mutex_lock(&ahp->chip.lock);
	asked = ahp->state.asked[kind][index];
	ahp->state.asked[kind][index] = on;
	if (on)
		ahp->state.events[kind][index] = NOTIFY_EJECT_REQUEST;
	else if (ahp->state.events[kind][index] == NOTIFY_EJECT_REQUEST)
		ahp->state.events[kind][index] = 0;
	pthread_mutex_unlock(&ahp->chip.lock);
	if (on)
		irq_pulse(ahp->chip.board, ahp->chip.place.gsi);
	return asked;
}

static bool ahp_is_heard(void *opaque)
{
	struct acpi_hotplug *ahp = opaque;
	bool heard;

	pthread_mutex_lock(&ahp->chip.lock);
	heard = ahp->state.heard;
	pthread_mutex_unlock(&ahp->chip.lock);
	return heard;
}

static bool ahp_is_unread(void *opaque, enum hotplug_kind kind,
			  unsigned int index)
{
	struct acpi_hotplug *ahp = opaque;
	bool unread;

	pthread_mutex_lock(&ahp->chip.lock);
	unread = ahp->state.events[kind][index] != 0;
	pthread_mutex_unlock(&ahp->chip.lock);
	return unread;
}

static const struct hotplug_chip_ops ahp_guest_ops = {
	.check = ahp_check,
	.ask = ahp_ask,
	.is_heard = ahp_is_heard,
	.is_unread = ahp_is_unread,
	.set_cpu = ahp_set_cpu,
	.set_memory = ahp_set_memory,
};

/*
 * One interrupt waits for the guest from the start: it is taken, and the byte
 * code looks for events, as soon as the Generic Event Device has its driver.
 * From then on the guest listens.
 */
static void ahp_reset(struct device *device)
{
	struct acpi_hotplug *ahp =
		container_of(device, struct acpi_hotplug, chip.device);

	pthread_mutex_lock(&ahp->chip.lock);
	memset(&ahp->state, 0, sizeof(ahp->state));
	pthread_mutex_unlock(&ahp->chip.lock);
	irq_pulse(ahp->chip.board, ahp->chip.place.gsi);
}

static void ahp_destroy(struct device *device)
{
	struct acpi_hotplug *ahp =
		container_of(device, struct acpi_hotplug, chip.device);

	board_set_hotplug_chip(ahp->chip.board, NULL, NULL);
	chip_destroy(device);
}

static const struct device_ops ahp_ops = {
	.reset = ahp_reset,
	.destroy = ahp_destroy,
};

static int ahp_create(struct board *board, const void *config,
		      void *opened unused_param, struct device **out,
		      struct error *err)
{
	static const struct chip_kind kind = {
		.class = &acpi_hotplug_class,
		.ops = &ahp_ops,
		.size = sizeof(struct acpi_hotplug),
		.len = ACPI_HOTPLUG_PORTS,
		.bus_ops = &ahp_bus_ops,
	};
	int r = chip_create(board, &kind, config, out, err);

	if (r)
		return r;
	board_set_hotplug_chip(
		board, &ahp_guest_ops,
		container_of(*out, struct acpi_hotplug, chip.device));
	ahp_reset(*out);
	return 0;
}

const struct device_class acpi_hotplug_class = {
	.name = "acpi_hotplug",
	.kind = DEVICE_PLATFORM,
	.create = ahp_create,
};
