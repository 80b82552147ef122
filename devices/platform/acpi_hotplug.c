/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Hot-plug by ACPI (6.5 section 5.6.6): an interrupt of the Generic Event
 * Device says that there is something, then the guest's byte code reads event
 * words until there is none. What is there (_STA, _CRS of processors and
 * memory) stands in guest memory, so that looking costs no exit.
 */
#include <stdatomic.h>
#include <string.h>

#include "boot/x86/acpi.h"
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* Values of Notify() (5.6.6). */
#define NOTIFY_DEVICE_CHECK 1u
#define NOTIFY_EJECT_REQUEST 3u

/* _OST of an eject request (6.3.5.2): all others but success are a no. */
#define OST_SUCCESS 0u
#define OST_EJECT_IN_PROGRESS 0x84u

struct acpi_hotplug_state {
	/* values of Notify() that the guest has not read, 0: none */
	_Atomic uint8_t events[HOTPLUG_KINDS][HOTPLUG_MAX_INDEX];
	/* the guest may eject it */
	atomic_bool asked[HOTPLUG_KINDS][HOTPLUG_MAX_INDEX];
	atomic_bool heard; /* the guest has looked for events */
};

struct acpi_hotplug {
	struct chip chip;
	struct acpi_hotplug_state state; /* any thread */
};

static void ahp_pulse(const struct acpi_hotplug *ahp)
{
	board_pulse_line(ahp->chip.board, ahp->chip.place.gsi);
}

/* ---- guest: vCPU threads ---- */

static uint64_t ahp_read(struct chip *chip, uint64_t off, unsigned int len)
{
	struct acpi_hotplug *ahp =
		container_of(chip, struct acpi_hotplug, chip);
	unsigned int kind, i;

	if (off != ACPI_HOTPLUG_EVENT || len != 4)
		return 0;
	ahp->state.heard = true;
	for (kind = 0; kind < HOTPLUG_KINDS; kind++) {
		for (i = 0; i < HOTPLUG_MAX_INDEX; i++) {
			_Atomic uint8_t *event = &ahp->state.events[kind][i];
			uint8_t value = *event ? atomic_exchange(event, 0) : 0;

			if (value)
				return ACPI_HOTPLUG_WORD(kind, i, value);
		}
	}
	return 0;
}

/* What the guest finds where it looks. */
static void ahp_show(const struct acpi_hotplug *ahp, enum hotplug_kind kind,
		     unsigned int index, gpa_t gpa, uint64_t len, bool present)
{
	const gpa_t state = ahp->chip.place.memory;
	const struct gmem *gm = &ahp->chip.board->gmem;
	uint8_t *cpu = gmem_ptr(gm, state + ACPI_STATE_CPUS + index, 1);
	void *dimm = gmem_ptr(gm,
			      state + ACPI_STATE_DIMMS +
				      index * (uint64_t)ACPI_STATE_DIMM_LEN,
			      ACPI_STATE_DIMM_LEN);

	if (kind == HOTPLUG_CPU && cpu)
		__atomic_store_n(cpu, present ? ACPI_STA_PRESENT : 0,
				 __ATOMIC_RELEASE);
	else if (kind == HOTPLUG_MEMORY && dimm)
		acpi_store_dimm(dimm, gpa, len);
}

/* Have the guest look at it. Any thread. */
static void ahp_check(struct acpi_hotplug *ahp, enum hotplug_kind kind,
		      unsigned int index)
{
	ahp->state.events[kind][index] = NOTIFY_DEVICE_CHECK;
	ahp_pulse(ahp);
}

/*
 * The guest let go of something that stays, because it was too slow or nobody
 * asked. What it forgot of vCPUs and memory it finds again only when told to
 * look; a device on the bus, whenever its slot is used.
 */
static void ahp_eject_unasked(struct acpi_hotplug *ahp, enum hotplug_kind kind,
			      unsigned int index)
{
	log_debug("hot-plug: the guest ejects %u of kind %u unasked", index,
		  kind);
	if (kind != HOTPLUG_PCI)
		ahp_check(ahp, kind, index);
}

