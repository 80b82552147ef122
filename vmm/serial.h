/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include "vmm/config.h"
#include "vmm/error.h"

/*
 * What sc names lives as long as the configuration, over any number of machines,
 * and is closed with it: a file, as long as the host takes for that
 * (opening_close_config()). Other modes have nothing to open. -errno with a
 * message that names --serial.
 */

/* Open a new pseudo-terminal, whose name is said on stderr. Main thread. */
int serial_open_pty(struct serial_config *sc, struct error *err);
/* Open the file, truncated, as long as the host takes for that. Any thread;
 * opener_leave() is the caller's. */
int serial_open_file(struct serial_config *sc, struct error *err);

#endif
