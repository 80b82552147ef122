/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The ACPI tables, read back as an operating system reads them: from the RSDP
 * along the pointers. iasl, where it is installed, judges the byte code.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/x86/acpi_tables.h"
#include "boot/x86/layout.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

struct state {
	struct gmem gm;
	struct acpi_config c;
	struct error err;
};

static const struct acpi_config machine = {
	.nr_cpus = 4,
	.nr_boot_cpus = 2,
	.lapic_gpa = 0xfee00000,
	.ioapic_gpa = 0xfec00000,
	.ecam_gpa = 0xe0000000,
	.nr_buses = 1,
	.mmio32 = { 0xc0000000, 0x20000000 },
	.mmio64 = { 0x4000000000, 0x4000000000 },
	.has_serial = true,
	.serial_port = 0x3f8,
	.serial_gsi = 4,
	.power_port = 0x600,
	.ged_gsi = 5,
	.hotplug_port = 0x640,
	.hotplug_gsi = 6,
	.hotplug_state = BOOT_HOTPLUG,
};

static int setup(void **state)
{
	const struct gmem_config config = { .size = 2 * MIB };
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	gmem_init(&s->gm, &config);
	assert_int_equal(gmem_add(&s->gm, 0, 2 * MIB, &s->err), 0);
	s->c = machine;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	gmem_fini(&s->gm);
	free(s);
	return 0;
}

static int build(struct state *s)
{
	return acpi_build(&s->gm, BOOT_ACPI, BOOT_ACPI_ROOM, &s->c, &s->err);
}

static const uint8_t *at(const struct state *s, gpa_t gpa, uint64_t len)
{
	assert_true(gpa >= BOOT_ACPI &&
		    gpa + len <= BOOT_ACPI + BOOT_ACPI_ROOM);
	return gmem_ptr(&s->gm, gpa, len);
}

static void expect_sum_zero(const uint8_t *p, uint64_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	assert_int_equal(sum, 0);
}

/* A whole table whose header is in order. */
static const uint8_t *table(const struct state *s, gpa_t gpa, const char *sig)
{
	uint64_t len = le_load(at(s, gpa, 36) + 4, 4);
	const uint8_t *t = at(s, gpa, len);

	assert_true(len >= 36);
	assert_memory_equal(t, sig, 4);
	expect_sum_zero(t, len);
	return t;
}

static uint64_t table_len(const uint8_t *t)
{
	return le_load(t + 4, 4);
}

static const uint8_t *xsdt(const struct state *s)
{
	const uint8_t *r = at(s, BOOT_ACPI, 36);

	assert_memory_equal(r, "RSD PTR ", 8);
	expect_sum_zero(r, 20);
	expect_sum_zero(r, 36);
	assert_int_equal(r[15], 2);
	assert_int_equal(le_load(r + 16, 4), 0); /* no RSDT */
	assert_int_equal(le_load(r + 20, 4), 36);
	return table(s, le_load(r + 24, 8), "XSDT");
}

/* A table by its signature, from the RSDP on. */
static const uint8_t *find(const struct state *s, const char *sig)
{
	const uint8_t *x = xsdt(s), *found = NULL;
	uint64_t off;

	for (off = 36; off < table_len(x); off += 8) {
		gpa_t gpa = le_load(x + off, 8);

		assert_int_equal(gpa % 16, 0);
		if (memcmp(at(s, gpa, 4), sig, 4) != 0)
			continue;
		assert_null(found);
		found = table(s, gpa, sig);
	}
	assert_non_null(found);
	return found;
}

static const uint8_t *dsdt(const struct state *s)
{
	return table(s, le_load(find(s, "FACP") + 140, 8), "DSDT");
}

static bool dsdt_has(const struct state *s, const void *what, size_t len)
{
	const uint8_t *d = dsdt(s);

	return memmem(d, table_len(d), what, len);
}

static void test_roots(void **state)
{
	struct state *s = *state;

	assert_int_equal(build(s), 0);
	assert_int_equal(table_len(xsdt(s)), 36 + 3 * 8);
}

static void expect_port(const uint8_t *gas, uint16_t port)
{
	const uint8_t want[4] = { 1, 8, 0, 1 };

	assert_memory_equal(gas, want, 4);
	assert_int_equal(le_load(gas + 4, 8), port);
}

