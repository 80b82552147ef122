/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What the opener does when it is asked. A path is looked up first, without
 * opening what is there (O_PATH), so that its kind is known before a device
 * driver or a pipe notices; the same file is then opened through /proc/self/fd.
 * Between the two nothing can be exchanged.
 */
#include "vmm/opener_serve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vmm/listener.h"
#include "vmm/util.h"

/* <linux/magic.h> of older headers lacks some. */
#define FS_CONFIGFS 0x62656570
#define FS_FUSECTL 0x65735543
#define FS_MQUEUE 0x19800202

/* Written before there are other threads. */
static struct {
	struct allowed {
		char *path; /* absolute and tidy; "" is the root */
		int fd;
	} dirs[OPENER_ALLOW_MAX];
	unsigned int nr;
} allowed;

/* Of a session: whom it listens for. */
static struct {
	struct listener listener;
	char *name; /* NULL: there is none */
	bool connects;
} serving = { .listener = { .fd = -1, .lock_fd = -1 } };

/* ---- beneath what ---- */

/* Take out "." and what slashes are too many. */
static void allow_tidy(char *path)
{
	char *to = path;

	while (*path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len && !(len == 1 && *path == '.')) {
			*to++ = '/';
			memmove(to, path, len);
			to += len;
		}
		path += len;
	}
	*to = '\0';
}

/* path from the root on, to be freed; NULL: no memory, or no such place. */
static char *allow_absolute(const char *path)
{
	char *cwd = *path == '/' ? strdup("") : getcwd(NULL, 0), *out = NULL;

	if (cwd && asprintf(&out, "%s/%s", cwd, path) < 0)
		out = NULL;
	free(cwd);
	if (out)
		allow_tidy(out);
	return out;
}

int opener_allow(const char *const *dirs, unsigned int nr, struct error *err)
{
	while (allowed.nr) {
		struct allowed *a = &allowed.dirs[--allowed.nr];

		close_fd(&a->fd);
		free(a->path);
	}
	for (unsigned int i = 0; i < nr; i++) {
		struct allowed *a = &allowed.dirs[i];

		a->path = allow_absolute(dirs[i]);
		a->fd = a->path ? open(dirs[i],
				       O_PATH | O_DIRECTORY | O_CLOEXEC)
				: -1;
		if (a->fd < 0)
			return error_set(
				err, errno,
				"--allow %s: %s; give a directory of the host",
				error_value(dirs[i]).text, error_text(errno));
		allowed.nr++;
	}
	return 0;
}

/* What is left of path below an allowed directory; NULL: it is not below. */
static const char *allow_rest(const struct allowed *a, const char *path)
{
	size_t len = strlen(a->path);

	if (strncmp(path, a->path, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] ? path + len + 1 : ".";
}

/* openat2(2) of path, so that no magic link of /proc and, where that is asked
 * for, no way out of a directory is taken. A descriptor, or -errno. */
static int serve_openat(const char *path, uint64_t flags, uint64_t mode)
{
	struct open_how how = { .flags = flags | O_CLOEXEC,
				.mode = mode,
				.resolve = RESOLVE_NO_MAGICLINKS };
	const char *rest = path;
	char *whole = NULL;
	int dir = AT_FDCWD, fd;

	if (allowed.nr) {
		whole = allow_absolute(path);
		rest = NULL;
		how.resolve |= RESOLVE_BENEATH;
	}
	for (unsigned int i = 0; whole && !rest && i < allowed.nr; i++) {
		rest = allow_rest(&allowed.dirs[i], whole);
		dir = allowed.dirs[i].fd;
	}
	fd = rest ? (int)syscall(SYS_openat2, dir, rest, &how, sizeof(how))
		  : -1;
	if (fd < 0)
		fd = rest ? -errno : -EXDEV;
	free(whole);
	return fd;
}

void opener_keep_only(int fd)
{
	unsigned int from = STDERR_FILENO + 1, next;

	for (;;) {
		next = (unsigned int)fd >= from ? (unsigned int)fd : UINT32_MAX;
		for (unsigned int i = 0; i < allowed.nr; i++) {
			unsigned int dir = (unsigned int)allowed.dirs[i].fd;

			if (dir >= from && dir < next)
				next = dir;
		}
		if (next > from)
			close_range(from, next - 1, 0);
		if (next == UINT32_MAX)
			return;
		from = next + 1;
	}
}

/* ---- what is there ---- */

/* File systems whose files are the kernel's own. */
static bool serve_is_kernels(int fd)
{
	static const uint32_t magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,	      DEBUGFS_MAGIC,
		TRACEFS_MAGIC,	  SECURITYFS_MAGIC,   SELINUX_MAGIC,
		SMACK_MAGIC,	  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
		BPF_FS_MAGIC,	  EFIVARFS_MAGIC,     NSFS_MAGIC,
		BINFMTFS_MAGIC,	  PSTOREFS_MAGIC,     FS_CONFIGFS,
		FS_FUSECTL,	  FS_MQUEUE,
	};
	struct statfs fs;

	/* Some of FUSE do not say; the kernel's all do. */
	if (fstatfs(fd, &fs))
		return errno != ENOSYS;
	for (unsigned int i = 0; i < ARRAY_SIZE(magics); i++)
		if ((uint32_t)fs.f_type == magics[i])
			return true;
	return false;
}

