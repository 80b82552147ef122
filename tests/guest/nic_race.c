/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Two CPUs. race: while this one sends, the other one rewrites some bytes of
 * all frames that are on their way, from a= to b= and back, for ever. What was
 * checked must be what is sent, which the host sees on the wire.
 *
 * watch: the other one looks for marker= at offset at= of all receive buffers,
 * also of those that were not used yet, for a frame that is not for this port
 * must never be there, not even for a moment. seen: how often it was.
 */
#include "nic.h"

#include "cpu.h"
#include "memory.h"
#include "param.h"
#include "report.h"
#include "text.h"

#define RACE_MAX 16

static struct {
	volatile uint8_t *at; /* in the first frame that is sent */
	unsigned nr_slots;
	unsigned len;
	uint8_t a[RACE_MAX], b[RACE_MAX];
	volatile uint64_t rounds;
} race;

static struct {
	uint32_t at, marker;
	volatile uint64_t rounds, seen;
} watched;

static void race_put(const uint8_t *bytes)
{
	for (unsigned slot = 0; slot < race.nr_slots; slot++) {
		volatile uint8_t *at = race.at + slot * NIC_SLOT_LEN;

		for (unsigned i = 0; i < race.len; i++)
			at[i] = bytes[i];
	}
}

static void race_run(void)
{
	while (!cpu1_stop) {
		race_put(race.a);
		race_put(race.b);
		race.rounds++;
	}
}

const char *nic_race(void)
{
	struct nic_frames f;
	struct nic_sent sent;
	const char *why;

	nic_read_frames(&f);
	race.at = nic_slot(0) - NET_HEADER + param_number("offset", 0);
	race.nr_slots = f.depth;
	race.len = nic_hex("a", race.a, sizeof(race.a));
	if (nic_hex("b", race.b, sizeof(race.b)) != race.len)
		return failed("a and b are not as long");
	race.rounds = 0;
	if (!cpu1_run(race_run))
		return failed("CPU 1 does not start");
	why = nic_send(&f, &sent);
	if (!cpu1_end())
		return failed("CPU 1 does not end");
	if (!why)
		say("SENT frames=%lu us=%lu rounds=%lu", sent.frames, sent.us,
		    race.rounds);
	return why;
}

static void watch_run(void)
{
	while (!cpu1_stop) {
		for (unsigned pair = 0; pair < nic.nr_pairs; pair++) {
			const struct net_rx *rx = &nic.rx[pair];

			for (uint16_t i = 0; i < rx->nr; i++) {
				const char *at =
					rx->area + i * rx->len + watched.at;

				if (*(const volatile uint32_t *)at ==
				    watched.marker)
					watched.seen++;
			}
		}
		watched.rounds++;
	}
}

const char *nic_watch(void)
{
	watched.at = (uint32_t)param_number("at", 0);
	watched.marker = (uint32_t)param_number("marker", 0);
	watched.rounds = watched.seen = 0;
	return cpu1_run(watch_run) ? NULL : failed("CPU 1 does not start");
}

const char *nic_seen(void)
{
	if (!cpu1_end())
		return failed("CPU 1 does not end");
	say("SEEN times=%lu rounds=%lu", watched.seen, watched.rounds);
	return NULL;
}
