/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The aarch64 machine: Images, built here byte by byte, and the device tree that
 * its kernels are told, read back by libfdt and judged by dtc where it is there.
 */
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/vm.h"
#include "arch/arch.h"
#include "boot/aarch64/device_tree.h"
#include "boot/aarch64/machine.h"
#include "boot/boot.h"
#include "vmm/byteorder.h"

/* Of gic.c, which needs the headers of aarch64. */
#ifndef __aarch64__
bool gic_is_there(int kvm_fd unused_param)
{
	return true;
}
#endif

#define RAM (64 * MIB)
#define IMAGE_LEN 0x3210u
#define IMAGE_ROOM 0x10000u /* it asks for */
#define KERNEL BOOT_A64_KERNEL_MIN

static struct state {
	struct gmem gm;
	struct arch_host host;
	struct arch_boot boot;
	struct boot_result res;
	struct error err;
	uint8_t file[IMAGE_LEN];
	size_t len;
} s;

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static int setup(void **state unused_param)
{
	const struct gmem_config config = { .size = RAM };
	struct arch_ram ram[2];

	memset(&s, 0, sizeof(s));
	gmem_init(&s.gm, &config);
	assert_int_equal(arch_ram_layout(RAM, ram), 1);
	assert_int_equal(gmem_add(&s.gm, ram[0].gpa, ram[0].len, &s.err), 0);
	memset(s.file, 0x44, sizeof(s.file));
	memset(s.file, 0, 64);
	le_store(s.file + 16, IMAGE_ROOM, 8);
	memcpy(s.file + 56, "ARM\x64", 4);
	s.len = IMAGE_LEN;
	s.boot = (struct arch_boot){
		.req = { .gm = &s.gm,
			 .kernel_fd = -1,
			 .kernel_name = "K",
			 .initramfs_fd = -1,
			 .initramfs_name = "I",
			 .cmdline = "quiet" },
		.nr_cpus = 2,
		.max_cpus = 2,
		.has_serial = true,
		.host = &s.host,
	};
	return 0;
}

static int teardown(void **state unused_param)
{
	close_fd(&s.boot.req.kernel_fd);
	close_fd(&s.boot.req.initramfs_fd);
	gmem_fini(&s.gm);
	return 0;
}

static int load(void)
{
	struct pages_job none = { 0 };

	close_fd(&s.boot.req.kernel_fd);
	s.boot.req.kernel_fd = file_of(s.file, s.len);
	assert_int_equal(gmem_clear(&s.gm, &none), 0);
	s.err.msg[0] = '\0';
	return arch_load(&s.boot, &s.res, &s.err);
}

static void expect_refusal(int code, const char *part)
{
	assert_int_equal(load(), -code);
	if (strncmp(s.err.msg, "--kernel K: ", 12) != 0 ||
	    !strstr(s.err.msg, part))
		fail_msg("\"%s\" does not say \"%s\"", s.err.msg, part);
}

/* ---- Images ---- */

static void test_good(void **state unused_param)
{
	assert_int_equal(load(), 0);
	assert_int_equal(s.res.entry, KERNEL);
	assert_int_equal(s.res.params, BOOT_A64_FDT);
	assert_memory_equal(gmem_ptr(&s.gm, KERNEL, s.len), s.file, s.len);
}

static void test_offset(void **state unused_param)
{
	le_store(s.file + 8, 0x80000, 8);
	assert_int_equal(load(), 0);
	assert_int_equal(s.res.entry, KERNEL + 0x80000);
	le_store(s.file + 8, 2 * MIB, 8);
	expect_refusal(EINVAL, "border of 2 MiB");
	le_store(s.file + 8, UINT64_MAX, 8);
	expect_refusal(EINVAL, "border of 2 MiB");
}

