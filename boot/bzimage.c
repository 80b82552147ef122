/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * bzImage (Documentation/arch/x86/boot.rst, protocol 2.12 and later): boot
 * sectors with a header, then the protected-mode kernel, which unpacks itself.
 * Its 64-bit entry lies 0x200 behind its start. It needs init_size bytes from
 * where it runs: the load address, or pref_address when that is higher, so it
 * is never loaded below pref_address.
 */
#include "boot/format.h"

#include "boot/layout_x86.h"
#include "boot/zero_page.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

#define BZ_SECTOR 512
#define BZ_ENTRY64 0x200
#define BZ_MIN_VERSION 0x20c
#define BZ_END (1ULL << 32) /* the identity map ends there */

_Static_assert(ZP_HDR_END <= BOOT_HEAD_LEN, "the header is in the head");

/* The header's fields that count here, each read once. */
struct bzimage {
	uint64_t setup_len; /* bytes of boot sectors */
	uint64_t payload_len; /* bytes of the kernel behind them */
	uint64_t init_size; /* bytes it needs to unpack itself */
	uint64_t pref_address;
	uint64_t alignment;
	bool relocatable;
};

static uint64_t bz_field(const struct boot_job *job, unsigned int off,
			 unsigned int len)
{
	return le_load(job->head + off, len);
}

static bool bz_probe(const struct boot_job *job)
{
	return job->head_len >= ZP_VERSION &&
	       bz_field(job, ZP_BOOT_FLAG, 2) == ZP_BOOT_FLAG_MAGIC &&
	       bz_field(job, ZP_HEADER, 4) == ZP_HEADER_MAGIC;
}

/* Where the header ends in the file; less than 256 bytes behind ZP_HEADER. */
static size_t bz_header_end(const struct boot_job *job)
{
	return ZP_HEADER + (size_t)bz_field(job, ZP_JUMP_LEN, 1);
}

static int bz_check_header(const struct boot_job *job, struct error *err)
{
	uint64_t version;
	size_t end;

	if (job->head_len < ZP_HDR_END)
		return error_set(
			err, EINVAL,
			"is truncated: the file has %zu bytes, its header ends at %d; get it again",
			job->head_len, ZP_HDR_END);
	version = bz_field(job, ZP_VERSION, 2);
	if (version < BZ_MIN_VERSION)
		return error_set(
			err, ENOEXEC,
			"uses boot protocol %llu.%02llu, 2.12 is needed; give Linux 3.8 or later",
			(unsigned long long)version >> 8,
			(unsigned long long)version & 0xff);
	if (!(bz_field(job, ZP_XLOADFLAGS, 2) & ZP_XLF_KERNEL_64))
		return error_set(err, ENOEXEC,
				 "is a 32-bit kernel; give a kernel for %s",
				 job->req->machine->name);
	if (!(bz_field(job, ZP_LOADFLAGS, 1) & ZP_LOADED_HIGH))
		return error_set(err, ENOEXEC,
				 "is a zImage; give a bzImage or vmlinux");
	end = bz_header_end(job);
	if (end < ZP_INIT_SIZE_END || end > ZP_HDR_END)
		return error_set(
			err, EINVAL,
			"its header ends at %#zx, that must be %#x to %#x; get it again",
			end, ZP_INIT_SIZE_END, ZP_HDR_END);
	return 0;
}

static int bz_read_header(const struct boot_job *job, struct bzimage *bz,
			  struct error *err)
{
	uint64_t sects;
	int r = bz_check_header(job, err);

	if (r)
		return r;
	sects = bz_field(job, ZP_SETUP_SECTS, 1);
	bz->setup_len = ((sects ? sects : 4) + 1) * BZ_SECTOR;
	bz->payload_len = bz_field(job, ZP_SYSSIZE, 4) * 16;
	bz->init_size = bz_field(job, ZP_INIT_SIZE, 4);
	bz->pref_address = bz_field(job, ZP_PREF_ADDRESS, 8);
	bz->alignment = bz_field(job, ZP_KERNEL_ALIGNMENT, 4);
	bz->relocatable = bz_field(job, ZP_RELOCATABLE, 1);
	if (bz->payload_len <= BZ_ENTRY64)
		return error_set(
			err, EINVAL,
			"has a kernel of only %llu bytes; get it again",
			(unsigned long long)bz->payload_len);
	r = image_check(&job->kernel, bz->setup_len, bz->payload_len,
			"its kernel is", err);
	if (r)
		return r;
	if (bz->relocatable && !IS_POW2(bz->alignment))
		return error_set(
			err, EINVAL,
			"its alignment %#llx is not a power of two; get it again",
			(unsigned long long)bz->alignment);
	return 0;
}

/* Claim room for it, where it wants to be or, if it can move, above. */
static int bz_place(struct boot_job *job, const struct bzimage *bz, gpa_t *gpa,
		    struct error *err)
{
	uint64_t len = MAX(bz->init_size, bz->payload_len);
	const struct space_want want = {
		.len = len,
		.align = bz->alignment,
		.min = MAX(bz->pref_address, BOOT_HIGH_MEMORY),
		.max = BZ_END - 1,
	};

	*gpa = bz->pref_address;
	if (bz->relocatable && space_find(&job->space, &want, gpa))
		return error_set(
			err, ENOSPC,
			"no room for its %llu MiB between %#llx and 4 GiB; give more --memory",
			(unsigned long long)(len / MIB + 1),
			(unsigned long long)bz->pref_address);
	if (*gpa >= BZ_END || len > BZ_END - *gpa)
		return error_set(
			err, ENOSPC,
			"wants to be at %#llx, beyond 4 GiB; get it again",
			(unsigned long long)*gpa);
	return space_claim(&job->space, *gpa, len, "the kernel", err);
}

static int bz_load(struct boot_job *job, struct error *err)
{
	struct bzimage bz;
	gpa_t gpa;
	int r = bz_read_header(job, &bz, err);

	if (!r)
		r = bz_place(job, &bz, &gpa, err);
	if (r)
		return r;
	job->res->kind = BOOT_ENTRY_LINUX64;
	job->res->entry = gpa + BZ_ENTRY64;
	job->cmdline_max = bz_field(job, ZP_CMDLINE_SIZE, 4);
	job->initrd_max = bz_field(job, ZP_INITRD_ADDR_MAX, 4);
	/* It unpacks itself over its own place. */
	return image_load(&job->kernel, bz.setup_len, bz.payload_len,
			  job->req->gm, gpa, false, err);
}

static int bz_describe(struct boot_job *job, struct error *err)
{
	return zero_page_describe(job, job->head + ZP_HDR,
				  bz_header_end(job) - ZP_HDR, err);
}

const struct boot_format boot_format_bzimage = {
	.probe = bz_probe,
	.load = bz_load,
	.describe = bz_describe,
};
