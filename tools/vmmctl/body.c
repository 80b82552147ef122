/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/body.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/api/json.h"
#include "vmm/api/json_peer.h"
#include "vmm/cli.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

int body_init(struct body *b, struct error *err)
{
	b->nr_fds = 0;
	b->json = json_object();
	return b->json ? 0 : error_set(err, ENOMEM, "out of memory");
}

void body_fini(struct body *b)
{
	json_decref(b->json);
}

/* ---- values ---- */

/* Send fd along, and say its number at path in obj. */
static int body_add_fd(struct body *b, int fd, json_t *obj, const char *path,
		       struct error *err)
{
	if (b->nr_fds == CLIENT_MAX_FDS)
		return error_set(err, EINVAL, "at most %u descriptors go along",
				 CLIENT_MAX_FDS);
	json_path_set(obj, path, json_integer(b->nr_fds));
	b->fds[b->nr_fds++] = fd;
	return 0;
}

/* Which open descriptor a file name stands for; -1: none. */
static int body_path_fd(const char *path)
{
	int fd, n = 0;

	if ((sscanf(path, "/dev/fd/%d%n", &fd, &n) == 1 ||
	     sscanf(path, "/proc/self/fd/%d%n", &fd, &n) == 1) &&
	    !path[n])
		return fd;
	return -1;
}

static const char *body_key(const struct param *p)
{
	return p->json ? p->json : p->name;
}

static int body_check_utf8(const struct param *p, const char *text,
			   struct error *err)
{
	json_t *value = json_string(text);

	json_decref(value);
	return value ? 0
		     : error_set(err, EINVAL,
				 "%s %s: is not UTF-8, and the control socket "
				 "takes nothing else",
				 p->name, error_value(text).text);
}

static int body_make_absolute(char **path, struct error *err)
{
	char cwd[PATH_MAX], *full;

	if (!getcwd(cwd, sizeof(cwd)))
		return error_set(err, errno, "working directory: %s",
				 strerror(errno));
	if (asprintf(&full, "%s/%s", cwd, *path) < 0)
		return error_set(err, ENOMEM, "out of memory");
	free(*path);
	*path = full;
	return 0;
}

/* Make a text what the monitor can use. A path that is a descriptor of this
 * process goes along as one, and the text becomes NULL. */
static int body_fix_text(struct body *b, const struct param_set *set,
			 const struct param *p, char **text, json_t *obj,
			 struct error *err)
{
	const struct param *other = param_find(set, "fd");
	char key[32];
	int fd, r = body_check_utf8(p, *text, err);

	if (r || p->type != PARAM_PATH)
		return r;
	fd = body_path_fd(*text);
	if (fd < 0)
		return **text == '/' ? 0 : body_make_absolute(text, err);
	if (!other && set != &payload_params)
		return error_set(err, EINVAL,
				 "%s: descriptor %d of this process means "
				 "nothing to the monitor; give a file's path",
				 p->name, fd);
	snprintf(key, sizeof(key), "payload.%s_fd", p->name);
	free(*text);
	*text = NULL;
	return body_add_fd(b, fd, obj, other ? body_key(other) : key, err);
}

static int body_add_fds(struct body *b, const struct param *p, void *cfg,
			json_t *obj, struct error *err)
{
	int *fds, r = 0;
	unsigned int nr = param_fds(p, cfg, &fds);
	json_t *list = json_array();

	for (unsigned int i = 0; i < nr && !r; i++) {
		if (p->type == PARAM_FDS)
			json_array_append_new(list, json_integer(b->nr_fds));
		r = body_add_fd(b, take_fd(&fds[i]), obj, body_key(p), err);
	}
	if (nr && p->type == PARAM_FDS)
		json_path_set(obj, body_key(p), list);
	else
		json_decref(list);
	return r;
}

/* The values in cfg, whose paths become absolute; all, or those that are not at
 * their defaults. */
