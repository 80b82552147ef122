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
 * is buffered and written on the loop, that to a file by a thread of the pool, so
 * that a host that does not read never holds up a vCPU, nor one that does not
 * answer the loop: what does not fit is lost and counted. A terminal is shared
 * with a shell's other jobs: it is read, and raw, while ours is in the
 * foreground, and its description's flags stay as they are.
 */
struct console;

enum console_mode {
	CONSOLE_TTY, /* stdin and stdout: terminals, pipes or files */
	CONSOLE_NULL, /* output is lost, there is no input */
	CONSOLE_FILE, /* output to a plain file, no input */
	CONSOLE_PIPE, /* ... to a pipe, which does not block */
	CONSOLE_PTY, /* the main side of a pseudo-terminal; the other is open */
};

struct console_config {
	enum console_mode mode;
	/* CONSOLE_FILE: of which a copy is made. CONSOLE_PIPE, CONSOLE_PTY:
	 * borrowed, outlives the console. */
	int fd;
	struct loop *loop; /* the main loop; borrowed */
	/* How many bytes the port can take now; 0: none, until it calls
	 * console_input_wanted(). Loop thread. */
	size_t (*room)(void *opaque);
	/* len bytes came in, at most what room() said. Loop thread. */
	void (*input)(void *opaque, const uint8_t *data, size_t len);
	/* The person at the terminal typed Ctrl-A x. Loop thread. */
	void (*quit)(void *opaque);
	void *opaque;
};

/* config is copied; its functions are called from the next turn of the loop on.
 * Main thread. -errno with a message. */
int console_open(struct console **out, const struct console_config *config,
		 struct error *err);
/* Write what is buffered, for 0.2 s at most, give the terminal its settings
 * back, free con. NULL is accepted. Main thread; nobody calls the others. */
void console_close(struct console *con);

/* The guest sends a byte. Any thread; never waits. */
void console_write(struct console *con, uint8_t byte);

/* The port has room again: look for input. Any thread, also inside config's
 * functions. */
void console_input_wanted(struct console *con);

#endif
