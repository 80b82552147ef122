/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/opener_allow.h"
#include "vmm/opener_serve.h"
#include "vmm/util.h"

/*
 * Input: a request as it comes over the socket, from a monitor that is in a
 * guest's hands; of an interface, with a TAP that it has. All that may be opened
 * is beneath one directory with two files, one of them a link that leads out, and
 * networks are those of a namespace of the test's. Checked: what is handed out is
 * a file, directory or socket in there, a terminal that nobody has, a TAP, what
 * hears of one, or a bound, and with an error nothing is.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stat inside, outside;
static int home;
static int tap = -1; /* -1: networks are left alone */

static void fuzz_start_network(void)
{
	struct ifreq ifr = { .ifr_name = "fuzz0",
			     .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (unshare(CLONE_NEWNET))
		return;
	tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tap >= 0 && ioctl(tap, TUNSETIFF, &ifr))
		close_fd(&tap);
}

static void fuzz_start(void)
{
	const char *tmp = getenv("TMPDIR");
	char dir[256];
	struct error err;

	snprintf(dir, sizeof(dir), "%s/fuzz_openerXXXXXX", tmp ? tmp : "/tmp");
	assert(mkdtemp(dir) && !chdir(dir));
	assert(!mkdir("box", 0700) && !symlink("/etc/passwd", "box/out"));
	assert(!opener_allow((const char *const[]){ "box" }, 1, &err));
	home = open(".", O_RDONLY | O_DIRECTORY);
	assert(home >= 0 && !stat("box", &inside) && !stat("/etc", &outside));
	fuzz_start_network();
}

static void fuzz_check(uint32_t kind, int fd)
{
	struct ifreq ifr;
	struct stat st;

	assert(!fstat(fd, &st));
	switch (kind) {
	case OPENER_PTY:
		assert(S_ISCHR(st.st_mode) && isatty(fd));
		break;
	case OPENER_TAP:
		assert(!ioctl(fd, TUNGETIFF, &ifr));
		assert(strcmp(ifr.ifr_name, "fuzz0") != 0);
		break;
	case OPENER_VHOST:
		assert(S_ISCHR(st.st_mode));
		break;
	case OPENER_BOUND:
		assert(!(st.st_mode & S_IFMT)); /* no file at all */
		break;
	case OPENER_LISTENER:
	case OPENER_INTERFACE:
		assert(S_ISSOCK(st.st_mode));
		break;
	default:
		assert(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
		assert(st.st_dev == inside.st_dev &&
		       st.st_ino != outside.st_ino);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct opener_call call;
	size_t len = MIN(size, sizeof(call.request));
	uint32_t kind;

	if (!inside.st_ino)
		fuzz_start();
	memset(&call.request, 0xa5, sizeof(call.request));
	memcpy(&call.request, data, len);
	kind = call.request.kind;
	call.given = kind == OPENER_INTERFACE ? tap : -1;
	if (kind == OPENER_TAP && tap < 0)
		return 0;
	opener_serve(&call, len);
	/* The session ends with the input. */
	opener_serve_end();
	assert(!fchdir(home));
	assert(!call.reply.result || !call.reply.nr);
	assert(call.reply.result || call.reply.nr || kind == OPENER_INTERFACE ||
	       kind == OPENER_PLACE);
	while (call.reply.nr) {
		int fd = call.fds[--call.reply.nr];

		fuzz_check(kind, fd);
		close(fd);
	}
	return 0;
}
