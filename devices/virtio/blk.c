/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio-blk (virtio 1.2 section 5.2).
 *
 * Every queue has its own engine on its own loop, so nothing here takes a lock
 * on the way of a request but the rate limit, which the queues share. Requests
 * live in an array with an entry per descriptor of the ring, indexed by the
 * chain's head; the engine's done() only marks the chain used, and the poll
 * that called it publishes all of them at once.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/block.h"
#include "devices/registry.h"
#include "devices/virtio/io_counters.h"
#include "devices/virtio/blk_params.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio.h"
#include "vmm/byteorder.h"
#include "vmm/iov.h"
#include "vmm/log.h"
#include "vmm/param.h"
#include "vmm/token_bucket.h"
#include "vmm/util.h"
#include "vmm/vm.h"

#define BLK_VIRTIO_ID 2
#define BLK_PCI_CLASS 0x018000 /* mass storage, other */

#define BLK_F_SEG_MAX 2
#define BLK_F_RO 5
#define BLK_F_BLK_SIZE 6
#define BLK_F_FLUSH 9
#define BLK_F_TOPOLOGY 10
#define BLK_F_CONFIG_WCE 11
#define BLK_F_MQ 12
#define BLK_F_DISCARD 13
#define BLK_F_WRITE_ZEROES 14

/* Request types and status, section 5.2.6 */
#define BLK_T_IN 0u
#define BLK_T_OUT 1u
#define BLK_T_FLUSH 4u
#define BLK_T_GET_ID 8u
#define BLK_T_DISCARD 11u
#define BLK_T_WRITE_ZEROES 13u
#define BLK_S_OK 0
#define BLK_S_IOERR 1
#define BLK_S_UNSUPP 2
#define BLK_ZEROES_UNMAP 1u

#define BLK_SECTOR 512u
#define BLK_SEG_MAX 254u
/* Header, status and a buffer cut by a memory region's border. */
#define BLK_SEG_EXTRA 4u
#define BLK_DISCARD_MAX_SECTORS (1u << 22) /* 2 GiB a request */
/* Chains taken before the ones in hand go to the host: long enough to share
 * the system call, short enough for guest and host to work at the same time. */
#define BLK_BATCH 16u

struct blk_config_space {
	le64 capacity; /* sectors */
	le32 size_max;
	le32 seg_max;
	uint8_t geometry[4];
	le32 blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	le16 min_io_size;
	le32 opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};
_Static_assert(sizeof(struct blk_config_space) == 64, "section 5.2.4");

struct blk_header {
	le32 type;
	le32 reserved;
	le64 sector;
};

struct blk_range {
	le64 sector;
	le32 nr_sectors;
	le32 flags;
};

struct blk_queue;

struct blk_req {
	struct block_req be;
	struct blk_queue *bq;
	uint8_t *status;
	uint64_t begun; /* of io_counters_begin() */
	uint32_t in_len; /* writable bytes filled when it succeeds */
	uint16_t head;
};

/* Owner loop only. */
struct blk_queue {
	struct blk *blk;
	struct virtio_queue *q;
	struct block_engine *engine;
	struct blk_req *reqs; /* by head */
	struct iovec *iovs;
	unsigned int iov_max; /* per request */
	struct loop_timer timer; /* the rate limit lets go */
	struct blk_req *held; /* waits for the rate limit */
	struct io_counters counters; /* any thread may read them */
	uint64_t held_ns; /* since when, with held */
	uint64_t said_ns; /* when the log was last told */
};

struct blk {
	struct virtio_dev dev;
	/* set at creation */
	const struct blk_config *config;
	struct block_image image;
	struct blk_queue *queues;
	unsigned int seg_max;
	char serial[BLK_ID_LEN];
	bool limited;
	/* vCPU, under dev.lock */
	struct blk_config_space space;
	/* any thread */
	atomic_bool writeback;
	pthread_mutex_t limit_lock; /* guards limit; a leaf */
	struct rate_limiter limit;
};

static struct blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct blk, dev);
}

/* ---- completion ---- */

static void blk_finish(struct blk_req *req, uint8_t status)
{
	*req->status = status;
	virtqueue_push(&req->bq->q->vq, req->head,
		       status == BLK_S_OK ? req->in_len + 1 : 1);
}