static void test_size(void **state unused_param)
{
	le_store(s.file + 16, RAM - 2 * MIB, 8);
	assert_int_equal(load(), 0);
	le_store(s.file + 16, RAM - 2 * MIB + 1, 8);
	expect_refusal(ENOSPC, "not inside RAM");
	le_store(s.file + 16, UINT64_MAX, 8);
	expect_refusal(EINVAL, "not an address range");
	le_store(s.file + 16, IMAGE_LEN - 1, 8);
	expect_refusal(EINVAL, "is larger");
	le_store(s.file + 16, 0, 8);
	expect_refusal(EINVAL, "how much memory");
}

static void test_big_endian(void **state unused_param)
{
	le_store(s.file + 24, 1, 8);
	expect_refusal(EINVAL, "big-endian");
}

static void test_not_a_kernel(void **state unused_param)
{
	s.len = 63;
	expect_refusal(ENOEXEC, "aarch64");
	s.len = IMAGE_LEN;
	memset(s.file, 0, 64);
	expect_refusal(ENOEXEC, "is not a kernel; give an uncompressed Image");
	memcpy(s.file, "\x1f\x8b", 2);
	expect_refusal(ENOEXEC, "is compressed with gzip; unpack it");
	memcpy(s.file, "MZ\0\0zimg", 8);
	expect_refusal(ENOEXEC, "is an EFI zboot image");
}

static void test_cmdline_limit(void **state unused_param)
{
	char line[2049];

	memset(line, 'x', sizeof(line));
	line[2047] = '\0';
	s.boot.req.cmdline = line;
	assert_int_equal(load(), 0);
	line[2047] = 'x';
	line[2048] = '\0';
	assert_int_equal(load(), -E2BIG);
}

/* ---- the device tree ---- */

static const void *tree(void)
{
	const void *fdt = gmem_ptr(&s.gm, BOOT_A64_FDT, BOOT_A64_FDT_ROOM);

	assert_non_null(fdt);
	assert_int_equal(fdt_check_full(fdt, BOOT_A64_FDT_ROOM), 0);
	return fdt;
}

static int node(const char *path)
{
	return fdt_path_offset(tree(), path);
}

static const void *property(const char *path, const char *name, int want)
{
	int len;
	const void *p = fdt_getprop(tree(), node(path), name, &len);

	if (!p || len != want)
		fail_msg("%s of %s: %d bytes, not %d", name, path, len, want);
	return p;
}

static uint64_t cells64(const char *path, const char *name, unsigned int i,
			int want)
{
	const fdt64_t *p = property(path, name, want);

	return fdt64_ld(p + i);
}

/* dtc has nothing to say about it: no warning, and it reads it to its end. */
static void expect_no_complaint(void)
{
	char path[] = "/tmp/vmm-test-XXXXXX", command[128], said[256];
	int fd = mkstemp(path);
	size_t n;
	FILE *f;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, tree(), fdt_totalsize(tree())),
			 fdt_totalsize(tree()));
	close(fd);
	snprintf(
		command, sizeof(command),
		"command -v dtc >/dev/null || exit 0; dtc -I dtb -O null %s 2>&1",
		path);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	assert_int_equal(pclose(f), 0);
	unlink(path);
	assert_string_equal(said, "");
}

static void test_tree(void **state unused_param)
{
	s.host.has_pmu = true;
	assert_int_equal(load(), 0);
	expect_no_complaint();
	assert_string_equal(property("/chosen", "bootargs", 6), "quiet");
	assert_int_equal(cells64("/memory", "reg", 0, 16), A64_RAM_BASE);
	assert_int_equal(cells64("/memory", "reg", 1, 16), RAM);
	assert_true(node("/cpus/cpu@1") > 0);
	assert_true(node("/cpus/cpu@2") < 0);
	assert_true(node("/pmu") > 0);
	property("/gpio-keys/power", "interrupts", 12);
	assert_true(node("/chosen/linux,initrd-start") < 0);
	assert_int_equal(cells64("/interrupt-controller", "reg", 3, 32),
			 2 * A64_GICR_LEN);
	assert_string_equal(property("/chosen", "stdout-path", 16),
			    "/serial@9000000");
}

