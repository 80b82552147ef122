/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_BLK_MEMORY_H
#define DEVICES_VIRTIO_BLK_MEMORY_H

#include "devices/backend/block.h"
#include "devices/virtio/virtio.h"
#include "vmm/board.h"
#include "vmm/error.h"

/*
 * What of guest memory engines may register: one for all disks of a machine, as
 * the disks of an I/O thread have one ring. Main thread.
 */
struct blk_memory;

/* A disk; zeroed at first. */
struct blk_memory_user {
	struct blk_memory *memory;
	struct virtio_dev *dev;
	struct list_node node; /* in the memory's list */
};

/* The disk dev has the memory, that of another disk of the board if there is one
 * (else NULL). -errno. */
int blk_memory_get(struct blk_memory_user *user, struct virtio_dev *dev,
		   const struct blk_memory_user *other, struct board *board,
		   struct error *err);
/* It has no queues any more; who has no memory is accepted. */
void blk_memory_put(struct blk_memory_user *user);
/* For engines; NULL: there is nothing to register. Any thread. */
const struct block_memory *blk_memory_of(const struct blk_memory_user *user);

#endif
