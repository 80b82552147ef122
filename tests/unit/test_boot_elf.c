/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* ELF kernels, built here byte by byte. */
#include "boot_fixture.h"

#include <elf.h>
#include <stdlib.h>

/*
 * The file: header, program headers (text, data, note), the note at NOTE_OFF,
 * text at TEXT_OFF, data behind it, junk at the end that is in no segment.
 */
#define NOTE_OFF 0x200
#define TEXT_OFF 0x1000
#define TEXT_LEN 0x1800
#define DATA_OFF (TEXT_OFF + TEXT_LEN)
#define DATA_LEN 0x123
#define DATA_MEM 0x5000
#define FILE_END (DATA_OFF + DATA_LEN)
#define JUNK_LEN 0x2000

#define TEXT_GPA 0x1000000
#define DATA_GPA 0x1200000
#define VIRT 0xffffffff80000000ULL

struct image_file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	uint8_t gap[NOTE_OFF - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
	Elf64_Nhdr other;
	char other_name[4];
	uint8_t other_desc[8]; /* 5 used */
	Elf64_Nhdr nh;
	char name[4];
	uint64_t desc;
	uint8_t gap2[TEXT_OFF - NOTE_OFF - 2 * sizeof(Elf64_Nhdr) - 24];
	uint8_t text[TEXT_LEN];
	uint8_t data[DATA_LEN];
	uint8_t junk[JUNK_LEN];
} __attribute__((packed));

_Static_assert(offsetof(struct image_file, other) == NOTE_OFF, "layout");
_Static_assert(offsetof(struct image_file, text) == TEXT_OFF, "layout");

struct state {
	struct fixture f;
	struct image_file e;
};

static void make_image(struct image_file *e)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->eh.e_ident, ELFMAG, SELFMAG);
	e->eh.e_ident[EI_CLASS] = ELFCLASS64;
	e->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e->eh.e_ident[EI_VERSION] = EV_CURRENT;
	e->eh.e_type = ET_EXEC;
	e->eh.e_machine = EM_X86_64;
	e->eh.e_version = EV_CURRENT;
	e->eh.e_entry = TEXT_GPA + 0x40;
	e->eh.e_phoff = sizeof(e->eh);
	e->eh.e_ehsize = sizeof(e->eh);
	e->eh.e_phentsize = sizeof(e->ph[0]);
	e->eh.e_phnum = 3;
	e->ph[0] = (Elf64_Phdr){ PT_LOAD,	  PF_R | PF_X, TEXT_OFF,
				 VIRT + TEXT_GPA, TEXT_GPA,    TEXT_LEN,
				 TEXT_LEN,	  0x200000 };
	e->ph[1] = (Elf64_Phdr){ PT_LOAD,	  PF_R | PF_W, DATA_OFF,
				 VIRT + DATA_GPA, DATA_GPA,    DATA_LEN,
				 DATA_MEM,	  0x200000 };
	e->ph[2] = (Elf64_Phdr){ PT_NOTE, PF_R, NOTE_OFF, 0, 0, 24 + 24, 0, 4 };
	e->other = (Elf64_Nhdr){ 4, 5, 1 };
	memcpy(e->other_name, "GNU", 4);
	e->nh = (Elf64_Nhdr){ 4, 8, 18 };
	memcpy(e->name, "Xen", 4);
	e->desc = TEXT_GPA + 0x80;
	memset(e->text, 0x11, sizeof(e->text));
	memset(e->data, 0x22, sizeof(e->data));
	memset(e->junk, 0x33, sizeof(e->junk));
}

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	fixture_init(&s->f);
	make_image(&s->e);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	fixture_fini(&s->f);
	free(s);
	return 0;
}

static int boot(struct state *s)
{
	return fixture_boot(&s->f, &s->e, sizeof(s->e));
}

static void expect_refusal(struct state *s, int code, const char *part)
{
	assert_int_equal(boot(s), -code);
	fixture_expect_error(&s->f, "--kernel K: ");
	fixture_expect_error(&s->f, part);
	assert_int_equal(s->f.res.entry, 0);
}

static void expect_loaded(const struct state *s)
{
	static const uint8_t zero[DATA_MEM];

	fixture_expect_bytes(&s->f, TEXT_GPA, s->e.text, TEXT_LEN);
	fixture_expect_bytes(&s->f, TEXT_GPA + TEXT_LEN, zero, 0x1000);
	fixture_expect_bytes(&s->f, DATA_GPA, s->e.data, DATA_LEN);
	fixture_expect_bytes(&s->f, DATA_GPA + DATA_LEN, zero,
			     DATA_MEM - DATA_LEN);
}

