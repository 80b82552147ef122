/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The aarch64 machine: PL011 and PL031, PCI Express by ECAM, described by a
 * device tree. Power is PSCI's, which KVM does.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/vm.h"
#include "arch/arch.h"
#include "boot/aarch64/device_tree.h"
#include "boot/aarch64/machine.h"
#include "boot/boot.h"
#include "devices/platform/chips.h"
#include "vmm/util.h"

const char arch_console[] = "ttyAMA0";
const bool arch_has_nmi = false;
const bool arch_vcpus_at_once = true;
const uint64_t arch_max_vcpus = A64_MAX_CPUS;

/* ---- what is asked of a host ---- */

const char arch_kvm_advice[] =
	"the host's kernel has to be started in EL2, with CONFIG_KVM";

const struct arch_cap arch_caps[] = {
	ARCH_CAP(KVM_CAP_ONE_REG, "registers", true, "no guest can start"),
	ARCH_CAP(KVM_CAP_DEVICE_CTRL, "devices in KVM", true,
		 "there is no GICv3 for guests"),
	{ .name = "GICv3",
	  .required = true,
	  .meaning = "no guest can run: a GICv2 is not enough",
	  .has = gic_is_there },
	ARCH_CAP(KVM_CAP_ARM_PSCI_0_2, "PSCI", true,
		 "guests cannot start processors or power off"),
	ARCH_CAP(KVM_CAP_ARM_VM_IPA_SIZE, "address bits", false,
		 "guests have 40 bits of addresses"),
	ARCH_CAP(KVM_CAP_ARM_PMU_V3, "counters (PMU)", false,
		 "guests have none"),
	ARCH_CAP(KVM_CAP_ARM_PTRAUTH_ADDRESS, "pointer signatures", false,
		 "guests have none"),
	ARCH_CAP(KVM_CAP_ARM_SVE, "SVE", false, "guests have none"),
	{ 0 },
};

const struct arch_fact arch_facts[] = { { 0 } };

/* ---- where things are ---- */

enum a64_chip {
	CHIP_PL011,
	CHIP_PL031,
	CHIP_POWER_KEY,
	CHIP_PCI_ROOT,
	CHIP_ROOT_PORTS,
	NR_CHIPS,
};

const struct chip_place arch_chips[NR_CHIPS + 1] = {
	[CHIP_PL011] = { .class = &pl011_class,
			 .base = A64_PL011_BASE,
			 .gsi = A64_PL011_SPI },
	[CHIP_PL031] = { .class = &pl031_class, .base = A64_PL031_BASE },
	[CHIP_POWER_KEY] = { .class = &power_key_class,
			     .gsi = A64_POWER_KEY_SPI },
	[CHIP_PCI_ROOT] = { .class = &pci_root_class,
			    .base = A64_ECAM_BASE,
			    .len = A64_ECAM_BUSES * MIB },
	[CHIP_ROOT_PORTS] = { .class = &root_ports_class },
};

const struct arch_pci_layout arch_pci = {
	.ecam_base = A64_ECAM_BASE,
	.nr_buses = A64_ECAM_BUSES,
	.mmio32_base = A64_PCI_MMIO32_BASE,
	.mmio32_len = A64_PCI_MMIO32_LEN,
};

unsigned int arch_ram_layout(uint64_t size, struct arch_ram ram[2])
{
	ram[0] = (struct arch_ram){ A64_RAM_BASE, size };
	return 1;
}

gpa_t arch_hotplug_base(uint64_t size)
{
	return ALIGN_UP(A64_RAM_BASE + size, GIB);
}

/* First byte behind RAM, at or above 4 GiB, on a 1 GiB border. */
gpa_t arch_pci_mmio64(const struct gmem *gm, uint64_t *len)
{
	gpa_t end = MAX(4 * GIB, gm->reserved.gpa + gm->reserved.len);
	const struct gmem_range *r;

	gmem_for_each (r, gm)
		if (r->kind == GMEM_RAM)
			end = MAX(end, r->gpa + r->len);
	*len = A64_PCI_MMIO64_LEN;
	return ALIGN_UP(end, GIB);
}

