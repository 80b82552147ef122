/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A PL011 UART (ARM DDI 0183) with FIFOs of 16 bytes. */
#include "devices/platform/chips.h"
#include "devices/platform/primecell.h"
#include "devices/platform/uart.h"
#include "vmm/util.h"

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

#define PL011_REGISTERS (UART_DMACR / 4 + 1)

/* Of registers that read as what was written, the bits that they have. */
static const uint16_t plain_bits[PL011_REGISTERS] = {
	[UART_ILPR / 4] = 0xff,	 [UART_IBRD / 4] = 0xffff,
	[UART_FBRD / 4] = 0x3f,	 [UART_LCRH / 4] = 0xff,
	[UART_CR / 4] = 0xff87,	 [UART_IFLS / 4] = 0x3f,
	[UART_IMSC / 4] = 0x7ff, [UART_DMACR / 4] = 7,
};

struct pl011_state {
	uint32_t regs[PL011_REGISTERS]; /* those of plain_bits */
	uint32_t ris; /* INT_TX: not acknowledged; the others follow the FIFO */
};

struct pl011 {
	struct uart uart;

	/* vCPU and main threads, under the chip's lock */
	struct pl011_state state;
};

static struct pl011 *pl011_of(struct chip *chip)
{
	return container_of(chip, struct pl011, uart.chip);
}

static bool pl011_interrupts(struct uart *uart)
{
	const struct pl011 *p = pl011_of(&uart->chip);

	return p->state.ris & p->state.regs[UART_IMSC / 4];
}

/* Bytes that the receiver holds: without FIFOs, one. */
static uint32_t pl011_room(struct uart *uart)
{
	const struct pl011 *p = pl011_of(&uart->chip);
	uint32_t depth = p->state.regs[UART_LCRH / 4] & LCRH_FEN ? UART_FIFO
								 : 1;

	return depth > uart->count ? depth - uart->count : 0;
}

/* A byte that waits is told of at once, and not after a while as by a real one:
 * nobody knows whether more will come. */
static void pl011_receive(struct uart *uart, uint8_t byte)
{
	if (!pl011_room(uart))
		return;
	uart_put_locked(uart, byte);
	pl011_of(&uart->chip)->state.ris |= INT_RX | INT_RT;
}

static uint8_t pl011_take_locked(struct pl011 *p)
{
	uint8_t byte = uart_take_locked(&p->uart);

	if (!p->uart.count)
		p->state.ris &= ~(INT_RX | INT_RT);
	return byte;
}

static uint32_t pl011_flags_locked(struct uart *uart)
{
	return FR_CTS | FR_DSR | FR_DCD | FR_TXFE |
	       (uart->count ? 0 : FR_RXFE) | (pl011_room(uart) ? 0 : FR_RXFF);
}

/* Of one that reads as what was written, its bits; 0: there is more to it. */
static uint32_t pl011_plain(uint64_t off)
{
	return off % 4 || off / 4 >= PL011_REGISTERS ? 0 : plain_bits[off / 4];
}

static uint64_t pl011_read(struct chip *chip, uint64_t off,
			   unsigned int len unused_param)
{
	static const uint8_t id[4] = { 0x11, 0x10, 0x34, 0x00 };
	struct pl011 *p = pl011_of(chip);
	struct pl011_state *s = &p->state;
	uint32_t v;

	if (pl011_plain(off))
		return s->regs[off / 4];
	switch (off) {
	case UART_DR:
		v = pl011_take_locked(p);
		uart_update_irq_locked(&p->uart);
		return v;
	case UART_FR:
		return pl011_flags_locked(&p->uart);
	case UART_RIS:
		return s->ris;
	case UART_MIS:
		return s->ris & s->regs[UART_IMSC / 4];
	default:
		return off >= PRIMECELL_ID ? primecell_id(off, id) : 0;
	}
}

static void pl011_write(struct chip *chip, uint64_t off, uint64_t value,
			unsigned int len unused_param)
{
	struct pl011 *p = pl011_of(chip);
	struct pl011_state *s = &p->state;
	uint32_t v = (uint32_t)value, bits = pl011_plain(off);

	if (bits) {
		s->regs[off / 4] = v & bits;
	} else if (off == UART_DR) {
		if (s->regs[UART_CR / 4] & CR_LBE)
			pl011_receive(&p->uart, (uint8_t)v);
		else
			console_write(p->uart.con, (uint8_t)v);
		s->ris |= INT_TX;
	} else if (off == UART_ICR) {
		s->ris &= ~v;
	}
	uart_update_irq_locked(&p->uart);
}

/* ---- life ---- */

static void pl011_clear(struct uart *uart)
{
	pl011_of(&uart->chip)->state = (struct pl011_state){
		.regs = { [UART_CR / 4] = CR_RESET,
			  [UART_IFLS / 4] = IFLS_RESET }
	};
}

static int pl011_init(struct chip *chip, struct error *err)
{
	static const struct uart_ops ops = {
		.room = pl011_room,
		.receive = pl011_receive,
		.interrupts = pl011_interrupts,
		.clear = pl011_clear,
	};

	return uart_init(&pl011_of(chip)->uart, &ops, err);
}

static const struct chip_kind pl011 = {
	.size = sizeof(struct pl011),
	.len = PRIMECELL_LEN,
	.read = pl011_read,
	.write = pl011_write,
	.init = pl011_init,
	.ops = UART_DEVICE_OPS,
};

const struct device_class pl011_class = CHIP_CLASS("pl011", &pl011);