static int body_add_set(struct body *b, const struct param_set *set, void *cfg,
			json_t *obj, bool all, struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < set->nr_params; i++) {
		const struct param *p = &set->params[i];
		void *field = (char *)cfg + p->offset;

		if (p->type == PARAM_FDS || p->type == PARAM_FD)
			r = body_add_fds(b, p, cfg, obj, err);
		else if (param_is_text(p) && *(char **)field)
			r = body_fix_text(b, set, p, field, obj, err);
	}
	if (!r)
		json_write_set(set, cfg, obj, all);
	return r;
}

/* ---- words ---- */

/* The parameter that argv[*next] names, and its value, which may be the word
 * behind it. -EINVAL with a message. */
static int body_find(const struct param_set *set, char **argv, int *next,
		     const struct param **p, const char **value,
		     struct error *err)
{
	const char *word = argv[(*next)++];
	size_t len = strcspn(word, "=");
	char name[40], keys[384];

	*value = word;
	if (strncmp(word, "--", 2) != 0) {
		*p = param_find(set, set->shorthand);
	} else {
		snprintf(name, sizeof(name), "%.*s", (int)len - 2, word + 2);
		*p = param_find(set, name);
		*value = word[len] ? word + len + 1 : NULL;
	}
	if (!*p) {
		param_keys_text(set, ", --", keys, sizeof(keys));
		return error_set(err, EINVAL,
				 "%s: not known here; there are --%s",
				 error_value(word).text, keys);
	}
	if (!*value && (*p)->type == PARAM_BOOL)
		*value = "on";
	else if (!*value && argv[*next])
		*value = argv[(*next)++];
	return *value ? 0 : error_set(err, EINVAL, "%s: has no value", word);
}

static int body_take_word(struct body *b, const struct param_set *set,
			  char **argv, int *next, struct error *err)
{
	union body_word field = { NULL };
	const struct param *found;
	const char *value;
	int r = body_find(set, argv, next, &found, &value, err);
	struct param p;
	const struct param_set one = { .params = &p, .nr_params = 1 };

	if (!r)
		r = body_check_utf8(found, value, err);
	if (r)
		return r;
	/* It is said even where it is the default. */
	p = *found;
	p.offset = 0;
	p.def = UINT64_MAX;
	r = param_assign(&p, &field, value, err);
	if (r)
		return error_prefix(err, r, "--%s %s", p.name,
				    error_value(value).text);
	json_write_set(&one, &field, b->json, true);
	param_free(&one, &field);
	return 0;
}

int body_add_words(struct body *b, const struct param_set *set, int argc,
		   char **argv, struct error *err)
{
	int next = 1, r = 0;
	char keys[384];

	while (!r && next < argc)
		r = body_take_word(b, set, argv, &next, err);
	for (unsigned int i = 0; !r && i < set->nr_params; i++) {
		const struct param *p = &set->params[i];

		if (p->required && !json_object_get(b->json, body_key(p)))
			r = error_set(err, EINVAL, "give --%s: %s", p->name,
				      p->help);
	}
	if (!r && argc < 2) {
		param_keys_text(set, ", --", keys, sizeof(keys));
		r = error_set(err, EINVAL, "give one of --%s, or more", keys);
	}
	return r;
}

/* ---- devices ---- */

int body_add_device(struct body *b, const struct device_class *class, int argc,
		    char **argv, struct error *err)
{
	const struct param_set *set = class->params;
	struct device_config dc;
	char value[192];
	int r;

	if (argc != 2) {
		param_set_text(set, value, sizeof(value));
		return error_set(err, EINVAL, "takes one word: %s", value);
	}
	r = device_config_init(&dc, class, err);
	if (!r)
		r = param_parse(set, dc.config, argv[1], err);
	if (!r)
		r = body_add_set(b, set, dc.config, b->json, false, err);
	device_config_free(&dc);
	return r;
}

/* ---- machines ---- */

