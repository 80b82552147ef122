/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Queues that are set up well, mostly, and then used badly. */
#include "hostile.h"

#include "clock.h"
#include "memory.h"

#define PAGE 4096u
#define TABLE_LEN PAGE
#define RESET_LOOKS 400
#define REPLY_US 60
#define STATUS_ALL 0x0f /* up to DRIVER_OK */
#define QUEUE_MAX 0x8000u

struct chain {
	struct vq_desc piece[CHAIN_MAX];
	unsigned nr;
	bool is_loop;
};

/* ---- a device's life begins ------------------------------------------- */

static void common(struct attacker *a, unsigned reg, unsigned width,
		   uint64_t value)
{
	poke(a, a->target->dev.common + reg, width, value);
}

static uint64_t common_read(struct attacker *a, unsigned reg, unsigned width)
{
	return peek(a, a->target->dev.common + reg, width);
}

static bool reset(struct attacker *a)
{
	common(a, VPCI_STATUS, 1, 0);
	for (int i = 0; i < RESET_LOOKS; i++) {
		if (!common_read(a, VPCI_STATUS, 1))
			return true;
	}
	return false;
}

static void negotiate(struct attacker *a)
{
	for (unsigned half = 0; half < 2; half++) {
		uint64_t features;

		common(a, VPCI_DEVICE_FEATURE_SELECT, 4, half);
		features = common_read(a, VPCI_DEVICE_FEATURE, 4);
		if (one_in(a, 3))
			features &= random_next(&a->random) |
				    (half ? VIRTIO_F_VERSION_1 >> 32 : 0);
		if (one_in(a, 100))
			features = edge(a);
		common(a, VPCI_DRIVER_FEATURE_SELECT, 4, half);
		common(a, VPCI_DRIVER_FEATURE, 4, features);
		if (!half)
			a->indirect = features & VIRTIO_F_INDIRECT_DESC;
	}
	common(a, VPCI_STATUS, 1, STATUS_ALL & ~VIRTIO_S_DRIVER_OK);
}

/* In this CPU's own memory, but for one in so many. */
static uint64_t ring_address(struct attacker *a, volatile void *good)
{
	if (one_in(a, 60))
		return address(a);
	/* over another part of a queue, or askew */
	if (one_in(a, 60))
		return (uint64_t)a->rings[below(a, RINGS_MAX)].desc +
		       below(a, PAGE);
	return (uint64_t)good;
}

static void add_queue(struct attacker *a, uint16_t index)
{
	struct ring *r = &a->rings[index];
	uint64_t size, off;

	common(a, VPCI_QUEUE_SELECT, 2, index);
	size = common_read(a, VPCI_QUEUE_SIZE, 2);
	if (size > RING_SIZE_MAX)
		size = RING_SIZE_MAX;
	while (size > 1 && one_in(a, 6))
		size /= 2;
	common(a, VPCI_QUEUE_SIZE, 2,
	       one_in(a, 50) ? below(a, 2 * QUEUE_MAX) : size);
	r->index = index;
	r->size = (uint16_t)(size ? size : 1);
	r->idx = 0;
	memset((void *)(uint64_t)r->desc, 0, 3 * PAGE);
	common(a, VPCI_QUEUE_DESC, 8, ring_address(a, r->desc));
	common(a, VPCI_QUEUE_DRIVER, 8, ring_address(a, r->avail));
	common(a, VPCI_QUEUE_DEVICE, 8, ring_address(a, r->used));
	common(a, VPCI_QUEUE_VECTOR, 2, one_in(a, 4) ? edge(a) : below(a, 4));
	off = common_read(a, VPCI_QUEUE_NOTIFY_OFF, 2);
	r->doorbell =
		a->target->dev.notify + off * a->target->dev.notify_multiplier;
	if (off >= 1024) /* the other CPU selected one that is none */
		r->doorbell = a->target->dev.notify;
	common(a, VPCI_QUEUE_ENABLE, 2, one_in(a, 50) ? edge(a) : 1);
}

static bool begin(struct attacker *a)
{
	uint64_t nr;

	put_back(a, a->target);
	if (!reset(a) && one_in(a, 2))
		return false;
	nr = common_read(a, VPCI_NUM_QUEUES, 2);
	if (!nr || nr > 1024)
		return false; /* it is gone, or somewhere else */
	a->nr_rings = nr > RINGS_MAX ? RINGS_MAX : (unsigned)nr;
	poke(a, a->target->dev.pci.config + a->target->dev.pci.msix_cap + 2, 2,
	     MSIX_CONTROL_ENABLE);
	for (int i = 0; i < 4; i++)
		attack_msix(a, a->target);
	negotiate(a);
	for (uint16_t i = 0; i < a->nr_rings; i++) {
		if (!one_in(a, 20))
			add_queue(a, i);
	}
	common(a, VPCI_CONFIG_VECTOR, 2, below(a, 3));
	common(a, VPCI_STATUS, 1, one_in(a, 50) ? edge(a) : STATUS_ALL);
	return true;
}

