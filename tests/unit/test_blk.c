/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* virtio-blk from ring to image, on the engine of plain system calls. */
#include "tests/unit/blk_fixture.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned int nr_syncs;
static int sync_error;
static unsigned int nr_writes;
static unsigned int refills; /* that often, a write brings the next request */

/* These are in front of the C library's. */
int fdatasync(int fd unused_param)
{
	nr_syncs++;
	errno = sync_error;
	return sync_error ? -1 : 0;
}

ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t offset)
{
	nr_writes++;
	if (refills) {
		refills--;
		guest_ring_offer(&ring, nr_writes % 2 * 3);
	}
	return syscall(SYS_pwritev, fd, iov, nr, offset, 0);
}

static int setup_blk(void **state)
{
	nr_syncs = nr_writes = refills = 0;
	sync_error = 0;
	return setup(state);
}

static int setup_plain(void **state)
{
	setup_blk(state);
	open_disk("engine=sync", BASE | VIRTIO_F(F_FLUSH) |
					 VIRTIO_F(F_DISCARD) |
					 VIRTIO_F(F_WRITE_ZEROES) |
					 VIRTIO_F(VIRTIO_RING_F_INDIRECT_DESC));
	return 0;
}

/* A DISCARD or WRITE_ZEROES of one segment. */
static void request_range(uint32_t type, uint64_t sector, uint32_t nr,
			  uint32_t flags)
{
	uint8_t *p = mem(SEGMENT, 16);

	le_store(p, sector, 8);
	le_store(p + 8, nr, 4);
	le_store(p + 12, flags, 4);
	request(type, 0, SEGMENT, 16);
}

/* ---- memory of another device ---- */

#define WINDOW (2 * FAKE_RAM_HIGH)
#define WINDOW_LEN 0x10000u

/* Payload goes there and back; what the process would have to parse does not,
 * for the file behind it may have been cut, and that would be a SIGBUS. */
static void test_window(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;
	struct gmem_range w = { .gpa = WINDOW, .len = WINDOW_LEN };
	uint32_t id, len;

	w.fd = memfd_create("window", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w.fd, WINDOW_LEN), 0);
	w.hva = mmap(NULL, WINDOW_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd,
		     0);
	assert_true(w.hva != MAP_FAILED);
	w.slot = (unsigned int)gmem_add_window(gm, w.hva, w.len, NULL);
	assert_int_equal(gmem_place_window(gm, w.slot, WINDOW, NULL), 0);
	memset(w.hva, 0x77, 4096);
	request(DISK_OUT, 8, WINDOW, 4096);
	expect_done(DISK_OK, 1);
	expect_image(4096, w.hva, 4096);
	request(DISK_IN, 8, WINDOW + 8192, 4096);
	expect_done(DISK_OK, 4097);
	assert_memory_equal(w.hva, w.hva + 8192, 4096);

	assert_int_equal(ftruncate(w.fd, 0), 0);
	request(DISK_OUT, 8, WINDOW, 4096);
	expect_done(DISK_IOERR, 0);
	request(DISK_IN, 8, WINDOW, 4096);
	expect_done(DISK_IOERR, 0);
	request(DISK_GET_ID, 0, WINDOW, 20);
	expect_done(DISK_IOERR, 0);
	request(DISK_DISCARD, 0, WINDOW, 16);
	expect_done(DISK_IOERR, 0);
	/* Half of the header, then no room for a status. */
	fake_disk_header(&fv, HEADER, DISK_FLUSH, 0);
	guest_ring_desc(&ring, 0, HEADER, 8, RING_NEXT, 1);
	guest_ring_desc(&ring, 1, WINDOW, 8, RING_NEXT, 2);
	go();
	expect_done(DISK_IOERR, 0);
	guest_ring_desc(&ring, 0, HEADER, 16, RING_NEXT, 1);
	guest_ring_desc(&ring, 1, WINDOW, 1, RING_WRITE, 0);
	go();
	assert_true(guest_ring_take(&ring, &id, &len));
	assert_int_equal(len, 0);
	gmem_remove_window(gm, w.slot);
	fake_vm_turn(&fv);
	munmap(w.hva, WINDOW_LEN);
	close(w.fd);
}

/* ---- reading and writing ---- */

