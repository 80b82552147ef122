/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A filter as a program of classic BPF, which the kernel runs on each frame
 * before it goes into a queue. A tag is in the frame, or was taken out of it
 * and is beside it; both count alike.
 *
 * A set of VLANs is 128 words of 32 bits. The word of a frame's VLAN is found
 * by a tree of comparisons, in which equal neighbours are one leaf: at most 127
 * of them and 256 instructions in leaves, and a handful for a usual set.
 */
#include "devices/backend/tap_filter.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "devices/backend/tap.h"
#include "vmm/util.h"

#define VLAN_WORDS 128u
#define VLAN_ID_MASK 0xfffu
#define TAG_AT 12u /* where a type, or a tag, is in a frame */

/* Cells of the program's memory */
enum {
	CELL_WORD, /* of the set of VLANs */
	CELL_LOW, /* of the destination: its last four bytes */
	CELL_HIGH,
};

struct program {
	struct sock_filter *code;
	unsigned int len;
};

static void emit_jump(struct program *p, uint16_t op, uint32_t k,
		      unsigned int yes, unsigned int no)
{
	p->code[p->len++] =
		(struct sock_filter){ op, (uint8_t)yes, (uint8_t)no, k };
}

static void emit(struct program *p, uint16_t op, uint32_t k)
{
	emit_jump(p, op, k, 0, 0);
}

static void emit_verdict(struct program *p, bool pass)
{
	emit(p, BPF_RET | BPF_K, pass ? UINT32_MAX : 0);
}

/* ---- VLANs ---- */

static uint32_t vlan_word(const uint64_t *vlans, unsigned int n)
{
	return (uint32_t)(vlans[n / 2] >> n % 2 * 32);
}

static bool vlan_words_are_equal(const uint64_t *vlans, unsigned int first,
				 unsigned int nr)
{
	for (unsigned int i = 1; i < nr; i++)
		if (vlan_word(vlans, first + i) != vlan_word(vlans, first))
			return false;
	return true;
}

/* Load word A of the set, of which it is one of the nr from first on, and jump
 * to `to`, which is behind all of this. */
static void emit_tree(struct program *p, const uint64_t *vlans,
		      unsigned int first, unsigned int nr)
{
	unsigned int at = p->len;

	if (vlan_words_are_equal(vlans, first, nr)) {
		emit(p, BPF_LD | BPF_IMM, vlan_word(vlans, first));
		emit(p, BPF_JMP | BPF_JA, 0); /* by emit_vlan_word() */
		return;
	}
	nr /= 2;
	emit_jump(p, BPF_JMP | BPF_JGE | BPF_K, first + nr, 0, 0);
	emit_tree(p, vlans, first, nr);
	/* The left half is at most 63 comparisons and 64 leaves. */
	p->code[at].jt = (uint8_t)(p->len - at - 1);
	emit_tree(p, vlans, first + nr, nr);
}

/* Drop, or go on: is the VLAN whose tag is in A one of the set? */
static void emit_vlan_lookup(struct program *p, const uint64_t *vlans)
{
	unsigned int start;

	emit(p, BPF_ALU | BPF_AND | BPF_K, VLAN_ID_MASK);
	emit(p, BPF_MISC | BPF_TAX, 0);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, 5);
	start = p->len;
	emit_tree(p, vlans, 0, VLAN_WORDS);
	for (unsigned int i = start; i < p->len; i++)
		if (p->code[i].code == (BPF_JMP | BPF_JA))
			p->code[i].k = p->len - i - 1;
	emit(p, BPF_ST, CELL_WORD);
	emit(p, BPF_MISC | BPF_TXA, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, 31);
	emit(p, BPF_MISC | BPF_TAX, 0);
	emit(p, BPF_LD | BPF_MEM, CELL_WORD);
	emit(p, BPF_ALU | BPF_RSH | BPF_X, 0);
	emit_jump(p, BPF_JMP | BPF_JSET | BPF_K, 1, 1, 0);
	emit_verdict(p, false);
}

/* Drop, or go on: A is the type behind a tag, and no other tag. */
static void emit_no_more_tags(struct program *p)
{
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 1, 0);
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021AD, 0, 1);
	emit_verdict(p, false);
}

