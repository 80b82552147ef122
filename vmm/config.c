/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/config.h"

#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/core_sched.h"
#include "vmm/few.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

#define SMALL_PAGE (4 * KIB)

/* ---- tables ---- */

static const struct param_choice reset_choices[] = {
	[RESET_REBOOT] = { "reboot", NULL },
	[RESET_EXIT] = { "exit", NULL },
	{ NULL, NULL },
};

static const struct param payload_table[] = {
	PARAM("kernel", PATH, struct vm_config, kernel,
	      "Linux kernel: bzImage or ELF vmlinux (x86_64), Image (aarch64)",
	      .json = "payload.kernel"),
	PARAM("initramfs", PATH, struct vm_config, initramfs,
	      "initial RAM file system, as the kernel takes it",
	      .json = "payload.initramfs"),
	PARAM("kernel_fd", FD, struct vm_config, kernel_fd,
	      "an open file descriptor instead of kernel",
	      .json = "payload.kernel_fd"),
	PARAM("initramfs_fd", FD, struct vm_config, initramfs_fd,
	      "an open file descriptor instead of initramfs",
	      .json = "payload.initramfs_fd"),
	PARAM("cmdline", STRING, struct vm_config, cmdline,
	      "kernel command line, in place of the default, which is the serial console alone",
	      .json = "payload.cmdline",
	      .max = 65535 /* more than any kernel takes */),
	PARAM("on-reset", ENUM, struct vm_config, on_reset,
	      "when the guest resets: start it again in place, or exit",
	      .json = "on_reset", .def = RESET_REBOOT,
	      .choices = reset_choices),
	PARAM("hotplug-ports", UINT, struct vm_config, hotplug_ports,
	      "root ports, on aarch64: one for each device that comes while the guest runs (default: 31 with a control socket, else none)",
	      .json = "hotplug_ports", .def = CONFIG_MAX_PORTS + 1,
	      .max = CONFIG_MAX_PORTS),
	PARAM("landlock", BOOL, struct vm_config, landlock,
	      "open nothing but what this machine names (Landlock)",
	      .json = "landlock_enable"),
};

static int payload_check(const void *config, struct error *err)
{
	const struct vm_config *vc = config;

	bool kernel = vc->kernel && vc->kernel_fd >= 0;

	if (kernel || (vc->initramfs && vc->initramfs_fd >= 0))
		return error_set(
			err, EINVAL,
			"payload.%s_fd: a path is given, too; leave one of them out",
			kernel ? "kernel" : "initramfs");
	return 0;
}

const struct param_set payload_params = {
	.option = "kernel",
	PARAM_TABLE(payload_table, struct vm_config),
	.check = payload_check,
};

static const struct param rootfs_table[] = {
	PARAM("path", PATH, struct rootfs_config, path,
	      "disk image or block device with the file system, or a directory",
	      .required = true),
	PARAM("readonly", BOOL, struct rootfs_config, readonly,
	      "mount it read-only; always so when it is not writable"),
};

const struct param_set rootfs_params = {
	.option = "rootfs",
	.help = "root file system: becomes the first disk, or is shared; and root= on the kernel command line",
	PARAM_TABLE(rootfs_table, struct rootfs_config),
	.shorthand = "path",
};

static const struct param_choice core_sched_choices[] = {
	[CORE_SCHED_VM] = { "vm", "Vm" },
	[CORE_SCHED_VCPU] = { "vcpu", "Vcpu" },
	[CORE_SCHED_OFF] = { "off", "Off" },
	[CORE_SCHED_AUTO] = { "auto", "Auto" },
	{ 0 },
};

