/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/listener.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/util.h"

#define LISTENER_BACKLOG 128

/* ---- the lock ---- */

/* The file of that name is the one we have open; it may have been removed by
 * the process that had the lock before. */
static bool listener_is_same(int fd, const char *name)
{
	struct stat mine, there;

	return !few_fstat(fd, &mine) && !stat(name, &there) &&
	       mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static int listener_lock_failed(const struct listener *l, int why,
				struct error *err)
{
	struct error_value name = error_value(l->lock_path);

	if (why == EWOULDBLOCK)
		return error_set(
			err, EADDRINUSE,
			"another process has %s locked; give a path of its own",
			name.text);
	return error_set(err, why, "cannot lock %s: %s", name.text,
			 strerror(why));
}

static int listener_lock(struct listener *l, struct error *err)
{
	int r = 0;

	do {
		close_fd(&l->lock_fd);
		l->lock_fd = few_open(l->lock_path,
				      O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
		if (l->lock_fd < 0)
			r = error_set(
				err, errno,
				"cannot make %s: %s; give a path in a directory that can be written",
				error_value(l->lock_path).text,
				strerror(errno));
		else if (flock(l->lock_fd, LOCK_EX | LOCK_NB))
			r = listener_lock_failed(l, errno, err);
	} while (!r && !listener_is_same(l->lock_fd, l->lock_path));
	if (r)
		close_fd(&l->lock_fd);
	return r;
}

/* ---- the socket ---- */

/* Remove what a process that is gone left behind, and nothing else. */
static int listener_clear(const struct sockaddr_un *addr, struct error *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return error_set(
			err, EEXIST,
			"there is a file of that name which is no socket; remove it, or give another path");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, errno, "socket: %s", strerror(errno));
	if (!connect(fd, (const void *)addr, sizeof(*addr)) ||
	    errno != ECONNREFUSED)
		return error_set(
			err, EADDRINUSE,
			"another process listens there; give another path");
	if (unlink(addr->sun_path))
		return error_set(err, errno, "cannot remove the old socket: %s",
				 strerror(errno));
	return 0;
}

/* Others have no access to the file at any moment, whatever the umask is, which
 * is the whole process': bind(2) takes its mode from the socket. */
static int listener_bind(struct listener *l, const struct sockaddr_un *addr,
			 struct error *err)
{
	struct stat st;

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || fchmod(l->fd, 0600))
		return error_set(err, errno, "socket: %s", strerror(errno));
	if (bind(l->fd, (const void *)addr, sizeof(*addr)))
		return error_set(
			err, errno,
			"%s; give a path in a directory that can be written",
			strerror(errno));
	if (!lstat(addr->sun_path, &st)) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	if (listen(l->fd, LISTENER_BACKLOG))
		return error_set(err, errno, "listen: %s", strerror(errno));
	return 0;
}

int listener_open(struct listener *l, const char *path, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int r;

	*l = (struct listener){ .fd = -1, .lock_fd = -1 };
	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(
			err, ENAMETOOLONG,
			"the path is too long; a socket's has at most %zu bytes",
			sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	l->path = strdup(path);
	if (!l->path || asprintf(&l->lock_path, "%s.lock", path) < 0) {
		free(l->path);
		return error_set(err, ENOMEM, "out of memory");
	}
	r = listener_lock(l, err);
	if (!r)
		r = listener_clear(&addr, err);
	if (!r)
		r = listener_bind(l, &addr, err);
	if (r)
		listener_close(l);
	return r;
}

static int listener_option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

int listener_adopt(struct listener *l, int fd, struct error *err)
{
	int flags;

	*l = (struct listener){ .fd = -1, .lock_fd = -1 };
	if (listener_option(fd, SO_ACCEPTCONN) != 1 ||
	    listener_option(fd, SO_DOMAIN) != AF_UNIX ||
	    listener_option(fd, SO_TYPE) != SOCK_STREAM)
		return error_set(
			err, EINVAL,
			"descriptor %d is not a Unix stream socket that listens",
			fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC))
		return error_set(err, errno, "descriptor %d: %s", fd,
				 strerror(errno));
	l->fd = fd;
	return 0;
}

/* *path: another name of the socket that is called so, which *fd holds. */
static int listener_find(char *path, size_t len, int *fd)
{
	struct stat st;

	*fd = few_open(path, O_PATH | O_NOFOLLOW, 0);
	if (*fd < 0 || few_fstat(*fd, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ECONNREFUSED;
	snprintf(path, len, "/proc/self/fd/%d", *fd);
	return 0;
}

int listener_connect(const char *prefix, uint32_t port, bool nofollow)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_fd int found = -1;
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", prefix,
			 port);
	int fd, r = 0;

	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	if (nofollow)
		r = listener_find(addr.sun_path, sizeof(addr.sun_path), &found);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const void *)&addr, sizeof(addr))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

char *listener_path_of(int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (void *)&addr, &len) ||
	    addr.sun_family != AF_UNIX || len <= sizeof(addr.sun_family) ||
	    !addr.sun_path[0])
		return NULL;
	return strndup(addr.sun_path, len - sizeof(addr.sun_family));
}

void listener_remove(struct listener *l)
{
	struct stat st;

	if (l->ino && !lstat(l->path, &st) && st.st_ino == l->ino &&
	    st.st_dev == l->dev)
		unlink(l->path);
	if (l->lock_fd >= 0)
		unlink(l->lock_path);
	close_fd(&l->lock_fd);
	free(l->path);
	free(l->lock_path);
	l->path = l->lock_path = NULL;
	l->ino = 0;
}

void listener_close(struct listener *l)
{
	close_fd(&l->fd);
	listener_remove(l);
}
