/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENER_PROTOCOL_H
#define VMM_OPENER_PROTOCOL_H

#include <limits.h>
#include <stdint.h>

#include "vmm/error.h"

/* What the monitor may ask of its opener (vmm/opener.h), and what it hears. */

enum opener_kind {
	OPENER_FILE = 1, /* a plain file that is there */
	OPENER_IMAGE, /* the same, or a block device */
	OPENER_AGAIN, /* such as came along, for no more than it was open for */
	OPENER_DIRECTORY,
	OPENER_OUTPUT, /* a plain file, made when it is not there, or a pipe */
	OPENER_PTY, /* the main side of a new pseudo-terminal */
	/*
	 * A socket that listens, which goes with the session; one that came
	 * along has its path for the next. Once a session.
	 */
	OPENER_LISTENER,
	/* A connection to "path_PORT" of the session's listener. */
	OPENER_CONNECT,
};

/* How; what is not here cannot be asked for. */
enum opener_flag {
	OPENER_READ = 1u << 0,
	OPENER_WRITE = 1u << 1,
	OPENER_DIRECT = 1u << 2, /* O_DIRECT */
	OPENER_TRUNCATE = 1u << 3,
	OPENER_QUIET = 1u << 4, /* of a listener: no OPENER_CONNECT follows */
};

/* What is there, also where it was not opened for that. */
struct opener_found {
	uint32_t mode; /* as of stat(2); 0: nothing */
	uint32_t unused;
	/* Of a block device, bytes; 0: it does not discard. */
	uint64_t discard_max;
	uint64_t discard_granularity;
};

#define OPENER_BODY_MAX PATH_MAX
#define OPENER_ALLOW_MAX 64u /* directories that are opened from */

/* As it travels, body for no longer than it says. */
struct opener_request {
	uint32_t kind;
	uint32_t flags;
	uint32_t len; /* of body */
	char body[OPENER_BODY_MAX]; /* a path and its NUL; or a port */
};

struct opener_reply {
	int32_t result; /* 0 or -errno */
	uint32_t unused;
	struct opener_found found;
	struct error err; /* of a listener */
};

/* One request, with what came along. */
struct opener_call {
	struct opener_request request;
	struct opener_reply reply;
	int given; /* -1: none */
	int fd; /* opened; -1: none */
};

#endif
