/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_URING_RESTRICT_H
#define DEVICES_BACKEND_URING_RESTRICT_H

#include <errno.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Entries of what uring_restrict() is given: an operation, a registration. */
#define URING_DOES(op)                                              \
	{                                                           \
		.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = (op) \
	}
#define URING_TAKES(change)                               \
	{                                                 \
		.opcode = IORING_RESTRICTION_REGISTER_OP, \
		.register_op = (change)                   \
	}

/*
 * Have a ring that was made with IORING_SETUP_R_DISABLED do what the nr entries of
 * only say, for good, and nothing else; and enable it (io_uring_register(2), Linux
 * 5.10). By raw calls: Debian 12's liburing declares its own and does not have
 * them. The thread that is to use it. -errno.
 */
static inline int uring_restrict(struct io_uring *ring,
				 struct io_uring_restriction *only,
				 unsigned int nr)
{
	if (syscall(SYS_io_uring_register, ring->ring_fd,
		    IORING_REGISTER_RESTRICTIONS, only, nr) < 0 ||
	    syscall(SYS_io_uring_register, ring->ring_fd,
		    IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	return 0;
}

#endif
