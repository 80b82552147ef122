/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_NETNS_H
#define DEVICES_BACKEND_NETNS_H

#include "vmm/error.h"

/* Work in another network namespace. A socket, and a TAP, belong for ever to
 * the one they were opened in. */

/* Open the namespace of a file, such as /run/netns/NAME. *fd: the caller's.
 * -errno with a message that starts with the parameter. Any thread. */
int netns_get(const char *path, int *fd, struct error *err);

/* The namespace of a TAP that is not in this one, the caller's; -1: it is, or
 * the kernel does not say. Any thread. */
int netns_of_tap(int tap);

/*
 * Call fn(arg) in that namespace, and return what it returns; -1: in this one.
 * That is done on a thread that ends with it, since not everybody who may enter
 * one may come back. The calling thread waits. -errno with a message.
 */
int netns_call(int netns, int (*fn)(void *arg), void *arg, struct error *err);

#endif
