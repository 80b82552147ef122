/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The device tree (Devicetree Specification 0.4, and the bindings of Linux'
 * Documentation/devicetree). It is written from its beginning to its end by
 * libfdt; the first error stays, and all that follows does nothing.
 */
#include "boot/aarch64/device_tree.h"

#include <assert.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util.h"

/* Who points to whom. */
enum dt_phandle {
	PHANDLE_GIC = 1,
	PHANDLE_ITS,
	PHANDLE_CLOCK,
};

/* Interrupts of a GIC: arm,gic-v3.yaml. */
#define GIC_SPI 0
#define GIC_PPI 1
#define GIC_EDGE_RISING 1
#define GIC_LEVEL_HIGH 4
#define GIC_LEVEL_LOW 8

#define LINUX_KEY_POWER 116 /* linux/input-event-codes.h */

/* Of a PCI address: pci-bus.yaml, "ranges". */
#define PCI_SPACE_MEM32 0x02000000u
#define PCI_SPACE_MEM64 0x43000000u /* prefetchable */

struct dt_tree {
	void *fdt;
	int r; /* of libfdt; 0: all is well so far */
};

/* ---- writing ---- */

static void dt_node(struct dt_tree *t, const char *name)
{
	if (!t->r)
		t->r = fdt_begin_node(t->fdt, name);
}

static void dt_node_at(struct dt_tree *t, const char *name, uint64_t address)
{
	char unit[48];

	snprintf(unit, sizeof(unit), "%s@%llx", name, llu(address));
	dt_node(t, unit);
}

static void dt_end(struct dt_tree *t)
{
	if (!t->r)
		t->r = fdt_end_node(t->fdt);
}

static void dt_bytes(struct dt_tree *t, const char *name, const void *p,
		     size_t len)
{
	if (!t->r)
		t->r = fdt_property(t->fdt, name, p, (int)len);
}

static void dt_flag(struct dt_tree *t, const char *name)
{
	dt_bytes(t, name, NULL, 0);
}

static void dt_text(struct dt_tree *t, const char *name, const char *text)
{
	dt_bytes(t, name, text, strlen(text) + 1);
}

/* The text of several strings, with a NUL between each two. */
#define dt_texts(t, name, texts) dt_bytes(t, name, texts, sizeof(texts))

static void dt_number(struct dt_tree *t, const char *name, uint32_t v)
{
	if (!t->r)
		t->r = fdt_property_u32(t->fdt, name, v);
}

static void dt_cells_write(struct dt_tree *t, const char *name,
			   const uint32_t *cells, unsigned int nr)
{
	fdt32_t be[32];

	assert(nr <= ARRAY_SIZE(be));
	for (unsigned int i = 0; i < nr; i++)
		be[i] = cpu_to_fdt32(cells[i]);
	dt_bytes(t, name, be, nr * sizeof(be[0]));
}

