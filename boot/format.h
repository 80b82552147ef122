/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_FORMAT_H
#define BOOT_FORMAT_H

#include "boot/image.h"
#include "boot/request.h"
#include "boot/space.h"

#define BOOT_HEAD_LEN 1024

/*
 * One boot_load() on its way. Everything is on one stack, that of the thread
 * that called it. The first bytes of the kernel are read once, so that no field
 * of a header is read twice.
 */
struct boot_job {
	const struct boot_request *req;
	struct image kernel;
	uint8_t head[BOOT_HEAD_LEN];
	size_t head_len; /* less when the file is shorter */
	struct space space;
	struct boot_result *res;

	/* Set by format->load(). */
	uint64_t cmdline_max; /* bytes without the NUL */
	gpa_t initrd_max; /* last address an initramfs may use */

	/* Set between format->load() and format->describe(), as are the
	 * result's cmdline and initrd. */
	size_t cmdline_len; /* bytes without the NUL */
};

/* A kernel file format. */
struct boot_format {
	/* Is it this format? Looks at head only. */
	bool (*probe)(const struct boot_job *job);
	/*
	 * Check the kernel, claim and load it, fill res->kind, res->entry and
	 * the fields above. The message has no option in front.
	 */
	int (*load)(struct boot_job *job, struct error *err);
	/* Write what the kernel is told and fill res->params. */
	int (*describe)(struct boot_job *job, struct error *err);
};

/* Guest addresses that are not for kernels. */
struct boot_keepout {
	gpa_t gpa;
	uint64_t len;
	const char *what;
};

/* What a port's guests boot. */
struct boot_machine {
	const char *name; /* "x86_64" */
	const char *kernels; /* "a bzImage or vmlinux" */
	uint16_t elf_machine; /* EM_X86_64 */
	const struct boot_format *const *formats; /* ends with NULL */
	const struct boot_keepout *keepouts; /* ends with len 0 */
	gpa_t cmdline; /* where the command line goes; 0: into the tables */
	uint64_t cmdline_room; /* bytes there, with the NUL */
};

#endif