static void test_tree_without(void **state unused_param)
{
	s.boot.has_serial = false;
	s.boot.req.cmdline = NULL;
	assert_int_equal(load(), 0);
	expect_no_complaint();
	assert_true(node("/serial") < 0);
	assert_true(node("/pmu") < 0);
	property("/chosen", "bootargs", 1);
	assert_null(fdt_getprop(tree(), node("/chosen"), "stdout-path", NULL));
}

static void test_initramfs(void **state unused_param)
{
	s.boot.req.initramfs_fd = file_of("070701", 6);
	assert_int_equal(load(), 0);
	assert_int_equal(cells64("/chosen", "linux,initrd-start", 0, 8),
			 A64_RAM_BASE + RAM - 4096);
	assert_int_equal(cells64("/chosen", "linux,initrd-end", 0, 8),
			 A64_RAM_BASE + RAM - 4096 + 6);
	assert_memory_equal(gmem_ptr(&s.gm, s.res.initrd.gpa, 6), "070701", 6);
}

/* Seeds differ from boot to boot, and one from the other. */
static void test_seeds(void **state unused_param)
{
	uint8_t before[DT_SEED_LEN - 8];

	assert_int_equal(load(), 0);
	memcpy(before, property("/chosen", "rng-seed", sizeof(before)),
	       sizeof(before));
	assert_memory_not_equal(property("/chosen", "kaslr-seed", 8), before,
				8);
	assert_int_equal(load(), 0);
	assert_memory_not_equal(property("/chosen", "rng-seed", sizeof(before)),
				before, sizeof(before));
}

/* As KVM names its vCPUs: Linux, reset_mpidr(). */
static void test_many_cpus(void **state unused_param)
{
	s.boot.nr_cpus = s.boot.max_cpus = A64_MAX_CPUS;
	assert_int_equal(load(), 0);
	expect_no_complaint();
	assert_int_equal(dt_cpu_affinity(15), 0xf);
	assert_int_equal(dt_cpu_affinity(16), 0x100);
	assert_int_equal(dt_cpu_affinity(A64_MAX_CPUS - 1), 0x1f0f);
	assert_int_equal(cells64("/cpus/cpu@1f0f", "reg", 0, 8), 0x1f0f);
	assert_true(fdt_totalsize(tree()) < BOOT_A64_FDT_ROOM / 2);
}

static void test_tree_no_room(void **state unused_param)
{
	const struct dt_machine m = { .nr_cpus = 100, .nr_buses = 1 };

	assert_int_equal(dt_build(&s.gm, BOOT_A64_FDT, 4096, &m, &s.err),
			 -ENOSPC);
	assert_non_null(strstr(s.err.msg, "fewer --cpus"));
	assert_int_equal(dt_build(&s.gm, 0, 4096, &m, &s.err), -EFAULT);
}

/* ---- addresses ---- */

static void test_layout(void **state unused_param)
{
	const struct chip_place *chip;
	uint64_t len;

	/* PCI memory is behind RAM, and not below 4 GiB. */
	assert_int_equal(arch_pci_mmio64(&s.gm, &len), 4 * GIB);
	assert_int_equal(gmem_add(&s.gm, 4 * GIB, 2 * MIB, &s.err), 0);
	assert_int_equal(arch_pci_mmio64(&s.gm, &len), 5 * GIB);
	assert_int_equal(len, A64_PCI_MMIO64_LEN);
	for (chip = arch_chips; chip->class; chip++) {
		assert_false(chip->pio);
		assert_true(chip->base < A64_RAM_BASE &&
			    chip->gsi < A64_NR_SPIS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_good),	    T(test_offset),	  T(test_size),
		T(test_big_endian), T(test_not_a_kernel), T(test_cmdline_limit),
		T(test_tree),	    T(test_tree_without), T(test_initramfs),
		T(test_seeds),	    T(test_many_cpus),	  T(test_tree_no_room),
		T(test_layout),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
