/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* One request of each kind, good and bad; what the device says of itself. */
#include "disk.h"

#include "io.h"
#include "memory.h"
#include "param.h"

const char *disk_capacity(void)
{
	uint64_t wanted = param_number("sectors", disk.nr_sectors);

	if (disk.nr_sectors != wanted)
		return failed("%lu sectors", disk.nr_sectors);
	return NULL;
}

const char *disk_limits(void)
{
	uint64_t config = disk.dev.config;
	uint64_t features = disk.dev.features;
	uint32_t size = mmio_read32(config + BLK_CONFIG_BLK_SIZE);
	uint32_t nr_queues = mmio_read16(config + BLK_CONFIG_NUM_QUEUES);

	if ((features & BLK_F_SEG_MAX) &&
	    !mmio_read32(config + BLK_CONFIG_SEG_MAX))
		return failed("seg_max is 0");
	if ((features & BLK_F_BLK_SIZE) &&
	    (size < BLK_SECTOR || (size & (size - 1))))
		return failed("blk_size is %u", size);
	if ((features & BLK_F_MQ) &&
	    nr_queues != param_number("queues", nr_queues))
		return failed("num_queues is %u", nr_queues);
	return NULL;
}

/* The twenty bytes in three pieces. */
const char *disk_get_id(void)
{
	static char id[BLK_ID_LEN + 1];
	const struct vq_seg data[] = {
		{ id, 1, true },
		{ id + 1, 12, true },
		{ id + 13, 7, true },
	};
	int status;

	memset(id, 0x5a, BLK_ID_LEN);
	status = blk_do(&disk, 0, BLK_GET_ID, 0, data, ARRAY_SIZE(data), false);
	if (status != BLK_OK)
		return failed("status %d", status);
	if (!param_is("id", "") && strcmp(id, param_text("id", "")))
		return failed("it is '%s'", id);
	return NULL;
}

const char *disk_flush(void)
{
	int status;

	if (!(disk.dev.features & BLK_F_FLUSH))
		return failed("FLUSH is not offered");
	status = blk_do(&disk, 0, BLK_FLUSH, 0, NULL, 0, false);
	if (status != BLK_OK)
		return failed("direct: status %d", status);
	status = blk_do(&disk, 0, BLK_FLUSH, 0, NULL, 0, true);
	if (status != BLK_OK)
		return failed("indirect: status %d", status);
	return NULL;
}

const char *disk_wce(void)
{
	uint64_t wce = disk.dev.config + BLK_CONFIG_WCE;
	const char *why;

	if (!(disk.dev.features & BLK_F_CONFIG_WCE))
		return skipped("CONFIG_WCE is not offered");
	mmio_write8(wce, 0);
	if (mmio_read8(wce) != 0)
		return failed("the cache does not go off");
	why = disk_write_pattern(3, 0, 4096);
	if (!why)
		why = disk_expect_pattern(3, 0, 4096);
	mmio_write8(wce, 1);
	if (!why && mmio_read8(wce) != 1)
		return failed("the cache does not come on");
	return why;
}

/* used.len counts what the device wrote, the status byte too. */
const char *disk_used_len(void)
{
	int status = blk_read(&disk, 0, disk_in, 8192);

	if (status != BLK_OK || disk.used_len != 8193)
		return failed("read: status %d, len %u", status, disk.used_len);
	status = blk_write(&disk, 0, disk_in, 8192);
	if (status != BLK_OK || disk.used_len != 1)
		return failed("write: status %d, len %u", status,
			      disk.used_len);
	status = blk_do(&disk, 0, BLK_FLUSH, 0, NULL, 0, false);
	if (status != BLK_OK || disk.used_len != 1)
		return failed("flush: status %d, len %u", status,
			      disk.used_len);
	return NULL;
}

