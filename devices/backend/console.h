/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_CONSOLE_H
#define DEVICES_BACKEND_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/loop.h"

/*
 * The host side of a serial port: where its bytes go to and come from. Output
 * is buffered and written on the loop, so that a host that does not read never
 * holds up a vCPU: what does not fit is lost and counted.
 */
struct console;

enum console_mode {
	CONSOLE_TTY, /* stdin and stdout; a terminal is put into raw mode */
	CONSOLE_NULL, /* output is lost, no input */
	CONSOLE_FILE, /* output to a file */
	CONSOLE_PTY, /* the main side of a pseudo-terminal; the other is open */
};

struct console_config {
	enum console_mode mode;
	int fd; /* CONSOLE_FILE, CONSOLE_PTY: borrowed, outlives the console */
	struct loop *loop; /* input arrives on its thread */
	/* How many bytes the port can take now. Loop thread. */
	size_t (*room)(void *opaque);
	/* len bytes came in, at most what room() said. Loop thread. */
	void (*input)(void *opaque, const uint8_t *data, size_t len);
	/* The person at the terminal typed Ctrl-A x. Loop thread. */
	void (*quit)(void *opaque);
	void *opaque;
};

/* Main thread. -errno with a message. */
int console_open(struct console **out, const struct console_config *config,
		 struct error *err);
/* Writes what is buffered and can be written at once, gives the terminal back.
 * NULL is accepted. Main thread. */
void console_close(struct console *con);

/* Any thread; never blocks. */
void console_write(struct console *con, uint8_t byte);

/* The port has room again: look for input. Any thread. */
void console_input_wanted(struct console *con);

#endif
