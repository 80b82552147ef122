/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The x86_64 machine: in-kernel LAPICs, an IOAPIC, hardware-reduced ACPI, no
 * PIT, no PIC use, no i8042, no CMOS clock.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "boot/x86/acpi_tables.h"
#include "boot/boot.h"
#include "boot/x86/layout.h"
#include "boot/x86/machine.h"
#include "devices/platform/chips.h"
#include "vmm/util.h"

const char arch_console[] = "ttyS0";
const bool arch_msi_has_devid = false;
const bool arch_has_nmi = true;
const bool arch_vcpus_at_once = false;
/* What APIC ids of a byte have room for, beside the broadcast. */
const uint64_t arch_max_vcpus = 254;

/* ---- what is asked of a host ---- */

const char arch_kvm_advice[] = "load the module kvm-intel or kvm-amd";

const struct arch_cap arch_caps[] = {
	ARCH_CAP(KVM_CAP_SPLIT_IRQCHIP, "local APIC alone", true,
		 "no guest can run; Linux 4.5 is needed"),
	{ 0 },
};

const struct arch_fact arch_facts[] = {
	{ "nested paging",
	  { "/sys/module/kvm_intel/parameters/ept",
	    "/sys/module/kvm_amd/parameters/npt" },
	  "page faults of the guest are slow, memory slots cost time" },
	{ "nested guests",
	  { "/sys/module/kvm_intel/parameters/nested",
	    "/sys/module/kvm_amd/parameters/nested" },
	  "--cpus nested=on shows guests nothing" },
	{ 0 },
};

/* ---- where things are ---- */

/* Places in arch_chips. */
enum x86_chip {
	CHIP_IOAPIC,
	CHIP_DEBUG_PORT,
	CHIP_ACPI_POWER,
	CHIP_ACPI_HOTPLUG,
	CHIP_SERIAL,
	CHIP_PCI_ROOT,
	NR_CHIPS,
};

const struct chip_place arch_chips[NR_CHIPS + 1] = {
	[CHIP_IOAPIC] = { .class = &ioapic_class,
			  .base = X86_IOAPIC_BASE,
			  .nr_pins = X86_IOAPIC_PINS },
	[CHIP_DEBUG_PORT] = { .class = &debug_port_class,
			      .pio = true,
			      .base = X86_DEBUG_PORT },
	[CHIP_ACPI_POWER] = { .class = &acpi_power_class,
			      .pio = true,
			      .base = X86_ACPI_PORT,
			      .gsi = X86_GED_GSI },
	[CHIP_ACPI_HOTPLUG] = { .class = &acpi_hotplug_class,
				.pio = true,
				.base = X86_HOTPLUG_PORT,
				.gsi = X86_HOTPLUG_GSI,
				.memory = BOOT_HOTPLUG },
	[CHIP_SERIAL] = { .class = &serial_8250_class,
			  .pio = true,
			  .base = X86_COM1_PORT,
			  .gsi = X86_COM1_GSI },
	[CHIP_PCI_ROOT] = { .class = &pci_root_class,
			    .base = X86_ECAM_BASE,
			    .len = X86_ECAM_BUSES * MIB },
};

const struct arch_pci_layout arch_pci = {
	.ecam_base = X86_ECAM_BASE,
	.nr_buses = X86_ECAM_BUSES,
	.mmio32_base = X86_PCI_MMIO32_BASE,
	.mmio32_len = X86_PCI_MMIO32_LEN,
};

unsigned int arch_ram_layout(uint64_t size, struct arch_ram ram[2])
{
	ram[0] = (struct arch_ram){ 0, MIN(size, X86_HOLE_START) };
	if (size <= X86_HOLE_START)
		return 1;
	ram[1] = (struct arch_ram){ X86_HOLE_END, size - X86_HOLE_START };
	return 2;
}

/* Aligned to the largest block in which Linux takes memory. */
gpa_t arch_hotplug_base(uint64_t size)
{
	struct arch_ram ram[2];

	if (arch_ram_layout(size, ram) == 1)
		return X86_HOLE_END;
	return ALIGN_UP(ram[1].gpa + ram[1].len, 2 * GIB);
}

/* KVM keeps all else. */
struct arch_vm {
	int vm_fd;
};

int arch_vm_type(int kvm_fd unused_param, const struct gmem *gm unused_param,
		 struct error *err unused_param)
{
	return 0;
}

static int machine_set_addresses(int vm_fd, struct error *err)
{
	uint64_t identity = X86_KVM_IDENTITY_MAP;

	/* Only KVM on Intel without unrestricted guest uses these; the calls
	 * cost nothing elsewhere. */
	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(vm_fd, KVM_SET_TSS_ADDR, X86_KVM_TSS))
		return error_set(err, errno, "KVM_SET_TSS_ADDR: %s",
				 strerror(errno));
	return 0;
}

int arch_vm_create(struct arch_vm **out, int vm_fd, struct error *err)
{
	struct arch_vm *vm;
	int r = machine_set_addresses(vm_fd, err);

	if (r)
		return r;
	vm = malloc(sizeof(*vm));
	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	vm->vm_fd = vm_fd;
	*out = vm;
	return 0;
}

void arch_vm_destroy(struct arch_vm *vm)
{
	free(vm);
}

/*
 * Local APICs in the kernel, I/O APIC in this process: see
 * devices/platform/ioapic.c for why.
 */
int arch_irqchip_create(struct arch_vm *vm, struct error *err)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { X86_IOAPIC_PINS },
	};

	if (ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap))
		return error_set(err, errno, "KVM_CAP_SPLIT_IRQCHIP: %s",
				 strerror(errno));
	return 0;
}

