/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_GUEST_VSOCK_H
#define TESTS_LIB_GUEST_VSOCK_H

#include "devices/virtio/vsock_conn.h"
#include "tests/lib/guest_virtio.h"

/*
 * A driver of a vsock device that checks nothing, on a board without KVM. The
 * device's loop runs inside guest_vsock_turn(), on the caller's thread: programs
 * that use this have still_loops.c.
 */
#define GVS_CID 7u
#define GVS_RING 64u /* chains of a queue */
#define GVS_DATA 4096u /* largest payload */

struct guest_vsock {
	struct fake_vm fv;
	struct guest_virtio gv;
	struct guest_ring rings[VSOCK_QUEUES];
	struct device *device;
	struct vsock *v;
	struct loop *board_loop;
	bool keeps_buffers; /* what was received is not offered again */
	uint64_t lent; /* a bit per chain of the tx queue */
};

/* A packet that the guest got. */
struct guest_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len, flags, buf_alloc, fwd_cnt;
	unsigned int type, op;
	const uint8_t *data; /* good until the next one is received */
};

/* A machine with a device that listens at path; more: further parameters. NULL
 * in gs->device when it does not come up, with gs->fv.err. */
void guest_vsock_init(struct guest_vsock *gs, const char *path,
		      const char *more);
/* Remove the device and end the machine. */
void guest_vsock_fini(struct guest_vsock *gs);
/* Let the driver come up, with empty queues. */
void guest_vsock_start(struct guest_vsock *gs);
/* Offer n more buffers: for packets, of len bytes each; for events. */
void guest_vsock_offer_rx(struct guest_vsock *gs, unsigned int n, uint32_t len);
void guest_vsock_offer_event(struct guest_vsock *gs, uint32_t len);
/* Let the device do what it can do at once. */
void guest_vsock_turn(struct guest_vsock *gs);

/* A header of the connection between those ports, with endless credit. */
struct vsock_header guest_vsock_header(unsigned int op, uint32_t guest_port,
				       uint32_t host_port);
/* Packets that the device has not given back. */
unsigned int guest_vsock_nr_lent(struct guest_vsock *gs);
/* Put a packet into the queue, as many bytes of it as chain_len says, without
 * telling the device. */
void guest_vsock_put(struct guest_vsock *gs, const struct vsock_header *h,
		     const void *data, uint32_t chain_len);
/* Put a whole packet, kick, turn. */
void guest_vsock_send(struct guest_vsock *gs, struct vsock_header h,
		      const void *data, uint32_t len);
/* The next packet for the guest. False: there is none. */
bool guest_vsock_receive(struct guest_vsock *gs, struct guest_packet *p);

#endif
