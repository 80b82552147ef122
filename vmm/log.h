/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One line per event: "[  0.001234] io0 WARN: text". Time is since process
 * start, the word after it is the thread's name. Goes to stderr or --log-file.
 */
enum log_level {
	LOG_ERROR,
	LOG_WARN, /* default */
	LOG_INFO, /* -v */
	LOG_DEBUG, /* -vv */
	LOG_TRACE, /* -vvv */
};

/*
 * Send the log to fd (borrowed, kept open by the caller) from now on, and show
 * messages up to level. Main thread, before other threads start.
 */
void log_init(int fd, enum log_level level);

/* A line that it cannot take is lost: false. Any thread, one at a time; it does not
 * log. */
typedef bool log_put_fn(void *opaque, const char *line, size_t len);

/*
 * Have lines put elsewhere from now on, where fd is a file that may be slow
 * (vmm/slow_file.h); put NULL: written to fd again. When this returns, nobody is in
 * the put before. Any thread.
 */
void log_divert(log_put_fn *put, void *opaque);

/* Is a message of this level shown? Any thread. */
bool log_enabled(enum log_level level);

/*
 * Write one line; fmt as for printf(3), without the newline. Control characters
 * become '?'. Where the reader is slow, or a slow file has no room, the line is
 * lost and counted, and the next one that can be written follows the count. Any
 * thread; never waits, but for a local file system, and, unless lines are put
 * elsewhere, for any plain file.
 */
void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * For what a guest or a broken host can bring about any number of times: true
 * at most once a second. *last_ns: 0 at first; the caller has it to itself.
 */
bool log_is_due(uint64_t *last_ns);

/* What the log is written to, without waiting where that can be had: slow files it
 * waits for. Any thread, signal handlers too. */
int log_output(void);

/* Nanoseconds since process start on CLOCK_MONOTONIC. */
uint64_t log_uptime_ns(void);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) \
	(log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_trace(...) \
	(log_enabled(LOG_TRACE) ? log_write(LOG_TRACE, __VA_ARGS__) : (void)0)

#endif
