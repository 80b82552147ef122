/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_EVENTS_H
#define VMM_EVENTS_H

#include "vmm/error.h"
#include "vmm/loop.h"

/*
 * The event stream of --event-monitor: one JSON object after the other, each
 * with an empty line behind it and none inside. A reader that does not read, or a
 * file whose host does not answer, never holds up the process: what does not fit is
 * lost, whole objects at a time, and the log says so. Main thread.
 */
struct events;

/*
 * Write to path (created or emptied), or to fd when path is NULL; fd is taken
 * over. loop tells when a slow reader has room again; it outlives the stream.
 * -errno with a message that names --event-monitor.
 */
int events_open(struct events **out, struct loop *loop, const char *path,
		int fd, struct error *err);
/* Write what goes at once, or within 0.2 s to a plain file, close it, free ev. NULL
 * is accepted. */
void events_close(struct events *ev);

/*
 * Tell one event. source: "vmm", "vm", "virtio-device", "guest". Behind `name`
 * come pairs of strings, a property's key and value, ended by a key that is
 * NULL. ev NULL: nobody listens.
 */
void events_emit(struct events *ev, const char *source, const char *name, ...)
	__attribute__((sentinel));

#endif
