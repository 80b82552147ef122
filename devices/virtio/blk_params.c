/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/blk_params.h"

#include <unistd.h>

#include "devices/backend/block.h"
#include "devices/virtio/virtio.h"
#include "vmm/util.h"

/* clang-format off: one line, one thing to say */
static const struct param_choice blk_engines[] = {
	[BLOCK_ENGINE_AUTO] = { "auto", NULL },
	[BLOCK_ENGINE_URING] = { "uring", NULL },
	[BLOCK_ENGINE_AIO] = { "aio", NULL },
	[BLOCK_ENGINE_SYNC] = { "sync", NULL },
	{ 0 },
};

#define BLK_FIELD(f) .offset = offsetof(struct blk_config, f)

static const struct param blk_params[] = {
	{ .name = "path",
	  .type = PARAM_PATH,
	  BLK_FIELD(path),
	  .help = "raw image file or block device" },
	{ .name = "fd",
	  .type = PARAM_FD,
	  BLK_FIELD(fd),
	  .min = STDERR_FILENO + 1,
	  .help = "an open file descriptor of the image, instead of path" },
	{ .name = "readonly",
	  .type = PARAM_BOOL,
	  BLK_FIELD(readonly),
	  .help = "the guest cannot write; other readers may share the image" },
	{ .name = "direct",
	  .type = PARAM_BOOL,
	  BLK_FIELD(direct),
	  .help = "bypass the host's page cache (O_DIRECT)" },
	{ .name = "engine",
	  .type = PARAM_ENUM,
	  BLK_FIELD(engine),
	  .choices = blk_engines,
	  .help = "how the host is asked: io_uring, Linux AIO or plain calls" },
	{ .name = "num_queues",
	  .type = PARAM_UINT,
	  BLK_FIELD(num_queues),
	  .def = 1,
	  .min = 1,
	  .max = VIRTIO_QUEUES_MAX,
	  .help = "request queues; more than vCPUs are of no use" },
	{ .name = "queue_size",
	  .type = PARAM_UINT,
	  BLK_FIELD(queue_size),
	  .def = 128,
	  .min = 4,
	  .max = 32768,
	  .pow2 = true,
	  .help = "requests a queue can hold" },
	{ .name = "serial",
	  .type = PARAM_STRING,
	  BLK_FIELD(serial),
	  .max = BLK_ID_LEN,
	  .help = "serial number the guest reads" },
	{ .name = "id",
	  .type = PARAM_STRING,
	  BLK_FIELD(id),
	  .max = 63,
	  .help = "name of the device for later requests" },
	{ .name = "discard",
	  .json = "sparse",
	  .type = PARAM_BOOL,
	  BLK_FIELD(discard),
	  .def = 1,
	  .help = "let the guest give unused blocks back to the host" },
	{ .name = "poll_us",
	  .type = PARAM_UINT,
	  BLK_FIELD(poll_us),
	  .unit = "us",
	  .def = 32,
	  .max = 1000,
	  .help = "longest busy wait for the guest's next request" },
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
	.params = blk_params,
	.nr_params = ARRAY_SIZE(blk_params),
	.size = sizeof(struct blk_config),
	.shorthand = "path",
	.check = blk_check,
};
