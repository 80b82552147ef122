/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_handover.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vmm/few.h"
#include "vmm/util.h"

#define HANDOVER_WAIT_MS 1000
#define HANDOVER_SIZE (sizeof(struct fs_handover_head) + FS_HANDOVER_WORDS_MAX)
/* Descriptors that a message of the kernel's can bring (SCM_MAX_FD). */
#define HANDOVER_FDS_MAX 253u

#define HANDOVER_INSTEAD                                                         \
	"start vmm-virtiofsd there (virtio_fs_daemon of Kata's configuration), " \
	"or give path=DIRECTORY instead of socket"

int fs_handover_parse(const uint8_t *msg, size_t len, char *words)
{
	struct fs_handover_head head = { .len = 0 };

	memcpy(&head, msg, MIN(len, sizeof(head)));
	if (memcmp(head.hello, FS_HANDOVER_HELLO,
		   MIN(len, sizeof(head.hello))) != 0)
		return -EPROTO;
	if (len < sizeof(head))
		return -EAGAIN;
	if (head.len > FS_HANDOVER_WORDS_MAX)
		return -EPROTO;
	for (size_t i = sizeof(head); i < len; i++)
		if (msg[i] < 0x20 || msg[i] > 0x7e)
			return -EPROTO;
	if (len - sizeof(head) < head.len)
		return -EAGAIN;
	if (len - sizeof(head) > head.len)
		return -EPROTO;
	memcpy(words, msg + sizeof(head), head.len);
	words[head.len] = '\0';
	return 0;
}

/* ---- the socket ---- */

/* Keep the first descriptor that ever comes, and close all others. */
static void handover_take_fds(struct fs_handover *h, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < nr; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (h->dir < 0)
				h->dir = take_fd(&fd);
			close_fd(&fd);
		}
	}
}

/* What is there to read now, or comes until end_ns. */
static ssize_t handover_receive(struct fs_handover *h, uint8_t *buf, size_t len,
				uint64_t end_ns)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct pollfd pfd = { .fd = h->connection, .events = POLLIN };
	uint64_t now = monotonic_ns();
	ssize_t n;

	if (now >= end_ns ||
	    few_poll(&pfd, 1, (int)((end_ns - now) / 1000000) + 1) == 0)
		return -ETIMEDOUT;
	n = recvmsg(h->connection, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -errno;
	handover_take_fds(h, &msg);
	return n;
}

static int handover_hear(struct fs_handover *h)
{
	uint64_t end_ns = monotonic_ns() + HANDOVER_WAIT_MS * 1000000ull;
	uint8_t msg[HANDOVER_SIZE + 1]; /* a byte too many is told from none */
	size_t len = 0;
	int r = -EAGAIN;

	while (r == -EAGAIN) {
		ssize_t n = handover_receive(h, msg + len, sizeof(msg) - len,
					     end_ns);

		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			return n ? (int)n : -EPROTO;
		len += (size_t)n;
		r = fs_handover_parse(msg, len, h->words);
	}
	return r || h->dir >= 0 ? r : -EPROTO;
}

/* Why there is none; what was wrong is the host's, or the peer's. */
static int handover_refused(const char *path, int r, struct error *err)
{
	const struct error_value value = error_value(path);

	/* It was not even tried. */
	if (r == -ENOANO || r == -ENOLINK || r == -EXDEV)
		return error_set(err, r, "socket=%s: %s", value.text,
				 error_text(-r));
	if (r != -ETIMEDOUT && r != -EPROTO)
		return error_set(err, r, "socket=%s: %s; " HANDOVER_INSTEAD,
				 value.text, error_text(-r));
	return error_set(
		err, r,
		"socket=%s: what listens there gives %s; is it a virtiofsd? This monitor shares directories itself: " HANDOVER_INSTEAD,
		value.text,
		r == -ETIMEDOUT ? "no answer within a second"
				: "another answer");
}

int fs_handover_get(struct fs_handover *h, const char *path, struct error *err)
{
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	int r;

	h->dir = h->connection = -1;
	if (strlen(path) > room)
		return error_set(
			err, ENAMETOOLONG,
			"socket: the path is too long; a socket's has at most %zu bytes",
			room);
	r = opener_open(OPENER_HANDOVER, path, 0, NULL);
	h->connection = MAX(r, -1);
	if (r >= 0)
		r = handover_hear(h);
	if (!r)
		return 0;
	fs_handover_close(h);
	return handover_refused(path, r, err);
}

void fs_handover_close(struct fs_handover *h)
{
	close_fd(&h->dir);
	close_fd(&h->connection);
}
