/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * ELF64 kernels (System V gABI chapters 4 and 5): Linux' vmlinux and bare-metal
 * programs. PT_LOAD segments go to their physical addresses.
 *
 * Segments are aligned to pages in memory and in the file by every usual
 * linker, so read-only data is mapped and shared with every guest that boots
 * the same file, in whole huge pages of the guest. The rest is read into memory
 * of its own, which then can have huge pages on the host: a page that is mapped
 * and written costs two exits, and each page of a half-mapped huge page one.
 * The kernel writes to its data, and to its code too, as Linux patches nearly
 * every page of it while it starts.
 */
#include "boot/elf.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util.h"

#define ELF_MAX_SECTIONS 64 /* looked at; code and constants come first */
#define ELF_PAGE 4096
#define ELF_BLOCK (2 * MIB) /* a huge page */

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN,
	       "headers are read in host order");

/* What the section headers say of a segment; nr 0: nothing. */
struct elf_sections {
	Elf64_Shdr sh[ELF_MAX_SECTIONS];
	unsigned int nr;
	uint64_t last_written; /* offset in the file; 0: none */
};

static const struct elf_machine {
	uint16_t id;
	const char *name;
} elf_machines[] = {
	{ EM_386, "i386" },    { EM_X86_64, "x86_64" },
	{ EM_ARM, "arm" },     { EM_AARCH64, "aarch64" },
	{ EM_RISCV, "riscv" }, { EM_PPC64, "ppc64" },
	{ EM_S390, "s390" },   { EM_MIPS, "mips" },
	{ 258, "loongarch" },
};

const Elf64_Phdr *elf_next(const struct elf *elf, const Elf64_Phdr *ph,
			   uint32_t type)
{
	for (ph = ph ? ph + 1 : elf->ph; ph < elf->ph + elf->eh.e_phnum; ph++)
		if (ph->p_type == type && (ph->p_memsz || type != PT_LOAD))
			return ph;
	return NULL;
}

bool elf_probe(const struct boot_job *job)
{
	return job->head_len >= SELFMAG && !memcmp(job->head, ELFMAG, SELFMAG);
}

static int elf_wrong_machine(const struct boot_job *job, uint16_t machine,
			     struct error *err)
{
	const char *ours = job->req->machine->name;
	char name[32];

	snprintf(name, sizeof(name), "ELF machine %u", machine);
	for (unsigned int i = 0; i < ARRAY_SIZE(elf_machines); i++)
		if (elf_machines[i].id == machine)
			snprintf(name, sizeof(name), "%s",
				 elf_machines[i].name);
	return error_set(err, ENOEXEC,
			 "is for %s, this machine is %s; give a kernel for %s",
			 name, ours, ours);
}

static int elf_check_header(const struct boot_job *job, Elf64_Ehdr *eh,
			    struct error *err)
{
	const uint8_t *ident = job->head;

	*eh = (Elf64_Ehdr){ 0 };
	if (job->head_len < sizeof(*eh))
		return error_set(
			err, EINVAL,
			"is truncated: an ELF header has %zu bytes, the file %zu; get it again",
			sizeof(*eh), job->head_len);
	memcpy(eh, job->head, sizeof(*eh));
	if (ident[EI_DATA] == ELFDATA2LSB &&
	    eh->e_machine != job->req->machine->elf_machine)
		return elf_wrong_machine(job, eh->e_machine, err);
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
		return error_set(
			err, ENOEXEC,
			"is not a 64-bit little-endian ELF file; give a kernel for %s",
			job->req->machine->name);
	if (ident[EI_VERSION] != EV_CURRENT || eh->e_version != EV_CURRENT)
		return error_set(err, EINVAL,
				 "has unknown ELF versions %u and %u; get it "
				 "again",
				 ident[EI_VERSION], eh->e_version);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return error_set(
			err, ENOEXEC,
			"is an ELF file of type %u, not an executable; give a vmlinux",
			eh->e_type);
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return error_set(
			err, EINVAL,
			"has program headers of %u bytes, not %zu; get it again",
			eh->e_phentsize, sizeof(Elf64_Phdr));
	if (!eh->e_phnum || eh->e_phnum > ELF_MAX_PHDRS)
		return error_set(
			err, EINVAL,
			"has %u program headers, 1 to %d are possible; get it again",
			eh->e_phnum, ELF_MAX_PHDRS);
	return 0;
}

