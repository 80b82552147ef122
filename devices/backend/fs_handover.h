/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_FS_HANDOVER_H
#define DEVICES_BACKEND_FS_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/opener.h"

/*
 * A directory from a program that somebody else has started for it, where others
 * expect a file system server. The opener connects to the socket that it listens
 * on, and sends FS_HANDOVER_HELLO. It answers with one message: struct fs_handover_head,
 * words of --fs, and along with its first byte a descriptor of the directory.
 * Nothing more is said. Either side is done when the other one hangs up.
 */

/* Eight bytes with the NUL. Servers of vhost-user take them for the beginning of
 * a header whose version, the low two bits of byte 4, is none that there is, and
 * wait for the rest. */
#define FS_HANDOVER_HELLO OPENER_HELLO

struct fs_handover_head {
	char hello[sizeof(FS_HANDOVER_HELLO)];
	uint32_t len; /* of the words; both ends are on one host */
};

#define FS_HANDOVER_WORDS_MAX 8192u

struct fs_handover {
	int dir; /* whatever was sent */
	int connection; /* holds the program there, until it is closed */
	char words[FS_HANDOVER_WORDS_MAX + 1]; /* "cache=auto,xattr=off" */
};

/*
 * Check the first len bytes of an answer. 0: they are all of it, and words, of
 * FS_HANDOVER_WORDS_MAX + 1 bytes, gets a copy; -EAGAIN: more have to come;
 * -EPROTO: it is something else. Any thread.
 */
int fs_handover_parse(const uint8_t *msg, size_t len, char *words);

/* Get a directory from who listens at path. Takes three seconds at most; not for
 * the main thread. h: caller's storage. -errno with a message that says what to
 * start instead, and nothing is left open. */
int fs_handover_get(struct fs_handover *h, const char *path, struct error *err);
/* Close what there is of it; descriptors that were taken over are -1. */
void fs_handover_close(struct fs_handover *h);

#endif
