/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What a kernel is told: PVH start info, zero page, command line, and where
 * the initramfs goes. Offsets stand here as numbers, as the documents of the
 * two boot protocols give them, not as the code names them.
 */
#include "boot_fixture.h"

#include <elf.h>
#include <stdlib.h>

#define KERNEL_GPA 0x1000000
#define KERNEL_MEM 0x100000
#define INITRD_LEN 0x2345
#define ELF_CMDLINE 2047

struct small_elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr nh;
	char name[4];
	uint64_t desc;
	uint8_t text[64];
};

struct state {
	struct fixture f;
	struct small_elf elf;
	uint8_t bz[3 * 512 + 0x1000];
	uint8_t initrd[INITRD_LEN];
	char line[70000];
};

static void make_elf(struct small_elf *e, bool pvh)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->eh.e_ident, ELFMAG "\x02\x01\x01", 7);
	e->eh.e_type = ET_EXEC;
	e->eh.e_machine = EM_X86_64;
	e->eh.e_version = EV_CURRENT;
	e->eh.e_entry = KERNEL_GPA;
	e->eh.e_phoff = offsetof(struct small_elf, ph);
	e->eh.e_phentsize = sizeof(e->ph[0]);
	e->eh.e_phnum = pvh ? 2 : 1;
	e->ph[0] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = offsetof(struct small_elf, text),
		.p_paddr = KERNEL_GPA,
		.p_vaddr = KERNEL_GPA,
		.p_filesz = sizeof(e->text),
		.p_memsz = KERNEL_MEM,
	};
	e->ph[1] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct small_elf, nh),
		.p_filesz = 24,
		.p_align = 4,
	};
	e->nh = (Elf64_Nhdr){ 4, 8, 18 };
	memcpy(e->name, "Xen", 4);
	e->desc = KERNEL_GPA;
}

static void make_bzimage(uint8_t *bz, size_t len)
{
	memset(bz, 0xee, len);
	le_store(bz + 0x1f1, 2, 1);
	le_store(bz + 0x1f4, 0x100, 4);
	le_store(bz + 0x1fe, 0xaa55, 2);
	le_store(bz + 0x201, 0x6a, 1);
	le_store(bz + 0x202, 0x53726448, 4);
	le_store(bz + 0x206, 0x20f, 2);
	le_store(bz + 0x210, 0, 1);
	le_store(bz + 0x211, 0x81, 1);
	le_store(bz + 0x22c, 0x2ffffff, 4);
	le_store(bz + 0x230, 0x200000, 4);
	le_store(bz + 0x234, 1, 1);
	le_store(bz + 0x236, 0x7f, 2);
	le_store(bz + 0x238, 100, 4);
	le_store(bz + 0x258, KERNEL_GPA, 8);
	le_store(bz + 0x260, KERNEL_MEM, 4);
}

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	fixture_init(&s->f);
	make_elf(&s->elf, true);
	make_bzimage(s->bz, sizeof(s->bz));
	memset(s->initrd, 0x77, sizeof(s->initrd));
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

static int boot_elf(struct state *s)
{
	return fixture_boot(&s->f, &s->elf, sizeof(s->elf));
}

static int boot_bz(struct state *s)
{
	return fixture_boot(&s->f, s->bz, sizeof(s->bz));
}

static void expect_map(const struct fixture *f, gpa_t at, unsigned int stride)
{
	unsigned int i;

	for (i = 0; i < f->req.nr_map; i++, at += stride) {
		assert_int_equal(fixture_load(f, at, 8), f->map[i].gpa);
		assert_int_equal(fixture_load(f, at + 8, 8), f->map[i].len);
		assert_int_equal(fixture_load(f, at + 16, 4), f->map[i].type);
	}
}

static void expect_cmdline(const struct fixture *f, gpa_t at)
{
	fixture_expect_bytes(f, at, f->req.cmdline, strlen(f->req.cmdline) + 1);
}

static void test_pvh(void **state)
{
	struct state *s = *state;
	struct fixture *f = &s->f;
	gpa_t p, mods;

	fixture_initramfs(f, s->initrd, INITRD_LEN);
	assert_int_equal(boot_elf(s), 0);
	p = f->res.params;
	assert_int_equal(fixture_load(f, p, 4), 0x336ec578);
	assert_int_equal(fixture_load(f, p + 4, 4), 1); /* version */
	assert_int_equal(fixture_load(f, p + 8, 4), 0); /* flags */
	assert_int_equal(fixture_load(f, p + 12, 4), 1); /* modules */
	mods = fixture_load(f, p + 16, 8);
	expect_cmdline(f, fixture_load(f, p + 24, 8));
	assert_int_equal(fixture_load(f, p + 32, 8), f->req.tables);
	expect_map(f, fixture_load(f, p + 40, 8), 24);
	assert_int_equal(fixture_load(f, p + 48, 4), f->req.nr_map);
	assert_int_equal(fixture_load(f, p + 52, 4), 0);
	assert_int_equal(fixture_load(f, mods + 8, 8), INITRD_LEN);
	fixture_expect_bytes(f, fixture_load(f, mods, 8), s->initrd,
			     INITRD_LEN);
}