static const struct param cpus_table[] = {
	PARAM("boot", UINT, struct cpus_config, boot, "virtual CPUs at start",
	      .json = "boot_vcpus", .def = 1, .min = 1,
	      .port_max = &arch_max_vcpus),
	PARAM("max", UINT, struct cpus_config, max,
	      "virtual CPUs it can grow to (default: boot)",
	      .json = "max_vcpus", .min = 1, .port_max = &arch_max_vcpus),
	PARAM("nested", BOOL, struct cpus_config, nested,
	      "the guest may run virtual machines of its own"),
	PARAM("core_scheduling", ENUM, struct cpus_config, core_sched,
	      "who may run on the other hardware thread of a vCPU's core: vCPUs "
	      "of this machine alone (vm; auto: where the host can), nobody "
	      "(vcpu), or anybody (off)",
	      .choices = core_sched_choices, .def = CORE_SCHED_AUTO),
};

static int cpus_check(const void *config, struct error *err)
{
	const struct cpus_config *cpus = config;

	if (cpus->max && cpus->max < cpus->boot)
		return error_set(
			err, EINVAL,
			"max=%llu: is less than boot=%llu; raise max, or leave it out",
			llu(cpus->max), llu(cpus->boot));
	return 0;
}

const struct param_set cpus_params = {
	.option = "cpus",
	.help = "virtual CPUs",
	PARAM_TABLE(cpus_table, struct cpus_config),
	.shorthand = "boot",
	.check = cpus_check,
};

static const struct param memory_table[] = {
	PARAM("size", SIZE, struct gmem_config, size,
	      "amount, a multiple of 4K (of 2M with huge pages)",
	      .unit = "bytes", .def = 512 * MIB, .min = 16 * MIB,
	      .max = 64 * KIB * GIB /* 46 bits of address */),
	PARAM("hotplug_size", SIZE, struct gmem_config, hotplug_size,
	      "amount it can grow by, in steps of 128M", .unit = "bytes",
	      .max = 64 * KIB * GIB),
	PARAM("shared", BOOL, struct gmem_config, shared,
	      "in a memfd that other processes can map"),
	PARAM("hugepages", BOOL, struct gmem_config, hugepages,
	      "from the host's pool of 2M pages"),
	PARAM("prefault", BOOL, struct gmem_config, prefault,
	      "take all of it before the guest starts"),
	PARAM("thp", BOOL, struct gmem_config, thp,
	      "ask for transparent huge pages", .def = true),
	PARAM("mergeable", BOOL, struct gmem_config, mergeable,
	      "let the host merge equal pages (KSM)"),
};

static int memory_check(const void *config, struct error *err)
{
	const struct gmem_config *mem = config;
	uint64_t page = mem->hugepages ? HUGE_PAGE : SMALL_PAGE;
	char size[32] = "", next[32] = "";

	if (mem->size % page) {
		param_add_number(size, sizeof(size), memory_table, mem->size);
		param_add_number(next, sizeof(next), memory_table,
				 ALIGN_UP(mem->size, page));
		return error_set(
			err, EINVAL,
			"size=%s: must be a multiple of %s; the next one is %s",
			size, mem->hugepages ? "2M with hugepages=on" : "4K",
			next);
	}
	if (mem->mergeable && (mem->shared || mem->hugepages))
		return error_set(
			err, EINVAL,
			"mergeable=on: the host merges private small pages only; leave out %s=on",
			mem->shared ? "shared" : "hugepages");
	return 0;
}

const struct param_set memory_params = {
	.option = "memory",
	.help = "guest memory",
	PARAM_TABLE(memory_table, struct gmem_config),
	.shorthand = "size",
	.check = memory_check,
};

static const struct param_choice serial_choices[] = {
	[SERIAL_TTY] = { "tty", "Tty" }, [SERIAL_NULL] = { "null", "Null" },
	[SERIAL_OFF] = { "off", "Off" }, [SERIAL_FILE] = { "file", "File" },
	[SERIAL_PTY] = { "pty", "Pty" }, { NULL, NULL },
};

static const struct param serial_table[] = {
	PARAM("mode", ENUM, struct serial_config, mode,
	      "stdin and stdout, a sink, no port at all, a file, or a new pseudo-terminal",
	      .def = SERIAL_TTY, .choices = serial_choices),
	PARAM("file", PATH, struct serial_config, file,
	      "write output there; sets mode=file"),
};

