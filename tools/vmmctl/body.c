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
	b->json = NULL;
}

/* ---- values ---- */

static bool body_is_default(const struct param *p, const void *cfg)
{
	const void *field = (const char *)cfg + p->offset;

	switch (p->type) {
	case PARAM_BOOL:
		return *(const bool *)field == (p->def != 0);
	case PARAM_UINT:
	case PARAM_SIZE:
		return *(const uint64_t *)field == p->def;
	case PARAM_ENUM:
		return (uint64_t) * (const int *)field == p->def;
	case PARAM_FD:
		return *(const int *)field < 0;
	default:
		return !*(char *const *)field;
	}
}

/* Send fd along, and say its number at key. */
static int body_add_fd(struct body *b, int fd, json_t *obj, const char *key,
		       struct error *err)
{
	if (b->nr_fds == CLIENT_MAX_FDS)
		return error_set(err, EINVAL, "at most %u descriptors go along",
				 CLIENT_MAX_FDS);
	json_object_set_new(obj, key, json_integer(b->nr_fds));
	b->fds[b->nr_fds++] = fd;
	return 0;
}

/* Which open descriptor a file name stands for; -1: none. */
static int body_path_fd(const char *path)
{
	int fd, n = 0;

	if (sscanf(path, "/dev/fd/%d%n", &fd, &n) == 1 && !path[n])
		return fd;
	n = 0;
	if (sscanf(path, "/proc/self/fd/%d%n", &fd, &n) == 1 && !path[n])
		return fd;
	return -1;
}

/* The one parameter p, as json_write_set() shows it. */
static void body_add_param(const struct param_set *set, const struct param *p,
			   const void *cfg, json_t *obj)
{
	struct param_set one = *set;

	one.params = p;
	one.nr_params = 1;
	json_write_set(&one, cfg, obj);
}

static int body_add_path(const struct param_set *set, const struct param *p,
			 const char *path, json_t *obj, struct error *err)
{
	char cwd[PATH_MAX], *full;
	struct param here = *p;

	if (!getcwd(cwd, sizeof(cwd)))
		return error_set(err, errno, "working directory: %s",
				 strerror(errno));
	if (asprintf(&full, "%s/%s", cwd, path) < 0)
		return error_set(err, ENOMEM, "out of memory");
	here.offset = 0;
	body_add_param(set, &here, &full, obj);
	free(full);
	return 0;
}

/* A path that is a descriptor of this process goes along as one. */
static int body_add_path_fd(struct body *b, const struct param_set *set,
			    const struct param *p, int fd, json_t *obj,
			    struct error *err)
{
	const struct param *other = param_find(set, "fd");
	json_t *payload;
	char key[24];

	if (other)
		return body_add_fd(b, fd, obj,
				   other->json ? other->json : other->name,
				   err);
	if (set != &payload_params)
		return error_set(err, EINVAL,
				 "%s: descriptor %d of this process means "
				 "nothing to the monitor; give a file's path",
				 p->name, fd);
	payload = json_object_get(obj, "payload");
	if (!payload) {
		payload = json_object();
		json_object_set_new(obj, "payload", payload);
	}
	snprintf(key, sizeof(key), "%s_fd", p->name);
	return body_add_fd(b, fd, payload, key, err);
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

static int body_add_text(struct body *b, const struct param_set *set,
			 const struct param *p, const void *cfg, json_t *obj,
			 struct error *err)
{
	const char *text =
		*(char *const *)(const void *)((const char *)cfg + p->offset);
	int fd = p->type == PARAM_PATH ? body_path_fd(text) : -1;
	int r = body_check_utf8(p, text, err);

	if (r)
		return r;
	if (fd >= 0)
		return body_add_path_fd(b, set, p, fd, obj, err);
	if (p->type == PARAM_PATH && text[0] != '/')
		return body_add_path(set, p, text, obj, err);
	body_add_param(set, p, cfg, obj);
	return 0;
}

int body_add_set(struct body *b, const struct param_set *set, const void *cfg,
		 json_t *obj, struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < set->nr_params; i++) {
		const struct param *p = &set->params[i];
		const void *field = (const char *)cfg + p->offset;

		if (body_is_default(p, cfg))
			continue;
		if (p->type == PARAM_FD)
			r = body_add_fd(b, *(const int *)field, obj,
					p->json ? p->json : p->name, err);
		else if (p->type == PARAM_STRING || p->type == PARAM_PATH)
			r = body_add_text(b, set, p, cfg, obj, err);
		else
			body_add_param(set, p, cfg, obj);
	}
	return r;
}

/* ---- words ---- */

static const struct param *body_find(const struct param_set *set,
				     const char *word, struct error *err)
{
	const char *text = word;
	char name[40], keys[128];
	const struct param *p;

	if (strncmp(word, "--", 2) == 0)
		text += 2;
	else if (set->shorthand)
		return param_find(set, set->shorthand);
	snprintf(name, sizeof(name), "%s", text);
	name[strcspn(name, "=")] = '\0';
	p = text == word ? NULL : param_find(set, name);
	if (p)
		return p;
	param_keys_text(set, ", --", keys, sizeof(keys));
	error_set(err, EINVAL, "%s: not known here; there are --%s",
		  error_value(word).text, keys);
	return NULL;
}

