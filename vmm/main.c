/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The process: options, signals, the control socket, and one machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/api/routes.h"
#include "vmm/api/server.h"
#include "vmm/check_host.h"
#include "vmm/cli.h"
#include "vmm/confine_table.h"
#include "vmm/error.h"
#include "vmm/events.h"
#include "vmm/jail.h"
#include "vmm/jail_outside.h"
#include "vmm/kept.h"
#include "vmm/landlock.h"
#include "vmm/log.h"
#include "vmm/loop.h"
#include "vmm/machine.h"
#include "vmm/nowait.h"
#include "vmm/opener.h"
#include "vmm/pool.h"
#include "vmm/privilege.h"
#include "vmm/slow_file.h"
#include "vmm/thread.h"
#include "vmm/util.h"
#include "vmm/vm.h"

enum exit_status {
	EXIT_OK = 0,
	EXIT_ERROR = 1, /* before the guest ran */
	EXIT_NO_LINUX = 2, /* --check-host */
	EXIT_FAULT = 3, /* KVM gave up on the guest */
};

/* Of the pool, when all else is done. */
#define PROCESS_END_NS 100000000u
/* Bytes of the log that a file may be behind; a power of two. */
#define PROCESS_LOG_ROOM 65536u

struct process {
	struct run_config *rc;
	struct loop *loop;
	struct loop_fd signals;
	struct loop_fd opener;
	struct events *events;
	struct slow_file *log; /* or NULL: it is written at once */
	struct machine machine;
	struct api api;
	struct server *server;
	bool creates; /* the machine of the command line, which takes time */
	bool boots; /* ... which is to come up */
	struct error error; /* ... and did not */
	bool held; /* the host has calls of ours that have not returned */
	enum exit_status status;
};

static void process_on_end(struct machine *m, enum vm_event event)
{
	struct process *p = m->opaque;

	if (event == VM_EVENT_FAULT)
		p->status = EXIT_FAULT;
	loop_quit(p->loop);
}

static void process_end_opener(struct process *p)
{
	loop_fd_del(&p->opener);
	opener_end();
}

static void process_on_boot(struct machine *m, int r, const struct error *err)
{
	struct process *p = m->opaque;

	if (p->boots && r) {
		p->error = *err;
		loop_quit(p->loop);
	}
	p->boots = false;
	/* What the command line names is open. */
	if (p->rc->no_opener)
		process_end_opener(p);
}

static void process_on_quit(void *opaque)
{
	struct process *p = opaque;

	loop_quit(p->loop);
}

static void process_on_signal(struct loop_fd *lf, uint32_t events unused_param)
{
	struct process *p = container_of(lf, struct process, signals);
	struct signalfd_siginfo si;
	struct error err;

	if (read(lf->fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGPWR)
		machine_power_button(&p->machine, &err);
	else if (p->machine.vm)
		board_raise(&p->machine.vm->board, VM_EVENT_STOP);
	else
		loop_quit(p->loop);
}

/* nohup(1), or a shell that starts a job in the background. */
static bool process_was_told_to_ignore(int signo)
{
	struct sigaction old;

	return !sigaction(signo, NULL, &old) && old.sa_handler == SIG_IGN;
}

/* Signals arrive as events of the main loop; other threads block them all. */
static int process_watch_signals(struct process *p, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGPWR);
	if (!process_was_told_to_ignore(SIGINT))
		sigaddset(&set, SIGINT);
	if (!process_was_told_to_ignore(SIGHUP))
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A reader that went away and a limit of file sizes are errors of the
	 * write, not the end of the guest. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* A job in the background that meets its terminal runs on. */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	p->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p->signals.on_event = process_on_signal;
	if (p->signals.fd < 0)
		return error_set(err, errno, "signalfd: %s", strerror(errno));
	return loop_fd_add(p->loop, &p->signals, EPOLLIN);
}

/* What was opened stays open, and the guest goes on. */
static void process_on_opener(struct loop_fd *lf, uint32_t events unused_param)
{
	process_end_opener(container_of(lf, struct process, opener));
	log_error("%s", error_text(ENOLINK));
}

static int process_watch_opener(struct process *p, struct error *err)
{
	int r;

	p->opener.fd = opener_fd();
	p->opener.on_event = process_on_opener;
	if (p->opener.fd < 0)
		return 0;
	r = loop_fd_add(p->loop, &p->opener, EPOLLIN);
	return r ? error_set(err, r, "epoll: %s", error_text(-r)) : 0;
}

