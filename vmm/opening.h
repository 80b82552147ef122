/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENING_H
#define VMM_OPENING_H

#include <stdint.h>

#include "vmm/board.h"
#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/loop.h"

/*
 * Opening what a configuration, a machine or a device needs of the host, on a
 * thread of the pool: a file system that does not answer must not hold up the
 * main loop. Main thread, but for the work itself.
 */
struct opening;

#define OPENING_FILES 2u /* of a machine, before its devices */

/* How it went: 0, or -errno with a message. opening_take_*() hand over what was
 * opened; o is freed after the call, with what is left. */
typedef void (*opening_done_fn)(void *opaque, struct opening *o, int r,
				struct error *err);

/* NULL: no memory. */
struct opening *opening_create(struct loop *loop, opening_done_fn done,
			       void *opaque);
/* Forget it: done() will not be called. What the host opens even so is closed.
 * NULL is accepted. */
void opening_drop(struct opening *o);

/* Open a file for reading: path, or fd, of which a copy is made, when that is
 * not -1. option: for messages, a constant. Both NULL and -1: there is none.
 * -errno with a message. */
int opening_add_file(struct opening *o, const char *option, const char *path,
		     int fd, struct error *err);
/* Open what a device's configuration names; it is copied. option: goes in front
 * of messages, a constant. -errno with a message. */
int opening_add_device(struct opening *o, const char *option,
		       const struct device_config *dc, struct error *err);

/* Open what a new configuration names that lives as long as itself, and look up
 * the bounds that it asks for, which are in force after success. Once; *vc is taken
 * over, and left empty, until opening_take_config(). */
void opening_add_config(struct opening *o, struct vm_config *vc);

/* Forget a configuration, and close what is open for it, as long as the host takes
 * for that. *vc is left empty. */
void opening_close_config(struct loop *loop, struct vm_config *vc);

/* Begin. done() follows from the loop, at the latest after timeout_ns, with
 * -ETIMEDOUT. -errno with a message: the host has no thread for it. */
int opening_start(struct opening *o, uint64_t timeout_ns, struct error *err);

/* Have the configuration back, whether it is open or not. vc: the caller's storage,
 * not looked at before. */
void opening_take_config(struct opening *o, struct vm_config *vc);
/* The descriptor of what was added as nth, a file; the caller's from now on.
 * -1: none. */
int opening_take_file(struct opening *o, unsigned int n);
/* Make a device of what was added as nth and its class opened, as
 * board_add_device(). What it does not take over is closed with o. */
int opening_make_device(struct opening *o, unsigned int n, struct board *board,
			struct device **out, struct error *err);

#endif
