/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_MACHINE_X86_H
#define BOOT_MACHINE_X86_H

#include "boot/format.h"

/* vmlinux and bzImage, laid out as boot/layout_x86.h says. */
extern const struct boot_machine boot_machine_x86;

#endif
