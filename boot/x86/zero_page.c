/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/x86/zero_page.h"

#include <endian.h>
#include <string.h>

#include "boot/x86/layout.h"
#include "vmm/util.h"

#define LOADER_UNDEFINED 0xff

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN,
	       "struct boot_params is read in host order");
_Static_assert(BOOT_MAX_RANGES <= E820_MAX_ENTRIES_ZEROPAGE, "e820 table");
_Static_assert(BOOT_ZERO_PAGE + sizeof(struct boot_params) <= BOOT_PAGE_TABLES,
	       "layout");

/* A vmlinux has no header; Linux looks at these few fields all the same. */
static struct setup_header zero_page_make_header(const struct boot_job *job)
{
	return (struct setup_header){
		.boot_flag = ZP_BOOT_FLAG,
		.header = ZP_HEADER,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = 2 * MIB,
		.initrd_addr_max = (uint32_t)job->initrd_max,
		.cmdline_size = (uint32_t)job->cmdline_max,
	};
}

int zero_page_describe(struct boot_job *job, const void *hdr, size_t hdr_len,
		       struct error *err)
{
	const struct boot_request *req = job->req;
	struct boot_params *bp = gmem_ptr(req->gm, BOOT_ZERO_PAGE, sizeof(*bp));

	if (!bp)
		return error_set(err, EFAULT, "no RAM at %#x for the zero page",
				 BOOT_ZERO_PAGE);
	memset(bp, 0, sizeof(*bp));
	if (hdr)
		memcpy((uint8_t *)bp + ZP_HDR, hdr,
		       MIN(hdr_len, ZP_HDR_END - ZP_HDR));
	else
		bp->hdr = zero_page_make_header(job);
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	/* A pointer from the file is none of ours. */
	bp->hdr.setup_data = 0;
	bp->hdr.cmd_line_ptr = (uint32_t)job->res->cmdline;
	bp->ext_cmd_line_ptr = (uint32_t)(job->res->cmdline >> 32);
	bp->hdr.ramdisk_image = (uint32_t)job->res->initrd.gpa;
	bp->ext_ramdisk_image = (uint32_t)(job->res->initrd.gpa >> 32);
	bp->hdr.ramdisk_size = (uint32_t)job->res->initrd.len;
	bp->ext_ramdisk_size = (uint32_t)(job->res->initrd.len >> 32);
	bp->acpi_rsdp_addr = req->tables;
	bp->e820_entries = (uint8_t)req->nr_map;
	for (unsigned int i = 0; i < req->nr_map; i++)
		bp->e820_table[i] =
			(struct boot_e820_entry){ req->map[i].gpa,
						  req->map[i].len,
						  (uint32_t)req->map[i].type };
	job->res->params = BOOT_ZERO_PAGE;
	return 0;
}