static int serial_check(const void *config, struct error *err)
{
	const struct serial_config *serial = config;

	if (serial->mode == SERIAL_FILE && !serial->file)
		return error_set(err, EINVAL,
				 "mode=file: file is missing; write file=PATH");
	/* A pseudo-terminal's name comes back from vm.info, and means nothing. */
	if (serial->mode != SERIAL_FILE && serial->mode != SERIAL_TTY &&
	    serial->mode != SERIAL_PTY && serial->file)
		return error_set(
			err, EINVAL,
			"mode=%s: does not go with file=; leave one of them out",
			serial_choices[serial->mode].name);
	return 0;
}

const struct param_set serial_params = {
	.option = "serial",
	.help = "where the guest's serial console goes",
	PARAM_TABLE(serial_table, struct serial_config),
	.shorthand = "mode",
	.check = serial_check,
};

static const struct param_choice rule_choices[] = {
	[RULE_READ] = { .name = "r" },
	[RULE_WRITE] = { .name = "w" },
	[RULE_READ_WRITE] = { .name = "rw" },
	{ 0 },
};

static const struct param rule_table[] = {
	PARAM("path", PATH, struct rule_config, path,
	      "file, or directory with all that is below it", .required = true),
	PARAM("access", ENUM, struct rule_config, access,
	      "read, write (make and remove), or both", .required = true,
	      .choices = rule_choices),
};

const struct param_set rule_params = {
	.option = "landlock-rules",
	.help = "with --landlock: what may be opened as well, of what comes later",
	PARAM_TABLE(rule_table, struct rule_config),
};

/* ---- life ---- */

void vm_config_init(struct vm_config *vc)
{
	memset(vc, 0, sizeof(*vc));
	param_defaults(&payload_params, vc);
	param_defaults(&rootfs_params, &vc->rootfs);
	param_defaults(&cpus_params, &vc->cpus);
	param_defaults(&memory_params, &vc->memory);
	param_defaults(&serial_params, &vc->serial);
	vc->serial.fd = vc->serial.pty_fd = -1;
}

void vm_config_free(struct vm_config *vc)
{
	param_free(&payload_params, vc);
	param_free(&rootfs_params, &vc->rootfs);
	param_free(&cpus_params, &vc->cpus);
	param_free(&memory_params, &vc->memory);
	param_free(&serial_params, &vc->serial);
	for (unsigned int i = 0; i < vc->nr_rules; i++)
		param_free(&rule_params, &vc->rules[i]);
	vc->nr_rules = 0;
	close_fd(&vc->serial.fd);
	close_fd(&vc->serial.pty_fd);
	for (unsigned int i = 0; i < vc->nr_devices; i++)
		device_config_free(&vc->devices[i]);
	vc->nr_devices = 0;
	json_decref(vc->echo);
	vc->echo = NULL;
}

struct rule_config *vm_config_add_rule(struct vm_config *vc, struct error *err)
{
	struct rule_config *rule = &vc->rules[vc->nr_rules];

	if (vc->nr_rules == CONFIG_MAX_RULES) {
		error_set(
			err, E2BIG,
			"landlock_rules: at most %d; give directories above them",
			CONFIG_MAX_RULES);
		return NULL;
	}
	param_defaults(&rule_params, rule);
	vc->nr_rules++;
	return rule;
}

unsigned int vm_config_ports(const struct vm_config *vc)
{
	return (unsigned int)MIN(vc->hotplug_ports, CONFIG_MAX_PORTS);
}

void vm_config_drop_ports(struct vm_config *vc)
{
	if (vc->hotplug_ports > CONFIG_MAX_PORTS)
		vc->hotplug_ports = 0;
}

/* ---- devices ---- */

