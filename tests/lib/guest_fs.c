/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/guest_fs.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/registry.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/guest_ring.h"
#include "vmm/param.h"
#include "vmm/util.h"

#define GFS_RINGS 0x1000ull

static void require(bool ok)
{
	if (!ok)
		abort();
}

static struct virtio_dev *gfs_virtio(const struct guest_fs *g)
{
	return container_of(g->dev, struct virtio_dev, device);
}

/* ---- life ---- */

void guest_fs_init(struct guest_fs *g, const char *options)
{
	const struct device_class *class = &fs_class;
	struct error err = { "" };
	char text[256];

	memset(g, 0, sizeof(*g));
	fake_vm_init(&g->fv);
	fake_vm_add_pci(&g->fv);
	strcpy(g->base, "/tmp/vmm-fs-XXXXXX");
	require(mkdtemp(g->base) && !chmod(g->base, 0755));
	snprintf(g->dir, sizeof(g->dir), "%s/share", g->base);
	require(!mkdir(g->dir, 0755) && !chmod(g->dir, 0755));
	g->config = calloc(1, class->params->size);
	param_defaults(class->params, g->config);
	snprintf(text, sizeof(text), "tag=share,path=%s,num_queues=2%s%s",
		 g->dir, *options ? "," : "", options);
	if (param_parse(class->params, g->config, text, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	g->dev = fake_vm_add(&g->fv, class, g->config);
	if (!g->dev)
		fprintf(stderr, "%s\n", g->fv.err.msg);
	require(g->dev);
	guest_virtio_probe(&g->gv, &g->fv, 1);
	guest_fs_start(g);
}

void guest_fs_start(struct guest_fs *g)
{
	gpa_t gpa = GFS_RINGS;
	unsigned int i;

	gv_write(&g->gv, GV_STATUS, 0, 1);
	guest_fs_turn(g);
	require(gv_negotiate(&g->gv,
			     VIRTIO_F(VIRTIO_F_VERSION_1) |
				     VIRTIO_F(VIRTIO_RING_F_INDIRECT_DESC)));
	for (i = 0; i < GFS_QUEUES; i++) {
		gpa = ALIGN_UP(guest_ring_init(&g->rings[i], &g->fv.board.gmem,
					       gpa, GFS_RING_SIZE),
			       16);
		gv_queue(&g->gv, i, &g->rings[i]);
	}
	gv_driver_ok(&g->gv);
	guest_fs_turn(g);
}

void guest_fs_turn(struct guest_fs *g)
{
	struct virtio_dev *dev = gfs_virtio(g);
	struct loop *board_loop = g->fv.board.io_loops[0];
	unsigned int turn, i;

	/* What one of them does may be news for another one. */
	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < dev->nr_queues; i++) {
			g->fv.board.io_loops[0] = dev->queues[i].loop;
			fake_vm_turn(&g->fv);
		}
		g->fv.board.io_loops[0] = board_loop;
		fake_vm_turn(&g->fv);
	}
}

static int gfs_remove(const char *path, const struct stat *st unused_param,
		      int type unused_param, struct FTW *ftw unused_param)
{
	return remove(path);
}

