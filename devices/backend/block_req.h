/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_BLOCK_REQ_H
#define DEVICES_BACKEND_BLOCK_REQ_H

#include "devices/backend/block.h"

/* A request by itself, whatever the engine: its pieces, and plain calls. */

/* Longest iovec array and transfer that go to the kernel at once. */
#define BLOCK_IOV_MAX 1024u
#define BLOCK_LEN_MAX (1u << 30)
/* Zeroes and bounced data go in pieces of this. */
#define BLOCK_CHUNK_LEN 65536u

/*
 * The part of a READ or WRITE that is still to do: at most BLOCK_IOV_MAX
 * entries, returned with their number in *nr. When the part begins inside an
 * entry it is the rest of that one alone, kept in *one. For a WRITE_ZEROES it
 * is the next piece of the zeroes to write.
 */
const struct iovec *block_req_rest(const struct block_req *req,
				   struct iovec *one, unsigned int *nr);

/* The direct image cannot move this request's buffers as they lie. */
bool block_req_is_misaligned(const struct block_image *image,
			     const struct block_req *req);

/* Do the rest of a request, waiting for the host. Result as of done(). Any
 * thread. */
int block_req_execute(const struct block_image *image, struct block_req *req);

#endif
