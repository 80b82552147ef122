/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_PARAMS_H
#define DEVICES_VIRTIO_FS_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/limit.h"
#include "vmm/param.h"
#include "vmm/peer_key.h"

#define FS_TAG_LEN 36u /* bytes of the name that is mounted, section 5.11.4 */
#define FS_SOCKET_LEN 107u /* bytes of a Unix socket's path */
#define FS_QUEUES_AUTO \
	8u /* request queues at most, unless more are asked for */
#define FS_QUEUES_MAX 64u

/* --fs; the fields that the parameter table fills. */
struct fs_config {
	char *tag;
	char *path;
	int fd;
	char *socket; /* of who gives the directory instead */
	bool readonly;
	int cache; /* enum fs_cache */
	bool writeback;
	uint64_t num_queues; /* 0: by the number of vCPUs */
	uint64_t queue_size;
	uint64_t poll_us;
	uint64_t dax; /* bytes of the window; 0: none */
	int xattr; /* enum fs_xattr */
	bool posix_acl;
	bool locks;
	struct id_ranges uidmap;
	struct id_ranges gidmap;
	int frozen; /* 0: mounts are live */
	char *id;
	struct limit_config limit; /* bytes are those of files */
};

extern const struct param_set fs_param_set;
extern const struct param_set fs_set_param_set;
extern const struct peer_key fs_peer_keys[];

/* Set what a program that hands a directory over says of it, in words such as
 * "cache=auto,readonly=on". Any thread; -EINVAL with a message, and c may have
 * changed. Nothing in c is allocated by that. */
int fs_params_take(struct fs_config *c, const char *words, struct error *err);

/* Capabilities that a share takes that serves many users, bits 1 << CAP_*; NULL:
 * whatever its options are. */
uint32_t fs_params_capabilities(const void *config);

#endif
