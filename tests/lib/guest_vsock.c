/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/guest_vsock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/config.h"

#define GVS_RINGS 0x1000ull
#define GVS_RX 0x20000ull
#define GVS_TX 0x90000ull
#define GVS_EVENTS 0xf0000ull
#define GVS_ROOM 0x1100u /* of a packet */

static void require(bool ok)
{
	if (!ok)
		abort();
}

void guest_vsock_init(struct guest_vsock *gs, const char *path,
		      const char *more)
{
	const struct device_class *class = &vsock_class;
	struct device_config dc;
	char text[256];

	memset(gs, 0, sizeof(*gs));
	fake_vm_init(&gs->fv);
	gs->board_loop = gs->fv.board.io_loops[0];
	fake_vm_add_pci(&gs->fv);
	require(!device_config_init(&dc, class, &gs->fv.err));
	snprintf(text, sizeof(text), "cid=%u,socket=%s,id=v%s", GVS_CID, path,
		 more);
	require(!param_parse(class->params, dc.config, text, &gs->fv.err));
	gs->device = fake_vm_add(&gs->fv, class, dc.config);
	device_config_free(&dc);
	if (!gs->device)
		return;
	gs->v = vsock_of(container_of(gs->device, struct virtio_dev, device));
	gs->fv.board.io_loops[0] = gs->v->dev.queues[0].loop;
	guest_virtio_probe(&gs->gv, &gs->fv, gs->device->slot);
	guest_vsock_turn(gs);
}

void guest_vsock_fini(struct guest_vsock *gs)
{
	if (gs->device)
		fake_vm_quiesce(&gs->fv, gs->device);
	gs->fv.board.io_loops[0] = gs->board_loop;
	fake_vm_fini(&gs->fv);
}

void guest_vsock_start(struct guest_vsock *gs)
{
	gpa_t gpa = GVS_RINGS;
	unsigned int i;

	require(gv_negotiate(&gs->gv, VIRTIO_F(VIRTIO_F_VERSION_1)));
	gs->lent = 0;
	for (i = 0; i < VSOCK_QUEUES; i++) {
		gpa = guest_ring_init(&gs->rings[i], &gs->fv.board.gmem, gpa,
				      GVS_RING);
		gv_queue(&gs->gv, i, &gs->rings[i]);
	}
	gv_driver_ok(&gs->gv);
	guest_vsock_turn(gs);
}

static void gvs_offer(struct guest_vsock *gs, unsigned int qidx, gpa_t gpa,
		      uint32_t len)
{
	struct guest_ring *r = &gs->rings[qidx];
	unsigned int head = r->next_avail % GVS_RING;

	guest_ring_desc(r, head, gpa, len, RING_WRITE, 0);
	guest_ring_offer(r, head);
}

void guest_vsock_offer_rx(struct guest_vsock *gs, unsigned int n, uint32_t len)
{
	for (; n; n--)
		gvs_offer(gs, VSOCK_RX,
			  GVS_RX + (gs->rings[VSOCK_RX].next_avail % GVS_RING) *
					   GVS_ROOM,
			  len);
	gv_kick(&gs->gv, VSOCK_RX);
	guest_vsock_turn(gs);
}

void guest_vsock_offer_event(struct guest_vsock *gs, uint32_t len)
{
	gvs_offer(gs, VSOCK_EVENT, GVS_EVENTS, len);
	gv_kick(&gs->gv, VSOCK_EVENT);
	guest_vsock_turn(gs);
}

void guest_vsock_turn(struct guest_vsock *gs)
{
	fake_vm_turn(&gs->fv);
}

struct vsock_header guest_vsock_header(unsigned int op, uint32_t guest_port,
				       uint32_t host_port)
{
	return (struct vsock_header){
		.src_cid = le64_of(GVS_CID),
		.dst_cid = le64_of(VSOCK_HOST_CID),
		.src_port = le32_of(guest_port),
		.dst_port = le32_of(host_port),
		.type = le16_of(VIRTIO_VSOCK_TYPE_STREAM),
		.op = le16_of((uint16_t)op),
		.buf_alloc = le32_of(1u << 30),
	};
}

unsigned int guest_vsock_nr_lent(struct guest_vsock *gs)
{
	uint32_t id, len;

	while (guest_ring_take(&gs->rings[VSOCK_TX], &id, &len))
		gs->lent &= ~(1ull << id % GVS_RING);
	return (unsigned int)__builtin_popcountll(gs->lent);
}

void guest_vsock_put(struct guest_vsock *gs, const struct vsock_header *h,
		     const void *data, uint32_t chain_len)
{
	struct guest_ring *r = &gs->rings[VSOCK_TX];
	unsigned int head;
	uint8_t *at;
	gpa_t gpa;

	require(guest_vsock_nr_lent(gs) < GVS_RING && chain_len <= GVS_ROOM);
	head = (unsigned int)__builtin_ctzll(~gs->lent);
	gpa = GVS_TX + head * GVS_ROOM;
	at = guest_mem(&gs->fv.board.gmem, gpa, GVS_ROOM);
	gs->lent |= 1ull << head;
	memcpy(at, h, sizeof(*h));
	if (data)
		memcpy(at + sizeof(*h), data, chain_len - sizeof(*h));
	guest_ring_desc(r, head, gpa, chain_len, 0, 0);
	guest_ring_offer(r, head);
}

void guest_vsock_send(struct guest_vsock *gs, struct vsock_header h,
		      const void *data, uint32_t len)
{
	h.len = le32_of(len);
	guest_vsock_put(gs, &h, data, (uint32_t)sizeof(h) + len);
	gv_kick(&gs->gv, VSOCK_TX);
	guest_vsock_turn(gs);
}

bool guest_vsock_receive(struct guest_vsock *gs, struct guest_packet *p)
{
	uint32_t id, len;
	struct vsock_header h;
	uint8_t *at;

	if (!guest_ring_take(&gs->rings[VSOCK_RX], &id, &len))
		return false;
	at = guest_mem(&gs->fv.board.gmem, GVS_RX + id * GVS_ROOM, GVS_ROOM);
	memcpy(&h, at, sizeof(h));
	*p = (struct guest_packet){
		.src_cid = le64_get(h.src_cid),
		.dst_cid = le64_get(h.dst_cid),
		.src_port = le32_get(h.src_port),
		.dst_port = le32_get(h.dst_port),
		.len = le32_get(h.len),
		.flags = le32_get(h.flags),
		.buf_alloc = le32_get(h.buf_alloc),
		.fwd_cnt = le32_get(h.fwd_cnt),
		.type = le16_get(h.type),
		.op = le16_get(h.op),
		.data = at + sizeof(h),
	};
	require(len == sizeof(h) + p->len);
	if (!gs->keeps_buffers)
		guest_vsock_offer_rx(gs, 1, sizeof(h) + GVS_DATA);
	return true;
}
