/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include "vmm/config.h"
#include "vmm/error.h"

/*
 * Open what sc names: the file, truncated, or a new pseudo-terminal, whose
 * name is said on stderr. It lives as long as the configuration, over any
 * number of machines; vm_config_free() closes it. Other modes have nothing to
 * open. Main thread. -errno with a message that names --serial.
 */
int serial_open(struct serial_config *sc, struct error *err);

#endif