const char *disk_unknown_type(void)
{
	static const uint32_t types[] = { 6, 7, 0x7f, 0x7fffffff };
	const struct vq_seg read = { disk_in, 512, true };
	const struct vq_seg write = { disk_out, 512, false };

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		int in = blk_do(&disk, 0, types[i], 0, &read, 1, false);
		int none = blk_do(&disk, 0, types[i], 0, NULL, 0, true);
		int out = blk_do(&disk, 0, types[i], 0, &write, 1, false);

		if (in != BLK_UNSUPP || none != BLK_UNSUPP || out != BLK_UNSUPP)
			return failed("type %x: %d, %d, %d", types[i], in, none,
				      out);
	}
	return NULL;
}

const char *disk_out_of_range(void)
{
	const uint64_t end = disk.nr_sectors;
	const struct {
		uint64_t sector;
		uint32_t len;
		int wanted;
	} cases[] = {
		{ end - 1, 512, BLK_OK },
		{ end - 2, 1024, BLK_OK },
		{ end, 512, BLK_IOERR },
		{ end - 1, 1024, BLK_IOERR },
		{ end - 1, 65536, BLK_IOERR },
		{ ~0ull, 512, BLK_IOERR },
		{ ~0ull, 1024, BLK_IOERR },
		{ 1ull << 55, 512, BLK_IOERR },
		{ 1ull << 54, 512, BLK_IOERR },
		{ 1ull << 63, 512, BLK_IOERR },
		{ (~0ull >> 9) + 1, 4096, BLK_IOERR },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int in =
			blk_read(&disk, cases[i].sector, disk_in, cases[i].len);
		int out = blk_write(&disk, cases[i].sector, disk_in,
				    cases[i].len);

		if (in != cases[i].wanted || out != cases[i].wanted)
			return failed("%u at %lx: read %d, write %d",
				      cases[i].len, cases[i].sector, in, out);
	}
	return NULL;
}

/* Lengths that are not sectors; the device may also ask for a reset. */
const char *disk_bad_length(void)
{
	static const uint32_t lengths[] = { 1, 100, 511, 513, 1000 };
	int status;

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		status = blk_read(&disk, 0, disk_in, lengths[i]);
		if (status != BLK_IOERR)
			return failed("read of %u: %d", lengths[i], status);
		status = blk_write(&disk, 0, disk_out, lengths[i]);
		if (status != BLK_IOERR)
			return failed("write of %u: %d", lengths[i], status);
	}
	status = blk_do(&disk, 0, BLK_IN, 0, NULL, 0, false);
	if (status != BLK_OK && status != BLK_IOERR)
		return failed("read of nothing: %d", status);
	return NULL;
}

const char *disk_read_only(void)
{
	static struct blk ro;
	const struct blk_range range = { .sector = 0, .nr_sectors = 8 };
	const struct vq_seg seg = { &range, sizeof(range), false };
	const char *why;
	int status;

	if (!param_number("ro", 0))
		return skipped("no read-only disk");
	why = blk_open(&ro, 1);
	if (!why)
		why = blk_start(&ro, BLK_F_ALL, 1, 0);
	if (why)
		return why;
	if (!(ro.dev.features & BLK_F_RO))
		return failed("RO is not offered");
	status = blk_read(&ro, 0, disk_in, 4096);
	if (status != BLK_OK)
		return failed("read: %d", status);
	status = blk_write(&ro, 0, disk_out, 4096);
	if (status != BLK_IOERR)
		return failed("write: %d", status);
	status = blk_do(&ro, 0, BLK_DISCARD, 0, &seg, 1, false);
	if (status != BLK_IOERR && status != BLK_UNSUPP)
		return failed("discard: %d", status);
	status = blk_do(&ro, 0, BLK_WRITE_ZEROES, 0, &seg, 1, false);
	if (status != BLK_IOERR && status != BLK_UNSUPP)
		return failed("write zeroes: %d", status);
	status = blk_do(&ro, 0, BLK_FLUSH, 0, NULL, 0, false);
	if (status != BLK_OK && status != BLK_UNSUPP)
		return failed("flush: %d", status);
	vdev_reset(&ro.dev);
	return NULL;
}
