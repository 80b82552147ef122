/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The queues of virtio-blk: from a chain of the ring to a request of the engine
 * and back (virtio 1.2 section 5.2.6).
 *
 * Every queue has its own engine on its own loop, so nothing here takes a lock
 * on the way of a request but the rate limit, which the queues share. A request
 * begins with its chain and lives as long as the queue lends it; the engine's
 * done() only marks the chain used, and the poll that called it publishes all of
 * them at once.
 */
#include "devices/virtio/blk_queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "devices/virtio/virtio_limit.h"
#include "vmm/iov.h"
#include "vmm/log.h"

/* Chains taken before the ones in hand go to the host: long enough to share
 * the system call, short enough for guest and host to work at the same time. */
#define BLK_BATCH 16u

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

/* ---- completion ---- */

static void blk_finish(struct blk_queue *bq, struct blk_req *req,
		       uint8_t status)
{
	((uint8_t *)req->last->iov_base)[req->last->iov_len++] = status;
	virtqueue_push(&bq->q->vq, &req->chain,
		       status == VIRTIO_BLK_S_OK ? req->in_len + 1 : 1);
}

static void blk_say_error(struct blk_queue *bq, const struct block_req *be)
{
	static const char *const names[] = {
		[BLOCK_READ] = "read",
		[BLOCK_WRITE] = "write",
		[BLOCK_FLUSH] = "flush",
		[BLOCK_DISCARD] = "discard",
		[BLOCK_WRITE_ZEROES] = "write zeroes",
	};

	io_count(&bq->q->counters.errors, 1);
	if (!log_is_due(&bq->said_ns))
		return;
	log_warn("%s: %s of %llu bytes at %llu: %s (%llu errors so far)",
		 bq->blk->dev.device.id, names[be->op], llu(be->len),
		 llu(be->offset), strerror(-be->result),
		 llu(bq->q->counters.errors));
}