/* KVM has to be asked for as many addresses as there are: arch_vm_type(). */
int arch_check_memory(const struct gmem *gm unused_param,
		      struct error *err unused_param)
{
	return 0;
}

/* Intermediate physical addresses of as many bits as the machine takes: the
 * fewer there are, the fewer levels its page tables have. */
int arch_vm_type(int kvm_fd, const struct gmem *gm, struct error *err)
{
	int most = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	uint64_t len;
	gpa_t end = arch_pci_mmio64(gm, &len) + len;
	int bits = 64 - __builtin_clzll(end - 1);

	if (bits > (most > 0 ? most : 40))
		return error_set(
			err, EINVAL,
			"--memory: with %llu GiB for devices it ends at %llu GiB, but guests of this host address %llu GiB; ask for less",
			llu(len / GIB), llu(end / GIB),
			llu((1ull << (most > 0 ? most : 40)) / GIB));
	return most > 0 ? (int)KVM_VM_TYPE_ARM_IPA_SIZE((unsigned int)bits) : 0;
}

static struct dt_window machine_chip(enum a64_chip chip)
{
	return (struct dt_window){ arch_chips[chip].base, A64_CHIP_LEN };
}

static int machine_describe(const struct arch_boot *boot, const char *cmdline,
			    const struct boot_result *res, struct error *err)
{
	struct dt_machine m = {
		.nr_cpus = boot->max_cpus,
		.has_pmu = boot->host->has_pmu,
		.pmu_ppi = A64_PPI_PMU,
		.gic_distributor = { A64_GICD_BASE, A64_GICD_LEN },
		.gic_redistributors = { A64_GICR_BASE,
					boot->max_cpus * A64_GICR_LEN },
		.its = { A64_ITS_BASE, A64_ITS_LEN },
		.ecam = { arch_pci.ecam_base, arch_pci.nr_buses * MIB },
		.nr_buses = arch_pci.nr_buses,
		.mmio32 = { arch_pci.mmio32_base, arch_pci.mmio32_len },
		.serial_spi = arch_chips[CHIP_PL011].gsi,
		.power_spi = arch_chips[CHIP_POWER_KEY].gsi,
		.rtc = machine_chip(CHIP_PL031),
		.cmdline = cmdline,
		.initrd = res->initrd,
	};

	if (boot->has_serial)
		m.serial = machine_chip(CHIP_PL011);
	m.mmio64.base = arch_pci_mmio64(boot->req.gm, &m.mmio64.len);
	if (getrandom(m.seed, sizeof(m.seed), 0) != sizeof(m.seed))
		return error_set(err, EIO, "no random numbers for the guest");
	return dt_build(boot->req.gm, BOOT_A64_FDT, BOOT_A64_FDT_ROOM, &m, err);
}

/* A kernel tries to start all processors there are, and complains of each that is
 * not granted yet. */
static char *machine_cmdline(const struct arch_boot *boot)
{
	const char *line = boot->req.cmdline ? boot->req.cmdline : "";
	char *all;

	if (asprintf(&all, "%s maxcpus=%u", line, boot->nr_cpus) < 0)
		return NULL;
	return all;
}

int arch_load(const struct arch_boot *boot, struct boot_result *entry,
	      struct error *err)
{
	struct boot_request req = boot->req;
	struct boot_range map[2];
	struct arch_ram ram[2];
	char *more = NULL;
	int r;

	if (boot->max_cpus > boot->nr_cpus) {
		more = machine_cmdline(boot);
		if (!more)
			return error_set(err, ENOMEM, "out of memory");
		req.cmdline = more;
	}
	arch_ram_layout(req.gm->config.size, ram);
	map[0] = (struct boot_range){ ram[0].gpa, ram[0].len, BOOT_RANGE_RAM };
	req.machine = &boot_machine_aarch64;
	req.tables = BOOT_A64_FDT;
	req.map = map;
	req.nr_map = 1;
	r = boot_load(&req, entry, err);
	if (!r)
		r = machine_describe(boot, req.cmdline, entry, err);
	free(more);
	return r;
}
