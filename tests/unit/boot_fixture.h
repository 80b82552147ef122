/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_BOOT_FIXTURE_H
#define TESTS_UNIT_BOOT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/boot.h"
#include "boot/x86/layout.h"
#include "boot/x86/formats.h"
#include "boot/x86/machine.h"
#include "vmm/byteorder.h"
#include "vmm/gmem.h"
#include "vmm/util.h"

/* A machine with 64 MiB of RAM and the usual hole, ready for boot_load(). */
#define FIXTURE_RAM (64 * MIB)

struct fixture {
	struct gmem gm;
	struct pages_job pages; /* nothing: no page is prefaulted */
	struct boot_range map[3];
	struct boot_request req;
	struct boot_result res;
	struct error err;
};

static inline int fixture_memfd(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static inline void fixture_init(struct fixture *f)
{
	const struct gmem_config config = { .size = FIXTURE_RAM };

	memset(f, 0, sizeof(*f));
	gmem_init(&f->gm, &config);
	assert_int_equal(gmem_add(&f->gm, 0, FIXTURE_RAM, &f->err), 0);
	f->map[0] = (struct boot_range){ 0, 0x9fc00, BOOT_RANGE_RAM };
	f->map[1] =
		(struct boot_range){ 0x9fc00, 0x60400, BOOT_RANGE_RESERVED };
	f->map[2] = (struct boot_range){ BOOT_HIGH_MEMORY,
					 FIXTURE_RAM - BOOT_HIGH_MEMORY,
					 BOOT_RANGE_RAM };
	f->req = (struct boot_request){
		.machine = &boot_machine_x86,
		.gm = &f->gm,
		.kernel_fd = -1,
		.kernel_name = "K",
		.initramfs_fd = -1,
		.initramfs_name = "I",
		.cmdline = "console=ttyS0",
		.map = f->map,
		.nr_map = ARRAY_SIZE(f->map),
		.tables = BOOT_ACPI,
	};
}

static inline void fixture_fini(struct fixture *f)
{
	close_fd(&f->req.kernel_fd);
	close_fd(&f->req.initramfs_fd);
	gmem_fini(&f->gm);
}

/* boot_load() with this file as kernel; what an earlier one left is gone. */
static inline int fixture_boot(struct fixture *f, const void *data, size_t len)
{
	close_fd(&f->req.kernel_fd);
	f->req.kernel_fd = fixture_memfd(data, len);
	assert_int_equal(gmem_clear(&f->gm, &f->pages), 0);
	f->err.msg[0] = '\0';
	return boot_load(&f->req, &f->res, &f->err);
}

static inline void fixture_initramfs(struct fixture *f, const void *data,
				     size_t len)
{
	close_fd(&f->req.initramfs_fd);
	f->req.initramfs_fd = fixture_memfd(data, len);
}

/* The last boot said this, among other words. */
static inline void fixture_expect_error(const struct fixture *f,
					const char *part)
{
	if (!strstr(f->err.msg, part))
		fail_msg("\"%s\" does not say \"%s\"", f->err.msg, part);
}

static inline uint64_t fixture_load(const struct fixture *f, gpa_t gpa,
				    unsigned int len)
{
	const void *p = gmem_ptr(&f->gm, gpa, len);

	assert_non_null(p);
	return le_load(p, len);
}

static inline void fixture_expect_bytes(const struct fixture *f, gpa_t gpa,
					const void *want, size_t len)
{
	const void *p = gmem_ptr(&f->gm, gpa, len);

	assert_non_null(p);
	assert_memory_equal(p, want, len);
}

#endif
