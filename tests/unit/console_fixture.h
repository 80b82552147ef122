/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_CONSOLE_FIXTURE_H
#define TESTS_UNIT_CONSOLE_FIXTURE_H

#include <stddef.h>
#include <string.h>

#include "devices/backend/console.h"
#include "vmm/util.h"

/* A double of the console, which keeps what is written. For the one file that
 * includes this. */
struct console {
	struct console_config config;
	char out[256];
	size_t nr_out;
	bool watched; /* for what is typed */
};

static struct console con;

int console_open(struct console **out, const struct console_config *config,
		 struct error *err unused_param)
{
	memset(&con, 0, sizeof(con));
	con.config = *config;
	con.watched = true;
	*out = &con;
	return 0;
}

void console_close(struct console *c unused_param)
{
}

void console_write(struct console *c, uint8_t byte)
{
	if (c->nr_out < sizeof(c->out))
		c->out[c->nr_out++] = (char)byte;
}

void console_input_wanted(struct console *c)
{
	c->watched = true;
}

#endif
