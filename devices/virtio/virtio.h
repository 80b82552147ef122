/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VIRTIO_H
#define DEVICES_VIRTIO_VIRTIO_H

#include <linux/virtio_config.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "devices/virtio/io_counters.h"
#include "devices/virtio/limit.h"
#include "devices/virtio/memory_hold.h"
#include "devices/virtio/virtqueue.h"
#include "vmm/board.h"
#include "vmm/loop.h"

/*
 * A virtio device without its transport (virtio 1.2 chapter 2).
 *
 * Three tables of functions, never merged: virtio_ops is the device type (blk),
 * virtio_transport_ops the way to the guest (PCI), and a backend's ops the way
 * to the host. Registers are handled on vCPU threads under dev->lock; a
 * queue's requests belong to its loop's thread and need no lock. Starting and
 * stopping a queue is posted to its loop, so a vCPU never waits for I/O: a
 * reset is acknowledged (status reads 0) when the last queue has drained.
 */

/* Feature bits, chapter 6; these and the bits of the status are in the kernel's
 * headers. */
#define VIRTIO_F(bit) (1ull << (bit))

#define VIRTIO_NO_VECTOR 0xffffu

/* ISR status bits, section 4.1.4.5 */
#define VIRTIO_ISR_QUEUE 1u
#define VIRTIO_ISR_CONFIG 2u

struct virtio_dev;

enum virtio_queue_state {
	VIRTIO_QUEUE_OFF,
	VIRTIO_QUEUE_RUNNING,
	VIRTIO_QUEUE_DRAINING,
};

/* How far a queue is with chains whose memory went. */
enum virtio_settle {
	VIRTIO_SETTLED,
	VIRTIO_SETTLE_ASKED,
	VIRTIO_SETTLE_MARKED, /* those chains */
};

struct virtio_queue {
	/* set at creation */
	struct virtio_dev *dev;
	unsigned int index;
	bool elsewhere; /* who serves the ring; see struct virtio_dev */
	struct loop *loop;
	struct loop *own_loop; /* the same, when it is the device's, or NULL */
	struct loop_fd kick; /* eventfd that the guest's notify write wakes */
	/* eventfd that interrupts the guest, of a ring that is served
	 * elsewhere; else -1 */
	struct loop_fd call;

	/* any thread, under dev->lock */
	enum virtio_queue_state state;
	bool enabled; /* queue_enable as the driver reads it */
	bool was_reset; /* by queue_reset: may be set up again */
	bool resetting; /* queue_reset as the driver reads it */
	bool resumed; /* it is to run again as soon as it is off */
	bool is_direct; /* call sends this, without this process */
	struct board_msi direct;
	struct loop_call state_call; /* the loop is to follow `state` */

	/* any thread, atomic */
	_Atomic uint16_t vector; /* MSI-X vector */

	/* owner loop; configuration fields: see virtqueue.h */
	struct virtqueue vq;
	struct loop_poller poller;
	bool started; /* it has followed `state` when that became RUNNING, */
	bool stopped; /* ... and DRAINING: until it is idle */
	bool draining;
	/* It takes no chains before limit_timer: the next one is beyond the
	 * rate limit, and was given back to the ring. */
	bool held;
	uint64_t held_ns; /* since when */
	struct loop_timer limit_timer;
	bool resting; /* virtio_queue_want() */

	/* written by the owner loop, read by any thread */
	struct io_counters counters;

	/* any thread, atomic */
	atomic_bool limit_changed; /* a queue that is held asks again */
	/* enum virtio_settle. Memory went: of chains that were lent then, some
	 * still are. */
	atomic_int settle;
};

