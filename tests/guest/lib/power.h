/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The ways out. None of them returns. */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

__attribute__((noreturn)) void power_off(void);
__attribute__((noreturn)) void power_reset(void);

/* By name: "off", "reset", and what else the machine has. */
struct power_way {
	const char *name;
	void (*go)(void);
};
extern const struct power_way power_ways[]; /* the last has no name */
__attribute__((noreturn)) void power_by(const char *name);

/* As the parameter end= says; off by default. end=stay: not at all. */
__attribute__((noreturn)) void power_end(void);

/* Says "FATAL: why", then power_off(). */
__attribute__((noreturn)) void power_off_failed(const char *why);

#endif
