/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/virtio.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* ---- owner loop ---- */

static bool virtio_queue_takes(const struct virtio_queue *q)
{
	return q->vq.busy && !q->draining && !q->held && !q->resting &&
	       !q->vq.fault && !q->elsewhere;
}

void virtio_queue_want(struct virtio_queue *q, bool wanted)
{
	if (!wanted && !q->resting)
		virtqueue_notify_disable(&q->vq);
	q->resting = !wanted;
}

void virtio_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct virtio_queue *q = &dev->queues[qidx];

	if (!virtio_queue_takes(q))
		return;
	dev->ops->kick(dev, qidx);
	if (q->vq.fault)
		virtio_fault(q, q->vq.fault);
}

/* ---- held queues ---- */

void virtio_queue_hold(struct virtio_queue *q, uint64_t now_ns,
		       uint64_t until_ns)
{
	q->held = true;
	q->held_ns = now_ns;
	loop_timer_set(q->loop, &q->limit_timer, until_ns);
}

static void virtio_queue_unhold(struct virtio_queue *q)
{
	loop_timer_cancel(&q->limit_timer);
	if (q->held)
		io_count(&q->counters.throttled_ns, loop_now_ns() - q->held_ns);
	q->held = false;
}

static void virtio_queue_on_limit(struct loop_timer *lt)
{
	struct virtio_queue *q =
		container_of(lt, struct virtio_queue, limit_timer);

	virtio_queue_unhold(q);
	virtio_kick(q->dev, q->index);
}

/* ---- memory that goes ---- */

/* Have chains been pushed that were lent when memory went? Owner loop. */
static void virtio_queue_settle(struct virtio_queue *q)
{
	int state = VIRTIO_SETTLE_ASKED;

	if (atomic_compare_exchange_strong(&q->settle, &state,
					   VIRTIO_SETTLE_MARKED))
		virtqueue_mark(&q->vq);
	state = VIRTIO_SETTLE_MARKED;
	if (!q->vq.nr_marked &&
	    atomic_compare_exchange_strong(&q->settle, &state, VIRTIO_SETTLED))
		memory_hold_drop(&q->dev->memory);
}

/* Chains that are lent may point to it. Rings that are served elsewhere are the
 * concern of who gives guest memory away. Main thread. */
static void virtio_memory_went(struct memory_hold *mh)
{
	struct virtio_dev *dev = container_of(mh, struct virtio_dev, memory);

	mutex_guard(&dev->lock);
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct virtio_queue *q = &dev->queues[i];

		if (q->state == VIRTIO_QUEUE_OFF || q->elsewhere)
			continue;
		memory_hold_add(mh);
		if (atomic_exchange(&q->settle, VIRTIO_SETTLE_ASKED))
			memory_hold_drop(mh); /* it counts already */
		virtio_notify_write(dev, i);
	}
}

/* ---- kicks ---- */

static void virtio_on_kick(struct loop_fd *lf, uint32_t events unused_param)
{
	struct virtio_queue *q = container_of(lf, struct virtio_queue, kick);

	io_count(&q->counters.kicks, 1);
	if (atomic_exchange(&q->limit_changed, false))
		virtio_queue_unhold(q);
	virtio_kick(q->dev, q->index);
}

static bool virtio_queue_poll(struct loop_poller *lp)
{
	struct virtio_queue *q = container_of(lp, struct virtio_queue, poller);
	struct virtio_dev *dev = q->dev;
	bool draining = q->draining;
	bool work = dev->ops->poll && dev->ops->poll(dev, q->index);

	/* With the last request of a draining queue, the device may be gone. */
	if (draining)
		return work;
	if (atomic_load_explicit(&q->settle, memory_order_relaxed))
		virtio_queue_settle(q);
	if (virtio_queue_takes(q) && virtqueue_has_avail(&q->vq)) {
		virtio_kick(dev, q->index);
		work = true;
	}
	return work;
}

static bool virtio_queue_sleep(struct loop_poller *lp)
{
	struct virtio_queue *q = container_of(lp, struct virtio_queue, poller);
	struct virtio_dev *dev = q->dev;

	if (dev->ops->events)
		dev->ops->events(dev, q->index, true);
	if (dev->ops->poll && dev->ops->poll(dev, q->index))
		return true;
	return virtio_queue_takes(q) && virtqueue_notify_enable(&q->vq);
}

