/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A way out that needs nothing to work any more. */
#ifndef GUEST_TRIPLE_FAULT_H
#define GUEST_TRIPLE_FAULT_H

__attribute__((noreturn)) void power_triple_fault(void);

#endif
