/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_IOV_H
#define VMM_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/*
 * A position in an iovec array. Headers and status bytes are byte ranges here,
 * whatever way the guest cut its descriptors (virtio 1.2 section 2.7.4).
 * Owned by one thread; the array is borrowed and not changed.
 */
struct iov_cursor {
	const struct iovec *iov;
	unsigned int nr; /* entries left, the current one included */
	size_t off; /* bytes of the current entry already taken */
};

/* At the first byte of an array of nr entries. */
static inline struct iov_cursor iov_cursor_init(const struct iovec *iov,
						unsigned int nr)
{
	return (struct iov_cursor){ .iov = iov, .nr = nr };
}

/* Sum of the lengths. The caller bounds it (virtqueue_pop() does). */
size_t iov_len(const struct iovec *iov, unsigned int nr);

/* Copy the next len bytes of the array to buf and move past them. Returns the
 * bytes copied, less than len at the end of the array. */
size_t iov_read(struct iov_cursor *c, void *buf, size_t len);
/* Copy len bytes of buf to the next ones of the array; else as iov_read(). */
size_t iov_write(struct iov_cursor *c, const void *buf, size_t len);
/* Move past the next len bytes. Returns how many there were. */
size_t iov_skip(struct iov_cursor *c, size_t len);

/* Cut len bytes off the front of the array *iov of *nr entries, changing
 * entries in place. The array holds at least len bytes. */
void iov_trim_front(struct iovec **iov, unsigned int *nr, size_t len);

#endif
