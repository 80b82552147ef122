/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The queues of virtio-fs: from a chain of the ring to a request and back (virtio
 * 1.2 section 5.11.6).
 *
 * A request runs where it is taken, on the loop of its queue, which is the
 * device's own: what the host has in its cache is there sooner than another
 * thread would be. What would have to wait says -EAGAIN, and is run again by the
 * pool; its chain stays lent until then. The queue for what must not wait behind
 * others has a loop to itself.
 */
#include "devices/virtio/fs_queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "devices/virtio/fs_dax.h"
#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_ops.h"
#include "devices/virtio/virtio_limit.h"
#include "vmm/log.h"
#include "vmm/privilege.h"

#define NS_PER_MS 1000000u
/* The driver is told at the latest when requests of this much were done since it
 * was told last: one in the cache counts for 1. */
#define FS_BATCH 8u
#define FS_WEIGHT_LEN (16 * KIB) /* bytes of files that count for 1 */
/* The queue of what is forgotten rests so long for each request that it had. */
#define FS_REST_NS 50000u
#define FS_REST_MAX_NS NS_PER_MS
#define FS_REST_TRY 64u
/* A lock that somebody has is asked for again after this. */
#define FS_LOCK_RETRY_NS (10 * NS_PER_MS)
/* What was not used in other mounts for this long is closed (fs_tree_trim()). */
#define FS_TRIM_NS (500 * NS_PER_MS)

/* ---- the end of a request ---- */

/* What is the host's fault, and may be worth a look there. */
static bool fs_is_host_error(int error)
{
	switch (-error) {
	case EIO:
	case ENOMEM:
	case ENFILE:
	case EMFILE:
	case ENOSPC:
	case EDQUOT:
	case EUCLEAN:
		return true;
	default:
		return false;
	}
}

static void fs_say_error(struct fs_queue *fq, const struct fs_req *req)
{
	io_count(&fq->q->counters.errors, 1);
	if (log_is_due(&fq->said_ns))
		log_warn("%s: %s: %s (%llu errors so far)",
			 fq->fs->dev.device.id,
			 fs_op_find(req->head.opcode)->name,
			 strerror(-req->result), llu(fq->q->counters.errors));
}

static void fs_count(struct fs_queue *fq, struct fs_req *req)
{
	struct io_counters *c = &fq->q->counters;
	uint32_t opcode = req->head.opcode;

	if (opcode < FS_OPS)
		io_count(&fq->done[opcode], 1);
	else
		io_count(&fq->unknown, 1);
	if (fs_is_host_error(req->result))
		fs_say_error(fq, req);
	if (req->result >= 0 && (opcode == FUSE_READ || opcode == FUSE_WRITE))
		io_counters_end(c, opcode == FUSE_WRITE, req->moved,
				req->begun);
}

/* The chain is used. req->result: bytes behind the header of the reply, which
 * are there, or -errno. */
static void fs_finish(struct fs_queue *fq, struct fs_req *req)
{
	const struct fs_op *op = fs_op_find(req->head.opcode);
	bool silent = op && op->flags & FS_OP_SILENT;
	uint32_t written = 0;
	bool lost = false;

	fs_count(fq, req);
	if (silent && req->result >= 0)
		;
	else if (fs_decode_has_room(&req->chain))
		written = fs_reply_header(req, req->result);
	else
		/* There may be no session any more that would miss it. */
		lost = !silent || req->result != -ENOTCONN;
	virtqueue_push(&fq->q->vq, &req->chain, written);
	if (lost)
		virtio_fault(fq->q, "no room for a reply");
}

/* ---- what is not used any more in other mounts of the host ---- */

static void fs_trim_run(struct pool_job *job)
{
	struct fs_queue *fq = container_of(job, struct fs_queue, trim_job);

	fs_tree_trim(fq->fs->tree, fq->trims_all);
}

static void fs_trim_submit(struct fs_queue *fq, bool all)
{
	fq->trims_all = all;
	fq->trim_job.loop = fq->q->loop;
	fq->trim_runs = !pool_submit(&fq->fs->pool, &fq->trim_job);
}

/* One queue of the device at a time sees to it. */
static void fs_trim_later(struct fs_queue *fq)
{
	struct fs *fs = fq->fs;

	if (!fs_tree_wants_trim(fs->tree) ||
	    atomic_exchange(&fs->has_trimmer, true))
		return;
	fq->is_trimmer = true;
	loop_timer_set(fq->q->loop, &fq->trim_timer,
		       loop_now_ns() + FS_TRIM_NS);
}

