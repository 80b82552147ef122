/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_CTL_H
#define TOOLS_VMMCTL_CTL_H

#include <stdbool.h>

/* What the words in front of the verb say. */
struct ctl {
	const char *socket; /* NULL: not given */
	bool json;
	bool once;
};

/* Exit statuses. */
enum ctl_status {
	CTL_OK,
	CTL_FAILED, /* the monitor refused, or is not there */
	CTL_USAGE, /* the words make no sense; nothing was asked */
};

#endif