static void test_write_read(void **state unused_param)
{
	fill(DATA, 8192, 1);
	request(DISK_OUT, 3, DATA, 8192);
	expect_done(DISK_OK, 1);
	expect_image(3 * 512, mem(DATA, 8192), 8192);
	request(DISK_IN, 3, DATA + 0x10000, 8192);
	expect_done(DISK_OK, 8193);
	assert_memory_equal(mem(DATA + 0x10000, 8192), mem(DATA, 8192), 8192);
	/* The last sector. */
	request(DISK_OUT, SECTORS - 1, DATA, 512);
	expect_done(DISK_OK, 1);
	expect_image(DISK_LEN - 512, mem(DATA, 512), 512);
}

/* Header, data and status cut where no driver cuts them. */
static void test_odd_cuts(void **state unused_param)
{
	gpa_t table = 0x40000;
	unsigned int i;

	fill(DATA, 1024, 9);
	fake_disk_header(&fv, HEADER, DISK_OUT, 8);
	for (i = 0; i < 15; i++) /* fifteen bytes of header */
		guest_table_desc(&fv.board.gmem, table, i, HEADER + i, 1,
				 RING_NEXT, i + 1);
	/* The last one and data lie together. */
	memmove(mem(DATA - 1, 1), mem(HEADER + 15, 1), 1);
	guest_table_desc(&fv.board.gmem, table, 15, DATA - 1, 300, RING_NEXT,
			 16);
	guest_table_desc(&fv.board.gmem, table, 16, DATA + 299, 725, RING_NEXT,
			 17);
	guest_table_desc(&fv.board.gmem, table, 17, STATUS, 1, RING_WRITE, 0);
	guest_ring_desc(&ring, 0, table, 16 * 18, RING_INDIRECT, 0);
	go();
	expect_done(DISK_OK, 1);
	expect_image(8 * 512, mem(DATA, 1024), 1024);

	/* Data and status in one buffer, over the border of two regions. */
	fake_disk_header(&fv, HEADER, DISK_IN, 8);
	guest_ring_desc(&ring, 0, HEADER, 16, RING_NEXT, 1);
	guest_ring_desc(&ring, 1, FAKE_RAM_BORDER - 511, 1025, RING_WRITE, 0);
	mem(FAKE_RAM_BORDER + 513, 1)[0] = NO_STATUS;
	go();
	assert_int_equal(guest_ring_used_idx(&ring), 2);
	assert_int_equal(mem(FAKE_RAM_BORDER + 513, 1)[0], DISK_OK);
	assert_memory_equal(mem(FAKE_RAM_BORDER - 511, 511), mem(DATA, 511),
			    511);
	assert_memory_equal(mem(FAKE_RAM_BORDER, 513), mem(DATA + 511, 513),
			    513);
}

