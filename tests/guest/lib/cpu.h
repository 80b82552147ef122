/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A second CPU, for what has to happen at the same time. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdbool.h>

/* CPU 1 runs work() until it returns, in ring 3; then it
 * halts, and may be started again. False when it does not come up. */
bool cpu1_run(void (*work)(void));

/* Asks work(), which looks at cpu1_stop, to return; false when it does not. */
bool cpu1_end(void);

/* Sends it an NMI, whether it runs or not. */
void cpu1_nmi(void);

extern volatile bool cpu1_stop;

#endif