/* At most one line a second: a broken disk must not fill the log's. */
static void blk_say_error(struct blk_queue *bq, const struct block_req *be)
{
	static const char *const names[] = {
		[BLOCK_READ] = "read",
		[BLOCK_WRITE] = "write",
		[BLOCK_FLUSH] = "flush",
		[BLOCK_DISCARD] = "discard",
		[BLOCK_WRITE_ZEROES] = "write zeroes",
	};
	uint64_t now = loop_now_ns();

	io_count(&bq->counters.errors, 1);
	if (bq->said_ns && now - bq->said_ns < 1000000000)
		return;
	bq->said_ns = now;
	log_warn("%s: %s of %llu bytes at %llu: %s (%llu errors so far)",
		 bq->blk->dev.device.id, names[be->op],
		 (unsigned long long)be->len, (unsigned long long)be->offset,
		 strerror(-be->result),
		 (unsigned long long)bq->counters.errors);
}

static void blk_done(void *opaque, struct block_req *be)
{
	struct blk_queue *bq = opaque;
	struct blk_req *req = container_of(be, struct blk_req, be);

	if (be->result) {
		blk_say_error(bq, be);
		blk_finish(req, BLK_S_IOERR);
		return;
	}
	if (be->op == BLOCK_READ || be->op == BLOCK_WRITE)
		io_counters_end(&bq->counters, be->op == BLOCK_WRITE, be->len,
				req->begun);
	/* Write-through: the write is done when it is on stable storage. */
	if (be->op != BLOCK_READ && be->op != BLOCK_FLUSH &&
	    !atomic_load_explicit(&bq->blk->writeback, memory_order_relaxed)) {
		be->op = BLOCK_FLUSH;
		bq->engine->ops->submit(bq->engine, be);
		bq->engine->ops->commit(bq->engine);
		return;
	}
	blk_finish(req, BLK_S_OK);
}

/* ---- requests ---- */

/* Bytes [offset, offset+len) are whole blocks inside the disk. */
static bool blk_is_inside(const struct blk *blk, uint64_t sector, uint64_t len)
{
	uint64_t sectors = blk->image.size / BLK_SECTOR;
	uint64_t block = blk->image.logical_block;

	return len && len % block == 0 && sector < sectors &&
	       sector % (block / BLK_SECTOR) == 0 &&
	       len / BLK_SECTOR <= sectors - sector;
}

static int blk_prepare_rw(struct blk *blk, struct blk_req *req, bool write,
			  uint64_t sector, struct vq_chain *c)
{
	struct iovec *iov = write ? c->iov : c->iov + c->nr_out;
	unsigned int nr = write ? c->nr_out : c->nr_in;
	uint64_t len = write ? c->out_len - sizeof(struct blk_header)
			     : c->in_len - 1;

	if (!blk_is_inside(blk, sector, len) || (write && blk->image.readonly))
		return BLK_S_IOERR;
	if (write)
		iov_trim_front(&iov, &nr, sizeof(struct blk_header));
	else
		iov_trim_back(iov, &nr, 1);
	req->be.op = write ? BLOCK_WRITE : BLOCK_READ;
	req->be.offset = sector * BLK_SECTOR;
	req->be.len = len;
	req->be.iov = iov;
	req->be.nr_iov = nr;
	req->in_len = write ? 0 : (uint32_t)len;
	return BLK_S_OK;
}

/* DISCARD and WRITE_ZEROES, section 5.2.6.2; one range a request. */
static int blk_prepare_range(struct blk *blk, struct blk_req *req, bool zeroes,
			     struct iov_cursor *out)
{
	struct blk_range range;
	uint64_t sector, len;
	uint32_t flags;

	if (!virtio_has(&blk->dev, zeroes ? BLK_F_WRITE_ZEROES : BLK_F_DISCARD))
		return BLK_S_UNSUPP;
	if (iov_read(out, &range, sizeof(range)) != sizeof(range) ||
	    iov_skip(out, 1))
		return BLK_S_IOERR;
	sector = le64_get(range.sector);
	len = (uint64_t)le32_get(range.nr_sectors) * BLK_SECTOR;
	flags = le32_get(range.flags);
	if (flags & (zeroes ? ~BLK_ZEROES_UNMAP : ~0u))
		return BLK_S_UNSUPP;
	if (!blk_is_inside(blk, sector, len) || blk->image.readonly ||
	    len / BLK_SECTOR > BLK_DISCARD_MAX_SECTORS)
		return BLK_S_IOERR;
	req->be.op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
	req->be.flags = flags & BLK_ZEROES_UNMAP && blk->config->discard
				? BLOCK_ZERO_MAY_UNMAP
				: 0;
	req->be.offset = sector * BLK_SECTOR;
	req->be.len = len;
	return BLK_S_OK;
}

