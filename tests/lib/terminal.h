/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_TERMINAL_H
#define TESTS_LIB_TERMINAL_H

/* A pseudo-terminal whose user's side, which is returned, blocks; *main_fd is
 * the other one, which does not. */
int terminal_open(int *main_fd);

#endif
