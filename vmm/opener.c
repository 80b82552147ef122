/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The opener's life, and how it is asked. Over one socket pair the monitor gives
 * it an end of another one, a session, for which it forks a child; the child
 * answers one request after the other until the session is closed. A thread of
 * the monitor has at most one session, and waits for the answers of that alone.
 */
#include "vmm/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/landlock.h"
#include "vmm/nowait.h"
#include "vmm/opener_allow.h"
#include "vmm/opener_serve.h"
#include "vmm/pages.h"
#include "vmm/util.h"

/* More than the threads of the pool; each has a child of the opener's. */
#define SESSIONS_MAX 192u

/* The monitor's: written before there are other threads. */
static struct {
	bool configured; /* else the process opens by itself */
	bool monitor_opens; /* threads of the monitor, where they like to */
	enum opener_mode mode;
	int socket; /* -1: there is to be no opener */
	pid_t pid; /* main thread; 0: it is not there */
} opener = { .socket = -1 };

/* Of this thread; -1: none. */
static _Thread_local int opener_session = -1;

/* ---- messages ---- */

union opener_control {
	struct cmsghdr head;
	char space[CMSG_SPACE(OPENER_QUEUES_MAX * sizeof(int))];
};

/* len bytes, and nr descriptors. Bytes, or -errno. */
static ssize_t opener_send(int socket, const void *data, size_t len,
			   const int *fds, unsigned int nr)
{
	union opener_control control = { .space = "" };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (nr) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(*fds));
		control.head = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(nr * sizeof(*fds)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.head), fds, nr * sizeof(*fds));
	}
	do
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The next message; *nr: room in fds, and how many came along, the caller's. What
 * came beyond these is closed by the kernel. Bytes, 0 at the end, or -errno. */
static ssize_t opener_receive(int socket, void *data, size_t len, int *fds,
			      unsigned int *nr)
{
	union opener_control control = { .space = "" };
	struct iovec iov = { data, len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(*nr * sizeof(*fds)),
	};
	struct cmsghdr *c;
	ssize_t n;

	*nr = 0;
	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		*nr = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) /
				     sizeof(*fds));
	if (*nr)
		memcpy(fds, CMSG_DATA(c), *nr * sizeof(*fds));
	return n;
}

/* With one descriptor, or none. */
static ssize_t opener_receive_one(int socket, void *data, size_t len, int *fd)
{
	unsigned int nr = 1;
	ssize_t n = opener_receive(socket, data, len, fd, &nr);

	if (!nr)
		*fd = -1;
	return n;
}

/* ---- the opener ---- */

static pid_t opener_self; /* the opener; its children have it from there */
static pid_t opener_parent; /* who made this process */
static volatile sig_atomic_t opener_is_orphan; /* who is gone */

/* The death of a parent comes as a signal of its own; others may send the same, to
 * a group, say. */
static void opener_on_signal(int signo, siginfo_t *info,
			     void *context unused_param)
{
	opener_is_orphan |= signo == SIGUSR2 && info->si_pid == opener_parent;
}

/* What ends the monitor in order, or a whole group of processes, is no business
 * of ours: the monitor says when, by closing its socket. */