static void virtio_queue_wake(struct loop_poller *lp)
{
	struct virtio_queue *q = container_of(lp, struct virtio_queue, poller);

	if (q->dev->ops->events)
		q->dev->ops->events(q->dev, q->index, false);
	if (virtio_queue_takes(q))
		virtqueue_notify_disable(&q->vq);
}

static void virtio_queue_start(struct virtio_queue *q)
{
	struct virtio_dev *dev = q->dev;
	int r;

	q->draining = false;
	q->resting = false;
	r = virtqueue_start(&q->vq, &dev->board->gmem,
			    virtio_has(dev, VIRTIO_RING_F_EVENT_IDX),
			    virtio_has(dev, VIRTIO_RING_F_INDIRECT_DESC));
	if (r) {
		virtio_fault(q, r == -ENOMEM ? "out of memory on the host"
					     : "bad ring address or size");
		return;
	}
	if (dev->ops->queue_start) {
		r = dev->ops->queue_start(dev, q->index);
		if (r) {
			virtqueue_stop(&q->vq);
			virtio_fault(q, strerror(-r));
			return;
		}
	}
	/* Each kick is one event: nobody reads how many there were. */
	r = q->elsewhere ? loop_fd_add(q->loop, &q->call, EPOLLIN)
			 : loop_fd_add(q->loop, &q->kick, EPOLLIN | EPOLLET);
	if (r)
		virtio_fault(q, "the host watches no more descriptors");
	/* Kicks from before somebody listened are in the ring. */
	if (q->elsewhere) {
		virtio_notify_write(dev, q->index);
	} else {
		loop_poller_add(q->loop, &q->poller);
		virtio_kick(dev, q->index);
	}
}

static void virtio_queue_stop(struct virtio_queue *q)
{
	q->draining = true;
	virtio_queue_unhold(q);
	loop_fd_del(&q->kick);
	if (q->vq.busy)
		q->dev->ops->queue_stop(q->dev, q->index);
	else
		virtio_queue_idle(q); /* it never started */
}

static void virtio_queue_on_state(struct loop_call *lc)
{
	struct virtio_queue *q =
		container_of(lc, struct virtio_queue, state_call);
	enum virtio_queue_state state;

	pthread_mutex_lock(&q->dev->lock);
	state = q->state;
	pthread_mutex_unlock(&q->dev->lock);
	/* A change that comes after this call has begun, and before it has seen
	 * the state, is told once more. */
	if (state == VIRTIO_QUEUE_RUNNING && !q->started) {
		q->started = true;
		virtio_queue_start(q);
	} else if (state == VIRTIO_QUEUE_DRAINING && !q->stopped) {
		q->stopped = true;
		virtio_queue_stop(q);
	}
}

static void virtio_interrupt(struct virtio_dev *dev, unsigned int isr,
			     uint16_t vector)
{
	atomic_fetch_or(&dev->isr, isr);
	dev->transport_ops->interrupt(dev->transport, vector);
}

void virtio_queue_publish(struct virtio_queue *q)
{
	if (!virtqueue_publish(&q->vq))
		return;
	io_count(&q->counters.interrupts, 1);
	virtio_interrupt(q->dev, VIRTIO_ISR_QUEUE, q->vector);
}

/* Who serves the ring elsewhere has used chains. */
static void virtio_on_call(struct loop_fd *lf, uint32_t events unused_param)
{
	struct virtio_queue *q = container_of(lf, struct virtio_queue, call);
	eventfd_t n;

	if (!eventfd_read(lf->fd, &n))
		virtio_interrupt(q->dev, VIRTIO_ISR_QUEUE, q->vector);
}

void virtio_queue_returned(struct virtio_queue *q, uint16_t last_avail)
{
	virtqueue_take_over(&q->vq, last_avail);
	loop_fd_del(&q->call);
	virtio_on_call(&q->call, EPOLLIN); /* what it said last */
	virtio_queue_idle(q);
}

/* ---- config changes and faults ---- */

static void virtio_config_interrupt_locked(struct virtio_dev *dev)
{
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_interrupt(dev, VIRTIO_ISR_CONFIG, dev->config_vector);
}

