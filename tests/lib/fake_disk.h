/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_FAKE_DISK_H
#define TESTS_LIB_FAKE_DISK_H

#include "tests/lib/fake_vm.h"

/* A blk device on an image in memory. */
struct fake_disk {
	struct fake_vm *fv;
	struct device *dev;
	void *config;
	int fd; /* the image; the test may look and change */
};

/*
 * Make an image of len bytes and the device, with these --disk options beside
 * the descriptor ("" for none). The PCI bus must be there. False with
 * fv->err when the device does not want to.
 */
bool fake_disk_init(struct fake_disk *fd, struct fake_vm *fv, uint64_t len,
		    const char *options);
void fake_disk_fini(struct fake_disk *fd);
/* Reset the device and see it through, on this thread. False: it hangs. */
bool fake_disk_quiesce(struct fake_disk *fd);

/* Requests, virtio 1.2 section 5.2.6 */
#define DISK_IN 0u
#define DISK_OUT 1u
#define DISK_FLUSH 4u
#define DISK_GET_ID 8u
#define DISK_DISCARD 11u
#define DISK_WRITE_ZEROES 13u
#define DISK_OK 0u
#define DISK_IOERR 1u
#define DISK_UNSUPP 2u

/* Write a request's header at gpa. */
void fake_disk_header(struct fake_vm *fv, gpa_t gpa, uint32_t type,
		      uint64_t sector);

#endif
