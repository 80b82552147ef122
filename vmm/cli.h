/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CLI_H
#define VMM_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/jail_params.h"
#include "vmm/opener_protocol.h"
#include "vmm/param.h"

/* What the process is to do; the VM is one part of it. */
enum run_mode {
	RUN_VM,
	RUN_HELP,
	RUN_VERSION,
	RUN_CHECK_HOST,
};

/* Where a socket or stream is: one of both, or neither. */
struct endpoint_config {
	char *path; /* owned; NULL: none */
	int fd; /* open already; -1: none */
};

static inline bool endpoint_is_set(const struct endpoint_config *ec)
{
	return ec->path || ec->fd >= 0;
}

struct run_config {
	int mode; /* enum run_mode */
	struct endpoint_config api_socket; /* neither: no control socket */
	struct endpoint_config event_monitor; /* neither: no events */
	char *log_file; /* owned; NULL: stderr */
	unsigned int verbosity; /* count of -v */
	int seccomp; /* enum confine_mode */
	/* Directories that are opened from; none: all. Owned. */
	char *allow[OPENER_ALLOW_MAX];
	unsigned int nr_allow;
	char *allow_next; /* while the command line is read */
	bool no_opener;
	struct jail_config jail;
	struct vm_config vm;
};

/*
 * Read a command line. rc: caller's storage, freed with run_config_free() in
 * every case. Nothing is opened or changed. No argument at all is RUN_HELP; a
 * VM is checked with vm_config_check(), and its root disk is in place. With a
 * control socket there need not be one: vm.kernel is NULL then. A descriptor
 * that is given twice is refused. -errno with one line that names option,
 * value, reason and fix. Main thread.
 */
int cli_parse(struct run_config *rc, int argc, char **argv, struct error *err);
/* Free what rc owns, and close its descriptors: those of api_socket and
 * event_monitor too, unless they were taken. */
void run_config_free(struct run_config *rc);

/* Print --help on out. */
void cli_help(FILE *out);

/*
 * One option in a machine's form, for the man page and the completion. It
 * takes one value (param), a list of keys (set), or nothing.
 */
struct cli_option {
	const char *name; /* "disk" */
	char letter; /* 'V', or 0 */
	const char *group; /* heading, "Machine" */
	const char *help; /* one line, no full stop */
	const char *more; /* more sentences for the man page, or NULL */
	const struct param *param;
	const struct param_set *set;
	bool repeats; /* each time adds one, and takes several words */
	bool bare; /* may stand alone, without a value */
};

/* Call visit() for every option in the order of --help. What opt points to
 * lives until visit() returns, its strings and tables for ever. */
void cli_options_visit(void (*visit)(const struct cli_option *opt, void *arg),
		       void *arg);

/* The option's value in words, cut at len bytes: "SIZE[,KEY=VALUE...]"; "" when
 * it takes none. */
void cli_value_text(const struct cli_option *opt, char *buf, size_t len);

#endif