static void fs_trim_end(struct fs_queue *fq)
{
	if (!fq->is_trimmer)
		return;
	fq->is_trimmer = false;
	atomic_store(&fq->fs->has_trimmer, false);
}

static void fs_trim_done(struct pool_job *job)
{
	struct fs_queue *fq = container_of(job, struct fs_queue, trim_job);

	fq->trim_runs = false;
	fs_trim_end(fq);
	if (!fs_queue_try_end(fq) && !fq->q->draining)
		fs_trim_later(fq);
}

static void fs_on_trim_timer(struct loop_timer *lt)
{
	struct fs_queue *fq = container_of(lt, struct fs_queue, trim_timer);

	fs_trim_submit(fq, false);
	if (!fq->trim_runs)
		fs_trim_end(fq);
}

static void fs_trim_stop(struct fs_queue *fq)
{
	loop_timer_cancel(&fq->trim_timer);
	if (fq->trim_runs && pool_cancel(&fq->trim_job))
		fq->trim_runs = false;
	if (!fq->trim_runs)
		fs_trim_end(fq);
	fq->trims_last = true;
}

/* Nobody will see to it while the queue is stopped, so once more when its last
 * request has ended. True: that is under way. */
static bool fs_trim_last(struct fs_queue *fq)
{
	if (fq->trims_last && fs_tree_wants_trim(fq->fs->tree))
		fs_trim_submit(fq, true);
	fq->trims_last = false;
	return fq->trim_runs;
}

/* ---- large files that have lost their name ---- */

static void fs_reap_run(struct pool_job *job)
{
	fs_tree_reap(container_of(job, struct fs, reap_job)->tree);
}

/* The device's own jobs run one by one, the one that closes the tree last: nothing
 * that stops has to wait for this one. */
static void fs_reap_later(struct fs_queue *fq)
{
	struct fs *fs = fq->fs;

	if (!fs_tree_wants_reap(fs->tree) ||
	    atomic_exchange(&fs->has_reaper, true))
		return;
	fs->reaper = fq;
	fs->reap_job.loop = fq->q->loop;
	if (pool_submit(&fs->dev.device.pool, &fs->reap_job))
		atomic_store(&fs->has_reaper, false);
}

static void fs_reap_done(struct pool_job *job)
{
	struct fs *fs = container_of(job, struct fs, reap_job);
	struct fs_queue *fq = fs->reaper;

	atomic_store(&fs->has_reaper, false);
	if (!fq->q->draining)
		fs_reap_later(fq);
}

void fs_queue_setup_device(struct fs *fs)
{
	fs->reap_job.run = fs_reap_run;
	fs->reap_job.done = fs_reap_done;
}

bool fs_queue_try_end(struct fs_queue *fq)
{
	if (!fq->q->draining || !virtqueue_is_idle(&fq->q->vq) ||
	    fq->dax_runs || fq->trim_runs || fs_trim_last(fq))
		return false;
	virtio_queue_idle(fq->q);
	/* The device may be gone. */
	return true;
}

/* ---- requests on the pool ---- */

static int fs_run(struct fs_req *req, bool may_wait)
{
	const struct fs_op *op = fs_op_find(req->head.opcode);
	struct fs_run r;
	int result = fs_run_begin(&r, req, op, may_wait);

	req->malformed = result != 0;
	if (!result)
		result = op->run(&r);
	fs_run_end(&r);
	return result;
}

static void fs_pool_run(struct pool_job *job)
{
	struct fs_req *req = container_of(job, struct fs_req, job);

	privilege_raise(fs_params_capabilities(&req->fq->fs->config));
	req->result = fs_run(req, true);
	privilege_lower();
}

static void fs_pool_done(struct pool_job *job)
{
	struct fs_req *req = container_of(job, struct fs_req, job);
	struct fs_queue *fq = req->fq;

	list_remove(&req->node);
	io_count(&fq->malformed, req->malformed);
	if (req->result == -EINTR && fq->q->draining)
		virtqueue_unpop(&fq->q->vq, &req->chain);
	else
		fs_finish(fq, req);
	if (fs_queue_try_end(fq))
		return;
	virtio_queue_publish(fq->q);
	if (!fq->q->draining)
		fs_reap_later(fq);
}