static void test_fadt(void **state)
{
	struct state *s = *state;
	const uint8_t *t;

	assert_int_equal(build(s), 0);
	t = find(s, "FACP");
	assert_int_equal(table_len(t), 276);
	assert_int_equal(t[8], 6);
	assert_int_equal(t[131], 5);
	assert_int_equal(le_load(t + 109, 2), 0x34);
	assert_int_equal(le_load(t + 112, 4), 0x100435);
	expect_port(t + 116, 0x602);
	assert_int_equal(t[128], 1);
	expect_port(t + 244, 0x600);
	expect_port(t + 256, 0x601);
	assert_int_equal(le_load(t + 40, 4), 0); /* X_DSDT only */
}

static void test_madt(void **state)
{
	struct state *s = *state;
	const uint8_t *t, *e;
	unsigned int i;

	assert_int_equal(build(s), 0);
	t = find(s, "APIC");
	assert_int_equal(le_load(t + 36, 4), s->c.lapic_gpa);
	assert_int_equal(le_load(t + 40, 4), 0); /* no PC-AT PIC */
	for (i = 0, e = t + 44; i < 4; i++, e += 8) {
		assert_int_equal(e[0], 0);
		assert_int_equal(e[1], 8);
		assert_int_equal(e[2], i);
		assert_int_equal(e[3], i);
		assert_int_equal(le_load(e + 4, 4), i < 2 ? 1 : 2);
	}
	assert_int_equal(e[0], 1);
	assert_int_equal(e[1], 12);
	assert_int_equal(e[2], 0);
	assert_int_equal(le_load(e + 4, 4), s->c.ioapic_gpa);
	assert_int_equal(le_load(e + 8, 4), 0);
	assert_ptr_equal(e + 12, t + table_len(t));
}

static void test_mcfg(void **state)
{
	struct state *s = *state;
	const uint8_t *t;

	s->c.nr_buses = 256;
	assert_int_equal(build(s), 0);
	t = find(s, "MCFG");
	assert_int_equal(table_len(t), 60);
	assert_int_equal(le_load(t + 44, 8), s->c.ecam_gpa);
	assert_int_equal(le_load(t + 52, 2), 0);
	assert_int_equal(t[54], 0);
	assert_int_equal(t[55], 255);
}

static void test_serial_is_optional(void **state)
{
	struct state *s = *state;

	assert_int_equal(build(s), 0);
	assert_true(dsdt_has(s, "COM1", 4));
	s->c.has_serial = false;
	assert_int_equal(build(s), 0);
	assert_false(dsdt_has(s, "COM1", 4));
}

static void test_cpus(void **state)
{
	struct state *s = *state;

	s->c.nr_cpus = 254;
	assert_int_equal(build(s), 0);
	assert_true(dsdt_has(s, "C000", 4));
	assert_true(dsdt_has(s, "C0FD", 4));
	assert_false(dsdt_has(s, "C0FE", 4));
}

/* Every room short of what is needed is told, and nothing is written behind. */
static void test_room(void **state)
{
	struct state *s = *state;
	uint64_t room;
	uint8_t *p = gmem_ptr(&s->gm, BOOT_ACPI, BOOT_ACPI_ROOM);

	for (room = 0; room < BOOT_ACPI_ROOM; room++) {
		int r;

		p[room] = 0xa5;
		r = acpi_build(&s->gm, BOOT_ACPI, room, &s->c, &s->err);
		assert_int_equal(p[room], 0xa5);
		if (!r)
			break;
		assert_int_equal(r, -ENOSPC);
	}
	assert_in_range(room, 1024, 4096);
	xsdt(s);
	assert_int_equal(acpi_build(&s->gm, 4 * MIB, 4096, &s->c, &s->err),
			 -EFAULT);
	s->c.nr_cpus = ACPI_MAX_CPUS;
	assert_int_equal(build(s), 0);
}

static void save(const char *dir, const char *name, const uint8_t *t)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(t, 1, table_len(t), f), table_len(t));
	fclose(f);
}

static void run_in(const char *dir, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", dir, command);
	if (system(line))
		fail_msg("%s: failed", line);
}

static void plug(struct state *s, unsigned int i, gpa_t gpa, uint64_t len)
{
	struct pages_job job = { .ended.fn = NULL };

	assert_int_equal(gmem_plug_begin(&s->gm, i, gpa, len, &job, &s->err),
			 0);
	assert_int_equal(gmem_plug_end(&s->gm, i, &s->err), 0);
}

/* Places for DIMMs, two of them taken. */
static void with_hotplug(struct state *s)
{
	assert_int_equal(gmem_reserve(&s->gm, 4 * GIB, 64 * GIB, &s->err), 0);
	plug(s, 0, 4 * GIB, 128 * MIB);
	plug(s, 1, 4 * GIB + 128 * MIB, 3 * GIB);
	s->c.nr_dimms = gmem_max_dimms(&s->gm);
}