struct virtio_ops {
	/* dev->features is final. vCPU thread, lock held, before any
	 * queue_start. NULL: nothing to do. */
	void (*features_ok)(struct virtio_dev *dev);
	/* Make the queue ready for kicks. Owner loop. -errno: the device needs
	 * a reset. NULL: nothing to do. */
	int (*queue_start)(struct virtio_dev *dev, unsigned int qidx);
	/* Of a ring that is served here. There may be chains in the queue: pop
	 * what can be handled, a ring's worth at most, as others share the loop;
	 * there is a next time. Owner loop. */
	void (*kick)(struct virtio_dev *dev, unsigned int qidx);
	/* Look for finished host requests, no system call when there is none.
	 * True when there was any. Owner loop. NULL: never any. */
	bool (*poll)(struct virtio_dev *dev, unsigned int qidx);
	/* The loop will sleep (on) or polls again (off). Owner loop. */
	void (*events)(struct virtio_dev *dev, unsigned int qidx, bool on);
	/* Take no more chains. Call virtio_queue_idle() once every popped
	 * chain is pushed or given back, at once or later; what has not begun
	 * is given back, what the host has is cancelled where it can be. A ring
	 * that is served elsewhere: virtio_queue_returned(). Owner loop. */
	void (*queue_stop)(struct virtio_dev *dev, unsigned int qidx);
	/* All queues are off: forget what the driver negotiated. Lock held.
	 * NULL: nothing to do. */
	void (*reset)(struct virtio_dev *dev);
	/* The driver writes len bytes of config space at off, which lie in
	 * it: what the type accepts it stores in its own storage. vCPU thread,
	 * lock held. NULL: read only. */
	void (*config_write)(struct virtio_dev *dev, uint32_t off,
			     const void *data, uint32_t len);
	/* As of struct device_ops. NULL: nothing of it can be changed. */
	int (*set)(struct virtio_dev *dev, const void *config,
		   struct error *err);
	/* As of struct device_ops. NULL, both: it has no size. */
	int (*resize)(struct virtio_dev *dev, uint64_t bytes,
		      struct error *err);
	void (*resized)(struct virtio_dev *dev, uint64_t bytes);
	/* As of struct device_ops, beside those of the I/O queues. NULL: there
	 * are none. */
	void (*counters)(struct virtio_dev *dev, device_emit_fn emit,
			 void *arg);
	/* As of struct device_ops; queues are off. NULL: nothing is open. */
	void (*release)(struct virtio_dev *dev);
	/* The machine goes on after a pause. Main thread. NULL: no matter. */
	void (*resume)(struct virtio_dev *dev);
	/* Free the device type's own state. Main thread. */
	void (*destroy)(struct virtio_dev *dev);
};

struct virtio_transport_ops {
	/* Interrupt the driver through an MSI-X vector. Any thread. */
	void (*interrupt)(void *transport, uint16_t vector);
	/* A ring that is served elsewhere starts or stops: have q->call.fd
	 * interrupt without this process while it runs, where that can be.
	 * Lock held. */
	void (*route)(void *transport, struct virtio_queue *q);
	/* Power-on state of the transport itself; the VM's KVM side is about
	 * to be built anew. No vCPU runs. Main thread. */
	void (*reset)(void *transport);
	/* As of struct device_ops. Main thread. */
	void (*unplug)(void *transport, bool forced);
	/* Take the device off the bus and free the transport. Main thread. */
	void (*destroy)(void *transport);
};

/*
 * First member of every virtio device's own struct.
 *
 * Where rings are served: HERE, by the queue's loop, which waits for kicks and
 * pops chains; or ELSEWHERE (virtio_init.nr_elsewhere), by another thread, process
 * or the kernel (vhost). Then ops->queue_start() hands over the ring
 * (q->vq: addresses, size, start_avail) with the descriptors q->kick.fd, which
 * the guest writes to, and q->call.fd, which becomes an interrupt by whatever
 * vector, masked or not, the driver has set at that time. queue_stop() asks for
 * the ring back, and virtio_queue_returned() says that it is.
 */
struct virtio_dev {
	struct device device;

	/* set at creation */
	struct board *board;
	const struct virtio_ops *ops;
	uint16_t id; /* chapter 5 */
	uint64_t host_features;
	unsigned int nr_queues;
	struct virtio_queue *queues;
	void *config; /* config space, little endian; the type's own storage */
	uint32_t config_len; /* bytes */
	unsigned int nr_io_queues; /* the first ones, which count their I/O */
	bool has_own_loops;
	struct window *window; /* shared memory region 0 (2.10); NULL: none */
	const struct virtio_transport_ops *transport_ops;
	void *transport;

	/* any thread, own lock */
	struct limit limits[VIRTIO_DIRECTIONS];

	/* any thread, under lock (order: PCI root, this, MSI-X table) */
	pthread_mutex_t lock;
	uint8_t status; /* as the driver reads it: not 0 before a reset's end */
	uint64_t features; /* the driver's choice */
	bool alien_features; /* it chose some above bit 63, where none are */
	bool resetting; /* status 0 was written, queues still drain */
	bool faulted; /* since reset */
	uint64_t said_ns; /* for log_is_due() */
	uint32_t generation; /* of the config space */
	_Atomic uint16_t config_vector;

	/* any thread, atomic */
	atomic_uint isr;

	/* main thread: threads of own loops start */
	struct loop_call loops_call;

	/* main thread; its users are queues whose chains point to memory that
	 * went */
	struct memory_hold memory;
};

static inline bool virtio_has(const struct virtio_dev *dev, unsigned int bit)
{
	return dev->features & VIRTIO_F(bit);
}

/* ---- for device types ---- */

