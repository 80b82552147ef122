/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A PL031 real time clock (ARM DDI 0224): seconds since 1970, by the host's
 * clock. The guest can set it. Nobody connects its interrupt: it rings no alarm.
 */
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "devices/platform/primecell.h"
#include "vmm/util.h"

#include <time.h>

/* Registers, 32 bits each. */
enum {
	RTC_DR = 0x00, /* the time */
	RTC_MR = 0x04, /* when to ring */
	RTC_LR = 0x08, /* sets the time */
	RTC_CR = 0x0c, /* 1: it runs, as it does always here */
	RTC_IMSC = 0x10, /* lets it ring */
};

struct pl031 {
	struct chip chip;
	/* under the chip's lock */
	struct pl031_state {
		uint32_t offset; /* to the host's clock, in seconds */
		uint32_t match, set, mask; /* as they were written */
	} state;
};

static uint64_t pl031_read(struct chip *chip, uint64_t off,
			   unsigned int len unused_param)
{
	static const uint8_t id[4] = { 0x31, 0x10, 0x04, 0x00 };
	const struct pl031 *p = container_of(chip, struct pl031, chip);

	switch (off) {
	case RTC_DR:
		return (uint32_t)time(NULL) + p->state.offset;
	case RTC_MR:
		return p->state.match;
	case RTC_LR:
		return p->state.set;
	case RTC_CR:
		return 1;
	case RTC_IMSC:
		return p->state.mask;
	default:
		return off >= PRIMECELL_ID ? primecell_id(off, id) : 0;
	}
}

static void pl031_write(struct chip *chip, uint64_t off, uint64_t value,
			unsigned int len unused_param)
{
	struct pl031 *p = container_of(chip, struct pl031, chip);
	uint32_t v = (uint32_t)value;

	if (off == RTC_LR) {
		p->state.set = v;
		p->state.offset = v - (uint32_t)time(NULL);
	} else if (off == RTC_MR) {
		p->state.match = v;
	} else if (off == RTC_IMSC) {
		p->state.mask = v & 1;
	}
}

static void pl031_reset(struct device *device)
{
	container_of(device, struct pl031, chip.device)->state =
		(struct pl031_state){ 0 };
}

static const struct chip_kind pl031 = {
	.size = sizeof(struct pl031),
	.len = PRIMECELL_LEN,
	.read = pl031_read,
	.write = pl031_write,
	.ops = {
		.reset = pl031_reset,
		.destroy = chip_destroy,
	},
};

const struct device_class pl031_class = CHIP_CLASS("pl031", &pl031);
