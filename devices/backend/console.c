/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/log.h"
#include "vmm/nowait.h"
#include "vmm/slow_file.h"
#include "vmm/util.h"

#define CONSOLE_BUFFER 16384u /* power of two */
/* A pipe that polls writable takes this much without waiting. */
#define CONSOLE_CHUNK 4096u
#define CONSOLE_ESCAPE 0x01 /* Ctrl-A */
/* How long the last words wait for a reader that is slow. */
#define CONSOLE_LAST_MS 200
/* Nobody tells a job that runs on that it is in the foreground again. */
#define CONSOLE_LOOK_NS 1000000000u

struct console {
	struct console_config config;

	/* loop thread */
	struct nowait nw; /* output */
	struct slow_file *file; /* ... or, not NULL, to a plain file */
	int in_fd; /* -1: there is no input, or no more */
	int own_fd; /* in_fd, when it was opened here; else -1 */
	bool in_is_plain; /* a plain file: it cannot be watched, nor blocks */
	bool escaped; /* Ctrl-A was typed */
	uint64_t said_ns; /* that it cannot be watched */
	uint8_t typed[1024]; /* read, for the port when it has room */
	size_t nr_typed;
	struct loop_fd in;
	struct loop_fd out;
	/* Standard input is a terminal, which jobs of a shell share. */
	bool is_terminal;
	bool raw; /* the terminal is ours: we are in the foreground */
	struct termios saved; /* as it was before */
	struct loop_timer look;
	struct loop_fd continued; /* SIGCONT; fd -1: not watched */

	/* any thread, under lock (a leaf) */
	pthread_mutex_t lock;
	uint8_t buffer[CONSOLE_BUFFER];
	size_t head, tail; /* written to, read from; free running */
	uint64_t lost;
	bool stalled; /* the reader is slow: its going on is watched */

	/* any thread */
	struct loop_call flush_call;
	struct loop_call input_call;
};

/* ---- output ---- */

static size_t console_peek(struct console *con, const uint8_t **data)
{
	size_t off, len;

	pthread_mutex_lock(&con->lock);
	off = con->tail % CONSOLE_BUFFER;
	len = MIN(con->head - con->tail, CONSOLE_BUFFER - off);
	pthread_mutex_unlock(&con->lock);
	*data = con->buffer + off;
	return MIN(len, CONSOLE_CHUNK);
}

/* Wait for that until end_ns, if not yet. A plain file always is. */
static bool console_is_writable(const struct console *con, uint64_t end_ns)
{
	struct pollfd p = { .fd = nowait_fd(&con->nw), .events = POLLOUT };
	uint64_t now = loop_now_ns();
	int timeout_ms = end_ns > now ? (int)((end_ns - now) / 1000000) : 0;

	return few_poll(&p, 1, timeout_ms) == 1;
}

static void console_watch_out(struct console *con, bool on)
{
	if (!on)
		loop_fd_del(&con->out);
	else if (!con->out.loop)
		loop_fd_add(con->config.loop, &con->out, EPOLLOUT);
}

/*
 * Waits for a slow reader up to timeout_ms. True: what there was is written;
 * what comes meanwhile has its own call, so that a guest that writes all the
 * time does not keep us here.
 */
