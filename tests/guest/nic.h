/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The remote-controlled network interface: what its parts share. */
#ifndef GUEST_NIC_H
#define GUEST_NIC_H

#include "net.h"
#include "random.h"

#define NIC_SLOTS 128 /* frames that may be on their way out */
#define NIC_SLOT_LEN (NET_HEADER + NET_FRAME_MAX + 2)
#define NIC_PIECES_MAX 16
#define NIC_VECTOR 0x40 /* interrupts: configuration, then queue i */

extern struct net nic;
extern uint64_t nic_ram_end;

/* What a command that sends was told: see nic.c. */
struct nic_frames {
	unsigned pair;
	uint64_t count; /* 0: no end */
	uint64_t ms; /* no end: until then */
	uint32_t len;
	uint32_t seed;
	unsigned depth; /* on their way at once */
	uint32_t cut; /* length of the first piece, 0: one piece */
	bool indirect;
	bool repeat; /* slots are filled once */
	uint8_t vnet[NET_HEADER];
	uint8_t head[128];
	unsigned head_len;
	struct random random; /* pieces, when state is not 0 */
};

/* What became of them. */
struct nic_sent {
	uint64_t frames;
	uint64_t us;
	uint64_t longest_us; /* between two that were used */
};

/* As the last start command said. */
const char *nic_start(void);

/* The frame of a slot, behind its header. */
uint8_t *nic_slot(unsigned slot);

/* NULL: all sent and used. */
const char *nic_send(struct nic_frames *f, struct nic_sent *sent);
void nic_read_frames(struct nic_frames *f);

/* Hexadecimal digits of a parameter; how many bytes they are. */
unsigned nic_hex(const char *key, uint8_t *out, unsigned size);

/* Commands of the other files: NULL, or what went wrong; they say the rest. */
const char *nic_race(void);
const char *nic_watch(void);
const char *nic_seen(void);
const char *nic_malformed(void);
const char *nic_resets(void);

#endif
