/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Files in the device's shared memory region, read and written there, in ring 3.
 * `large` is 1 MiB of `x`.
 */
#include "share.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "random.h"
#include "text.h"

#define PAGE 4096u
#define UNIT (2u << 20)
#define CUT_MS 20000

#define READ FUSE_SETUPMAPPING_FLAG_READ
#define WRITE (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)

static uint8_t shm_bar;
static volatile uint8_t *shm;
static uint64_t shm_len;

/* Region 0, and what INIT says of it. */
static const char *dax_begin(void)
{
	const struct vpci_shm region = vpci_find_shm(&share.dev);
	const struct pci_dev *pci = &share.dev.pci;
	struct fuse_init_out out;

	shm_bar = region.bar;
	shm = (volatile uint8_t *)region.addr;
	shm_len = region.len;
	memory_map(region.addr, region.len);
	REQUIRE(shm_len == param_number("dax", 0));
	REQUIRE(pci->bar[shm_bar].is_64);
	REQUIRE(pci->bar[shm_bar].size >= shm_len);
	EXPECT(fuse_init(&share, FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX, &out),
	       0);
	REQUIRE(out.flags & FUSE_MAP_ALIGNMENT && out.map_alignment == 12);
	REQUIRE(out.flags2 & FUSE_HAS_INODE_DAX >> 32);
	return NULL;
}

/* For requests. */
static void *dax_buffer(uint64_t off)
{
	return (void *)((uint64_t)shm + off);
}

static int dax_map(uint64_t nodeid, uint64_t off, uint64_t len,
		   uint64_t file_off, uint64_t flags)
{
	return fuse_map(&share, nodeid, off, len, file_off, flags);
}

static int dax_unmap(uint64_t off, uint64_t len)
{
	const struct {
		struct fuse_removemapping_in in;
		struct fuse_removemapping_one one;
	} __attribute__((packed)) arg = { { 1 }, { off, len } };

	return fuse_do(&share, &(struct fuse_req){ .opcode = FUSE_REMOVEMAPPING,
						   .nodeid = ROOT,
						   .arg = &arg,
						   .arg_len = sizeof(arg) });
}

static int dax_truncate(uint64_t nodeid, uint64_t size)
{
	const struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };

	return fuse_do(&share, &(struct fuse_req){
				       .opcode = FUSE_SETATTR,
				       .nodeid = nodeid,
				       .arg = &in,
				       .arg_len = sizeof(in),
				       .room = sizeof(struct fuse_attr_out) });
}

static int dax_create(const char *name, uint64_t size, uint64_t *nodeid)
{
	struct fuse_entry_out entry;
	int r = fuse_create(&share, ROOT, name, O_RDWR, 0600, &entry, NULL);

	*nodeid = entry.nodeid;
	return r ? r : dax_truncate(*nodeid, size);
}

const char *share_dax_map(void)
{
	const char *why = dax_begin();
	struct fuse_entry_out large, small;
	uint64_t fh;

	if (why)
		return why;
	EXPECT(fuse_lookup(&share, ROOT, "file", &small), 0);
	REQUIRE(!(small.attr.flags & FUSE_ATTR_DAX));
	EXPECT(fuse_lookup(&share, ROOT, "large", &large), 0);
	REQUIRE(large.attr.flags & FUSE_ATTR_DAX);
	EXPECT(dax_map(large.nodeid, 0, UNIT, 0, READ), 0);
	for (uint32_t off = 0; off < 1u << 20; off += PAGE / 2)
		if (shm[off] != 'x')
			return failed("%x at %u", shm[off], off);
	EXPECT(dax_map(large.nodeid, shm_len - UNIT, UNIT, 0, WRITE), 0);
	for (uint32_t off = 0; off < 1u << 20; off += PAGE)
		shm[shm_len - UNIT + off] = (uint8_t)(off / PAGE);
	REQUIRE(shm[7 * PAGE] == 7);
	EXPECT(fuse_open(&share, FUSE_OPEN, large.nodeid, O_RDWR, &fh), 0);
	EXPECT(fuse_read(&share, large.nodeid, fh, 9 * PAGE, NULL, 8), 8);
	REQUIRE(share.reply[0] == 9 && share.reply[1] == 'x');
	EXPECT(fuse_write(&share, large.nodeid, fh, 9 * PAGE, "written", 7), 7);
	REQUIRE(shm[9 * PAGE + 6] == 'n');
	/* Another part takes its place, and then nothing. */
	EXPECT(dax_map(large.nodeid, 0, PAGE, 5 * PAGE, READ), 0);
	REQUIRE(shm[0] == 5 && shm[PAGE] == 1);
	EXPECT(dax_unmap(0, shm_len), 0);
	for (uint64_t off = 0; off < shm_len; off += PAGE)
		if (shm[off])
			return failed("%x is left at %lx", shm[off], off);
	return NULL;
}

