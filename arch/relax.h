/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_RELAX_H
#define ARCH_RELAX_H

/* A pause in a busy wait; what a port provides beside arch/arch.h. Any thread. */
void arch_cpu_relax(void);

#endif
