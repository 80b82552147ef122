/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The order of a boot: the format places and loads the kernel and says what it
 * takes; command line and initramfs follow, as they do not depend on the
 * format; at last the format tells the kernel where all that is. A format is
 * one file with three functions, a machine is one table of formats.
 */
#include "boot/boot.h"

#include <assert.h>
#include <string.h>

#include "boot/format.h"
#include "vmm/util.h"

#define INITRAMFS_ALIGN 4096

/* Files that people give instead of a kernel, and what to do about it. */
static const struct boot_mistake {
	size_t off;
	const char *magic;
	size_t len;
	const char *advice;
} mistakes[] = {
	{ 0x38, "ARM\x64", 4, "is a kernel for aarch64" },
	{ 0x30, "RISCV\0\0\0", 8, "is a kernel for riscv64" },
	{ 4, "zimg", 4, "is an EFI zboot image; unpack the kernel in it" },
	{ 0, "MZ", 2, "is an EFI program" },
	{ 0, "\x1f\x8b", 2, "is compressed with gzip; unpack it" },
	{ 0,
	  "\xfd"
	  "7zXZ",
	  5, "is compressed with xz; unpack it" },
	{ 0, "\x28\xb5\x2f\xfd", 4, "is compressed with zstd; unpack it" },
	{ 0, "BZh", 3, "is compressed with bzip2; unpack it" },
	{ 0, "\x02\x21\x4c\x18", 4, "is compressed with lz4; unpack it" },
	{ 0, "070701", 6, "is a cpio archive, perhaps the initramfs" },
	{ 0, "!<arch>", 7, "is an archive, perhaps a .deb; unpack it" },
};

static int boot_refuse(const struct boot_job *job, struct error *err)
{
	const struct boot_machine *machine = job->req->machine;

	for (unsigned int i = 0; i < ARRAY_SIZE(mistakes); i++) {
		const struct boot_mistake *m = &mistakes[i];

		if (m->off + m->len <= job->head_len &&
		    !memcmp(job->head + m->off, m->magic, m->len))
			return error_set(err, ENOEXEC, "%s; give %s for %s",
					 m->advice, machine->kernels,
					 machine->name);
	}
	return error_set(err, ENOEXEC, "is not a kernel; give %s for %s",
			 machine->kernels, machine->name);
}

static int boot_prepare(struct boot_job *job, struct error *err)
{
	const struct boot_request *req = job->req;
	const struct boot_keepout *k;
	int r;

	space_init(&job->space, req->map, req->nr_map);
	for (k = req->machine->keepouts; k->len; k++) {
		r = space_reserve(&job->space, k->gpa, k->len, k->what, err);
		if (r)
			return r;
	}
	job->cmdline_len = req->cmdline ? strlen(req->cmdline) : 0;
	return 0;
}

static int boot_load_kernel(struct boot_job *job,
			    const struct boot_format **format,
			    struct error *err)
{
	const struct boot_format *const *f;
	int r = image_init(&job->kernel, job->req->kernel_fd, err);

	if (r)
		return r;
	job->head_len = (size_t)MIN(job->kernel.size, sizeof(job->head));
	r = image_read(&job->kernel, 0, job->head, job->head_len, err);
	if (r)
		return r;
	for (f = job->req->machine->formats; *f; f++) {
		if (!(*f)->probe(job))
			continue;
		*format = *f;
		return (*f)->load(job, err);
	}
	return boot_refuse(job, err);
}

static int boot_load_cmdline(struct boot_job *job, struct error *err)
{
	const char *line = job->req->cmdline ? job->req->cmdline : "";
	const struct boot_machine *machine = job->req->machine;
	uint64_t max = job->cmdline_max;

	if (machine->cmdline)
		max = MIN(max, machine->cmdline_room - 1);
	if (job->cmdline_len > max)
		return error_set(
			err, E2BIG,
			"--cmdline: %zu bytes with what other options add, the limit of this kernel is %llu; shorten it",
			job->cmdline_len, llu(max));
	if (!machine->cmdline)
		return 0;
	if (gmem_write(job->req->gm, machine->cmdline, line,
		       job->cmdline_len + 1))
		return error_set(
			err, EFAULT,
			"--memory: no RAM at %#llx for the command line",
			llu(machine->cmdline));
	job->res->cmdline = machine->cmdline;
	return 0;
}

/* As high as RAM and the kernel allow. */
static int boot_load_initramfs(struct boot_job *job, struct error *err)
{
	struct space_want want = {
		.align = INITRAMFS_ALIGN,
		.max = job->initrd_max,
		.high = true,
	};
	struct image img;
	gpa_t gpa;
	int r;

	if (job->req->initramfs_fd < 0)
		return 0;
	r = image_init(&img, job->req->initramfs_fd, err);
	if (r)
		return r;
	/* A file size is below 2^63: rounding up does not overflow. */
	want.len = ALIGN_UP(img.size, INITRAMFS_ALIGN);
	if (space_find(&job->space, &want, &gpa))
		return error_set(
			err, ENOSPC,
			"no room for %llu KiB beside the kernel below %#llx; give more --memory or a smaller file",
			llu(want.len / KIB), llu(want.max));
	r = space_claim(&job->space, gpa, want.len, "the initramfs", err);
	if (r)
		return r;
	job->res->initrd = (struct boot_initrd){ gpa, img.size };
	/* Read, not mapped: the guest reads it once and then writes other
	 * things there, at two exits for each page that was mapped. */
	return image_load(&img, 0, img.size, job->req->gm, gpa, false, err);
}

int boot_load(const struct boot_request *req, struct boot_result *res,
	      struct error *err)
{
	const struct boot_format *format = NULL;
	struct boot_result out = { 0 };
	struct boot_job job = { .req = req, .res = &out };
	int r;

	*res = out;
	r = boot_prepare(&job, err);
	if (r)
		return r;
	r = boot_load_kernel(&job, &format, err);
	if (r)
		return error_prefix(err, r, "--kernel %s", req->kernel_name);
	assert(format); /* what has none is refused */
	r = boot_load_cmdline(&job, err);
	if (r)
		return r;
	r = boot_load_initramfs(&job, err);
	if (r)
		return error_prefix(err, r, "--initramfs %s",
				    req->initramfs_name);
	r = format->describe(&job, err);
	if (r)
		return error_prefix(err, r, "--kernel %s", req->kernel_name);
	*res = out;
	return 0;
}