/* Sessions begin and end in turn, which the device's own jobs do. */
static void fs_pool_submit(struct fs_queue *fq, struct fs_req *req,
			   bool session)
{
	struct fs *fs = fq->fs;
	struct pool_owner *owner = session ? &fs->dev.device.pool : &fs->pool;

	req->job.run = fs_pool_run;
	req->job.done = fs_pool_done;
	req->job.loop = fq->q->loop;
	list_insert(&fq->pooled, &req->node);
	io_count(&fq->nr_pooled, 1);
	if (!pool_submit(owner, &req->job))
		return;
	list_remove(&req->node);
	req->result = -EIO;
	fs_finish(fq, req);
}

/* ---- locks that are waited for ---- */

static void fs_locker_add(struct fs_queue *fq, struct fs_req *req)
{
	if (atomic_fetch_add(&fq->fs->nr_lockers, 1) >= FS_LOCK_WAITS) {
		atomic_fetch_sub(&fq->fs->nr_lockers, 1);
		req->result = -ENOLCK;
		fs_finish(fq, req);
		return;
	}
	if (list_is_empty(&fq->lockers))
		loop_timer_set(fq->q->loop, &fq->lock_timer,
			       loop_now_ns() + FS_LOCK_RETRY_NS);
	list_insert(&fq->lockers, &req->node);
}

static void fs_locker_remove(struct fs_queue *fq, struct fs_req *req)
{
	list_remove(&req->node);
	atomic_fetch_sub(&fq->fs->nr_lockers, 1);
}

static void fs_on_lock_timer(struct loop_timer *lt)
{
	struct fs_queue *fq = container_of(lt, struct fs_queue, lock_timer);

	list_for_each_entry (struct fs_req, req, &fq->lockers, node) {
		req->result = fs_run(req, false);
		if (req->result == -EAGAIN)
			continue;
		fs_locker_remove(fq, req);
		fs_finish(fq, req);
	}
	virtio_queue_publish(fq->q);
	if (!list_is_empty(&fq->lockers))
		loop_timer_set(fq->q->loop, lt,
			       loop_now_ns() + FS_LOCK_RETRY_NS);
}

/* ---- requests here ---- */

/* Bytes of files that a request moves, as rate limits see it. */
static uint64_t fs_charge(const struct fs_req *req, const struct fs_op *op)
{
	const struct vq_chain *c = &req->chain;
	const uint64_t head = sizeof(req->head) + sizeof(struct fuse_write_in);

	if (!op || !(op->flags & (FS_OP_READS | FS_OP_WRITES)))
		return 0;
	if (op->flags & FS_OP_READS)
		return c->in_len -
		       MIN(c->in_len, sizeof(struct fuse_out_header));
	return c->out_len - MIN(c->out_len, head);
}

/* May the request run at all? 0, or -errno. */
static int fs_check_request(const struct fs_queue *fq, const struct fs_op *op)
{
	if (!op)
		return -ENOSYS;
	if (fq->q->index == FS_HIPRIO && !(op->flags & FS_OP_HIPRIO))
		return -EINVAL;
	if (op->flags & FS_OP_SESSION ||
	    atomic_load_explicit(&fq->fs->has_session, memory_order_acquire))
		return 0;
	return -ENOTCONN;
}

/* Run a request that has room for its answer. */
static void fs_begin(struct fs_queue *fq, struct fs_req *req,
		     const struct fs_op *op)
{
	req->result = fs_check_request(fq, op);
	if (!req->result && op->flags & FS_OP_SESSION) {
		fs_pool_submit(fq, req, true);
		return;
	}
	if (!req->result) {
		req->result = fs_run(req, false);
		io_count(&fq->malformed, req->malformed);
	}
	if (req->result != -EAGAIN || op->flags & FS_OP_AGAIN)
		fs_finish(fq, req);
	else if (op->flags & FS_OP_LOCK_WAIT)
		fs_locker_add(fq, req);
	else
		fs_pool_submit(fq, req, false);
}

/* Take one chain and do it. Returns its weight; 0: there is none that may be
 * taken now. */
