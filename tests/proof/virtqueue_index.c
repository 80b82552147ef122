/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * WP: indices of a ring, which wrap at 16 bits, for all values that a guest may write.
 */
#include <stdbool.h>
#include <stdint.h>

/* ISO C 6.3.1.3, which WP's theory does not have beyond the type's own range. */
/*@ axiomatic Wraps {
  @	axiom up: \forall integer x;
  @		-0x10000 <= x < 0 ==> (uint16_t)x == x + 0x10000;
  @	axiom up_twice: \forall integer x;
  @		-0x20000 <= x < -0x10000 ==> (uint16_t)x == x + 0x20000;
  @ }
  @*/

/* event is one of those that the index was at from old on, before it was at now. */
/*@ assigns \nothing;
  @ ensures \result <==> (old <= now ? old <= event < now
  @				    : old <= event || event < now);
  @*/
static bool vq_need_event(uint16_t event, uint16_t now, uint16_t old);

/* A bit of a word, never a shift too far. */
/*@ assigns \nothing;
  @ ensures \result == 1 << (head % 64);
  @*/
static uint64_t vq_busy_bit(uint16_t head);

/* FROM devices/virtio/virtqueue.c: vq_need_event vq_busy_bit */
