/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_SLOW_FILE_H
#define VMM_SLOW_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/error.h"
#include "vmm/loop.h"

/*
 * A plain file whose host may stop answering: write(2) knows no O_NONBLOCK there.
 * What is put waits in a buffer, and a thread of the pool writes it, one piece
 * after the other, when the loop has turned.
 */
struct slow_file;

/*
 * Of fd a copy is made, for a write may outlast it. size: bytes that can wait, a
 * power of two. name: in the log and the message; borrowed, as loop is. NULL with
 * a message. Loop thread.
 */
struct slow_file *slow_file_open(struct loop *loop, int fd, size_t size,
				 const char *name, struct error *err);

/* Have data written, all or nothing. False: it is lost, as there is no room, or the
 * disk is full. Any thread; never waits. */
bool slow_file_put(struct slow_file *sf, const void *data, size_t len);

/*
 * Write what is there and close the file; wait for that, but for 0.2 s at most.
 * False: the host has not answered. *lost: bytes that are not written then, nor
 * will be. sf is freed when the host has let go and the loop has turned. Loop
 * thread; nobody calls the others.
 */
bool slow_file_close(struct slow_file *sf, size_t *lost);

#endif