static bool serve_is_kind(uint32_t kind, mode_t mode)
{
	switch (kind) {
	case OPENER_FILE:
		return S_ISREG(mode);
	case OPENER_IMAGE:
	case OPENER_AGAIN:
		return S_ISREG(mode) || S_ISBLK(mode);
	case OPENER_DIRECTORY:
		return S_ISDIR(mode);
	case OPENER_OUTPUT:
		return S_ISREG(mode) || S_ISFIFO(mode);
	}
	return false;
}

/* One number from the queue directory of a block device in sysfs, or 0. */
static uint64_t serve_queue_limit(dev_t dev, const char *limit)
{
	/* A partition has none of its own; its disk, one above, has. */
	static const char *const dirs[] = { "", "../" };
	char path[128], text[32];
	ssize_t n = 0;
	int fd = -1;

	for (unsigned int i = 0; fd < 0 && i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s",
			 major(dev), minor(dev), dirs[i], limit);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0)
		n = read(fd, text, sizeof(text) - 1);
	close_fd(&fd);
	text[MAX(n, 0)] = '\0';
	return strtoull(text, NULL, 10);
}

/* 0, or -EINVAL where it is none of that kind. */
static int serve_look(struct opener_call *call, int fd)
{
	struct opener_found *found = &call->reply.found;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	found->mode = st.st_mode;
	if (!serve_is_kind(call->request.kind, st.st_mode))
		return -EINVAL;
	/* Of a device, it is the file system of its name. */
	if (serve_is_kernels(fd))
		return -EPERM;
	if (S_ISBLK(st.st_mode)) {
		found->discard_max =
			serve_queue_limit(st.st_rdev, "discard_max_bytes");
		found->discard_granularity =
			serve_queue_limit(st.st_rdev, "discard_granularity");
	}
	return 0;
}

/* ---- opening it ---- */

static int serve_flags(const struct opener_request *req, mode_t mode)
{
	static const int access[] = { -1, O_RDONLY, O_WRONLY, O_RDWR };
	int flags = access[req->flags & (OPENER_READ | OPENER_WRITE)];

	if (flags < 0)
		return flags;
	if (req->flags & OPENER_DIRECT)
		flags |= O_DIRECT;
	if (req->flags & OPENER_TRUNCATE && S_ISREG(mode))
		flags |= O_TRUNC;
	/* A pipe must not make us wait. */
	if (!S_ISREG(mode) && !S_ISDIR(mode))
		flags |= O_NONBLOCK;
	return flags | O_CLOEXEC | O_NOCTTY;
}

/* The file that fd is on. A descriptor, or -errno. */
static int serve_open_found(const struct opener_call *call, int fd)
{
	int flags = serve_flags(&call->request, call->reply.found.mode);
	char path[32];
	int r;

	if (flags < 0)
		return -EBADMSG;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, flags);
	return r < 0 ? -errno : r;
}

static int serve_path(struct opener_call *call)
{
	cleanup_fd int at = serve_openat(call->request.body, O_PATH, 0);
	int r = at < 0 ? at : serve_look(call, at);

	return r ? r : serve_open_found(call, at);
}

/* One that is not there is made, whoever wins. */
static int serve_output(struct opener_call *call)
{
	int r = -ENOENT, flags = serve_flags(&call->request, S_IFREG);

	if (flags < 0)
		return -EBADMSG;
	for (unsigned int tries = 0; tries < 3 && r == -ENOENT; tries++) {
		r = serve_path(call);
		if (r != -ENOENT)
			break;
		r = serve_openat(call->request.body,
				 (unsigned int)flags | O_CREAT | O_EXCL, 0600);
		if (r == -EEXIST)
			r = -ENOENT;
	}
	return r;
}

/* What the monitor has open already, for no more than that. */
static int serve_again(struct opener_call *call)
{
	static const unsigned int access[] = {
		[O_RDONLY] = OPENER_READ,
		[O_WRONLY] = OPENER_WRITE,
		[O_RDWR] = OPENER_READ | OPENER_WRITE,
	};
	int flags = call->given < 0 ? -1 : fcntl(call->given, F_GETFL), r;
	unsigned int asked = call->request.flags & (OPENER_READ | OPENER_WRITE);

	if (flags < 0)
		return -EBADF;
	if (flags & (O_PATH | O_APPEND) || (flags & O_ACCMODE) > O_RDWR ||
	    asked & ~access[flags & O_ACCMODE])
		return -EACCES;
	r = serve_look(call, call->given);
	return r ? r : serve_open_found(call, call->given);
}