static unsigned int fs_take(struct fs_queue *fq)
{
	struct vq_chain *c = virtqueue_pop(&fq->q->vq);
	const struct fs_op *op;
	struct fs_req *req;
	unsigned int weight;

	if (!c)
		return 0;
	req = container_of(c, struct fs_req, chain);
	req->fq = fq;
	req->moved = 0;
	if (!fs_decode_header(req)) {
		memset(&req->head, 0, sizeof(req->head));
		io_count(&fq->malformed, 1);
		req->result = -EINVAL;
		fs_finish(fq, req);
		return 1;
	}
	op = fs_op_find(req->head.opcode);
	/* What was forgotten is memory that comes back: no limit holds it. */
	if (!(op && op->flags & FS_OP_SILENT)) {
		if (!virtio_queue_admit(fq->q, VIRTIO_TO_GUEST, c,
					fs_charge(req, op)))
			return 0;
		if (!fs_decode_has_room(c)) {
			req->result = -EINVAL;
			fs_finish(fq, req);
			return 1;
		}
	}
	weight = op && op->flags & FS_OP_SLOW ? FS_BATCH : 1;
	weight += (unsigned int)((c->in_len + c->out_len) / FS_WEIGHT_LEN);
	req->begun = io_counters_begin(&fq->q->counters);
	fs_begin(fq, req, op);
	return weight;
}

/* ---- what is forgotten ---- */

/*
 * It comes in crowds, and nobody waits for it: the guest need not wake this thread
 * for each, which takes longer than to make the file did. The more came at once,
 * the longer nobody looks. A guest that does wait for each sends one at a time:
 * whether that is so is tried now and then.
 */
static void fs_rest(struct fs_queue *fq, unsigned int nr)
{
	if (nr == 1 && ++fq->nr_single < FS_REST_TRY)
		return;
	fq->nr_single = 0;
	virtio_queue_want(fq->q, false);
	loop_timer_set(fq->q->loop, &fq->rest_timer,
		       loop_now_ns() + MIN(nr * FS_REST_NS, FS_REST_MAX_NS));
}

/* What has come meanwhile is found by the queue's poller. */
static void fs_on_rest_timer(struct loop_timer *lt)
{
	struct fs_queue *fq = container_of(lt, struct fs_queue, rest_timer);

	virtio_queue_want(fq->q, true);
}

/* ---- queues ---- */

void fs_on_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct fs_queue *fq = &fs_of(dev)->queues[qidx];
	unsigned int weight, sum = 0, nr = 0, most = fq->q->vq.size;

	for (; nr < most && (weight = fs_take(fq)); nr++) {
		sum += weight;
		if (sum < FS_BATCH)
			continue;
		virtio_queue_publish(fq->q);
		sum = 0;
	}
	virtio_queue_publish(fq->q);
	if (qidx == FS_HIPRIO && nr)
		fs_rest(fq, nr);
	fs_trim_later(fq);
	fs_reap_later(fq);
}

int fs_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	struct fs_queue *fq = &fs_of(dev)->queues[qidx];

	fs_thread_own();
	privilege_narrow(fs_params_capabilities(&fq->fs->config));
	atomic_store(&fq->stopping, false);
	fs_dax_watch(fq); /* what was mapped before a pause */
	return 0;
}

/* The last one first, so that they come in their order again. */
static void fs_queue_take_back(struct fs_queue *fq)
{
	struct list_node *n, *before;

	for (n = fq->lockers.prev; n != &fq->lockers; n = before) {
		struct fs_req *req = container_of(n, struct fs_req, node);

		before = n->prev;
		fs_locker_remove(fq, req);
		virtqueue_unpop(&fq->q->vq, &req->chain);
	}
	for (n = fq->pooled.prev; n != &fq->pooled; n = before) {
		struct fs_req *req = container_of(n, struct fs_req, node);

		before = n->prev;
		if (!pool_cancel(&req->job))
			continue;
		list_remove(&req->node);
		virtqueue_unpop(&fq->q->vq, &req->chain);
	}
}

void fs_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	struct fs_queue *fq = &fs_of(dev)->queues[qidx];

	atomic_store(&fq->stopping, true);
	loop_timer_cancel(&fq->lock_timer);
	loop_timer_cancel(&fq->rest_timer);
	fs_trim_stop(fq);
	fs_dax_stop(fq);
	fs_queue_take_back(fq);
	fs_queue_try_end(fq);
}

void fs_queue_setup(struct fs *fs, struct fs_queue *fq, struct virtio_queue *q)
{
	fq->fs = fs;
	fq->q = q;
	fq->lock_timer.on_expire = fs_on_lock_timer;
	fq->rest_timer.on_expire = fs_on_rest_timer;
	fq->trim_timer.on_expire = fs_on_trim_timer;
	fq->trim_job.run = fs_trim_run;
	fq->trim_job.done = fs_trim_done;
	fs_dax_setup(fq);
	list_init(&fq->pooled);
	list_init(&fq->lockers);
}