static int blk_get_id(struct blk *blk, struct vq_chain *c)
{
	struct iov_cursor in = iov_cursor_init(c->iov + c->nr_out, c->nr_in);

	if (c->in_len - 1 < BLK_ID_LEN)
		return BLK_S_IOERR;
	iov_write(&in, blk->serial, BLK_ID_LEN);
	return BLK_S_OK;
}

/*
 * Read the header and fill req for the engine. Returns the status to finish
 * with, or -1 when the engine has to run first.
 */
static int blk_prepare(struct blk *blk, struct blk_req *req, struct vq_chain *c)
{
	struct iov_cursor out = iov_cursor_init(c->iov, c->nr_out);
	struct blk_header hdr;
	uint32_t type;
	int status;

	if (iov_read(&out, &hdr, sizeof(hdr)) != sizeof(hdr))
		return BLK_S_IOERR;
	req->in_len = 0;
	req->be.flags = 0;
	type = le32_get(hdr.type);
	switch (type) {
	case BLK_T_IN:
	case BLK_T_OUT:
		status = blk_prepare_rw(blk, req, type == BLK_T_OUT,
					le64_get(hdr.sector), c);
		break;
	case BLK_T_DISCARD:
	case BLK_T_WRITE_ZEROES:
		status = blk_prepare_range(blk, req, type == BLK_T_WRITE_ZEROES,
					   &out);
		break;
	case BLK_T_FLUSH:
		req->be.op = BLOCK_FLUSH;
		req->be.offset = req->be.len = 0;
		return -1;
	case BLK_T_GET_ID:
		req->in_len = BLK_ID_LEN;
		return blk_get_id(blk, c);
	default:
		return BLK_S_UNSUPP;
	}
	return status == BLK_S_OK ? -1 : status;
}

/* May it go now? Otherwise the timer is armed and the queue waits. */
static bool blk_is_admitted(struct blk_queue *bq, const struct blk_req *req)
{
	struct blk *blk = bq->blk;
	uint64_t wait_ns = 0, now;
	bool ok;

	if (!blk->limited)
		return true;
	now = loop_now_ns();
	pthread_mutex_lock(&blk->limit_lock);
	/* Only data that moves counts as bandwidth; all requests count. */
	ok = rate_limiter_take(&blk->limit, now,
			       req->be.op <= BLOCK_WRITE ? req->be.len : 0,
			       &wait_ns);
	pthread_mutex_unlock(&blk->limit_lock);
	if (!ok)
		loop_timer_set(bq->q->loop, &bq->timer, now + wait_ns);
	return ok;
}

/* Take one chain. 1: took one, 0: none or held back, -errno: guest's fault */
static int blk_take(struct blk_queue *bq)
{
	struct vq_chain c = { .pool = bq->iovs, .iov_max = bq->iov_max };
	struct blk_req *req;
	const struct iovec *last;
	int r, status;

	r = virtqueue_pop(&bq->q->vq, &c);
	if (r <= 0)
		return r;
	req = &bq->reqs[c.head];
	if (!c.in_len) {
		/* No room for a status: nothing to tell, but not a lost
		 * chain either. */
		virtqueue_push(&bq->q->vq, c.head, 0);
		return 1;
	}
	last = &c.iov[c.nr_out + c.nr_in - 1];
	req->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	req->head = c.head;
	status = blk_prepare(bq->blk, req, &c);
	req->begun = io_counters_begin(&bq->counters);
	if (status >= 0) {
		blk_finish(req, (uint8_t)status);
	} else if (blk_is_admitted(bq, req)) {
		bq->engine->ops->submit(bq->engine, &req->be);
	} else {
		bq->held = req;
		bq->held_ns = loop_now_ns();
		bq->q->held = true;
		return 0;
	}
	return 1;
}

static void blk_queue_end(struct blk_queue *bq);

static void blk_publish(struct blk_queue *bq)
{
	if (virtqueue_publish(&bq->q->vq))
		virtio_interrupt(bq->q);
}

