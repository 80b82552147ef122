/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The ways out. None of them returns. */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

__attribute__((noreturn)) void power_off(void);
__attribute__((noreturn)) void power_reset(void);
__attribute__((noreturn)) void power_triple_fault(void);

/* As the parameter end=off|reset|triple|stay says; off by default. */
__attribute__((noreturn)) void power_end(void);

/* Says "FATAL: why", then power_off(). */
__attribute__((noreturn)) void power_off_failed(const char *why);

#endif
