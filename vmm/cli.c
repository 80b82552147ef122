/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/cli.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/confine.h"
#include "vmm/nearest.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/*
 * The command line. One const table lists the options; those of devices come
 * from the device classes, at the place that the table marks for them. What an
 * option's value means is said by parameter tables (vmm/param.h).
 */

struct cli_entry {
	struct cli_option opt;
	/* Take the value into rc; NULL: as for all options of its kind. */
	int (*apply)(struct run_config *rc, const struct cli_entry *e,
		     const char *value, struct error *err);
	const struct param_set *home; /* has opt.param, under opt.name */
	/* In run_config: of the struct of home or opt.set; or of the bool of a
	 * flag that sets one. */
	size_t offset;
	bool sets;
	int mode; /* enum run_mode, of a flag that sets it */
	const struct device_class *class;
};

/* ---- what options do ---- */

static void *cli_target(struct run_config *rc, const struct cli_entry *e)
{
	return (char *)rc + e->offset;
}

static int cli_apply_param(struct run_config *rc, const struct cli_entry *e,
			   const char *value, struct error *err)
{
	int r = param_assign(e->opt.param, cli_target(rc, e), value, err);

	if (r)
		error_prefix(err, r, "--%s %s", e->opt.name,
			     error_value(value).text);
	return r;
}

/* "--serial file=P" says the mode too. Nothing stays of an earlier --serial:
 * its file would not go with a new mode. */
static int cli_apply_serial(struct run_config *rc, const struct cli_entry *e,
			    const char *value, struct error *err)
{
	struct serial_config *serial = cli_target(rc, e);
	int r;

	param_free(e->opt.set, serial);
	r = param_parse(e->opt.set, serial, value, err);
	if (!r && serial->file)
		serial->mode = SERIAL_FILE;
	return r;
}

static int cli_apply_jail(struct run_config *rc, const struct cli_entry *e,
			  const char *value, struct error *err)
{
	rc->jail.on = true;
	return *value ? param_parse(e->opt.set, &rc->jail, value, err) : 0;
}

static int cli_apply_allow(struct run_config *rc, const struct cli_entry *e,
			   const char *value, struct error *err)
{
	int r = cli_apply_param(rc, e, value, err);

	if (r)
		return r;
	if (rc->nr_allow == OPENER_ALLOW_MAX)
		return error_set(
			err, E2BIG,
			"--allow: at most %u directories; give one above them",
			OPENER_ALLOW_MAX);
	rc->allow[rc->nr_allow++] = rc->allow_next;
	rc->allow_next = NULL;
	return 0;
}

static int cli_apply_rule(struct run_config *rc, const struct cli_entry *e,
			  const char *value, struct error *err)
{
	struct rule_config *rule = vm_config_add_rule(&rc->vm, err);

	return rule ? param_parse(e->opt.set, rule, value, err) : -E2BIG;
}

static int cli_apply_device(struct run_config *rc, const struct cli_entry *e,
			    const char *value, struct error *err)
{
	struct device_config *dc = vm_config_add_device(&rc->vm, e->class, err);

	if (!dc)
		return -ENOMEM;
	return param_parse(e->class->params, dc->config, value, err);
}

/* value: NULL of flags, which have none. */
static int cli_apply(struct run_config *rc, const struct cli_entry *e,
		     const char *value, struct error *err)
{
	if (e->apply)
		return e->apply(rc, e, value, err);
	if (e->class)
		return cli_apply_device(rc, e, value, err);
	if (e->opt.param)
		return cli_apply_param(rc, e, value, err);
	if (e->opt.set)
		return param_parse(e->opt.set, cli_target(rc, e), value, err);
	if (e->sets)
		*(bool *)cli_target(rc, e) = true;
	else if (e->mode)
		rc->mode = e->mode;
	else
		rc->verbosity++;
	return 0;
}

/* ---- the table ---- */

static const struct param endpoint_table[] = {
	PARAM("path", PATH, struct endpoint_config, path,
	      "its name in the file system"),
	PARAM("fd", FD, struct endpoint_config, fd,
	      "an open file descriptor instead of path"),
};

