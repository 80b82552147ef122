/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/verbs.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tools/vmmctl/follow.h"
#include "tools/vmmctl/table.h"
#include "tools/vmmctl/top.h"
#include "vmm/config.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* ---- what the verbs take ---- */

struct verb_resize {
	uint64_t cpus;
	uint64_t memory; /* bytes */
};

static const struct param resize_table[] = {
	{
		.name = "cpus",
		.json = "desired_vcpus",
		.type = PARAM_UINT,
		.offset = offsetof(struct verb_resize, cpus),
		.min = 1,
		.max = 254,
		.help = "how many vCPUs there are to be",
	},
	{
		.name = "memory",
		.json = "desired_ram",
		.type = PARAM_SIZE,
		.offset = offsetof(struct verb_resize, memory),
		.min = 1,
		.help = "how much memory there is to be",
	},
};

static int resize_check(const void *config, struct error *err)
{
	const struct verb_resize *want = config;

	if (!want->cpus && !want->memory)
		return error_set(
			err, EINVAL,
			"give --cpus N, --memory SIZE, or both of them");
	return 0;
}

static const struct param_set resize_params = {
	.params = resize_table,
	.nr_params = ARRAY_SIZE(resize_table),
	.size = sizeof(struct verb_resize),
	.check = resize_check,
};

struct verb_remove {
	char *id;
	bool force;
};

static const struct param remove_table[] = {
	{
		.name = "id",
		.type = PARAM_STRING,
		.offset = offsetof(struct verb_remove, id),
		.required = true,
		.help = "name of the device, as info and counters show it",
	},
	{
		.name = "force",
		.type = PARAM_BOOL,
		.offset = offsetof(struct verb_remove, force),
		.help = "take it away from a guest that does not let go of it",
	},
};

static const struct param_set remove_params = {
	.params = remove_table,
	.nr_params = ARRAY_SIZE(remove_table),
	.size = sizeof(struct verb_remove),
	.shorthand = "id",
};

struct verb_resize_disk {
	char *disk;
	uint64_t size; /* bytes */
};

static const struct param resize_disk_table[] = {
	{
		.name = "disk",
		.json = "id",
		.type = PARAM_STRING,
		.offset = offsetof(struct verb_resize_disk, disk),
		.required = true,
		.help = "name of the disk, as info and counters show it",
	},
	{
		.name = "size",
		.json = "desired_size",
		.type = PARAM_SIZE,
		.offset = offsetof(struct verb_resize_disk, size),
		.min = 1,
		.required = true,
		.help = "its new size",
	},
};

static const struct param_set resize_disk_params = {
	.params = resize_disk_table,
	.nr_params = ARRAY_SIZE(resize_disk_table),
	.size = sizeof(struct verb_resize_disk),
	.shorthand = "disk",
};

/* ---- the table ---- */

#define GET(n, p, show_fn, text)                                    \
	{                                                           \
		.name = n, .path = p, .get = true, .show = show_fn, \
		.help = text                                        \
	}
#define PUT(n, p, text)                            \
	{                                          \
		.name = n, .path = p, .help = text \
	}
#define PUT_SET(n, p, params, text)                                  \
	{                                                            \
		.name = n, .path = p, .set = &(params), .help = text \
	}

/* clang-format off: one line, one verb */
static const struct verb verbs_table[] = {
	GET("ping", "vmm.ping", table_show_tree, "is the monitor there"),
	GET("info", "vm.info", table_show_info,
	    "state of the machine, and its configuration"),
	{ .name = "create",
	  .path = "vm.create",
	  .machine = true,
	  .help = "make a machine; boot starts it",
	  .more = "It takes the options of vmm(1) that describe guest, machine "
		  "and devices, or one word, the name of a FILE with the "
		  "request's JSON (- is standard input). Without --serial "
		  "there is no console: the monitor's terminal is not ours." },
	PUT("boot", "vm.boot", "start the machine"),
	{ .help = "add a device" }, /* of each class */
	PUT_SET("remove-device", "vm.remove-device", remove_params,
		"take a device away; an event says when it is gone"),
	PUT_SET("resize", "vm.resize", resize_params,
		"change the number of vCPUs or the size of memory"),
	PUT_SET("resize-disk", "vm.resize-disk", resize_disk_params,
		"change the size of a disk"),
	PUT("pause", "vm.pause", "stop vCPUs and devices where they are"),
	PUT("resume", "vm.resume", "go on after pause"),
	PUT("power-button", "vm.power-button",
	    "press the power button; the guest decides what follows"),
	PUT("reboot", "vm.reboot", "reset the machine and start it again"),
	PUT("nmi", "vm.nmi", "send the guest an NMI"),
	PUT("shutdown", "vm.shutdown",
	    "stop the machine at once; boot starts it again"),
	PUT("delete", "vm.delete", "stop the machine and forget it"),
	PUT("shutdown-vmm", "vmm.shutdown",
	    "stop the machine and end the monitor"),
	GET("counters", "vm.counters", table_show_counters,
	    "what devices have done"),
	GET("stats", "vm.stats", table_show_counters,
	    "memory, threads, exits, KVM's and devices' figures"),
	GET("metrics", "vmm.metrics", NULL, "stats as text for Prometheus"),
	{ .name = "events",
	  .args = "FILE|-",
	  .run = follow_run,
	  .help = "one line for each event that vmm writes to FILE",
	  .more = "FILE is the file or pipe that was given to vmm's "
		  "--event-monitor, and is followed until the monitor ends. "
		  "It needs no control socket." },
	{ .name = "top",
	  .args = "[--once]",
	  .run = top_run,
	  .help = "rates of devices, memory and CPU time, once a second",
	  .more = "With --once it shows one second and ends." },
};
/* clang-format on */

