/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_ELF_H
#define BOOT_ELF_H

#include <elf.h>

#include "boot/format.h"

/*
 * What ports make formats of: how an ELF kernel is read and loaded. Where it is
 * entered, and with what, is the port's. boot_load()'s thread.
 */
#define ELF_MAX_PHDRS 64

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[ELF_MAX_PHDRS]; /* eh.e_phnum */
};

/* boot_format.probe(): is it an ELF file? */
bool elf_probe(const struct boot_job *job);

/* Check the header, for this machine, and claim what the segments take. -errno
 * with a message, as boot_format.load(). */
int elf_read(struct boot_job *job, struct elf *elf, struct error *err);

/* Load what elf_read() claimed. -errno with a message. */
int elf_load_segments(struct boot_job *job, const struct elf *elf,
		      struct error *err);

/* The next program header of this type behind ph (NULL: the first one); of
 * PT_LOAD, one that takes memory. NULL: there is none. */
const Elf64_Phdr *elf_next(const struct elf *elf, const Elf64_Phdr *ph,
			   uint32_t type);

#define elf_for_each(ph, elf, type)                  \
	for ((ph) = elf_next(elf, NULL, type); (ph); \
	     (ph) = elf_next(elf, ph, type))

/*
 * e_entry as a physical address. Linux' is one already (phys_startup_64);
 * others follow the ABI and give a virtual address of an executable segment.
 * Linux' per-CPU segment starts at virtual 0, so a match in data says nothing.
 */
uint64_t elf_entry_to_phys(const struct elf *elf, uint64_t entry);

/* Does a segment take this physical address? */
bool elf_holds(const struct elf *elf, uint64_t paddr);

#endif
