/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/param.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vmm/nearest.h"
#include "vmm/param_net.h"
#include "vmm/param_ranges.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/*
 * Values come in two kinds: text (char *, owned by the struct) and numbers
 * (everything else; bool and enum count as 0, 1, ...). Both are checked in one
 * place, param_store_*(), whatever form they came in, so that a range holds
 * for the command line and for JSON alike.
 */

static void *param_field(const struct param *p, void *cfg)
{
	return (char *)cfg + p->offset;
}

static char **param_text_field(const struct param *p, void *cfg)
{
	return param_field(p, cfg);
}

static void param_put_number(const struct param *p, void *cfg, uint64_t v)
{
	void *field = param_field(p, cfg);

	switch (p->type) {
	case PARAM_BOOL:
		*(bool *)field = v != 0;
		break;
	case PARAM_ENUM:
	case PARAM_FD:
		*(int *)field = (int)v;
		break;
	default:
		*(uint64_t *)field = v;
		break;
	}
}

/* Bytes of a field whose values are no numbers, or as good as none: all of them
 * 0 (of a descriptor 0xff) when it is unset. */
static const size_t param_field_sizes[PARAM_RANGES + 1] = {
	[PARAM_STRING] = sizeof(char *),       [PARAM_PATH] = sizeof(char *),
	[PARAM_WORDS] = sizeof(char *),	       [PARAM_FD] = sizeof(int),
	[PARAM_FDS] = sizeof(unsigned int), /* its length */
	[PARAM_MAC] = PARAM_MAC_LEN,	       [PARAM_IPV4] = sizeof(uint32_t),
	[PARAM_RANGES] = sizeof(unsigned int), /* its length */
};

static void param_put_default(const struct param *p, void *cfg)
{
	size_t size = param_field_sizes[p->type];

	if (size)
		memset(param_field(p, cfg), p->type == PARAM_FD ? 0xff : 0,
		       size);
	else
		param_put_number(p, cfg, p->def);
}

void param_defaults(const struct param_set *set, void *cfg)
{
	for (unsigned int i = 0; i < set->nr_params; i++)
		param_put_default(&set->params[i], cfg);
}

void param_unset(const struct param *p, void *cfg)
{
	int *fds;
	unsigned int nr = param_fds(p, cfg, &fds);

	while (nr)
		close_fd(&fds[--nr]);
	if (param_is_text(p))
		free(*param_text_field(p, cfg));
	param_put_default(p, cfg);
}

void param_free(const struct param_set *set, void *cfg)
{
	for (unsigned int i = 0; i < set->nr_params; i++)
		param_unset(&set->params[i], cfg);
}

/* ---- numbers ---- */

/* units: K, M or G may stand behind the digits. */
static int param_parse_number(const char *text, bool units, uint64_t *out)
{
	static const char letters[] = "KMG";
	const char *letter;
	uint64_t v;
	int rc = param_digits(&text, &v);

	if (rc == -EINVAL)
		return rc;
	letter = units && *text ? strchr(letters, *text) : NULL;
	if (text[letter ? 1 : 0])
		return -EINVAL;
	if (rc || (letter && __builtin_mul_overflow(
				     v, KIB << 10 * (letter - letters), &v)))
		return -ERANGE;
	*out = v;
	return 0;
}

static int param_parse_bool(const char *text, uint64_t *out)
{
	if (strcasecmp(text, "on") == 0 || strcasecmp(text, "true") == 0)
		*out = 1;
	else if (strcasecmp(text, "off") == 0 || strcasecmp(text, "false") == 0)
		*out = 0;
	else
		return -EINVAL;
	return 0;
}

