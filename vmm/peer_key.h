/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PEER_KEY_H
#define VMM_PEER_KEY_H

#include <stdbool.h>

/*
 * A key that clients written for another monitor send, and that no parameter
 * table has. The control socket checks its type, refuses a value that would
 * change what the guest sees, and shows the others again in vm.info. Tables of
 * them are const, and end with an entry whose path is NULL.
 */
enum peer_type {
	PEER_BOOL,
	PEER_UINT, /* 0 or more */
	PEER_STRING,
	PEER_LIST,
	PEER_OBJECT,
	PEER_WORD, /* a string, or PEER_UINT */
	PEER_UINTS, /* PEER_UINT, or a list of them */
};

struct peer_key {
	const char *path; /* dots between levels */
	enum peer_type type;
	/* Values that pass, '|' between them; "": only empty, 0, false. NULL:
	 * all of the type. */
	const char *pass;
	const char *why; /* of a refusal; no full stop */
	/* JSON that is shown when the group is there and this key is not; NULL:
	 * nothing. */
	const char *def;
	bool always; /* def is shown even when the group is not there */
};

#define PEER_KEEP(p, t)              \
	{                            \
		.path = p, .type = t \
	}
#define PEER_ONLY(p, t, values, reason)                             \
	{                                                           \
		.path = p, .type = t, .pass = values, .why = reason \
	}
#define PEER_NONE(p, t, reason) PEER_ONLY(p, t, "", reason)

/* What is said of IOMMUs and of PCI segments but the first. */
#define PEER_NO_SEGMENTS "there is one PCI segment, without an IOMMU"

#endif