void virtio_config_set(struct virtio_dev *dev, uint32_t off, const void *data,
		       uint32_t len)
{
	assert(off <= dev->config_len && len <= dev->config_len - off);
	mutex_guard(&dev->lock);
	memcpy((uint8_t *)dev->config + off, data, len);
	dev->generation++;
	virtio_config_interrupt_locked(dev);
}

void virtio_fault(struct virtio_queue *q, const char *what)
{
	struct virtio_dev *dev = q->dev;

	if (!q->vq.fault)
		q->vq.fault = what;
	mutex_guard(&dev->lock);
	if (!dev->faulted && log_is_due(&dev->said_ns))
		log_warn("%s queue %u: %s; the device needs a reset",
			 dev->device.id, q->index, what);
	dev->faulted = true;
	if (!dev->resetting) {
		dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		virtio_config_interrupt_locked(dev);
	}
}

/* ---- start and stop, lock held ---- */

/* To the next state, in the order of the enum, when it is in the one before. */
static void virtio_queue_enter_locked(struct virtio_queue *q,
				      enum virtio_queue_state state)
{
	if (q->state + 1 != state)
		return;
	q->state = state;
	if (q->elsewhere)
		q->dev->transport_ops->route(q->dev->transport, q);
	if (state == VIRTIO_QUEUE_RUNNING && q->dev->has_own_loops)
		loop_post(q->dev->board->main_loop, &q->dev->loops_call);
	loop_post(q->loop, &q->state_call);
}

/* It was stopped by quiesce. One that the guest broke waits for its reset. */
static void virtio_queue_resume_locked(struct virtio_queue *q)
{
	const struct virtio_dev *dev = q->dev;
	bool on = q->enabled && dev->status & VIRTIO_CONFIG_S_DRIVER_OK &&
		  !q->resetting && !dev->resetting && !dev->faulted;

	q->resumed = on && q->state == VIRTIO_QUEUE_DRAINING;
	if (on)
		virtio_queue_enter_locked(q, VIRTIO_QUEUE_RUNNING);
}

static bool virtio_is_idle_locked(const struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		if (dev->queues[i].state != VIRTIO_QUEUE_OFF)
			return false;
	return true;
}

static void virtio_queue_clear(struct virtio_queue *q)
{
	q->enabled = false;
	q->was_reset = false;
	q->resetting = false;
	q->resumed = false;
	virtqueue_clear(&q->vq);
	atomic_store(&q->vector, VIRTIO_NO_VECTOR);
}

/* Section 2.6.1: all but its interrupt is as after a reset of the device. */
static void virtio_queue_was_reset_locked(struct virtio_queue *q)
{
	uint16_t vector = atomic_load(&q->vector);

	virtio_queue_clear(q);
	atomic_store(&q->vector, vector);
	q->was_reset = true;
}

/* Section 2.4: the state right after reset. */
static void virtio_reset_finish_locked(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtio_queue_clear(&dev->queues[i]);
	dev->features = 0;
	dev->alien_features = false;
	dev->faulted = false;
	atomic_store(&dev->config_vector, VIRTIO_NO_VECTOR);
	atomic_store(&dev->isr, 0);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	dev->resetting = false;
	dev->status = 0;
}

static void virtio_reset_locked(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtio_queue_enter_locked(&dev->queues[i],
					  VIRTIO_QUEUE_DRAINING);
	dev->resetting = true;
	if (virtio_is_idle_locked(dev))
		virtio_reset_finish_locked(dev);
}

void virtio_queue_idle(struct virtio_queue *q)
{
	struct virtio_dev *dev = q->dev;
	struct board *board = dev->board;
	bool quiet;

	if (q->vq.busy && !q->elsewhere) {
		loop_poller_del(q->loop, &q->poller);
		/* What was pushed since: no start makes up for it. */
		virtio_queue_publish(q);
	}
	virtqueue_stop(&q->vq);
	q->started = false;
	q->stopped = false;
	pthread_mutex_lock(&dev->lock);
	q->state = VIRTIO_QUEUE_OFF;
	if (atomic_exchange(&q->settle, VIRTIO_SETTLED))
		memory_hold_drop(&dev->memory);
	if (q->resetting)
		virtio_queue_was_reset_locked(q);
	if (q->resumed)
		virtio_queue_resume_locked(q);
	quiet = virtio_is_idle_locked(dev);
	if (dev->resetting && quiet)
		virtio_reset_finish_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	/* From here on the device may be gone. */
	if (quiet)
		board_device_quiet(board);
}

