/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENER_PROTOCOL_H
#define VMM_OPENER_PROTOCOL_H

#include <limits.h>
#include <net/if.h>
#include <stdint.h>

#include "vmm/error.h"

/* What the monitor may ask of its opener (vmm/opener.h), and what it hears. */

enum opener_kind {
	OPENER_FILE = 1, /* a plain file that is there */
	OPENER_IMAGE, /* the same, or a block device */
	OPENER_AGAIN, /* such as came along, for no more than it was open for */
	OPENER_DIRECTORY,
	OPENER_OUTPUT, /* a plain file, made when it is not there, or a pipe */
	OPENER_PTY, /* a new pseudo-terminal: its main side, and the other */
	/*
	 * A socket that listens, which goes with the session; one that came
	 * along has its path for the next. Once a session.
	 */
	OPENER_LISTENER,
	/* A connection to "path_PORT" of the session's listener. */
	OPENER_CONNECT,
	/* One to the socket at a path, where somebody answers OPENER_HELLO with
	 * the same; nothing of that answer is taken. */
	OPENER_HANDOVER,
	/* All queues of a TAP that the user may have, made when it is not there,
	 * perhaps in another network namespace, in which the session then is. */
	OPENER_TAP,
	/* What the interface is to have of which a queue came along; and a socket
	 * that hears of its link. */
	OPENER_INTERFACE,
	OPENER_VHOST, /* /dev/vhost-net */
	/* A place that stays open to the opener when it is bounded: to read, to
	 * write, or both; of what is not there with OPENER_BESIDE. -E2BIG beyond
	 * OPENER_PLACES_MAX. */
	OPENER_PLACE,
	/* The bound that the session's places are (Landlock), for opener_bound(). */
	OPENER_BOUND,
};

#define OPENER_HELLO "vmm-fs1" /* devices/backend/fs_handover.h */

/* How; what is not here cannot be asked for. */
enum opener_flag {
	OPENER_READ = 1u << 0,
	OPENER_WRITE = 1u << 1,
	OPENER_DIRECT = 1u << 2, /* O_DIRECT */
	OPENER_TRUNCATE = 1u << 3,
	OPENER_QUIET = 1u << 4, /* of a listener: no OPENER_CONNECT follows */
	/* The directory that it is in is meant, for what is made there. */
	OPENER_BESIDE = 1u << 5,
};

/* What is there, also where it was not opened for that. */
struct opener_found {
	uint32_t mode; /* as of stat(2); 0: nothing */
	uint32_t unused;
	/* Of a block device, bytes; 0: it does not discard. */
	uint64_t discard_max;
	uint64_t discard_granularity;
};

/* Of a TAP; behind it two strings with their NULs: its name, or "" of one that the
 * kernel names; and a file of its namespace, or "" for that which came along, or
 * the opener's. */
struct opener_tap {
	uint32_t nr_queues; /* 1..OPENER_QUEUES_MAX */
};

/* Of an interface; 0 or none: as it is. */
struct opener_interface {
	uint32_t mtu;
	/* Only of one that the session has made; in network byte order. */
	uint32_t ip, mask;
	uint16_t has_mac;
	uint8_t mac[6];
};

/* What is sent to the opener itself: a new session, or a bound, which is answered
 * with 0 or -errno on the socket that comes along. */
enum opener_word {
	OPENER_SESSION,
	OPENER_ENTER,
};

#define OPENER_BODY_MAX PATH_MAX
#define OPENER_ALLOW_MAX 64u /* directories that are opened from */
#define OPENER_QUEUES_MAX 126u /* of a TAP */
#define OPENER_PLACES_MAX 128u /* of a bound */

/* As it travels, body for no longer than it says. */
struct opener_request {
	uint32_t kind;
	uint32_t flags;
	uint32_t len; /* of body */
	char body
		[OPENER_BODY_MAX]; /* a path and its NUL; a port; or as above */
};

struct opener_reply {
	int32_t result; /* 0 or -errno */
	uint32_t nr; /* of descriptors that come along */
	union {
		struct opener_found found;
		struct opener_found_tap {
			char name[IFNAMSIZ];
			uint32_t made; /* it was not there */
		} tap;
		struct opener_found_interface {
			int32_t index; /* 0: not in a namespace that can be had */
			uint32_t mtu; /* 0: unknown */
		} interface;
	};
	struct error err; /* of a listener, a TAP or an interface; or "" */
};

/* One request, with what came along. */
struct opener_call {
	struct opener_request request;
	struct opener_reply reply;
	int given; /* -1: none */
	int fds[OPENER_QUEUES_MAX]; /* opened, as many as the reply says */
};

#endif
