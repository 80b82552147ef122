/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/zero_page.h"

#include <string.h>

#include "boot/layout_x86.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

#define ZP_E820_ENTRY 20
#define ZP_E820_MAX 128

_Static_assert(BOOT_MAX_RANGES <= ZP_E820_MAX, "e820 table");
_Static_assert(BOOT_ZERO_PAGE + ZP_SIZE <= BOOT_PAGE_TABLES, "layout");

/* A vmlinux has no header; Linux looks at these few fields all the same. */
static void zero_page_make_header(uint8_t *zp, const struct boot_job *job)
{
	le_store(zp + ZP_BOOT_FLAG, ZP_BOOT_FLAG_MAGIC, 2);
	le_store(zp + ZP_HEADER, ZP_HEADER_MAGIC, 4);
	le_store(zp + ZP_VERSION, 0x20f, 2);
	le_store(zp + ZP_LOADFLAGS, ZP_LOADED_HIGH, 1);
	le_store(zp + ZP_KERNEL_ALIGNMENT, 2 * MIB, 4);
	le_store(zp + ZP_INITRD_ADDR_MAX, job->initrd_max, 4);
	le_store(zp + ZP_CMDLINE_SIZE, job->cmdline_max, 4);
}

/* le_store() of a 64-bit value whose halves lie apart. */
static void zero_page_store_split(uint8_t *zp, unsigned int lo, unsigned int hi,
				  uint64_t v)
{
	le_store(zp + lo, v, 4);
	le_store(zp + hi, v >> 32, 4);
}

static void zero_page_store_e820(uint8_t *zp, const struct boot_request *req)
{
	unsigned int i;

	le_store(zp + ZP_E820_ENTRIES, req->nr_map, 1);
	for (i = 0; i < req->nr_map; i++) {
		uint8_t *e = zp + ZP_E820_TABLE + i * ZP_E820_ENTRY;

		le_store(e, req->map[i].gpa, 8);
		le_store(e + 8, req->map[i].len, 8);
		le_store(e + 16, req->map[i].type, 4);
	}
}

int zero_page_describe(struct boot_job *job, const void *hdr, size_t hdr_len,
		       struct error *err)
{
	const struct boot_request *req = job->req;
	uint8_t *zp = gmem_ptr(req->gm, BOOT_ZERO_PAGE, ZP_SIZE);

	if (!zp)
		return error_set(err, EFAULT, "no RAM at %#x for the zero page",
				 BOOT_ZERO_PAGE);
	memset(zp, 0, ZP_SIZE);
	if (hdr)
		memcpy(zp + ZP_HDR, hdr, MIN(hdr_len, ZP_HDR_END - ZP_HDR));
	else
		zero_page_make_header(zp, job);
	le_store(zp + ZP_TYPE_OF_LOADER, ZP_LOADER_UNDEFINED, 1);
	/* A pointer from the file is none of ours. */
	le_store(zp + ZP_SETUP_DATA, 0, 8);
	zero_page_store_split(zp, ZP_CMD_LINE_PTR, ZP_EXT_CMD_LINE_PTR,
			      req->machine->cmdline);
	zero_page_store_split(zp, ZP_RAMDISK_IMAGE, ZP_EXT_RAMDISK_IMAGE,
			      job->initrd.gpa);
	zero_page_store_split(zp, ZP_RAMDISK_SIZE, ZP_EXT_RAMDISK_SIZE,
			      job->initrd.len);
	le_store(zp + ZP_ACPI_RSDP_ADDR, req->rsdp, 8);
	zero_page_store_e820(zp, req);
	job->res->params = BOOT_ZERO_PAGE;
	return 0;
}
