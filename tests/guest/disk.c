/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Disk tests: what is written is what is read, byte by byte, whatever the
 * shape of the requests; errors are told; resets lose nothing they may keep.
 *
 * They use the first DISK_AREA bytes of disk 0 and leave there what
 * disk_leave_pattern() says, for the host to check. Parameters: sectors=, id=
 * and queues= of disk 0, ro=1 when disk 1 is there and read-only, rounds= of
 * the resets.
 */
#include "disk.h"

#include "memory.h"
#include "power.h"

struct blk disk;
char *disk_out, *disk_in;

#define DISK_TEST(test)            \
	{                          \
#test, disk_##test \
	}

static const struct test disk_tests[] = {
	DISK_TEST(capacity),
	DISK_TEST(limits),
	DISK_TEST(get_id),
	DISK_TEST(flush),
	DISK_TEST(wce),
	DISK_TEST(used_len),
	DISK_TEST(unknown_type),
	DISK_TEST(out_of_range),
	DISK_TEST(bad_length),
	DISK_TEST(read_only),
	DISK_TEST(rw_sizes),
	DISK_TEST(rw_splits),
	DISK_TEST(rw_depth),
	DISK_TEST(write_zeroes),
	DISK_TEST(discard),
	DISK_TEST(range_bad),
	DISK_TEST(queue_sizes),
	DISK_TEST(queue_features),
	DISK_TEST(queue_full),
	DISK_TEST(queue_many),
	DISK_TEST(reset_under_load),
	DISK_TEST(queue_reset_under_load),
	DISK_TEST(leave_pattern),
};

const char *disk_start(uint16_t nr_queues)
{
	return blk_start(&disk, BLK_F_ALL, nr_queues, 0);
}

const char *disk_write_pattern(uint32_t seed, uint64_t sector, uint32_t len)
{
	while (len) {
		uint32_t part = len < DISK_BUFFER ? len : DISK_BUFFER;
		int status;

		blk_fill_pattern(disk_out, part, seed, sector);
		status = blk_write(&disk, sector, disk_out, part);
		if (status != BLK_OK)
			return failed("write of %u at %lu: %d", part, sector,
				      status);
		sector += part / BLK_SECTOR;
		len -= part;
	}
	return NULL;
}

static const char *disk_read_part(uint64_t sector, uint32_t len)
{
	int status;

	memset(disk_in, 0x5a, len);
	status = blk_read(&disk, sector, disk_in, len);
	if (status != BLK_OK)
		return failed("read of %u at %lu: %d", len, sector, status);
	return NULL;
}

const char *disk_expect_pattern(uint32_t seed, uint64_t sector, uint32_t len)
{
	while (len) {
		uint32_t part = len < DISK_BUFFER ? len : DISK_BUFFER;
		const char *why = disk_read_part(sector, part);
		uint32_t at;

		if (why)
			return why;
		at = blk_check_pattern(disk_in, part, seed, sector);
		if (at != part)
			return failed("byte %u after sector %lu is %x", at,
				      sector, (uint8_t)disk_in[at]);
		sector += part / BLK_SECTOR;
		len -= part;
	}
	return NULL;
}

const char *disk_expect_zeroes(uint64_t sector, uint32_t len)
{
	while (len) {
		uint32_t part = len < DISK_BUFFER ? len : DISK_BUFFER;
		const char *why = disk_read_part(sector, part);

		if (why)
			return why;
		for (uint32_t i = 0; i < part; i++) {
			if (disk_in[i])
				return failed("byte %u after sector %lu is %x",
					      i, sector, (uint8_t)disk_in[i]);
		}
		sector += part / BLK_SECTOR;
		len -= part;
	}
	return NULL;
}

static const char *disk_prepare(void)
{
	return disk_start(1);
}

void guest_main(const struct guest_info *info)
{
	const char *why = blk_open(&disk, 0);

	(void)info;
	if (!why)
		why = disk_start(1);
	if (!why && disk.nr_sectors < DISK_AREA / BLK_SECTOR)
		why = "the disk is too small";
	if (why)
		power_off_failed(why);
	disk_out = arena_alloc(DISK_BUFFER, 4096);
	disk_in = arena_alloc(DISK_BUFFER, 4096);
	report_run(disk_tests, ARRAY_SIZE(disk_tests), disk_prepare);
}