static void test_pvh(void **state)
{
	struct state *s = *state;

	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_PVH32);
	assert_int_equal(s->f.res.entry, TEXT_GPA + 0x80);
	assert_int_equal(s->f.res.params, BOOT_START_INFO);
	expect_loaded(s);
}

static void test_pvh_short_note(void **state)
{
	struct state *s = *state;

	s->e.nh.n_descsz = 4;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_PVH32);
	assert_int_equal(s->f.res.entry, TEXT_GPA + 0x80);
}

static void test_no_note(void **state)
{
	struct state *s = *state;

	s->e.eh.e_phnum = 2;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
	assert_int_equal(s->f.res.entry, TEXT_GPA + 0x40);
	assert_int_equal(s->f.res.params, BOOT_ZERO_PAGE);
	expect_loaded(s);
}

/* A note of another owner or type, or a broken one, is no PVH note. */
static void test_other_notes(void **state)
{
	struct state *s = *state;

	memcpy(s->e.name, "Yen", 4);
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
	make_image(&s->e);
	s->e.nh.n_type = 17;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
	make_image(&s->e);
	s->e.nh.n_descsz = 9;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
	make_image(&s->e);
	s->e.other.n_namesz = UINT32_MAX;
	s->e.other.n_descsz = UINT32_MAX;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
	make_image(&s->e);
	s->e.ph[2].p_filesz = 24 + 23;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.kind, X86_ENTRY_LINUX64);
}

static void test_virtual_entry(void **state)
{
	struct state *s = *state;

	s->e.eh.e_phnum = 2;
	s->e.eh.e_entry = VIRT + TEXT_GPA + 0x44;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.entry, TEXT_GPA + 0x44);

	/* Linux' per-CPU data: virtual addresses that mean nothing here. */
	s->e.ph[1].p_vaddr = TEXT_GPA;
	s->e.eh.e_entry = TEXT_GPA + 0x44;
	assert_int_equal(boot(s), 0);
	assert_int_equal(s->f.res.entry, TEXT_GPA + 0x44);
}

static void test_entry_outside(void **state)
{
	struct state *s = *state;

	s->e.desc = TEXT_GPA + TEXT_LEN;
	expect_refusal(s, EINVAL, "entry");
	s->e.eh.e_phnum = 2;
	s->e.eh.e_entry = 0;
	expect_refusal(s, EINVAL, "entry");
	s->e.eh.e_entry = UINT64_MAX;
	expect_refusal(s, EINVAL, "entry");
}

static void test_wrong_machine(void **state)
{
	struct state *s = *state;

	s->e.eh.e_machine = EM_AARCH64;
	expect_refusal(s, ENOEXEC, "is for aarch64, this machine is x86_64");
	s->e.eh.e_machine = 0xfeed;
	expect_refusal(s, ENOEXEC, "is for ELF machine 65261");
	s->e.eh.e_machine = EM_386;
	s->e.eh.e_ident[EI_CLASS] = ELFCLASS32;
	expect_refusal(s, ENOEXEC, "is for i386");
}

static void test_bad_header(void **state)
{
	struct state *s = *state;

	s->e.eh.e_ident[EI_CLASS] = ELFCLASS32;
	expect_refusal(s, ENOEXEC, "64-bit");
	make_image(&s->e);
	s->e.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	expect_refusal(s, ENOEXEC, "little-endian");
	make_image(&s->e);
	s->e.eh.e_version = 2;
	expect_refusal(s, EINVAL, "version");
	make_image(&s->e);
	s->e.eh.e_type = ET_REL;
	expect_refusal(s, ENOEXEC, "type 1");
	make_image(&s->e);
	s->e.eh.e_phentsize = 32;
	expect_refusal(s, EINVAL, "32 bytes");
	make_image(&s->e);
	s->e.eh.e_phnum = 0;
	expect_refusal(s, EINVAL, "0 program headers");
	s->e.eh.e_phnum = PN_XNUM;
	expect_refusal(s, EINVAL, "65535 program headers");
	make_image(&s->e);
	s->e.eh.e_phoff = UINT64_MAX - 8;
	expect_refusal(s, EINVAL, "truncated");
	s->e.eh.e_phoff = sizeof(s->e) - 100;
	expect_refusal(s, EINVAL, "truncated");
	make_image(&s->e);
	s->e.ph[0].p_type = s->e.ph[1].p_type = PT_NULL;
	expect_refusal(s, EINVAL, "nothing to load");
}

