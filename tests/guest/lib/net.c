/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "net.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"

#define TIMEOUT_MS 10000
#define STATUS_EVERY 4096 /* spins between looks at the device status */
#define CONTROL_MAX 4096
#define CONTROL_UNWRITTEN 0xee

const char *net_open(struct net *net, unsigned index)
{
	uint64_t mmio = param_number_after("virtio_mmio.device", '@', 0);

	net->header = arena_alloc(NET_HEADER + NET_FRAME_MAX, 4096);
	net->frame = net->header + NET_HEADER;
	if (mmio)
		return vdev_open_mmio(&net->dev, mmio, VIRTIO_ID_NET);
	return vdev_open_pci(&net->dev, VIRTIO_ID_NET, index);
}

/* The control queue's place depends on how many pairs there could be. */
static const char *net_add_control(struct net *net)
{
	uint16_t index = 2;

	net->control = NULL;
	if (!(net->dev.features & NET_F_CTRL_VQ))
		return NULL;
	if (net->dev.features & NET_F_MQ)
		index = (uint16_t)(2 * mmio_read16(net->dev.config +
						   NET_CONFIG_MAX_PAIRS));
	if (index >= VDEV_MAX_QUEUES)
		return "more queue pairs than this driver knows";
	net->control = &net->dev.vq[index];
	return vdev_add_queue(&net->dev, index, 0);
}

void net_post(struct net *net, unsigned pair, uint32_t rx_len)
{
	struct net_rx *rx = &net->rx[pair];
	struct vq *q = net_rx_vq(net, pair);

	if (!rx->area)
		rx->area = arena_alloc(NET_RX_AREA, 4096);
	rx->len = rx_len;
	for (rx->nr = 0; rx->nr < q->size; rx->nr++) {
		struct vq_seg seg = { rx->area + rx->nr * rx_len, rx_len,
				      true };

		/* Descriptor i is buffer i, from an empty ring. */
		if ((rx->nr + 1u) * rx_len > NET_RX_AREA ||
		    vq_add(q, &seg, 1, false) != rx->nr)
			break;
	}
}

const char *net_start(struct net *net, uint64_t features, uint16_t nr_pairs,
		      uint16_t queue_size, uint32_t rx_len)
{
	const char *why;

	if (!vdev_reset(&net->dev))
		return "reset does not end";
	why = vdev_negotiate(&net->dev, features);
	for (uint16_t i = 0; !why && i < 2 * nr_pairs; i++)
		why = vdev_add_queue(&net->dev, i, queue_size);
	if (!why)
		why = net_add_control(net);
	if (why)
		return why;
	net->nr_pairs = nr_pairs;
	vdev_driver_ok(&net->dev);
	if (net->dev.ops->status(&net->dev) & VIRTIO_S_NEEDS_RESET)
		return "needs reset at DRIVER_OK";
	for (unsigned pair = 0; pair < nr_pairs; pair++) {
		net_post(net, pair, rx_len);
		vq_kick(net_rx_vq(net, pair));
	}
	return NULL;
}

/* One used buffer behind what is there already; its length or NET_BROKEN. */
static int net_take_buffer(struct net *net, unsigned pair, uint32_t have)
{
	struct vq *q = net_rx_vq(net, pair);
	struct net_rx *rx = &net->rx[pair];
	uint32_t len;
	int head = vq_pop(q, &len);

	if (head < 0)
		return have ? NET_BROKEN : NET_NONE;
	if (head >= rx->nr || len > rx->len || !len ||
	    have + len > NET_HEADER + NET_FRAME_MAX)
		return NET_BROKEN;
	memcpy(net->header + have, rx->area + (unsigned)head * rx->len, len);
	vq_offer(q, (uint16_t)head);
	return (int)len;
}

int net_take(struct net *net, unsigned pair)
{
	int len = net_take_buffer(net, pair, 0);
	uint32_t have;

	if (len < 0)
		return len;
	if (len < NET_HEADER)
		return NET_BROKEN;
	have = (uint32_t)len;
	memcpy(&net->nr_buffers, net->header + NET_HEADER_NR_BUFFERS, 2);
	if (!(net->dev.features & NET_F_MRG_RXBUF) && net->nr_buffers != 1)
		return NET_BROKEN;
	for (uint16_t i = 1; i < net->nr_buffers; i++) {
		len = net_take_buffer(net, pair, have);
		if (len < 0)
			return NET_BROKEN;
		have += (uint32_t)len;
	}
	vq_kick(net_rx_vq(net, pair));
	return net->nr_buffers ? (int)(have - NET_HEADER) : NET_BROKEN;
}

/* Waits for the one chain that is out. */
static int net_wait(struct net *net, struct vq *q, int head)
{
	uint64_t deadline = clock_after_ms(TIMEOUT_MS);
	int done;

	for (unsigned spins = 1; (done = vq_pop(q, NULL)) < 0; spins++) {
		if (spins % STATUS_EVERY == 0 &&
		    (net->dev.ops->status(&net->dev) & VIRTIO_S_NEEDS_RESET))
			return NET_BROKEN;
		if (clock_is_past(deadline))
			return NET_LOST;
		cpu_relax();
	}
	vq_free(q, (uint16_t)done);
	return done == head ? 0 : NET_BROKEN;
}

int net_send(struct net *net, unsigned pair, const struct vq_seg *segs,
	     unsigned nr, bool indirect)
{
	struct vq *q = net_tx_vq(net, pair);
	int head = vq_add(q, segs, nr, indirect && q->indirect);

	if (head < 0)
		return NET_NONE;
	vq_kick(q);
	return net_wait(net, q, head);
}

int net_control(struct net *net, uint8_t class, uint8_t command,
		const void *data, uint32_t len)
{
	static uint8_t header[2], body[CONTROL_MAX];
	static volatile uint8_t answer;
	struct vq_seg segs[3] = { { header, 2, false } };
	unsigned nr = 1;
	int head;

	if (!net->control || len > CONTROL_MAX)
		return NET_NONE;
	header[0] = class;
	header[1] = command;
	memcpy(body, data, len);
	if (len)
		segs[nr++] = (struct vq_seg){ body, len, false };
	segs[nr++] = (struct vq_seg){ &answer, 1, true };
	answer = CONTROL_UNWRITTEN;
	head = vq_add(net->control, segs, nr, false);
	if (head < 0)
		return NET_NONE;
	vq_kick(net->control);
	head = net_wait(net, net->control, head);
	return head < 0 ? head : answer;
}