void guest_fs_fini(struct guest_fs *g)
{
	const struct device_class *class = &fs_class;

	if (!g->config)
		return;
	g->dev->ops->quiesce(g->dev);
	guest_fs_turn(g);
	require(g->dev->ops->is_quiet(g->dev));
	fake_vm_remove(&g->fv, g->dev);
	fake_vm_fini(&g->fv);
	param_free(class->params, g->config);
	free(g->config);
	g->config = NULL;
	nftw(g->base, gfs_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- requests ---- */

void gfs_begin(struct gfs_request *q, uint32_t opcode, uint64_t nodeid,
	       uint32_t room)
{
	struct fuse_in_header *h = gfs_head(q);

	memset(h, 0, sizeof(*h));
	h->opcode = opcode;
	h->nodeid = nodeid;
	h->uid = geteuid();
	h->gid = getegid();
	q->len = sizeof(*h);
	q->room = room + (uint32_t)sizeof(struct fuse_out_header);
	q->qidx = 1;
}

struct fuse_in_header *gfs_head(struct gfs_request *q)
{
	return (struct fuse_in_header *)(void *)q->bytes;
}

void gfs_add(struct gfs_request *q, const void *data, uint32_t len)
{
	require(len <= sizeof(q->bytes) - q->len);
	memcpy(q->bytes + q->len, data, len);
	q->len += len;
}

void gfs_add_name(struct gfs_request *q, const char *name)
{
	gfs_add(q, name, (uint32_t)strlen(name) + 1);
}

void gfs_offer_raw(struct guest_fs *g, struct gfs_request *q, unsigned int at)
{
	struct guest_ring *r = &g->rings[q->qidx];
	const uint32_t head = (uint32_t)sizeof(struct fuse_in_header);
	uint32_t first = MIN(q->len, head), rest = q->len - first;
	const gpa_t out = GFS_OUT + at / 4 * 0x1000;
	const gpa_t in = GFS_IN + at / 4 * 0x2000;
	uint32_t more = q->room ? RING_NEXT : 0;

	memcpy(guest_mem(&g->fv.board.gmem, out, MAX(q->len, 1u)), q->bytes,
	       q->len);
	if (q->room)
		memset(guest_mem(&g->fv.board.gmem, in, q->room), 0xa5,
		       q->room);
	/* Header and rest in two buffers, as drivers have it. */
	if (first)
		guest_ring_desc(r, at, out, first, rest ? RING_NEXT : more,
				rest ? at + 1 : at + 2);
	if (rest)
		guest_ring_desc(r, at + 1, out + first, rest, more, at + 2);
	if (q->room > sizeof(struct fuse_out_header)) {
		guest_ring_desc(r, at + 2, in, sizeof(struct fuse_out_header),
				RING_WRITE | RING_NEXT, at + 3);
		guest_ring_desc(
			r, at + 3, in + sizeof(struct fuse_out_header),
			q->room - (uint32_t)sizeof(struct fuse_out_header),
			RING_WRITE, 0);
	} else if (q->room) {
		guest_ring_desc(r, at + 2, in, q->room, RING_WRITE, 0);
	}
	guest_ring_offer(r, first ? at : at + 2);
}

void gfs_offer(struct guest_fs *g, struct gfs_request *q, unsigned int at)
{
	struct fuse_in_header *h = gfs_head(q);

	h->len = q->len;
	h->unique = ++g->unique;
	gfs_offer_raw(g, q, at);
}

bool gfs_take(struct guest_fs *g, unsigned int qidx)
{
	uint32_t id;
	gpa_t in;

	if (!guest_ring_take(&g->rings[qidx], &id, &g->written))
		return false;
	in = GFS_IN + id / 4 * 0x2000;
	g->reply_len = g->written - MIN(g->written, (uint32_t)sizeof(g->head));
	if (g->written < sizeof(g->head))
		return true;
	memcpy(&g->head, guest_mem(&g->fv.board.gmem, in, sizeof(g->head)),
	       sizeof(g->head));
	g->reply = guest_mem(&g->fv.board.gmem, in + sizeof(g->head),
			     MAX(g->reply_len, 1u));
	require(g->head.len == g->written);
	return true;
}

static int gfs_wait(struct guest_fs *g, const struct gfs_request *q)
{
	const struct virtio_queue *vq = &gfs_virtio(g)->queues[q->qidx];
	bool rested, taken;

	gv_kick(&g->gv, q->qidx);
	/* What is forgotten may have to wait a little. */
	do {
		rested = vq->resting;
		guest_fs_turn(g);
		taken = gfs_take(g, q->qidx);
	} while (!taken && rested);
	if (!taken)
		return 1;
	if (!g->written)
		return 2;
	require(g->written >= sizeof(g->head));
	return g->head.error;
}

int gfs_send(struct guest_fs *g, struct gfs_request *q)
{
	int r;

	gfs_offer(g, q, 0);
	r = gfs_wait(g, q);
	require(r > 0 || q->len < sizeof(struct fuse_in_header) ||
		g->head.unique == g->unique);
	return r;
}

int gfs_send_raw(struct guest_fs *g, struct gfs_request *q)
{
	gfs_offer_raw(g, q, 0);
	return gfs_wait(g, q);
}

/* ---- whole requests ---- */

static struct gfs_request gfs_q;

int gfs_init(struct guest_fs *g, uint64_t flags)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FS_PROTO_MINOR,
		.max_readahead = 128 * 1024,
		.flags = (uint32_t)flags | FUSE_INIT_EXT,
		.flags2 = (uint32_t)(flags >> 32),
	};

	gfs_begin(&gfs_q, FUSE_INIT, 0, sizeof(struct fuse_init_out));
	gfs_add(&gfs_q, &in, sizeof(in));
	return gfs_send(g, &gfs_q);
}

