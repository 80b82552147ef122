/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Linux' raw Image for arm64 (Documentation/arch/arm64/booting.rst): 64 bytes of
 * header, which are code as well, and the kernel as it lies in memory. It is
 * entered at its first byte with the device tree in x0.
 */
#include <elf.h>
#include <string.h>

#include "boot/aarch64/layout.h"
#include "boot/aarch64/machine.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

struct image_header {
	le32 code[2];
	le64 text_offset;
	le64 image_size; /* bytes in memory */
	le64 flags;
	le64 reserved[3];
	uint8_t magic[4];
	le32 pe_offset;
};

#define IMAGE_MAGIC "ARM\x64"
#define IMAGE_ALIGN (2 * MIB)
#define IMAGE_BIG_ENDIAN 1u
/* COMMAND_LINE_SIZE of arm64 Linux is 2048; an Image does not say it. */
#define IMAGE_CMDLINE_MAX 2047
/* The initramfs has to be this near to the kernel. */
#define IMAGE_INITRD_WINDOW (32 * GIB)

static const struct image_header *image_header(const struct boot_job *job)
{
	return (const struct image_header *)job->head;
}

static bool image_probe(const struct boot_job *job)
{
	return job->head_len >= sizeof(struct image_header) &&
	       !memcmp(image_header(job)->magic, IMAGE_MAGIC,
		       sizeof(image_header(job)->magic));
}

static int image_check_header(const struct boot_job *job, struct error *err)
{
	const struct image_header *h = image_header(job);

	if (!le64_get(h->image_size))
		return error_set(
			err, EINVAL,
			"does not say how much memory it needs; take a kernel from Linux 3.17 or later");
	if (le64_get(h->image_size) < job->kernel.size)
		return error_set(
			err, EINVAL,
			"is larger (%llu bytes) than the memory it says it needs (%llu); get it again",
			llu(job->kernel.size), llu(le64_get(h->image_size)));
	if (le64_get(h->flags) & IMAGE_BIG_ENDIAN)
		return error_set(
			err, EINVAL,
			"is a big-endian kernel; give a little-endian one");
	if (le64_get(h->text_offset) >= IMAGE_ALIGN)
		return error_set(
			err, EINVAL,
			"wants to be %#llx bytes behind a border of 2 MiB; get it again",
			llu(le64_get(h->text_offset)));
	return 0;
}

static int image_load_kernel(struct boot_job *job, struct error *err)
{
	const struct image_header *h = image_header(job);
	gpa_t gpa = BOOT_A64_KERNEL_MIN + le64_get(h->text_offset);
	int r = image_check_header(job, err);

	if (!r)
		r = space_claim(&job->space, gpa, le64_get(h->image_size),
				"the kernel", err);
	if (r)
		return r;
	job->res->entry = gpa;
	job->cmdline_max = IMAGE_CMDLINE_MAX;
	job->initrd_max = BOOT_A64_RAM + IMAGE_INITRD_WINDOW - 1;
	/* Read, not mapped: an Image does not say what stays as it is in the
	 * file, and the kernel relocates and patches most of itself: mapped, a
	 * fifth of it stays shared, and it boots a quarter slower. */
	return image_load(&job->kernel, 0, job->kernel.size, job->req->gm, gpa,
			  false, err);
}

/* The device tree has all, and is written when it is known where that is. */
static int image_describe(struct boot_job *job, struct error *err unused_param)
{
	job->res->params = job->req->tables;
	return 0;
}

static const struct boot_format boot_format_image = {
	.probe = image_probe,
	.load = image_load_kernel,
	.describe = image_describe,
};

static const struct boot_format *const formats[] = {
	&boot_format_image,
	NULL,
};

static const struct boot_keepout keepouts[] = {
	{ BOOT_A64_FDT, BOOT_A64_FDT_ROOM, "the device tree" },
	{ 0 },
};

const struct boot_machine boot_machine_aarch64 = {
	.name = "aarch64",
	.kernels = "an uncompressed Image",
	.elf_machine = EM_AARCH64,
	.formats = formats,
	.keepouts = keepouts,
};