static int body_read_file(struct body *b, const char *path, struct error *err)
{
	json_error_t jerr;
	json_t *value =
		strcmp(path, "-") == 0
			? json_loadf(stdin, JSON_REJECT_DUPLICATES, &jerr)
			: json_load_file(path, JSON_REJECT_DUPLICATES, &jerr);

	if (!value && jerr.line < 0) /* it says which file and why */
		return error_set(err, EINVAL, "%s", jerr.text);
	if (!json_is_object(value)) {
		json_decref(value);
		return error_set(err, EINVAL, "%s: %s, line %d",
				 error_value(path).text,
				 value ? "must hold an object" : jerr.text,
				 value ? 1 : jerr.line);
	}
	json_decref(b->json);
	b->json = value;
	return 0;
}

/* The monitor's default is no console, as it is for other clients. */
static bool body_says_serial(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--serial") == 0 ||
		    strncmp(argv[i], "--serial=", 9) == 0)
			return true;
	return false;
}

/* An object that is called name; none when it would be empty. */
static int body_add_section(struct body *b, const char *name,
			    const struct param_set *set, void *cfg, bool all,
			    struct error *err)
{
	json_t *obj = json_object();
	int r = body_add_set(b, set, cfg, obj, all, err);

	if (json_object_size(obj))
		json_object_set(b->json, name, obj);
	json_decref(obj);
	return r;
}

/* An entry of the list that is called name. */
static int body_add_entry(struct body *b, const char *name,
			  const struct param_set *set, void *cfg,
			  struct error *err)
{
	json_t *obj = json_object();

	if (!json_object_get(b->json, name))
		json_object_set_new(b->json, name, json_array());
	json_array_append_new(json_object_get(b->json, name), obj);
	return body_add_set(b, set, cfg, obj, false, err);
}

static int body_add_lists(struct body *b, struct vm_config *vc,
			  struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < vc->nr_devices; i++) {
		const struct device_class *class = vc->devices[i].class;
		void *cfg = vc->devices[i].config;

		r = class->single
			    ? body_add_section(b, class->json_list,
					       class->params, cfg, false, err)
			    : body_add_entry(b, class->json_list, class->params,
					     cfg, err);
	}
	for (unsigned int i = 0; !r && i < vc->nr_rules; i++)
		r = body_add_entry(b, "landlock_rules", &rule_params,
				   &vc->rules[i], err);
	return r;
}

static int body_write_machine(struct body *b, struct vm_config *vc,
			      bool has_serial, struct error *err)
{
	int r;

	/* --rootfs is ours: to the monitor it is a disk and a command line. */
	if (vc->rootfs.path) {
		char *cmdline = vm_config_cmdline(vc, arch_console);

		free(vc->cmdline);
		vc->cmdline = cmdline;
	}
	r = body_add_set(b, &payload_params, vc, b->json, false, err);
	if (!r)
		r = body_add_section(b, "cpus", &cpus_params, &vc->cpus, false,
				     err);
	if (!r)
		r = body_add_section(b, "memory", &memory_params, &vc->memory,
				     false, err);
	/* The monitor's defaults are other ones: say ours too. */
	if (!r && has_serial)
		r = body_add_section(b, "serial", &serial_params, &vc->serial,
				     true, err);
	return r ? r : body_add_lists(b, vc, err);
}

int body_add_machine(struct body *b, int argc, char **argv, struct error *err)
{
	struct run_config rc;
	int r;

	if (argc == 2 && (argv[1][0] != '-' || !argv[1][1]))
		return body_read_file(b, argv[1], err);
	r = cli_parse(&rc, argc, argv, err);
	if (!r && (rc.mode != RUN_VM || rc.log_file || rc.verbosity ||
		   endpoint_is_set(&rc.event_monitor) ||
		   endpoint_is_set(&rc.api_socket)))
		r = error_set(
			err, EINVAL,
			"takes vmm's options of guest, machine and devices, such as --kernel PATH; or FILE");
	if (!r)
		r = body_write_machine(b, &rc.vm, body_says_serial(argc, argv),
				       err);
	run_config_free(&rc);
	return r;
}
