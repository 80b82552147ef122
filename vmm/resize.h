/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_RESIZE_H
#define VMM_RESIZE_H

#include <stdint.h>

#include "vmm/error.h"
#include "vmm/gmem.h"

/*
 * vCPUs and memory that come and go while the guest runs; verbs for users are
 * in vmm/vm.h. Main thread.
 */
struct vm;
struct resize;

/* Life, with that of the machine. -errno with a message. */
int resize_create(struct vm *vm, struct error *err);
void resize_destroy(struct vm *vm);

/* The guest is gone: what is under way, and what waits, is done. No vCPU
 * runs. */
void resize_stop(struct vm *vm);

#endif
