/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What comes before all else: a control group, and the process that stays
 * outside of the process namespace (pid=on). Its signals are the other's, and so
 * is its end; it has nothing open, no capability, and the jail's user.
 */
#include "vmm/jail_outside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/jail.h"
#include "vmm/pages.h"
#include "vmm/util.h"

static int jail_join_cgroup(const char *path, struct error *err)
{
	char *file;
	int r;

	if (asprintf(&file, "%s/cgroup.procs", path) < 0)
		return error_set(err, ENOMEM, "out of memory");
	r = jail_write(file, "0");
	free(file);
	return r ? error_set(
			   err, r,
			   "--jail cgroup=%s: %s; give the directory of a control group that this user may join",
			   error_value(path).text, strerror(-r))
		 : 0;
}

/* ---- the process outside ---- */

static void outside_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGPWR);
	sigaddset(set, SIGCHLD);
}

/* As the other did. */
__attribute__((noreturn)) static void outside_end(int status)
{
	const struct rlimit none = { 0, 0 };
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	_exit(128 + sig);
}

/* By one function of the C library: each of its own for a call lies somewhere else
 * in the program, and to come there maps the pages around it, too. */
__attribute__((noreturn)) static void outside_run(pid_t child)
{
	sigset_t set;
	long sig;
	int status;

	outside_signals(&set);
	/* Last, for it is what comes after it that stays. */
	pages_forget_program();
	for (;;) {
		sig = syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, _NSIG / 8);
		if (sig > 0 && sig != SIGCHLD)
			syscall(SYS_kill, child, sig);
		if (syscall(SYS_wait4, child, &status, WNOHANG, NULL) == child)
			outside_end(status);
	}
}

/* Whatever it cannot give up is an end, not a lesser jail. */
__attribute__((noreturn)) static void outside_main(const struct jail_ids *ids,
						   pid_t child)
{
	struct error err;

	close_range(0, UINT_MAX, 0);
	if (chdir("/") || jail_drop(ids, 0, &err))
		_exit(EXIT_FAILURE);
	outside_run(child);
}

/* 0: it has no other number than getpid(2) says. */
static pid_t outside_number;

/* What the processes outside call this one, as far as /proc tells. */
static void outside_ask_number(void)
{
	char text[24];
	ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);

	text[MAX(n, 0)] = '\0';
	outside_number = (pid_t)strtol(text, NULL, 10);
}

pid_t jail_pid(void)
{
	return outside_number ? outside_number : getpid();
}

static int jail_fork(const struct jail_config *jc, struct error *err)
{
	struct jail_ids ids;
	sigset_t set, old;
	pid_t child;
	int r = jail_find_ids(jc, &ids, err);

	if (!r)
		r = jail_check_ids(&ids, err);
	if (!r)
		r = jail_own_users(err);
	if (r)
		return r;
	if (unshare(CLONE_NEWPID))
		return error_set(
			err, errno,
			"--jail pid=on: %s; see /proc/sys/user/max_pid_namespaces, or leave it out",
			strerror(errno));
	outside_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	child = fork();
	if (child < 0)
		return error_set(err, errno, "--jail pid=on: fork: %s",
				 strerror(errno));
	if (child)
		outside_main(&ids, child);
	sigprocmask(SIG_SETMASK, &old, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	outside_ask_number();
	return 0;
}

int jail_begin(const struct jail_config *jc, struct error *err)
{
	int r = 0;

	if (!jc->on)
		return 0;
	if (jc->cgroup)
		r = jail_join_cgroup(jc->cgroup, err);
	if (!r && jc->pid)
		r = jail_fork(jc, err);
	return r;
}