/* Off and on, elsewhere and back: what is mapped stays. */
const char *share_dax_bar(void)
{
	struct pci_dev *pci = &share.dev.pci;
	const char *why = dax_begin();
	uint64_t at = (uint64_t)shm, size = pci->bar[shm_bar].size;
	struct fuse_entry_out large;

	if (why)
		return why;
	REQUIRE(at >= 1ull << 32);
	EXPECT(fuse_lookup(&share, ROOT, "large", &large), 0);
	EXPECT(dax_map(large.nodeid, 0, UNIT, 16 * PAGE, READ), 0);
	REQUIRE(shm[0] == 16);
	pci_set_decode(pci, false);
	pci_set_bar(pci, shm_bar, ~0ull);
	pci_set_bar(pci, shm_bar, at);
	pci_set_decode(pci, true);
	REQUIRE(shm[0] == 16);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t to = i % 2 ? at : at + 4 * size;

		memory_map(to, size);
		pci_set_decode(pci, false);
		pci_set_bar(pci, shm_bar, to);
		pci_set_decode(pci, true);
		REQUIRE(*(volatile uint8_t *)to == 16);
		REQUIRE(mmio_read8(to == at ? at + 4 * size : at) == 0xff);
	}
	/* Over memory it is not there, and comes back. */
	pci_set_bar(pci, shm_bar, 0);
	pci_set_bar(pci, shm_bar, at);
	REQUIRE(shm[0] == 16);
	return NULL;
}

/* ---- requests in the window ---- */

const char *share_dax_payload(void)
{
	const char *why = dax_begin();
	struct fuse_entry_out large;
	uint64_t to, fh;
	void *own;
	int r;

	if (why)
		return why;
	EXPECT(fuse_lookup(&share, ROOT, "large", &large), 0);
	EXPECT(fuse_open(&share, FUSE_OPEN, large.nodeid, O_RDWR, &fh), 0);
	EXPECT(dax_create("payload", UNIT, &to), 0);
	EXPECT(dax_map(to, 0, UNIT, 0, WRITE), 0);
	REQUIRE(!shm[4 * PAGE]);
	EXPECT(fuse_read(&share, large.nodeid, fh, 0, dax_buffer(PAGE),
			 64 * PAGE),
	       64 * PAGE);
	REQUIRE(shm[4 * PAGE] == 3 && shm[4 * PAGE + 1] == 'x');
	shm[PAGE] = 'y';
	EXPECT(fuse_write(&share, large.nodeid, fh, 0, dax_buffer(PAGE),
			  64 * PAGE),
	       64 * PAGE);
	EXPECT(fuse_read(&share, large.nodeid, fh, 0, NULL, 1), 1);
	REQUIRE(share.reply[0] == 'y');
	/* The file is cut: an error of the request. */
	EXPECT(dax_truncate(to, PAGE), 0);
	r = fuse_read(&share, large.nodeid, fh, 0, dax_buffer(8 * PAGE),
		      64 * PAGE);
	REQUIRE(r < 0 && r > -1000);
	/* Headers lie in RAM, or nowhere. */
	own = share.head;
	share.head = dax_buffer(0);
	r = fuse_read(&share, large.nodeid, fh, 0, NULL, 1);
	share.head = own;
	EXPECT(r, -1000 * FUSE_BAD_REPLY); /* it does not know to what */
	EXPECT(share.out_head->error, -E_INVAL);
	own = share.out_head;
	share.out_head = dax_buffer(0);
	r = fuse_read(&share, large.nodeid, fh, 0, NULL, 1);
	share.out_head = own;
	EXPECT(r, -1000 * FUSE_BROKEN);
	return fuse_begin(&share, SHARE_QUEUES);
}

