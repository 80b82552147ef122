/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/nowait.h"
#include "vmm/util.h"

/* The five-letter marks are what log readers of container shims look for. */
static const char *const log_marks[] = {
	[LOG_ERROR] = "ERRO", [LOG_WARN] = "WARN",  [LOG_INFO] = "INFO",
	[LOG_DEBUG] = "DEBG", [LOG_TRACE] = "TRCE",
};

#define LOG_INTERVAL_NS 1000000000u

/* Written by log_init() before threads start, read only afterwards. */
static struct nowait log_out = { .fd = STDERR_FILENO, .own = -1 };
static enum log_level log_level_max = LOG_WARN;
static uint64_t log_start_ns;

/* Any thread, under lock (a leaf but for log_elsewhere). */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int log_lost; /* lines since the last that was written */
static bool log_torn; /* the last one was written in part */
static log_put_fn *log_elsewhere; /* instead of log_out; or NULL */
static void *log_elsewhere_opaque;

__attribute__((constructor)) static void log_note_start(void)
{
	log_start_ns = monotonic_ns();
}

void log_init(int fd, enum log_level level)
{
	nowait_close(&log_out);
	nowait_open(&log_out, fd);
	log_lost = 0;
	log_torn = false;
	log_level_max = level;
}

void log_divert(log_put_fn *put, void *opaque)
{
	mutex_guard(&log_lock);
	log_elsewhere = put;
	log_elsewhere_opaque = opaque;
}

int log_output(void)
{
	return log_out.own >= 0 ? log_out.own : log_out.fd;
}

bool log_enabled(enum log_level level)
{
	return level <= log_level_max;
}

uint64_t log_uptime_ns(void)
{
	return monotonic_ns() - log_start_ns;
}

static bool log_send_locked(const char *line, size_t len)
{
	ssize_t n;

	if (log_elsewhere)
		return log_elsewhere(log_elsewhere_opaque, line, len);
	n = nowait_write(&log_out, line, len);
	if (n > 0)
		log_torn = (size_t)n < len;
	return n == (ssize_t)len;
}

/* "[  0.001234] io0 WARN: ". Returns its length. */
static int log_head(char *line, size_t size, enum log_level level)
{
	uint64_t now_us = log_uptime_ns() / 1000;
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	return snprintf(line, size,
			"[%3u.%06u] %s %s: ", (unsigned int)(now_us / 1000000),
			(unsigned int)(now_us % 1000000), name,
			log_marks[level]);
}

/* Once a line can be written again, the first one says how many could not. */
static bool log_tell_lost_locked(void)
{
	char line[128];
	int n = 0;

	if (log_torn)
		line[n++] = '\n';
	n += log_head(line + n, sizeof(line) - 1, LOG_WARN);
	n += snprintf(line + n, sizeof(line) - (size_t)n,
		      "%u lines of the log were lost, nobody read them\n",
		      log_lost);
	return log_send_locked(line, (size_t)n);
}

/* A line that cannot be written is lost: logging never stops work. */
static void log_put(const char *line, size_t len)
{
	mutex_guard(&log_lock);
	if (log_lost && log_tell_lost_locked())
		log_lost = 0;
	if (log_lost || !log_send_locked(line, len))
		log_lost++;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n, m;

	if (!log_enabled(level))
		return;
	n = log_head(line, sizeof(line), level);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	m = MIN(m, (int)sizeof(line) - 2 - n);
	/* What a client or guest wrote does not end the line. */
	error_make_plain(line + n, (size_t)m);
	line[n + m] = '\n';
	log_put(line, (size_t)n + (size_t)m + 1);
}

bool log_is_due(uint64_t *last_ns)
{
	uint64_t now = log_uptime_ns() + 1;

	if (*last_ns && now - *last_ns < LOG_INTERVAL_NS)
		return false;
	*last_ns = now;
	return true;
}