static void test_pvh_without_initramfs(void **state)
{
	struct state *s = *state;
	struct fixture *f = &s->f;

	f->req.cmdline = NULL;
	assert_int_equal(boot_elf(s), 0);
	assert_int_equal(fixture_load(f, f->res.params + 12, 4), 0);
	assert_int_equal(fixture_load(f, f->res.params + 16, 8), 0);
	assert_int_equal(
		fixture_load(f, fixture_load(f, f->res.params + 24, 8), 1), 0);
}

static void expect_zero_page(const struct fixture *f)
{
	gpa_t zp = f->res.params;

	assert_int_equal(f->res.kind, X86_ENTRY_LINUX64);
	assert_int_equal(fixture_load(f, zp + 0x1fe, 2), 0xaa55);
	assert_int_equal(fixture_load(f, zp + 0x202, 4), 0x53726448);
	assert_int_equal(fixture_load(f, zp + 0x206, 2), 0x20f);
	assert_int_equal(fixture_load(f, zp + 0x210, 1), 0xff);
	assert_int_equal(fixture_load(f, zp + 0x211, 1) & 1, 1);
	assert_int_equal(fixture_load(f, zp + 0x1ef, 1), 0); /* sentinel */
	assert_int_equal(fixture_load(f, zp + 0x250, 8), 0); /* setup_data */
	assert_int_equal(fixture_load(f, zp + 0x070, 8), f->req.tables);
	assert_int_equal(fixture_load(f, zp + 0x0c8, 4), 0);
	expect_cmdline(f, fixture_load(f, zp + 0x228, 4));
	assert_int_equal(fixture_load(f, zp + 0x1e8, 1), f->req.nr_map);
	expect_map(f, zp + 0x2d0, 20);
}

static void expect_ramdisk(const struct state *s)
{
	const struct fixture *f = &s->f;
	gpa_t zp = f->res.params;

	assert_int_equal(fixture_load(f, zp + 0x0c0, 4), 0);
	assert_int_equal(fixture_load(f, zp + 0x0c4, 4), 0);
	assert_int_equal(fixture_load(f, zp + 0x21c, 4), INITRD_LEN);
	fixture_expect_bytes(f, fixture_load(f, zp + 0x218, 4), s->initrd,
			     INITRD_LEN);
}

static void test_zero_page_vmlinux(void **state)
{
	struct state *s = *state;

	make_elf(&s->elf, false);
	fixture_initramfs(&s->f, s->initrd, INITRD_LEN);
	assert_int_equal(boot_elf(s), 0);
	expect_zero_page(&s->f);
	expect_ramdisk(s);
}

static void test_zero_page_bzimage(void **state)
{
	struct state *s = *state;
	gpa_t zp;

	assert_int_equal(boot_bz(s), 0);
	zp = s->f.res.params;
	expect_zero_page(&s->f);
	assert_int_equal(fixture_load(&s->f, zp + 0x21c, 4), 0);
	assert_int_equal(fixture_load(&s->f, zp + 0x218, 4), 0);
	/* The file's header and nothing around it: it ends at 0x26c. */
	assert_int_equal(fixture_load(&s->f, zp + 0x1f0, 1), 0);
	assert_int_equal(fixture_load(&s->f, zp + 0x1f1, 1), 2);
	assert_int_equal(fixture_load(&s->f, zp + 0x238, 4), 100);
	assert_int_equal(fixture_load(&s->f, zp + 0x26b, 1), 0xee);
	assert_int_equal(fixture_load(&s->f, zp + 0x26c, 1), 0);
	fixture_initramfs(&s->f, s->initrd, INITRD_LEN);
	assert_int_equal(boot_bz(s), 0);
	expect_ramdisk(s);
}

static gpa_t ramdisk(const struct state *s)
{
	return fixture_load(&s->f, s->f.res.params + 0x218, 4);
}

static void test_initrd_placement(void **state)
{
	struct state *s = *state;

	fixture_initramfs(&s->f, s->initrd, INITRD_LEN);
	/* initrd_addr_max, then RAM, then the kernel bound it. */
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(ramdisk(s), 0x3000000 - 0x3000);
	le_store(s->bz + 0x22c, 0x2fffffe, 4);
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(ramdisk(s), 0x3000000 - 0x4000);
	le_store(s->bz + 0x22c, UINT32_MAX, 4);
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(ramdisk(s), FIXTURE_RAM - 0x3000);
	le_store(s->bz + 0x22c, KERNEL_GPA + KERNEL_MEM - 1, 4);
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(ramdisk(s), KERNEL_GPA - 0x3000);
	/* Below 1 MiB the boot structures are in the way. */
	le_store(s->bz + 0x22c, 0xfffff, 4);
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(ramdisk(s), 0x9c000);
	le_store(s->bz + 0x22c, BOOT_LOW_END + 0x2fff, 4);
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(ramdisk(s), BOOT_LOW_END);
	le_store(s->bz + 0x22c, BOOT_LOW_END + 0x2ffe, 4);
	assert_int_equal(boot_bz(s), -ENOSPC);
	fixture_expect_error(&s->f, "--initramfs I: no room");
	le_store(s->bz + 0x22c, 0, 4);
	assert_int_equal(boot_bz(s), -ENOSPC);
}

