/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_VERBS_H
#define TOOLS_VMMCTL_VERBS_H

#include <jansson.h>
#include <stdbool.h>

#include "devices/device.h"
#include "tools/vmmctl/body.h"
#include "tools/vmmctl/ctl.h"
#include "vmm/error.h"
#include "vmm/nearest.h"
#include "vmm/param.h"

/*
 * A verb: what it takes (one of machine, set, class, or nothing), what it asks,
 * and how the answer is shown. Main program, man page and completion are made
 * from the one table of them.
 */
struct verb {
	const char *name; /* "add-disk" */
	const char *help; /* one line, no full stop */
	const char *more; /* more sentences for the man page, or NULL */
	const char *path; /* of the request; NULL: there is none */
	bool get; /* GET, else PUT */
	bool machine; /* takes the options of vmm itself */
	bool id; /* takes the name of a device first */
	const struct param_set *set; /* takes --key value */
	const struct device_class *class; /* takes its option's value */
	const char *args; /* what stands behind it; NULL: nothing, or class */
	/* Show an answer that has a body; NULL: as it is. */
	void (*show)(json_t *reply, FILE *out);
	/* Instead of a request. Returns enum ctl_status, with a message when
	 * it is not CTL_OK. */
	int (*run)(const struct ctl *ctl, int argc, char **argv,
		   struct error *err);
};

/* All verbs, those of devices too; ends with a NULL name. */
const struct verb *verbs_all(void);
/* The verb of that name; NULL when there is none, and *near has offers. */
const struct verb *verbs_find(const char *name, struct nearest *near);
/* What stands behind the verb: "ID [--force]"; "" for nothing. */
void verbs_args_text(const struct verb *v, char *buf, size_t len);
/* The body of v's request, made of the words behind argv[0]. -errno with a
 * message. */
int verbs_body(const struct verb *v, struct body *b, int argc, char **argv,
	       struct error *err);

#endif
