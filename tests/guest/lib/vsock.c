/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vsock.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"

#define TIMEOUT_MS 10000
#define NR_QUEUES 3

const char *vsock_open(struct vsock *vs)
{
	uint64_t mmio = param_number_after("virtio_mmio.device", '@', 0);

	vs->area = arena_alloc(VSOCK_RX_MAX * VSOCK_RX_LEN, 4096);
	if (mmio)
		return vdev_open_mmio(&vs->dev, mmio, VIRTIO_ID_VSOCK);
	return vdev_open_pci(&vs->dev, VIRTIO_ID_VSOCK, 0);
}

const char *vsock_start(struct vsock *vs, uint64_t features)
{
	const char *why = vdev_start(&vs->dev, features, NR_QUEUES, 0);
	struct vq *q = vsock_rx_vq(vs);

	if (why)
		return why;
	vs->cid = mmio_read32(vs->dev.config);
	for (vs->nr_rx = 0; vs->nr_rx < VSOCK_RX_MAX; vs->nr_rx++) {
		struct vq_seg seg = { vs->area + vs->nr_rx * VSOCK_RX_LEN,
				      VSOCK_RX_LEN, true };

		/* Descriptor i is buffer i. */
		if (vq_add(q, &seg, 1, false) != vs->nr_rx)
			break;
	}
	vq_kick(q);
	return NULL;
}

void vsock_fill(struct vsock *vs, struct vsock_conn *c, enum vsock_op op,
		uint32_t len, struct vsock_header *header)
{
	*header = (struct vsock_header){
		.src_cid = vs->cid,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = c->port,
		.dst_port = c->peer_port,
		.len = len,
		.type = VSOCK_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = c->buf_alloc,
		.fwd_cnt = c->fwd_cnt,
	};
	c->fwd_told = c->fwd_cnt;
	c->tx_cnt += len;
}

bool vsock_say(struct vsock *vs, struct vsock_conn *c, enum vsock_op op,
	       uint32_t flags)
{
	static struct vsock_header header;
	uint64_t deadline = clock_after_ms(TIMEOUT_MS);
	struct vq_seg seg = { &header, sizeof(header), false };
	struct vq *q = vsock_tx_vq(vs);
	int head;

	vsock_fill(vs, c, op, 0, &header);
	header.flags = flags;
	if (vq_add(q, &seg, 1, false) < 0)
		return false;
	vq_kick(q);
	while ((head = vq_pop(q, NULL)) < 0) {
		if (clock_is_past(deadline))
			return false;
		cpu_relax();
	}
	vq_free(q, (uint16_t)head);
	return true;
}

bool vsock_take(struct vsock *vs, struct vsock_conn *c, struct vsock_packet *p)
{
	int head = vq_pop(vsock_rx_vq(vs), NULL);
	const struct vsock_header *h;

	if (head < 0)
		return false;
	p->head = (uint16_t)head;
	p->header = h = (const void *)(vs->area + head * (int)VSOCK_RX_LEN);
	p->data = (const uint8_t *)(h + 1);
	if (h->src_port != c->peer_port || h->dst_port != c->port)
		return true;
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	if (h->op == VSOCK_RESPONSE)
		c->is_open = true;
	else if (h->op == VSOCK_RST)
		c->is_reset = true;
	else if (h->op == VSOCK_SHUTDOWN)
		c->peer_shut |= h->flags;
	return true;
}

void vsock_give_back(struct vsock *vs, const struct vsock_packet *p)
{
	vq_offer(vsock_rx_vq(vs), p->head);
	vq_kick(vsock_rx_vq(vs));
}

const char *vsock_connect(struct vsock *vs, struct vsock_conn *c, uint32_t port,
			  uint32_t peer_port, uint32_t buf_alloc)
{
	uint64_t deadline = clock_after_ms(TIMEOUT_MS);
	struct vsock_packet p;

	*c = (struct vsock_conn){ .port = port,
				  .peer_port = peer_port,
				  .buf_alloc = buf_alloc };
	if (!vsock_say(vs, c, VSOCK_REQUEST, 0))
		return "the device does not take a request";
	while (!c->is_open && !c->is_reset) {
		if (vsock_take(vs, c, &p))
			vsock_give_back(vs, &p);
		else if (clock_is_past(deadline))
			return "no response";
	}
	return c->is_reset ? "the host refuses" : NULL;
}