/* The guest looks at _STA again right after _EJ0: it is gone by then. */
static void ahp_eject(struct acpi_hotplug *ahp, enum hotplug_kind kind,
		      unsigned int index)
{
	ahp_show(ahp, kind, index, 0, 0, false);
	board_eject_answer(ahp->chip.board, kind, index, true);
}

static void ahp_write(struct chip *chip, uint64_t off, uint64_t value,
		      unsigned int len)
{
	struct acpi_hotplug *ahp =
		container_of(chip, struct acpi_hotplug, chip);
	enum hotplug_kind kind = (enum hotplug_kind)(value >> 24);
	unsigned int index = value >> 8 & 0xffff, status = value & 0xff;
	bool refuses = off == ACPI_HOTPLUG_STATUS && status != OST_SUCCESS &&
		       status != OST_EJECT_IN_PROGRESS;
	bool asked;

	if (len != 4 || kind >= HOTPLUG_KINDS || index >= HOTPLUG_MAX_INDEX ||
	    (off != ACPI_HOTPLUG_EJECT && !refuses))
		return;
	asked = atomic_exchange(&ahp->state.asked[kind][index], false);
	if (refuses && asked)
		board_eject_answer(chip->board, kind, index, false);
	else if (!refuses && asked)
		ahp_eject(ahp, kind, index);
	else if (!refuses)
		ahp_eject_unasked(ahp, kind, index);
}

/* ---- machine: main thread ---- */

static void ahp_came(void *opaque, enum hotplug_kind kind, unsigned int index,
		     gpa_t gpa, uint64_t len)
{
	ahp_show(opaque, kind, index, gpa, len, true);
	ahp_check(opaque, kind, index);
}

static bool ahp_ask(void *opaque, enum hotplug_kind kind, unsigned int index,
		    bool on)
{
	struct acpi_hotplug *ahp = opaque;
	_Atomic uint8_t *event = &ahp->state.events[kind][index];
	uint8_t unread = NOTIFY_EJECT_REQUEST;
	bool asked = atomic_exchange(&ahp->state.asked[kind][index], on);

	if (on) {
		*event = NOTIFY_EJECT_REQUEST;
		ahp_pulse(ahp);
	} else {
		atomic_compare_exchange_strong(event, &unread, 0);
	}
	return asked;
}

static bool ahp_is_heard(void *opaque)
{
	return ((struct acpi_hotplug *)opaque)->state.heard;
}

static bool ahp_is_unread(void *opaque, enum hotplug_kind kind,
			  unsigned int index)
{
	return ((struct acpi_hotplug *)opaque)->state.events[kind][index];
}

static const struct hotplug_chip_ops ahp_guest_ops = {
	.came = ahp_came,
	.ask = ahp_ask,
	.is_heard = ahp_is_heard,
	.is_unread = ahp_is_unread,
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

	memset(&ahp->state, 0, sizeof(ahp->state));
	ahp_pulse(ahp);
}

/* One for all kinds. */
static void ahp_set(struct chip *chip, const struct hotplug_chip_ops *ops)
{
	for (unsigned int kind = 0; kind < HOTPLUG_KINDS; kind++)
		board_set_hotplug(chip->board, (enum hotplug_kind)kind, ops,
				  chip);
}

static void ahp_destroy(struct device *device)
{
	ahp_set(container_of(device, struct chip, device), NULL);
	chip_destroy(device);
}

static int ahp_init(struct chip *chip, struct error *err unused_param)
{
	ahp_set(chip, &ahp_guest_ops);
	return 0;
}

static const struct chip_kind acpi_hotplug = {
	.size = sizeof(struct acpi_hotplug),
	.len = ACPI_HOTPLUG_PORTS,
	.read = ahp_read,
	.write = ahp_write,
	.init = ahp_init,
	.ops = {
		.reset = ahp_reset,
		.destroy = ahp_destroy,
	},
};

const struct device_class acpi_hotplug_class =
	CHIP_CLASS("acpi_hotplug", &acpi_hotplug);