static int endpoint_check(const void *config, struct error *err)
{
	const struct endpoint_config *ec = config;

	if (!ec->path == (ec->fd < 0))
		return error_set(err, EINVAL, "give either path=FILE or fd=N");
	return 0;
}

#define ENDPOINT_SET(name, text)                                             \
	{                                                                    \
		.option = name, .help = text, .params = endpoint_table,      \
		.nr_params = ARRAY_SIZE(endpoint_table),                     \
		.size = sizeof(struct endpoint_config), .shorthand = "path", \
		.check = endpoint_check,                                     \
	}

static const struct param_set api_params =
	ENDPOINT_SET("api-socket", "control socket; without --kernel, wait "
				   "there for a machine to be made");
static const struct param_set event_params =
	ENDPOINT_SET("event-monitor", "write what happens there, as JSON");

/* As enum confine_mode has them. */
static const struct param_choice seccomp_choices[] = {
	{ "false", NULL }, { "true", NULL }, { "log", NULL },
	{ "errno", NULL }, { NULL, NULL },
};

static const struct param process_table[] = {
	PARAM("log-file", PATH, struct run_config, log_file,
	      "write the log there instead of to stderr"),
	PARAM("seccomp", ENUM, struct run_config, seccomp,
	      "filter system calls, for each thread by what it does",
	      .def = CONFINE_END, .choices = seccomp_choices),
	PARAM("allow", PATH, struct run_config, allow_next,
	      "open nothing but what is beneath this directory"),
};

static const struct param_set process_params = {
	.option = "log-file",
	PARAM_TABLE(process_table, struct run_config),
};

#define VM_PARAM(option, heading)                                          \
	.opt.name = option, .opt.group = heading, .home = &payload_params, \
	.offset = offsetof(struct run_config, vm)
#define PROCESS_PARAM(option) \
	.opt.name = option, .opt.group = "Process", .home = &process_params
#define SET(option, heading, params, field)                             \
	.opt.name = option, .opt.group = heading, .opt.set = &(params), \
	.offset = offsetof(struct run_config, field)
#define FLAG(option, short, its_mode, text)                              \
	.opt.name = option, .opt.letter = short, .opt.group = "Process", \
	.opt.help = text, .mode = its_mode

