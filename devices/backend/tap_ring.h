/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_TAP_RING_H
#define DEVICES_BACKEND_TAP_RING_H

#include <errno.h>
#ifndef VMM_NO_URING
#include <liburing.h>
#endif
#include <stdbool.h>
#include <sys/uio.h>

#include "vmm/loop.h"

/*
 * Many frames to a TAP by one system call: an io_uring, one for all TAPs of an
 * I/O thread. System call filters do not see what a ring is asked for, so it is
 * made before the thread is filtered, and restricted for good: it writes, as the
 * thread may by itself, and does nothing else. No files are registered: the
 * kernel would keep a TAP for a while after it was closed, or after the monitor
 * was killed, and nobody could have its name.
 */

/* Frames of one call. */
#define TAP_RING_FRAMES 16u

struct tap_ring;

struct tap_frame {
	const struct iovec *iov; /* a header of TAP_HEADER bytes, the frame */
	unsigned int nr;
	int result; /* as of tap_write() */
};

#ifndef VMM_NO_URING
struct tap_ring {
	struct io_uring ring;
	bool broken; /* it holds writes that the kernel did not take */
};

/* A loop that has it gives a struct tap_ring, or NULL where the host refuses. */
extern const struct loop_local tap_ring_local;

/*
 * Write nr frames, 1..TAP_RING_FRAMES, in their order, to a TAP's queue, and
 * say what became of each. One that finds no room (-EAGAIN) does not keep the
 * next from being tried. The ring's thread; never waits. -errno: none was written
 * and the ring is no use for this TAP (before Linux 6.4).
 */
int tap_ring_write(struct tap_ring *ring, int fd, struct tap_frame *frames,
		   unsigned int nr);
#else
static inline int tap_ring_write(struct tap_ring *ring, int fd,
				 struct tap_frame *frames, unsigned int nr)
{
	(void)ring, (void)fd, (void)frames, (void)nr;
	return -ENOSYS;
}
#endif

#endif
