/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A PL011 UART (ARM DDI 0183) with FIFOs of 16 bytes. Bytes leave at once, so the
 * transmitter is always empty; the receiver's FIFO is filled from the host as
 * the guest reads it.
 */
#include "devices/backend/console.h"
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "devices/platform/primecell.h"
#include "vmm/config.h"
#include "vmm/util.h"

#define PL011_FIFO 16u

/* Registers, 32 bits each. */
enum {
	UART_DR = 0x00,
	UART_RSR = 0x04,
	UART_FR = 0x18,
	UART_ILPR = 0x20,
	UART_IBRD = 0x24,
	UART_FBRD = 0x28,
	UART_LCRH = 0x2c,
	UART_CR = 0x30,
	UART_IFLS = 0x34,
	UART_IMSC = 0x38,
	UART_RIS = 0x3c,
	UART_MIS = 0x40,
	UART_ICR = 0x44,
	UART_DMACR = 0x48,
};

#define FR_CTS (1u << 0)
#define FR_DSR (1u << 1)
#define FR_DCD (1u << 2)
#define FR_RXFE (1u << 4) /* receiver empty */
#define FR_RXFF (1u << 6) /* receiver full */
#define FR_TXFE (1u << 7) /* transmitter empty */
#define LCRH_FEN (1u << 4) /* FIFOs are enabled */
#define CR_LBE (1u << 7) /* loopback */
#define CR_RESET 0x300u /* transmitter and receiver are on */
#define IFLS_RESET 0x12u
#define INT_RX (1u << 4)
#define INT_TX (1u << 5)
#define INT_RT (1u << 6) /* something waits in the receiver */

struct pl011_state {
	/* as they were written */
	uint32_t ilpr, ibrd, fbrd, lcrh, cr, ifls, imsc, dmacr;
	uint32_t ris; /* INT_TX: not acknowledged; the others follow the FIFO */
	uint8_t fifo[PL011_FIFO]; /* received: count bytes from head on */
	uint32_t head, count;
};

struct pl011 {
	struct chip chip;
	struct console *con;
	bool paused; /* main thread: the host's bytes wait */

	/* vCPU and main threads, under the chip's lock */
	struct pl011_state state;
	bool line; /* level of the interrupt line, which follows the state */
};

static void pl011_update_irq_locked(struct pl011 *p)
{
	bool line = p->state.ris & p->state.imsc;

	if (line == p->line)
		return;
	p->line = line;
	board_set_line(p->chip.board, p->chip.place.gsi, line);
}

/* Bytes that the receiver holds: without FIFOs, one. */
static uint32_t pl011_room(const struct pl011_state *s)
{
	uint32_t depth = s->lcrh & LCRH_FEN ? PL011_FIFO : 1;

	return depth > s->count ? depth - s->count : 0;
}

/* A byte that waits is told of at once, and not after a while as by a real one:
 * nobody knows whether more will come. */
static void pl011_receive_locked(struct pl011 *p, uint8_t byte)
{
	struct pl011_state *s = &p->state;

	if (!pl011_room(s))
		return;
	s->fifo[(s->head + s->count++) % PL011_FIFO] = byte;
	s->ris |= INT_RX | INT_RT;
}

static uint8_t pl011_take_locked(struct pl011 *p)
{
	struct pl011_state *s = &p->state;
	uint8_t byte;

	if (!s->count)
		return 0;
	byte = s->fifo[s->head];
	s->head = (s->head + 1) % PL011_FIFO;
	if (!--s->count) {
		s->ris &= ~(INT_RX | INT_RT);
		console_input_wanted(p->con);
	}
	return byte;
}

static uint32_t pl011_flags_locked(const struct pl011_state *s)
{
	return FR_CTS | FR_DSR | FR_DCD | FR_TXFE | (s->count ? 0 : FR_RXFE) |
	       (pl011_room(s) ? 0 : FR_RXFF);
}

/* A register that reads as what was written, and the bits it has; NULL: there is
 * more to it. */
static uint32_t *pl011_plain(struct pl011_state *s, uint64_t off,
			     uint32_t *bits)
{
	*bits = 0xff;
	switch (off) {
	case UART_ILPR:
		return &s->ilpr;
	case UART_IBRD:
		*bits = 0xffff;
		return &s->ibrd;
	case UART_FBRD:
		*bits = 0x3f;
		return &s->fbrd;
	case UART_LCRH:
		return &s->lcrh;
	case UART_CR:
		*bits = 0xff87;
		return &s->cr;
	case UART_IFLS:
		*bits = 0x3f;
		return &s->ifls;
	case UART_IMSC:
		*bits = 0x7ff;
		return &s->imsc;
	case UART_DMACR:
		*bits = 7;
		return &s->dmacr;
	default:
		return NULL;
	}
}