static bool blk_poll(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];
	struct virtqueue *vq = &bq->q->vq;
	bool work = bq->engine->ops->poll(bq->engine) ||
		    vq->used_published != vq->used_idx;

	if (!work)
		return false;
	blk_publish(bq);
	if (bq->q->draining && virtqueue_is_idle(vq))
		blk_queue_end(bq);
	return true;
}

static void blk_on_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];
	unsigned int n, all = 0;
	int r;

	do {
		for (n = 0, r = 1; n < BLK_BATCH && r > 0; n++)
			r = blk_take(bq);
		bq->engine->ops->commit(bq->engine);
		bq->engine->ops->poll(bq->engine);
		blk_publish(bq);
		all += n;
	} while (r > 0 && all < bq->q->vq.size);
	if (r < 0)
		virtio_fault(bq->q, bq->q->vq.fault);
}

static void blk_release_held(struct blk_queue *bq)
{
	struct blk_req *req = bq->held;

	bq->held = NULL;
	bq->q->held = false;
	io_count(&bq->counters.throttled_ns, loop_now_ns() - bq->held_ns);
	bq->engine->ops->submit(bq->engine, &req->be);
}

static void blk_on_timer(struct loop_timer *lt)
{
	struct blk_queue *bq = container_of(lt, struct blk_queue, timer);

	if (!bq->held || !blk_is_admitted(bq, bq->held))
		return;
	blk_release_held(bq);
	blk_on_kick(&bq->blk->dev, bq->q->index);
}

/* ---- queues ---- */

/*
 * Guest memory for the engine to register: only when all of it is there from
 * the start, as registering pins it; then it saves up to a tenth of the time.
 */
static bool blk_registers_memory(const struct gmem *gm)
{
	return gm->config.prefault || gm->config.hugepages;
}

static unsigned int blk_fixed_memory(const struct gmem *gm, struct iovec *out,
				     struct iovec *window)
{
	unsigned int i, nr = atomic_load(&gm->nr);

	if (!blk_registers_memory(gm))
		return 0;
	*window = (struct iovec){ gm->hot.hva, gm->hot.len };
	for (i = 0; i < nr; i++)
		out[i] = (struct iovec){ gm->regions[i].hva,
					 gm->regions[i].len };
	return nr;
}

static_assert(BLOCK_WINDOW_UNIT == GMEM_BLOCK, "memory comes in such pieces");

/* Tell the queue's engine what there is of [mem], by what gmem says now: what
 * the main thread changes meanwhile comes as another call. Owner loop. */
static void blk_queue_memory(struct blk_queue *bq, const struct iovec *mem)
{
	const struct gmem_hot *hot = &bq->blk->dev.vm->gmem.hot;
	uint64_t off;

	if (!bq->engine || !bq->engine->ops->memory)
		return;
	for (off = 0; off < mem->iov_len; off += GMEM_BLOCK) {
		const struct iovec piece = { (uint8_t *)mem->iov_base + off,
					     GMEM_BLOCK };

		bq->engine->ops->memory(bq->engine, &piece,
					gmem_hot_is_there(hot, piece.iov_base));
	}
}

struct blk_memory_call {
	struct blk_queue *bq;
	const struct iovec *mem;
};

static void blk_on_memory(void *arg)
{
	const struct blk_memory_call *call = arg;

	blk_queue_memory(call->bq, call->mem);
}

static void blk_memory(struct virtio_dev *dev, const struct iovec *mem)
{
	struct blk *blk = blk_of(dev);
	unsigned int i;

	if (!blk_registers_memory(&dev->vm->gmem))
		return;
	for (i = 0; i < dev->nr_queues; i++) {
		struct blk_memory_call call = { &blk->queues[i], mem };

		loop_call_sync(dev->queues[i].loop, blk_on_memory, &call);
	}
}

static int blk_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk *blk = blk_of(dev);
	struct blk_queue *bq = &blk->queues[qidx];
	struct iovec fixed[GMEM_MAX_REGIONS];
	struct block_engine_config ec = {
		.image = &blk->image,
		.depth = bq->q->vq.size,
		.loop = bq->q->loop,
		.done = blk_done,
		.opaque = bq,
		.fixed = fixed,
	};
	unsigned int i, size = bq->q->vq.size;
	int r;

	ec.nr_fixed = blk_fixed_memory(&dev->vm->gmem, fixed, &ec.window);
	bq->iov_max = blk->seg_max + BLK_SEG_EXTRA;
	bq->reqs = calloc(size, sizeof(*bq->reqs));
	bq->iovs = calloc((size_t)size * bq->iov_max, sizeof(*bq->iovs));
	r = bq->reqs && bq->iovs ? 0 : -ENOMEM;
	if (!r)
		r = block_engine_create(
			&bq->engine,
			(enum block_engine_kind)blk->config->engine, &ec);
	if (r) {
		free(bq->reqs);
		free(bq->iovs);
		return r;
	}
	blk_queue_memory(bq, &ec.window);
	for (i = 0; i < size; i++)
		bq->reqs[i].bq = bq;
	return 0;
}