static int elf_claim_segment(struct boot_job *job, const Elf64_Phdr *ph,
			     unsigned int index, struct error *err)
{
	char what[32];
	int r;

	if (ph->p_filesz > ph->p_memsz)
		return error_set(
			err, EINVAL,
			"segment %u: %#llx bytes in the file, but %#llx in memory; get it again",
			index, llu(ph->p_filesz), llu(ph->p_memsz));
	snprintf(what, sizeof(what), "segment %u is", index);
	r = image_check(&job->kernel, ph->p_offset, ph->p_filesz, what, err);
	return r ? r
		 : space_claim(&job->space, ph->p_paddr, ph->p_memsz,
			       "a segment", err);
}

static int elf_claim_segments(struct boot_job *job, const struct elf *elf,
			      struct error *err)
{
	const Elf64_Phdr *ph;
	unsigned int nr = 0;
	int r;

	elf_for_each (ph, elf, PT_LOAD) {
		r = elf_claim_segment(job, ph, (unsigned int)(ph - elf->ph),
				      err);
		if (r)
			return r;
		nr++;
	}
	return nr ? 0
		  : error_set(err, EINVAL,
			      "has nothing to load; give a vmlinux");
}

/* RAM reads as zero, but the page with the file's last bytes may not. */
static int elf_clear_tail(struct gmem *gm, const Elf64_Phdr *ph)
{
	uint64_t used = ph->p_paddr % ELF_PAGE + ph->p_filesz;
	uint64_t len = MIN(ph->p_memsz - ph->p_filesz,
			   (ELF_PAGE - used % ELF_PAGE) % ELF_PAGE);
	void *p = gmem_ptr(gm, ph->p_paddr + ph->p_filesz, len);

	if (!len)
		return 0;
	if (!p)
		return -EFAULT;
	memset(p, 0, len);
	return 0;
}

/* ---- what to share with other guests ---- */

static bool elf_section_touches(const Elf64_Shdr *sh, uint64_t off,
				uint64_t len)
{
	return sh->sh_type == SHT_PROGBITS &&
	       (sh->sh_offset < off ? sh->sh_size > off - sh->sh_offset
				    : sh->sh_offset - off < len);
}

/*
 * Linux writes to the end of its .rodata while it starts (__ro_after_init), and
 * so that section is writable in a segment that is not. Returns the offset in
 * the file of the last byte of the largest such section; 0: there is none.
 */
static uint64_t elf_last_written(const struct elf_sections *sections,
				 const Elf64_Phdr *ph)
{
	uint64_t most = 0, last = 0;

	for (unsigned int i = 0; i < sections->nr; i++) {
		const Elf64_Shdr *sh = &sections->sh[i];

		if (!(sh->sh_flags & SHF_WRITE) || sh->sh_size <= most ||
		    !elf_section_touches(sh, ph->p_offset, ph->p_filesz))
			continue;
		most = sh->sh_size;
		last = sh->sh_offset + sh->sh_size - 1;
	}
	return last;
}

/* Only a hint: none where the headers are not there, or odd. */
static void elf_read_sections(const struct boot_job *job, const struct elf *elf,
			      const Elf64_Phdr *ph,
			      struct elf_sections *sections)
{
	unsigned int nr = MIN(elf->eh.e_shnum, ELF_MAX_SECTIONS);
	uint64_t len = nr * sizeof(sections->sh[0]);

