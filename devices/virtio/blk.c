/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio-blk (virtio 1.2 section 5.2): configuration space, features, and the
 * device's life. Its requests are in blk_queue.c.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "devices/virtio/blk_queue.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio_limit.h"
#include "vmm/board.h"
#include "vmm/opener_protocol.h"
#include "vmm/param.h"
#include "vmm/syscall_rule.h"

#define BLK_VIRTIO_ID 2
#define BLK_PCI_CLASS 0x018000 /* mass storage, other */

/* Sections 5.2.5.2 and 5.2.6.2: without FLUSH, or with writeback 0, writes go
 * through. With CONFIG_WCE the driver may write the latter. */
static void blk_features_ok(struct virtio_dev *dev)
{
	struct blk *blk = blk_of(dev);
	bool on = virtio_has(dev, VIRTIO_BLK_F_FLUSH);

	if (virtio_has(dev, VIRTIO_BLK_F_CONFIG_WCE))
		blk->space.writeback = on;
	atomic_store(&blk->writeback, on);
}

static void blk_reset(struct virtio_dev *dev)
{
	struct blk *blk = blk_of(dev);

	blk->space.writeback = 1;
	atomic_store(&blk->writeback, true);
}

static void blk_config_write(struct virtio_dev *dev, uint32_t off,
			     const void *data, uint32_t len)
{
	struct blk *blk = blk_of(dev);

	if (off != offsetof(struct blk_config_space, writeback) || len != 1 ||
	    !virtio_has(dev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	blk->space.writeback = *(const uint8_t *)data & 1;
	atomic_store(&blk->writeback, blk->space.writeback);
}

static int blk_set(struct virtio_dev *dev, const void *config,
		   struct error *err unused_param)
{
	const struct blk_config *c = config;

	virtio_set_limit(dev, VIRTIO_TO_GUEST, &c->limit);
	return 0;
}

static int blk_resize(struct virtio_dev *dev, uint64_t bytes, struct error *err)
{
	int r = block_image_resize(blk_of(dev)->image, bytes, err);

	return r ? error_prefix(err, r, "id %s", dev->device.id) : 0;
}

static void blk_resized(struct virtio_dev *dev, uint64_t bytes)
{
	le64 capacity = le64_of(bytes / BLK_SECTOR);

	virtio_config_set(dev, offsetof(struct blk_config_space, capacity),
			  &capacity, sizeof(capacity));
}

static int blk_open(const void *config, void **opened, struct error *err)
{
	const struct blk_config *c = config;
	const struct block_image_config ic = {
		.path = c->path,
		.fd = c->fd,
		.readonly = c->readonly,
		.direct = c->direct,
		.allocate = !c->discard,
	};
	struct block_image *image = malloc(sizeof(*image));
	int r = image ? block_image_open(image, &ic, err)
		      : error_set(err, ENOMEM, "out of memory");

	if (r)
		free(image);
	else
		*opened = image;
	return r;
}

static void blk_close(void *opened)
{
	struct block_image *image = opened;

	if (image)
		block_image_close(image);
	free(image);
}

static void blk_release(struct virtio_dev *dev)
{
	blk_close(blk_of(dev)->image);
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct blk *blk = blk_of(dev);

	virtio_fini(dev);
	blk_memory_put(&blk->memory);
	free(blk->queues);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.features_ok = blk_features_ok,
	.queue_start = blk_queue_start,
	.kick = blk_on_kick,
	.poll = blk_poll,
	.events = blk_events,
	.queue_stop = blk_queue_stop,
	.reset = blk_reset,
	.config_write = blk_config_write,
	.set = blk_set,
	.resize = blk_resize,
	.resized = blk_resized,
	.release = blk_release,
	.destroy = blk_destroy,
};

static uint64_t blk_features(const struct blk *blk)
{
	uint64_t f = VIRTIO_F(VIRTIO_BLK_F_SIZE_MAX) |
		     VIRTIO_F(VIRTIO_BLK_F_SEG_MAX) |
		     VIRTIO_F(VIRTIO_BLK_F_BLK_SIZE) |
		     VIRTIO_F(VIRTIO_BLK_F_TOPOLOGY) |
		     VIRTIO_F(VIRTIO_BLK_F_FLUSH) |
		     VIRTIO_F(VIRTIO_BLK_F_CONFIG_WCE);

	if (blk->config.num_queues > 1)
		f |= VIRTIO_F(VIRTIO_BLK_F_MQ);
	if (blk->image->readonly)
		return f | VIRTIO_F(VIRTIO_BLK_F_RO);
	if (blk->config.discard && blk->image->discard_granularity)
		f |= VIRTIO_F(VIRTIO_BLK_F_DISCARD);
	return f | VIRTIO_F(VIRTIO_BLK_F_WRITE_ZEROES);
}

static void blk_fill_space(struct blk *blk)
{
	const struct block_image *img = blk->image;
	struct blk_config_space *s = &blk->space;
	uint32_t per_block = img->physical_block / img->logical_block;

	s->capacity = le64_of(img->size / BLK_SECTOR);
	s->size_max = le32_of(BLK_SIZE_MAX);
	s->seg_max = le32_of(blk->seg_max);
	s->blk_size = le32_of(img->logical_block);
	s->physical_block_exp = (uint8_t)__builtin_ctz(per_block);
	s->min_io_size = le16_of((uint16_t)per_block);
	s->writeback = 1;
	s->num_queues = le16_of((uint16_t)blk->config.num_queues);
	s->max_discard_sectors = le32_of(BLK_DISCARD_MAX_SECTORS);
	s->max_discard_seg = le32_of(1);
	s->discard_sector_alignment = le32_of(
		MAX(img->discard_granularity, img->logical_block) / BLK_SECTOR);
	s->max_write_zeroes_sectors = le32_of(BLK_ZEROES_MAX_SECTORS);
	s->max_write_zeroes_seg = le32_of(1);
	s->write_zeroes_may_unmap = img->discard_granularity != 0 &&
				    blk->config.discard;
}

static int blk_take_memory(struct blk *blk, struct board *board,
			   struct error *err)
{
	struct device *other = board_find_class(board, blk_class.name);
	const struct blk *disk =
		other ? container_of(other, struct blk, dev.device) : NULL;

	return blk_memory_get(&blk->memory, &blk->dev,
			      disk ? &disk->memory : NULL, board, err);
}

static int blk_build(struct blk *blk, struct board *board, struct error *err)
{
	const struct blk_config *c = &blk->config;
	struct virtio_init init = {
		.board = board,
		.class = &blk_class,
		.name = c->id,
		.ops = &blk_ops,
		.id = BLK_VIRTIO_ID,
		.nr_queues = (unsigned int)c->num_queues,
		.queue_size = (uint16_t)c->queue_size,
		.chain_size = sizeof(struct blk_req),
		.poll_us = (uint32_t)c->poll_us,
		.nr_io_queues = (unsigned int)c->num_queues,
		.config = &blk->space,
		.config_len = sizeof(blk->space),
	};
	const char *serial;
	int r;

	blk->seg_max = (unsigned int)MIN(c->queue_size - 2, BLK_SEG_MAX);
	init.iov_max = blk->seg_max + BLK_SEG_EXTRA;
	init.features = blk_features(blk);
	blk_fill_space(blk);
	blk->queues = calloc(c->num_queues, sizeof(*blk->queues));
	if (!blk->queues)
		return error_set(err, ENOMEM, "out of memory");
	r = virtio_init(&blk->dev, &init, err);
	if (r)
		return r;
	virtio_set_limit(&blk->dev, VIRTIO_TO_GUEST, &c->limit);
	for (unsigned int i = 0; i < c->num_queues; i++) {
		blk->queues[i].blk = blk;
		blk->queues[i].q = &blk->dev.queues[i];
	}
	r = blk_take_memory(blk, board, err);
	if (r)
		return r;
	/* Not a string: a serial of 20 bytes has no NUL (section 5.2.6.1). */
	serial = c->serial ? c->serial : blk->dev.device.id;
	memcpy(blk->serial, serial, strnlen(serial, sizeof(blk->serial)));
	return vpci_attach(&blk->dev, BLK_PCI_CLASS, err);
}

static int blk_create(struct board *board, const void *config, void *opened,
		      struct device **out, struct error *err)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	int r;

	if (!blk)
		return error_set(err, ENOMEM, "out of memory");
	blk->config = *(const struct blk_config *)config;
	blk->image = opened;
	atomic_store(&blk->writeback, true);
	r = blk_build(blk, board, err);
	if (r) {
		blk_destroy(&blk->dev);
		return r;
	}
	*out = &blk->dev.device;
	return 0;
}

static const struct syscall_rule blk_syscalls[] = {
	/* Opening an image, and closing and resizing it. */
	MAY("close", ON_IO | ON_POOL),
	MAY("fcntl", ON_POOL, IF_ARG(1, F_DUPFD_CLOEXEC)),
	/* Where no thread can be had, the main thread closes it. */
	MAY("fcntl", ON_MAIN | ON_POOL, IF_ARG(1, F_OFD_SETLK)),
	MAY("fcntl", ON_POOL, IF_ARG(1, F_GETFL)),
	MAY("fcntl", ON_POOL, IF_ARG(1, F_SETFL)),
	MAY("ftruncate", ON_POOL),
	MAY("readlink", ON_POOL),
	MAY("statx", ON_POOL),
	/* Not seen: block devices. */
	MAY("ioctl", ON_POOL, IF_ARG(1, BLKDISCARD)),
	MAY("ioctl", ON_POOL, IF_ARG(1, BLKGETSIZE64)),
	MAY("ioctl", ON_POOL, IF_ARG(1, BLKPBSZGET)),
	MAY("ioctl", ON_POOL, IF_ARG(1, BLKROGET)),
	MAY("ioctl", ON_POOL, IF_ARG(1, BLKSSZGET)),
	/* Requests that may wait, and such as are made at once. */
	MAY("fallocate", ON_POOL),
	MAY("fdatasync", ON_POOL),
	MAY("preadv", ON_POOL),
	MAY("eventfd2", ON_IO),
	MAY("getrusage", ON_IO),
	MAY("preadv2", ON_IO),
	MAY("pwritev", ON_IO | ON_POOL),
	MAY("write", ON_IO | ON_POOL),
	/* Engines. */
	MAY("io_destroy", ON_IO),
	MAY("io_getevents", ON_IO),
	/* Not seen: the same, as newer libaio makes it (Debian 13). */
	MAY("io_pgetevents", ON_IO),
	MAY("io_setup", ON_IO),
	MAY("io_submit", ON_IO),
	MAY("io_uring_enter", ON_IO),
	MAY("io_uring_register", ON_IO,
	    IF_ARG(1, IORING_REGISTER_FILES_UPDATE)),
	MAY("io_uring_register", ON_IO, IF_ARG(1, IORING_REGISTER_BUFFERS)),
	MAY("io_uring_register", ON_IO, IF_ARG(1, IORING_UNREGISTER_BUFFERS)),
	/* Not seen: memory that is plugged and is all there from the start. */
	MAY("io_uring_register", ON_IO,
	    IF_ARG(1, IORING_REGISTER_BUFFERS_UPDATE)),
	/* An I/O thread that begins makes a ring, and restricts it. */
	MAY("io_uring_setup", ON_SPAWN),
	MAY("io_uring_register", ON_SPAWN, IF_ARG(1, IORING_REGISTER_FILES)),
	MAY("io_uring_register", ON_SPAWN, IF_ARG(1, IORING_REGISTER_EVENTFD)),
	MAY("io_uring_register", ON_SPAWN,
	    IF_ARG(1, IORING_REGISTER_RESTRICTIONS)),
	MAY("io_uring_register", ON_SPAWN,
	    IF_ARG(1, IORING_REGISTER_ENABLE_RINGS)),
	{ .name = "" },
};

static const struct device_root blk_root = { .cmdline = "root=/dev/vda" };

static void blk_places(const void *config, device_place_fn fn, void *arg)
{
	const struct blk_config *c = config;

	fn(arg, c->path,
	   c->readonly ? OPENER_READ : OPENER_READ | OPENER_WRITE);
}

const struct device_class blk_class = {
	.name = "blk",
	.option = "disk",
	.json_list = "disks",
	.params = &blk_param_set,
	.set_params = &blk_set_param_set,
	.places = blk_places,
	.peer_keys = blk_peer_keys,
	.syscalls = blk_syscalls,
	.root = &blk_root,
#ifndef VMM_NO_URING
	.io_local = &block_loop_local,
#endif
	.open = blk_open,
	.close = blk_close,
	.create = blk_create,
};
