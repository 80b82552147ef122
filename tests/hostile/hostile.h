/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A guest that attacks its monitor, and one that finds out what is left of the
 * machine: what its parts share.
 *
 * Two CPUs attack at once, each as its own numbers say, which follow from the
 * seed. They write to everything but this program's own memory: what hits that
 * ends a round early and proves nothing.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "guest.h"
#include "random.h"
#include "vdev.h"

#define VIRTIO_ID_FS 26

#define TARGETS_MAX 24
#define RINGS_MAX 9
#define RING_SIZE_MAX 256
#define CHAIN_MAX 16 /* pieces of a request, before it is broken */
#define PLAY_LEN (1u << 20)
#define SLOT_LEN 16384u /* of the playground: for a request */
#define KNOWN_MAX 16

#define PARK_PAGE 0x71000u /* a program for CPUs that nobody needs */

#define PORT_SERIAL 0x3f8
#define PORT_POWER 0x600
#define PORT_HOTPLUG 0x620

/* A virtio device, where it was when the round began. */
struct target {
	struct vdev dev;
	uint16_t type;
	struct vpci_shm shm;
};

extern struct target targets[TARGETS_MAX];
extern unsigned nr_targets;
extern const struct guest_info *hostile_info;

/* A queue that breaks the rules. */
struct ring {
	volatile struct vq_desc *desc;
	volatile uint16_t *avail, *used;
	volatile struct vq_desc *table; /* for an indirect chain */
	uint16_t index, size, idx;
	uint64_t doorbell;
};

/* A CPU and what it has to itself. */
struct attacker {
	unsigned cpu;
	struct random random;
	volatile uint64_t accesses; /* of ports and registers, so far */
	uint64_t budget; /* accesses */
	uint64_t deadline; /* cycles */
	bool may_reset; /* the machine */
	volatile bool done;
	uint8_t *play; /* PLAY_LEN bytes */
	unsigned slot;
	struct ring rings[RINGS_MAX];
	unsigned nr_rings;
	bool indirect; /* negotiated there */
	struct target *target; /* that it has a queue at; NULL: none */
	uint64_t known[KNOWN_MAX]; /* what a file system has named to it */
	uint64_t *reply; /* where the last request has one; NULL: none */
};

extern struct attacker attackers[2];

static inline uint64_t below(struct attacker *a, uint64_t limit)
{
	return random_below(&a->random, limit);
}

static inline bool one_in(struct attacker *a, uint64_t n)
{
	return !below(a, n);
}

static inline bool is_over(const struct attacker *a)
{
	return a->accesses >= a->budget;
}

/* ---- numbers.c ---- */

/* A number at an edge of something, or any. */
uint64_t edge(struct attacker *a);
/* A guest address: good, nearly good, or in what is no RAM. */
uint64_t address(struct attacker *a);
uint32_t odd_length(struct attacker *a);
/* The next part of the playground, SLOT_LEN bytes. */
uint8_t *next_slot(struct attacker *a);

/* Accesses, which are counted. Width: 1, 2, 4 or 8 bytes. */
void poke(struct attacker *a, uint64_t addr, unsigned width, uint64_t value);
uint64_t peek(struct attacker *a, uint64_t addr, unsigned width);

/* ---- registers.c: registers of everything, each function some accesses ---- */

void attack_registers(struct attacker *a);
/* One entry of this device's table. */
void attack_msix(struct attacker *a, struct target *t);
/* Its BARs are where they were, and on. */
void put_back(struct attacker *a, struct target *t);

/* ---- rings.c ---- */

/* A life of a device, from reset until enough was wrong. */
void attack_rings(struct attacker *a);
/* The other CPU's requests, while the device looks at them. */
void attack_other(struct attacker *a);

/* ---- requests.c ---- */

/* The pieces of a request for queue number `queue`, which may be right: address,
 * length, flags. Returns how many. */
unsigned make_request(struct attacker *a, const struct target *t,
		      unsigned queue, struct vq_desc *pieces);
/* Numbers out of the last reply, for later. */
void learn(struct attacker *a);

/* ---- flood.c ---- */

/* As the command says; NULL, or what is wrong. */
const char *flood(unsigned *nr_lives);

/* ---- whole.c ---- */

/* Every device does its work; NULL, or what is wrong. */
const char *whole_check(void);

#endif
