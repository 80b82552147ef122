/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/fs_handover.h"

/*
 * Input: what a program answers that is to hand over a directory, as it comes
 * in, byte by byte. Checked: nothing that was refused becomes good with more of
 * it, and what is good is the words and nothing else.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char words[FS_HANDOVER_WORDS_MAX + 1];
	struct fs_handover_head head;
	int r = -EAGAIN;

	for (size_t len = 0; len <= size; len++) {
		/* Its end is where the sanitizer sees it. */
		uint8_t *copy = malloc(len ? len : 1);
		int before = r;

		assert(copy);
		memcpy(copy, data, len);
		r = fs_handover_parse(copy, len, words);
		free(copy);
		if (before == -EPROTO)
			assert(r == -EPROTO);
		if (r)
			continue;
		assert(before == -EAGAIN);
		memcpy(&head, data, sizeof(head));
		assert(len == sizeof(head) + head.len);
		assert(strlen(words) == head.len);
		assert(!memcmp(words, data + sizeof(head), head.len));
	}
	return 0;
}
