/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What a CPU does when there is nothing to do; a second CPU, for what has to
 * happen at the same time. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdbool.h>

/* Until an interrupt comes, which is taken. */
void cpu_halt(void);

/* CPU 1 runs work() until it returns; then it does nothing, and may be started
 * again. False when it does not come up. */
bool cpu1_run(void (*work)(void));

/* Asks work(), which looks at cpu1_stop, to return; false when it does not. */
bool cpu1_end(void);

extern volatile bool cpu1_stop;

/* The machine's part: CPU 1 begins, whatever it was at, and calls cpu1_do(). */
void cpu1_enter(void);
void cpu1_main(void);
void cpu1_do(void);

#endif
