/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * WP: credit of a connection, for whatever a guest says of its end: all counters wrap,
 * and what we hold is within what we promised, which vsock_credit_allows() keeps true.
 */
#include <stdbool.h>
#include <stdint.h>

/* FROM devices/virtio/vsock_conn.h: struct vsock_credit */

/* ISO C 6.3.1.3, which WP's theory does not have beyond the type's own range. */
/*@ axiomatic Wraps {
  @	axiom up: \forall integer x;
  @		-0x100000000 <= x < 0 ==> (uint32_t)x == x + 0x100000000;
  @	axiom down: \forall integer x;
  @		0x100000000 <= x < 0x200000000 ==>
  @			(uint32_t)x == x - 0x100000000;
  @ }
  @*/

/*@ requires \valid_read(c);
  @ assigns \nothing;
  @ ensures \result == (uint32_t)(c->received - c->forwarded);
  @*/
static inline uint32_t vsock_pending(const struct vsock_credit *c);

/*@ requires \valid_read(c);
  @ requires holds: (uint32_t)(c->received - c->forwarded) <= c->buf_alloc;
  @ assigns \nothing;
  @ ensures \result <==>
  @	(uint32_t)(c->received - c->forwarded) + len <= c->buf_alloc;
  @*/
static inline bool vsock_credit_allows(const struct vsock_credit *c,
				       uint32_t len);

/*@ requires \valid_read(c);
  @ assigns \nothing;
  @*/
static inline bool vsock_credit_is_news(const struct vsock_credit *c);

/*@ requires \valid_read(c);
  @ assigns \nothing;
  @ ensures \result <= c->peer_buf_alloc;
  @ ensures \result > 0 ==>
  @	(uint32_t)(c->sent - c->peer_forwarded) + \result ==
  @	c->peer_buf_alloc;
  @ ensures \result == 0 ==>
  @	(uint32_t)(c->sent - c->peer_forwarded) >= c->peer_buf_alloc;
  @*/
static inline uint32_t vsock_credit_left(const struct vsock_credit *c);

/* What was allowed is within the credit when it has come. */
/*@ requires \valid(c);
  @ requires (uint32_t)(c->received - c->forwarded) <= c->buf_alloc;
  @ assigns c->received;
  @ ensures (uint32_t)(c->received - c->forwarded) <= c->buf_alloc;
  @*/
static void receive(struct vsock_credit *c, uint32_t len);

/* FROM devices/virtio/vsock_conn.h: vsock_pending vsock_credit_allows */
/* FROM devices/virtio/vsock_conn.h: vsock_credit_is_news vsock_credit_left */

static void receive(struct vsock_credit *c, uint32_t len)
{
	if (vsock_credit_allows(c, len))
		c->received += len;
}