static void blk_queue_end(struct blk_queue *bq)
{
	bq->engine->ops->destroy(bq->engine);
	bq->engine = NULL;
	free(bq->reqs);
	free(bq->iovs);
	bq->reqs = NULL;
	bq->iovs = NULL;
	virtio_queue_idle(bq->q);
}

static void blk_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];

	loop_timer_cancel(&bq->timer);
	if (bq->held) {
		blk_release_held(bq);
		bq->engine->ops->commit(bq->engine);
	}
	if (virtqueue_is_idle(&bq->q->vq))
		blk_queue_end(bq);
}

static void blk_events(struct virtio_dev *dev, unsigned int qidx, bool on)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];

	bq->engine->ops->events(bq->engine, on);
}

/* ---- device ---- */

/* Section 5.2.6.2: without FLUSH, or with writeback 0, writes go through. */
static void blk_activate(struct virtio_dev *dev)
{
	struct blk *blk = blk_of(dev);
	bool on = virtio_has(dev, BLK_F_FLUSH);

	if (virtio_has(dev, BLK_F_CONFIG_WCE))
		on = blk->space.writeback;
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
	    !virtio_has(dev, BLK_F_CONFIG_WCE))
		return;
	blk->space.writeback = *(const uint8_t *)data & 1;
	atomic_store(&blk->writeback, blk->space.writeback);
}

static void blk_counters(struct virtio_dev *dev,
			 void (*emit)(void *arg, const char *name,
				      uint64_t value),
			 void *arg)
{
	struct blk *blk = blk_of(dev);
	struct io_counters sum = { .begun = 0 };
	unsigned int i, nr = (unsigned int)blk->config->num_queues;

	for (i = 0; i < nr; i++)
		io_counters_sum(&sum, &blk->queues[i].counters);
	io_counters_emit(&sum, emit, arg);
	for (i = 0; i < nr; i++)
		io_counters_emit_queue(&blk->queues[i].counters, i, emit, arg);
}

static int blk_resize(struct virtio_dev *dev, uint64_t bytes, struct error *err)
{
	struct blk *blk = blk_of(dev);
	le64 capacity = le64_of(bytes / BLK_SECTOR);
	int r = block_image_resize(&blk->image, bytes, err);

	if (r)
		return error_prefix(err, r, "id %s", dev->device.id);
	virtio_config_set(dev, offsetof(struct blk_config_space, capacity),
			  &capacity, sizeof(capacity));
	return 0;
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct blk *blk = blk_of(dev);

	virtio_fini(dev);
	block_image_close(&blk->image);
	free(blk->queues);
	pthread_mutex_destroy(&blk->limit_lock);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.activate = blk_activate,
	.queue_start = blk_queue_start,
	.kick = blk_on_kick,
	.poll = blk_poll,
	.events = blk_events,
	.queue_stop = blk_queue_stop,
	.reset = blk_reset,
	.config_write = blk_config_write,
	.resize = blk_resize,
	.memory = blk_memory,
	.counters = blk_counters,
	.destroy = blk_destroy,
};

static uint64_t blk_features(const struct blk *blk)
{
	uint64_t f = VIRTIO_F(BLK_F_SEG_MAX) | VIRTIO_F(BLK_F_BLK_SIZE) |
		     VIRTIO_F(BLK_F_TOPOLOGY) | VIRTIO_F(BLK_F_FLUSH) |
		     VIRTIO_F(BLK_F_CONFIG_WCE);

	if (blk->config->num_queues > 1)
		f |= VIRTIO_F(BLK_F_MQ);
	if (blk->image.readonly)
		return f | VIRTIO_F(BLK_F_RO);
	if (blk->config->discard && blk->image.discard_granularity)
		f |= VIRTIO_F(BLK_F_DISCARD);
	return f | VIRTIO_F(BLK_F_WRITE_ZEROES);
}

