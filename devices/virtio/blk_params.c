/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/blk_params.h"

#include <unistd.h>

#include "devices/backend/block.h"
#include "devices/virtio/virtio.h"

/* clang-format off: one line, one thing to say */
static const struct param_choice blk_engines[] = {
	[BLOCK_ENGINE_AUTO] = { "auto", NULL },
	[BLOCK_ENGINE_URING] = { "uring", NULL },
	[BLOCK_ENGINE_AIO] = { "aio", NULL },
	[BLOCK_ENGINE_SYNC] = { "sync", NULL },
	{ 0 },
};

static const struct param blk_params[] = {
	PARAM("path", PATH, struct blk_config, path,
	      "raw image file or block device"),
	PARAM("fd", FD, struct blk_config, fd,
	      "an open file descriptor of the image, instead of path",
	      .min = STDERR_FILENO + 1),
	PARAM("readonly", BOOL, struct blk_config, readonly,
	      "the guest cannot write; other readers may share the image"),
	PARAM("direct", BOOL, struct blk_config, direct,
	      "bypass the host's page cache (O_DIRECT)"),
	PARAM("engine", ENUM, struct blk_config, engine,
	      "how the host is asked: io_uring, Linux AIO or plain calls",
	      .choices = blk_engines),
	PARAM("num_queues", UINT, struct blk_config, num_queues,
	      "request queues; more than vCPUs are of no use", .def = 1,
	      .min = 1, .max = VIRTIO_QUEUES_MAX),
	PARAM("queue_size", UINT, struct blk_config, queue_size,
	      "requests a queue can hold", .def = 128, .min = 4, .max = 32768,
	      .pow2 = true),
	PARAM("serial", STRING, struct blk_config, serial,
	      "serial number the guest reads", .max = BLK_ID_LEN),
	PARAM("id", STRING, struct blk_config, id,
	      "name of the device for later requests", .max = 63),
	PARAM("discard", BOOL, struct blk_config, discard,
	      "let the guest give unused blocks back to the host; off: a file "
	      "gets all of its blocks at once",
	      .json = "sparse", .def = 1),
	PARAM("poll_us", UINT, struct blk_config, poll_us,
	      "longest busy wait for the guest's next request", .unit = "us",
	      .def = 32, .max = 1000),
	LIMIT_PARAMS(struct blk_config, limit),
};

static const struct param blk_set_params[] = {
	LIMIT_PARAMS(struct blk_config, limit),
};

#define NO_VHOST_USER "vhost-user disks are not supported"

const struct peer_key blk_peer_keys[] = {
	PEER_ONLY("image_type", PEER_STRING, "Raw|Unknown",
		  "only raw images are supported"),
	PEER_NONE("iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	PEER_NONE("vhost_user", PEER_BOOL, NO_VHOST_USER),
	PEER_NONE("vhost_socket", PEER_STRING, NO_VHOST_USER),
	PEER_NONE("rate_limit_group", PEER_STRING, "use rate_limiter_config"),
	PEER_NONE("queue_affinity", PEER_LIST,
		  "pin the threads ioN from outside"),
	PEER_NONE("pci_segment", PEER_UINT, PEER_NO_SEGMENTS),
	PEER_NONE("pci_device_id", PEER_UINT, "slots are given in order"),
	PEER_KEEP("backing_files", PEER_BOOL),
	PEER_KEEP("disable_io_uring", PEER_BOOL),
	PEER_KEEP("disable_aio", PEER_BOOL),
	PEER_KEEP("lock_granularity", PEER_STRING),
	PEER_KEEP("rate_limiter_config", PEER_OBJECT),
	{ .path = NULL },
};
/* clang-format on */

static int blk_check(const void *config, struct error *err)
{
	const struct blk_config *c = config;

	if (!c->path == (c->fd < 0))
		return error_set(err, EINVAL, "give either path=FILE or fd=N");
	return 0;
}

const struct param_set blk_param_set = {
	.option = "disk",
	.help = "add a disk",
	PARAM_TABLE(blk_params, struct blk_config),
	.shorthand = "path",
	.check = blk_check,
};

const struct param_set blk_set_param_set = {
	.option = "disk",
	PARAM_TABLE(blk_set_params, struct blk_config),
};
