/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_BODY_H
#define TOOLS_VMMCTL_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "tools/vmmctl/client.h"
#include "vmm/error.h"
#include "vmm/param.h"

/*
 * What a request says, made from words by the parameter tables that the
 * monitor reads it with. Only what differs from the defaults is said.
 *
 * File names are those of this process: relative ones become absolute. Open
 * descriptors (fd=N, and /dev/fd/N of kernel and initramfs) go along with the
 * request and are not closed.
 */
struct body {
	json_t *json; /* object */
	int fds[CLIENT_MAX_FDS];
	unsigned int nr_fds;
};

/* What one word says, where the parameters of a verb's own words store it. */
union body_word {
	char *text;
	uint64_t number;
	bool on;
};

/* Start with an empty object. -ENOMEM with a message. */
int body_init(struct body *b, struct error *err);
/* Free what body_init() or body_add_machine() made. Descriptors stay open. */
void body_fini(struct body *b);

/*
 * All return -errno with a message for the user; argv[0] is the verb.
 *
 * "--key value", "--flag", and set->shorthand as a word alone. Nothing keeps the
 * values; a parameter is no list of descriptors.
 */
int body_add_words(struct body *b, const struct param_set *set, int argc,
		   char **argv, struct error *err);
/* One "key=value,..." of the device's own option. */
int body_add_device(struct body *b, const struct device_class *class, int argc,
		    char **argv, struct error *err);
/* The machine that vmm's own options describe; or one word, the name of a file
 * ("-": standard input) that holds the whole body. */
int body_add_machine(struct body *b, int argc, char **argv, struct error *err);

#endif