struct verb_names {
	char name[48];
	char path[48];
};

static bool verbs_of_class(const struct verb *mark,
			   const struct device_class *class,
			   struct verb_names *names, struct verb *out)
{
	if (!class->option || !class->json_list || !class->params)
		return false;
	snprintf(names->name, sizeof(names->name), "add-%s", class->option);
	snprintf(names->path, sizeof(names->path), "vm.add-%s", class->option);
	*out = *mark;
	out->name = names->name;
	out->path = names->path;
	if (class->params->help)
		out->help = class->params->help;
	out->class = class;
	out->show = table_show_added;
	return true;
}

void verbs_visit(void (*visit)(const struct verb *v, void *arg), void *arg)
{
	struct verb_names names;
	struct verb v;

	for (unsigned int i = 0; i < ARRAY_SIZE(verbs_table); i++) {
		if (verbs_table[i].name) {
			visit(&verbs_table[i], arg);
			continue;
		}
		for (unsigned int c = 0; device_classes[c]; c++)
			if (verbs_of_class(&verbs_table[i], device_classes[c],
					   &names, &v))
				visit(&v, arg);
	}
}

bool verbs_find(const char *name, struct verb *out, struct nearest *near)
{
	static struct verb_names names[CONFIG_MAX_DEVICES];

	nearest_init(near, name);
	for (unsigned int i = 0; i < ARRAY_SIZE(verbs_table); i++) {
		*out = verbs_table[i];
		if (out->name && strcmp(out->name, name) == 0)
			return true;
		if (out->name) {
			nearest_offer(near, out->name);
			continue;
		}
		for (unsigned int c = 0;
		     device_classes[c] && c < ARRAY_SIZE(names); c++) {
			if (!verbs_of_class(&verbs_table[i], device_classes[c],
					    &names[c], out))
				continue;
			if (strcmp(out->name, name) == 0)
				return true;
			nearest_offer(near, out->name);
		}
	}
	return false;
}

/* ---- words ---- */

static size_t verbs_put_param(const struct param_set *set,
			      const struct param *p, char *buf, size_t len)
{
	bool main_key = p == param_find(set, set->shorthand);
	char value[64];
	int n;

	param_value_text(p, value, sizeof(value));
	if (main_key) {
		for (n = 0; p->name[n] && (size_t)n + 1 < len; n++)
			buf[n] = (char)toupper((unsigned char)p->name[n]);
		buf[n] = '\0';
	} else if (p->type == PARAM_BOOL) {
		n = snprintf(buf, len, "[--%s]", p->name);
	} else {
		n = snprintf(buf, len, p->required ? "--%s %s" : "[--%s %s]",
			     p->name, value);
	}
	return MIN((size_t)n, len - 1);
}

void verbs_args_text(const struct verb *v, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	if (v->machine)
		snprintf(buf, len, "--kernel PATH [OPTION...] | FILE");
	else if (v->class)
		param_set_text(v->class->params, buf, len);
	else if (v->args)
		snprintf(buf, len, "%s", v->args);
	for (unsigned int i = 0; v->set && i < v->set->nr_params; i++) {
		if (at && at < len - 2)
			buf[at++] = ' ';
		at += verbs_put_param(v->set, &v->set->params[i], buf + at,
				      len - at);
	}
}

int verbs_body(const struct verb *v, struct body *b, bool *nothing, int argc,
	       char **argv, struct error *err)
{
	*nothing = false;
	if (v->machine)
		return body_add_machine(b, argc, argv, err);
	if (v->class)
		return body_add_device(b, v->class, argc, argv, err);
	if (v->set)
		return body_add_words(b, v->set, argc, argv, err);
	*nothing = true;
	if (argc > 1)
		return error_set(err, EINVAL, "'%s': takes no words",
				 error_value(argv[1]).text);
	return 0;
}
