/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_GUEST_RING_H
#define TESTS_LIB_GUEST_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/gmem.h"

/*
 * The driver's side of a split virtqueue (virtio 1.2 section 2.7), written by
 * hand into guest memory: nothing is checked, so that a test can write what no
 * driver would. Aborts when a ring is outside memory.
 */
#define RING_NEXT 1u
#define RING_WRITE 2u
#define RING_INDIRECT 4u

struct guest_ring {
	const struct gmem *gm;
	uint16_t size;
	gpa_t desc;
	gpa_t avail;
	gpa_t used;
	uint16_t next_avail; /* published by guest_ring_publish() */
	uint16_t next_used; /* next element to take */
};

/* Lay a zeroed ring out at gpa, a multiple of 16. Returns the gpa behind it. */
gpa_t guest_ring_init(struct guest_ring *r, const struct gmem *gm, gpa_t gpa,
		      uint16_t size);
/* Both sides start from this index instead of 0, as after a long run. */
void guest_ring_set_start(struct guest_ring *r, uint16_t idx);

/* Write one descriptor, of the ring's table / of an indirect table at gpa. */
void guest_ring_desc(struct guest_ring *r, unsigned int i, gpa_t addr,
		     uint32_t len, unsigned int flags, unsigned int next);
void guest_table_desc(const struct gmem *gm, gpa_t table, unsigned int i,
		      gpa_t addr, uint32_t len, unsigned int flags,
		      unsigned int next);

/* Put a chain into the avail ring / make all of those visible / both. */
void guest_ring_put(struct guest_ring *r, unsigned int head);
void guest_ring_publish(struct guest_ring *r);
void guest_ring_offer(struct guest_ring *r, unsigned int head);

void guest_ring_set_avail_idx(struct guest_ring *r, uint16_t idx);
void guest_ring_set_avail_flags(struct guest_ring *r, uint16_t flags);
void guest_ring_set_used_event(struct guest_ring *r, uint16_t event);

uint16_t guest_ring_used_idx(const struct guest_ring *r);
uint16_t guest_ring_used_flags(const struct guest_ring *r);
uint16_t guest_ring_avail_event(const struct guest_ring *r);

/* Take the next used element, if there is one. */
bool guest_ring_take(struct guest_ring *r, uint32_t *id, uint32_t *len);

/* Guest memory at gpa; aborts when it is not RAM. */
void *guest_mem(const struct gmem *gm, gpa_t gpa, uint64_t len);

#endif