/* A local APIC is complete with its vCPU. */
int arch_irqchip_finish(struct arch_vm *vm unused_param,
			struct vcpu *const *vcpus unused_param,
			unsigned int nr unused_param,
			struct error *err unused_param)
{
	return 0;
}

uint32_t arch_irq_line(uint32_t gsi)
{
	return gsi;
}

/* First byte behind RAM, at or above 4 GiB, on a 1 GiB border. */
gpa_t arch_pci_mmio64(const struct gmem *gm, uint64_t *len)
{
	gpa_t end = MAX(X86_HOLE_END, gm->reserved.gpa + gm->reserved.len);
	const struct gmem_range *r;

	gmem_for_each (r, gm)
		if (r->kind == GMEM_RAM)
			end = MAX(end, r->gpa + r->len);
	*len = X86_PCI_MMIO64_LEN;
	return ALIGN_UP(end, GIB);
}

/* CPUID 0x80000008 EAX[7:0], physical address bits, as the guest sees it. Every
 * processor with long mode has that leaf; to ask for the last one would be
 * another instruction that may trap. */
int arch_check_memory(const struct gmem *gm, struct error *err)
{
	uint64_t len;
	gpa_t end = arch_pci_mmio64(gm, &len) + len;
	unsigned int eax, ebx, ecx, edx, bits;

	__cpuid(0x80000008, eax, ebx, ecx, edx);
	bits = eax & 0xff;
	if (!bits || bits >= 64 || end <= 1ull << bits)
		return 0;
	return error_set(
		err, EINVAL,
		"--memory: size and hotplug_size, with %llu GiB for devices, end at %llu GiB, but this host's processors address %llu GiB; ask for less",
		llu(len / GIB), llu(end / GIB), llu((1ull << bits) / GIB));
}

static unsigned int machine_memory_map(const struct gmem *gm,
				       struct boot_range *map)
{
	const struct gmem_range *r;
	unsigned int n = 0;

	map[n++] = (struct boot_range){ 0, BOOT_ACPI, BOOT_RANGE_RAM };
	map[n++] = (struct boot_range){ BOOT_ACPI,
					BOOT_ACPI_ROOM + BOOT_HOTPLUG_ROOM,
					BOOT_RANGE_RESERVED };
	gmem_for_each (r, gm) {
		gpa_t start = MAX(r->gpa, (gpa_t)BOOT_HIGH_MEMORY);
		gpa_t end = r->gpa + r->len;

		if (r->kind == GMEM_RAM && start < end)
			map[n++] = (struct boot_range){ start, end - start,
							BOOT_RANGE_RAM };
	}
	map[n++] = (struct boot_range){ X86_ECAM_BASE, X86_ECAM_BUSES * MIB,
					BOOT_RANGE_RESERVED };
	return n;
}

static int machine_acpi(const struct arch_boot *boot, struct error *err)
{
	const struct gmem *gm = boot->req.gm;
	uint64_t mmio64_len;
	gpa_t mmio64 = arch_pci_mmio64(gm, &mmio64_len);
	const struct chip_place *serial = &arch_chips[CHIP_SERIAL];
	const struct chip_place *power = &arch_chips[CHIP_ACPI_POWER];
	const struct chip_place *hotplug = &arch_chips[CHIP_ACPI_HOTPLUG];
	const struct acpi_config ac = {
		.nr_cpus = boot->max_cpus,
		.nr_boot_cpus = boot->nr_cpus,
		.lapic_gpa = X86_LAPIC_BASE,
		.ioapic_gpa = (uint32_t)arch_chips[CHIP_IOAPIC].base,
		.ecam_gpa = arch_pci.ecam_base,
		.nr_buses = arch_pci.nr_buses,
		.mmio32 = { arch_pci.mmio32_base, arch_pci.mmio32_len },
		.mmio64 = { mmio64, mmio64_len },
		.has_serial = boot->has_serial,
		.serial_port = (uint16_t)serial->base,
		.serial_gsi = serial->gsi,
		.power_port = (uint16_t)power->base,
		.ged_gsi = power->gsi,
		.hotplug_port = (uint16_t)hotplug->base,
		.hotplug_gsi = hotplug->gsi,
		.hotplug_state = hotplug->memory,
		.nr_dimms = gmem_max_dimms(gm),
	};

	return acpi_build(boot->req.gm, BOOT_ACPI, BOOT_ACPI_ROOM, &ac, err);
}

/*
 * With hardware-reduced ACPI Linux reboots by EFI, and without that by a jump
 * to the reset vector in real mode, where a firmware would be. Ours writes to
 * the reset register.
 */
static int machine_reset_vector(struct gmem *gm)
{
	const uint16_t port = X86_ACPI_PORT + ACPI_POWER_RESET;
	/* mov $value, %al; mov $port, %dx; out %al, (%dx); 1: hlt; jmp 1b */
	const uint8_t code[] = { 0xb0,	    ACPI_POWER_RESET_VALUE,
				 0xba,	    port & 0xff,
				 port >> 8, 0xee,
				 0xf4,	    0xeb,
				 0xfd };

	return gmem_write(gm, BOOT_RESET_VECTOR, code, sizeof(code));
}

int arch_load(const struct arch_boot *boot, struct boot_result *entry,
	      struct error *err)
{
	struct boot_range map[BOOT_MAX_RANGES];
	struct boot_request req = boot->req;
	int r = machine_acpi(boot, err);

	req.machine = &boot_machine_x86;
	req.tables = BOOT_ACPI;
	req.map = map;
	req.nr_map = machine_memory_map(req.gm, map);
	if (!r && machine_reset_vector(req.gm))
		r = error_set(err, EFAULT, "--memory: no RAM at %#x",
			      BOOT_RESET_VECTOR);
	return r ? r : boot_load(&req, entry, err);
}