static void blk_fill_space(struct blk *blk)
{
	const struct block_image *img = &blk->image;
	struct blk_config_space *s = &blk->space;
	uint32_t per_block = img->physical_block / img->logical_block;

	s->capacity = le64_of(img->size / BLK_SECTOR);
	s->seg_max = le32_of(blk->seg_max);
	s->blk_size = le32_of(img->logical_block);
	s->physical_block_exp = (uint8_t)__builtin_ctz(per_block);
	s->min_io_size = le16_of((uint16_t)per_block);
	s->writeback = 1;
	s->num_queues = le16_of((uint16_t)blk->config->num_queues);
	s->max_discard_sectors = le32_of(BLK_DISCARD_MAX_SECTORS);
	s->max_discard_seg = le32_of(1);
	s->discard_sector_alignment = le32_of(
		MAX(img->discard_granularity, img->logical_block) / BLK_SECTOR);
	s->max_write_zeroes_sectors = le32_of(BLK_DISCARD_MAX_SECTORS);
	s->max_write_zeroes_seg = le32_of(1);
	s->write_zeroes_may_unmap = img->discard_granularity != 0 &&
				    blk->config->discard;
}

static void blk_init_limit(struct blk *blk)
{
	const struct blk_config *c = blk->config;
	const struct token_bucket_config bw = { c->bw_size, c->bw_burst,
						c->bw_refill_ms };
	const struct token_bucket_config ops = { c->ops_size, c->ops_burst,
						 c->ops_refill_ms };

	rate_limiter_init(&blk->limit, &bw, &ops, loop_now_ns());
	blk->limited = rate_limiter_is_active(&blk->limit);
}

static int blk_build(struct blk *blk, struct vm *vm, struct error *err)
{
	const struct blk_config *c = blk->config;
	const struct block_image_config ic = {
		.path = c->path,
		.fd = c->fd,
		.readonly = c->readonly,
		.direct = c->direct,
	};
	struct virtio_init init = {
		.vm = vm,
		.class = &blk_class,
		.ops = &blk_ops,
		.id = BLK_VIRTIO_ID,
		.nr_queues = (unsigned int)c->num_queues,
		.queue_size = (uint16_t)c->queue_size,
		.poll_us = (uint32_t)c->poll_us,
		.config = &blk->space,
		.config_len = sizeof(blk->space),
	};
	const char *serial;
	unsigned int i;
	int r;

	r = block_image_open(&blk->image, &ic, err);
	if (r)
		return error_prefix(err, r, "--disk");
	blk->seg_max = (unsigned int)MIN(c->queue_size - 2, BLK_SEG_MAX);
	init.features = blk_features(blk);
	blk_fill_space(blk);
	blk_init_limit(blk);
	blk->queues = calloc(c->num_queues, sizeof(*blk->queues));
	if (!blk->queues)
		return error_set(err, ENOMEM, "out of memory");
	r = virtio_init(&blk->dev, &init, err);
	if (r)
		return r;
	for (i = 0; i < c->num_queues; i++) {
		blk->queues[i].blk = blk;
		blk->queues[i].q = &blk->dev.queues[i];
		blk->queues[i].timer.on_expire = blk_on_timer;
	}
	r = vm_assign_id(vm, &blk->dev.device, c->id, err);
	if (r)
		return r;
	/* Not a string: a serial of 20 bytes has no NUL (section 5.2.6.1). */
	serial = c->serial ? c->serial : blk->dev.device.id;
	memcpy(blk->serial, serial, strnlen(serial, sizeof(blk->serial)));
	return vpci_attach(&blk->dev, BLK_PCI_CLASS, err);
}

static int blk_create(struct vm *vm, const void *config, struct device **out,
		      struct error *err)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	int r;

	if (!blk)
		return error_set(err, ENOMEM, "out of memory");
	blk->config = config;
	blk->image.fd = -1;
	atomic_store(&blk->writeback, true);
	pthread_mutex_init(&blk->limit_lock, NULL);
	r = blk_build(blk, vm, err);
	if (r) {
		blk_destroy(&blk->dev);
		return r;
	}
	*out = &blk->dev.device;
	return 0;
}

const struct device_class blk_class = {
	.name = "blk",
	.kind = DEVICE_VIRTIO,
	.option = "disk",
	.json_list = "disks",
	.params = &blk_param_set,
	.root_device = "/dev/vda",
	.create = blk_create,
};
