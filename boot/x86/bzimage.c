/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * bzImage (Documentation/arch/x86/boot.rst, protocol 2.12 and later): boot
 * sectors with a header, then the protected-mode kernel, which unpacks itself.
 * Its 64-bit entry lies 0x200 behind its start. It needs init_size bytes from
 * where it runs: the load address, or pref_address when that is higher, so it
 * is never loaded below pref_address.
 */
#include "boot/x86/layout.h"
#include "boot/x86/formats.h"
#include "boot/x86/zero_page.h"
#include "vmm/util.h"

#define BZ_SECTOR 512
#define BZ_ENTRY64 0x200
#define BZ_MIN_VERSION 0x20c
#define BZ_END (1ULL << 32) /* the identity map ends there */
/* The header holds init_size at least. */
#define BZ_MIN_HDR_END offsetof(struct boot_params, hdr.handover_offset)

_Static_assert(ZP_HDR_END <= BOOT_HEAD_LEN, "the header is in the head");

static const struct setup_header *bz_header(const struct boot_job *job)
{
	return (const void *)(job->head + ZP_HDR);
}

static bool bz_probe(const struct boot_job *job)
{
	const struct setup_header *h = bz_header(job);

	return job->head_len >= offsetof(struct boot_params, hdr.version) &&
	       h->boot_flag == ZP_BOOT_FLAG && h->header == ZP_HEADER;
}

/* Where the header ends in the file: the operand of the jump over it says so,
 * and counts from its own end. */
static size_t bz_header_end(const struct boot_job *job)
{
	return offsetof(struct boot_params, hdr.header) +
	       (bz_header(job)->jump >> 8);
}

static int bz_check_header(const struct boot_job *job, struct error *err)
{
	const struct setup_header *h = bz_header(job);
	size_t end;

	if (job->head_len < ZP_HDR_END)
		return error_set(
			err, EINVAL,
			"is truncated: the file has %zu bytes, its header ends at %zu; get it again",
			job->head_len, ZP_HDR_END);
	if (h->version < BZ_MIN_VERSION)
		return error_set(
			err, ENOEXEC,
			"uses boot protocol %u.%02u, 2.12 is needed; give Linux 3.8 or later",
			h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return error_set(err, ENOEXEC,
				 "is a 32-bit kernel; give a kernel for %s",
				 job->req->machine->name);
	if (!(h->loadflags & LOADED_HIGH))
		return error_set(err, ENOEXEC,
				 "is a zImage; give a bzImage or vmlinux");
	end = bz_header_end(job);
	if (end < BZ_MIN_HDR_END || end > ZP_HDR_END)
		return error_set(
			err, EINVAL,
			"its header ends at %#zx, that must be %#zx to %#zx; get it again",
			end, BZ_MIN_HDR_END, ZP_HDR_END);
	if (h->relocatable_kernel && !IS_POW2(h->kernel_alignment))
		return error_set(
			err, EINVAL,
			"its alignment %#x is not a power of two; get it again",
			h->kernel_alignment);
	return 0;
}

/* Claim room for it, where it wants to be or, if it can move, above. */
static int bz_place(struct boot_job *job, uint64_t payload_len, gpa_t *gpa,
		    struct error *err)
{
	const struct setup_header *h = bz_header(job);
	uint64_t len = MAX(h->init_size, payload_len);
	const struct space_want want = {
		.len = len,
		.align = h->kernel_alignment,
		.min = MAX(h->pref_address, BOOT_HIGH_MEMORY),
		.max = BZ_END - 1,
	};

	*gpa = h->pref_address;
	if (h->relocatable_kernel && space_find(&job->space, &want, gpa))
		return error_set(
			err, ENOSPC,
			"no room for its %llu MiB between %#llx and 4 GiB; give more --memory",
			llu(len / MIB + 1), llu(h->pref_address));
	if (*gpa >= BZ_END || len > BZ_END - *gpa)
		return error_set(
			err, ENOSPC,
			"wants to be at %#llx, beyond 4 GiB; get it again",
			llu(*gpa));
	return space_claim(&job->space, *gpa, len, "the kernel", err);
}

static int bz_load(struct boot_job *job, struct error *err)
{
	const struct setup_header *h = bz_header(job);
	/* Boot sectors, and behind them the kernel, in units of 16 bytes. */
	uint64_t setup_len, payload_len;
	gpa_t gpa;
	int r = bz_check_header(job, err);

	if (r)
		return r;
	setup_len = ((h->setup_sects ? h->setup_sects : 4) + 1ull) * BZ_SECTOR;
	payload_len = h->syssize * 16ull;
	if (payload_len <= BZ_ENTRY64)
		return error_set(
			err, EINVAL,
			"has a kernel of only %llu bytes; get it again",
			llu(payload_len));
	r = image_check(&job->kernel, setup_len, payload_len, "its kernel is",
			err);
	if (!r)
		r = bz_place(job, payload_len, &gpa, err);
	if (r)
		return r;
	job->res->kind = X86_ENTRY_LINUX64;
	job->res->entry = gpa + BZ_ENTRY64;
	job->cmdline_max = h->cmdline_size;
	job->initrd_max = h->initrd_addr_max;
	/* It unpacks itself over its own place. */
	return image_load(&job->kernel, setup_len, payload_len, job->req->gm,
			  gpa, false, err);
}

static int bz_describe(struct boot_job *job, struct error *err)
{
	return zero_page_describe(job, bz_header(job),
				  bz_header_end(job) - ZP_HDR, err);
}

const struct boot_format boot_format_bzimage = {
	.probe = bz_probe,
	.load = bz_load,
	.describe = bz_describe,
};
