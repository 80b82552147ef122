/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_DEVICES_TAPE_FILE_H
#define TESTS_DEVICES_TAPE_FILE_H

#include <stdint.h>
#include <sys/uio.h>

#include "vmm/error.h"

/* The host side of a tape: a file that is written at its end, and read from its
 * beginning. The calls may block. */
struct tape_file;

/* Any thread. -errno with a message. */
int tape_file_open(struct tape_file **out, const char *path, struct error *err);
/* NULL is accepted. */
void tape_file_close(struct tape_file *tf);

/* One thread from here on. Bytes, or -errno of the host. */
ssize_t tape_file_record(struct tape_file *tf, const struct iovec *iov,
			 unsigned int nr);
ssize_t tape_file_play(struct tape_file *tf, const struct iovec *iov,
		       unsigned int nr);
/* Bytes that were recorded and not yet played. */
uint64_t tape_file_left(const struct tape_file *tf);

#endif
