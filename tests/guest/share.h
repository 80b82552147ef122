/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The tests of shared directories: what they share, and one line for each. */
#ifndef GUEST_SHARE_H
#define GUEST_SHARE_H

#include "fuse.h"
#include "report.h"

extern struct fuse share;

#define ROOT FUSE_ROOT_ID
#define SHARE_TEXT "what is in the file"
#define SHARE_TEXT_LEN 19u
#define SHARE_QUEUES 2

/* Give up on the test unless a request comes to what it has to. */
#define EXPECT(call, want)                                                     \
	do {                                                                   \
		int got_ = (call);                                             \
		if (got_ != (int)(want))                                       \
			return failed("%s: %d instead of %d (line %u)", #call, \
				      got_, (int)(want), (unsigned)__LINE__);  \
	} while (0)
#define REQUIRE(cond)                                            \
	do {                                                     \
		if (!(cond))                                     \
			return failed("not %s (line %u)", #cond, \
				      (unsigned)__LINE__);       \
	} while (0)

/* share_ops.c */
const char *share_config(void);
const char *share_init(void);
const char *share_inode(void);
const char *share_data(void);
const char *share_data_large(void);
const char *share_file_ops(void);
const char *share_names(void);
const char *share_rename(void);
const char *share_readdir(void);
const char *share_readdirplus(void);
const char *share_xattr(void);
const char *share_tmpfile(void);
const char *share_whole(void);

/* share_hostile.c */
const char *share_escapes(void);
const char *share_links(void);
const char *share_special(void);
const char *share_stale(void);
const char *share_malformed(void);
const char *share_no_room(void);
const char *share_unknown(void);
const char *share_garbage(void);

/* share_life.c */
const char *share_init_twice(void);
const char *share_destroy(void);
const char *share_forget(void);
const char *share_queues(void);
const char *share_reset_under_load(void);
/* Ends only when something is wrong. */
const char *share_load(void);

/* share_dax.c: for a device with dax= */
const char *share_dax_map(void);
const char *share_dax_bar(void);
const char *share_dax_payload(void);
const char *share_dax_refused(void);
const char *share_dax_cut(void);
const char *share_dax_cut_by_host(void);
const char *share_dax_nothing(void);
const char *share_dax_end(void);

/* share_modes.c: for a device with other options */
const char *share_readonly(void);
const char *share_always(void);
const char *share_never(void);
const char *share_locks(void);

#endif