static const struct cli_entry cli_table[] = {
	{ VM_PARAM("kernel", "Guest") },
	{ VM_PARAM("initramfs", "Guest") },
	{ VM_PARAM("cmdline", "Guest"),
	  .opt.more = "Without this option it is console=ttyS0 "
		      "(console=ttyAMA0 on aarch64), or empty when --serial is "
		      "off or null. An empty TEXT is an empty command line. "
		      "What --rootfs adds comes in front." },
	{ SET("rootfs", "Guest", rootfs_params, vm.rootfs),
	  .opt.more =
		  "A file becomes the guest's first disk, and root= with "
		  "its name is put in front of the kernel command line, "
		  "followed by rw, or by ro when it is read-only. The "
		  "kernel, or its initramfs, must have drivers for virtio "
		  "disks and for the file system. A directory is shared as "
		  "--fs does it, with the tag rootfs, and the words are "
		  "root=rootfs rootfstype=virtiofs; a kernel that has "
		  "virtio-fs built in needs no initramfs, but a console and "
		  "whatever else its first program opens in /dev there." },
	{ SET("cpus", "Machine", cpus_params, vm.cpus) },
	{ SET("memory", "Machine", memory_params, vm.memory) },
	{ SET("serial", "Machine", serial_params, vm.serial),
	  .apply = cli_apply_serial },
	{ VM_PARAM("on-reset", "Machine") },
	{ VM_PARAM("hotplug-ports", "Machine"),
	  .opt.more =
		  "A guest sets up each of them when it starts: the fewer "
		  "there are, the sooner it is up. Each takes 4 KiB of this "
		  "process. On x86_64 devices come to slots of the bus, which "
		  "cost nothing, and this means nothing." },
	{ .opt.name = "landlock",
	  .opt.group = "Machine",
	  .opt.help = "open nothing but what this machine names (Landlock)",
	  .sets = true,
	  .offset = offsetof(struct run_config, vm.landlock),
	  .opt.more = "What its devices and --landlock-rules name can be "
		      "opened from then on, and nothing else. That is for "
		      "good, and for machines that clients make later as well. "
		      "Names of TAPs are not bounded, nor is what comes as an "
		      "open descriptor." },
	{ SET("landlock-rules", "Machine", rule_params, vm),
	  .opt.repeats = true, .apply = cli_apply_rule },
	{ .opt.group = "Devices" },
	{ SET("api-socket", "Process", api_params, api_socket) },
	{ SET("event-monitor", "Process", event_params, event_monitor) },
	{ PROCESS_PARAM("log-file") },
	{ PROCESS_PARAM("seccomp"),
	  .opt.more =
		  "A call that is not in the thread's list ends the process with "
		  "SIGSYS and a message. With log it is made, and the host's "
		  "audit log says so; with errno it fails with EPERM; with false "
		  "there are no filters." },
	{ SET("jail", "Process", jail_params, jail), .opt.bare = true,
	  .apply = cli_apply_jail },
	{ PROCESS_PARAM("allow"), .opt.repeats = true, .apply = cli_apply_allow,
	  .opt.more =
		  "It is for what is opened by its path after the start: disk "
		  "images, shared directories, sockets, network namespaces. "
		  "The path has to begin with DIR as it is written here, and "
		  "no symbolic link on the way may lead out, nor be absolute. "
		  "What comes as an open descriptor is not asked about, nor is "
		  "the name of a TAP, which is no path: it has to belong to the "
		  "user." },
	{ FLAG("no-opener", '\0', RUN_VM,
	       "open nothing by its name but what this command line names"),
	  .sets = true, .offset = offsetof(struct run_config, no_opener),
	  .opt.more =
		  "After that the process has nobody who could: a path of a "
		  "client is an error, as are a TAP's name and vhost=on, and "
		  "files, sockets and TAPs come as descriptors. Connections "
		  "that the guest starts by vsock are refused." },
	{ FLAG("verbose", 'v', RUN_VM,
	       "log more: -v information, -vv debugging, -vvv every access of "
	       "the guest to a device") },
	{ FLAG("check-host", '\0', RUN_CHECK_HOST,
	       "show what this host's KVM offers, and exit") },
	{ FLAG("version", 'V', RUN_VERSION, "show the version, and exit") },
	{ FLAG("help", 'h', RUN_HELP, "show this text, and exit") },
};

/* Entry i of all, in the order of --help, with all parts filled in. False: there
 * are fewer. */
static bool cli_entry(unsigned int i, struct cli_entry *e)
{
	for (unsigned int row = 0; row < ARRAY_SIZE(cli_table); row++) {
		*e = cli_table[row];
		if (e->opt.name && i-- == 0) {
			if (e->home)
				e->opt.param = param_find(e->home, e->opt.name);
			if (e->opt.param)
				e->opt.help = e->opt.param->help;
			else if (e->opt.set)
				e->opt.help = e->opt.set->help;
			return true;
		}
		for (unsigned int c = 0; !e->opt.name && device_classes[c];
		     c++) {
			e->class = device_classes[c];
			if (i-- > 0)
				continue;
			e->opt.name = e->class->option;
			e->opt.set = e->class->params;
			e->opt.help = e->class->params->help;
			e->opt.repeats = !e->class->single;
			return true;
		}
	}
	return false;
}

/* Find the option that a word "--name" or "--name=value" means. */
static bool cli_find_name(const char *word, struct cli_entry *e)
{
	const char *name = word + 2;

	if (strncmp(word, "--", 2) != 0)
		return false;
	for (unsigned int i = 0; cli_entry(i, e); i++)
		if (strlen(e->opt.name) == strcspn(name, "=") &&
		    strncmp(e->opt.name, name, strlen(e->opt.name)) == 0)
			return true;
	return false;
}