int device_config_init(struct device_config *dc,
		       const struct device_class *class, struct error *err)
{
	*dc = (struct device_config){
		.class = class,
		.config = calloc(1, class->params->size),
	};
	if (!dc->config)
		return error_set(err, ENOMEM, "--%s: no memory", class->option);
	param_defaults(class->params, dc->config);
	return 0;
}

int device_config_copy(struct device_config *to, const struct device_config *dc,
		       struct error *err)
{
	*to = (struct device_config){ .class = dc->class };
	to->config = param_copy(dc->class->params, dc->config);
	if (!to->config)
		return error_set(err, errno, "--%s: %s", dc->class->option,
				 error_text(errno));
	return 0;
}

void device_config_free(struct device_config *dc)
{
	if (dc->config)
		param_free(dc->class->params, dc->config);
	free(dc->config);
	json_decref(dc->echo);
	dc->config = NULL;
	dc->echo = NULL;
}

/* Where a text of params is. */
static char **config_text(const struct device_config *dc, const char *key)
{
	const struct param *p = param_find(dc->class->params, key);

	assert(p);
	return (char **)((char *)dc->config + p->offset);
}

char **device_config_id(const struct device_config *dc)
{
	return config_text(dc, "id");
}

int vm_config_check_single(const struct vm_config *vc,
			   const struct device_class *class, struct error *err)
{
	for (unsigned int i = 0; class->single && i < vc->nr_devices; i++)
		if (vc->devices[i].class == class)
			return error_set(err, EEXIST,
					 "--%s: the machine has one already",
					 class->option);
	return 0;
}

struct device_config *vm_config_add_device(struct vm_config *vc,
					   const struct device_class *class,
					   struct error *err)
{
	struct device_config *dc = &vc->devices[vc->nr_devices];

	if (vm_config_check_single(vc, class, err))
		return NULL;
	if (vc->nr_devices == CONFIG_MAX_DEVICES) {
		error_set(err, ENOSPC,
			  "--%s: too many devices; the machine has %u slots",
			  class->option, CONFIG_MAX_DEVICES);
		return NULL;
	}
	if (device_config_init(dc, class, err))
		return NULL;
	vc->nr_devices++;
	return dc;
}

/* The device of that id among the first nr. */
static int config_find(const struct vm_config *vc, unsigned int nr,
		       const char *id)
{
	for (unsigned int i = 0; i < nr; i++) {
		const char *other = *device_config_id(&vc->devices[i]);

		if (other && strcmp(other, id) == 0)
			return (int)i;
	}
	return -1;
}

static int config_check_id(const char *option, const char *id,
			   struct error *err)
{
	char plain[sizeof(((struct device *)NULL)->id)];
	size_t len = strlen(id);

	if (len >= sizeof(plain))
		return error_set(err, EINVAL,
				 "--%s id=%s: is longer than %zu bytes", option,
				 error_value(id).text, sizeof(plain) - 1);
	memcpy(plain, id, len + 1);
	error_make_plain(plain, len);
	if (!len || strcmp(id, plain) != 0)
		return error_set(
			err, EINVAL,
			"--%s id=%s: is empty, has control characters or is no UTF-8; leave it out, or give a name",
			option, error_value(id).text);
	if (strncmp(id, "__", 2) == 0)
		return error_set(
			err, EINVAL,
			"--%s id=%s: ids that start with '__' are the machine's own; choose another",
			option, error_value(id).text);
	return 0;
}

int vm_config_find(const struct vm_config *vc, const char *id)
{
	return config_find(vc, vc->nr_devices, id);
}

int vm_config_find_same(const struct vm_config *vc,
			const struct device_config *dc)
{
	for (unsigned int i = 0; i < vc->nr_devices; i++)
		if (vc->devices[i].class == dc->class && dc->class->is_same &&
		    dc->class->is_same(vc->devices[i].config, dc->config))
			return (int)i;
	return -1;
}

