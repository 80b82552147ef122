/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_AARCH64_MACHINE_H
#define BOOT_AARCH64_MACHINE_H

#include "boot/format.h"

/* Linux' Image, laid out as boot/aarch64/layout.h says. */
extern const struct boot_machine boot_machine_aarch64;

#endif
