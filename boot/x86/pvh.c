/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/x86/pvh.h"

#include "boot/x86/layout.h"

_Static_assert(sizeof(struct pvh_start_info) == 56, "ABI");
_Static_assert(sizeof(struct pvh_module) == 32, "ABI");
_Static_assert(sizeof(struct boot_range) == 24, "ABI");
_Static_assert(BOOT_START_INFO + sizeof(struct pvh_start_info) <= BOOT_MODLIST,
	       "layout");
_Static_assert(BOOT_MODLIST + sizeof(struct pvh_module) <= BOOT_MEMMAP,
	       "layout");
_Static_assert(BOOT_MEMMAP + BOOT_MAX_RANGES * sizeof(struct boot_range) <=
		       BOOT_ZERO_PAGE,
	       "layout");

int pvh_describe(struct boot_job *job, struct error *err)
{
	const struct boot_request *req = job->req;
	struct pvh_start_info info = {
		.magic = le32_of(PVH_START_MAGIC),
		.version = le32_of(PVH_START_VERSION),
		.cmdline = le64_of(job->res->cmdline),
		.rsdp = le64_of(req->tables),
		.memmap = le64_of(BOOT_MEMMAP),
		.nr_memmap = le32_of(req->nr_map),
	};
	struct pvh_module mod = {
		.gpa = le64_of(job->res->initrd.gpa),
		.len = le64_of(job->res->initrd.len),
	};

	if (job->res->initrd.len) {
		info.nr_modules = le32_of(1);
		info.modlist = le64_of(BOOT_MODLIST);
	}
	if (gmem_write(req->gm, BOOT_START_INFO, &info, sizeof(info)) ||
	    gmem_write(req->gm, BOOT_MODLIST, &mod, sizeof(mod)) ||
	    gmem_write(req->gm, BOOT_MEMMAP, req->map,
		       req->nr_map * sizeof(*req->map)))
		return error_set(err, EFAULT, "no RAM at %#x for start info",
				 BOOT_START_INFO);
	job->res->params = BOOT_START_INFO;
	return 0;
}
