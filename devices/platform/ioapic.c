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
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "vmm/util.h"

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
	    !board_msi(io->chip.board, 0,
		       MSI_ADDRESS |
			       (e >> ENTRY_DESTINATION) << MSI_DESTINATION |
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
	mutex_guard(&io->chip.lock);
	if (!level)
		io->state.lines &= ~bit;
	else if (!(io->state.lines & bit)) {
		io->state.lines |= bit;
		ioapic_send_locked(io, gsi);
	}
}

/* The half of a redirection entry that is selected; NULL: something else is. */
static uint64_t *ioapic_entry_locked(struct ioapic *io, unsigned int *shift)
{
	unsigned int i = io->state.select - IOAPIC_REG_TABLE;

	if (io->state.select < IOAPIC_REG_TABLE || i >= 2 * io->nr_pins)
		return NULL;
	*shift = i % 2 * 32;
	return &io->state.entries[i / 2];
}

static uint64_t ioapic_read(struct chip *chip, uint64_t off,
			    unsigned int len unused_param)
{
	struct ioapic *io = container_of(chip, struct ioapic, chip);
	unsigned int shift;
	uint64_t *e;

	if (off == IOAPIC_SELECT)
		return io->state.select;
	if (off != IOAPIC_WINDOW)
		return 0;
	switch (io->state.select) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return io->state.id;
	case IOAPIC_REG_VERSION:
		return IOAPIC_VERSION | (io->nr_pins - 1) << 16;
	default:
		e = ioapic_entry_locked(io, &shift);
		return e ? (uint32_t)(*e >> shift) : 0;
	}
}

static void ioapic_flush_locked(struct ioapic *io, unsigned int pin)
{
	if (io->state.pending & 1u << pin)
		ioapic_send_locked(io, pin);
}

static void ioapic_write(struct chip *chip, uint64_t off, uint64_t v,
			 unsigned int len unused_param)
{
	struct ioapic *io = container_of(chip, struct ioapic, chip);
	unsigned int shift;
	uint64_t *e;

	if (off == IOAPIC_SELECT)
		io->state.select = (uint8_t)v;
	if (off != IOAPIC_WINDOW)
		return;
	if (io->state.select == IOAPIC_REG_ID)
		io->state.id = v & 0x0f000000;
	e = ioapic_entry_locked(io, &shift);
	if (!e)
		return;
	*e = (*e & ~(0xffffffffull << shift)) | (v & 0xffffffff) << shift;
	*e &= ~(uint64_t)ENTRY_READ_ONLY;
	ioapic_flush_locked(io, (unsigned int)(e - io->state.entries));
}

static void ioapic_reset(struct device *device)
{
	struct ioapic *io = container_of(device, struct ioapic, chip.device);

	mutex_guard(&io->chip.lock);
	io->state = (struct ioapic_state){ 0 };
	for (unsigned int i = 0; i < io->nr_pins; i++)
		io->state.entries[i] = ENTRY_MASKED;
}

/* Interrupts were held. */
static void ioapic_resume(struct device *device)
{
	struct ioapic *io = container_of(device, struct ioapic, chip.device);

	mutex_guard(&io->chip.lock);
	for (unsigned int i = 0; i < io->nr_pins; i++)
		ioapic_flush_locked(io, i);
}

static void ioapic_destroy(struct device *device)
{
	struct ioapic *io = container_of(device, struct ioapic, chip.device);

	board_set_line_sink(io->chip.board, NULL, NULL);
	chip_destroy(device);
}

static int ioapic_init(struct chip *chip, struct error *err unused_param)
{
	struct ioapic *io = container_of(chip, struct ioapic, chip);

	io->nr_pins = MIN(chip->place.nr_pins, IOAPIC_MAX_PINS);
	board_set_line_sink(chip->board, ioapic_line, io);
	return 0;
}

static const struct chip_kind ioapic = {
	.size = sizeof(struct ioapic),
	.len = IOAPIC_LEN,
	.read = ioapic_read,
	.write = ioapic_write,
	.init = ioapic_init,
	.ops = {
		.reset = ioapic_reset,
		.resume = ioapic_resume,
		.destroy = ioapic_destroy,
	},
};

const struct device_class ioapic_class = CHIP_CLASS("ioapic", &ioapic);
