/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet) with 16-byte
 * FIFOs. Bytes leave at once, so the transmitter is always empty; the
 * receiver's FIFO is filled from the host as the guest reads it.
 */
#include <linux/serial_reg.h>

#include "devices/backend/console.h"
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "vmm/config.h"
#include "vmm/util.h"

#define UART_PORTS 8
#define UART_FIFO 16u
#define IIR_FIFO 0xc0 /* FIFOs are enabled */
#define LSR_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define MSR_CONNECTED (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)

struct serial_state {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool tx_pending; /* "transmitter empty" not yet acknowledged */
	uint8_t fifo[UART_FIFO]; /* received: count bytes from head on */
	uint32_t head, count;
};

struct serial {
	struct chip chip;
	struct console *con;
	bool paused; /* main thread: the host's bytes wait */

	/* vCPU and main threads, under the chip's lock */
	struct serial_state state;
	bool line; /* level of the interrupt line, which follows the state */
};

static uint8_t serial_iir_locked(const struct serial *s)
{
	uint8_t fifo = s->state.fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO : 0;

	if (s->state.ier & UART_IER_RDI && s->state.count)
		return fifo | UART_IIR_RDI;
	if (s->state.ier & UART_IER_THRI && s->state.tx_pending)
		return fifo | UART_IIR_THRI;
	return fifo | UART_IIR_NO_INT;
}

static void serial_update_irq_locked(struct serial *s)
{
	bool line = !(serial_iir_locked(s) & UART_IIR_NO_INT);

	if (line == s->line)
		return;
	s->line = line;
	board_set_line(s->chip.board, s->chip.place.gsi, line);
}

static void serial_receive_locked(struct serial *s, uint8_t byte)
{
	if (s->state.count < UART_FIFO)
		s->state.fifo[(s->state.head + s->state.count++) % UART_FIFO] =
			byte;
}

static uint8_t serial_take_locked(struct serial *s)
{
	uint8_t byte;

	if (!s->state.count)
		return 0;
	byte = s->state.fifo[s->state.head];
	s->state.head = (s->state.head + 1) % UART_FIFO;
	if (!--s->state.count)
		console_input_wanted(s->con);
	return byte;
}

