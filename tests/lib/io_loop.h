/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_IO_LOOP_H
#define TESTS_LIB_IO_LOOP_H

#include "vmm/loop.h"

/* A loop without a thread, with what those of I/O threads have. */
struct loop *io_loop_create(void);

#endif
