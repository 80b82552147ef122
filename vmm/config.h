/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/error.h"
#include "vmm/param.h"

/*
 * A virtual machine as a person or client asked for it; nothing is opened yet,
 * but for what came open and the serial port's other end. Every part is described by a parameter table.
 */

struct cpus_config {
	uint64_t boot; /* vCPUs at start, 1..254 */
	uint64_t max; /* 0: boot */
};

static inline unsigned int cpus_max(const struct cpus_config *cc)
{
	return (unsigned int)(cc->max ? cc->max : cc->boot);
}

struct memory_config {
	uint64_t size; /* bytes */
	uint64_t hotplug_size; /* bytes it can grow by */
	bool shared;
	bool hugepages;
	bool prefault;
	bool thp;
	bool mergeable;
};

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
	int pty_fd; /* its other side, so that there always is one; or -1 */
	char pty[32]; /* the name of that, "/dev/pts/N"; "": none */
};

struct rootfs_config {
	char *path;
	bool readonly;
};

enum reset_action {
	RESET_REBOOT,
	RESET_EXIT,
};

/* One device as asked for: config is a struct of class->params. */
struct device_config {
	const struct device_class *class;
	void *config; /* owned */
};

/* Slots of the root bus, less the host bridge. */
#define CONFIG_MAX_DEVICES 31

struct vm_config {
	char *kernel; /* path, owned; NULL: none */
	char *initramfs;
	int kernel_fd; /* an open one instead of its path; -1: none */
	int initramfs_fd;
	char *cmdline; /* as given; NULL: the default */
	int on_reset; /* enum reset_action */
	struct rootfs_config rootfs; /* path NULL: none */
	struct cpus_config cpus;
	struct memory_config memory;
	struct serial_config serial;
	struct device_config devices[CONFIG_MAX_DEVICES];
	unsigned int nr_devices;
};

extern const struct param_set payload_params; /* of struct vm_config itself */
extern const struct param_set rootfs_params;
extern const struct param_set cpus_params;
extern const struct param_set memory_params;
extern const struct param_set serial_params;

/* Everything at its default; no kernel, no device. */
void vm_config_init(struct vm_config *vc);
void vm_config_free(struct vm_config *vc);

/*
 * Append a device with its defaults. Returns its config struct for filling,
 * NULL with a message when there are too many or no memory.
 */
void *vm_config_add_device(struct vm_config *vc,
			   const struct device_class *class, struct error *err);

/*
 * Make the first device of vc->rootfs, if there is one: of the class that can
 * hold a root file system. A path that this process cannot write to becomes
 * read-only (rootfs.readonly says so afterwards). -errno with a message when
 * there is no such file, or it is none that a disk can be made of.
 */
int vm_config_add_rootfs(struct vm_config *vc, struct error *err);

/* The option that device i of vc came by, for messages: "rootfs", "disk". */
const char *vm_config_option(const struct vm_config *vc, unsigned int i);

/* What one option cannot say alone: a kernel is given, files are there. -errno
 * with a message. */
int vm_config_check(const struct vm_config *vc, struct error *err);

/*
 * The guest's command line: root=... of --rootfs in front, then the user's, or
 * without one "console=" and the name of the architecture's serial console (if
 * there is a console to see). Result is malloc'd, NULL: no memory.
 */
char *vm_config_cmdline(const struct vm_config *vc, const char *console);

#endif