static void test_bad_segments(void **state)
{
	struct state *s = *state;

	s->e.ph[0].p_filesz = TEXT_LEN + 1;
	expect_refusal(s, EINVAL, "segment 0: 0x1801 bytes");
	make_image(&s->e);
	s->e.ph[0].p_offset = UINT64_MAX - 0x10;
	expect_refusal(s, EINVAL, "truncated: segment 0");
	make_image(&s->e);
	s->e.ph[1].p_filesz = s->e.ph[1].p_memsz = UINT64_MAX;
	expect_refusal(s, EINVAL, "truncated: segment 1");
	make_image(&s->e);
	s->e.ph[1].p_memsz = UINT64_MAX;
	expect_refusal(s, EINVAL, "not an address range");
	s->e.ph[1].p_memsz = UINT64_MAX - DATA_GPA;
	expect_refusal(s, ENOSPC, "not inside RAM");
	make_image(&s->e);
	s->e.ph[1].p_paddr = UINT64_MAX - 0x100;
	expect_refusal(s, EINVAL, "not an address range");
	make_image(&s->e);
	s->e.ph[2].p_offset = UINT64_MAX;
	expect_refusal(s, EINVAL, "truncated: notes");
}

static void test_ram_limits(void **state)
{
	struct state *s = *state;

	s->e.ph[1].p_paddr = FIXTURE_RAM - DATA_MEM;
	assert_int_equal(boot(s), 0);
	s->e.ph[1].p_paddr++;
	expect_refusal(s, ENOSPC, "not inside RAM; give more --memory");
	s->e.ph[1].p_paddr = FIXTURE_RAM;
	expect_refusal(s, ENOSPC, "not inside RAM");
	s->e.ph[1].p_paddr = 0x9f000; /* into the hole */
	expect_refusal(s, ENOSPC, "not inside RAM");
}

static void test_overlaps(void **state)
{
	struct state *s = *state;

	s->e.ph[1].p_paddr = TEXT_GPA + TEXT_LEN;
	assert_int_equal(boot(s), 0);
	s->e.ph[1].p_paddr--;
	expect_refusal(s, EINVAL, "overlaps a segment");
	s->e.ph[1].p_paddr = BOOT_LOW_END;
	assert_int_equal(boot(s), 0);
	s->e.ph[1].p_paddr--;
	expect_refusal(s, EINVAL, "overlaps the boot structures");
	s->e.ph[1].p_paddr = 0;
	expect_refusal(s, EINVAL, "overlaps the boot structures");
}

static void test_truncated(void **state)
{
	struct state *s = *state;
	size_t len;

	for (len = 1; len < FILE_END; len++) {
		assert_true(fixture_boot(&s->f, &s->e, len) < 0);
		fixture_expect_error(&s->f, "--kernel K: ");
	}
	assert_int_equal(fixture_boot(&s->f, &s->e, FILE_END), 0);
	assert_int_equal(fixture_boot(&s->f, &s->e, 0), -EINVAL);
	fixture_expect_error(&s->f, "is empty");
}

/* Neither alignment nor sharing may change what is loaded. */
static void test_unaligned(void **state)
{
	struct state *s = *state;
	unsigned int shift;

	for (shift = 1; shift < 0x1000; shift += 0x7ff) {
		make_image(&s->e);
		s->e.ph[0].p_offset += shift;
		assert_int_equal(boot(s), 0);
		fixture_expect_bytes(&s->f, TEXT_GPA, s->e.text + shift,
				     TEXT_LEN - shift);
	}
}

/* What an earlier life left behind the file's last byte is cleared. */
static void test_dirty_tail(void **state)
{
	struct state *s = *state;
	static const uint8_t zero[0x1000 - DATA_LEN];

	assert_int_equal(boot(s), 0);
	memset(gmem_ptr(&s->f.gm, DATA_GPA, 0x1000), 0xff, 0x1000);
	assert_int_equal(boot_load(&s->f.req, &s->f.res, &s->f.err), 0);
	fixture_expect_bytes(&s->f, DATA_GPA + DATA_LEN, zero, sizeof(zero));
}

static void test_not_a_file(void **state)
{
	struct state *s = *state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	s->f.req.kernel_fd = fds[0];
	assert_int_equal(boot_load(&s->f.req, &s->f.res, &s->f.err), -EINVAL);
	fixture_expect_error(&s->f, "not a regular file");
	close(fds[0]);
	close(fds[1]);
	s->f.req.kernel_fd = -1;
	assert_int_equal(boot_load(&s->f.req, &s->f.res, &s->f.err), -EBADF);
}

/* A segment of six huge pages and the sections in it, as Linux has them. */
#define BIG_OFF 0x200000
#define BIG_LEN (5 * BIG_BLOCK + 0x100000)
#define BIG_BLOCK 0x200000ull
#define BIG_FILE (BIG_OFF + BIG_LEN)

struct big_file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[1];
	Elf64_Shdr sh[4];
};