	sections->nr = 0;
	if (elf->eh.e_shentsize == sizeof(sections->sh[0]) &&
	    !image_read(&job->kernel, elf->eh.e_shoff, sections->sh, len, NULL))
		sections->nr = nr;
	sections->last_written = elf_last_written(sections, ph);
}

/* Where the huge page with byte `at` of a segment ends in it. */
static uint64_t elf_block_end(const Elf64_Phdr *ph, uint64_t at)
{
	uint64_t left = ELF_BLOCK - (ph->p_paddr + at) % ELF_BLOCK;

	return at + MIN(left, ph->p_filesz - at);
}

/* Map what of a segment is in the huge page with byte `at`, or read it? Only
 * whole huge pages are mapped, that the kernel leaves as they are in the file. */
static bool elf_is_mapped(const struct elf_sections *sections,
			  const Elf64_Phdr *ph, uint64_t at)
{
	uint64_t last = sections->last_written, off = ph->p_offset + at;

	if (elf_block_end(ph, at) - at != ELF_BLOCK)
		return false;
	if (!sections->nr)
		return !(ph->p_flags & PF_X);
	for (unsigned int i = 0; i < sections->nr; i++)
		if (sections->sh[i].sh_flags & SHF_EXECINSTR &&
		    elf_section_touches(&sections->sh[i], off, ELF_BLOCK))
			return false;
	return !last || last - off >= ELF_BLOCK;
}

/* A segment that is not writable, in runs of huge pages of one kind. */
static int elf_load_constant(struct boot_job *job, const struct elf *elf,
			     const Elf64_Phdr *ph, struct error *err)
{
	struct elf_sections sections;
	uint64_t at, end;
	int r = 0;

	elf_read_sections(job, elf, ph, &sections);
	for (at = 0; at < ph->p_filesz && !r; at = end) {
		bool map = elf_is_mapped(&sections, ph, at);

		end = elf_block_end(ph, at);
		while (end < ph->p_filesz &&
		       elf_is_mapped(&sections, ph, end) == map)
			end = elf_block_end(ph, end);
		r = image_load(&job->kernel, ph->p_offset + at, end - at,
			       job->req->gm, ph->p_paddr + at, map, err);
	}
	return r;
}

int elf_load_segments(struct boot_job *job, const struct elf *elf,
		      struct error *err)
{
	struct gmem *gm = job->req->gm;
	const Elf64_Phdr *ph;
	int r;

	elf_for_each (ph, elf, PT_LOAD) {
		unsigned int i = (unsigned int)(ph - elf->ph);

		if (ph->p_flags & PF_W)
			r = image_load(&job->kernel, ph->p_offset, ph->p_filesz,
				       gm, ph->p_paddr, false, err);
		else
			r = elf_load_constant(job, elf, ph, err);
		if (!r && elf_clear_tail(gm, ph))
			r = error_set(err, EFAULT,
				      "segment %u is not inside RAM", i);
		if (r)
			return error_prefix(err, r, "segment %u", i);
	}
	return 0;
}

int elf_read(struct boot_job *job, struct elf *elf, struct error *err)
{
	int r = elf_check_header(job, &elf->eh, err);

	if (!r)
		r = image_read(&job->kernel, elf->eh.e_phoff, elf->ph,
			       elf->eh.e_phnum * sizeof(elf->ph[0]), err);
	return r ? r : elf_claim_segments(job, elf, err);
}

uint64_t elf_entry_to_phys(const struct elf *elf, uint64_t entry)
{
	const Elf64_Phdr *ph;

	elf_for_each (ph, elf, PT_LOAD)
		if (ph->p_flags & PF_X && entry - ph->p_vaddr < ph->p_memsz)
			return entry - ph->p_vaddr + ph->p_paddr;
	return entry;
}

bool elf_holds(const struct elf *elf, uint64_t paddr)
{
	const Elf64_Phdr *ph;

	elf_for_each (ph, elf, PT_LOAD)
		if (paddr - ph->p_paddr < ph->p_memsz)
			return true;
	return false;
}
