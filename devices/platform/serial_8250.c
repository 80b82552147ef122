/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet) with 16-byte
 * FIFOs. Bytes leave at once, so the transmitter is always empty; the
 * receiver's FIFO is filled from the host as the guest reads it.
 */
#include <pthread.h>

#include "devices/backend/console.h"
#include "devices/platform/chip.h"
#include "devices/registry.h"
#include "vmm/irq.h"
#include "vmm/util.h"
#include "vmm/board.h"
#include "vmm/config.h"

#define UART_PORTS 8
#define UART_FIFO 16u

#define UART_DATA 0 /* divisor latch, low byte, when LCR_DLAB */
#define UART_IER 1 /* divisor latch, high byte, when LCR_DLAB */
#define UART_IIR 2
#define UART_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define IER_RX 0x01
#define IER_TX 0x02
#define IIR_NONE 0x01
#define IIR_TX 0x02
#define IIR_RX 0x04
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define LCR_DLAB 0x80
#define MCR_LOOP 0x10
#define LSR_RX 0x01
#define LSR_TX_EMPTY 0x60 /* holding and shift register */
#define MSR_CONNECTED 0xb0 /* CTS, DSR, DCD */

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
	uint8_t fifo = s->state.fcr & FCR_ENABLE ? IIR_FIFO : 0;

	if (s->state.ier & IER_RX && s->state.count)
		return fifo | IIR_RX;
	if (s->state.ier & IER_TX && s->state.tx_pending)
		return fifo | IIR_TX;
	return fifo | IIR_NONE;
}

static void serial_update_irq_locked(struct serial *s)
{
	bool line = !(serial_iir_locked(s) & IIR_NONE);

	if (line == s->line)
		return;
	s->line = line;
	irq_line(s->chip.board, s->chip.place.gsi, line);
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
	if (!(s->state.mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((s->state.mcr & 2) << 3 | (s->state.mcr & 1) << 5 |
			 (s->state.mcr & 4) << 4 | (s->state.mcr & 8) << 4);
}

static uint8_t serial_read_locked(struct serial *s, uint64_t off)
{
	uint8_t v;

	switch (off) {
	case UART_DATA:
		return s->state.lcr & LCR_DLAB ? s->state.dll
					       : serial_take_locked(s);
	case UART_IER:
		return s->state.lcr & LCR_DLAB ? s->state.dlm : s->state.ier;
	case UART_IIR:
		v = serial_iir_locked(s);
		if ((v & 0x0f) == IIR_TX)
			s->state.tx_pending = false;
		return v;
	case UART_LCR:
		return s->state.lcr;
	case UART_MCR:
		return s->state.mcr;
	case UART_LSR:
		return LSR_TX_EMPTY | (s->state.count ? LSR_RX : 0);
	case UART_MSR:
		return serial_msr_locked(s);
	default:
		return s->state.scr;
	}
}

static void serial_data_locked(struct serial *s, uint8_t v)
{
	if (s->state.lcr & LCR_DLAB) {
		s->state.dll = v;
		return;
	}
	if (s->state.mcr & MCR_LOOP)
		serial_receive_locked(s, v);
	else
		console_write(s->con, v);
	s->state.tx_pending = true;
}

static void serial_write_locked(struct serial *s, uint64_t off, uint8_t v)
{
	switch (off) {
	case UART_DATA:
		serial_data_locked(s, v);
		break;
	case UART_IER:
		if (s->state.lcr & LCR_DLAB) {
			s->state.dlm = v;
			break;
		}
		if (v & ~s->state.ier & IER_TX)
			s->state.tx_pending = true;
		s->state.ier = v & 0x0f;
		break;
	case UART_FCR:
		if (v & FCR_CLEAR_RX) {
			s->state.count = 0;
			console_input_wanted(s->con);
		}
		s->state.fcr = v & FCR_ENABLE;
		break;
	case UART_LCR:
		s->state.lcr = v;
		break;
	case UART_MCR:
		s->state.mcr = v & 0x1f;
		break;
	case UART_SCR:
		s->state.scr = v;
		break;
	default:
		break; /* LSR and MSR are read only */
	}
}

/* Registers are bytes: a wider access touches the first one. */
static void serial_read(void *opaque, uint64_t off, void *data,
			unsigned int len unused_param)
{
	struct serial *s = opaque;

	pthread_mutex_lock(&s->chip.lock);
	*(uint8_t *)data = serial_read_locked(s, off);
	serial_update_irq_locked(s);
	pthread_mutex_unlock(&s->chip.lock);
}

static void serial_write(void *opaque, uint64_t off, const void *data,
			 unsigned int len unused_param)
{
	struct serial *s = opaque;

	pthread_mutex_lock(&s->chip.lock);
	serial_write_locked(s, off, *(const uint8_t *)data);
	serial_update_irq_locked(s);
	pthread_mutex_unlock(&s->chip.lock);
}

static const struct bus_ops serial_bus_ops = {
	.read = serial_read,
	.write = serial_write,
};

/* ---- from the host ---- */

static size_t serial_room(void *opaque)
{
	struct serial *s = opaque;
	size_t room;

	pthread_mutex_lock(&s->chip.lock);
	room = s->paused ? 0 : UART_FIFO - s->state.count;
	pthread_mutex_unlock(&s->chip.lock);
	return room;
}

static void serial_input(void *opaque, const uint8_t *data, size_t len)
{
	struct serial *s = opaque;
	size_t i;

	pthread_mutex_lock(&s->chip.lock);
	for (i = 0; i < len; i++)
		serial_receive_locked(s, data[i]);
	serial_update_irq_locked(s);
	pthread_mutex_unlock(&s->chip.lock);
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
	struct serial *s = container_of(device, struct serial, chip.device);

	console_close(s->con);
	chip_destroy(device);
}

static const struct device_ops serial_ops = {
	.reset = serial_reset,
	.quiesce = serial_quiesce,
	.resume = serial_resume,
	.destroy = serial_destroy,
};

static const enum console_mode serial_console_modes[] = {
	[SERIAL_TTY] = CONSOLE_TTY,  [SERIAL_NULL] = CONSOLE_NULL,
	[SERIAL_OFF] = CONSOLE_NULL, [SERIAL_FILE] = CONSOLE_FILE,
	[SERIAL_PTY] = CONSOLE_PTY,
};

static int serial_create(struct board *board, const void *config,
			 void *opened unused_param, struct device **out,
			 struct error *err)
{
	const struct serial_config *sc = board->serial;
	const struct chip_kind kind = {
		.class = &serial_8250_class,
		.ops = &serial_ops,
		.size = sizeof(struct serial),
		/* off: no port at all, not even one that leads nowhere */
		.len = sc->mode == SERIAL_OFF ? 0 : UART_PORTS,
		.bus_ops = &serial_bus_ops,
	};
	struct console_config cc = {
		.mode = serial_console_modes[sc->mode],
		.fd = sc->fd,
		.loop = board->main_loop,
		.room = serial_room,
		.input = serial_input,
		.quit = serial_quit,
	};
	struct device *dev = NULL;
	struct serial *s;
	int r = chip_create(board, &kind, config, &dev, err);

	if (r)
		return r;
	cc.opaque = s = container_of(dev, struct serial, chip.device);
	r = console_open(&s->con, &cc, err);
	if (r)
		chip_destroy(dev);
	else
		*out = dev;
	return r;
}

const struct device_class serial_8250_class = {
	.name = "serial_8250",
	.kind = DEVICE_PLATFORM,
	.create = serial_create,
};
