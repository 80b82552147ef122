/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * EVA: cutting an array of three pieces of up to three bytes, empty ones as well, at
 * any place: nothing outside of them is read or written, and no more than is there.
 */
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define PIECES 3u
#define BYTES 3u

/* FROM vmm/iov.h: struct iov_cursor */
/* FROM vmm/iov.c: iov_len iov_next iov_move iov_read iov_write iov_skip */
/* FROM vmm/iov.c: iov_trim_front */

static char memory[PIECES][BYTES], buffer[PIECES * BYTES];
static struct iovec iov[PIECES];

/* The lengths of this number, whose digits they are. Returns their sum. */
static size_t make(unsigned int number)
{
	size_t sum = 0;

	for (unsigned int i = 0; i < PIECES; i++) {
		iov[i].iov_base = memory[i];
		iov[i].iov_len = number % (BYTES + 1);
		number /= BYTES + 1;
		sum += iov[i].iov_len;
	}
	return sum;
}

static void copy(unsigned int number, size_t len)
{
	size_t sum = make(number), n = iov_len(iov, PIECES);
	struct iov_cursor c = { iov, PIECES, 0 };

	//@ check length: n == sum;
	n = iov_read(&c, buffer, len);
	//@ check reads_all: n == (len < sum ? len : sum);
	n = iov_skip(&c, 1);
	//@ check goes_on: n == (len < sum ? 1 : 0);
	n = iov_write(&c, buffer, len);
	//@ check no_further: n <= len;
}

static void trim(unsigned int number, size_t len)
{
	size_t sum = make(number), left = 0;
	struct iovec *rest = iov;
	unsigned int nr = PIECES;

	iov_trim_front(&rest, &nr, len);
	//@ check begins: nr == 0 || rest->iov_len > 0;
	for (unsigned int i = 0; i < nr; i++) {
		const char *p = rest[i].iov_base;
		size_t n = rest[i].iov_len;

		//@ check inside: n == 0 || \valid_read(p + (0 .. n - 1));
		left += n;
	}
	//@ check rest: left == (len < sum ? sum - len : 0);
}

void main(void)
{
	for (unsigned int number = 0; number < 64; number++)
		for (size_t len = 0; len <= sizeof(buffer); len++) {
			copy(number, len);
			trim(number, len);
		}
}