int gfs_lookup(struct guest_fs *g, uint64_t parent, const char *name,
	       struct fuse_entry_out *entry)
{
	int r;

	gfs_begin(&gfs_q, FUSE_LOOKUP, parent, sizeof(*entry));
	gfs_add_name(&gfs_q, name);
	r = gfs_send(g, &gfs_q);
	if (!r && entry)
		memcpy(entry, g->reply, sizeof(*entry));
	return r;
}

int gfs_getattr(struct guest_fs *g, uint64_t nodeid, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	int r;

	gfs_begin(&gfs_q, FUSE_GETATTR, nodeid, sizeof(out));
	gfs_add(&gfs_q, &in, sizeof(in));
	r = gfs_send(g, &gfs_q);
	if (!r && attr) {
		memcpy(&out, g->reply, sizeof(out));
		*attr = out.attr;
	}
	return r;
}

int gfs_open(struct guest_fs *g, uint64_t nodeid, uint32_t flags, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out;
	int r;

	gfs_begin(&gfs_q, FUSE_OPEN, nodeid, sizeof(out));
	gfs_add(&gfs_q, &in, sizeof(in));
	r = gfs_send(g, &gfs_q);
	if (!r) {
		memcpy(&out, g->reply, sizeof(out));
		*fh = out.fh;
	}
	return r;
}

/* ---- one of each kind ---- */

#define ADD(q, type, ...) \
	gfs_add(q, &(const struct type){ __VA_ARGS__ }, sizeof(struct type))

static bool gfs_sample_names(struct gfs_request *q, uint32_t opcode,
			     const struct gfs_target *t)
{
	switch (opcode) {
	case FUSE_SYMLINK:
		gfs_add_name(q, t->name);
		gfs_add_name(q, "target");
		return true;
	case FUSE_MKNOD:
		ADD(q, fuse_mknod_in, .mode = S_IFREG | 0644);
		break;
	case FUSE_MKDIR:
		ADD(q, fuse_mkdir_in, .mode = 0755);
		break;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		ADD(q, fuse_create_in, .flags = 2, .mode = S_IFREG | 0644);
		break;
	case FUSE_LINK:
		ADD(q, fuse_link_in, .oldnodeid = t->file);
		break;
	case FUSE_RENAME:
		ADD(q, fuse_rename_in, .newdir = t->dir);
		gfs_add_name(q, t->name);
		break;
	case FUSE_RENAME2:
		ADD(q, fuse_rename2_in, .newdir = t->dir, .flags = 1);
		gfs_add_name(q, t->name);
		break;
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		break;
	default:
		return false;
	}
	gfs_add_name(q, t->name);
	return true;
}

static bool gfs_sample_file(struct gfs_request *q, uint32_t opcode,
			    const struct gfs_target *t)
{
	switch (opcode) {
	case FUSE_READ:
		ADD(q, fuse_read_in, .fh = t->fh, .size = 64);
		return true;
	case FUSE_WRITE:
		ADD(q, fuse_write_in, .fh = t->fh, .size = 8);
		gfs_add(q, "written!", 8);
		return true;
	case FUSE_FLUSH:
		ADD(q, fuse_flush_in, .fh = t->fh, .lock_owner = 1);
		return true;
	case FUSE_FSYNC:
		ADD(q, fuse_fsync_in, .fh = t->fh);
		return true;
	case FUSE_LSEEK:
		ADD(q, fuse_lseek_in, .fh = t->fh, .whence = SEEK_DATA);
		return true;
	case FUSE_FALLOCATE:
		ADD(q, fuse_fallocate_in, .fh = t->fh, .length = 4096);
		return true;
	case FUSE_COPY_FILE_RANGE:
	case FS_OP_COPY_FILE_RANGE_64:
		ADD(q, fuse_copy_file_range_in, .fh_in = t->fh,
		    .nodeid_out = t->file, .fh_out = t->fh, .off_out = 4096,
		    .len = 8);
		return true;
	case FUSE_SETUPMAPPING:
		ADD(q, fuse_setupmapping_in, .len = 4096,
		    .flags = FUSE_SETUPMAPPING_FLAG_READ);
		return true;
	case FUSE_REMOVEMAPPING:
		ADD(q, fuse_removemapping_in, .count = 1);
		ADD(q, fuse_removemapping_one, .len = 4096);
		return true;
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		ADD(q, fuse_lk_in, .fh = t->fh, .owner = 1,
		    .lk = { .end = INT64_MAX, .type = F_RDLCK });
		return true;
	default:
		return false;
	}
}

