/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/util.h"

/* The five-letter marks are what log readers of container shims look for. */
static const char *const log_marks[] = {
	[LOG_ERROR] = "ERRO", [LOG_WARN] = "WARN",  [LOG_INFO] = "INFO",
	[LOG_DEBUG] = "DEBG", [LOG_TRACE] = "TRCE",
};

#define LOG_INTERVAL_NS 1000000000u

/* Written by log_init() before threads start, read only afterwards. */
static int log_fd = STDERR_FILENO;
static enum log_level log_level_max = LOG_WARN;
static uint64_t log_start_ns;

static uint64_t log_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

__attribute__((constructor)) static void log_note_start(void)
{
	log_start_ns = log_clock_ns();
}

void log_init(int fd, enum log_level level)
{
	log_fd = fd;
	log_level_max = level;
}

bool log_enabled(enum log_level level)
{
	return level <= log_level_max;
}

uint64_t log_uptime_ns(void)
{
	return log_clock_ns() - log_start_ns;
}

/* A line that cannot be written is lost: logging never stops work. A pipe that
 * polls writable takes a line whole. */
static void log_put(const char *line, size_t len)
{
	struct pollfd p = { .fd = log_fd, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1)
		(void)!write(log_fd, line, len);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024], name[16] = "";
	uint64_t now_us;
	va_list ap;
	int n, m;

	if (!log_enabled(level))
		return;
	now_us = log_uptime_ns() / 1000;
	pthread_getname_np(pthread_self(), name, sizeof(name));
	n = snprintf(line, sizeof(line),
		     "[%3u.%06u] %s %s: ", (unsigned int)(now_us / 1000000),
		     (unsigned int)(now_us % 1000000), name, log_marks[level]);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	/* What a client or guest wrote does not end the line. */
	for (m = MIN(n + m, (int)sizeof(line) - 2); n < m; n++)
		if ((unsigned char)line[n] < 0x20 || line[n] == 0x7f)
			line[n] = '?';
	line[n++] = '\n';
	log_put(line, (size_t)n);
}

bool log_is_due(uint64_t *last_ns)
{
	uint64_t now = log_uptime_ns() + 1;

	if (*last_ns && now - *last_ns < LOG_INTERVAL_NS)
		return false;
	*last_ns = now;
	return true;
}