/* ---- requests that are broken ----------------------------------------- */

static void break_pieces(struct attacker *a, struct chain *c)
{
	struct vq_desc *some = &c->piece[below(a, c->nr)], kept;
	struct vq_desc *other = &c->piece[below(a, c->nr)];

	switch (below(a, 9)) {
	case 0:
		some->addr = address(a);
		break;
	case 1:
		some->len = odd_length(a);
		break;
	case 2:
		some->flags ^= VQ_DESC_WRITE;
		break;
	case 3:
		kept = *some;
		*some = *other;
		*other = kept;
		break;
	case 4:
		some->flags = (uint16_t)edge(a);
		break;
	case 5:
		c->nr--;
		break;
	case 6:
		while (c->nr < CHAIN_MAX)
			c->piece[c->nr++] = *some;
		break;
	case 7:
		some->len = 0;
		break;
	default:
		c->is_loop = true;
	}
}

static void link_pieces(struct attacker *a, volatile struct vq_desc *table,
			unsigned at, unsigned size, const struct chain *c)
{
	for (unsigned i = 0; i < c->nr; i++) {
		volatile struct vq_desc *d = &table[(at + i) % size];
		bool last = i + 1 == c->nr;

		d->addr = c->piece[i].addr;
		d->len = c->piece[i].len;
		d->next = (uint16_t)((at + (last ? below(a, c->nr) : i + 1)) %
				     size);
		d->flags = (uint16_t)(c->piece[i].flags |
				      (!last || c->is_loop ? VQ_DESC_NEXT : 0));
		if (one_in(a, 2000))
			d->next = (uint16_t)edge(a);
	}
}

/* A table, or a queue's own descriptors, that say where they are themselves. */
static void put_indirect(struct attacker *a, struct ring *r, unsigned at,
			 const struct chain *c)
{
	volatile struct vq_desc *d = &r->desc[at];

	link_pieces(a, r->table, 0, TABLE_LEN / sizeof(*d), c);
	d->addr = (uint64_t)r->table;
	d->len = c->nr * (uint32_t)sizeof(*d);
	d->flags = VQ_DESC_INDIRECT;
	switch (below(a, 100)) {
	case 0:
		d->len = odd_length(a);
		break;
	case 1:
		d->addr = address(a);
		break;
	case 2:
		d->flags = (uint16_t)(d->flags | below(a, 8));
		break;
	case 3:
		r->table[below(a, c->nr + 1)].flags |= VQ_DESC_INDIRECT;
		break;
	case 4:
		d->addr = (uint64_t)r->desc;
		break;
	case 5:
		d->len = 16u << below(a, 20);
		break;
	}
}

/* What the driver says is there. */
static void offer(struct attacker *a, struct ring *r, unsigned head)
{
	unsigned times = one_in(a, 200) ? (unsigned)below(a, 2 * r->size) : 1;

	if (one_in(a, 300))
		head = (unsigned)edge(a);
	for (; times > 0; times--)
		r->avail[2 + r->idx++ % r->size] = (uint16_t)head;
	if (one_in(a, 300))
		r->idx = (uint16_t)(r->idx + edge(a));
	/* when it wants to hear of what is used */
	r->avail[2 + r->size] = (uint16_t)(one_in(a, 8) ? edge(a) : r->used[1]);
	r->avail[0] = (uint16_t)(one_in(a, 8) ? edge(a) : 0);
	barrier();
	r->avail[1] = r->idx;
	full_fence();
}

static void notify(struct attacker *a, struct ring *r)
{
	uint64_t at = r->doorbell;

	if (one_in(a, 30))
		poke(a, at, 1u << below(a, 4), edge(a));
	else
		poke(a, at, 2, r->index);
}