/* The control socket and the event stream, as far as they are asked for. */
static int process_open_api(struct process *p, struct error *err)
{
	struct endpoint_config *em = &p->rc->event_monitor;
	const struct server_config sc = {
		.loop = p->loop,
		.api = &p->api,
		.path = p->rc->api_socket.path,
		.fd = p->rc->api_socket.fd,
		.on_quit = process_on_quit,
		.opaque = p,
	};
	int r = 0;

	if (endpoint_is_set(em))
		r = events_open(&p->events, p->loop, em->path, take_fd(&em->fd),
				err);
	p->machine.events = p->events;
	events_emit(p->events, "vmm", "starting", NULL);
	if (!r && endpoint_is_set(&p->rc->api_socket))
		r = server_open(&p->server, &sc, err);
	if (p->server)
		p->rc->api_socket.fd = -1;
	return r;
}

static int process_boot(struct process *p, struct error *err)
{
	int r = machine_boot(&p->machine, err);

	p->boots = r == MACHINE_LATER;
	return p->boots ? 0 : r;
}

static void process_on_create(struct machine *m, int r, const struct error *err)
{
	struct process *p = m->opaque;
	bool creates = p->creates;

	p->creates = false;
	if (!creates)
		return;
	if (r)
		p->error = *err;
	if (r || process_boot(p, &p->error))
		loop_quit(p->loop);
}

/* The machine of the command line, if there is one. */
static int process_start_machine(struct process *p, struct error *err)
{
	int r;

	if (!p->rc->vm.kernel)
		return 0;
	r = machine_create(&p->machine, &p->rc->vm, err);
	p->creates = r == MACHINE_LATER;
	if (p->creates)
		return 0;
	return r ? r : process_boot(p, err);
}

/* A disk takes some descriptors for each of its queues. */
static void process_raise_limits(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Of the devices that there are, or that clients add, one class needs
 * capabilities. */
static int process_jail(struct process *p, struct error *err)
{
	const struct vm_config *vc = &p->rc->vm;
	const struct device_class *class;
	const char *name = NULL;
	uint32_t kept = 0;

	for (unsigned int i = 0; (class = device_classes[i]); i++) {
		if (!class->capabilities)
			continue;
		if (p->server)
			name = class->name;
		if (p->rc->jail.shares)
			kept |= class->capabilities(NULL);
	}
	for (unsigned int i = 0; i < vc->nr_devices; i++) {
		class = vc->devices[i].class;
		if (!class->capabilities)
			continue;
		name = class->name;
		kept |= class->capabilities(vc->devices[i].config);
	}
	return jail_enter(&p->rc->jail, name, kept, err);
}

/* Before a guest, or a client, is there. */
static int process_confine(const struct process *p, struct error *err)
{
	enum confine_mode mode = (enum confine_mode)p->rc->seccomp;
	int r = confine_start(&confine_filters, mode);

	if (!r && (mode != CONFINE_NOT || privilege_is_kept()))
		r = thread_spawn_start();
	if (!r)
		r = privilege_thread("main");
	if (!r)
		r = landlock_thread("main");
	if (!r)
		r = confine_thread("main");
	return r ? error_set(
			   err, -r,
			   "--seccomp: the host cannot filter system calls: %s; --seccomp false does without",
			   strerror(-r))
		 : 0;
}

/* Nothing is opened by this thread from now on, neither by the JSON library for
 * the secret of its tables, nor is it asked on what CPUs it may run. */
static void process_keep(const struct process *p)
{
	if (!p->rc->jail.on)
		kept_take_files();
	json_object_seed(0);
	thread_usable_cpus();
}

/* opaque NULL: the line is lost. */
static bool process_put_line(void *opaque, const char *line, size_t len)
{
	return opaque && slow_file_put(opaque, line, len);
}

/* Before there are threads that its file could hold up. */
static int process_divert_log(struct process *p, struct error *err)
{
	if (!nowait_is_slow(log_output()))
		return 0;
	p->log = slow_file_open(p->loop, log_output(), PROCESS_LOG_ROOM, "log",
				err);
	if (!p->log)
		return -EIO;
	log_divert(process_put_line, p->log);
	return 0;
}

/* What little is said from here on is written at once, if its file answers. */
static void process_end_log(struct process *p)
{
	size_t lost;

	if (!p->log)
		return;
	log_divert(process_put_line, NULL);
	if (slow_file_close(p->log, &lost))
		log_divert(NULL, NULL);
}

static int process_run_vm(struct process *p, struct error *err)
{
	bool held;
	int r;

	process_raise_limits();
	thread_is_first();
	nowait_keep();
	p->loop = loop_create("main", err);
	if (!p->loop)
		return -ENOMEM;
	p->machine.loop = p->loop;
	p->machine.on_end = process_on_end;
	p->machine.on_create = process_on_create;
	p->machine.on_boot = process_on_boot;
	p->machine.opaque = p;
	p->api.machine = &p->machine;
	p->api.version = VMM_VERSION;
	r = process_divert_log(p, err);
	if (!r)
		r = process_watch_signals(p, err);
	if (!r)
		r = process_watch_opener(p, err);
	if (!r)
		r = process_open_api(p, err);
	if (!p->server)
		vm_config_drop_ports(&p->rc->vm);
	if (!r)
		r = process_jail(p, err);
	if (!r)
		process_keep(p);
	if (!r)
		r = process_confine(p, err);
	if (!r)
		r = process_start_machine(p, err);
	if (!r)
		loop_run(p->loop);
	if (*p->error.msg)
		r = error_set(err, EIO, "%s", p->error.msg);
	/* Nobody is served while the loop turns on for what the host holds. */
	server_close(p->server);
	held = !machine_fini(&p->machine);
	events_emit(p->events, "vmm", "shutdown", NULL);
	events_close(p->events);
	process_end_log(p);
	loop_fd_del(&p->opener);
	loop_fd_del(&p->signals);
	close_fd(&p->signals.fd);
	p->held = pool_end(PROCESS_END_NS) || held;
	if (!p->held) {
		/* The pool's last news. */
		loop_quit(p->loop);
		loop_run(p->loop);
		loop_destroy(p->loop);
	}
	return r;
}

static int process_open_log(const struct run_config *rc, struct error *err)
{
	int fd = STDERR_FILENO;

	if (rc->log_file) {
		/* A FIFO without a reader is an error rather than a wait. */
		fd = nowait_create(rc->log_file, O_APPEND);
		if (fd < 0)
			return error_set(
				err, errno,
				"--log-file %s: %s; give a path that can be written",
				error_value(rc->log_file).text,
				errno == ENXIO ? "nobody reads this pipe"
					       : strerror(errno));
	}
	log_init(fd, MIN(LOG_WARN + rc->verbosity, LOG_TRACE));
	return 0;
}

/* A full disk must not look like an answer. */
static enum exit_status process_printed(enum exit_status status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "vmm: cannot write to standard output: %s\n",
		strerror(errno));
	return EXIT_ERROR;
}