const char *share_dax_refused(void)
{
	static const uint64_t odd[] = { 0,
					1,
					PAGE,
					UNIT,
					UNIT - 1,
					1ull << 63,
					~0ull,
					-(uint64_t)PAGE,
					-(uint64_t)UNIT };
	const char *why = dax_begin();
	struct fuse_entry_out large;
	struct random rnd;

	if (why)
		return why;
	EXPECT(fuse_lookup(&share, ROOT, "large", &large), 0);
	/* The end wraps, with each of the three. */
	EXPECT(dax_map(large.nodeid, -(uint64_t)UNIT, 2 * UNIT, 0, READ),
	       -E_INVAL);
	EXPECT(dax_map(large.nodeid, UNIT, -(uint64_t)UNIT, 0, READ), -E_INVAL);
	EXPECT(dax_map(large.nodeid, 0, UNIT, -(uint64_t)PAGE, READ), -E_INVAL);
	EXPECT(dax_map(large.nodeid, shm_len, UNIT, 0, READ), -E_INVAL);
	EXPECT(dax_map(large.nodeid, shm_len - PAGE, 2 * PAGE, 0, READ),
	       -E_INVAL);
	EXPECT(dax_map(ROOT, 0, UNIT, 0, READ), -E_ISDIR);
	EXPECT(dax_unmap(-(uint64_t)UNIT, 2 * UNIT), -E_INVAL);
	random_init(&rnd, param_number("seed", 1));
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t v[3];
		int r;

		for (unsigned j = 0; j < 3; j++) {
			uint64_t x = random_next(&rnd);

			v[j] = odd[x % ARRAY_SIZE(odd)] +
			       (x & 0x10000 ? shm_len : 0) +
			       PAGE * ((x >> 20) % 3);
		}
		r = i % 3 ? dax_map(large.nodeid, v[0], v[1], v[2],
				    i % 2 ? READ : WRITE)
			  : dax_unmap(v[0], v[1]);
		if (r && r != -E_INVAL)
			return failed("map %lx+%lx of %lx: %d", v[0], v[1],
				      v[2], r);
	}
	return NULL;
}

/* ---- what is not there ---- */

/* The guest cuts it itself. */
const char *share_dax_cut(void)
{
	const char *why = dax_begin();
	uint64_t nodeid;

	if (why)
		return why;
	EXPECT(dax_create("shrinks", UNIT, &nodeid), 0);
	EXPECT(dax_map(nodeid, UNIT, UNIT, 0, WRITE), 0);
	for (unsigned i = 0; i < UNIT / PAGE; i++)
		shm[UNIT + i * PAGE] = 1;
	EXPECT(dax_truncate(nodeid, PAGE), 0);
	REQUIRE(shm[UNIT] == 1);
	REQUIRE(shm[UNIT + PAGE] == 0);
	/* Memory of its own, which it may write to. */
	for (unsigned i = 1; i < UNIT / PAGE; i++) {
		REQUIRE(shm[UNIT + i * PAGE] == 0);
		shm[UNIT + i * PAGE] = 2;
	}
	for (unsigned i = 1; i < UNIT / PAGE; i++)
		REQUIRE(shm[UNIT + i * PAGE] == 2);
	/* The first access to it is a write, by more than a word. */
	EXPECT(dax_map(nodeid, 2 * UNIT, UNIT, 0, WRITE), 0);
	memset(dax_buffer(2 * UNIT + PAGE), 3, 3 * PAGE);
	REQUIRE(shm[2 * UNIT + 4 * PAGE - 1] == 3);
	REQUIRE(shm[2 * UNIT + 4 * PAGE] == 0);
	return NULL;
}

/* The host does, under our eyes. */
const char *share_dax_cut_by_host(void)
{
	uint64_t deadline = clock_after_ms(CUT_MS), reads = 0, nodeid;
	const char *why = dax_begin();

	if (why)
		return why;
	EXPECT(dax_create("cut", UNIT, &nodeid), 0);
	EXPECT(dax_map(nodeid, 0, UNIT, 0, WRITE), 0);
	for (unsigned i = 0; i < UNIT / PAGE; i++)
		shm[i * PAGE] = 1;
	say("CUT");
	while (shm[5 * PAGE]) {
		reads++;
		if (clock_is_past(deadline))
			return failed("it is still there after %lu reads",
				      reads);
	}
	REQUIRE(shm[0] == 1 && shm[UNIT - PAGE] == 0);
	return NULL;
}

/* Nothing was ever mapped there. */
const char *share_dax_nothing(void)
{
	const char *why = dax_begin();

	if (why)
		return why;
	for (uint64_t off = 0; off < shm_len; off += PAGE)
		REQUIRE(!shm[off]);
	for (uint64_t off = 0; off < shm_len; off += PAGE)
		shm[off] = 1;
	/* What a map leaves behind is zero again. */
	EXPECT(dax_unmap(UNIT, UNIT), 0);
	REQUIRE(!shm[UNIT]);
	shm[UNIT] = 4;
	REQUIRE(shm[UNIT] == 4);
	return NULL;
}

/* It may not write there: that is the end of the machine. */
const char *share_dax_end(void)
{
	const char *why = dax_begin();
	struct fuse_entry_out large;

	if (why)
		return why;
	EXPECT(fuse_lookup(&share, ROOT, "large", &large), 0);
	EXPECT(dax_map(large.nodeid, 0, UNIT, 0, READ), 0);
	REQUIRE(shm[0] == 'x');
	say("WRITES");
	shm[0] = 'y';
	return failed("%c is there", shm[0]);
}