static struct big_file *make_big(void)
{
	struct big_file *b = calloc(1, BIG_FILE);
	struct image_file e;
	uint8_t *p = (uint8_t *)b;
	unsigned int i;

	assert_non_null(b);
	make_image(&e);
	for (i = 0; i < BIG_LEN; i += 64)
		p[BIG_OFF + i] = (uint8_t)(i >> 12);
	b->eh = e.eh;
	b->eh.e_phnum = 1;
	b->eh.e_shoff = offsetof(struct big_file, sh);
	b->eh.e_shentsize = sizeof(b->sh[0]);
	b->eh.e_shnum = ARRAY_SIZE(b->sh);
	b->ph[0] = e.ph[0];
	b->ph[0].p_offset = BIG_OFF;
	b->ph[0].p_filesz = b->ph[0].p_memsz = BIG_LEN;
	b->sh[1] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS, /* .text */
				 .sh_flags = SHF_EXECINSTR,
				 .sh_offset = BIG_OFF,
				 .sh_size = BIG_BLOCK + 0x50000 };
	b->sh[2] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS, /* .rodata */
				 .sh_flags = SHF_WRITE,
				 .sh_offset = BIG_OFF + BIG_BLOCK + 0x50000,
				 .sh_size = 2 * BIG_BLOCK };
	b->sh[3] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS, /* __modver */
				 .sh_flags = SHF_WRITE,
				 .sh_offset = BIG_OFF + 4 * BIG_BLOCK + 64,
				 .sh_size = 64 };
	return b;
}

static void boot_big(struct state *s, const struct big_file *b)
{
	assert_int_equal(fixture_boot(&s->f, b, BIG_FILE), 0);
	fixture_expect_bytes(&s->f, TEXT_GPA, (const uint8_t *)b + BIG_OFF,
			     BIG_LEN);
}

static void expect_mapped(const struct state *s, unsigned int i,
			  unsigned int block, unsigned int nr)
{
	assert_int_equal(s->f.gm.mapped[i].gpa, TEXT_GPA + block * BIG_BLOCK);
	assert_int_equal(s->f.gm.mapped[i].len, nr * BIG_BLOCK);
}

/* Neither code, nor what is written at the end of .rodata, nor a huge page that
 * the segment fills in part. */
static void test_mapped(void **state)
{
	struct state *s = *state;
	struct big_file *b = make_big();

	boot_big(s, b);
	assert_int_equal(s->f.gm.nr_mapped, 2);
	expect_mapped(s, 0, 2, 1);
	expect_mapped(s, 1, 4, 1);
	b->ph[0].p_flags |= PF_W;
	boot_big(s, b);
	assert_int_equal(s->f.gm.nr_mapped, 0);
	free(b);
}

static void test_mapped_by_flags(void **state)
{
	struct state *s = *state;
	struct big_file *b = make_big();

	b->eh.e_shnum = 0; /* a stripped file */
	boot_big(s, b);
	assert_int_equal(s->f.gm.nr_mapped, 0);
	b->ph[0].p_flags = PF_R;
	boot_big(s, b);
	assert_int_equal(s->f.gm.nr_mapped, 1);
	expect_mapped(s, 0, 0, 5);
	free(b);
}

static void test_odd_sections(void **state)
{
	struct state *s = *state;
	struct big_file *b = make_big();

	b->sh[1].sh_size = UINT64_MAX; /* all is code */
	boot_big(s, b);
	assert_int_equal(s->f.gm.nr_mapped, 0);
	b->sh[1].sh_offset = UINT64_MAX; /* somewhere else */
	b->sh[2].sh_size = UINT64_MAX;
	boot_big(s, b);
	b->eh.e_shoff = UINT64_MAX;
	boot_big(s, b);
	b->eh.e_shoff = BIG_FILE - 8;
	boot_big(s, b);
	b->eh.e_shentsize = 1;
	boot_big(s, b);
	assert_int_equal(s->f.gm.nr_mapped, 0);
	free(b);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_pvh),
		CASE(test_mapped),
		CASE(test_mapped_by_flags),
		CASE(test_odd_sections),
		CASE(test_pvh_short_note),
		CASE(test_no_note),
		CASE(test_other_notes),
		CASE(test_virtual_entry),
		CASE(test_entry_outside),
		CASE(test_wrong_machine),
		CASE(test_bad_header),
		CASE(test_bad_segments),
		CASE(test_ram_limits),
		CASE(test_overlaps),
		CASE(test_truncated),
		CASE(test_unaligned),
		CASE(test_dirty_tail),
		CASE(test_not_a_file),
	};

	return cmocka_run_group_tests_name("boot_elf", tests, NULL, NULL);
}