static void opener_set_signals(void)
{
	static const int ignored[] = { SIGINT,	SIGTERM, SIGHUP,  SIGPIPE,
				       SIGUSR1, SIGPWR,	 SIGQUIT, SIGALRM };
	const struct sigaction wakes = { .sa_sigaction = opener_on_signal,
					 .sa_flags = SA_SIGINFO };
	sigset_t set;

	for (unsigned int i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigaction(SIGCHLD, &wakes, NULL);
	sigaction(SIGUSR2, &wakes, NULL);
}

static void opener_close_all(int *fds, unsigned int nr)
{
	while (nr)
		close_fd(&fds[--nr]);
}

/* A child: until the session is closed. */
__attribute__((noreturn)) static void opener_run_session(int session,
							 int socket)
{
	static struct opener_call call;
	sigset_t set;
	ssize_t n;

	opener_parent = opener_self;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* All else that the opener has is for its sessions. */
	close(socket);
	while (!opener_is_orphan &&
	       (n = opener_receive_one(session, &call.request,
				       sizeof(call.request), &call.given)) >
		       0) {
		opener_serve(&call, (size_t)n);
		/* A TAP's last descriptor may be the monitor's to close. */
		if (call.request.kind == OPENER_LISTENER && !call.reply.result)
			prctl(PR_SET_PDEATHSIG, SIGUSR2);
		close_fd(&call.given);
		n = opener_send(session, &call.reply, sizeof(call.reply),
				call.fds, call.reply.nr);
		opener_close_all(call.fds, call.reply.nr);
		if (n < 0)
			break;
	}
	opener_serve_end();
	_exit(EXIT_SUCCESS);
}

/* fork(2) without what the C library does in a child for threads, of which there
 * are none. */
static pid_t opener_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* From now on it, and each session that begins, opens only what bound has. */
static void opener_enter(int bound, int answer)
{
	int32_t r = bound < 0 ? -EBADF : landlock_enter(bound);

	opener_send(answer, &r, sizeof(r), NULL, 0);
}

/* Wait for a session, as long as there may be one more, or for the end of one.
 * False: the monitor is gone. */
static bool opener_turn(int socket, unsigned int *nr_sessions)
{
	struct pollfd p = { .fd = *nr_sessions < SESSIONS_MAX ? socket : -1,
			    .events = POLLIN };
	int fds[2] = { -1, -1 }, n;
	unsigned int nr = ARRAY_SIZE(fds);
	sigset_t none;
	char word;

	sigemptyset(&none);
	/* What the last one took is not needed while there is none. */
	pages_forget_program();
	n = ppoll(&p, 1, NULL, &none);
	if (opener_is_orphan)
		return false;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		--*nr_sessions;
	if (n <= 0)
		return true;
	if (opener_receive(socket, &word, sizeof(word), fds, &nr) <= 0)
		return false;
	if (word == OPENER_SESSION && nr == 1) {
		pid_t child = opener_fork();

		if (!child)
			opener_run_session(fds[0], socket);
		*nr_sessions += child > 0;
	} else if (word == OPENER_ENTER && nr == 2) {
		opener_enter(fds[0], fds[1]);
	}
	opener_close_all(fds, nr);
	return true;
}

__attribute__((noreturn)) static void
opener_main(int socket, const struct opener_config *oc, pid_t monitor)
{
	unsigned int nr_sessions = 0;
	int null, r = oc->become ? oc->become(oc->arg) : 0;

	opener_parent = monitor;
	opener_self = getpid();
	prctl(PR_SET_NAME, "opener");
	/* The monitor's threads cannot read or write our memory. */
	prctl(PR_SET_DUMPABLE, 0);
	opener_set_signals();
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
	if (getppid() != monitor)
		_exit(EXIT_FAILURE);
	/* For Landlock, also where there are no filters. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* Standard error stays, for a forbidden system call; but not where closing
	 * it may hang, for the monitor waits for our end. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (nowait_is_slow(STDERR_FILENO))
		dup2(null, STDERR_FILENO);
	opener_keep_only(socket);
	if (!r)
		r = confine_start(oc->filters, oc->confine);
	if (!r)
		r = confine_thread("opener");
	if (r)
		_exit(EXIT_FAILURE);
	while (opener_turn(socket, &nr_sessions))
		;
	_exit(EXIT_SUCCESS);
}

/* ---- the monitor ---- */

int opener_start(const struct opener_config *oc, struct error *err)
{
	pid_t monitor = getpid();
	sigset_t all, old;
	int pair[2], r;

	opener.configured = true;
	opener.mode = oc->mode;
	opener.monitor_opens = oc->confine == CONFINE_NOT ||
			       oc->confine == CONFINE_LOG;
	if (oc->mode == OPENER_OFF)
		return 0;
	r = opener_allow(oc->allow, oc->nr_allow, err);
	if (r)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_set(err, errno, "socketpair: %s",
				 error_text(errno));
	opener.socket = pair[0];
	/* It has its own way with them from its first moment on. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	opener.pid = fork();
	if (!opener.pid)
		opener_main(pair[1], oc, monitor);
	r = opener.pid < 0 ? errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pair[1]);
	opener_allow(NULL, 0, NULL);
	return r ? error_set(err, r,
			     "cannot start a process that opens files: %s",
			     error_text(r))
		 : 0;
}

int opener_fd(void)
{
	return opener.socket;
}

/* The socket stays: threads that the host holds may still ask. */
void opener_end(void)
{
	opener_leave();
	if (opener.pid <= 0)
		return;
	shutdown(opener.socket, SHUT_RDWR);
	waitpid(opener.pid, NULL, 0);
	opener.pid = 0;
}

/* Why there is none. */
static int opener_refusal(void)
{
	return opener.mode == OPENER_ON ? -ENOLINK : -ENOANO;
}

/* A new session; -errno. */
static int opener_begin(void)
{
	const char word = OPENER_SESSION;
	int pair[2];
	ssize_t n;

	if (opener.socket < 0)
		return opener_refusal();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	n = opener_send(opener.socket, &word, sizeof(word), &pair[1], 1);
	close(pair[1]);
	if (n > 0)
		return pair[0];
	close(pair[0]);
	return opener_refusal();
}

void opener_leave(void)
{
	close_fd(&opener_session);
}

/* The answer is in call, or -errno: there is none. */
static int opener_ask(int session, struct opener_call *call)
{
	size_t len = offsetof(struct opener_request, body) + call->request.len;
	ssize_t n = opener_send(session, &call->request, len, &call->given,
				call->given >= 0);
	unsigned int nr = ARRAY_SIZE(call->fds);

	if (n <= 0)
		return opener_refusal();
	n = opener_receive(session, &call->reply, sizeof(call->reply),
			   call->fds, &nr);
	if (n == sizeof(call->reply) && nr == call->reply.nr)
		return 0;
	opener_close_all(call->fds, nr);
	/* A reply without what it is about: the monitor has no room for it. */
	return n == sizeof(call->reply) ? -EMFILE : opener_refusal();
}

/* In this thread's session, which may be new. What the answer says. */
static int opener_ask_here(struct opener_call *call)
{
	int r;

	if (!opener.configured) {
		opener_serve(call, offsetof(struct opener_request, body) +
					   call->request.len);
		return call->reply.result;
	}
	if (opener_session < 0) {
		r = opener_begin();
		if (r < 0)
			return r;
		opener_session = r;
	}
	r = opener_ask(opener_session, call);
	if (r)
		opener_leave();
	return r ? r : call->reply.result;
}

static int opener_ask_for(struct opener_call *call, enum opener_kind kind,
			  unsigned int flags, struct opener_found *found)
{
	int r;

	call->request.kind = kind;
	call->request.flags = flags;
	call->fds[0] = -1;
	memset(&call->reply, 0, sizeof(call->reply));
	r = opener_ask_here(call);
	if (found)
		*found = call->reply.found;
	return r ? r : call->reply.nr ? call->fds[0] : 0;
}

/* What a shell calls a descriptor that it hands over; -1: path is no such name.
 * The opener has others of that number. */
static int opener_own_fd(const char *path)
{
	int fd = -1, n = 0;

	if ((sscanf(path, "/dev/fd/%d%n", &fd, &n) == 1 ||
	     sscanf(path, "/proc/self/fd/%d%n", &fd, &n) == 1) &&
	    !path[n])
		return fd;
	return -1;
}

int opener_open(enum opener_kind kind, const char *path, unsigned int flags,
		struct opener_found *found)
{
	struct opener_call call;
	bool may_be_own = kind == OPENER_FILE || kind == OPENER_IMAGE;
	int own = may_be_own ? opener_own_fd(path) : -1;
	size_t len = strlen(path) + 1;

	if (own >= 0)
		return opener_open_again(own, flags, found);
	if (found)
		*found = (struct opener_found){ .mode = 0 };
	if (len > sizeof(call.request.body))
		return -ENAMETOOLONG;
	memcpy(call.request.body, path, len);
	call.request.len = (uint32_t)len;
	call.given = -1;
	return opener_ask_for(&call, kind, flags, found);
}

/* Without a path. */
static int opener_ask_short(enum opener_kind kind, int given,
			    unsigned int flags, struct opener_found *found)
{
	struct opener_call call;

	call.request.len = 0;
	call.given = given;
	return opener_ask_for(&call, kind, flags, found);
}

int opener_open_again(int fd, unsigned int flags, struct opener_found *found)
{
	return opener_ask_short(OPENER_AGAIN, fd, flags, found);
}

int opener_open_pty(int *other)
{
	struct opener_call call;
	int r;

	call.request.len = 0;
	call.given = -1;
	r = opener_ask_for(&call, OPENER_PTY, 0, NULL);
	*other = r < 0 ? -1 : call.fds[1];
	return r;
}

/* ---- bounds ---- */

int opener_place(const char *path, unsigned int flags)
{
	int own = opener_own_fd(path);

	return own < 0 ? opener_open(OPENER_PLACE, path, flags, NULL)
		       : opener_ask_short(OPENER_PLACE, own, flags, NULL);
}

/* Have the opener go into it. */
static int opener_send_bound(int bound)
{
	const char word = OPENER_ENTER;
	int pair[2];
	int32_t r;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	n = opener_send(opener.socket, &word, sizeof(word),
			(const int[]){ bound, pair[1] }, 2);
	close(pair[1]);
	if (n > 0)
		n = few_recv(pair[0], &r, sizeof(r), 0);
	close(pair[0]);
	return n == sizeof(r) ? r : opener_refusal();
}

int opener_bound(void)
{
	cleanup_fd int bound = -1;

	if (!opener.configured || opener.monitor_opens)
		return -EPERM;
	bound = opener_ask_short(OPENER_BOUND, -1, 0, NULL);
	return bound < 0 ? bound : opener_send_bound(bound);
}

/* ---- networks ---- */

int opener_tap(const char *name, const char *netns, unsigned int nr_queues,
	       int *fds, struct opener_found_tap *found, struct error *err)
{
	const struct opener_tap ask = { .nr_queues = nr_queues };
	struct opener_call call;
	int n, r = -ENAMETOOLONG;

	name = name ? name : "";
	netns = netns ? netns : "";
	memcpy(call.request.body, &ask, sizeof(ask));
	n = snprintf(call.request.body + sizeof(ask),
		     sizeof(call.request.body) - sizeof(ask), "%s%c%s", name,
		     '\0', netns);
	call.request.len = (uint32_t)(sizeof(ask) + (size_t)n + 1);
	call.request.kind = OPENER_TAP;
	call.request.flags = 0;
	call.given = opener_own_fd(netns);
	memset(&call.reply, 0, sizeof(call.reply));
	if (call.request.len <= sizeof(call.request.body))
		r = opener_ask_here(&call);
	if (r && !*call.reply.err.msg)
		error_set(&call.reply.err, r, "tap=%s: %s",
			  error_value(name).text, error_text(-r));
	if (r)
		return error_set(err, r, "%s", call.reply.err.msg);
	memcpy(fds, call.fds, nr_queues * sizeof(*fds));
	*found = call.reply.tap;
	return 0;
}

int opener_interface(int tap, const struct opener_interface *ask, int *link,
		     struct opener_found_interface *found, struct error *err)
{
	struct opener_call call;
	int r;

	memcpy(call.request.body, ask, sizeof(*ask));
	call.request.len = sizeof(*ask);
	call.request.kind = OPENER_INTERFACE;
	call.request.flags = 0;
	call.given = tap;
	memset(&call.reply, 0, sizeof(call.reply));
	r = opener_ask_here(&call);
	if (r)
		return error_set(err, r, "fd: %s",
				 *call.reply.err.msg ? call.reply.err.msg
						     : error_text(-r));
	*link = call.reply.nr ? call.fds[0] : -1;
	*found = call.reply.interface;
	return 0;
}

int opener_vhost(void)
{
	return opener_ask_short(OPENER_VHOST, -1, 0, NULL);
}

/* ---- listeners ---- */

bool opener_is_used(void)
{
	return opener.configured;
}

/* A session that has the listener of call. The descriptor, or -errno. */
static int opener_start_listener(struct opener_call *call, int *session)
{
	int r, made = opener_begin();

	if (made < 0)
		return made;
	call->request.kind = OPENER_LISTENER;
	call->request.flags = opener.mode == OPENER_ON ? 0 : OPENER_QUIET;
	r = opener_ask(made, call);
	if (!r)
		r = call->reply.result;
	if (r) {
		close(made);
		return r;
	}
	*session = made;
	return call->fds[0];
}

int opener_listen(const char *path, int *session, struct error *err)
{
	struct opener_call call = { .given = -1 };
	size_t len = strlen(path) + 1;
	int r = -ENAMETOOLONG;

	if (len <= sizeof(call.request.body)) {
		memcpy(call.request.body, path, len);
		call.request.len = (uint32_t)len;
		r = opener_start_listener(&call, session);
	}
	if (r < 0 && *call.reply.err.msg)
		return error_set(err, r, "%s", call.reply.err.msg);
	return r < 0 ? error_set(err, r, "%s", error_text(-r)) : r;
}

int opener_connects(int fd)
{
	struct opener_call call = { .given = fd };
	int session = -1, r = opener_start_listener(&call, &session);

	close_fd(&r);
	return session;
}

int opener_connect(int session, uint32_t port)
{
	struct opener_call call = {
		.request = { .kind = OPENER_CONNECT, .len = sizeof(port) },
		.given = -1,
	};
	int r;

	memcpy(call.request.body, &port, sizeof(port));
	r = opener_ask(session, &call);
	if (!r)
		r = call.reply.result;
	return r ? r : call.fds[0];
}

void opener_unlisten(int session)
{
	char byte;

	if (session < 0)
		return;
	shutdown(session, SHUT_WR);
	while (few_recv(session, &byte, sizeof(byte), 0) > 0)
		;
}