static void emit_vlans(struct program *p, const uint64_t *vlans)
{
	unsigned int to_inside, to_lookup;

	emit(p, BPF_LD | BPF_W | BPF_ABS,
	     (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT));
	to_inside = p->len;
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0);
	/* beside the frame */
	emit(p, BPF_LD | BPF_W | BPF_ABS,
	     (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TPID));
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 1, 0);
	emit_verdict(p, false);
	emit(p, BPF_LD | BPF_H | BPF_ABS, TAG_AT);
	emit_no_more_tags(p);
	emit(p, BPF_LD | BPF_W | BPF_ABS,
	     (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG));
	to_lookup = p->len;
	emit(p, BPF_JMP | BPF_JA, 0);
	/* in it */
	p->code[to_inside].jt = (uint8_t)(p->len - to_inside - 1);
	emit(p, BPF_LD | BPF_H | BPF_ABS, TAG_AT);
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 1, 0);
	emit_verdict(p, false);
	emit(p, BPF_LD | BPF_H | BPF_ABS, TAG_AT + 4);
	emit_no_more_tags(p);
	emit(p, BPF_LD | BPF_H | BPF_ABS, TAG_AT + 2);
	p->code[to_lookup].k = p->len - to_lookup - 1;
	emit_vlan_lookup(p, vlans);
}

/* ---- destinations ---- */

/* Decide, or go on: the destination is mac. */
static void emit_mac(struct program *p, const uint8_t mac[6], bool pass)
{
	uint32_t low = (uint32_t)mac[2] << 24 | (uint32_t)mac[3] << 16 |
		       (uint32_t)mac[4] << 8 | mac[5];

	emit(p, BPF_LD | BPF_MEM, CELL_LOW);
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, low, 0, 3);
	emit(p, BPF_LD | BPF_MEM, CELL_HIGH);
	emit_jump(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)mac[0] << 8 | mac[1],
		  0, 1);
	emit_verdict(p, pass);
}

/* Pass or drop. */
static void emit_destinations(struct program *p, const struct tap_filter *f)
{
	static const uint8_t everybody[6] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};

	if (f->all_unicast && f->all_multicast && f->broadcast) {
		emit_verdict(p, true);
		return;
	}
	emit(p, BPF_LD | BPF_W | BPF_ABS, 2);
	emit(p, BPF_ST, CELL_LOW);
	emit(p, BPF_LD | BPF_H | BPF_ABS, 0);
	emit(p, BPF_ST, CELL_HIGH);
	emit_mac(p, everybody, f->broadcast);
	for (unsigned int i = 0; i < f->nr_macs; i++)
		emit_mac(p, f->macs[i], true);
	/* The lowest bit of the first byte says which kind. */
	emit(p, BPF_LD | BPF_MEM, CELL_HIGH);
	emit_jump(p, BPF_JMP | BPF_JSET | BPF_K, 0x100, 0, 1);
	emit_verdict(p, f->all_multicast);
	emit_verdict(p, f->all_unicast);
}

unsigned int tap_filter_compile(const struct tap_filter *filter,
				struct sock_filter *code)
{
	struct program p = { .code = code };

	if (filter->vlans)
		emit_vlans(&p, filter->vlans);
	emit_destinations(&p, filter);
	return p.len;
}

int tap_set_filter(struct tap *tap, const struct tap_filter *filter)
{
	struct sock_filter code[TAP_FILTER_MAX];
	struct sock_fprog prog = { .filter = code };
	/* A queue that is detached now would keep the filter it had; so there
	 * always is one. */
	static const struct tap_filter all = { .all_unicast = true,
					       .all_multicast = true,
					       .broadcast = true };

	/* But an only queue never is, and to run one costs who sends 40 ns. */
	if (!filter && tap->nr_queues == 1)
		return ioctl(tap->fds[0], TUNDETACHFILTER, &prog) ? -errno : 0;
	prog.len = (uint16_t)tap_filter_compile(filter ? filter : &all, code);
	return ioctl(tap->fds[0], TUNATTACHFILTER, &prog) ? -errno : 0;
}
