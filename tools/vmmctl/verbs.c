/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/verbs.h"

#include <stdio.h>
#include <string.h>

#include "tools/vmmctl/follow.h"
#include "tools/vmmctl/table.h"
#include "tools/vmmctl/top.h"
#include "vmm/config.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* ---- what the verbs take ---- */

static const struct param resize_table[] = {
	{ .name = "cpus",
	  .json = "desired_vcpus",
	  .type = PARAM_UINT,
	  .min = 1,
	  .max = 254,
	  .help = "how many vCPUs there are to be" },
	{ .name = "memory",
	  .json = "desired_ram",
	  .type = PARAM_SIZE,
	  .min = 1,
	  .help = "how much memory there is to be" },
};
static const struct param_set resize_params = {
	.params = resize_table,
	.nr_params = ARRAY_SIZE(resize_table),
};

static const struct param remove_table[] = {
	{ .name = "id",
	  .type = PARAM_STRING,
	  .required = true,
	  .help = "name of the device, as info and counters show it" },
	{ .name = "force",
	  .type = PARAM_BOOL,
	  .help = "take it away from a guest that does not let go of it" },
};
static const struct param_set remove_params = {
	.params = remove_table,
	.nr_params = ARRAY_SIZE(remove_table),
	.shorthand = "id",
};

static const struct param resize_disk_table[] = {
	{ .name = "disk",
	  .json = "id",
	  .type = PARAM_STRING,
	  .required = true,
	  .help = "name of the disk, as info and counters show it" },
	{ .name = "size",
	  .json = "desired_size",
	  .type = PARAM_SIZE,
	  .min = 1,
	  .required = true,
	  .help = "its new size" },
};
static const struct param_set resize_disk_params = {
	.params = resize_disk_table,
	.nr_params = ARRAY_SIZE(resize_disk_table),
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
#define PUT_SET(n, p, params, words, text)                             \
	{                                                              \
		.name = n, .path = p, .set = &(params), .args = words, \
		.help = text                                           \
	}

/* clang-format off: one line, one verb */
static const struct verb verbs_table[] = {
	GET("ping", "vmm.ping", table_show_tree, "is the monitor there"),
	GET("info", "vm.info", table_show_info,
	    "state of the machine, and its configuration"),
	{ .name = "create",
	  .path = "vm.create",
	  .machine = true,
	  .args = "--kernel PATH [OPTION...] | FILE",
	  .help = "make a machine; boot starts it",
	  .more = "It takes the options of vmm(1) that describe guest, machine "
		  "and devices, or one word, the name of a FILE with the "
		  "request's JSON (- is standard input). Without --serial "
		  "there is no console: the monitor's terminal is not ours." },
	PUT("boot", "vm.boot", "start the machine"),
	{ .help = "add a device" }, /* of each class */
	PUT_SET("remove-device", "vm.remove-device", remove_params,
		"ID [--force]",
		"take a device away; an event says when it is gone"),
	PUT_SET("resize", "vm.resize", resize_params,
		"[--cpus N] [--memory SIZE]",
		"change the number of vCPUs or the size of memory"),
	PUT_SET("resize-disk", "vm.resize-disk", resize_disk_params,
		"DISK --size SIZE", "change the size of a disk"),
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

/* The verb "add-disk", asked for as "vm.add-disk"; path gets both. */
static void verbs_of_class(struct verb *v, const struct device_class *class,
			   char path[48])
{
	snprintf(path, 48, "vm.add-%s", class->option);
	v->name = path + strlen("vm.");
	v->path = path;
	if (class->params->help)
		v->help = class->params->help;
	v->class = class;
	v->show = table_show_added;
}

const struct verb *verbs_all(void)
{
	static struct verb all[ARRAY_SIZE(verbs_table) + CONFIG_MAX_DEVICES];
	static char paths[CONFIG_MAX_DEVICES][48];
	struct verb *v = all;

	if (v->name)
		return all;
	for (unsigned int i = 0; i < ARRAY_SIZE(verbs_table); i++) {
		*v = verbs_table[i];
		if (v->name) {
			v++;
			continue;
		}
		for (unsigned int c = 0;
		     c < ARRAY_SIZE(paths) && device_classes[c]; c++) {
			const struct device_class *class = device_classes[c];

			if (!class->option || !class->json_list ||
			    !class->params)
				continue;
			*v = verbs_table[i];
			verbs_of_class(v++, class, paths[c]);
		}
	}
	return all;
}

const struct verb *verbs_find(const char *name, struct nearest *near)
{
	nearest_init(near, name);
	for (const struct verb *v = verbs_all(); v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
		nearest_offer(near, v->name);
	}
	return NULL;
}

/* ---- words ---- */

void verbs_args_text(const struct verb *v, char *buf, size_t len)
{
	if (v->class)
		param_set_text(v->class->params, buf, len);
	else
		snprintf(buf, len, "%s", v->args ? v->args : "");
}

int verbs_body(const struct verb *v, struct body *b, int argc, char **argv,
	       struct error *err)
{
	if (v->machine)
		return body_add_machine(b, argc, argv, err);
	if (v->class)
		return body_add_device(b, v->class, argc, argv, err);
	if (v->set)
		return body_add_words(b, v->set, argc, argv, err);
	if (argc > 1)
		return error_set(err, EINVAL, "'%s': takes no words",
				 error_value(argv[1]).text);
	return 0;
}
