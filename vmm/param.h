/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PARAM_H
#define VMM_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/error.h"

/*
 * One description of every option. A const table says name, JSON path, type,
 * unit, default, range and help of each parameter of a struct; the command
 * line, the control socket's JSON, --help, the man page and the shell
 * completion are all made from it.
 */
enum param_type {
	PARAM_BOOL, /* bool */
	PARAM_UINT, /* uint64_t */
	PARAM_SIZE, /* uint64_t, bytes; K, M, G on the command line */
	PARAM_STRING, /* char *, owned by the struct; NULL when unset */
	PARAM_PATH, /* as PARAM_STRING; a file name for the completion */
	PARAM_ENUM, /* int, the index in choices */
	PARAM_FD, /* int, open; -1 when unset */
};

struct param_choice {
	const char *name; /* on the command line */
	const char *json; /* in JSON, when it is spelled otherwise */
};

struct param {
	const char *name; /* key on the command line */
	const char *json; /* path in JSON, dots between levels; NULL: name */
	enum param_type type;
	size_t offset; /* of the field in its struct */
	const char *unit; /* "bytes", "ms", "us", ... or NULL */
	uint64_t def; /* default: number, bool, or index of the choice */
	/* PARAM_UINT, PARAM_SIZE: a default below it is unset; PARAM_FD */
	uint64_t min;
	uint64_t max; /* 0: no bound; PARAM_STRING: longest length, bytes */
	bool pow2; /* must be a power of two */
	bool required; /* must be given */
	const struct param_choice *choices; /* PARAM_ENUM; ends with {0} */
	const char *help; /* one line, no full stop */
};

/* A struct with parameters: one option's value, one JSON object. */
struct param_set {
	const char *option; /* "disk": names the option in messages */
	const char *help; /* what the option does; one line, no full stop */
	const struct param *params;
	unsigned int nr_params;
	size_t size; /* of the struct */
	/* Key of a first word without '=', or NULL. A word that names a key is
	 * still an error, unless it is a choice of the shorthand as well. */
	const char *shorthand;
	/* Check what one parameter cannot say alone; NULL when nothing. The
	 * message starts with the key ("max=2: ...") and leaves out the option,
	 * which the caller puts in front. */
	int (*check)(const void *config, struct error *err);
};

/* Fill every field with its default (strings NULL). cfg: set->size bytes, its
 * former content is not freed. Any thread. */
void param_defaults(const struct param_set *set, void *cfg);

/*
 * Parse "k=v,k=v" into cfg, which holds defaults or an earlier result; then
 * param_check() it. Grammar: commas inside [...] or "..." do not split, quotes
 * are stripped (a doubled quote inside quotes is a quote), `key=` means unset,
 * the last one wins, on/off/true/false in any case, sizes are binary K, M, G.
 * Unknown keys are errors that list the known ones; the message starts with
 * the option. On error cfg is as before. -EINVAL, -ENOMEM.
 */
int param_parse(const struct param_set *set, void *cfg, const char *text,
		struct error *err);

/* The parameter called name, NULL when there is none. */
const struct param *param_find(const struct param_set *set, const char *name);

/*
 * Set one parameter from its text, without grammar: every character of text
 * counts. The message says reason and fix; the caller puts option, key and
 * value in front. On error cfg is as before. -EINVAL, -ENOMEM.
 */
int param_assign(const struct param *p, void *cfg, const char *text,
		 struct error *err);

/* All required parameters are given and set->check agrees. -EINVAL with a
 * message that leaves out the option. */
int param_check(const struct param_set *set, const void *cfg,
		struct error *err);

/* Release strings; cfg's fields are unset afterwards. fds are not closed. */
void param_free(const struct param_set *set, void *cfg);

/* Parse one size ("512M") or unsigned number. -EINVAL, -ERANGE. */
int param_parse_size(const char *text, uint64_t *out);
int param_parse_uint(const char *text, uint64_t *out);

/* ---- a table in words (param_text.c) ---- */

/* Print one indented line per key: name, type or choices, default, help; the
 * shorthand first. Long help is wrapped. */
void param_help(const struct param_set *set, FILE *out);

/* One entry of a help text: `left` at column indent, help beside it at column
 * 26 and wrapped at 79. */
void param_help_entry(FILE *out, int indent, const char *left,
		      const char *help);

/* What a value looks like: "SIZE", "N", "PATH", "on|off", "auto|uring|sync". */
void param_value_text(const struct param *p, char *buf, size_t len);
/* The bounds: "a power of two between 2 and 32768"; "" when there are none. */
void param_range_text(const struct param *p, char *buf, size_t len);
/* The default: "512M", "on"; "" when unset is the default. */
void param_default_text(const struct param *p, char *buf, size_t len);
/* A number as a value of p: "513M". */
void param_number_text(const struct param *p, uint64_t v, char *buf,
		       size_t len);
/* Names of all choices or keys, with sep between them. */
void param_choices_text(const struct param *p, const char *sep, char *buf,
			size_t len);
void param_keys_text(const struct param_set *set, const char *sep, char *buf,
		     size_t len);
/* The value of an option that has this set: "SIZE[,KEY=VALUE...]". */
void param_set_text(const struct param_set *set, char *buf, size_t len);

#endif