/* Loopback: outputs RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD. */
static uint8_t serial_msr_locked(const struct serial *s)
{
	if (!(s->state.mcr & UART_MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((s->state.mcr & 2) << 3 | (s->state.mcr & 1) << 5 |
			 (s->state.mcr & 4) << 4 | (s->state.mcr & 8) << 4);
}

/* A register that reads as what was written, as far as it has the bits; NULL:
 * there is more to it. */
static uint8_t *serial_plain_locked(struct serial *s, uint64_t off)
{
	bool divisor = s->state.lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_DLL:
		return divisor ? &s->state.dll : NULL;
	case UART_DLM:
		return divisor ? &s->state.dlm : &s->state.ier;
	case UART_LCR:
		return &s->state.lcr;
	case UART_MCR:
		return &s->state.mcr;
	case UART_SCR:
		return &s->state.scr;
	default:
		return NULL;
	}
}

static uint8_t serial_read_locked(struct serial *s, uint64_t off)
{
	const uint8_t *plain = serial_plain_locked(s, off);
	uint8_t v;

	if (plain)
		return *plain;
	switch (off) {
	case UART_RX:
		return serial_take_locked(s);
	case UART_IIR:
		v = serial_iir_locked(s);
		if ((v & 0x0f) == UART_IIR_THRI)
			s->state.tx_pending = false;
		return v;
	case UART_LSR:
		return LSR_EMPTY | (s->state.count ? UART_LSR_DR : 0);
	default:
		return serial_msr_locked(s);
	}
}

static void serial_write_locked(struct serial *s, uint64_t off, uint8_t v)
{
	uint8_t *plain = serial_plain_locked(s, off);

	if (plain == &s->state.ier) {
		if (v & ~s->state.ier & UART_IER_THRI)
			s->state.tx_pending = true;
		v &= 0x0f;
	} else if (plain == &s->state.mcr) {
		v &= 0x1f;
	}
	if (plain) {
		*plain = v;
	} else if (off == UART_TX) {
		if (s->state.mcr & UART_MCR_LOOP)
			serial_receive_locked(s, v);
		else
			console_write(s->con, v);
		s->state.tx_pending = true;
	} else if (off == UART_FCR) {
		if (v & UART_FCR_CLEAR_RCVR) {
			s->state.count = 0;
			console_input_wanted(s->con);
		}
		s->state.fcr = v & UART_FCR_ENABLE_FIFO;
	}
	/* LSR and MSR are read only. */
}

/* Registers are bytes: a wider access touches the first one. */
static uint64_t serial_read(struct chip *chip, uint64_t off,
			    unsigned int len unused_param)
{
	struct serial *s = container_of(chip, struct serial, chip);
	uint64_t v = serial_read_locked(s, off);

	serial_update_irq_locked(s);
	return ~0xffull | v;
}

static void serial_write(struct chip *chip, uint64_t off, uint64_t v,
			 unsigned int len unused_param)
{
	struct serial *s = container_of(chip, struct serial, chip);

	serial_write_locked(s, off, (uint8_t)v);
	serial_update_irq_locked(s);
}

/* ---- from the host ---- */

static size_t serial_room(void *opaque)
{
	struct serial *s = opaque;
	mutex_guard(&s->chip.lock);

	return s->paused ? 0 : UART_FIFO - s->state.count;
}

static void serial_input(void *opaque, const uint8_t *data, size_t len)
{
	struct serial *s = opaque;

	mutex_guard(&s->chip.lock);
	for (size_t i = 0; i < len; i++)
		serial_receive_locked(s, data[i]);
	serial_update_irq_locked(s);
}

static void serial_quit(void *opaque)
{
	struct serial *s = opaque;

	board_raise(s->chip.board, VM_EVENT_STOP);
}

/* ---- life ---- */

static void serial_reset(struct device *device)
{
	struct serial *s = container_of(device, struct serial, chip.device);

	pthread_mutex_lock(&s->chip.lock);
	s->state = (struct serial_state){ 0 };
	s->line = false;
	s->paused = false;
	pthread_mutex_unlock(&s->chip.lock);
	console_input_wanted(s->con);
}

static void serial_quiesce(struct device *device)
{
	container_of(device, struct serial, chip.device)->paused = true;
}

static void serial_resume(struct device *device)
{
	struct serial *s = container_of(device, struct serial, chip.device);

	s->paused = false;
	console_input_wanted(s->con);
}

static void serial_destroy(struct device *device)
{
	console_close(container_of(device, struct serial, chip.device)->con);
	chip_destroy(device);
}

static int serial_init(struct chip *chip, struct error *err)
{
	static const enum console_mode modes[] = {
		[SERIAL_TTY] = CONSOLE_TTY,  [SERIAL_NULL] = CONSOLE_NULL,
		[SERIAL_OFF] = CONSOLE_NULL, [SERIAL_FILE] = CONSOLE_FILE,
		[SERIAL_PTY] = CONSOLE_PTY,
	};
	struct serial *s = container_of(chip, struct serial, chip);
	const struct serial_config *sc = chip->board->serial;
	const struct console_config cc = {
		.mode = modes[sc->mode],
		.fd = sc->fd,
		.loop = chip->board->main_loop,
		.room = serial_room,
		.input = serial_input,
		.quit = serial_quit,
		.opaque = s,
	};

	/* No port at all, not even one that leads nowhere. */
	if (sc->mode == SERIAL_OFF)
		bus_remove(&chip->board->pio, chip->place.base);
	return console_open(&s->con, &cc, err);
}

static const struct chip_kind serial_8250 = {
	.size = sizeof(struct serial),
	.len = UART_PORTS,
	.read = serial_read,
	.write = serial_write,
	.init = serial_init,
	.ops = {
		.reset = serial_reset,
		.quiesce = serial_quiesce,
		.resume = serial_resume,
		.destroy = serial_destroy,
	},
};

const struct device_class serial_8250_class =
	CHIP_CLASS("serial_8250", DEVICE_PLATFORM, &serial_8250);
