/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A thread inherits the filter of the one that made it, and can add to it only
 * what forbids more. So threads are made by one that is allowed what any of
 * them is, and has nothing else to do (vmm/thread.c); each takes its own filter
 * before it does anything else.
 *
 * A call that is not allowed becomes SIGSYS, whose handler says what it was and
 * lets the signal end the process. It runs in the middle of anything, and uses
 * only what signal-safety(7) allows.
 */
#include "vmm/confine.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/thread_kind.h"
#include "vmm/util.h"

#define FILTER_MAX 2048u

/* Written by confine_start(), before there are other threads. */
static const struct confine_table *confine_table;
static enum confine_mode confine_mode;

static _Thread_local char confine_name[16];

/* ---- a forbidden call ---- */

struct confine_text {
	char buf[256];
	size_t len;
};

static void confine_put(struct confine_text *t, const char *s)
{
	while (*s && t->len < sizeof(t->buf))
		t->buf[t->len++] = *s++;
}

static void confine_put_number(struct confine_text *t, uintptr_t v,
			       unsigned int base)
{
	char digits[24], *s = digits + sizeof(digits) - 1;

	*s = '\0';
	do
		*--s = "0123456789abcdef"[v % base];
	while (v /= base);
	confine_put(t, s);
}

static const char *confine_call(const siginfo_t *si)
{
	unsigned int nr = (unsigned int)si->si_syscall;

	if (si->si_arch != confine_table->arch)
		return "of another architecture";
	if (nr >= confine_table->nr_calls || !*confine_table->calls[nr])
		return "unknown";
	return confine_table->calls[nr];
}

static void confine_on_signal(int sig, siginfo_t *si,
			      void *context unused_param)
{
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));
	uintptr_t at = (uintptr_t)si->si_call_addr;
	struct confine_text t = { .len = 0 };

	confine_put(&t, "vmm: thread ");
	confine_put(&t, *confine_name ? confine_name : "without a name");
	confine_put(&t, " made a forbidden system call: ");
	confine_put_number(&t, (unsigned int)si->si_syscall, 10);
	confine_put(&t, " (");
	confine_put(&t, confine_call(si));
	confine_put(&t, "), at 0x");
	confine_put_number(&t, at, 16);
	confine_put(&t, ", 0x");
	confine_put_number(&t, at - (uintptr_t)__ehdr_start, 16);
	confine_put(&t, " in the program\n");
	/* Where it cannot be written, nobody would have read it. */
	if (write(log_output(), t.buf, t.len) < 0)
		t.len = 0;
	signal(sig, SIG_DFL);
	raise(sig);
	/* The first process of a namespace does not die of signals from there. */
	_exit(128 + sig);
}

/* ---- filters ---- */

static const struct confine_filter *confine_find(const char *name)
{
	for (unsigned int i = 0; i < confine_table->nr_filters; i++)
		if (thread_is_kind(name, confine_table->filters[i].name))
			return &confine_table->filters[i];
	return NULL;
}

static int confine_install(const struct sock_filter *insns, unsigned short nr)
{
	/* The kernel only reads them. */
	union {
		const struct sock_filter *ours;
		struct sock_filter *kernels;
	} filter = { insns };
	struct sock_fprog prog = { .len = nr, .filter = filter.kernels };

	/* Speculation is what the host has set for everybody, as ever. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		       SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog)
		       ? -errno
		       : 0;
}

/* The same filter, with another answer to what it does not know. */
static int confine_install_with(const struct confine_filter *f, uint32_t action)
{
	struct sock_filter insns[FILTER_MAX];

	if (f->nr > ARRAY_SIZE(insns))
		return -E2BIG;
	memcpy(insns, f->insns, f->nr * sizeof(*insns));
	for (unsigned int i = 0; i < f->nr; i++)
		if (insns[i].code == (BPF_RET | BPF_K) &&
		    insns[i].k == SECCOMP_RET_TRAP)
			insns[i].k = action;
	return confine_install(insns, f->nr);
}

int confine_thread(const char *name)
{
	const struct confine_filter *f;

	if (confine_mode == CONFINE_NOT)
		return 0;
	strncpy(confine_name, name, sizeof(confine_name) - 1);
	f = confine_find(name);
	if (!f)
		return -ENOENT;
	if (confine_mode == CONFINE_LOG)
		return confine_install_with(f, SECCOMP_RET_LOG);
	if (confine_mode == CONFINE_ERRNO)
		return confine_install_with(f, SECCOMP_RET_ERRNO | EPERM);
	return confine_install(f->insns, f->nr);
}

int confine_start(const struct confine_table *table, enum confine_mode mode)
{
	struct sigaction sa = { .sa_sigaction = confine_on_signal,
				.sa_flags = SA_SIGINFO | SA_NODEFER };
	uint32_t action = SECCOMP_RET_TRAP;

	if (mode == CONFINE_NOT)
		return 0;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	sigaction(SIGSYS, &sa, NULL);
	confine_table = table;
	confine_mode = mode;
	return 0;
}
