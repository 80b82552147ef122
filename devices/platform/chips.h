/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PLATFORM_CHIPS_H
#define DEVICES_PLATFORM_CHIPS_H

#include "devices/device.h"

/* The chips, for the ports to choose from: what is in a port's arch_chips is in
 * its meson.build, too, and nobody else builds it. */
extern const struct device_class acpi_hotplug_class;
extern const struct device_class acpi_power_class;
extern const struct device_class debug_port_class;
extern const struct device_class ioapic_class;
extern const struct device_class pl011_class;
extern const struct device_class pl031_class;
extern const struct device_class power_key_class;
extern const struct device_class serial_8250_class;

/* Of devices/pci: where hot-plug is that of PCI Express. */
extern const struct device_class root_ports_class;
/* Which all ports have. */
extern const struct device_class pci_root_class;

#endif
