/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * vmlinux, and bare-metal programs that look like one. With a PVH note (Xen, type
 * 18, Documentation/arch/x86 "PVH boot") the kernel is entered in 32-bit mode
 * there; else at e_entry in long mode with a zero page, by the x86 boot protocol.
 */
#include <string.h>

#include "boot/elf.h"
#include "boot/x86/formats.h"
#include "boot/x86/pvh.h"
#include "boot/x86/zero_page.h"
#include "vmm/util.h"

#define VMLINUX_MAX_NOTES 1024
#define VMLINUX_ENTRY_END (1ULL << 32) /* the identity map ends there */

#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* COMMAND_LINE_SIZE of x86 Linux is 2048; a vmlinux does not say it. */
#define VMLINUX_CMDLINE_MAX 2047

/*
 * Look for the PVH note in one PT_NOTE segment: its entry, 32 or 64 bits wide.
 * A note that leaves its segment ends the search: what cannot be read is not
 * there.
 */
static int vmlinux_scan_notes(const struct boot_job *job, const Elf64_Phdr *ph,
			      uint64_t *entry, struct error *err)
{
	uint64_t align = ph->p_align == 8 ? 8 : 4;
	uint64_t left = ph->p_filesz, off = ph->p_offset;
	char name[sizeof("Xen")];
	Elf64_Nhdr nh;
	int r = 0;

	for (unsigned int i = 0;
	     i < VMLINUX_MAX_NOTES && left >= sizeof(nh) && !r; i++) {
		uint64_t desc_at, note_len;

		r = image_read(&job->kernel, off, &nh, sizeof(nh), err);
		if (r)
			return r;
		/* 32-bit sizes in 64-bit sums: no overflow. */
		desc_at = ALIGN_UP(sizeof(nh) + (uint64_t)nh.n_namesz, align);
		note_len = desc_at + nh.n_descsz;
		if (note_len > left)
			return 0;
		if (nh.n_type == XEN_ELFNOTE_PHYS32_ENTRY &&
		    nh.n_namesz == sizeof(name) &&
		    (nh.n_descsz == 4 || nh.n_descsz == 8)) {
			r = image_read(&job->kernel, off + sizeof(nh), name,
				       sizeof(name), err);
			if (!r && !memcmp(name, "Xen", sizeof(name)))
				return image_read(&job->kernel, off + desc_at,
						  entry, nh.n_descsz, err);
		}
		note_len = MIN(ALIGN_UP(note_len, align), left);
		off += note_len;
		left -= note_len;
	}
	return r;
}

/* *entry: 0 when there is none. */
static int vmlinux_find_pvh(const struct boot_job *job, const struct elf *elf,
			    uint64_t *entry, struct error *err)
{
	const Elf64_Phdr *ph;
	int r;

	*entry = 0;
	elf_for_each (ph, elf, PT_NOTE) {
		r = image_check(&job->kernel, ph->p_offset, ph->p_filesz,
				"notes are", err);
		if (!r)
			r = vmlinux_scan_notes(job, ph, entry, err);
		if (r || *entry)
			return r;
	}
	return 0;
}

static int vmlinux_find_entry(struct boot_job *job, const struct elf *elf,
			      struct error *err)
{
	struct boot_result *res = job->res;
	int r;

	res->kind = X86_ENTRY_PVH32;
	r = vmlinux_find_pvh(job, elf, &res->entry, err);
	if (r)
		return r;
	if (!res->entry) {
		res->kind = X86_ENTRY_LINUX64;
		res->entry = elf_entry_to_phys(elf, elf->eh.e_entry);
	}
	if (!elf_holds(elf, res->entry) || res->entry >= VMLINUX_ENTRY_END)
		return error_set(
			err, EINVAL,
			"its entry %#llx is in no segment below 4 GiB; get it again",
			llu(res->entry));
	return 0;
}

static int vmlinux_load(struct boot_job *job, struct error *err)
{
	struct elf elf;
	int r = elf_read(job, &elf, err);

	if (!r)
		r = vmlinux_find_entry(job, &elf, err);
	if (r)
		return r;
	job->cmdline_max = VMLINUX_CMDLINE_MAX;
	job->initrd_max = VMLINUX_ENTRY_END - 1;
	return elf_load_segments(job, &elf, err);
}

static int vmlinux_describe(struct boot_job *job, struct error *err)
{
	if (job->res->kind == X86_ENTRY_PVH32)
		return pvh_describe(job, err);
	return zero_page_describe(job, NULL, 0, err);
}

const struct boot_format boot_format_vmlinux = {
	.probe = elf_probe,
	.load = vmlinux_load,
	.describe = vmlinux_describe,
};
