/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/platform/uart.h"

#include "vmm/config.h"
#include "vmm/util.h"

static struct uart *uart_of(struct device *device)
{
	return container_of(device, struct uart, chip.device);
}

void uart_put_locked(struct uart *uart, uint8_t byte)
{
	uart->fifo[(uart->head + uart->count++) % UART_FIFO] = byte;
}

uint8_t uart_take_locked(struct uart *uart)
{
	uint8_t byte;

	if (!uart->count)
		return 0;
	byte = uart->fifo[uart->head];
	uart->head = (uart->head + 1) % UART_FIFO;
	if (!--uart->count)
		console_input_wanted(uart->con);
	return byte;
}

void uart_update_irq_locked(struct uart *uart)
{
	bool line = uart->ops->interrupts(uart);

	if (line == uart->line)
		return;
	uart->line = line;
	board_set_line(uart->chip.board, uart->chip.place.gsi, line);
}

/* ---- from the host ---- */

static size_t uart_room(void *opaque)
{
	struct uart *uart = opaque;
	mutex_guard(&uart->chip.lock);

	return uart->paused ? 0 : uart->ops->room(uart);
}

static void uart_input(void *opaque, const uint8_t *data, size_t len)
{
	struct uart *uart = opaque;

	mutex_guard(&uart->chip.lock);
	for (size_t i = 0; i < len; i++)
		uart->ops->receive(uart, data[i]);
	uart_update_irq_locked(uart);
}

static void uart_quit(void *opaque)
{
	struct uart *uart = opaque;

	board_raise(uart->chip.board, VM_EVENT_STOP);
}

/* ---- life ---- */

void uart_reset(struct device *device)
{
	struct uart *uart = uart_of(device);

	pthread_mutex_lock(&uart->chip.lock);
	uart->head = uart->count = 0;
	uart->ops->clear(uart);
	uart->line = false;
	uart->paused = false;
	pthread_mutex_unlock(&uart->chip.lock);
	console_input_wanted(uart->con);
}

void uart_quiesce(struct device *device)
{
	uart_of(device)->paused = true;
}

void uart_resume(struct device *device)
{
	struct uart *uart = uart_of(device);

	uart->paused = false;
	console_input_wanted(uart->con);
}

void uart_destroy(struct device *device)
{
	console_close(uart_of(device)->con);
	chip_destroy(device);
}

int uart_init(struct uart *uart, const struct uart_ops *ops, struct error *err)
{
	static const enum console_mode modes[] = {
		[SERIAL_TTY] = CONSOLE_TTY,  [SERIAL_NULL] = CONSOLE_NULL,
		[SERIAL_OFF] = CONSOLE_NULL, [SERIAL_FILE] = CONSOLE_FILE,
		[SERIAL_PTY] = CONSOLE_PTY,
	};
	struct chip *chip = &uart->chip;
	const struct serial_config *sc = chip->board->serial;
	const struct console_config cc = {
		.mode = sc->is_pipe ? CONSOLE_PIPE : modes[sc->mode],
		.fd = sc->fd,
		.loop = chip->board->main_loop,
		.room = uart_room,
		.input = uart_input,
		.quit = uart_quit,
		.opaque = uart,
	};

	uart->ops = ops;
	/* No port at all, not even one that leads nowhere. */
	if (sc->mode == SERIAL_OFF)
		bus_remove(chip->place.pio ? &chip->board->pio
					   : &chip->board->mmio,
			   chip->place.base);
	return console_open(&uart->con, &cc, err);
}
