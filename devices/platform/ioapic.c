/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The I/O APIC (Intel 82093AA data sheet), which turns interrupt lines into
 * messages to the in-kernel local APICs. It is ours and not KVM's because the
 * kernel's comes with a pair of 8259s on its I/O bus, and taking those apart
 * holds up the end of every machine for a grace period of 8 to 20 ms. All
 * lines of this machine are edge triggered, as the ACPI tables say, so no
 * end-of-interrupt has to come back.
 */
#include <pthread.h>

#include "devices/platform/chip.h"
#include "devices/registry.h"
#include "vmm/byteorder.h"
#include "vmm/irq.h"
#include "vmm/util.h"
#include "vmm/board.h"

#define IOAPIC_MAX_PINS 24u
#define IOAPIC_LEN 0x1000u

/* Memory-mapped registers */
#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10

/* Indirect registers */
#define IOAPIC_REG_ID 0x00
#define IOAPIC_REG_VERSION 0x01
#define IOAPIC_REG_ARBITRATION 0x02
#define IOAPIC_REG_TABLE 0x10
#define IOAPIC_VERSION 0x11u

/* Redirection entry */
#define ENTRY_VECTOR 0xffu
#define ENTRY_DELIVERY 0x700u
#define ENTRY_LOGICAL (1u << 11)
#define ENTRY_READ_ONLY (1u << 12 | 1u << 14) /* status, remote IRR */
#define ENTRY_MASKED (1u << 16)
#define ENTRY_DESTINATION 56

/* Message address and data (Intel SDM vol. 3 section 11.11) */
#define MSI_ADDRESS 0xfee00000u
#define MSI_DESTINATION 12
#define MSI_LOGICAL (1u << 2)

struct ioapic_state {
	uint8_t select;
	uint32_t id;
	uint64_t entries[IOAPIC_MAX_PINS]; /* of each pin */
	uint32_t lines; /* a bit per pin: level of the input */
	uint32_t pending; /* rose while masked, or while interrupts were held */
};

struct ioapic {
	struct chip chip;
	unsigned int nr_pins;
	/* any thread, under the chip's lock */
	struct ioapic_state state;
};

static void ioapic_send_locked(struct ioapic *io, unsigned int pin)
{
	uint64_t e = io->state.entries[pin];
	uint32_t bit = 1u << pin;

	if (e & ENTRY_MASKED ||
	    !irq_msi(io->chip.board, 0,
		     MSI_ADDRESS | (e >> ENTRY_DESTINATION) << MSI_DESTINATION |
			     (e & ENTRY_LOGICAL ? MSI_LOGICAL : 0),
		     (uint32_t)(e & (ENTRY_VECTOR | ENTRY_DELIVERY))))
		io->state.pending |= bit;
	else
		io->state.pending &= ~bit;
}

static void ioapic_line(void *opaque, uint32_t gsi, bool level)
{
	struct ioapic *io = opaque;
	uint32_t bit;

	if (gsi >= io->nr_pins)
		return;
	bit = 1u << gsi;
	pthread_mutex_lock(&io->chip.lock);
	if (!level)
		io->state.lines &= ~bit;
	else if (!(io->state.lines & bit)) {
		io->state.lines |= bit;
		ioapic_send_locked(io, gsi);
	}
	pthread_mutex_unlock(&io->chip.lock);
}

static uint32_t ioapic_read_locked(const struct ioapic *io)
{
	unsigned int i = io->state.select - IOAPIC_REG_TABLE;

	switch (io->state.select) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return io->state.id;
	case IOAPIC_REG_VERSION:
		return IOAPIC_VERSION | (io->nr_pins - 1) << 16;
	default:
		if (io->state.select < IOAPIC_REG_TABLE || i >= 2 * io->nr_pins)
			return 0;
		return (uint32_t)(io->state.entries[i / 2] >> 32 * (i % 2));
	}
}