/*
 * Disassemble, assemble again, and get the same bytes: lengths are minimal and
 * right, and every construct is what it was meant to be.
 */
static void round_trip(struct state *s)
{
	char dir[] = "/tmp/vmm-acpi-XXXXXX";

	assert_non_null(mkdtemp(dir));
	save(dir, "dsdt", dsdt(s));
	save(dir, "facp", find(s, "FACP"));
	save(dir, "apic", find(s, "APIC"));
	save(dir, "mcfg", find(s, "MCFG"));
	if (s->c.nr_dimms)
		save(dir, "srat", find(s, "SRAT"));
	run_in(dir, "iasl -d *.aml >log 2>&1");
	run_in(dir, "! grep -iE 'error|warning|invalid|unknown|0 Length' "
		    "log *.dsl");
	run_in(dir, "iasl -oa -va -p new dsdt.dsl >log 2>&1");
	run_in(dir, "grep -q '0 Errors, 0 Warnings, 0 Remarks' log || "
		    "{ cat log; false; }");
	/* The compiler puts its own name and sum into the header. */
	run_in(dir, "cmp -i 36 dsdt.aml new.aml");
	run_in(dir, "rm -f *.aml *.dsl log");
	assert_int_equal(rmdir(dir), 0);
}

static void test_iasl(void **state)
{
	struct state *s = *state;

	if (system("command -v iasl >/dev/null 2>&1")) {
		print_message("iasl (acpica-tools) is not installed\n");
		skip();
	}
	assert_int_equal(build(s), 0);
	round_trip(s);
	with_hotplug(s);
	assert_int_equal(build(s), 0);
	round_trip(s);
	s->c.nr_cpus = 254;
	s->c.has_serial = false;
	s->c.nr_buses = 256;
	assert_int_equal(build(s), 0);
	round_trip(s);
}

/*
 * Run a method in ACPICA's interpreter; its output must hold `want`. Since 2024
 * acpiexec raises the interrupts of a Generic Event Device itself, and at its end
 * calls what it allocated for that an error, whatever the tables say.
 */
static void execute(const char *dir, const char *call, const char *want)
{
	char line[400];

	snprintf(line, sizeof(line),
		 "acpiexec -b 'execute %s' dsdt.aml >log 2>&1; "
		 "sed -i '/Outstanding cache allocations/d' log; "
		 "! grep -iE 'error|exception|warning' log && "
		 "grep -qF '%s' log || { cat log; false; }",
		 call, want);
	run_in(dir, line);
}

#define OSC "\\_SB.PCI0._OSC "
#define OSC_UUID "(5B 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66)"

/* What the methods do: arguments and results as the guest sees them. */
static void test_methods(void **state)
{
	char dir[] = "/tmp/vmm-acpi-XXXXXX";
	struct state *s = *state;

	if (system("command -v acpiexec >/dev/null 2>&1")) {
		print_message("acpiexec (acpica-tools) is not installed\n");
		skip();
	}
	assert_int_equal(build(s), 0);
	assert_non_null(mkdtemp(dir));
	save(dir, "dsdt", dsdt(s));
	execute(dir, OSC OSC_UUID " 1 3 (01 00 00 00 1F 01 00 00 10 00 00 00)",
		"01 00 00 00 1F 01 00 00 10 00 00 00");
	execute(dir, OSC OSC_UUID " 1 3 (00 00 00 00 1F 01 00 00 1D 00 00 00)",
		"10 00 00 00 1F 01 00 00 10 00 00 00");
	execute(dir, OSC OSC_UUID " 2 3 (00 00 00 00 1F 01 00 00 10 00 00 00)",
		"08 00 00 00 1F 01 00 00 10 00 00 00");
	execute(dir, OSC "(00) 1 3 (00 00 00 00 1F 01 00 00 1D 00 00 00)",
		"04 00 00 00 1F 01 00 00 1D 00 00 00");
	execute(dir, "\\_SB.GED._EVT 5", "No object was returned");
	run_in(dir, "rm -f dsdt.aml log");
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_roots),
		CASE(test_fadt),
		CASE(test_madt),
		CASE(test_mcfg),
		CASE(test_serial_is_optional),
		CASE(test_cpus),
		CASE(test_room),
		CASE(test_iasl),
		CASE(test_methods),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
