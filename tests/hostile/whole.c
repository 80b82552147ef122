/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A guest that behaves, and wants each device to do its work: disks keep what is
 * written, the network gives back what the host's end returns, a host's port
 * echoes, a directory has its file, and what is made there, read and mapped.
 */
#include "blk.h"
#include "clock.h"
#include "fuse.h"
#include "hostile.h"
#include "memory.h"
#include "net.h"
#include "report.h"
#include "text.h"
#include "vsock.h"

#define BYTES 8192u
#define FRAME_LEN 100u
#define TEST_TYPE "\x88\xb5"
#define HOST_PORT 5000u
#define ANSWER_MS 10000
#define MAP_LEN (64u << 10)

#define WANT(condition)                                                 \
	do {                                                            \
		if (!(condition))                                       \
			return failed("%s, line %d: %s", __FILE_NAME__, \
				      __LINE__, #condition);            \
	} while (0)

static const char *whole_disk(unsigned index)
{
	static struct blk disks[TARGETS_MAX];
	static uint8_t data[BYTES];
	struct blk *b = &disks[index];
	const char *why = blk_open(b, index);

	if (!why)
		why = blk_start(b, BLK_F_ALL, 1, 0);
	if (why)
		return why;
	if (b->dev.features & BLK_F_RO) {
		WANT(blk_write(b, 8, data, BYTES) == BLK_IOERR);
		WANT(blk_read(b, 8, data, BYTES) == BLK_OK);
		return NULL;
	}
	blk_fill_pattern(data, BYTES, index, 8);
	WANT(blk_write(b, 8, data, BYTES) == BLK_OK);
	memset(data, 0, BYTES);
	WANT(blk_read(b, 8, data, BYTES) == BLK_OK);
	WANT(blk_check_pattern(data, BYTES, index, 8) == BYTES);
	WANT(blk_do(b, 0, BLK_FLUSH, 0, NULL, 0, false) == BLK_OK);
	return NULL;
}

static const char *whole_net(unsigned index)
{
	static struct net nets[TARGETS_MAX];
	static uint8_t out[NET_HEADER + FRAME_LEN];
	struct net *n = &nets[index];
	struct vq_seg seg = { out, sizeof(out), false };
	const char *why = net_open(n, index);
	uint64_t deadline = clock_after_ms(ANSWER_MS);
	int len;

	if (!why)
		why = net_start(n, ~NET_F_MQ, 1, 0, 2048);
	if (why)
		return why;
	memset(out, 0, sizeof(out));
	memset(out + NET_HEADER, 0xff, NET_MAC_LEN);
	for (unsigned i = 0; i < NET_MAC_LEN; i++)
		out[NET_HEADER + NET_MAC_LEN + i] =
			*(volatile uint8_t *)(n->dev.config + i);
	memcpy(out + NET_HEADER + 2 * NET_MAC_LEN, TEST_TYPE, 2);
	memcpy(out + NET_HEADER + 20, "whole", 5);
	WANT(!net_send(n, 0, &seg, 1, false));
	for (;;) {
		len = net_take(n, 0);
		if (len == FRAME_LEN && !memcmp(n->frame + 20, "whole", 5))
			return NULL;
		WANT(len >= 0 || len == NET_NONE);
		WANT(!clock_is_past(deadline));
	}
}

static const char *whole_vsock(void)
{
	static struct vsock vs;
	struct vsock_conn c;
	uint64_t deadline = clock_after_ms(ANSWER_MS);
	const char *why = vsock_open(&vs);
	struct vsock_packet p;

	if (!why)
		why = vsock_start(&vs, ~0ull);
	if (!why)
		why = vsock_connect(&vs, &c, 9000, HOST_PORT, 65536);
	if (why)
		return why;
	/* The host says a word to whom it accepts. */
	for (;;) {
		WANT(!clock_is_past(deadline));
		if (!vsock_take(&vs, &c, &p))
			continue;
		if (p.header->op == VSOCK_RW && p.header->dst_port == c.port)
			break;
		vsock_give_back(&vs, &p);
	}
	WANT(p.header->len >= 5 && !memcmp(p.data, "whole", 5));
	vsock_give_back(&vs, &p);
	WANT(vsock_say(&vs, &c, VSOCK_RST, 0));
	return NULL;
}

static const char *whole_dax(struct fuse *f, uint64_t nodeid)
{
	struct vpci_shm shm = vpci_find_shm(&f->dev);
	const volatile uint8_t *at;

	if (!shm.len)
		return NULL;
	at = (const volatile uint8_t *)shm.addr + MAP_LEN;
	WANT(!fuse_map(f, nodeid, MAP_LEN, MAP_LEN, 0,
		       FUSE_SETUPMAPPING_FLAG_READ));
	WANT(at[0] == 'w' && at[4] == 'e' && at[5] == 0);
	return NULL;
}

static const char *whole_fs(unsigned index)
{
	static struct fuse shares[TARGETS_MAX];
	struct fuse *f = &shares[index];
	struct fuse_entry_out entry;
	const char *why;
	uint64_t fh;
	int r;

	fuse_open_device(f, "");
	why = vdev_open_pci(&f->dev, VIRTIO_ID_FS, index);
	if (!why)
		why = fuse_begin(f, 1);
	if (why)
		return why;
	WANT(!fuse_lookup(f, 1, "good", &entry));
	WANT(!fuse_open(f, FUSE_OPEN, entry.nodeid, O_RDONLY, &fh));
	WANT(fuse_read(f, entry.nodeid, fh, 0, NULL, 64) == 64);
	WANT(!memcmp(f->reply, "whole", 5));
	WANT(!fuse_release(f, FUSE_RELEASE, entry.nodeid, fh));
	why = whole_dax(f, entry.nodeid);
	if (why)
		return why;
	r = fuse_create(f, 1, "made", O_RDWR, 0600, &entry, &fh);
	if (r == -E_ROFS)
		return NULL;
	WANT(!r);
	memcpy(f->data, "new", 4);
	WANT(fuse_write(f, entry.nodeid, fh, 0, f->data, 4) == 4);
	WANT(fuse_read(f, entry.nodeid, fh, 0, NULL, 64) == 4);
	WANT(!memcmp(f->reply, "new", 4));
	WANT(!fuse_release(f, FUSE_RELEASE, entry.nodeid, fh));
	WANT(!fuse_name(f, FUSE_UNLINK, 1, "made"));
	return NULL;
}

const char *whole_check(void)
{
	static const struct {
		uint16_t type;
		const char *name;
		const char *(*check)(unsigned index);
	} kinds[] = {
		{ VIRTIO_ID_BLK, "disk", whole_disk },
		{ VIRTIO_ID_NET, "net", whole_net },
		{ VIRTIO_ID_FS, "fs", whole_fs },
	};
	static char text[256];
	const char *why;

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (unsigned n = 0; n < TARGETS_MAX; n++) {
			struct vdev dev;

			if (vdev_open_pci(&dev, kinds[i].type, n))
				break;
			why = kinds[i].check(n);
			if (!why)
				continue;
			text_format(text, sizeof(text), "%s %u: %s",
				    kinds[i].name, n, why);
			return text;
		}
	}
	why = whole_vsock();
	if (!why)
		return NULL;
	text_format(text, sizeof(text), "vsock: %s", why);
	return text;
}