static int config_has_already(const struct device_class *class, const char *key,
			      const char *value, struct error *err)
{
	return error_set(err, EEXIST,
			 "--%s %s=%s: another device has it; choose another",
			 class->option, key, error_value(value).text);
}

/* No device before the ith has the same of what its class wants to be unique. */
static int config_check_unique(const struct vm_config *vc, unsigned int i,
			       struct error *err)
{
	const struct device_class *class = vc->devices[i].class;
	const char *key = class->unique;
	const char *value = key ? *config_text(&vc->devices[i], key) : NULL;

	for (unsigned int j = 0; value && j < i; j++)
		if (vc->devices[j].class == class &&
		    strcmp(*config_text(&vc->devices[j], key), value) == 0)
			return config_has_already(class, key, value, err);
	return 0;
}

/* The id that the ith was given, if it was, and what else may be there once. */
static int config_check_names(const struct vm_config *vc, unsigned int i,
			      struct error *err)
{
	const struct device_class *class = vc->devices[i].class;
	const char *id = *device_config_id(&vc->devices[i]);
	int r = id ? config_check_id(class->option, id, err) : 0;

	if (r)
		return r;
	if (id && config_find(vc, i, id) >= 0)
		return config_has_already(class, "id", id, err);
	return config_check_unique(vc, i, err);
}

int vm_config_assign_ids(struct vm_config *vc, unsigned int first,
			 unsigned int *next, struct error *err)
{
	char made[64];
	char **id;
	int r = 0;

	for (unsigned int i = first; !r && i < vc->nr_devices; i++)
		r = config_check_names(vc, i, err);
	if (r)
		return r;
	for (unsigned int i = first; i < vc->nr_devices; i++) {
		id = device_config_id(&vc->devices[i]);
		if (*id)
			continue;
		do
			snprintf(made, sizeof(made), "_%s%u",
				 vc->devices[i].class->option, (*next)++);
		while (config_find(vc, vc->nr_devices, made) >= 0);
		*id = strdup(made);
		if (!*id)
			return error_set(err, EIO, "out of memory");
	}
	return 0;
}

/* ---- root file system ---- */

/* The one for a directory, or for anything else. There is one: tests see to it. */
static const struct device_class *config_root_class(bool is_dir)
{
	const struct device_class *const *class = device_classes;

	while (!(*class)->root || (*class)->root->is_dir != is_dir)
		class ++;
	return *class;
}

/* access(2) does not know of a device that refuses writes. */
static bool config_is_writable(const char *path, bool is_blockdev)
{
	cleanup_fd int fd = -1;
	int ro = 0;

	if (access(path, W_OK))
		return false;
	if (!is_blockdev)
		return true;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 || ioctl(fd, BLKROGET, &ro) || !ro;
}

/* *class: what the path can be the root of, untouched when there is none.
 * *writable: by this process. */