struct virtio_init {
	struct board *board;
	const struct device_class *class;
	const char *name; /* the device's id, or NULL; copied */
	const struct virtio_ops *ops;
	uint16_t id; /* chapter 5 */
	uint64_t features; /* of the type; the common ones are added */
	unsigned int nr_queues; /* 1..VIRTIO_QUEUES_MAX */
	uint16_t queue_size; /* largest, a power of two */
	unsigned int iov_max; /* buffers of a chain, as in virtqueue.h */
	size_t chain_size; /* as in virtqueue.h */
	uint32_t poll_us;
	bool gives_way; /* as of struct loop_poller */
	/* The first queues carry I/O: their counters are the device's. */
	unsigned int nr_io_queues;
	/* The first queues' rings are served by somebody else; see above. */
	unsigned int nr_elsewhere;
	/* So many queues in a row share a loop (pairs: 2); 0: each has the
	 * next one. */
	unsigned int group_size;
	/* Loops of its own, for a type whose calls may block, instead of the
	 * board's, which devices share. They have threads from the first start
	 * of a queue on, or from virtio_loops_start(). */
	bool own_loops;
	void *config;
	uint32_t config_len;
	/* Bytes of shared memory region 0 (section 2.10), a multiple of 2 MiB,
	 * in which the type maps files (dev->window); 0: none. */
	uint64_t shm;
};

#define VIRTIO_QUEUES_MAX 254u

/*
 * Fill dev (zeroed, inside the type's struct) and give each queue a loop. Main
 * thread. -errno with a message.
 */
int virtio_init(struct virtio_dev *dev, const struct virtio_init *init,
		struct error *err);
/* Own loops run from now on, for a type that uses them before its driver is there.
 * Those that do are left as they are. Main thread. -errno with a message. */
int virtio_loops_start(struct virtio_dev *dev, struct error *err);
/* Free queues and limits. The device is quiet; accepts a half-built one. Main
 * thread. */
void virtio_fini(struct virtio_dev *dev);

/* Ops for struct device of every virtio device. */
extern const struct device_ops virtio_device_ops;

/* Do not kick the queue before until_ns, CLOCK_MONOTONIC; that time counts as
 * throttled. Owner loop. */
void virtio_queue_hold(struct virtio_queue *q, uint64_t now_ns,
		       uint64_t until_ns);

/*
 * Has the type use for chains, so that it wants to be kicked? A queue whose chains
 * wait for something of the host, as the receive queue of a network, is full of
 * them: the type takes some when it has something for them, and wants more only
 * when it found too few. A queue starts as one that is wanted. Owner loop, from
 * ops->queue_start() on.
 */
void virtio_queue_want(struct virtio_queue *q, bool wanted);

/* Make pushed chains visible to the driver, and interrupt it when it wants to
 * know. Owner loop. */
void virtio_queue_publish(struct virtio_queue *q);

/* queue_stop() is complete. Owner loop; the queue must be idle. What was pushed
 * and not published is announced now. */
void virtio_queue_idle(struct virtio_queue *q);

/* As virtio_queue_idle() for a ring that was served elsewhere. last_avail: the
 * next avail entry that is to be taken; all that were taken are used. */
void virtio_queue_returned(struct virtio_queue *q, uint16_t last_avail);

/*
 * The guest broke the rules, or the queue could not start: say it, set
 * NEEDS_RESET (section 2.1.1) and carry on without this queue. Owner loop.
 */
void virtio_fault(struct virtio_queue *q, const char *what);

/* Change len bytes of dev->config at off: new generation, configuration
 * interrupt (section 2.5). Any thread, lock not held. */
void virtio_config_set(struct virtio_dev *dev, uint32_t off, const void *data,
		       uint32_t len);

/* ---- for transports: vCPU threads, lock held ---- */

/* The driver writes device_status (section 2.1); 0 asks for a reset, which is
 * acknowledged when all queues are idle. */
void virtio_set_status(struct virtio_dev *dev, uint8_t status);
/* The driver accepts features: bits 32 * half and up (section 2.2). Without
 * effect after FEATURES_OK. */
void virtio_set_features(struct virtio_dev *dev, unsigned int half,
			 uint32_t value);
/* May the driver write this queue's size, addresses and enable? */
bool virtio_queue_is_open(const struct virtio_queue *q);
/* The driver enables a queue: it starts on its loop when DRIVER_OK is set. */
void virtio_queue_enable(struct virtio_queue *q);
/* The driver resets one queue (section 2.6.1): it stops, and is open again when
 * it is idle. */
void virtio_queue_reset(struct virtio_queue *q);

/*
 * Both kick routes end here: the eventfd's event on the owner loop, and tests.
 * A trapped notify write goes to the eventfd (virtio_notify_write()).
 */
void virtio_kick(struct virtio_dev *dev, unsigned int qidx);
/* A notify write that no ioeventfd took. Any thread. */
void virtio_notify_write(struct virtio_dev *dev, unsigned int qidx);

#endif
