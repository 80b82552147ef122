/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/guest_ring.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/byteorder.h"
#include "vmm/util.h"

#define DESC_LEN 16u

void *guest_mem(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	void *p = gmem_ptr(gm, gpa, len);

	if (!p)
		abort();
	return p;
}

static void guest_store(const struct gmem *gm, gpa_t gpa, uint64_t v,
			unsigned int len)
{
	le_store(guest_mem(gm, gpa, len), v, len);
}

static uint64_t guest_load(const struct gmem *gm, gpa_t gpa, unsigned int len)
{
	return le_load(guest_mem(gm, gpa, len), len);
}

gpa_t guest_ring_init(struct guest_ring *r, const struct gmem *gm, gpa_t gpa,
		      uint16_t size)
{
	r->gm = gm;
	r->size = size;
	r->desc = gpa;
	r->avail = r->desc + DESC_LEN * (gpa_t)size;
	r->used = ALIGN_UP(r->avail + 6 + 2ull * size, 4);
	r->next_avail = r->next_used = 0;
	gpa = ALIGN_UP(r->used + 6 + 8ull * size, 16);
	memset(guest_mem(gm, r->desc, gpa - r->desc), 0, gpa - r->desc);
	return gpa;
}

void guest_ring_set_start(struct guest_ring *r, uint16_t idx)
{
	r->next_avail = r->next_used = idx;
	guest_store(r->gm, r->avail + 2, idx, 2);
	guest_store(r->gm, r->used + 2, idx, 2);
}

void guest_table_desc(const struct gmem *gm, gpa_t table, unsigned int i,
		      gpa_t addr, uint32_t len, unsigned int flags,
		      unsigned int next)
{
	gpa_t at = table + DESC_LEN * (gpa_t)i;

	guest_store(gm, at, addr, 8);
	guest_store(gm, at + 8, len, 4);
	guest_store(gm, at + 12, flags, 2);
	guest_store(gm, at + 14, next, 2);
}

void guest_ring_desc(struct guest_ring *r, unsigned int i, gpa_t addr,
		     uint32_t len, unsigned int flags, unsigned int next)
{
	guest_table_desc(r->gm, r->desc, i, addr, len, flags, next);
}

void guest_ring_put(struct guest_ring *r, unsigned int head)
{
	uint16_t slot = r->next_avail++ & (r->size - 1u);

	guest_store(r->gm, r->avail + 4 + 2ull * slot, head, 2);
}

void guest_ring_publish(struct guest_ring *r)
{
	guest_ring_set_avail_idx(r, r->next_avail);
}

void guest_ring_offer(struct guest_ring *r, unsigned int head)
{
	guest_ring_put(r, head);
	guest_ring_publish(r);
}

void guest_ring_set_avail_idx(struct guest_ring *r, uint16_t idx)
{
	guest_store(r->gm, r->avail + 2, idx, 2);
}

void guest_ring_set_avail_flags(struct guest_ring *r, uint16_t flags)
{
	guest_store(r->gm, r->avail, flags, 2);
}

void guest_ring_set_used_event(struct guest_ring *r, uint16_t event)
{
	guest_store(r->gm, r->avail + 4 + 2ull * r->size, event, 2);
}

uint16_t guest_ring_used_idx(const struct guest_ring *r)
{
	return (uint16_t)guest_load(r->gm, r->used + 2, 2);
}

uint16_t guest_ring_used_flags(const struct guest_ring *r)
{
	return (uint16_t)guest_load(r->gm, r->used, 2);
}

uint16_t guest_ring_avail_event(const struct guest_ring *r)
{
	return (uint16_t)guest_load(r->gm, r->used + 4 + 8ull * r->size, 2);
}

bool guest_ring_take(struct guest_ring *r, uint32_t *id, uint32_t *len)
{
	gpa_t at;

	if (r->next_used == guest_ring_used_idx(r))
		return false;
	at = r->used + 4 + 8ull * (r->next_used++ & (r->size - 1u));
	*id = (uint32_t)guest_load(r->gm, at, 4);
	*len = (uint32_t)guest_load(r->gm, at + 4, 4);
	return true;
}