/* ---- sockets ---- */

/* The listener's name, from here on: with --allow this process goes where it
 * is, so that no link on the way leads elsewhere later. */
static int serve_go_there(char **path)
{
	char *slash = strrchr(*path, '/');
	cleanup_fd int dir = -1;

	if (!allowed.nr)
		return 0;
	if (slash)
		*slash = '\0';
	dir = serve_openat(!slash	    ? "."
			   : slash == *path ? "/"
					    : *path,
			   O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	*path = slash ? slash + 1 : *path;
	return fchdir(dir) ? -errno : 0;
}

static int serve_listener(struct opener_call *call)
{
	char *name = call->request.body;
	int r;

	if (serving.name)
		return -EALREADY;
	r = serve_go_there(&name);
	if (r)
		return error_set(&call->reply.err, r, "%s", error_text(-r));
	r = listener_open(&serving.listener, name, &call->reply.err);
	if (r)
		return r;
	serving.name = strdup(name);
	serving.connects = serving.name &&
			   !(call->request.flags & OPENER_QUIET);
	return take_fd(&serving.listener.fd);
}

/* Who has a socket that listens may be called what it is called. */
static int serve_inherited(struct opener_call *call)
{
	int is = 0, r;
	socklen_t len = sizeof(is);
	char *name;

	if (serving.name)
		return -EALREADY;
	if (call->given < 0 ||
	    getsockopt(call->given, SOL_SOCKET, SO_ACCEPTCONN, &is, &len) ||
	    !is)
		return -EBADF;
	serving.name = listener_path_of(call->given);
	if (!serving.name)
		return -EADDRNOTAVAIL;
	name = serving.name;
	r = serve_go_there(&name);
	memmove(serving.name, name, strlen(name) + 1);
	serving.connects = !r && !(call->request.flags & OPENER_QUIET);
	return r ? r : fcntl(call->given, F_DUPFD_CLOEXEC, 0);
}

static int serve_connect(const struct opener_call *call)
{
	uint32_t port;

	if (!serving.connects)
		return -EADDRNOTAVAIL;
	memcpy(&port, call->request.body, sizeof(port));
	return listener_connect(serving.name, port, allowed.nr > 0);
}

void opener_serve_end(void)
{
	if (!serving.name)
		return;
	listener_remove(&serving.listener);
	free(serving.name);
	serving.name = NULL;
}

/* ---- requests ---- */

/* What each kind may be asked for with. */
static bool serve_may(uint32_t kind, uint32_t flags)
{
	const uint32_t rw = OPENER_READ | OPENER_WRITE;
	const uint32_t may[] = {
		[OPENER_FILE] = OPENER_READ,
		[OPENER_IMAGE] = rw | OPENER_DIRECT,
		[OPENER_AGAIN] = rw | OPENER_DIRECT,
		[OPENER_DIRECTORY] = OPENER_READ,
		[OPENER_OUTPUT] = rw | OPENER_TRUNCATE,
		[OPENER_PTY] = 0,
		[OPENER_LISTENER] = OPENER_QUIET,
		[OPENER_CONNECT] = 0,
	};

	return kind < ARRAY_SIZE(may) && !(flags & ~may[kind]);
}

/* Nothing of it was looked at before. */
static int serve_check(const struct opener_request *req, size_t len)
{
	const size_t head = offsetof(struct opener_request, body);

	if (len < head || req->len > sizeof(req->body) ||
	    len != head + req->len || !serve_may(req->kind, req->flags))
		return -EBADMSG;
	if (req->kind == OPENER_CONNECT)
		return req->len == sizeof(uint32_t) ? 0 : -EBADMSG;
	/* What came along instead of a path is looked at later. */
	if (!req->len &&
	    (req->kind == OPENER_PTY || req->kind == OPENER_AGAIN ||
	     req->kind == OPENER_LISTENER))
		return 0;
	/* One NUL, at its end. */
	return req->len && req->kind != OPENER_AGAIN &&
			       req->kind != OPENER_PTY &&
			       memchr(req->body, '\0', req->len) ==
				       req->body + req->len - 1
		       ? 0
		       : -EBADMSG;
}

static int serve_pty(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int serve_kind(struct opener_call *call)
{
	switch (call->request.kind) {
	case OPENER_AGAIN:
		return serve_again(call);
	case OPENER_OUTPUT:
		return serve_output(call);
	case OPENER_PTY:
		return serve_pty();
	case OPENER_LISTENER:
		return call->request.len ? serve_listener(call)
					 : serve_inherited(call);
	case OPENER_CONNECT:
		return serve_connect(call);
	default:
		return serve_path(call);
	}
}

void opener_serve(struct opener_call *call, size_t len)
{
	int r = serve_check(&call->request, len);

	call->fd = -1;
	memset(&call->reply, 0, sizeof(call->reply));
	if (!r)
		r = serve_kind(call);
	if (r >= 0)
		call->fd = r;
	call->reply.result = MIN(r, 0);
}