static void test_out_of_range(void **state unused_param)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ SECTORS, 512 },
		{ SECTORS - 1, 1024 },
		{ UINT64_MAX, 512 },
		{ UINT64_MAX / 512, 512 },
		{ 1ull << 55, 512 },
		{ UINT64_MAX / 512 + 1, 512 },
		{ (1ull << 63) / 512, 512 },
		{ 0, 511 },
		{ 0, 513 },
		{ 0, 1 },
	};
	unsigned int i;

	fill(DATA, 1024, 3);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		request(DISK_OUT, bad[i].sector, DATA, bad[i].len);
		expect_done(DISK_IOERR, 0);
		request(DISK_IN, bad[i].sector, DATA, bad[i].len);
		expect_done(DISK_IOERR, 0);
	}
	request(DISK_IN, 0, DATA, 0); /* no data at all */
	expect_done(DISK_IOERR, 0);
	request(DISK_OUT, 0, DATA, 0);
	expect_done(DISK_IOERR, 0);
	assert_int_equal(
		gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void test_short_headers(void **state unused_param)
{
	unsigned int len;

	fake_disk_header(&fv, HEADER, DISK_FLUSH, 0);
	for (len = 1; len < 16; len++) {
		guest_ring_desc(&ring, 0, HEADER, len, RING_NEXT, 1);
		guest_ring_desc(&ring, 1, STATUS, 1, RING_WRITE, 0);
		go();
		expect_done(DISK_IOERR, 0);
	}
	/* No header at all. */
	guest_ring_desc(&ring, 0, STATUS, 1, RING_WRITE, 0);
	go();
	expect_done(DISK_IOERR, 0);
}

/* Nowhere to put a status: the chain comes back all the same. */
static void test_no_status(void **state unused_param)
{
	uint32_t id, len;

	fake_disk_header(&fv, HEADER, DISK_OUT, 0);
	guest_ring_desc(&ring, 0, HEADER, 16, RING_NEXT, 1);
	guest_ring_desc(&ring, 1, DATA, 512, 0, 0);
	go();
	assert_true(guest_ring_take(&ring, &id, &len));
	assert_int_equal(len, 0);
	request(DISK_FLUSH, 0, 0, 0); /* and work goes on */
	expect_done(DISK_OK, 1);
}

static void test_unknown(void **state unused_param)
{
	static const uint32_t types[] = { 2,  3,      5,	  6,
					  7,  9,      10,	  12,
					  14, 0xffff, 0x80000000, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		request(types[i], 0, DATA, 512);
		expect_done(DISK_UNSUPP, 0);
	}
}

static void test_flush(void **state unused_param)
{
	request(DISK_OUT, 0, DATA, 512);
	expect_done(DISK_OK, 1);
	assert_int_equal(nr_syncs, 0);
	request(DISK_FLUSH, 0, 0, 0);
	expect_done(DISK_OK, 1);
	assert_int_equal(nr_syncs, 1);
	sync_error = EIO;
	request(DISK_FLUSH, 0, 0, 0);
	expect_done(DISK_IOERR, 0);
}

/* A driver that does not know FLUSH gets a disk that does not need it. */
static void test_writethrough(void **state unused_param)
{
	open_disk("engine=sync", BASE);
	request(DISK_OUT, 0, DATA, 512);
	expect_done(DISK_OK, 1);
	assert_int_equal(nr_syncs, 1);
}

static void test_host_error(void **state unused_param)
{
	/* The file shrinks under the device. */
	assert_int_equal(ftruncate(disk.fd, 512), 0);
	request(DISK_IN, 64, DATA, 512);
	expect_done(DISK_IOERR, 0);
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
}

/* ---- the other requests ---- */

static void test_get_id(void **state unused_param)
{
	open_disk("engine=sync,serial=abcdefghijklmnopqrst", BASE);
	memset(mem(DATA, 64), 0xee, 64);
	request(DISK_GET_ID, 0, DATA, 20);
	expect_done(DISK_OK, 21);
	assert_memory_equal(mem(DATA, 21), "abcdefghijklmnopqrst\xee", 21);
	request(DISK_GET_ID, 0, DATA, 19);
	expect_done(DISK_IOERR, 0);
	request(DISK_GET_ID, 0, DATA, 64);
	expect_done(DISK_OK, 21);
}

static void test_get_short_id(void **state unused_param)
{
	open_disk("engine=sync,serial=s1", BASE);
	memset(mem(DATA, 20), 0xee, 20);
	request(DISK_GET_ID, 0, DATA, 20);
	expect_done(DISK_OK, 21);
	assert_memory_equal(mem(DATA, 4), "s1\0\0", 4);
	assert_int_equal(mem(DATA, 20)[19], 0);
}

static void test_discard(void **state unused_param)
{
	uint8_t zeroes[4096] = { 0 };
	struct stat before, after;

	fill(DATA, 65536, 5);
	request(DISK_OUT, 0, DATA, 65536);
	expect_done(DISK_OK, 1);
	assert_int_equal(fstat(disk.fd, &before), 0);
	request_range(DISK_DISCARD, 8, 64, 0);
	expect_done(DISK_OK, 1);
	assert_int_equal(fstat(disk.fd, &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(after.st_size, DISK_LEN);
	expect_image(0, mem(DATA, 4096), 4096);
	expect_image(4096, zeroes, 4096);
	expect_image(72 * 512, mem(DATA + 72 * 512, 512), 512);
}

static void test_write_zeroes(void **state unused_param)
{
	uint8_t zeroes[512] = { 0 };
	unsigned int unmap;

	for (unmap = 0; unmap < 2; unmap++) {
		fill(DATA, 2048, 6);
		request(DISK_OUT, 0, DATA, 2048);
		expect_done(DISK_OK, 1);
		request_range(DISK_WRITE_ZEROES, 1, 1, unmap);
		expect_done(DISK_OK, 1);
		expect_image(0, mem(DATA, 512), 512);
		expect_image(512, zeroes, 512);
		expect_image(1024, mem(DATA + 1024, 1024), 1024);
	}
}

/* With discard=off, zeroes are written, whatever the driver allows. */
static void test_no_discard(void **state unused_param)
{
	struct stat before, after;

	open_disk("engine=sync,discard=off", BASE | VIRTIO_F(F_WRITE_ZEROES));
	assert_int_equal(gv_config(&gv, CONFIG_MAY_UNMAP, 1), 0);
	fill(DATA, 65536, 5);
	request(DISK_OUT, 0, DATA, 65536);
	expect_done(DISK_OK, 1);
	assert_int_equal(fstat(disk.fd, &before), 0);
	request_range(DISK_WRITE_ZEROES, 8, 64, 1);
	expect_done(DISK_OK, 1);
	assert_int_equal(fstat(disk.fd, &after), 0);
	assert_int_equal(after.st_blocks, before.st_blocks);
}

static void test_bad_ranges(void **state unused_param)
{
	static const uint32_t types[] = { DISK_DISCARD, DISK_WRITE_ZEROES };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		/* One segment is all that we allow. */
		memset(mem(SEGMENT, 32), 0, 32);
		mem(SEGMENT, 32)[8] = mem(SEGMENT, 32)[24] = 1;
		request(types[i], 0, SEGMENT, 32);
		expect_done(DISK_IOERR, 0);
		request_range(types[i], SECTORS, 1, 0);
		expect_done(DISK_IOERR, 0);
		request_range(types[i], SECTORS - 1, 2, 0);
		expect_done(DISK_IOERR, 0);
		request_range(types[i], UINT64_MAX, 1, 0);
		expect_done(DISK_IOERR, 0);
		request_range(types[i], 1, 0xffffffff, 0);
		expect_done(DISK_IOERR, 0);
		request_range(types[i], 0, 1, 2); /* reserved flag */
		expect_done(DISK_UNSUPP, 0);
		request(types[i], 0, SEGMENT, 15);
		expect_done(DISK_IOERR, 0);
		request(types[i], 0, SEGMENT, 0);
		expect_done(DISK_IOERR, 0);
	}
	/* Unmap is a flag of WRITE_ZEROES only. */
	request_range(DISK_DISCARD, 0, 1, 1);
	expect_done(DISK_UNSUPP, 0);
}

static void test_not_negotiated(void **state unused_param)
{
	open_disk("engine=sync", BASE);
	request_range(DISK_DISCARD, 0, 8, 0);
	expect_done(DISK_UNSUPP, 0);
	request_range(DISK_WRITE_ZEROES, 0, 8, 0);
	expect_done(DISK_UNSUPP, 0);
	request(DISK_FLUSH, 0, 0, 0); /* harmless */
	expect_done(DISK_OK, 1);
}

static void test_readonly(void **state unused_param)
{
	const uint8_t zeroes[512] = { 0 };

	open_disk("engine=sync,readonly=on", BASE | VIRTIO_F(F_RO));
	assert_int_equal(gv_features(&gv) & (VIRTIO_F(F_DISCARD) |
					     VIRTIO_F(F_WRITE_ZEROES)),
			 0);
	fill(DATA, 512, 1);
	request(DISK_OUT, 0, DATA, 512);
	expect_done(DISK_IOERR, 0);
	expect_image(0, zeroes, 512);
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
	assert_memory_equal(mem(DATA, 512), zeroes, 512);
}

/* ---- configuration ---- */

static void test_config(void **state unused_param)
{
	open_disk("engine=sync,queue_size=32,num_queues=3", BASE);
	assert_int_equal(gv_config(&gv, 0, 8), SECTORS);
	assert_int_equal(gv_config(&gv, 12, 4), 30); /* seg_max */
	assert_int_equal(gv_config(&gv, 20, 4), 512); /* blk_size */
	assert_int_equal(gv_config(&gv, CONFIG_WRITEBACK, 1), 1);
	assert_int_equal(gv_config(&gv, 34, 2), 3);
	assert_true(gv_features(&gv) & VIRTIO_F(F_MQ));
	assert_int_equal(gv_read(&gv, GV_NUM_QUEUES, 2), 3);
}

static void set_writeback(unsigned int v)
{
	fake_mmio_write(&fv, gv.bar + gv.offset[GV_DEVICE] + CONFIG_WRITEBACK,
			v, 1);
}

static void test_writeback_register(void **state unused_param)
{
	open_disk("engine=sync", BASE | VIRTIO_F(F_FLUSH) | VIRTIO_F(F_WCE));
	set_writeback(0);
	assert_int_equal(gv_config(&gv, CONFIG_WRITEBACK, 1), 0);
	fill(DATA, 512, 2);
	request(DISK_OUT, 0, DATA, 512); /* with a flush behind it */
	expect_done(DISK_OK, 1);
	assert_int_equal(nr_syncs, 1);
	expect_image(0, mem(DATA, 512), 512);
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
	assert_int_equal(nr_syncs, 1);
	sync_error = EIO;
	request(DISK_OUT, 0, DATA, 512);
	expect_done(DISK_IOERR, 0);
	sync_error = 0;
	request_range(DISK_WRITE_ZEROES, 0, 1, 0);
	expect_done(DISK_UNSUPP, 0);
	set_writeback(1);
	assert_int_equal(gv_config(&gv, CONFIG_WRITEBACK, 1), 1);
	nr_syncs = 0;
	request(DISK_OUT, 0, DATA, 512);
	expect_done(DISK_OK, 1);
	assert_int_equal(nr_syncs, 0);
	/* A reset gives the default back; unnegotiated, it is read only. */
	set_writeback(0);
	assert_true(gv_negotiate(&gv, BASE));
	assert_int_equal(gv_config(&gv, CONFIG_WRITEBACK, 1), 1);
	set_writeback(0);
	assert_int_equal(gv_config(&gv, CONFIG_WRITEBACK, 1), 1);
}

/* A driver that cannot flush has its writes go through. */
static void test_writeback_without_flush(void **state unused_param)
{
	open_disk("engine=sync", BASE | VIRTIO_F(F_WCE));
	assert_int_equal(gv_config(&gv, CONFIG_WRITEBACK, 1), 0);
	fill(DATA, 512, 2);
	request(DISK_OUT, 0, DATA, 512);
	expect_done(DISK_OK, 1);
	assert_int_equal(nr_syncs, 1);
}

/* ---- malformed rings ---- */

static void test_needs_reset(void **state unused_param)
{
	guest_ring_desc(&ring, 0, FAKE_RAM_END, 16, 0, 0);
	go();
	assert_true(gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(guest_ring_used_idx(&ring), 0);
	restart();
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
}

/* All sixteen entries of the ring again and again. */
static void test_many(void **state unused_param)
{
	unsigned int i, n = 0;
	uint32_t id, len;

	fake_disk_header(&fv, HEADER, DISK_FLUSH, 0);
	for (i = 0; i < RING_SIZE; i += 2) {
		guest_ring_desc(&ring, i, HEADER, 16, RING_NEXT, i + 1);
		guest_ring_desc(&ring, i + 1, STATUS, 1, RING_WRITE, 0);
	}
	for (i = 0; i < 1000; i++) {
		for (n = 0; n < RING_SIZE; n += 2)
			guest_ring_put(&ring, n);
		guest_ring_publish(&ring);
		gv_kick(&gv, 0);
		fake_vm_turn(&fv);
		for (n = 0; n < RING_SIZE / 2; n++)
			assert_true(guest_ring_take(&ring, &id, &len));
	}
	assert_int_equal(mem(STATUS, 1)[0], DISK_OK);
}

/* A guest that refills its queue as fast as we empty it gets a ring's worth of
 * our time, then others have their turn. */
static void test_kick_is_bounded(void **state unused_param)
{
	struct virtio_dev *dev = virtio_of(disk.dev);
	uint16_t want;
	unsigned int head;

	fake_disk_header(&fv, HEADER, DISK_OUT, 0);
	for (head = 0; head < 6; head += 3) {
		guest_ring_desc(&ring, head, HEADER, 16, RING_NEXT, head + 1);
		guest_ring_desc(&ring, head + 1, DATA, 512, RING_NEXT,
				head + 2);
		guest_ring_desc(&ring, head + 2, STATUS, 1, RING_WRITE, 0);
	}
	refills = 10 * RING_SIZE;
	want = (uint16_t)(refills + 1);
	guest_ring_offer(&ring, 0);
	virtio_kick(dev, 0);
	assert_in_range(nr_writes, 1, 2 * RING_SIZE);
	assert_true(fake_vm_turn_until(&fv, has_used, &want));
}

#define PLAIN(t) cmocka_unit_test_setup_teardown(t, setup_plain, teardown)
#define BLK(t) cmocka_unit_test_setup_teardown(t, setup_blk, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(test_window),
		PLAIN(test_write_read),
		PLAIN(test_odd_cuts),
		PLAIN(test_out_of_range),
		PLAIN(test_short_headers),
		PLAIN(test_no_status),
		PLAIN(test_unknown),
		PLAIN(test_flush),
		BLK(test_writethrough),
		PLAIN(test_host_error),
		BLK(test_get_id),
		BLK(test_get_short_id),
		PLAIN(test_discard),
		PLAIN(test_write_zeroes),
		BLK(test_no_discard),
		PLAIN(test_bad_ranges),
		BLK(test_not_negotiated),
		BLK(test_readonly),
		BLK(test_config),
		BLK(test_writeback_register),
		BLK(test_writeback_without_flush),
		PLAIN(test_kick_is_bounded),
		PLAIN(test_needs_reset),
		PLAIN(test_many),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
