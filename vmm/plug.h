/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PLUG_H
#define VMM_PLUG_H

#include <stdint.h>

#include "devices/device.h"
#include "vmm/error.h"

/*
 * Devices that come and go while the guest runs, and what drivers do with
 * them. The verbs are vm_plug() and vm_unplug() in vmm/vm.h. Main thread.
 */
struct vm;

/*
 * A driver has to bind to what was plugged this soon. It is part of what a
 * shim waits for (5 s), so the answer has to come before that; the time starts
 * anew while the guest is seen to get on with it, up to PLUG_DEADLINE_MAX_NS.
 */
#define PLUG_DEADLINE_NS 4500000000ull
#define PLUG_DEADLINE_MAX_NS 30000000000ull

/* Life, with that of the machine. -errno with a message. */
int plug_create(struct vm *vm, struct error *err);
void plug_destroy(struct vm *vm);

/* No vCPU runs any more: no driver binds now, so what was still coming is taken
 * back. */
void plug_stop(struct vm *vm);
/* Devices are as at power-on. No vCPU runs. */
void plug_reset(struct vm *vm);
/* The guest stands still: it will find what was coming when it runs on. */
void plug_pause(struct vm *vm);

/* As board_driver_news(). Any thread. */
void plug_driver_news(struct vm *vm, struct device *dev, enum device_news news);

/* Of later plugs; PLUG_DEADLINE_NS unless set. For tests. */
void plug_set_deadline(struct vm *vm, uint64_t ns);

#endif