/* What the opener can open is what the jail's user can. */
static int process_become(const void *arg)
{
	const struct jail_config *jc = arg;
	struct jail_ids ids;
	struct error err;
	int r = jc->on ? jail_find_ids(jc, &ids, &err) : 0;

	return jc->on && !r && ids.change ? jail_drop(&ids, 0, &err) : r;
}

/* Before anything is there that the opener should not have. */
static int process_start_opener(const struct run_config *rc, struct error *err)
{
	const struct opener_config oc = {
		.become = process_become,
		.arg = &rc->jail,
		.mode = !rc->no_opener	? OPENER_ON
			: rc->vm.kernel ? OPENER_AT_FIRST
					: OPENER_OFF,
		.allow = (const char *const *)rc->allow,
		.nr_allow = rc->nr_allow,
		.filters = &confine_filters,
		.confine = (enum confine_mode)rc->seccomp,
	};

	return opener_start(&oc, err);
}

static enum exit_status process_run(struct run_config *rc, struct error *err)
{
	struct process p = { .rc = rc, .signals.fd = -1 };

	switch (rc->mode) {
	case RUN_HELP:
		cli_help(stdout);
		return process_printed(EXIT_OK);
	case RUN_VERSION:
		printf("vmm %s\n", VMM_VERSION);
		return process_printed(EXIT_OK);
	case RUN_CHECK_HOST:
		return process_printed(check_host(stdout) ? EXIT_OK
							  : EXIT_NO_LINUX);
	default:
		break;
	}
	if (jail_begin(&rc->jail, err) || process_start_opener(rc, err) ||
	    process_open_log(rc, err) || process_run_vm(&p, err)) {
		fprintf(stderr, "vmm: %s\n", err->msg);
		p.status = EXIT_ERROR;
	}
	opener_end();
	/* Threads that hang in the host go when the process does. */
	if (p.held)
		_exit((int)p.status);
	return p.status;
}

/* Where one is closed, the next file that is opened would get what is meant for
 * standard output. */
static void process_fill_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close_fd(&fd);
}

int main(int argc, char **argv)
{
	struct error err = { "" };
	struct run_config rc;
	enum exit_status status = EXIT_ERROR;

	/* No thread of ours allocates often; one heap each would cost more. */
	mallopt(M_ARENA_MAX, 1);
	process_fill_standard();
	if (cli_parse(&rc, argc, argv, &err))
		fprintf(stderr, "vmm: %s\n", err.msg);
	else
		status = process_run(&rc, &err);
	run_config_free(&rc);
	return (int)status;
}
