/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_BLK_PARAMS_H
#define DEVICES_VIRTIO_BLK_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/limit.h"
#include "vmm/param.h"
#include "vmm/peer_key.h"

#define BLK_ID_LEN 20u /* bytes of a serial number, section 5.2.6.1 */

/* --disk; the fields that the parameter table fills. */
struct blk_config {
	char *path;
	int fd;
	bool readonly;
	bool direct;
	int engine; /* enum block_engine_kind */
	uint64_t num_queues;
	uint64_t queue_size;
	char *serial;
	char *id;
	bool discard;
	uint64_t poll_us;
	struct limit_config limit; /* zeroes that are written count as bytes */
};

extern const struct param_set blk_param_set;
extern const struct param_set blk_set_param_set;
extern const struct peer_key blk_peer_keys[];

#endif
