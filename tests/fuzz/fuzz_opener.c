/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/opener_serve.h"
#include "vmm/util.h"

/*
 * Input: a request as it comes over the socket, from a monitor that is in a
 * guest's hands. All that may be opened is beneath one directory with two files,
 * one of them a link that leads out. Checked: what is handed out is a file,
 * directory or socket in there, or a terminal that nobody has, and with an error
 * nothing is.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stat inside, outside;
static int home;

static void fuzz_start(void)
{
	static char dir[] = "/tmp/fuzz_openerXXXXXX";
	struct error err;

	assert(mkdtemp(dir) && !chdir(dir));
	assert(!mkdir("box", 0700) && !symlink("/etc/passwd", "box/out"));
	assert(!opener_allow((const char *const[]){ "box" }, 1, &err));
	home = open(".", O_RDONLY | O_DIRECTORY);
	assert(home >= 0 && !stat("box", &inside) && !stat("/etc", &outside));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct opener_call call;
	size_t len = MIN(size, sizeof(call.request));
	struct stat st;

	if (!inside.st_ino)
		fuzz_start();
	memset(&call.request, 0xa5, sizeof(call.request));
	memcpy(&call.request, data, len);
	call.given = -1;
	opener_serve(&call, len);
	/* The session ends with the input. */
	opener_serve_end();
	assert(!fchdir(home));
	assert((call.fd >= 0) == !call.reply.result);
	if (call.fd < 0)
		return 0;
	assert(!fstat(call.fd, &st));
	if (call.request.kind == OPENER_PTY) {
		assert(S_ISCHR(st.st_mode) && isatty(call.fd));
	} else if (call.request.kind == OPENER_LISTENER) {
		assert(S_ISSOCK(st.st_mode));
	} else {
		assert(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
		assert(st.st_dev == inside.st_dev &&
		       st.st_ino != outside.st_ino);
	}
	close(call.fd);
	return 0;
}