static bool cli_find_letter(char letter, struct cli_entry *e)
{
	for (unsigned int i = 0; cli_entry(i, e); i++)
		if (e->opt.letter == letter)
			return true;
	return false;
}

/* ---- words ---- */

struct cli_words {
	int argc;
	char **argv;
	int next;
};

static int cli_unknown(const char *word, struct error *err)
{
	struct cli_entry e;
	struct nearest near;
	char name[40];

	snprintf(name, sizeof(name), "%s", word + strspn(word, "-"));
	name[strcspn(name, "=")] = '\0';
	nearest_init(&near, name);
	for (unsigned int i = 0; cli_entry(i, &e); i++)
		nearest_offer(&near, e.opt.name);
	if (near.best)
		return error_set(err, EINVAL,
				 "%s: unknown option; did you mean --%s?",
				 error_value(word).text, near.best);
	return error_set(err, EINVAL, "%s: unknown option; --help lists all",
			 error_value(word).text);
}

/* The value of an option: behind '=', or the next word unless that is an
 * option of ours; "" of one that may stand alone. NULL with a message when there
 * is none. */
static const char *cli_value(struct cli_words *words, const struct cli_entry *e,
			     const char *word, struct error *err)
{
	const char *equals = strchr(word, '=');
	struct cli_entry other;
	char look[192];

	if (equals)
		return equals + 1;
	if (words->next < words->argc &&
	    !cli_find_name(words->argv[words->next], &other) &&
	    !(e->opt.bare && words->argv[words->next][0] == '-'))
		return words->argv[words->next++];
	if (e->opt.bare)
		return "";
	cli_value_text(&e->opt, look, sizeof(look));
	error_set(err, EINVAL, "--%s: has no value; write --%s %s", e->opt.name,
		  e->opt.name, look);
	return NULL;
}

static int cli_long(struct run_config *rc, struct cli_words *words,
		    const char *word, struct error *err)
{
	struct cli_entry e;
	const char *value;
	int r;

	if (!cli_find_name(word, &e))
		return cli_unknown(word, err);
	if (!e.opt.param && !e.opt.set) {
		if (strchr(word, '='))
			return error_set(err, EINVAL,
					 "%s: takes no value; write --%s",
					 error_value(word).text, e.opt.name);
		return cli_apply(rc, &e, NULL, err);
	}
	value = cli_value(words, &e, word, err);
	if (!value)
		return -EINVAL;
	r = cli_apply(rc, &e, value, err);
	while (!r && e.opt.repeats && words->next < words->argc &&
	       words->argv[words->next][0] != '-')
		r = cli_apply(rc, &e, words->argv[words->next++], err);
	return r;
}

/* "-vv": all letters are flags. */
static int cli_letters(struct run_config *rc, const char *word,
		       struct error *err)
{
	struct cli_entry e;
	int r = 0;

	for (const char *s = word + 1; !r && *s; s++) {
		if (!cli_find_letter(*s, &e))
			return cli_unknown(word, err);
		r = cli_apply(rc, &e, NULL, err);
	}
	return r;
}

static int cli_word(struct run_config *rc, struct cli_words *words,
		    struct error *err)
{
	const char *word = words->argv[words->next++];

	if (word[0] == '-' && word[1] == '-')
		return cli_long(rc, words, word, err);
	if (word[0] == '-' && word[1])
		return cli_letters(rc, word, err);
	return error_set(err, EINVAL,
			 "'%s': is not an option; options start with --, and "
			 "--help lists all",
			 error_value(word).text);
}

/* The machine comes by the control socket; nothing was said of one here. */
static bool cli_waits(const struct run_config *rc)
{
	return endpoint_is_set(&rc->api_socket) && !rc->vm.kernel &&
	       !rc->vm.initramfs && !rc->vm.cmdline && !rc->vm.rootfs.path &&
	       !rc->vm.nr_devices;
}

