/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/verbs.h"

#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "devices/virtio/limit.h"
#include "tools/vmmctl/follow.h"
#include "tools/vmmctl/table.h"
#include "tools/vmmctl/top.h"
#include "vmm/config.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* ---- what the verbs take ---- */

static const struct param resize_table[] = {
	PARAM("cpus", UINT, union body_word, number,
	      "how many vCPUs there are to be", .json = "desired_vcpus",
	      .min = 1, .port_max = &arch_max_vcpus),
	PARAM("memory", SIZE, union body_word, number,
	      "how much memory there is to be", .json = "desired_ram",
	      .min = 1),
};
static const struct param_set resize_params = {
	PARAM_TABLE(resize_table, union body_word),
};

static const struct param remove_table[] = {
	PARAM("id", STRING, union body_word, text,
	      "name of the device, as info and counters show it",
	      .required = true),
	PARAM("force", BOOL, union body_word, on,
	      "take it away from a guest that does not let go of it"),
};
static const struct param_set remove_params = {
	PARAM_TABLE(remove_table, union body_word),
	.shorthand = "id",
};

static const struct param resize_disk_table[] = {
	PARAM("disk", STRING, union body_word, text,
	      "name of the disk, as info and counters show it", .json = "id",
	      .required = true),
	PARAM("size", SIZE, union body_word, number, "its new size",
	      .json = "desired_size", .min = 1, .required = true),
};
static const struct param_set resize_disk_params = {
	PARAM_TABLE(resize_disk_table, union body_word),
	.shorthand = "disk",
};

struct verbs_limits {
	struct limits_config limits;
};

static const struct param limit_table[] = {
	LIMITS_PARAMS(struct verbs_limits, limits),
};
static const struct param_set limit_params = {
	PARAM_TABLE(limit_table, struct verbs_limits),
};

/* ---- the table ---- */

#define ASK(n, p, text, ...)                                    \
	{                                                       \
		.name = n, .path = p, .help = text, __VA_ARGS__ \
	}
#define GET(n, p, text, ...) ASK(n, p, text, .get = true, .show = __VA_ARGS__)

/* clang-format off: one line, one verb */
static const struct verb verbs_table[] = {
	GET("ping", "vmm.ping", "is the monitor there", table_show_tree),
	GET("info", "vm.info", "state of the machine, and its configuration",
	    table_show_info),
	{ .name = "create",
	  .path = "vm.create",
	  .machine = true,
	  .args = "--kernel PATH [OPTION...] | FILE",
	  .help = "make a machine; boot starts it",
	  .more = "It takes the options of vmm(1) that describe guest, machine "
		  "and devices, or one word, the name of a FILE with the "
		  "request's JSON (- is standard input). Without --serial "
		  "there is no console: the monitor's terminal is not ours." },
	ASK("boot", "vm.boot", "start the machine"),
	/* Of each class of devices, which says the rest: */
	{ .path = "vm.add-", .show = table_show_added },
	ASK(NULL, "vm.set-", "change a device", .id = true,
	    .args = "ID --KEY VALUE..."),
	ASK("set-rate-limit", "vm.set-rate-limit",
	    "limit what a device moves, from now on", .id = true,
	    .set = &limit_params, .args = "ID --KEY VALUE...",
	    .more = "What one word of bw or ops says is the whole limit, "
		    "which words that are left out add nothing to; a size of "
		    "0 is none. A disk has one limit; networks and vsock have "
		    "one for what the guest receives, rx, and one for what it "
		    "sends, tx."),
	ASK("remove-device", "vm.remove-device",
	    "take a device away; an event says when it is gone",
	    .set = &remove_params, .args = "ID [--force]"),
	ASK("resize", "vm.resize",
	    "change the number of vCPUs or the size of memory",
	    .set = &resize_params, .args = "[--cpus N] [--memory SIZE]"),
	ASK("resize-disk", "vm.resize-disk", "change the size of a disk",
	    .set = &resize_disk_params, .args = "DISK --size SIZE"),
	ASK("pause", "vm.pause", "stop vCPUs and devices where they are"),
	ASK("resume", "vm.resume", "go on after pause"),
	ASK("power-button", "vm.power-button",
	    "press the power button; the guest decides what follows"),
	ASK("reboot", "vm.reboot", "reset the machine and start it again"),
	ASK("nmi", "vm.nmi", "send the guest an NMI"),
	ASK("shutdown", "vm.shutdown",
	    "stop the machine at once; boot starts it again"),
	ASK("delete", "vm.delete", "stop the machine and forget it"),
	ASK("shutdown-vmm", "vmm.shutdown",
	    "stop the machine and end the monitor"),
	GET("counters", "vm.counters", "what devices have done",
	    table_show_counters),
	GET("stats", "vm.stats",
	    "memory, threads, exits, KVM's and devices' figures",
	    table_show_counters),
	GET("metrics", "vmm.metrics", "stats as text for Prometheus", NULL),
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

/* Something may be changed beside rate limits, which are groups. */
static bool verbs_has_changes(const struct param_set *set)
{
	for (unsigned int i = 0; set && i < set->nr_params; i++)
		if (!set->params[i].json || !strchr(set->params[i].json, '.'))
			return true;
	return false;
}

/* Make *v the verb "add-disk" or "set-net", as line has it for all classes; path
 * gets "vm.add-disk". */
static void verbs_of_class(struct verb *v, const struct verb *line,
			   const struct device_class *class, char path[48])
{
	snprintf(path, 48, "%s%s", line->path, class->option);
	*v = *line;
	v->path = path;
	v->name = path + strlen("vm.");
	if (v->id) {
		v->set = class->set_params;
	} else {
		v->class = class;
		v->help = class->params->help;
	}
}

const struct verb *verbs_all(void)
{
	static struct verb all[ARRAY_SIZE(verbs_table) + CONFIG_MAX_DEVICES];
	static char paths[ARRAY_SIZE(all)][48];
	unsigned int nr = 0;

	if (all[0].name)
		return all;
	for (unsigned int i = 0; i < ARRAY_SIZE(verbs_table); i++) {
		const struct verb *line = &verbs_table[i];

		if (line->name)
			all[nr++] = *line;
		for (unsigned int c = 0; !line->name && device_classes[c]; c++)
			if (!line->id ||
			    verbs_has_changes(device_classes[c]->set_params)) {
				verbs_of_class(&all[nr], line,
					       device_classes[c], paths[nr]);
				nr++;
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
	if (v->id && (argc < 2 || argv[1][0] == '-'))
		return error_set(err, EINVAL,
				 "which device? Its name comes first");
	if (v->id) {
		json_object_set_new(b->json, "id", json_string(argv[1]));
		argc--;
		argv++;
	}
	if (v->set)
		return body_add_words(b, v->set, argc, argv, err);
	if (argc > 1)
		return error_set(err, EINVAL, "'%s': takes no words",
				 error_value(argv[1]).text);
	return 0;
}
