/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/jail_params.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/util.h"

/* ---- the option ---- */

/* clang-format off: one line, one thing to say */
static const struct param jail_table[] = {
	PARAM("user", STRING, struct jail_config, user,
	      "become this user, a name or a number; with its first group"),
	PARAM("group", STRING, struct jail_config, group,
	      "become a member of this group alone, a name or a number"),
	PARAM("shares", BOOL, struct jail_config, shares,
	      "root keeps the capabilities of shared directories for those that "
	      "come later, too; for those of the command line it keeps what they "
	      "need"),
	PARAM("newnet", BOOL, struct jail_config, newnet,
	      "a network namespace of its own, without a network"),
	PARAM("pid", BOOL, struct jail_config, pid,
	      "a process namespace of its own; the process that was started "
	      "stays outside, passes signals on, and ends alike"),
	PARAM("cgroup", PATH, struct jail_config, cgroup,
	      "directory of a control group to join first"),
	PARAM("nofile", UINT, struct jail_config, nofile,
	      "most descriptors (RLIMIT_NOFILE)", .min = 64, .max = 1u << 30),
	PARAM("fsize", SIZE, struct jail_config, fsize,
	      "longest file that is written, guest memory in files of shared "
	      "memory included (RLIMIT_FSIZE)",
	      .unit = "bytes", .min = 1),
	PARAM("memlock", SIZE, struct jail_config, memlock,
	      "most memory that is locked (RLIMIT_MEMLOCK)", .unit = "bytes",
	      .min = 1),
};
/* clang-format on */

const struct param_set jail_params = {
	.option = "jail",
	.help = "work in an empty root, without capabilities, with open "
		"descriptors only",
	PARAM_TABLE(jail_table, struct jail_config),
};

/* ---- users and groups ---- */

/* A number that is one of users; -1 is none. */
static bool ids_number(const char *text, uint32_t *id)
{
	unsigned long v;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	*id = (uint32_t)v;
	return !*end && !errno && v < UINT32_MAX;
}

/* The host's own files: modules of the C library would be programs to load. */
static int ids_of_user(const char *user, struct jail_ids *ids, bool *has_group)
{
	FILE *f = fopen("/etc/passwd", "re");
	bool number = ids_number(user, &ids->uid);
	const struct passwd *pw;

	*has_group = false;
	while (f && !*has_group && (pw = fgetpwent(f))) {
		if (number ? pw->pw_uid != ids->uid
			   : strcmp(pw->pw_name, user) != 0)
			continue;
		ids->uid = pw->pw_uid;
		ids->gid = pw->pw_gid;
		*has_group = true;
	}
	if (f)
		fclose(f);
	return number || *has_group ? 0 : -ENOENT;
}

static int ids_of_group(const char *group, struct jail_ids *ids)
{
	bool found = ids_number(group, &ids->gid);
	FILE *f = found ? NULL : fopen("/etc/group", "re");
	const struct group *gr;

	while (f && !found && (gr = fgetgrent(f))) {
		found = strcmp(gr->gr_name, group) == 0;
		if (found)
			ids->gid = gr->gr_gid;
	}
	if (f)
		fclose(f);
	return found ? 0 : -ENOENT;
}

int jail_find_ids(const struct jail_config *jc, struct jail_ids *ids,
		  struct error *err)
{
	bool has_group = true;

	ids->uid = geteuid();
	ids->gid = getegid();
	if (jc->user && ids_of_user(jc->user, ids, &has_group))
		return error_set(
			err, EINVAL,
			"--jail user=%s: /etc/passwd has no such user; give a name that is there, or a number",
			error_value(jc->user).text);
	if (jc->group && ids_of_group(jc->group, ids))
		return error_set(
			err, EINVAL,
			"--jail group=%s: /etc/group has no such group; give a name that is there, or a number",
			error_value(jc->group).text);
	if (!has_group && !jc->group)
		return error_set(
			err, EINVAL,
			"--jail user=%s: /etc/passwd does not say of which group it is; add group=",
			error_value(jc->user).text);
	ids->change = ids->uid != geteuid() || ids->gid != getegid();
	return 0;
}
