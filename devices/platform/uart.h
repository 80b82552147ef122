/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PLATFORM_UART_H
#define DEVICES_PLATFORM_UART_H

#include "devices/backend/console.h"
#include "devices/chip.h"

/*
 * What all UARTs here have in common: bytes leave at once, so the transmitter is
 * always empty; the receiver's FIFO of 16 bytes is filled from the host as the
 * guest reads it.
 */
#define UART_FIFO 16u

struct uart;

/* What a kind of UART makes of it. The chip's lock is held. */
struct uart_ops {
	/* How many bytes the receiver takes now. Main thread. */
	uint32_t (*room)(struct uart *uart);
	/* A byte came in; room() said so, or the guest sent it to itself. vCPU or
	 * main thread. */
	void (*receive)(struct uart *uart, uint8_t byte);
	/* Should there be an interrupt? Any thread. */
	bool (*interrupts)(struct uart *uart);
	/* Registers as at power-on. Main thread. */
	void (*clear)(struct uart *uart);
};

/* What a UART's own struct begins with. */
struct uart {
	struct chip chip;
	const struct uart_ops *ops;
	struct console *con;
	bool paused; /* main thread: the host's bytes wait */

	/* vCPU and main threads, under the chip's lock */
	uint8_t fifo[UART_FIFO]; /* received: count bytes from head on */
	uint32_t head, count;
	bool line; /* level of the interrupt line, which follows the state */
};

/* Its end of the console, as --serial says; with --serial off the UART is not on its
 * bus. Main thread, from chip_kind.init. -errno with a message. */
int uart_init(struct uart *uart, const struct uart_ops *ops, struct error *err);

/* Put a byte behind the others, of which there are fewer than UART_FIFO. The
 * chip's lock held. */
void uart_put_locked(struct uart *uart, uint8_t byte);
/* Take the oldest byte, 0: there is none; when it was the last one the host is asked
 * for more. The chip's lock held. */
uint8_t uart_take_locked(struct uart *uart);
/* Set the interrupt line as the state says. The chip's lock held. */
void uart_update_irq_locked(struct uart *uart);

/* ---- device_ops of all UARTs: main thread ---- */

/* See struct device_ops. */
void uart_reset(struct device *device);
/* See struct device_ops. */
void uart_quiesce(struct device *device);
/* See struct device_ops. */
void uart_resume(struct device *device);
/* See struct device_ops; also after an init that failed. */
void uart_destroy(struct device *device);

#define UART_DEVICE_OPS                                        \
	{                                                      \
		.reset = uart_reset, .quiesce = uart_quiesce,  \
		.resume = uart_resume, .destroy = uart_destroy \
	}

#endif