static uint64_t pl011_read(struct chip *chip, uint64_t off,
			   unsigned int len unused_param)
{
	static const uint8_t id[4] = { 0x11, 0x10, 0x34, 0x00 };
	struct pl011 *p = container_of(chip, struct pl011, chip);
	struct pl011_state *s = &p->state;
	uint32_t v = 0, bits;
	const uint32_t *plain = pl011_plain(s, off, &bits);

	if (plain)
		return *plain;
	switch (off) {
	case UART_DR:
		v = pl011_take_locked(p);
		pl011_update_irq_locked(p);
		return v;
	case UART_FR:
		return pl011_flags_locked(s);
	case UART_RIS:
		return s->ris;
	case UART_MIS:
		return s->ris & s->imsc;
	default:
		return off >= PRIMECELL_ID ? primecell_id(off, id) : 0;
	}
}

static void pl011_write(struct chip *chip, uint64_t off, uint64_t value,
			unsigned int len unused_param)
{
	struct pl011 *p = container_of(chip, struct pl011, chip);
	struct pl011_state *s = &p->state;
	uint32_t v = (uint32_t)value, bits;
	uint32_t *plain = pl011_plain(s, off, &bits);

	if (plain) {
		*plain = v & bits;
	} else if (off == UART_DR) {
		if (s->cr & CR_LBE)
			pl011_receive_locked(p, (uint8_t)v);
		else
			console_write(p->con, (uint8_t)v);
		s->ris |= INT_TX;
	} else if (off == UART_ICR) {
		s->ris &= ~v;
	}
	pl011_update_irq_locked(p);
}

/* ---- from the host ---- */

static size_t pl011_wants(void *opaque)
{
	struct pl011 *p = opaque;
	mutex_guard(&p->chip.lock);

	return p->paused ? 0 : pl011_room(&p->state);
}

static void pl011_input(void *opaque, const uint8_t *data, size_t len)
{
	struct pl011 *p = opaque;

	mutex_guard(&p->chip.lock);
	for (size_t i = 0; i < len; i++)
		pl011_receive_locked(p, data[i]);
	pl011_update_irq_locked(p);
}

static void pl011_quit(void *opaque)
{
	struct pl011 *p = opaque;

	board_raise(p->chip.board, VM_EVENT_STOP);
}

/* ---- life ---- */

static void pl011_reset(struct device *device)
{
	struct pl011 *p = container_of(device, struct pl011, chip.device);

	pthread_mutex_lock(&p->chip.lock);
	p->state = (struct pl011_state){ .cr = CR_RESET, .ifls = IFLS_RESET };
	p->line = false;
	p->paused = false;
	pthread_mutex_unlock(&p->chip.lock);
	console_input_wanted(p->con);
}

static void pl011_quiesce(struct device *device)
{
	container_of(device, struct pl011, chip.device)->paused = true;
}

static void pl011_resume(struct device *device)
{
	struct pl011 *p = container_of(device, struct pl011, chip.device);

	p->paused = false;
	console_input_wanted(p->con);
}

static void pl011_destroy(struct device *device)
{
	console_close(container_of(device, struct pl011, chip.device)->con);
	chip_destroy(device);
}

static int pl011_init(struct chip *chip, struct error *err)
{
	static const enum console_mode modes[] = {
		[SERIAL_TTY] = CONSOLE_TTY,  [SERIAL_NULL] = CONSOLE_NULL,
		[SERIAL_OFF] = CONSOLE_NULL, [SERIAL_FILE] = CONSOLE_FILE,
		[SERIAL_PTY] = CONSOLE_PTY,
	};
	struct pl011 *p = container_of(chip, struct pl011, chip);
	const struct serial_config *sc = chip->board->serial;
	const struct console_config cc = {
		.mode = modes[sc->mode],
		.fd = sc->fd,
		.loop = chip->board->main_loop,
		.room = pl011_wants,
		.input = pl011_input,
		.quit = pl011_quit,
		.opaque = p,
	};

	/* No port at all, not even one that leads nowhere. */
	if (sc->mode == SERIAL_OFF)
		bus_remove(&chip->board->mmio, chip->place.base);
	return console_open(&p->con, &cc, err);
}

static const struct chip_kind pl011 = {
	.size = sizeof(struct pl011),
	.len = PRIMECELL_LEN,
	.read = pl011_read,
	.write = pl011_write,
	.init = pl011_init,
	.ops = {
		.reset = pl011_reset,
		.quiesce = pl011_quiesce,
		.resume = pl011_resume,
		.destroy = pl011_destroy,
	},
};

const struct device_class pl011_class =
	CHIP_CLASS("pl011", DEVICE_PLATFORM, &pl011);