/* ---- registers, vCPU threads, lock held ---- */

/* Sections 2.2.2 and 6.1: refuse what was not offered, insist on VERSION_1. */
static bool virtio_features_are_ok(const struct virtio_dev *dev)
{
	return !dev->alien_features && !(dev->features & ~dev->host_features) &&
	       virtio_has(dev, VIRTIO_F_VERSION_1);
}

static void virtio_driver_ok(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		if (dev->queues[i].enabled)
			virtio_queue_enter_locked(&dev->queues[i],
						  VIRTIO_QUEUE_RUNNING);
}

void virtio_set_status(struct virtio_dev *dev, uint8_t status)
{
	uint8_t set = status & ~dev->status;

	if (dev->resetting)
		return; /* not before the reset is acknowledged */
	if (!status) {
		if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
			board_driver_news(dev->board, &dev->device,
					  DEVICE_RESET);
		virtio_reset_locked(dev);
		return;
	}
	if (!dev->status)
		board_driver_news(dev->board, &dev->device, DEVICE_FOUND);
	if (set & VIRTIO_CONFIG_S_FEATURES_OK && !virtio_features_are_ok(dev)) {
		log_debug("%s: the driver's features %#llx are refused",
			  dev->device.id, llu(dev->features));
		set &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	}
	/* NEEDS_RESET is ours; bits are never cleared but by reset. */
	dev->status |= set & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (set & VIRTIO_CONFIG_S_FEATURES_OK && dev->ops->features_ok)
		dev->ops->features_ok(dev);
	if (!(set & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		virtio_driver_ok(dev);
		board_driver_news(dev->board, &dev->device, DEVICE_ACTIVATED);
	} else {
		if (log_is_due(&dev->said_ns))
			log_warn("%s: DRIVER_OK without FEATURES_OK",
				 dev->device.id);
		dev->status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
		dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	}
}

void virtio_set_features(struct virtio_dev *dev, unsigned int half,
			 uint32_t value)
{
	unsigned int shift = half * 32;

	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	if (half > 1) {
		dev->alien_features |= value != 0;
		return;
	}
	dev->features &= ~(0xffffffffull << shift);
	dev->features |= (uint64_t)value << shift;
}

bool virtio_queue_is_open(const struct virtio_queue *q)
{
	if (q->enabled || q->state != VIRTIO_QUEUE_OFF || q->dev->resetting)
		return false;
	return q->was_reset || !(q->dev->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_queue_enable(struct virtio_queue *q)
{
	if (!virtio_queue_is_open(q))
		return;
	q->enabled = true;
	q->was_reset = false;
	if (q->dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_queue_enter_locked(q, VIRTIO_QUEUE_RUNNING);
}

/* Section 2.6.1: reads back 1 until the queue has drained. */
void virtio_queue_reset(struct virtio_queue *q)
{
	if (!virtio_has(q->dev, VIRTIO_F_RING_RESET) || !q->enabled ||
	    q->resetting || q->dev->resetting)
		return;
	if (q->state == VIRTIO_QUEUE_OFF) {
		virtio_queue_was_reset_locked(q);
		return;
	}
	q->resetting = true;
	virtio_queue_enter_locked(q, VIRTIO_QUEUE_DRAINING);
}

void virtio_notify_write(struct virtio_dev *dev, unsigned int qidx)
{
	if (qidx < dev->nr_queues)
		(void)!eventfd_write(dev->queues[qidx].kick.fd, 1);
}

/* ---- struct device: main thread ---- */

static struct virtio_dev *virtio_of(struct device *device)
{
	return container_of(device, struct virtio_dev, device);
}

static void virtio_device_quiesce(struct device *device)
{
	struct virtio_dev *dev = virtio_of(device);

	mutex_guard(&dev->lock);
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct virtio_queue *q = &dev->queues[i];

		q->resumed = false;
		virtio_queue_enter_locked(q, VIRTIO_QUEUE_DRAINING);
	}
}

static bool virtio_device_is_quiet(struct device *device)
{
	struct virtio_dev *dev = virtio_of(device);
	mutex_guard(&dev->lock);

	return virtio_is_idle_locked(dev);
}

static void virtio_device_resume(struct device *device)
{
	struct virtio_dev *dev = virtio_of(device);

	pthread_mutex_lock(&dev->lock);
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtio_queue_resume_locked(&dev->queues[i]);
	pthread_mutex_unlock(&dev->lock);
	if (dev->ops->resume)
		dev->ops->resume(dev);
}

static void virtio_device_reset(struct device *device)
{
	struct virtio_dev *dev = virtio_of(device);

	pthread_mutex_lock(&dev->lock);
	virtio_reset_finish_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	dev->transport_ops->reset(dev->transport);
}

static void virtio_device_unplug(struct device *device, bool forced)
{
	struct virtio_dev *dev = virtio_of(device);

	dev->transport_ops->unplug(dev->transport, forced);
}

static void virtio_device_release(struct device *device)
{
	struct virtio_dev *dev = virtio_of(device);

	if (dev->ops->release)
		dev->ops->release(dev);
}

static void virtio_device_destroy(struct device *device)
{
	struct virtio_dev *dev = virtio_of(device);

	if (dev->transport)
		dev->transport_ops->destroy(dev->transport);
	dev->ops->destroy(dev);
}

static int virtio_device_set(struct device *device, const void *config,
			     struct error *err)
{
	struct virtio_dev *dev = virtio_of(device);

	return dev->ops->set(dev, config, err);
}

static int virtio_device_resize(struct device *device, uint64_t bytes,
				struct error *err)
{
	struct virtio_dev *dev = virtio_of(device);

	if (!dev->ops->resize)
		return error_set(err, EINVAL, "id %s: is not a disk",
				 device->id);
	return dev->ops->resize(dev, bytes, err);
}

static void virtio_device_resized(struct device *device, uint64_t bytes)
{
	struct virtio_dev *dev = virtio_of(device);

	dev->ops->resized(dev, bytes);
}

static void virtio_counters(struct device *device, device_emit_fn emit,
			    void *arg)
{
	struct virtio_dev *dev = virtio_of(device);
	struct io_counters sum = { .begun = 0 };

	for (unsigned int i = 0; i < dev->nr_io_queues; i++)
		io_counters_sum(&sum, &dev->queues[i].counters);
	if (dev->nr_io_queues)
		io_counters_emit(&sum, emit, arg);
	for (unsigned int i = 0; i < dev->nr_io_queues; i++)
		io_counters_emit_queue(&dev->queues[i].counters, i, emit, arg);
	if (dev->ops->counters)
		dev->ops->counters(dev, emit, arg);
}

const struct device_ops virtio_device_ops = {
	.set = virtio_device_set,
	.resize = virtio_device_resize,
	.resized = virtio_device_resized,
	.counters = virtio_counters,
	.reset = virtio_device_reset,
	.quiesce = virtio_device_quiesce,
	.is_quiet = virtio_device_is_quiet,
	.resume = virtio_device_resume,
	.unplug = virtio_device_unplug,
	.release = virtio_device_release,
	.destroy = virtio_device_destroy,
};

/* ---- loops ---- */

/* Queues of one group are on one loop: a new one for the first of them. */
static struct loop *virtio_queue_loop(struct virtio_dev *dev, unsigned int i,
				      const struct virtio_init *init,
				      struct error *err)
{
	unsigned int group = MAX(init->group_size, 1u);
	char name[24];

	if (i % group)
		return dev->queues[i - 1].loop;
	if (!init->own_loops)
		return board_io_loop(dev->board, err);
	snprintf(name, sizeof(name), "%.11s%u", init->class->name, i / group);
	return dev->queues[i].own_loop = loop_create(name, err);
}

int virtio_loops_start(struct virtio_dev *dev, struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < dev->nr_queues; i++)
		if (dev->queues[i].own_loop)
			r = loop_thread_start(dev->queues[i].own_loop, err);
	return r;
}

/* A queue runs: all loops do, as a type may want another queue's. A queue whose
 * loop cannot is off again, which nobody else would say. */
static void virtio_on_loops(struct loop_call *lc)
{
	struct virtio_dev *dev =
		container_of(lc, struct virtio_dev, loops_call);
	int r = 0;

	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct virtio_queue *q = &dev->queues[i];

		if (q->own_loop)
			r = loop_thread_start(q->own_loop, NULL);
		if (!r)
			continue;
		virtio_fault(q, "the host makes no more threads");
		virtio_queue_idle(q);
	}
}

static int virtio_queue_init(struct virtio_dev *dev, unsigned int i,
			     const struct virtio_init *init, struct error *err)
{
	struct virtio_queue *q = &dev->queues[i];

	q->dev = dev;
	q->index = i;
	q->elsewhere = i < init->nr_elsewhere;
	q->vq.size_max = init->queue_size;
	q->vq.iov_max = init->iov_max;
	q->vq.chain_size = init->chain_size;
	q->state_call.fn = virtio_queue_on_state;
	q->limit_timer.on_expire = virtio_queue_on_limit;
	q->poller.poll = virtio_queue_poll;
	q->poller.sleep = virtio_queue_sleep;
	q->poller.wake = virtio_queue_wake;
	q->poller.poll_us = init->poll_us;
	q->poller.gives_way = init->gives_way;
	q->kick.on_event = virtio_on_kick;
	q->call.on_event = virtio_on_call;
	q->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->elsewhere)
		q->call.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick.fd < 0 || (q->elsewhere && q->call.fd < 0))
		return error_set(err, errno, "eventfd: %s", error_text(errno));
	virtio_queue_clear(q);
	q->loop = virtio_queue_loop(dev, i, init, err);
	return q->loop ? 0 : -ENOMEM;
}

