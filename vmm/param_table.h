/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PARAM_TABLE_H
#define VMM_PARAM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
	PARAM_FDS, /* struct fd_list: "3" or "[3,4]" */
	PARAM_MAC, /* uint8_t[6], of one station; all 0 when unset */
	PARAM_IPV4, /* uint32_t, network byte order; 0 when unset */
	/* As PARAM_STRING, in words that p->check_text() knows; in JSON a number
	 * is as good as its digits. */
	PARAM_WORDS,
	PARAM_RANGES, /* struct id_ranges: "0:100000:65536;..." */
};

/* Descriptors of one thing; each as PARAM_FD's. */
#define FD_LIST_MAX 126u
struct fd_list {
	unsigned int nr; /* 0: unset */
	int fds[FD_LIST_MAX];
};

/* Ids of the guest and what they are on the host: guest + n is host + n. As
 * many as the map of a user namespace can have. */
#define ID_RANGES_MAX 340u
struct id_ranges {
	unsigned int nr; /* 0: unset */
	struct id_range {
		uint32_t guest;
		uint32_t host;
		uint32_t count;
	} ranges[ID_RANGES_MAX];
};

struct param_choice {
	const char *name; /* on the command line */
	const char *json; /* in JSON, when it is spelled otherwise */
};

static inline const char *param_choice_name(const struct param_choice *c,
					    bool json)
{
	return json && c->json ? c->json : c->name;
}

struct param {
	const char *name; /* key on the command line */
	const char *json; /* path in JSON, dots between levels; NULL: name */
	enum param_type type;
	size_t offset; /* of the field in its struct */
	const char *unit; /* "bytes", "ms", "us", ... or NULL */
	uint64_t def; /* default: number, bool, or index of the choice */
	/* PARAM_UINT, PARAM_SIZE: a default beyond these is unset; PARAM_FD,
	 * PARAM_FDS */
	uint64_t min;
	uint64_t max; /* 0: no bound; of a text: longest length, bytes */
	/* In place of max, where ports differ; NULL: max it is. */
	const uint64_t *port_max;
	bool pow2; /* must be a power of two */
	bool required; /* must be given */
	const struct param_choice *choices; /* PARAM_ENUM; ends with {0} */
	/* PARAM_WORDS: refuse what it does not know, with reason and fix;
	 * -errno. What a value looks like: "N|off". */
	int (*check_text)(const char *text, struct error *err);
	const char *look;
	const char *help; /* one line, no full stop */
};

/* One line of a table: name, type without its prefix, struct and field it is
 * stored in, help; then what else there is to say, ".min = 1". */
#define PARAM(key, kind, owner, field, text, ...)                           \
	{                                                                   \
		.name = key, .type = PARAM_##kind,                          \
		.offset = offsetof(owner, field), .help = text, __VA_ARGS__ \
	}

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
	/* Fill in what was not given and follows from the rest, or is made up;
	 * after all was read, before check. NULL: nothing. */
	void (*complete)(void *config);
	/* Check what one parameter cannot say alone; NULL when nothing. The
	 * message starts with the key ("max=2: ...") and leaves out the option,
	 * which the caller puts in front. */
	int (*check)(const void *config, struct error *err);
};

/* The fields of a param_set that a table and its struct fill in. */
#define PARAM_TABLE(table, owner)                                       \
	.params = table, .nr_params = sizeof(table) / sizeof(table[0]), \
	.size = sizeof(owner)

/* How many descriptors of p are in config, a struct of its set, and where. */
static inline unsigned int param_fds(const struct param *p, void *config,
				     int **fds)
{
	void *field = (char *)config + p->offset;
	struct fd_list *list = field;

	*fds = p->type == PARAM_FDS ? list->fds : field;
	if (p->type == PARAM_FDS)
		return list->nr;
	return p->type == PARAM_FD && **fds >= 0;
}

/* The largest of its numbers, or its text's longest length; 0: no bound. */
static inline uint64_t param_max(const struct param *p)
{
	return p->port_max ? *p->port_max : p->max;
}

/* Is it a number with a range? */
static inline bool param_is_number(const struct param *p)
{
	return p->type == PARAM_UINT || p->type == PARAM_SIZE;
}

/* Is v in the range? */
static inline bool param_is_within(const struct param *p, uint64_t v)
{
	return v >= p->min && (!param_max(p) || v <= param_max(p));
}

/* Is it a char *, owned by the struct? */
static inline bool param_is_text(const struct param *p)
{
	return p->type == PARAM_STRING || p->type == PARAM_PATH ||
	       p->type == PARAM_WORDS;
}

/* The parameter called name, NULL when there is none or name is NULL. */
static inline const struct param *param_find(const struct param_set *set,
					     const char *name)
{
	for (unsigned int i = 0; name && i < set->nr_params; i++)
		if (strcmp(set->params[i].name, name) == 0)
			return &set->params[i];
	return NULL;
}

#endif
