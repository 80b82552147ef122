/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Shared directories: each request by hand, then those that nobody should send.
 *
 * The host has put there: `file`, with SHARE_TEXT; `dir` with 300 empty files;
 * `large` of 1 MiB; `fifo`, `device`; `absolute` and `upwards`, links out of the
 * directory. It looks at what is outside afterwards. Parameters: tag=, seed=,
 * count= of garbage; modes=1: the tests of other options; dax=: those of a window
 * of that size, dax_end=1: the one that ends the machine; load=1: no tests, but
 * requests without end, for the host to take the device away meanwhile.
 */
#include "share.h"

#include "clock.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

struct fuse share;

#define SHARE_TEST(test)            \
	{                           \
#test, share_##test \
	}

static const struct test share_tests[] = {
	SHARE_TEST(config),	SHARE_TEST(init),
	SHARE_TEST(inode),	SHARE_TEST(data),
	SHARE_TEST(data_large), SHARE_TEST(file_ops),
	SHARE_TEST(names),	SHARE_TEST(rename),
	SHARE_TEST(readdir),	SHARE_TEST(readdirplus),
	SHARE_TEST(xattr),	SHARE_TEST(tmpfile),
	SHARE_TEST(whole),	SHARE_TEST(escapes),
	SHARE_TEST(links),	SHARE_TEST(special),
	SHARE_TEST(stale),	SHARE_TEST(malformed),
	SHARE_TEST(no_room),	SHARE_TEST(unknown),
	SHARE_TEST(garbage),	SHARE_TEST(init_twice),
	SHARE_TEST(destroy),	SHARE_TEST(forget),
	SHARE_TEST(queues),	SHARE_TEST(reset_under_load),
};

/* For devices with other options: they run when they are named. */
static const struct test mode_tests[] = {
	SHARE_TEST(readonly),
	SHARE_TEST(always),
	SHARE_TEST(never),
	SHARE_TEST(locks),
};

static const struct test dax_tests[] = {
	SHARE_TEST(dax_map),	 SHARE_TEST(dax_bar),
	SHARE_TEST(dax_payload), SHARE_TEST(dax_refused),
	SHARE_TEST(dax_cut),	 SHARE_TEST(dax_cut_by_host),
	SHARE_TEST(dax_nothing),
};

static const struct test dax_end_tests[] = {
	SHARE_TEST(dax_end),
};

static const char *share_prepare(void)
{
	return fuse_begin(&share, SHARE_QUEUES);
}

void guest_main(const struct guest_info *info)
{
	const char *why = fuse_open_device(&share, param_text("tag", ""));

	(void)info;
	if (why)
		power_off_failed(why);
	if (param_number("load", 0))
		power_off_failed(share_load());
	if (param_number("dax_end", 0))
		report_run(dax_end_tests, 1, share_prepare);
	else if (param_number("dax", 0))
		report_run(dax_tests, ARRAY_SIZE(dax_tests), share_prepare);
	else if (param_number("modes", 0))
		report_run(mode_tests, ARRAY_SIZE(mode_tests), share_prepare);
	else
		report_run(share_tests, ARRAY_SIZE(share_tests), share_prepare);
}