static void one_request(struct attacker *a)
{
	struct ring *r = &a->rings[below(a, a->nr_rings)];
	struct chain c = { .nr = 0 };
	unsigned at;

	a->reply = NULL;
	c.nr = make_request(a, a->target, r->index, c.piece);
	for (int broken = one_in(a, 40); c.nr && broken; broken = one_in(a, 3))
		break_pieces(a, &c);
	if (!c.nr)
		return;
	if (c.nr > r->size && !one_in(a, 50))
		c.nr = r->size;
	at = (unsigned)below(a, r->size);
	if (a->indirect ? one_in(a, 3) : one_in(a, 200))
		put_indirect(a, r, at, &c);
	else
		link_pieces(a, r->desc, at, r->size, &c);
	offer(a, r, at);
	if (!one_in(a, 3))
		notify(a, r);
	if (a->reply && !one_in(a, 4)) {
		uint64_t end = clock_cycles() + REPLY_US * clock_khz() / 1000;

		while (r->used[1] != r->idx && !clock_is_past(end))
			cpu_relax();
		learn(a);
	}
}

/* ---- in the middle of it ---------------------------------------------- */

static void interfere(struct attacker *a)
{
	struct target *t = a->target;

	common(a, VPCI_QUEUE_SELECT, 2, below(a, a->nr_rings + 1));
	switch (below(a, 12)) {
	case 0:
		common(a, VPCI_QUEUE_RESET, 2, 1);
		common_read(a, VPCI_QUEUE_RESET, 2);
		add_queue(a, (uint16_t)below(a, a->nr_rings));
		break;
	case 1:
		common(a, VPCI_STATUS, 1, 0);
		common_read(a, VPCI_STATUS, 1);
		break;
	case 2:
		begin(a);
		break;
	case 3:
		common(a, VPCI_STATUS, 1, edge(a));
		break;
	case 4:
		common(a, VPCI_QUEUE_DESC + 8 * (unsigned)below(a, 3), 8,
		       address(a));
		common(a, VPCI_QUEUE_ENABLE, 2, 1);
		break;
	case 5:
		attack_msix(a, t);
		break;
	case 6:
		poke(a, t->dev.pci.config + PCI_COMMAND, 2, below(a, 8));
		put_back(a, t);
		break;
	case 7:
		poke(a, t->dev.config + below(a, 64), 1u << below(a, 4),
		     edge(a));
		break;
	case 8:
		peek(a, t->dev.isr, 1);
		peek(a, t->dev.config + below(a, 128), 1u << below(a, 4));
		break;
	case 9:
		common(a, VPCI_QUEUE_VECTOR, 2, edge(a));
		break;
	case 10: /* every queue at once, whatever is in it */
		for (unsigned i = 0; i < a->nr_rings; i++)
			notify(a, &a->rings[i]);
		break;
	default:
		common(a, (unsigned)below(a, 0x40), 1u << below(a, 4), edge(a));
	}
}

void attack_rings(struct attacker *a)
{
	a->target = &targets[below(a, nr_targets)];
	/* Two at one device is good for it, but not all the time. */
	if (a->target == attackers[!a->cpu].target && !one_in(a, 4))
		a->target = &targets[below(a, nr_targets)];
	if (!begin(a)) {
		a->target = NULL;
		return;
	}
	for (uint64_t n = 20 + below(a, 600); n > 0 && !is_over(a); n--) {
		if (one_in(a, 25))
			interfere(a);
		else
			one_request(a);
		/* It takes nothing more until it is reset. */
		if (one_in(a, 6) &&
		    common_read(a, VPCI_STATUS, 1) & VIRTIO_S_NEEDS_RESET &&
		    !begin(a))
			break;
	}
	if (one_in(a, 2))
		reset(a);
	a->target = NULL;
}

void attack_other(struct attacker *a)
{
	struct attacker *b = &attackers[!a->cpu];

	for (uint64_t n = 200 + below(a, 5000); n > 0 && !b->done; n--) {
		struct ring *r = &b->rings[below(a, RINGS_MAX)];
		volatile uint8_t *slot = b->play + b->slot * SLOT_LEN;
		uint64_t value = edge(a);

		switch (below(a, 6)) {
		case 0:
			r->desc[below(a, RING_SIZE_MAX)].addr = address(a);
			break;
		case 1:
			r->desc[below(a, RING_SIZE_MAX)].len = odd_length(a);
			break;
		case 2:
			r->desc[below(a, RING_SIZE_MAX)].flags =
				(uint16_t)below(a, 8);
			break;
		case 3:
			r->avail[below(a, 2 + RING_SIZE_MAX)] = (uint16_t)value;
			break;
		case 4:
			r->table[below(a, CHAIN_MAX)].addr = address(a);
			break;
		default: /* its header */
			*(volatile uint64_t *)(slot + 8 * below(a, 16)) = value;
		}
	}
}