static void virtio_queue_fini(struct virtio_queue *q)
{
	loop_destroy(q->own_loop);
	close_fd(&q->kick.fd);
	close_fd(&q->call.fd);
	virtqueue_clear(&q->vq);
}

int virtio_init(struct virtio_dev *dev, const struct virtio_init *init,
		struct error *err)
{
	int r;

	snprintf(dev->device.id, sizeof(dev->device.id), "%s",
		 init->name ? init->name : "");
	dev->device.class = init->class;
	dev->device.ops = &virtio_device_ops;
	dev->board = init->board;
	dev->ops = init->ops;
	dev->id = init->id;
	dev->host_features = init->features | VIRTIO_F(VIRTIO_F_VERSION_1) |
			     VIRTIO_F(VIRTIO_RING_F_INDIRECT_DESC) |
			     VIRTIO_F(VIRTIO_RING_F_EVENT_IDX) |
			     VIRTIO_F(VIRTIO_F_RING_RESET);
	dev->config = init->config;
	dev->config_len = init->config_len;
	dev->nr_io_queues = init->nr_io_queues;
	dev->has_own_loops = init->own_loops;
	dev->loops_call.fn = virtio_on_loops;
	atomic_store(&dev->config_vector, VIRTIO_NO_VECTOR);
	for (unsigned int i = 0; i < VIRTIO_DIRECTIONS; i++)
		pthread_mutex_init(&dev->limits[i].lock, NULL);
	pthread_mutex_init(&dev->lock, NULL);
	dev->queues = calloc(init->nr_queues, sizeof(*dev->queues));
	if (!dev->queues)
		return error_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < init->nr_queues; i++) {
		dev->queues[i].kick.fd = dev->queues[i].call.fd = -1;
		dev->nr_queues = i + 1;
		r = virtio_queue_init(dev, i, init, err);
		if (r)
			return r;
	}
	memory_hold_init(&dev->memory, &dev->board->gmem, dev->board->main_loop,
			 virtio_memory_went);
	return init->shm ? window_create(&dev->window, &dev->board->windows,
					 &dev->board->gmem, dev->device.id,
					 init->shm, err)
			 : 0;
}

void virtio_fini(struct virtio_dev *dev)
{
	if (!dev->ops)
		return; /* virtio_init() was not reached */
	if (dev->has_own_loops)
		loop_cancel(dev->board->main_loop, &dev->loops_call);
	window_destroy(dev->window);
	memory_hold_fini(&dev->memory);
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtio_queue_fini(&dev->queues[i]);
	free(dev->queues);
	for (unsigned int i = 0; i < VIRTIO_DIRECTIONS; i++)
		pthread_mutex_destroy(&dev->limits[i].lock);
	pthread_mutex_destroy(&dev->lock);
}