int cli_parse(struct run_config *rc, int argc, char **argv, struct error *err)
{
	struct cli_words words = { .argc = argc, .argv = argv, .next = 1 };
	int r;

	memset(rc, 0, sizeof(*rc));
	vm_config_init(&rc->vm);
	param_defaults(&process_params, rc);
	param_defaults(&api_params, &rc->api_socket);
	param_defaults(&event_params, &rc->event_monitor);
	param_defaults(&jail_params, &rc->jail);
	if (argc < 2)
		rc->mode = RUN_HELP;
	while (words.next < argc) {
		r = cli_word(rc, &words, err);
		if (r)
			return r;
		if (rc->mode == RUN_HELP || rc->mode == RUN_VERSION)
			return 0;
	}
	if (rc->mode != RUN_VM || cli_waits(rc))
		return 0;
	r = vm_config_check(&rc->vm, err);
	return r ? r : vm_config_add_rootfs(&rc->vm, err);
}

void run_config_free(struct run_config *rc)
{
	vm_config_free(&rc->vm);
	param_free(&api_params, &rc->api_socket);
	param_free(&event_params, &rc->event_monitor);
	param_free(&jail_params, &rc->jail);
	for (unsigned int i = 0; i < rc->nr_allow; i++)
		free(rc->allow[i]);
	param_free(&process_params, rc);
}

/* ---- description ---- */

void cli_value_text(const struct cli_option *opt, char *buf, size_t len)
{
	char text[192];

	buf[0] = '\0';
	if (opt->param)
		param_value_text(opt->param, buf, len);
	else if (opt->set)
		param_set_text(opt->set, buf, len);
	if (opt->bare) {
		snprintf(text, sizeof(text), "%s", buf);
		snprintf(buf, len, "[%s]", text);
	}
}

void cli_options_visit(void (*visit)(const struct cli_option *opt, void *arg),
		       void *arg)
{
	struct cli_entry e;

	for (unsigned int i = 0; cli_entry(i, &e); i++)
		visit(&e.opt, arg);
}

struct cli_printer {
	FILE *out;
	const char *group; /* of the option before */
};

static void cli_help_option(const struct cli_option *opt, void *arg)
{
	struct cli_printer *printer = arg;
	char left[256], value[192], help[512], def[64] = "";

	if (!printer->group || strcmp(printer->group, opt->group) != 0)
		fprintf(printer->out, "\n%s:\n", opt->group);
	printer->group = opt->group;
	cli_value_text(opt, value, sizeof(value));
	snprintf(left, sizeof(left), "%s%s%s--%s%s%s", opt->letter ? "-" : "",
		 opt->letter ? (char[]){ opt->letter, '\0' } : "",
		 opt->letter ? ", " : "", opt->name, *value ? " " : "", value);
	if (opt->param)
		param_default_text(opt->param, def, sizeof(def));
	snprintf(help, sizeof(help), "%s%s%s%s%s", opt->help ? opt->help : "",
		 opt->repeats ? "; may be repeated" : "",
		 *def ? " (default " : "", def, *def ? ")" : "");
	param_help_entry(printer->out, 2, left, help);
	if (opt->set)
		param_help(opt->set, printer->out);
}

void cli_help(FILE *out)
{
	struct cli_printer printer = { .out = out };

	fputs("Usage: vmm --kernel PATH [OPTION]...\n"
	      "       vmm --api-socket PATH [OPTION]...\n"
	      "       vmm --check-host\n"
	      "Run a Linux guest in a virtual machine on KVM.\n",
	      out);
	cli_options_visit(cli_help_option, &printer);
	fputs("\n"
	      "on and off may be true and false. SIZE is bytes, or has K, M "
	      "or G behind it.\n"
	      "A value with a comma goes in double quotes. --opt=VALUE is "
	      "--opt VALUE.\n"
	      "\n"
	      "Example: vmm --kernel vmlinuz --rootfs root.img --cpus 2 "
	      "--memory 1G\n",
	      out);
}
