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
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/landlock.h"
#include "vmm/listener.h"
#include "vmm/opener_allow.h"
#include "vmm/opener_serve_net.h"
#include "vmm/util.h"

/* <linux/magic.h> of older headers lacks some. */
#define FS_CONFIGFS 0x62656570
#define FS_FUSECTL 0x65735543
#define FS_MQUEUE 0x19800202

/* Who is connected to has so long to take us, and as long to answer. */
#define SERVE_WAIT_S 1

/* Of a session: whom it listens for. */
static struct {
	struct listener listener;
	char *name; /* NULL: there is none */
	bool connects;
} serving = { .listener = { .fd = -1, .lock_fd = -1 } };

/* No magic link of /proc is taken. A descriptor, or -errno. */
static int serve_openat(const char *path, uint64_t flags, uint64_t mode)
{
	return opener_openat(path, flags, mode, RESOLVE_NO_MAGICLINKS);
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
	case OPENER_HANDOVER:
		return S_ISSOCK(mode);
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
		fd = few_open(path, O_RDONLY, 0);
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

	if (few_fstat(fd, &st))
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
	r = few_open(path, flags, 0);
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

	if (!opener_is_bounded())
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

static int serve_listener(struct opener_call *call)
{
	char *name = call->request.body;
	int r;

	if (!call->request.len)
		return serve_inherited(call);
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

static int serve_connect(struct opener_call *call)
{
	uint32_t port;

	if (call->request.len != sizeof(port))
		return -EBADMSG;
	if (!serving.connects)
		return -EADDRNOTAVAIL;
	memcpy(&port, call->request.body, sizeof(port));
	return listener_connect(serving.name, port, opener_is_bounded());
}

/* Who answers with what it hears waits for us; others hear nothing more, and the
 * monitor nothing of them. The answer stays where it is. */
static int serve_hear_hello(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char answer[sizeof(OPENER_HELLO)];
	ssize_t n;

	if (few_poll(&pfd, 1, SERVE_WAIT_S * 1000) != 1)
		return -ETIMEDOUT;
	n = few_recv(fd, answer, sizeof(answer), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n == sizeof(answer) &&
			       !memcmp(answer, OPENER_HELLO, sizeof(answer))
		       ? 0
		       : -EPROTO;
}

/* Connect to the socket at path, by a name that leads nowhere else. */
static int serve_handover(struct opener_call *call)
{
	const struct timeval wait = { .tv_sec = SERVE_WAIT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_fd int at = serve_openat(call->request.body, O_PATH, 0);
	cleanup_fd int fd = -1;
	int r = at < 0 ? at : serve_look(call, at);

	if (r)
		return r == -EINVAL ? -ECONNREFUSED : r;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", at);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A full queue of clients holds up connect(2), too. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const void *)&addr, sizeof(addr)) ||
	    few_send(fd, OPENER_HELLO, sizeof(OPENER_HELLO), MSG_NOSIGNAL) !=
		    (ssize_t)sizeof(OPENER_HELLO))
		return -errno;
	r = serve_hear_hello(fd);
	return r ? r : take_fd(&fd);
}

/* Both sides, as the other one can only be had where it has a path. */
static int serve_pty(struct opener_call *call)
{
	cleanup_fd int fd =
		few_open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
	int locked = 0, other = -1;

	if (fd >= 0 && !ioctl(fd, TIOCSPTLCK, &locked))
		other = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (other < 0)
		return -errno;
	call->fds[0] = take_fd(&fd);
	call->fds[1] = other;
	call->reply.nr = 2;
	return 0;
}

/* ---- bounds ---- */

/* Of the session; no descriptor: nothing was asked for yet. */
static struct {
	struct landlock_domain domain;
	unsigned int nr; /* of places that were asked for */
} serving_bound = { .domain.fd = -1 };

/* What the opener needs for what has no path of the monitor's. */
static int serve_own_places(void)
{
	static const struct {
		const char *path;
		bool is_dir, write;
	} places[] = { { "/dev/net/tun", false, true },
		       { "/dev/vhost-net", false, true },
		       { "/dev/ptmx", false, true },
		       { "/dev/pts", true, true },
		       { "/sys", true, false } };
	int r = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(places) && !r; i++) {
		cleanup_fd int fd = few_open(places[i].path, O_PATH, 0);
		const struct landlock_place place = { fd, places[i].is_dir,
						      true, places[i].write };

		r = fd < 0 ? 0 : landlock_allow(&serving_bound.domain, &place);
	}
	return r;
}

static int serve_begin_bound(void)
{
	int r;

	if (serving_bound.domain.fd >= 0)
		return 0;
	serving_bound.nr = 0;
	r = landlock_create(&serving_bound.domain);
	if (!r)
		r = serve_own_places();
	if (r)
		close_fd(&serving_bound.domain.fd);
	return r;
}

static int serve_place(struct opener_call *call)
{
	char *path = call->request.body, *slash = strrchr(path, '/');
	struct landlock_place place = {
		.read = call->request.flags & OPENER_READ,
		.write = call->request.flags & OPENER_WRITE,
	};
	cleanup_fd int at = -1;
	struct stat st;
	int r = serve_begin_bound();

	if (r)
		return r;
	/* Each is memory of the kernel's, and holds a file. */
	if (serving_bound.nr == OPENER_PLACES_MAX)
		return -E2BIG;
	serving_bound.nr++;
	if (call->request.flags & OPENER_BESIDE && slash)
		slash[slash == path] = '\0';
	else if (call->request.flags & OPENER_BESIDE)
		memcpy(path, ".", sizeof("."));
	at = call->request.len ? serve_openat(path, O_PATH, 0)
			       : fcntl(call->given, F_DUPFD_CLOEXEC, 0);
	if (at < 0)
		return call->request.len ? at : -errno;
	if (few_fstat(at, &st))
		return -errno;
	place.fd = at;
	place.is_dir = S_ISDIR(st.st_mode);
	return landlock_allow(&serving_bound.domain, &place);
}

static int serve_bound(struct opener_call *call unused_param)
{
	int r = serve_begin_bound();

	return r ? r : take_fd(&serving_bound.domain.fd);
}

/* ---- requests ---- */

void opener_serve_end(void)
{
	opener_serve_net_end();
	close_fd(&serving_bound.domain.fd);
	if (!serving.name)
		return;
	listener_remove(&serving.listener);
	free(serving.name);
	serving.name = NULL;
}

enum serve_body {
	BODY_NONE = 1u << 0, /* what came along is looked at later */
	BODY_PATH = 1u << 1, /* one NUL, at its end */
	BODY_OTHER = 1u << 2, /* checked there */
};

#define RW (OPENER_READ | OPENER_WRITE)

/* What each kind may be asked for with. */
static const struct serve_kind {
	/* A descriptor, or -errno. */
	int (*one)(struct opener_call *call);
	/* Or 0, and any number is in call. */
	int (*some)(struct opener_call *call);
	uint32_t flags;
	enum serve_body body;
} serve_kinds[] = {
	[OPENER_FILE] = { serve_path, NULL, OPENER_READ, BODY_PATH },
	[OPENER_IMAGE] = { serve_path, NULL, RW | OPENER_DIRECT, BODY_PATH },
	[OPENER_AGAIN] = { serve_again, NULL, RW | OPENER_DIRECT, BODY_NONE },
	[OPENER_DIRECTORY] = { serve_path, NULL, OPENER_READ, BODY_PATH },
	[OPENER_OUTPUT] = { serve_output, NULL, RW | OPENER_TRUNCATE,
			    BODY_PATH },
	[OPENER_PTY] = { NULL, serve_pty, 0, BODY_NONE },
	[OPENER_LISTENER] = { serve_listener, NULL, OPENER_QUIET,
			      BODY_PATH | BODY_NONE },
	[OPENER_CONNECT] = { serve_connect, NULL, 0, BODY_OTHER },
	[OPENER_HANDOVER] = { serve_handover, NULL, 0, BODY_PATH },
	[OPENER_TAP] = { NULL, opener_serve_tap, 0, BODY_OTHER },
	[OPENER_INTERFACE] = { NULL, opener_serve_interface, 0, BODY_OTHER },
	[OPENER_VHOST] = { opener_serve_vhost, NULL, 0, BODY_NONE },
	[OPENER_PLACE] = { NULL, serve_place, RW | OPENER_BESIDE,
			   BODY_PATH | BODY_NONE },
	[OPENER_BOUND] = { serve_bound, NULL, 0, BODY_NONE },
};

/* Nothing of it was looked at before. NULL: it cannot be asked for. */
static const struct serve_kind *serve_check(const struct opener_request *req,
					    size_t len)
{
	const size_t head = offsetof(struct opener_request, body);
	const struct serve_kind *kind;

	if (len < head || req->len > sizeof(req->body) ||
	    len != head + req->len || !req->kind ||
	    req->kind >= ARRAY_SIZE(serve_kinds))
		return NULL;
	kind = &serve_kinds[req->kind];
	if (req->flags & ~kind->flags)
		return NULL;
	if (kind->body == BODY_OTHER)
		return kind;
	if (!req->len)
		return kind->body & BODY_NONE ? kind : NULL;
	return kind->body & BODY_PATH && memchr(req->body, '\0', req->len) ==
						 req->body + req->len - 1
		       ? kind
		       : NULL;
}

void opener_serve(struct opener_call *call, size_t len)
{
	const struct serve_kind *kind = serve_check(&call->request, len);
	int r = -EBADMSG;

	memset(&call->reply, 0, sizeof(call->reply));
	if (kind)
		r = kind->one ? kind->one(call) : kind->some(call);
	if (r >= 0 && kind->one)
		call->fds[call->reply.nr++] = r;
	call->reply.result = MIN(r, 0);
}
