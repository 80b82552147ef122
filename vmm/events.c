/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/events.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/nowait.h"
#include "vmm/slow_file.h"
#include "vmm/util.h"

#define EVENTS_BACKLOG (64 * 1024u) /* bytes a slow reader may be behind */
#define NS_PER_S 1000000000u

struct events {
	struct loop *loop;
	struct loop_fd lf;
	struct slow_file *file; /* ... or, not NULL, this */
	char *backlog; /* EVENTS_BACKLOG bytes */
	size_t len;
	uint64_t nr_lost;
};

static void events_lose(struct events *ev)
{
	if (ev->nr_lost++ == 0)
		log_warn(
			"event monitor: the reader is too slow; events are lost");
}

/* Write as much of the backlog as goes without waiting. */
static void events_flush(struct events *ev)
{
	ssize_t n;

	if (ev->file) {
		if (!slow_file_put(ev->file, ev->backlog, ev->len))
			events_lose(ev);
		ev->len = 0;
		return;
	}
	while (ev->len) {
		n = write(ev->lf.fd, ev->backlog, ev->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		ev->len -= (size_t)n;
		memmove(ev->backlog, ev->backlog + n, ev->len);
	}
	if (!ev->len || errno != EAGAIN)
		loop_fd_del(&ev->lf);
	else if (!ev->lf.loop)
		loop_fd_add(ev->loop, &ev->lf, EPOLLOUT);
}

static void events_on_room(struct loop_fd *lf, uint32_t what unused_param)
{
	events_flush(container_of(lf, struct events, lf));
}

static int events_open_path(const char *path)
{
	int fd = nowait_create(path, O_TRUNC);

	/* A FIFO whose reader is still to come. */
	if (fd < 0 && errno == ENXIO)
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return fd;
}

int events_open(struct events **out, struct loop *loop, const char *path,
		int fd, struct error *err)
{
	struct events *ev;
	int flags;

	if (path)
		fd = events_open_path(path);
	flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return error_set(
			err, errno,
			"--event-monitor %s: %s; give a file or pipe that can be written",
			path ? error_value(path).text : "fd", strerror(errno));
	ev = calloc(1, sizeof(*ev));
	if (ev)
		ev->backlog = malloc(EVENTS_BACKLOG);
	if (!ev || !ev->backlog) {
		free(ev);
		close(fd);
		return error_set(err, ENOMEM, "out of memory");
	}
	ev->loop = loop;
	ev->lf.fd = fd;
	ev->lf.on_event = events_on_room;
	if (nowait_is_slow(fd)) {
		ev->file = slow_file_open(loop, fd, EVENTS_BACKLOG,
					  "event monitor", err);
		close_fd(&ev->lf.fd);
		if (!ev->file) {
			events_close(ev);
			return -EIO;
		}
	}
	*out = ev;
	return 0;
}

void events_close(struct events *ev)
{
	size_t lost = 0;

	if (!ev)
		return;
	if (ev->file)
		slow_file_close(ev->file, &lost);
	else
		events_flush(ev);
	if (lost)
		events_lose(ev);
	loop_fd_del(&ev->lf);
	close_fd(&ev->lf.fd);
	free(ev->backlog);
	free(ev);
}

/* "key", "value", ..., NULL as an object; JSON null when there is none. */
static json_t *events_properties(va_list ap)
{
	json_t *props = NULL;
	const char *key, *value;

	while ((key = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (!props)
			props = json_object();
		json_object_set_new(props, key, json_string(value));
	}
	return props ? props : json_null();
}

static bool events_fit(struct events *ev, json_t *event)
{
	size_t room = EVENTS_BACKLOG - ev->len;
	size_t n = json_dumpb(event, ev->backlog + ev->len, room,
			      JSON_INDENT(2) | JSON_ENSURE_ASCII);

	if (n == 0 || n + 2 > room)
		return false;
	ev->len += n;
	ev->backlog[ev->len++] = '\n';
	ev->backlog[ev->len++] = '\n';
	return true;
}

static void events_put(struct events *ev, json_t *event)
{
	if (!events_fit(ev, event)) {
		/* The reader may be back, or another one. */
		events_flush(ev);
		if (!events_fit(ev, event)) {
			events_lose(ev);
			return;
		}
	}
	events_flush(ev);
}

void events_emit(struct events *ev, const char *source, const char *name, ...)
{
	uint64_t now = log_uptime_ns();
	json_t *props, *event;
	va_list ap;

	log_debug("event: %s %s", source, name);
	if (!ev)
		return;
	va_start(ap, name);
	props = events_properties(ap);
	va_end(ap);
	event = json_pack("{s:{s:I,s:I},s:s,s:s,s:o}", "timestamp", "secs",
			  (json_int_t)(now / NS_PER_S), "nanos",
			  (json_int_t)(now % NS_PER_S), "source", source,
			  "event", name, "properties", props);
	if (event)
		events_put(ev, event);
	json_decref(event);
}
