/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/json.h"
#include "vmm/util.h"

/*
 * Input: the body of vm.create. Checked: messages say something; what was
 * accepted is shown in ASCII, and is accepted again when it is sent back.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *fuzz_echo(const struct vm_config *vc)
{
	json_t *out = json_write_config(vc);
	char *text;

	text = json_write_text(out);
	assert(text);
	for (const char *s = text; *s; s++)
		assert(*s >= 0x20); /* DEL is ASCII, too */
	json_decref(out);
	return text;
}

/* The echo of what was accepted, NULL: it was not. */
static char *fuzz_read(const char *text, size_t len, const struct json_fds *fds)
{
	struct error err = { "" };
	json_t *root;
	struct vm_config vc;
	char *echo = NULL;
	int r;

	root = json_read_text(text, len, &err);
	if (!root) {
		assert(*err.msg);
		return NULL;
	}
	vm_config_init(&vc);
	r = json_read_config(&vc, root, fds, &err);
	json_decref(root);
	assert(!r == !*err.msg);
	assert(!r || r == -EBADMSG || r == -EINVAL);
	if (!r)
		echo = fuzz_echo(&vc);
	vm_config_free(&vc);
	return echo;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct json_fds none = { .nr = 0 };
	struct json_fds fds = { .fds = &fd, .nr = 1 };
	char *echo, *again;

	free(fuzz_read((const char *)data, size, &fds));
	close_fd(&fd);
	echo = fuzz_read((const char *)data, size, &none);
	if (!echo)
		return 0;
	again = fuzz_read(echo, strlen(echo), &none);
	assert(again);
	free(echo);
	free(again);
	return 0;
}