static void blk_done(void *opaque, struct block_req *be)
{
	struct blk_queue *bq = opaque;
	struct blk_req *req = container_of(be, struct blk_req, be);

	if (be->result == -ECANCELED) {
		/* The queue stops: once more when it starts again. */
		virtqueue_unpop(&bq->q->vq, &req->chain);
		return;
	}
	if (be->result) {
		blk_say_error(bq, be);
		blk_finish(bq, req, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (be->op == BLOCK_READ || be->op == BLOCK_WRITE)
		io_counters_end(&bq->q->counters, be->op == BLOCK_WRITE,
				be->len, req->begun);
	/* Write-through: the write is done when it is on stable storage. */
	if (be->op != BLOCK_READ && be->op != BLOCK_FLUSH &&
	    !atomic_load_explicit(&bq->blk->writeback, memory_order_relaxed)) {
		be->op = BLOCK_FLUSH;
		block_engine_submit(bq->engine, be);
		block_engine_commit(bq->engine);
		return;
	}
	blk_finish(bq, req, VIRTIO_BLK_S_OK);
}

/* ---- requests ---- */

/* Bytes [offset, offset+len) are whole blocks inside the disk. */
static bool blk_is_inside(const struct blk *blk, uint64_t sector, uint64_t len)
{
	uint64_t sectors = blk->image->size / BLK_SECTOR;
	uint64_t block = blk->image->logical_block;

	return len && len % block == 0 && sector < sectors &&
	       sector % (block / BLK_SECTOR) == 0 &&
	       len / BLK_SECTOR <= sectors - sector;
}

static int blk_prepare_rw(struct blk *blk, struct blk_req *req, bool write,
			  uint64_t sector)
{
	const struct vq_chain *c = &req->chain;
	struct iovec *iov = write ? c->iov : c->iov + c->nr_out;
	unsigned int nr = write ? c->nr_out : c->nr_in;
	uint64_t len = write ? c->out_len - sizeof(struct blk_header)
			     : c->in_len - 1;

	if (!blk_is_inside(blk, sector, len) || len > BLK_REQUEST_MAX ||
	    (write && blk->image->readonly))
		return VIRTIO_BLK_S_IOERR;
	if (write)
		iov_trim_front(&iov, &nr, sizeof(struct blk_header));
	else if (!req->last->iov_len)
		nr--; /* it was the status alone */
	req->be.op = write ? BLOCK_WRITE : BLOCK_READ;
	req->be.offset = sector * BLK_SECTOR;
	req->be.len = len;
	req->be.iov = iov;
	req->be.nr_iov = nr;
	req->in_len = write ? 0 : (uint32_t)len;
	return VIRTIO_BLK_S_OK;
}

/* DISCARD and WRITE_ZEROES, section 5.2.6.2; one range a request. */
static int blk_prepare_range(struct blk *blk, struct blk_req *req, bool zeroes,
			     struct iov_cursor *out)
{
	const uint32_t allowed = zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP
					: 0;
	struct blk_range range;
	uint64_t sector, len;
	uint32_t flags;

	if (!virtio_has(&blk->dev, zeroes ? VIRTIO_BLK_F_WRITE_ZEROES
					  : VIRTIO_BLK_F_DISCARD))
		return VIRTIO_BLK_S_UNSUPP;
	if (iov_read(out, &range, sizeof(range)) != sizeof(range) ||
	    req->chain.out_len != sizeof(struct blk_header) + sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	sector = le64_get(range.sector);
	len = (uint64_t)le32_get(range.nr_sectors) * BLK_SECTOR;
	flags = le32_get(range.flags);
	if (flags & ~allowed)
		return VIRTIO_BLK_S_UNSUPP;
	if (!blk_is_inside(blk, sector, len) || blk->image->readonly ||
	    len / BLK_SECTOR >
		    (zeroes ? BLK_ZEROES_MAX_SECTORS : BLK_DISCARD_MAX_SECTORS))
		return VIRTIO_BLK_S_IOERR;
	req->be.op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
	/* Of zeroes, the only flag there is. */
	req->be.flags = flags && blk->config.discard ? BLOCK_ZERO_MAY_UNMAP : 0;
	req->be.offset = sector * BLK_SECTOR;
	req->be.len = len;
	return VIRTIO_BLK_S_OK;
}

static int blk_get_id(struct blk *blk, const struct vq_chain *c)
{
	unsigned int nr = vq_chain_front(c, c->nr_out + c->nr_in);
	struct iov_cursor in = iov_cursor_init(
		c->iov + c->nr_out, nr > c->nr_out ? nr - c->nr_out : 0);

	return iov_write(&in, blk->serial, BLK_ID_LEN) == BLK_ID_LEN
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

/*
 * Read the header and fill req for the engine. Returns the status to finish
 * with, or -1 when the engine has to run first.
 */
static int blk_prepare(struct blk *blk, struct blk_req *req)
{
	const struct vq_chain *c = &req->chain;
	struct iov_cursor out =
		iov_cursor_init(c->iov, vq_chain_front(c, c->nr_out));
	struct blk_header hdr;
	uint32_t type;
	int status;

	if (iov_read(&out, &hdr, sizeof(hdr)) != sizeof(hdr))
		return VIRTIO_BLK_S_IOERR;
	req->in_len = 0;
	req->be.flags = 0;
	type = le32_get(hdr.type);
	switch (type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		status = blk_prepare_rw(blk, req, type == VIRTIO_BLK_T_OUT,
					le64_get(hdr.sector));
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		status = blk_prepare_range(
			blk, req, type == VIRTIO_BLK_T_WRITE_ZEROES, &out);
		break;
	case VIRTIO_BLK_T_FLUSH:
		req->be.op = BLOCK_FLUSH;
		req->be.offset = req->be.len = 0;
		return -1;
	case VIRTIO_BLK_T_GET_ID:
		req->in_len = BLK_ID_LEN;
		return blk_get_id(blk, c);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
	return status == VIRTIO_BLK_S_OK ? -1 : status;
}

/* Take one chain. False: there is none that may be taken now. */
static bool blk_take(struct blk_queue *bq)
{
	struct vq_chain *c = virtqueue_pop(&bq->q->vq);
	struct blk_req *req;
	int status;

	if (!c)
		return false;
	req = container_of(c, struct blk_req, chain);
	if (!c->in_len || c->window_end == c->nr_out + c->nr_in) {
		/* No room for a status: nothing to tell, but not a lost
		 * chain either. */
		virtqueue_push(&bq->q->vq, c, 0);
		return true;
	}
	req->last = &c->iov[c->nr_out + c->nr_in - 1];
	req->last->iov_len--;
	status = blk_prepare(bq->blk, req);
	/* All requests count. Zeroes are bytes, too: not every host has a
	 * quicker way than to write them. What is thrown away moves none. */
	if (status < 0 &&
	    !virtio_queue_admit(bq->q, VIRTIO_TO_GUEST, c,
				req->be.op == BLOCK_DISCARD ? 0 : req->be.len))
		return false;
	if (req->be.op == BLOCK_WRITE_ZEROES)
		virtqueue_weigh(&bq->q->vq, c, req->be.len);
	req->begun = io_counters_begin(&bq->q->counters);
	if (status < 0)
		block_engine_submit(bq->engine, &req->be);
	else
		blk_finish(bq, req, (uint8_t)status);
	return true;
}

static void blk_queue_end(struct blk_queue *bq)
{
	block_engine_destroy(bq->engine);
	bq->engine = NULL;
	virtio_queue_idle(bq->q);
}

bool blk_poll(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];
	struct virtqueue *vq = &bq->q->vq;
	bool work = block_engine_poll(bq->engine);

	if (vq->used_signalled != vq->used_idx) {
		virtio_queue_publish(bq->q);
		work = true;
	}
	if (!bq->q->draining || !virtqueue_is_idle(vq))
		return work;
	blk_queue_end(bq);
	return true;
}

void blk_on_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];
	unsigned int n, all = 0;
	bool took;

	do {
		for (n = 0, took = true; n < BLK_BATCH && took; n++)
			took = blk_take(bq);
		block_engine_commit(bq->engine);
		block_engine_poll(bq->engine);
		virtio_queue_publish(bq->q);
		all += n;
	} while (took && all < bq->q->vq.size);
}

/* ---- queues ---- */

int blk_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk *blk = blk_of(dev);
	struct blk_queue *bq = &blk->queues[qidx];
	struct block_engine_config ec = {
		.image = blk->image,
		.depth = bq->q->vq.size,
		.loop = bq->q->loop,
		.done = blk_done,
		.opaque = bq,
		.memory = blk_memory_of(&blk->memory),
	};

	return block_engine_create(
		&bq->engine, (enum block_engine_kind)blk->config.engine, &ec);
}

void blk_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];

	if (virtqueue_is_idle(&bq->q->vq))
		blk_queue_end(bq);
	else
		block_engine_cancel(bq->engine);
}

void blk_events(struct virtio_dev *dev, unsigned int qidx, bool on)
{
	struct blk_queue *bq = &blk_of(dev)->queues[qidx];

	block_engine_events(bq->engine, on);
}
