/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/opener_allow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/opener_protocol.h"
#include "vmm/util.h"

/* Written before there are other threads. */
static struct {
	struct allowed {
		char *path; /* absolute and tidy; "" is the root */
		int fd;
	} dirs[OPENER_ALLOW_MAX];
	unsigned int nr;
	char *cwd; /* where paths begin that are not absolute; NULL: nowhere */
} allowed;

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
	const char *from = *path == '/' ? "" : allowed.cwd;
	char *out = NULL;

	if (from && asprintf(&out, "%s/%s", from, path) < 0)
		out = NULL;
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
	free(allowed.cwd);
	allowed.cwd = nr ? getcwd(NULL, 0) : NULL;
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

bool opener_is_bounded(void)
{
	return allowed.nr > 0;
}

int opener_openat(const char *path, uint64_t flags, uint64_t mode,
		  uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC,
				.mode = mode,
				.resolve = resolve };
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
