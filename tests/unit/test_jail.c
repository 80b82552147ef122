/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What of the jail is logic; what the kernel makes of it, tests/api sees. */
#include "vmm/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/kept.h"
#include "vmm/landlock.h"
#include "vmm/util.h"

static char *text(const char *s)
{
	char *copy = strdup(s);

	assert_non_null(copy);
	return copy;
}

/* What user= and group= mean; NULL: not given. */
static int find(const char *user, const char *group, struct jail_ids *ids,
		struct error *err)
{
	struct jail_config jc = { .user = user ? text(user) : NULL,
				  .group = group ? text(group) : NULL };
	int r = jail_find_ids(&jc, ids, err);

	param_free(&jail_params, &jc);
	return r;
}

static void test_nobody_else(void **state unused_param)
{
	struct jail_ids ids;
	struct error err;

	assert_int_equal(find(NULL, NULL, &ids, &err), 0);
	assert_int_equal(ids.uid, geteuid());
	assert_int_equal(ids.gid, getegid());
	assert_false(ids.change);
	assert_int_equal(jail_check_ids(&ids, &err), 0);
}

static void test_names(void **state unused_param)
{
	struct jail_ids ids;
	struct error err;

	assert_int_equal(find("root", NULL, &ids, &err), 0);
	assert_int_equal(ids.uid, 0);
	assert_int_equal(ids.gid, 0);
	assert_int_equal(find("root", "daemon", &ids, &err), 0);
	assert_int_equal(ids.uid, 0);
	assert_int_not_equal(ids.gid, 0);
	assert_true(ids.change);
}

static void test_numbers(void **state unused_param)
{
	struct jail_ids ids;
	struct error err;

	assert_int_equal(find("0", NULL, &ids, &err), 0);
	assert_int_equal(ids.gid, 0);
	assert_int_equal(find("4294967294", "4294967293", &ids, &err), 0);
	assert_int_equal(ids.uid, 4294967294u);
	assert_int_equal(ids.gid, 4294967293u);
	assert_true(ids.change);
	/* A number that /etc/passwd knows nothing of. */
	assert_int_equal(find("4294967294", NULL, &ids, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "user=4294967294"));
	assert_non_null(strstr(err.msg, "add group="));
}

static void test_nobody(void **state unused_param)
{
	/* The last of numbers means no change, to the kernel. */
	static const char *const none[] = {
		"",   "no such user", "4294967295", "99999999999", "1x",
		"-1", "+1",	      " 1",	    "0x0",	   "1:1",
	};
	struct jail_ids ids;
	struct error err;

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(find(none[i], "0", &ids, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "--jail user="));
		assert_int_equal(find(NULL, none[i], &ids, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "--jail group="));
	}
}

static void test_kept(void **state unused_param)
{
	struct stat of_name, of_kept;
	int fd;

	assert_false(kept_is_there(KEPT_FD_DIR));
	fd = kept_open(KEPT_FD_DIR);
	assert_true(fd >= 0);
	close(fd);
	kept_take(true);
	assert_true(kept_is_there(KEPT_FD_DIR));
	assert_true(kept_is_there(KEPT_FDINFO_DIR));
	fd = kept_open(KEPT_FD_DIR);
	assert_true(fd >= 0);
	assert_int_equal(stat("/proc/self/fd", &of_name), 0);
	assert_int_equal(fstat(fd, &of_kept), 0);
	assert_int_equal(of_name.st_ino, of_kept.st_ino);
	/* A copy: the next one is still there. */
	close(fd);
	fd = kept_open(KEPT_FD_DIR);
	assert_true(fd >= 0);
	close(fd);
}

/* In threads of their own, as a domain is for good. */
static void *landlocked_open(void *name)
{
	int fd = -1;
	intptr_t r = landlock_thread(name);

	if (!r)
		fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	r = r ? r : fd < 0 ? -errno : 0;
	close_fd(&fd);
	return (void *)r;
}

static int open_on(const char *name)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, landlocked_open,
					(void *)(uintptr_t)name),
			 0);
	pthread_join(thread, &result);
	return (int)(intptr_t)result;
}

static void test_landlock(void **state unused_param)
{
	static const char *const closed[] = { "main",  "vcpu0",	 "io12",
					      "pages", "vsock0", "pool17" };
	static const char *const open[] = { "fs3", "share17", "spawn" };

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
		skip();
	/* Nothing before it is prepared. */
	assert_int_equal(open_on("main"), 0);
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(landlock_prepare(), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(closed); i++)
		assert_int_equal(open_on(closed[i]), -EACCES);
	for (unsigned int i = 0; i < ARRAY_SIZE(open); i++)
		assert_int_equal(open_on(open[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_else),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_landlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
