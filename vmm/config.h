/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/param.h"

/*
 * A virtual machine as a person or client asked for it. Files are names here;
 * open are only descriptors that were given instead of a name, and what
 * serial_open() opened. Every part is described by a parameter table. A
 * configuration belongs to one thread at a time.
 */

struct cpus_config {
	uint64_t boot; /* vCPUs at start, 1..arch_max_vcpus */
	uint64_t max; /* 0: boot */
	bool nested;
	int core_sched; /* enum core_sched */
};

static inline unsigned int cpus_max(const struct cpus_config *cc)
{
	return (unsigned int)(cc->max ? cc->max : cc->boot);
}

enum serial_mode {
	SERIAL_TTY,
	SERIAL_NULL,
	SERIAL_OFF,
	SERIAL_FILE,
	SERIAL_PTY,
};

struct serial_config {
	int mode; /* enum serial_mode */
	char *file; /* SERIAL_FILE */
	/* by serial_open() */
	int fd; /* file, or main side of a pseudo-terminal; owned, -1: none */
	bool is_pipe; /* the file is */
	int pty_fd; /* its other side, so that there always is one; or -1 */
	char pty[32]; /* the name of that, "/dev/pts/N"; "": none */
};

/* What may be opened beside what the configuration names (vmm/bounds.h). */
struct rule_config {
	char *path;
	int access; /* enum rule_access */
};

enum rule_access {
	RULE_READ,
	RULE_WRITE,
	RULE_READ_WRITE,
};

struct rootfs_config {
	char *path;
	bool readonly;
};

enum reset_action {
	RESET_REBOOT,
	RESET_EXIT,
};

struct json_t;

/* One device as asked for. */
struct device_config {
	const struct device_class *class;
	void *config; /* a struct of class->params; owned, with its fds */
	/* What vm.info shows of it beside its parameters; owned. NULL: none. */
	struct json_t *echo;
};

#define CONFIG_MAX_RULES 32

/* Slots of the root bus, less the host bridge. */
#define CONFIG_MAX_DEVICES 31

/* Root ports, where devices come by these. */
#define CONFIG_MAX_PORTS 31u

struct vm_config {
	char *kernel; /* path, owned; NULL: none */
	char *initramfs;
	int kernel_fd; /* an open one instead of its path; -1: none */
	int initramfs_fd;
	char *cmdline; /* as given; NULL: the default */
	int on_reset; /* enum reset_action */
	uint64_t hotplug_ports; /* above CONFIG_MAX_PORTS: nobody said */
	struct rootfs_config rootfs; /* path NULL: none */
	struct cpus_config cpus;
	struct gmem_config memory;
	struct serial_config serial;
	struct device_config devices[CONFIG_MAX_DEVICES];
	unsigned int nr_devices;
	bool landlock; /* nothing else is opened, from creation on */
	struct rule_config rules[CONFIG_MAX_RULES];
	unsigned int nr_rules;
	/* What vm.info shows beside parameters and devices; owned. NULL: none. */
	struct json_t *echo;
};

extern const struct param_set payload_params; /* of struct vm_config itself */
extern const struct param_set rootfs_params;
extern const struct param_set cpus_params;
extern const struct param_set memory_params;
extern const struct param_set serial_params;
extern const struct param_set rule_params;

/* Everything at its default; no kernel, no device. vc: the caller's storage,
 * whose former content is not freed. Any thread. */
void vm_config_init(struct vm_config *vc);
/* Free all that vc owns, and close its descriptors. It is as after
 * vm_config_init() without the defaults: only that may follow, or nothing. */
void vm_config_free(struct vm_config *vc);
/* How many root ports a machine of it has, if it has any. */
unsigned int vm_config_ports(const struct vm_config *vc);
/* There is nobody who could add a device later: what a machine has for that alone
 * it does without, unless it was asked for. */
void vm_config_drop_ports(struct vm_config *vc);

/* A device of class with the defaults of its parameters; any thread. dc: the
 * caller's storage. -ENOMEM with a message. */
int device_config_init(struct device_config *dc,
		       const struct device_class *class, struct error *err);
/* Make *to a copy of dc that owns what it has, descriptors too, without the
 * echo. Any thread that owns dc. -errno with a message. */
int device_config_copy(struct device_config *to, const struct device_config *dc,
		       struct error *err);
/* Free what dc owns, and close its descriptors; config and echo are NULL
 * afterwards. One that is NULL is fine. */
void device_config_free(struct device_config *dc);
/* Where the id is kept: a malloc'd string of dc, or NULL when it has none yet. */
char **device_config_id(const struct device_config *dc);

/* One more rule, with its defaults; its place in vc. NULL with a message. */
struct rule_config *vm_config_add_rule(struct vm_config *vc, struct error *err);

/* Another device of class may be added. -EEXIST with a message. */
int vm_config_check_single(const struct vm_config *vc,
			   const struct device_class *class, struct error *err);
/*
 * Append a device with its defaults. Returns it for filling, good until the
 * next change of vc->devices; NULL with a message when there are too many, or
 * one that there can be only one of, or no memory.
 */
struct device_config *vm_config_add_device(struct vm_config *vc,
					   const struct device_class *class,
					   struct error *err);

/* The index of the device of this id; -1: there is none. */
int vm_config_find(const struct vm_config *vc, const char *id);
/* The index of the device that dc means (device_class.is_same); -1: none. */
int vm_config_find_same(const struct vm_config *vc,
			const struct device_config *dc);
/* Give ids that no other device has to the devices from `first` on that have
 * none: "_<option><N>", N from *next on. -EINVAL or -EEXIST with a message when
 * one that was given cannot be, or what the class wants to be unique is not. */
int vm_config_assign_ids(struct vm_config *vc, unsigned int first,
			 unsigned int *next, struct error *err);

/*
 * Make the first device of vc->rootfs, if there is one: of the class whose root
 * file systems are what the path is. A path that this process cannot write to
 * becomes read-only (rootfs.readonly says so afterwards). -errno with a message
 * when there is no such file, or it is none that a device can be made of.
 */
int vm_config_add_rootfs(struct vm_config *vc, struct error *err);

/* The option that device i of vc came by, for messages: "rootfs", "disk". */
const char *vm_config_option(const struct vm_config *vc, unsigned int i);

/* The file of --kernel or --initramfs is one that can be read: path, or fd when
 * that is not -1. Asks the host. Any thread. -errno with a message. */
int config_check_file(const char *option, const char *path, int fd,
		      struct error *err);
/* Say that it is not: code, an errno, or 0: it is no plain file. -errno. */
int config_file_unfit(const char *option, const char *path, int code,
		      struct error *err);
/* What one option cannot say alone: a kernel is given, files are there. Asks
 * the host. -errno with a message. */
int vm_config_check(const struct vm_config *vc, struct error *err);

/*
 * The guest's command line: what the class says of --rootfs in front, then the
 * user's, or without one "console=" and the name of the architecture's serial
 * console (if there is a console to see). Result is malloc'd, NULL: no memory.
 */
char *vm_config_cmdline(const struct vm_config *vc, const char *console);

#endif
