/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The disk tests: what they share, and one line for each. */
#ifndef GUEST_DISK_H
#define GUEST_DISK_H

#include "blk.h"
#include "report.h"

#define DISK_BUFFER (1u << 20)
#define DISK_AREA (8u << 20) /* the part of the disk the tests write */

extern struct blk disk;
extern char *disk_out, *disk_in; /* DISK_BUFFER each */

/* Starts the disk afresh with every feature; NULL or what went wrong. */
const char *disk_start(uint16_t nr_queues);

/* Writes the pattern, or reads and compares it, in requests of one buffer. */
const char *disk_write_pattern(uint32_t seed, uint64_t sector, uint32_t len);
const char *disk_expect_pattern(uint32_t seed, uint64_t sector, uint32_t len);
const char *disk_expect_zeroes(uint64_t sector, uint32_t len);

/* disk_requests.c */
const char *disk_capacity(void);
const char *disk_limits(void);
const char *disk_get_id(void);
const char *disk_flush(void);
const char *disk_wce(void);
const char *disk_used_len(void);
const char *disk_unknown_type(void);
const char *disk_out_of_range(void);
const char *disk_bad_length(void);
const char *disk_read_only(void);

/* disk_data.c */
const char *disk_rw_sizes(void);
const char *disk_rw_splits(void);
const char *disk_rw_depth(void);
const char *disk_write_zeroes(void);
const char *disk_discard(void);
const char *disk_range_bad(void);
const char *disk_leave_pattern(void);

/* disk_queues.c */
const char *disk_queue_sizes(void);
const char *disk_queue_features(void);
const char *disk_queue_full(void);
const char *disk_queue_many(void);
const char *disk_reset_under_load(void);
const char *disk_queue_reset_under_load(void);

#endif
