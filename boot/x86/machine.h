/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_MACHINE_H
#define BOOT_X86_MACHINE_H

#include "boot/format.h"

/* vmlinux and bzImage, laid out as boot/x86/layout.h says. */
extern const struct boot_machine boot_machine_x86;

#endif
