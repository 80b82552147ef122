/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/net_vhost.h"

#include <errno.h>
#include <string.h>

#include "vmm/board.h"
#include "vmm/log.h"
#include "vmm/util.h"

static int net_vhost_change(struct net_vhost *nv,
			    const struct gmem_range *range, bool there)
{
	const struct vhost_memory_region region = {
		.guest_phys_addr = range->gpa,
		.memory_size = range->len,
		.userspace_addr = (uintptr_t)range->hva,
	};
	int r;

	pthread_mutex_lock(&nv->lock);
	r = nv->gone ? 0 : vhost_net_change_memory(nv->host, &region, there);
	pthread_mutex_unlock(&nv->lock);
	return r;
}

static int net_vhost_added(struct gmem_listener *gl,
			   const struct gmem_range *range, struct error *err)
{
	struct net_vhost *nv = container_of(gl, struct net_vhost, memory);
	int r = net_vhost_change(nv, range, true);

	return r ? error_set(err, r, "vhost-net cannot use the memory: %s",
			     strerror(-r))
		 : 0;
}

static void net_vhost_removed(struct gmem_listener *gl,
			      const struct gmem_range *range)
{
	struct net_vhost *nv = container_of(gl, struct net_vhost, memory);
	int r;

	if (range->kind == GMEM_WINDOW)
		return; /* the kernel reads and writes there itself */
	r = net_vhost_change(nv, range, false);
	if (r)
		log_warn("vhost-net holds on to memory that went: %s",
			 strerror(-r));
}

int net_vhost_init(struct net_vhost *nv, struct vhost_net *host,
		   const struct tap *tap, struct gmem *gm, struct error *err)
{
	pthread_mutex_init(&nv->lock, NULL);
	nv->host = host;
	nv->tap = tap;
	nv->link = true;
	nv->memory.added = net_vhost_added;
	nv->memory.removed = net_vhost_removed;
	return gmem_listen(gm, &nv->memory, err);
}

void net_vhost_let_go(struct net_vhost *nv)
{
	if (!nv->host)
		return;
	pthread_mutex_lock(&nv->lock);
	nv->gone = true;
	pthread_mutex_unlock(&nv->lock);
}

void net_vhost_fini(struct net_vhost *nv)
{
	if (!nv->host)
		return;
	gmem_unlisten(&nv->memory);
	pthread_mutex_destroy(&nv->lock);
}

static int net_vhost_connect_locked(struct net_vhost *nv, unsigned int queue)
{
	return vhost_net_connect(nv->host, queue,
				 nv->link ? nv->tap->fds[queue / 2] : -1);
}

int net_vhost_queue_start(struct net_vhost *nv, struct virtio_queue *q,
			  bool connect)
{
	const struct gmem *gm = &q->dev->board->gmem;
	const struct virtqueue *vq = &q->vq;
	const struct vhost_ring ring = {
		.queue = q->index,
		.features = q->dev->features,
		.size = vq->size,
		.next_avail = vq->start_avail,
		/* They are there: virtqueue_start() has looked. */
		.desc = gmem_ptr(gm, vq->desc_gpa, 1),
		.avail = gmem_ptr(gm, vq->avail_gpa, 1),
		.used = gmem_ptr(gm, vq->used_gpa, 1),
		.kick_fd = q->kick.fd,
		.call_fd = q->call.fd,
	};
	int r;

	pthread_mutex_lock(&nv->lock);
	r = vhost_net_start(nv->host, &ring);
	if (!r && connect)
		r = net_vhost_connect_locked(nv, q->index);
	nv->served[q->index] = !r && connect;
	pthread_mutex_unlock(&nv->lock);
	return r;
}

void net_vhost_queue_stop(struct net_vhost *nv, struct virtio_queue *q)
{
	uint16_t next_avail;

	pthread_mutex_lock(&nv->lock);
	nv->served[q->index] = false;
	next_avail = vhost_net_stop(nv->host, q->index);
	pthread_mutex_unlock(&nv->lock);
	virtio_queue_returned(q, next_avail);
}

int net_vhost_set_link(struct net_vhost *nv, bool up)
{
	unsigned int i;
	int r = 0;

	pthread_mutex_lock(&nv->lock);
	nv->link = up;
	for (i = 0; i < 2 * nv->host->nr_pairs; i++)
		if (nv->served[i] && net_vhost_connect_locked(nv, i))
			r = -EIO;
	pthread_mutex_unlock(&nv->lock);
	return r;
}
