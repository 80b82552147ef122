/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_THREAD_KIND_H
#define VMM_THREAD_KIND_H

#include <stdbool.h>
#include <string.h>

/* Is a thread of this name of that kind? "vcpu12" is a "vcpu". Any thread. */
static inline bool thread_is_kind(const char *name, const char *kind)
{
	size_t len = strlen(kind);

	if (strncmp(name, kind, len) != 0)
		return false;
	name += len;
	return !name[strspn(name, "0123456789")];
}

#endif