static bool gfs_sample_dir(struct gfs_request *q, uint32_t opcode,
			   const struct gfs_target *t)
{
	switch (opcode) {
	case FUSE_OPENDIR:
		ADD(q, fuse_open_in, .flags = 0);
		return true;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		ADD(q, fuse_read_in, .fh = t->dir_fh, .size = 4096);
		return true;
	case FUSE_FSYNCDIR:
		ADD(q, fuse_fsync_in, .fh = t->dir_fh);
		return true;
	case FUSE_SYNCFS:
		ADD(q, fuse_syncfs_in, .padding = 0);
		return true;
	default:
		return false;
	}
}

static bool gfs_sample_inode(struct gfs_request *q, uint32_t opcode,
			     const struct gfs_target *t)
{
	switch (opcode) {
	case FUSE_OPEN:
		ADD(q, fuse_open_in, .flags = 2);
		return true;
	case FUSE_GETATTR:
		ADD(q, fuse_getattr_in, .fh = 0);
		return true;
	case FS_OP_STATX:
		ADD(q, fs_statx_in, .fh = 0);
		return true;
	case FUSE_SETATTR:
		ADD(q, fuse_setattr_in, .valid = FATTR_MODE, .mode = 0600);
		return true;
	case FUSE_SETXATTR:
		ADD(q, fuse_setxattr_in, .size = 5);
		gfs_add_name(q, "user.sample");
		gfs_add(q, "value", 5);
		return true;
	case FUSE_GETXATTR:
		ADD(q, fuse_getxattr_in, .size = 64);
		gfs_add_name(q, "user.sample");
		return true;
	case FUSE_LISTXATTR:
		ADD(q, fuse_getxattr_in, .size = 256);
		return true;
	case FUSE_REMOVEXATTR:
		gfs_add_name(q, "user.sample");
		return true;
	case FUSE_READLINK:
		q->room = 256;
		gfs_head(q)->nodeid = t->link;
		return true;
	case FUSE_STATFS:
		return true;
	default:
		return false;
	}
}

static bool gfs_sample_end(struct gfs_request *q, uint32_t opcode,
			   const struct gfs_target *t)
{
	switch (opcode) {
	case FUSE_INIT:
		ADD(q, fuse_init_in, .major = FUSE_KERNEL_VERSION, .minor = 38);
		return true;
	case FUSE_DESTROY:
		return true;
	case FUSE_FORGET:
		ADD(q, fuse_forget_in, .nlookup = 1);
		q->room = 0;
		return true;
	case FUSE_BATCH_FORGET:
		ADD(q, fuse_batch_forget_in, .count = 1);
		ADD(q, fuse_forget_one, .nodeid = t->file, .nlookup = 1);
		q->room = 0;
		return true;
	case FUSE_RELEASE:
		ADD(q, fuse_release_in, .fh = t->fh);
		return true;
	case FUSE_RELEASEDIR:
		ADD(q, fuse_release_in, .fh = t->dir_fh);
		return true;
	default:
		return false;
	}
}

bool gfs_sample(struct gfs_request *q, uint32_t opcode,
		const struct gfs_target *t)
{
	static const uint8_t dirs[] = { FUSE_READDIR, FUSE_READDIRPLUS,
					FUSE_OPENDIR, FUSE_RELEASEDIR,
					FUSE_FSYNCDIR };

	gfs_begin(q, opcode, t->dir, 4096);
	if (gfs_sample_names(q, opcode, t))
		return true;
	if (!memchr(dirs, (int)opcode, sizeof(dirs)))
		gfs_head(q)->nodeid = t->file;
	return gfs_sample_file(q, opcode, t) || gfs_sample_dir(q, opcode, t) ||
	       gfs_sample_inode(q, opcode, t) || gfs_sample_end(q, opcode, t);
}