static bool console_drain(struct console *con, unsigned int timeout_ms)
{
	uint64_t end_ns = loop_now_ns() + timeout_ms * 1000000ull;
	const uint8_t *data;
	size_t len, done = 0;

	while (done < CONSOLE_BUFFER && (len = console_peek(con, &data))) {
		ssize_t n;

		if (!console_is_writable(con, end_ns))
			return false;
		n = nowait_write(&con->nw, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		/* The reader went away or the disk is full: the guest must
		 * not notice. */
		len = n < 0 ? len : (size_t)n;
		pthread_mutex_lock(&con->lock);
		con->tail += len;
		pthread_mutex_unlock(&con->lock);
		done += len;
	}
	return true;
}

static void console_set_stalled(struct console *con, bool on)
{
	pthread_mutex_lock(&con->lock);
	con->stalled = on;
	pthread_mutex_unlock(&con->lock);
}

static void console_flush(struct console *con)
{
	bool stalled;

	/* Before we look, lest the last byte that comes meanwhile be forgotten. */
	console_set_stalled(con, false);
	stalled = !console_drain(con, 0);
	console_watch_out(con, stalled);
	if (stalled && con->out.loop)
		console_set_stalled(con, true);
}

static void console_on_flush(struct loop_call *lc)
{
	console_flush(container_of(lc, struct console, flush_call));
}

static void console_on_writable(struct loop_fd *lf,
				uint32_t events unused_param)
{
	console_flush(container_of(lf, struct console, out));
}

void console_write(struct console *con, uint8_t byte)
{
	bool fits, goes;

	if (con->config.mode == CONSOLE_NULL)
		return;
	pthread_mutex_lock(&con->lock);
	if (con->file)
		fits = slow_file_put(con->file, &byte, 1);
	else if ((fits = con->head - con->tail < CONSOLE_BUFFER))
		con->buffer[con->head++ % CONSOLE_BUFFER] = byte;
	con->lost += !fits;
	goes = con->file || con->stalled; /* by itself */
	pthread_mutex_unlock(&con->lock);
	if (!goes)
		loop_post(con->config.loop, &con->flush_call);
}

/* ---- input ---- */

/* What cannot be watched for another reason than being a plain file might block
 * when it is read: it is tried again when the port asks the next time. */
static void console_watch_in(struct console *con, bool on)
{
	int r;

	if (!on || con->in_fd < 0 || (con->is_terminal && !con->raw)) {
		loop_fd_del(&con->in);
		return;
	}
	if (con->in_is_plain || con->in.loop)
		return;
	r = loop_fd_add(con->config.loop, &con->in, EPOLLIN);
	if (r == -EPERM) {
		con->in_is_plain = true;
		console_input_wanted(con);
	} else if (r && log_is_due(&con->said_ns)) {
		log_warn("serial port: its input is not watched: %s",
			 strerror(-r));
	}
}

/* Take Ctrl-A x out of what was typed at a terminal. Returns what is left. */
static size_t console_filter(struct console *con, uint8_t *data, size_t len)
{
	size_t i, n = 0;

	if (!con->raw)
		return len;
	for (i = 0; i < len; i++) {
		uint8_t c = data[i];

		if (!con->escaped && c == CONSOLE_ESCAPE) {
			con->escaped = true;
			continue;
		}
		if (con->escaped && c == 'x')
			con->config.quit(con->config.opaque);
		else
			data[n++] = c;
		con->escaped = false;
	}
	return n;
}

static void console_end_input(struct console *con)
{
	console_watch_in(con, false);
	con->in_fd = -1;
}

/* False: the terminal is another job's, or does not want to be raw. */
static bool console_make_raw(struct console *con)
{
	struct termios now;

	if (con->raw)
		return true;
	if (tcgetattr(con->in_fd, &now))
		return false;
	/* A shell may give it back to us as we had it. */
	if (now.c_lflag & ICANON || !con->saved.c_cflag)
		con->saved = now;
	cfmakeraw(&now);
	now.c_oflag |= OPOST; /* our own messages need it */
	con->raw = !tcsetattr(con->in_fd, TCSANOW, &now);
	return con->raw;
}

/*
 * A job in the background must leave its terminal alone: what is typed there is
 * for another one, and the shell has set it up for that. True: it is ours.
 */
static bool console_take_terminal(struct console *con)
{
	int ours = nowait_has_terminal(con->in_fd);

	if (ours > 0 && console_make_raw(con))
		return true;
	con->raw = false;
	console_watch_in(con, false);
	if (ours < 0) /* hung up, or not the one that controls us */
		console_end_input(con);
	else
		loop_timer_set(con->config.loop, &con->look,
			       loop_now_ns() + CONSOLE_LOOK_NS);
	return false;
}

static void console_on_look(struct loop_timer *lt)
{
	struct console *con = container_of(lt, struct console, look);

	if (console_take_terminal(con))
		console_watch_in(con, true);
}

/* We were stopped, and a shell has used the terminal meanwhile. */
static void console_on_continued(struct loop_fd *lf,
				 uint32_t events unused_param)
{
	struct console *con = container_of(lf, struct console, continued);
	struct signalfd_siginfo si;

	if (read(lf->fd, &si, sizeof(si)) != sizeof(si) || con->in_fd < 0)
		return;
	con->raw = false;
	console_on_look(&con->look);
}

static void console_deliver(struct console *con)
{
	size_t room = con->config.room(con->config.opaque);
	size_t n = MIN(room, con->nr_typed);

	if (!n)
		return;
	con->config.input(con->config.opaque, con->typed, n);
	con->nr_typed -= n;
	memmove(con->typed, con->typed + n, con->nr_typed);
}

/* A terminal is read ahead of the port, as Ctrl-A x has to be seen. */
static size_t console_room(const struct console *con)
{
	size_t room = con->config.room(con->config.opaque);

	return con->is_terminal ? sizeof(con->typed) - con->nr_typed
				: MIN(room, sizeof(con->typed));
}

static void console_read(struct console *con)
{
	size_t room = console_room(con);
	uint8_t *data = con->typed + con->nr_typed;
	ssize_t n;

	if (!room) {
		console_watch_in(con, false);
		return;
	}
	if (con->is_terminal && !console_take_terminal(con))
		return;
	n = read(con->in_fd, data, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* The shell took it back at this moment. */
	if (n < 0 && con->is_terminal && !console_take_terminal(con))
		return;
	if (n <= 0) {
		console_end_input(con);
		return;
	}
	con->nr_typed += console_filter(con, data, (size_t)n);
	console_deliver(con);
}

static void console_on_readable(struct loop_fd *lf,
				uint32_t events unused_param)
{
	console_read(container_of(lf, struct console, in));
}

static void console_on_wanted(struct loop_call *lc)
{
	struct console *con = container_of(lc, struct console, input_call);

	console_deliver(con);
	if (con->in_is_plain && con->in_fd >= 0)
		console_read(con);
	else
		console_watch_in(con, true);
}

void console_input_wanted(struct console *con)
{
	loop_post(con->config.loop, &con->input_call);
}

/* ---- open and close ---- */

static void console_free(struct console *con)
{
	nowait_close(&con->nw);
	pthread_mutex_destroy(&con->lock);
	free(con);
}

/* The last words. */
static void console_end_output(struct console *con)
{
	size_t lost;

	if (con->file) {
		slow_file_close(con->file, &lost);
	} else {
		/* Nobody need be at the other end of a pseudo-terminal. */
		console_drain(con, con->config.mode == CONSOLE_PTY
					   ? 0
					   : CONSOLE_LAST_MS);
		lost = con->head - con->tail;
	}
	con->lost += lost;
}

/* Other threads have all signals blocked. */
static void console_watch_continued(struct console *con)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCONT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	con->continued.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	con->continued.on_event = console_on_continued;
	if (con->continued.fd >= 0)
		loop_fd_add(con->config.loop, &con->continued, EPOLLIN);
}

static void console_open_tty(struct console *con)
{
	nowait_open(&con->nw, STDOUT_FILENO);
	con->in_fd = STDIN_FILENO;
	con->is_terminal = isatty(STDIN_FILENO);
	if (!con->is_terminal)
		return;
	con->own_fd = nowait_reopen(STDIN_FILENO, O_RDONLY);
	if (con->own_fd >= 0)
		con->in_fd = con->own_fd;
	con->look.on_expire = console_on_look;
	if (console_take_terminal(con) || con->in_fd >= 0)
		console_watch_continued(con);
}

int console_open(struct console **out, const struct console_config *config,
		 struct error *err)
{
	struct console *con = calloc(1, sizeof(*con));
	int fd;

	if (!con)
		return error_set(err, ENOMEM, "out of memory");
	con->config = *config;
	con->nw = (struct nowait){ .fd = config->fd, .own = -1 };
	con->in_fd = con->own_fd = con->continued.fd = -1;
	con->flush_call.fn = console_on_flush;
	con->input_call.fn = console_on_wanted;
	pthread_mutex_init(&con->lock, NULL);
	fd = config->mode == CONSOLE_TTY ? STDOUT_FILENO : config->fd;
	if (config->mode == CONSOLE_FILE ||
	    (config->mode == CONSOLE_TTY && nowait_is_slow(fd))) {
		con->file = slow_file_open(config->loop, fd, CONSOLE_BUFFER,
					   "serial port", err);
		if (!con->file) {
			console_free(con);
			return -EIO;
		}
	}
	if (config->mode == CONSOLE_TTY)
		console_open_tty(con);
	/* One descriptor cannot be watched twice: a pty gets a second one. */
	if (config->mode == CONSOLE_PTY)
		con->in_fd = con->own_fd =
			fcntl(config->fd, F_DUPFD_CLOEXEC, 0);
	con->out.fd = nowait_fd(&con->nw);
	con->out.on_event = console_on_writable;
	con->in.fd = con->in_fd;
	con->in.on_event = console_on_readable;
	console_watch_in(con, true);
	*out = con;
	return 0;
}

void console_close(struct console *con)
{
	if (!con)
		return;
	loop_cancel(con->config.loop, &con->flush_call);
	loop_cancel(con->config.loop, &con->input_call);
	loop_timer_cancel(&con->look);
	loop_fd_del(&con->continued);
	console_watch_in(con, false);
	console_watch_out(con, false);
	console_end_output(con);
	if (con->raw && nowait_has_terminal(con->in_fd) > 0)
		tcsetattr(con->in_fd, TCSANOW, &con->saved);
	if (con->lost)
		log_warn(
			"serial: %llu bytes were lost, the host did not read them",
			llu(con->lost));
	close_fd(&con->continued.fd);
	close_fd(&con->own_fd);
	console_free(con);
}