static int param_parse_choice(const struct param *p, const char *text,
			      uint64_t *out)
{
	for (unsigned int i = 0; p->choices[i].name; i++) {
		if (strcmp(p->choices[i].name, text) == 0) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int param_out_of_range(const struct param *p, struct error *err)
{
	char range[128];

	param_range_text(p, range, sizeof(range));
	if (!*range)
		return error_set(err, EINVAL,
				 "too large; use a smaller number");
	return error_set(err, EINVAL, "must be %s", range);
}

static int param_not_a_number(const struct param *p, struct error *err)
{
	char text[256];

	switch (p->type) {
	case PARAM_BOOL:
		return error_set(err, EINVAL, "must be on or off");
	case PARAM_ENUM:
		param_choices_text(p, false, ", ", text, sizeof(text));
		return error_set(err, EINVAL, "must be one of %s", text);
	case PARAM_SIZE:
		return error_set(
			err, EINVAL,
			"not a size; use a number with K, M or G, such as 512M");
	case PARAM_FD:
	case PARAM_FDS:
		return error_set(
			err, EINVAL,
			"not a file descriptor; use the number of an open one, such as 3%s",
			p->type == PARAM_FDS ? ", or several as [3,4]" : "");
	default:
		param_range_text(p, text, sizeof(text));
		return error_set(err, EINVAL, "not a number; use %s%s",
				 *text && !p->pow2 ? "one " : "",
				 *text ? text : "digits only, such as 2");
	}
}

/* Read any type but text as a number. */
static int param_read_number(const struct param *p, const char *text,
			     uint64_t *out, struct error *err)
{
	int rc;

	switch (p->type) {
	case PARAM_BOOL:
		rc = param_parse_bool(text, out);
		break;
	case PARAM_ENUM:
		rc = param_parse_choice(p, text, out);
		break;
	default:
		rc = param_parse_number(text, p->type == PARAM_SIZE, out);
		break;
	}
	if (rc == -ERANGE)
		return param_out_of_range(p, err);
	return rc ? param_not_a_number(p, err) : 0;
}

/* Take one that this process was started with. It has one owner, who closes it:
 * what is to be closed at execve(2) was taken already, or is our own. */
static int param_take_fd(const struct param *p, uint64_t v, struct error *err)
{
	int flags;

	if (v > INT_MAX)
		return param_not_a_number(p, err);
	if (v < p->min)
		return error_set(
			err, EINVAL,
			"is standard input, output or error; use a descriptor from %llu on",
			llu(p->min));
	flags = fcntl((int)v, F_GETFD);
	if (flags < 0)
		return error_set(
			err, EINVAL,
			"no such descriptor is open; have the process that starts this one pass it on");
	if (flags & FD_CLOEXEC)
		return error_set(
			err, EINVAL,
			"descriptor %d is in use already; open the file once more for each option",
			(int)v);
	fcntl((int)v, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int param_store_number(const struct param *p, void *cfg, uint64_t v,
			      struct error *err)
{
	if (p->type == PARAM_FD) {
		int r = param_take_fd(p, v, err);

		if (r)
			return r;
	}
	if (param_is_number(p) &&
	    (!param_is_within(p, v) || (p->pow2 && !IS_POW2(v))))
		return param_out_of_range(p, err);
	param_put_number(p, cfg, v);
	return 0;
}

static int param_store_text(const struct param *p, void *cfg, const char *text,
			    struct error *err)
{
	char **field = param_text_field(p, cfg);
	uint64_t max = p->type == PARAM_PATH && !p->max ? PATH_MAX - 1 : p->max;
	char *copy;

	if (p->type == PARAM_PATH && !*text)
		return error_set(err, EINVAL, "no file name; give a path");
	if (max && strlen(text) > max)
		return error_set(err, EINVAL,
				 "too long; at most %llu bytes are possible",
				 llu(max));
	if (p->check_text) {
		int r = p->check_text(text, err);

		if (r)
			return r;
	}
	copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "no memory for the text");
	free(*field);
	*field = copy;
	return 0;
}

/* "3", or "[3,4]". */
static int param_store_fds(const struct param *p, struct fd_list *out,
			   const char *text, struct error *err)
{
	bool many = *text == '[', more = true;
	struct fd_list list = { .nr = 0 };
	uint64_t v;
	int r;

	for (text += many; more; text += more) {
		if (param_digits(&text, &v))
			return param_not_a_number(p, err);
		r = param_take_fd(p, v, err);
		if (r)
			return r;
		if (list.nr == FD_LIST_MAX)
			return error_set(err, EINVAL,
					 "too many; at most %u are possible",
					 FD_LIST_MAX);
		list.fds[list.nr++] = (int)v;
		more = many && *text == ',';
	}
	if (strcmp(text, many ? "]" : "") != 0)
		return param_not_a_number(p, err);
	*out = list;
	return 0;
}

int param_assign(const struct param *p, void *cfg, const char *text,
		 struct error *err)
{
	uint64_t v = 0;
	int rc;

	if (param_is_text(p))
		return param_store_text(p, cfg, text, err);
	if (p->type == PARAM_FDS)
		return param_store_fds(p, param_field(p, cfg), text, err);
	if (p->type == PARAM_MAC)
		return param_read_mac(text, param_field(p, cfg), err);
	if (p->type == PARAM_IPV4)
		return param_read_ipv4(text, param_field(p, cfg), err);
	if (p->type == PARAM_RANGES)
		return param_read_ranges(text, param_field(p, cfg), err);
	rc = param_read_number(p, text, &v, err);
	return rc ? rc : param_store_number(p, cfg, v, err);
}

/* ---- the grammar of lists ---- */

struct param_item {
	char *key; /* NULL: no '=' outside quotes and brackets */
	char *value;
	bool more; /* another item follows */
};

/*
 * Cut the next item off *cursor. Works in place, since what is left after
 * stripping quotes is never longer. -EINVAL: see the message.
 */
static int param_cut(char **cursor, struct param_item *item, struct error *err)
{
	char *r = *cursor, *w = r;
	unsigned int depth = 0;
	bool quoted = false;

	item->key = NULL;
	item->value = w;
	for (; *r; r++) {
		if (*r == '"' && !depth) {
			if (quoted && r[1] == '"')
				*w++ = *r++;
			else
				quoted = !quoted;
			continue;
		}
		if (*r == '"') /* a list's own quotes stay */
			quoted = !quoted;
		else if (!quoted && *r == '[')
			depth++;
		else if (!quoted && *r == ']' && depth-- == 0)
			return error_set(
				err, EINVAL,
				"']' without '['; put a value with brackets in double quotes");
		else if (!quoted && !depth && *r == ',')
			break;
		if (!quoted && !depth && *r == '=' && !item->key) {
			item->key = item->value;
			item->value = w + 1;
			*w++ = '\0';
		} else {
			*w++ = *r;
		}
	}
	if (quoted || depth)
		return error_set(
			err, EINVAL, "%s without its end; %s",
			quoted ? "'\"'" : "'['",
			quoted ? "close the quotes"
			       : "add ']', or put the value in double quotes");
	item->more = *r != '\0';
	*cursor = item->more ? r + 1 : r;
	*w = '\0';
	return 0;
}

static int param_unknown_key(const struct param_set *set, const char *key,
			     struct error *err)
{
	char keys[384], hint[80] = "";
	struct nearest near;

	nearest_init(&near, key);
	for (unsigned int i = 0; i < set->nr_params; i++)
		nearest_offer(&near, set->params[i].name);
	if (near.best)
		snprintf(hint, sizeof(hint), " did you mean '%s'?", near.best);
	else if (set->shorthand && strchr(key, '/'))
		snprintf(hint, sizeof(hint),
			 " write a path with '=' as %s=PATH;", set->shorthand);
	param_keys_text(set, ", ", keys, sizeof(keys));
	return error_set(err, EINVAL,
			 "--%s: unknown key '%.40s';%s known keys: %s",
			 set->option, error_value(key).text, hint, keys);
}

/* The word may be the value of the shorthand. The name of a key is not, lest
 * "readonly" be taken for a path; a choice of that name is. */
static bool param_is_shorthand(const struct param_set *set, const char *word)
{
	const struct param *p;
	uint64_t v;

	if (!set->shorthand)
		return false;
	if (!param_find(set, word))
		return true;
	p = param_find(set, set->shorthand);
	return p->type == PARAM_ENUM && param_parse_choice(p, word, &v) == 0;
}

/* A word without '=': the shorthand in first place, otherwise an error. */
static int param_bare_word(const struct param_set *set, const char *word,
			   bool first, struct error *err)
{
	const struct param *p = param_find(set, word);
	char look[128], keys[384];

	if (!*word)
		return error_set(
			err, EINVAL,
			"--%s: an item is empty; write key=value, with one comma between two",
			set->option);
	if (first && param_is_shorthand(set, word))
		return 0;
	if (p) {
		param_value_text(p, look, sizeof(look));
		return error_set(err, EINVAL,
				 "--%s: '%s' has no value; write %s=%s",
				 set->option, p->name, p->name, look);
	}
	param_keys_text(set, ", ", keys, sizeof(keys));
	return error_set(err, EINVAL,
			 "--%s: '%.40s' is not key=value; known keys: %s",
			 set->option, error_value(word).text, keys);
}

static int param_apply(const struct param_set *set, void *cfg,
		       struct param_item *item, bool first, struct error *err)
{
	const struct param *p;
	const char *key;
	int rc;

	if (!item->key) {
		rc = param_bare_word(set, item->value, first, err);
		if (rc)
			return rc;
	}
	key = item->key ? item->key : set->shorthand;
	p = param_find(set, key);
	if (!p)
		return param_unknown_key(set, key, err);
	if (!*item->value) {
		param_unset(p, cfg);
		return 0;
	}
	rc = param_assign(p, cfg, item->value, err);
	if (rc)
		error_prefix(err, rc, "--%s %s=%s", set->option, p->name,
			     error_value(item->value).text);
	return rc;
}

static int param_parse_items(const struct param_set *set, void *cfg, char *text,
			     struct error *err)
{
	struct param_item item = { .more = true };
	char look[192];
	bool first = true;
	int rc;

	if (!*text) {
		param_set_text(set, look, sizeof(look));
		return error_set(err, EINVAL,
				 "--%s: the value is empty; write --%s %s",
				 set->option, set->option, look);
	}
	while (item.more) {
		rc = param_cut(&text, &item, err);
		if (rc)
			return error_prefix(err, rc, "--%s", set->option);
		rc = param_apply(set, cfg, &item, first, err);
		if (rc)
			return rc;
		first = false;
	}
	return 0;
}

/* ---- whole structs ---- */

bool param_is_unset(const struct param *p, const void *cfg)
{
	const uint8_t *field = (const uint8_t *)cfg + p->offset;
	size_t size = param_field_sizes[p->type];
	uint64_t v;

	while (size && *field == (p->type == PARAM_FD ? 0xff : 0)) {
		field++;
		if (!--size)
			return true;
	}
	if (!param_is_number(p))
		return false;
	memcpy(&v, field, sizeof(v));
	return !param_is_within(p, v);
}

int param_check(const struct param_set *set, void *cfg, struct error *err)
{
	char look[128];

	if (set->complete)
		set->complete(cfg);

	for (unsigned int i = 0; i < set->nr_params; i++) {
		const struct param *p = &set->params[i];

		if (!p->required || !param_is_unset(p, cfg))
			continue;
		param_value_text(p, look, sizeof(look));
		return error_set(err, EINVAL, "%s is missing; add %s=%s",
				 p->name, p->name, look);
	}
	return set->check ? set->check(cfg, err) : 0;
}

/* Make what p says of a copied struct its own; what it cannot be is unset. */
static bool param_make_own(const struct param *p, void *copy)
{
	char **text = param_is_text(p) ? param_text_field(p, copy) : NULL;
	bool good = true;
	int *fds;
	unsigned int i, nr = param_fds(p, copy, &fds);

	if (text && *text) {
		*text = strdup(*text);
		good = *text;
	}
	for (i = 0; i < nr; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		good = good && fds[i] >= 0;
	}
	return good;
}

void *param_copy(const struct param_set *set, const void *cfg)
{
	void *copy = malloc(set->size);
	int code = 0;

	if (!copy)
		return NULL;
	memcpy(copy, cfg, set->size);
	for (unsigned int i = 0; i < set->nr_params; i++)
		if (!param_make_own(&set->params[i], copy))
			code = errno;
	if (!code)
		return copy;
	param_free(set, copy);
	free(copy);
	errno = code;
	return NULL;
}

int param_parse(const struct param_set *set, void *cfg, const char *text,
		struct error *err)
{
	char *items = strdup(text);
	int rc;

	if (!items)
		return error_set(err, ENOMEM, "--%s: no memory", set->option);
	rc = param_parse_items(set, cfg, items, err);
	free(items);
	if (rc)
		return rc;
	rc = param_check(set, cfg, err);
	return rc ? error_prefix(err, rc, "--%s", set->option) : 0;
}