static void test_initrd_too_large(void **state)
{
	struct state *s = *state;

	fixture_initramfs(&s->f, "x", 1);
	assert_int_equal(ftruncate(s->f.req.initramfs_fd, FIXTURE_RAM), 0);
	assert_int_equal(boot_elf(s), -ENOSPC);
	fixture_expect_error(&s->f, "--initramfs I: no room for 65536 KiB");
	assert_int_equal(ftruncate(s->f.req.initramfs_fd, 0), 0);
	assert_int_equal(boot_elf(s), -EINVAL);
	fixture_expect_error(&s->f, "--initramfs I: is empty");
	assert_int_equal(ftruncate(s->f.req.initramfs_fd, INT64_MAX), 0);
	assert_int_equal(boot_elf(s), -ENOSPC);
}

static void test_cmdline_limit(void **state)
{
	struct state *s = *state;

	memset(s->line, 'a', sizeof(s->line) - 1);
	s->f.req.cmdline = s->line;
	s->line[ELF_CMDLINE] = '\0';
	assert_int_equal(boot_elf(s), 0);
	expect_cmdline(&s->f, BOOT_CMDLINE);
	s->line[ELF_CMDLINE] = 'a';
	s->line[ELF_CMDLINE + 1] = '\0';
	assert_int_equal(boot_elf(s), -E2BIG);
	fixture_expect_error(&s->f, "--cmdline: 2048 bytes");
	fixture_expect_error(&s->f, "is 2047");

	assert_int_equal(boot_bz(s), -E2BIG);
	fixture_expect_error(&s->f, "limit of this kernel is 100");
	le_store(s->bz + 0x238, 2048, 4);
	assert_int_equal(boot_bz(s), 0);

	/* No kernel may ask for more than there is room. */
	le_store(s->bz + 0x238, UINT32_MAX, 4);
	s->line[ELF_CMDLINE + 1] = 'a';
	s->line[BOOT_CMDLINE_ROOM - 1] = '\0';
	assert_int_equal(boot_bz(s), 0);
	s->line[BOOT_CMDLINE_ROOM - 1] = 'a';
	assert_int_equal(boot_bz(s), -E2BIG);
	fixture_expect_error(&s->f, "limit of this kernel is 65535");
}

/* A line that is shorter than the one before it. */
static void test_cmdline_again(void **state)
{
	struct state *s = *state;

	assert_int_equal(boot_elf(s), 0);
	s->f.req.cmdline = "c";
	assert_int_equal(boot_load(&s->f.req, &s->f.res, &s->f.err), 0);
	expect_cmdline(&s->f, BOOT_CMDLINE);
}

static void test_bad_map(void **state)
{
	struct state *s = *state;

	/* A map that promises more RAM than there is. */
	s->f.map[2].len = 4 * FIXTURE_RAM;
	s->elf.ph[0].p_paddr = 2 * FIXTURE_RAM;
	s->elf.desc = 2 * FIXTURE_RAM;
	assert_int_equal(boot_elf(s), -EFAULT);
}

static void test_full_map(void **state)
{
	struct boot_range map[BOOT_MAX_RANGES];
	struct state *s = *state;
	struct fixture *f = &s->f;
	unsigned int i;

	memcpy(map, f->map, sizeof(f->map));
	for (i = ARRAY_SIZE(f->map); i < BOOT_MAX_RANGES; i++)
		map[i] = (struct boot_range){ FIXTURE_RAM + i * 4096ULL, 4096,
					      BOOT_RANGE_RESERVED };
	f->req.map = map;
	f->req.nr_map = BOOT_MAX_RANGES;
	assert_int_equal(boot_elf(s), 0);
	i--;
	assert_int_equal(fixture_load(f, BOOT_MEMMAP + i * 24, 8), map[i].gpa);
	assert_int_equal(boot_bz(s), 0);
	assert_int_equal(fixture_load(f, f->res.params + 0x2d0 + i * 20, 8),
			 map[i].gpa);
	assert_int_equal(fixture_load(f, f->res.params + 0x1e8, 1), 127);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_pvh),
		CASE(test_pvh_without_initramfs),
		CASE(test_zero_page_vmlinux),
		CASE(test_zero_page_bzimage),
		CASE(test_initrd_placement),
		CASE(test_initrd_too_large),
		CASE(test_cmdline_limit),
		CASE(test_cmdline_again),
		CASE(test_bad_map),
		CASE(test_full_map),
	};

	return cmocka_run_group_tests_name("boot_params", tests, NULL, NULL);
}
