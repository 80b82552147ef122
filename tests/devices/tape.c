/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A device by the recipe in README, to prove it: a tape. What the guest puts
 * into queue 1 is recorded, and played into the buffers of queue 0 when it puts
 * some there. Recording is limited on its way from the guest, playing on its way
 * to it.
 */
#include <stdlib.h>

#include "devices/registry.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio_limit.h"
#include "tests/devices/tape_file.h"
#include "vmm/util.h"

#define TAPE_VIRTIO_ID 42
#define TAPE_PCI_CLASS 0xff0000 /* none of the known ones */
#define TAPE_PLAY 0u
#define TAPE_RECORD 1u
#define TAPE_BUFFERS 16u

struct tape_config {
	char *path;
	char *id;
	struct limits_config limits;
};

static const struct param tape_params[] = {
	PARAM("path", PATH, struct tape_config, path, "file of the tape",
	      .required = true),
	PARAM("id", STRING, struct tape_config, id,
	      "name of the device for later requests", .max = 63),
	LIMITS_PARAMS(struct tape_config, limits),
};

static const struct param tape_set_params[] = {
	LIMITS_PARAMS(struct tape_config, limits),
};

static const struct param_set tape_param_set = {
	.option = "tape",
	.help = "add a tape",
	PARAM_TABLE(tape_params, struct tape_config),
	.shorthand = "path",
};

static const struct param_set tape_set_param_set = {
	.option = "tape",
	PARAM_TABLE(tape_set_params, struct tape_config),
};

struct tape {
	struct virtio_dev dev;
	struct tape_file *file; /* owner loop */
};

static void tape_count(struct virtio_queue *q, ssize_t n, uint64_t begun)
{
	if (n < 0)
		io_count(&q->counters.errors, 1);
	else
		io_counters_end(&q->counters, q->index == TAPE_RECORD,
				(uint64_t)n, begun);
}

static void tape_record(struct tape *t, struct virtio_queue *q)
{
	struct vq_chain *c;

	while ((c = virtqueue_pop(&q->vq))) {
		uint64_t begun;

		if (!virtio_queue_admit(q, VIRTIO_FROM_GUEST, c, c->out_len))
			break;
		begun = io_counters_begin(&q->counters);
		tape_count(q, tape_file_record(t->file, c->iov, c->nr_out),
			   begun);
		virtqueue_push(&q->vq, c, 0);
	}
	virtio_queue_publish(q);
	virtio_kick(&t->dev, TAPE_PLAY);
}

static void tape_play(struct tape *t, struct virtio_queue *q)
{
	struct vq_chain *c;

	while (tape_file_left(t->file) && (c = virtqueue_pop(&q->vq))) {
		uint64_t left = tape_file_left(t->file), begun;
		ssize_t n;

		if (!virtio_queue_admit(q, VIRTIO_TO_GUEST, c,
					MIN(c->in_len, left)))
			break;
		begun = io_counters_begin(&q->counters);
		n = tape_file_play(t->file, c->iov + c->nr_out, c->nr_in);
		tape_count(q, n, begun);
		virtqueue_push(&q->vq, c, n < 0 ? 0 : (uint32_t)n);
	}
	virtio_queue_publish(q);
}

static void tape_on_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct tape *t = container_of(dev, struct tape, dev);

	if (qidx == TAPE_RECORD)
		tape_record(t, &dev->queues[qidx]);
	else
		tape_play(t, &dev->queues[qidx]);
}

/* A chain is not kept longer than a kick takes. */
static void tape_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	virtio_queue_idle(&dev->queues[qidx]);
}

static int tape_set(struct virtio_dev *dev, const void *config,
		    struct error *err unused_param)
{
	const struct tape_config *c = config;

	virtio_set_limits(dev, &c->limits);
	return 0;
}

static void tape_close(void *opened)
{
	tape_file_close(opened);
}

static void tape_release(struct virtio_dev *dev)
{
	tape_close(container_of(dev, struct tape, dev)->file);
}

static void tape_destroy(struct virtio_dev *dev)
{
	struct tape *t = container_of(dev, struct tape, dev);

	virtio_fini(dev);
	free(t);
}

static const struct virtio_ops tape_ops = {
	.kick = tape_on_kick,
	.queue_stop = tape_queue_stop,
	.set = tape_set,
	.release = tape_release,
	.destroy = tape_destroy,
};

static int tape_open(const void *config, void **opened, struct error *err)
{
	const struct tape_config *c = config;
	struct tape_file *file;
	int r = tape_file_open(&file, c->path, err);

	if (!r)
		*opened = file;
	return r;
}

static int tape_create(struct board *board, const void *config, void *opened,
		       struct device **out, struct error *err)
{
	const struct tape_config *c = config;
	const struct virtio_init init = {
		.board = board,
		.class = &tape_class,
		.name = c->id,
		.ops = &tape_ops,
		.id = TAPE_VIRTIO_ID,
		.nr_queues = 2,
		.queue_size = 64,
		.iov_max = TAPE_BUFFERS,
		.group_size = 2, /* recording kicks playing */
		.own_loops = true, /* a file may block */
		.nr_io_queues = 2,
	};
	struct tape *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return error_set(err, ENOMEM, "out of memory");
	r = virtio_init(&t->dev, &init, err);
	if (!r)
		r = vpci_attach(&t->dev, TAPE_PCI_CLASS, err);
	if (r) {
		tape_destroy(&t->dev);
		return r;
	}
	virtio_set_limits(&t->dev, &c->limits);
	t->file = opened;
	*out = &t->dev.device;
	return 0;
}

const struct device_class tape_class = {
	.name = "tape",
	.option = "tape",
	.json_list = "tape",
	.single = true,
	.params = &tape_param_set,
	.set_params = &tape_set_param_set,
	.open = tape_open,
	.close = tape_close,
	.create = tape_create,
};