/* Cells of 32 bits. */
#define dt_cells(t, name, ...)                                     \
	dt_cells_write(t, name, (const uint32_t[]){ __VA_ARGS__ }, \
		       sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

/* A number, or the start of a range, of two cells. */
#define CELLS64(v) (uint32_t)((uint64_t)(v) >> 32), (uint32_t)(v)
#define CELLS_RANGE(w) CELLS64((w)->base), CELLS64((w)->len)

static void dt_size_cells(struct dt_tree *t, uint32_t address, uint32_t size)
{
	dt_number(t, "#address-cells", address);
	dt_number(t, "#size-cells", size);
}

/* ---- what there is ---- */

static void dt_chosen(struct dt_tree *t, const struct dt_machine *m)
{
	char path[48];

	dt_node(t, "chosen");
	dt_text(t, "bootargs", m->cmdline ? m->cmdline : "");
	if (m->serial.len) {
		snprintf(path, sizeof(path), "/serial@%llx",
			 llu(m->serial.base));
		dt_text(t, "stdout-path", path);
	}
	if (m->initrd.len) {
		dt_cells(t, "linux,initrd-start", CELLS64(m->initrd.gpa));
		dt_cells(t, "linux,initrd-end",
			 CELLS64(m->initrd.gpa + m->initrd.len));
	}
	/* The first eight choose where the kernel is, the rest feeds its random
	 * numbers; it wipes both. */
	dt_bytes(t, "kaslr-seed", m->seed, 8);
	dt_bytes(t, "rng-seed", m->seed + 8, DT_SEED_LEN - 8);
	dt_end(t);
}

static void dt_memory(struct dt_tree *t, const struct gmem *gm)
{
	const struct gmem_range *r;

	gmem_for_each (r, gm) {
		if (r->kind != GMEM_RAM)
			continue;
		dt_node_at(t, "memory", r->gpa);
		dt_text(t, "device_type", "memory");
		dt_cells(t, "reg", CELLS64(r->gpa), CELLS64(r->len));
		dt_end(t);
	}
}

uint64_t dt_cpu_affinity(unsigned int index)
{
	/* Sixteen on the lowest level, as a GIC can send to no more at once. */
	return (index & 0xf) | (uint64_t)(index >> 4 & 0xff) << 8;
}

static void dt_cpus(struct dt_tree *t, const struct dt_machine *m)
{
	dt_node(t, "cpus");
	dt_size_cells(t, 2, 0);
	for (unsigned int i = 0; i < m->nr_cpus; i++) {
		dt_node_at(t, "cpu", dt_cpu_affinity(i));
		dt_text(t, "device_type", "cpu");
		dt_text(t, "compatible", "arm,armv8");
		dt_cells(t, "reg", CELLS64(dt_cpu_affinity(i)));
		dt_text(t, "enable-method", "psci");
		dt_end(t);
	}
	dt_end(t);
	dt_node(t, "psci");
	dt_texts(t, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	dt_text(t, "method", "hvc");
	dt_end(t);
}

/* What each processor has for itself; the interrupts are KVM's. */
static void dt_private(struct dt_tree *t, const struct dt_machine *m)
{
	dt_node(t, "timer");
	dt_text(t, "compatible", "arm,armv8-timer");
	/* Secure, non-secure, virtual, of the hypervisor. */
	dt_cells(t, "interrupts", GIC_PPI, 13, GIC_LEVEL_LOW, GIC_PPI, 14,
		 GIC_LEVEL_LOW, GIC_PPI, 11, GIC_LEVEL_LOW, GIC_PPI, 10,
		 GIC_LEVEL_LOW);
	dt_flag(t, "always-on");
	dt_end(t);
	if (!m->has_pmu)
		return;
	dt_node(t, "pmu");
	dt_text(t, "compatible", "arm,armv8-pmuv3");
	dt_cells(t, "interrupts", GIC_PPI, m->pmu_ppi, GIC_LEVEL_HIGH);
	dt_end(t);
}

static void dt_gic(struct dt_tree *t, const struct dt_machine *m)
{
	dt_node_at(t, "interrupt-controller", m->gic_distributor.base);
	dt_text(t, "compatible", "arm,gic-v3");
	dt_flag(t, "interrupt-controller");
	dt_number(t, "#interrupt-cells", 3);
	dt_cells(t, "reg", CELLS_RANGE(&m->gic_distributor),
		 CELLS_RANGE(&m->gic_redistributors));
	dt_size_cells(t, 2, 2);
	dt_flag(t, "ranges");
	dt_number(t, "phandle", PHANDLE_GIC);

	dt_node_at(t, "msi-controller", m->its.base);
	dt_text(t, "compatible", "arm,gic-v3-its");
	dt_flag(t, "msi-controller");
	dt_number(t, "#msi-cells", 1);
	dt_cells(t, "reg", CELLS_RANGE(&m->its));
	dt_number(t, "phandle", PHANDLE_ITS);
	dt_end(t);
	dt_end(t);
}

static void dt_pcie(struct dt_tree *t, const struct dt_machine *m)
{
	dt_node_at(t, "pcie", m->ecam.base);
	dt_text(t, "compatible", "pci-host-ecam-generic");
	dt_text(t, "device_type", "pci");
	dt_cells(t, "reg", CELLS_RANGE(&m->ecam));
	dt_cells(t, "bus-range", 0, m->nr_buses - 1);
	dt_number(t, "linux,pci-domain", 0);
	dt_size_cells(t, 3, 2);
	/* Addresses on the bus are those of the processors. */
	dt_cells(t, "ranges", PCI_SPACE_MEM32, CELLS64(m->mmio32.base),
		 CELLS_RANGE(&m->mmio32), PCI_SPACE_MEM64,
		 CELLS64(m->mmio64.base), CELLS_RANGE(&m->mmio64));
	/* A function's id at the ITS is its requester id. */
	dt_cells(t, "msi-map", 0, PHANDLE_ITS, 0, 0x10000);
	dt_flag(t, "dma-coherent");
	dt_end(t);
}

/* ARM's PrimeCells, each of which wants a clock, which does not matter here; and
 * the power button. */
static void dt_chips(struct dt_tree *t, const struct dt_machine *m)
{
	dt_node(t, "apb-pclk");
	dt_text(t, "compatible", "fixed-clock");
	dt_number(t, "#clock-cells", 0);
	dt_number(t, "clock-frequency", 24000000);
	dt_number(t, "phandle", PHANDLE_CLOCK);
	dt_end(t);
	if (m->serial.len) {
		dt_node_at(t, "serial", m->serial.base);
		dt_texts(t, "compatible", "arm,pl011\0arm,primecell");
		dt_cells(t, "reg", CELLS_RANGE(&m->serial));
		dt_cells(t, "interrupts", GIC_SPI, m->serial_spi,
			 GIC_LEVEL_HIGH);
		dt_cells(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
		dt_texts(t, "clock-names", "uartclk\0apb_pclk");
		dt_end(t);
	}
	dt_node_at(t, "rtc", m->rtc.base);
	dt_texts(t, "compatible", "arm,pl031\0arm,primecell");
	dt_cells(t, "reg", CELLS_RANGE(&m->rtc));
	dt_cells(t, "clocks", PHANDLE_CLOCK);
	dt_text(t, "clock-names", "apb_pclk");
	dt_end(t);

	dt_node(t, "gpio-keys");
	dt_text(t, "compatible", "gpio-keys");
	dt_node(t, "power");
	dt_text(t, "label", "power");
	dt_number(t, "linux,code", LINUX_KEY_POWER);
	dt_cells(t, "interrupts", GIC_SPI, m->power_spi, GIC_EDGE_RISING);
	dt_end(t);
	dt_end(t);
}

int dt_build(struct gmem *gm, gpa_t gpa, uint64_t room,
	     const struct dt_machine *m, struct error *err)
{
	struct dt_tree t = { .fdt = gmem_ptr(gm, gpa, room) };

	if (!t.fdt)
		return error_set(
			err, EFAULT,
			"--memory: no RAM at %#llx for the device tree",
			llu(gpa));
	t.r = fdt_create(t.fdt, (int)room);
	if (!t.r)
		t.r = fdt_finish_reservemap(t.fdt);
	dt_node(&t, "");
	dt_text(&t, "compatible", "linux,dummy-virt");
	dt_text(&t, "model", "vmm");
	dt_size_cells(&t, 2, 2);
	dt_number(&t, "interrupt-parent", PHANDLE_GIC);
	dt_chosen(&t, m);
	dt_memory(&t, gm);
	dt_cpus(&t, m);
	dt_private(&t, m);
	dt_gic(&t, m);
	dt_pcie(&t, m);
	dt_chips(&t, m);
	dt_end(&t);
	if (!t.r)
		t.r = fdt_finish(t.fdt);
	if (!t.r)
		return 0;
	return error_set(
		err, ENOSPC,
		"the device tree needs more than %llu KiB (%s); give fewer --cpus",
		llu(room / KIB), fdt_strerror(t.r));
}