static void ioapic_write_entry_locked(struct ioapic *io, unsigned int i,
				      uint32_t v)
{
	uint64_t *e = &io->state.entries[i / 2];

	if (i % 2)
		*e = (*e & 0xffffffffu) | (uint64_t)v << 32;
	else
		*e = (*e & ~0xffffffffull) | (v & ~ENTRY_READ_ONLY);
	if (io->state.pending & 1u << i / 2)
		ioapic_send_locked(io, i / 2);
}

static void ioapic_write_locked(struct ioapic *io, uint32_t v)
{
	unsigned int i = io->state.select - IOAPIC_REG_TABLE;

	if (io->state.select == IOAPIC_REG_ID)
		io->state.id = v & 0x0f000000;
	else if (io->state.select >= IOAPIC_REG_TABLE && i < 2 * io->nr_pins)
		ioapic_write_entry_locked(io, i, v);
}

static void ioapic_read(void *opaque, uint64_t off, void *data,
			unsigned int len)
{
	struct ioapic *io = opaque;
	uint32_t v = 0;

	pthread_mutex_lock(&io->chip.lock);
	if (off == IOAPIC_SELECT)
		v = io->state.select;
	else if (off == IOAPIC_WINDOW)
		v = ioapic_read_locked(io);
	pthread_mutex_unlock(&io->chip.lock);
	le_store(data, v, len);
}

static void ioapic_write(void *opaque, uint64_t off, const void *data,
			 unsigned int len)
{
	struct ioapic *io = opaque;
	uint32_t v = (uint32_t)le_load(data, MIN(len, 4u));

	pthread_mutex_lock(&io->chip.lock);
	if (off == IOAPIC_SELECT)
		io->state.select = (uint8_t)v;
	else if (off == IOAPIC_WINDOW)
		ioapic_write_locked(io, v);
	pthread_mutex_unlock(&io->chip.lock);
}

static const struct bus_ops ioapic_bus_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

static void ioapic_reset(struct device *device)
{
	struct ioapic *io = container_of(device, struct ioapic, chip.device);
	unsigned int i;

	pthread_mutex_lock(&io->chip.lock);
	io->state = (struct ioapic_state){ 0 };
	for (i = 0; i < io->nr_pins; i++)
		io->state.entries[i] = ENTRY_MASKED;
	pthread_mutex_unlock(&io->chip.lock);
}

/* Interrupts were held. */
static void ioapic_resume(struct device *device)
{
	struct ioapic *io = container_of(device, struct ioapic, chip.device);
	unsigned int i;

	pthread_mutex_lock(&io->chip.lock);
	for (i = 0; i < io->nr_pins; i++)
		if (io->state.pending & 1u << i)
			ioapic_send_locked(io, i);
	pthread_mutex_unlock(&io->chip.lock);
}

static void ioapic_destroy(struct device *device)
{
	struct ioapic *io = container_of(device, struct ioapic, chip.device);

	irq_set_line_sink(io->chip.board, NULL, NULL);
	chip_destroy(device);
}

static const struct device_ops ioapic_ops = {
	.reset = ioapic_reset,
	.resume = ioapic_resume,
	.destroy = ioapic_destroy,
};

static int ioapic_create(struct board *board, const void *config,
			 void *opened unused_param, struct device **out,
			 struct error *err)
{
	static const struct chip_kind kind = {
		.class = &ioapic_class,
		.ops = &ioapic_ops,
		.size = sizeof(struct ioapic),
		.len = IOAPIC_LEN,
		.bus_ops = &ioapic_bus_ops,
	};
	int r = chip_create(board, &kind, config, out, err);
	struct ioapic *io;

	if (r)
		return r;
	io = container_of(*out, struct ioapic, chip.device);
	io->nr_pins = MIN(io->chip.place.nr_pins, IOAPIC_MAX_PINS);
	ioapic_reset(*out);
	irq_set_line_sink(board, ioapic_line, io);
	return 0;
}

const struct device_class ioapic_class = {
	.name = "ioapic",
	.kind = DEVICE_PLATFORM,
	.create = ioapic_create,
};