static int body_take_word(const struct param_set *set, void *cfg, char **argv,
			  int *next, struct error *err)
{
	const char *word = argv[(*next)++];
	const struct param *p = body_find(set, word, err);
	const char *value = strchr(word, '=');
	int r;

	if (!p)
		return -EINVAL;
	if (strncmp(word, "--", 2) != 0)
		value = word;
	else if (value)
		value++;
	else if (p->type == PARAM_BOOL)
		value = "on";
	else if (argv[*next])
		value = argv[(*next)++];
	else
		return error_set(err, EINVAL, "%s: has no value", word);
	r = param_assign(p, cfg, value, err);
	return r ? error_prefix(err, r, "--%s %s", p->name,
				error_value(value).text)
		 : 0;
}

/* As param_check() does it, but in the words of this command line. */
static int body_check_words(const struct param_set *set, const void *cfg,
			    struct error *err)
{
	for (unsigned int i = 0; i < set->nr_params; i++) {
		const struct param *p = &set->params[i];

		if (p->required && body_is_default(p, cfg))
			return error_set(err, EINVAL, "give --%s: %s", p->name,
					 p->help);
	}
	return param_check(set, cfg, err);
}

int body_add_words(struct body *b, const struct param_set *set, int argc,
		   char **argv, struct error *err)
{
	void *cfg = calloc(1, set->size);
	int next = 1, r = 0;

	if (!cfg)
		return error_set(err, ENOMEM, "out of memory");
	param_defaults(set, cfg);
	while (!r && next < argc)
		r = body_take_word(set, cfg, argv, &next, err);
	if (!r)
		r = body_check_words(set, cfg, err);
	if (!r)
		r = body_add_set(b, set, cfg, b->json, err);
	param_free(set, cfg);
	free(cfg);
	return r;
}

/* ---- devices ---- */

static int body_write_device(struct body *b, const struct device_class *class,
			     const char *text, json_t *obj, struct error *err)
{
	void *cfg = calloc(1, class->params->size);
	int r;

	if (!cfg)
		return error_set(err, ENOMEM, "out of memory");
	param_defaults(class->params, cfg);
	r = param_parse(class->params, cfg, text, err);
	if (!r)
		r = body_add_set(b, class->params, cfg, obj, err);
	param_free(class->params, cfg);
	free(cfg);
	return r;
}

int body_add_device(struct body *b, const struct device_class *class, int argc,
		    char **argv, struct error *err)
{
	char value[192];

	param_set_text(class->params, value, sizeof(value));
	if (argc != 2)
		return error_set(err, EINVAL, "takes one word: %s", value);
	return body_write_device(b, class, argv[1], b->json, err);
}

/* ---- machines ---- */

static int body_read_file(struct body *b, const char *path, struct error *err)
{
	bool in = strcmp(path, "-") == 0;
	FILE *f = in ? stdin : fopen(path, "re");
	json_error_t jerr;
	json_t *value;

	if (!f)
		return error_set(err, errno, "%s: %s", error_value(path).text,
				 strerror(errno));
	value = json_loadf(f, JSON_REJECT_DUPLICATES, &jerr);
	if (!in)
		fclose(f);
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

static int body_add_section(struct body *b, const char *name,
			    const struct param_set *set, const void *cfg,
			    struct error *err)
{
	json_t *obj = json_object();
	int r = body_add_set(b, set, cfg, obj, err);

	if (!r && json_object_size(obj))
		json_object_set(b->json, name, obj);
	json_decref(obj);
	return r;
}

static int body_add_devices(struct body *b, const struct vm_config *vc,
			    struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < vc->nr_devices; i++) {
		const struct device_class *class = vc->devices[i].class;
		json_t *list = json_object_get(b->json, class->json_list);
		json_t *obj = json_object();

		if (class->params)
			r = body_add_set(b, class->params,
					 vc->devices[i].config, obj, err);
		if (class->json_single) {
			json_object_set_new(b->json, class->json_list, obj);
			continue;
		}
		if (!list) {
			list = json_array();
			json_object_set_new(b->json, class->json_list, list);
		}
		json_array_append_new(list, obj);
	}
	return r;
}

static int body_write_machine(struct body *b, struct vm_config *vc,
			      bool has_serial, struct error *err)
{
	int r;

	if (!has_serial)
		vc->serial.mode = SERIAL_NULL;
	/* --rootfs is ours: to the monitor it is a disk and a command line. */
	if (vc->rootfs.path) {
		char *cmdline = vm_config_cmdline(vc, arch_console);

		free(vc->cmdline);
		vc->cmdline = cmdline;
	}
	r = body_add_set(b, &payload_params, vc, b->json, err);
	if (!r)
		r = body_add_section(b, "cpus", &cpus_params, &vc->cpus, err);
	if (!r)
		r = body_add_section(b, "memory", &memory_params, &vc->memory,
				     err);
	if (!r)
		r = body_add_devices(b, vc, err);
	if (!r)
		r = body_add_section(b, "serial", &serial_params, &vc->serial,
				     err);
	/* Here the monitor's default is another one. */
	if (!r && has_serial && vc->serial.mode == SERIAL_TTY)
		json_object_set_new(b->json, "serial",
				    json_pack("{s:s}", "mode", "Tty"));
	return r;
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