static int config_probe_rootfs(const char *path,
			       const struct device_class **class,
			       bool *writable, struct error *err)
{
	struct error_value shown = error_value(path);
	bool is_dir, is_blockdev;
	struct stat st;

	if (stat(path, &st) < 0 ||
	    access(path, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0)
		return error_set(
			err, errno,
			"--rootfs %s: %s; give a disk image, block device or directory that can be read",
			shown.text, strerror(errno));
	is_dir = S_ISDIR(st.st_mode);
	is_blockdev = S_ISBLK(st.st_mode);
	if (!is_dir && !is_blockdev && !S_ISREG(st.st_mode))
		return error_set(
			err, EINVAL,
			"--rootfs %s: is neither a file, a block device nor a directory; give a disk image or a directory",
			shown.text);
	*class = config_root_class(is_dir);
	*writable = config_is_writable(path, is_blockdev);
	return 0;
}

/* The config of a root device, through the class's own table. */
static int config_fill_root(const struct device_class *class, void *config,
			    const struct rootfs_config *rootfs,
			    struct error *err)
{
	const struct {
		const char *key, *value;
	} fields[] = {
		{ "path", rootfs->path },
		{ "readonly", rootfs->readonly ? "on" : "off" },
		{ "tag", class->root->tag },
	};
	int rc = 0;

	for (unsigned int i = 0; !rc && i < ARRAY_SIZE(fields); i++)
		if (fields[i].value)
			rc = param_assign(
				param_find(class->params, fields[i].key),
				config, fields[i].value, err);
	if (!rc)
		rc = param_check(class->params, config, err);
	if (rc)
		error_prefix(err, rc, "--rootfs %s",
			     error_value(rootfs->path).text);
	return rc;
}

int vm_config_add_rootfs(struct vm_config *vc, struct error *err)
{
	const struct device_class *class = NULL;
	struct device_config root;
	bool writable = false;
	int rc;

	if (!vc->rootfs.path)
		return 0;
	rc = config_probe_rootfs(vc->rootfs.path, &class, &writable, err);
	if (!class)
		return rc;
	if (!writable)
		vc->rootfs.readonly = true;
	if (!vm_config_add_device(vc, class, err))
		return error_prefix(err, ENOSPC, "--rootfs");
	root = vc->devices[vc->nr_devices - 1];
	memmove(vc->devices + 1, vc->devices,
		(vc->nr_devices - 1) * sizeof(vc->devices[0]));
	vc->devices[0] = root;
	return config_fill_root(class, root.config, &vc->rootfs, err);
}

const char *vm_config_option(const struct vm_config *vc, unsigned int i)
{
	return i == 0 && vc->rootfs.path ? rootfs_params.option
					 : vc->devices[i].class->option;
}

/* ---- checks ---- */

int config_file_unfit(const char *option, const char *path, int code,
		      struct error *err)
{
	struct error_value shown = error_value(path ? path : "fd");
	const char *what = option[0] == 'i' ? "an" : "a";

	if (code)
		return error_set(
			err, code,
			"--%s %s: %s; give the path of %s %s that can be read",
			option, shown.text, error_text(code), what, option);
	return error_set(err, EINVAL,
			 "--%s %s: is not a plain file; give the path of %s %s",
			 option, shown.text, what, option);
}

int config_check_file(const char *option, const char *path, int fd,
		      struct error *err)
{
	struct stat st;
	int r = 0;

	if (fd < 0 ? stat(path, &st) || access(path, R_OK) : few_fstat(fd, &st))
		r = errno;
	if (!r && S_ISREG(st.st_mode))
		return 0;
	return config_file_unfit(option, path, r, err);
}

int vm_config_check(const struct vm_config *vc, struct error *err)
{
	int rc;

	if (!vc->kernel && vc->kernel_fd < 0)
		return error_set(
			err, EINVAL,
			"--kernel: is missing; a machine needs one, add --kernel PATH (--help lists all options)");
	rc = config_check_file("kernel", vc->kernel, vc->kernel_fd, err);
	if (!rc && (vc->initramfs || vc->initramfs_fd >= 0))
		rc = config_check_file("initramfs", vc->initramfs,
				       vc->initramfs_fd, err);
	return rc;
}

char *vm_config_cmdline(const struct vm_config *vc, const char *console)
{
	bool visible = vc->serial.mode != SERIAL_OFF &&
		       vc->serial.mode != SERIAL_NULL;
	char root[64] = "", def[64] = "", *out;
	const char *rest = def;
	size_t len;

	if (vc->rootfs.path && vc->nr_devices)
		snprintf(root, sizeof(root), "%s %s",
			 vc->devices[0].class->root->cmdline,
			 vc->rootfs.readonly ? "ro" : "rw");
	if (vc->cmdline)
		rest = vc->cmdline;
	else if (visible)
		snprintf(def, sizeof(def), "console=%s", console);
	len = strlen(root) + strlen(rest) + 2;
	out = malloc(len);
	if (out)
		snprintf(out, len, "%s%s%s", root, *root && *rest ? " " : "",
			 rest);
	return out;
}
