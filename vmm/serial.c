/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/serial.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "vmm/log.h"
#include "vmm/nowait.h"
#include "vmm/opener.h"
#include "vmm/util.h"

/*
 * The other side is raw from the start, for its echo would come back to the
 * guest as input. We keep it open: else who watches it could leave but once.
 */
static int serial_prepare_pty(struct serial_config *sc, int fd)
{
	struct termios raw;

	if (ptsname_r(fd, sc->pty, sizeof(sc->pty)) ||
	    tcgetattr(sc->pty_fd, &raw))
		return -1;
	cfmakeraw(&raw);
	return tcsetattr(sc->pty_fd, TCSANOW, &raw);
}

static void serial_say(const char *pty)
{
	struct nowait to;
	char line[sizeof(((struct serial_config *)0)->pty) + 32];
	int n = snprintf(line, sizeof(line), "vmm: serial port on %s\n", pty);

	/* The log, which is likely to be there too, waits for no file. */
	if (nowait_is_slow(STDERR_FILENO)) {
		log_warn("serial port on %s", pty);
		return;
	}
	nowait_open(&to, STDERR_FILENO);
	nowait_write(&to, line, (size_t)n);
	nowait_close(&to);
}

int serial_open_pty(struct serial_config *sc, struct error *err)
{
	cleanup_fd int fd = -1;

	if (sc->mode != SERIAL_PTY)
		return 0;
	fd = opener_open_pty(&sc->pty_fd);
	opener_leave();
	if (fd < 0 || serial_prepare_pty(sc, fd)) {
		int code = fd < 0 ? -fd : errno;

		close_fd(&sc->pty_fd);
		*sc->pty = '\0';
		return error_set(
			err, code,
			"--serial pty: %s; see that /dev/pts is mounted and /proc/sys/kernel/pty/max is not reached",
			error_text(code));
	}
	sc->fd = take_fd(&fd);
	serial_say(sc->pty);
	return 0;
}

int serial_open_file(struct serial_config *sc, struct error *err)
{
	struct opener_found found = { .mode = 0 };
	const char *fix;
	int fd;

	if (sc->mode != SERIAL_FILE)
		return 0;
	/* A FIFO without a reader is an error rather than a wait. */
	fd = opener_open(OPENER_OUTPUT, sc->file,
			 OPENER_WRITE | OPENER_TRUNCATE, &found);
	fix = fd == -ENXIO ? "open its other end first"
			   : "give a path that can be written";
	if (fd == -EINVAL && found.mode)
		return error_set(
			err, fd,
			"--serial file=%s: is neither a file nor a pipe; give a path of one, or have standard output there: tty",
			error_value(sc->file).text);
	if (fd < 0)
		return error_set(err, fd, "--serial file=%s: %s; %s",
				 error_value(sc->file).text, error_text(-fd),
				 fix);
	sc->fd = fd;
	sc->is_pipe = S_ISFIFO(found.mode);
	return 0;
}
