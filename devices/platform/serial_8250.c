/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet) with 16-byte
 * FIFOs.
 */
#include <linux/serial_reg.h>

#include "devices/platform/chips.h"
#include "devices/platform/uart.h"
#include "vmm/util.h"

#define UART_PORTS 8
#define IIR_FIFO 0xc0 /* FIFOs are enabled */
#define LSR_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define MSR_CONNECTED (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)

struct serial_state {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool tx_pending; /* "transmitter empty" not yet acknowledged */
};

struct serial {
	struct uart uart;

	/* vCPU and main threads, under the chip's lock */
	struct serial_state state;
};

static struct serial *serial_of(struct chip *chip)
{
	return container_of(chip, struct serial, uart.chip);
}

static uint8_t serial_iir_locked(const struct serial *s)
{
	uint8_t fifo = s->state.fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO : 0;

	if (s->state.ier & UART_IER_RDI && s->uart.count)
		return fifo | UART_IIR_RDI;
	if (s->state.ier & UART_IER_THRI && s->state.tx_pending)
		return fifo | UART_IIR_THRI;
	return fifo | UART_IIR_NO_INT;
}

static bool serial_interrupts(struct uart *uart)
{
	const struct serial *s = serial_of(&uart->chip);

	return !(serial_iir_locked(s) & UART_IIR_NO_INT);
}

static uint32_t serial_room(struct uart *uart)
{
	return UART_FIFO - uart->count;
}

static void serial_receive(struct uart *uart, uint8_t byte)
{
	if (serial_room(uart))
		uart_put_locked(uart, byte);
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
		return uart_take_locked(&s->uart);
	case UART_IIR:
		v = serial_iir_locked(s);
		if ((v & 0x0f) == UART_IIR_THRI)
			s->state.tx_pending = false;
		return v;
	case UART_LSR:
		return LSR_EMPTY | (s->uart.count ? UART_LSR_DR : 0);
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
			serial_receive(&s->uart, v);
		else
			console_write(s->uart.con, v);
		s->state.tx_pending = true;
	} else if (off == UART_FCR) {
		if (v & UART_FCR_CLEAR_RCVR) {
			s->uart.count = 0;
			console_input_wanted(s->uart.con);
		}
		s->state.fcr = v & UART_FCR_ENABLE_FIFO;
	}
	/* LSR and MSR are read only. */
}

/* Registers are bytes: a wider access touches the first one. */
static uint64_t serial_read(struct chip *chip, uint64_t off,
			    unsigned int len unused_param)
{
	struct serial *s = serial_of(chip);
	uint64_t v = serial_read_locked(s, off);

	uart_update_irq_locked(&s->uart);
	return ~0xffull | v;
}

static void serial_write(struct chip *chip, uint64_t off, uint64_t v,
			 unsigned int len unused_param)
{
	struct serial *s = serial_of(chip);

	serial_write_locked(s, off, (uint8_t)v);
	uart_update_irq_locked(&s->uart);
}

/* ---- life ---- */

static void serial_clear(struct uart *uart)
{
	serial_of(&uart->chip)->state = (struct serial_state){ 0 };
}

static int serial_init(struct chip *chip, struct error *err)
{
	static const struct uart_ops ops = {
		.room = serial_room,
		.receive = serial_receive,
		.interrupts = serial_interrupts,
		.clear = serial_clear,
	};

	return uart_init(&serial_of(chip)->uart, &ops, err);
}

static const struct chip_kind serial_8250 = {
	.size = sizeof(struct serial),
	.len = UART_PORTS,
	.read = serial_read,
	.write = serial_write,
	.init = serial_init,
	.ops = UART_DEVICE_OPS,
};

const struct device_class serial_8250_class =
	CHIP_CLASS("serial_8250", &serial_8250);
