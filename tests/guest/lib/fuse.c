/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "fuse.h"

#include "clock.h"
#include "io.h"
#include "memory.h"

#define REQUEST_TIMEOUT_MS 10000
#define STATUS_EVERY 4096 /* spins between looks at the device status */
#define TAG_LEN 36
#define DEVICES_MAX 8

#define FEATURES \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

static size_t text_len(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

static bool tag_is(const struct fuse *f, const char *tag)
{
	for (unsigned i = 0; i < TAG_LEN; i++) {
		char c = (char)mmio_read8(f->dev.config + i);

		if (c != tag[i])
			return false;
		if (!c)
			return true;
	}
	return true;
}

const char *fuse_open_device(struct fuse *f, const char *tag)
{
	if (!f->head) {
		f->head = arena_alloc(sizeof(*f->head), 64);
		f->args = arena_alloc(FUSE_TEXT_MAX, 4096);
		f->out_head = arena_alloc(sizeof(*f->out_head), 64);
		f->reply = arena_alloc(FUSE_BUFFER, 4096);
		f->data = arena_alloc(FUSE_BUFFER, 4096);
	}
	f->queue = FUSE_QUEUE;
	for (unsigned i = 0; i < DEVICES_MAX; i++) {
		const char *why = vdev_open_pci(&f->dev, VIRTIO_ID_FS, i);

		if (why || !*tag || tag_is(f, tag))
			return why;
	}
	return "no device has this tag";
}

const char *fuse_start(struct fuse *f, uint16_t nr)
{
	return vdev_start(&f->dev, FEATURES, (uint16_t)(nr + 1), 0);
}

const char *fuse_begin(struct fuse *f, uint16_t nr)
{
	const char *why = fuse_start(f, nr);
	struct fuse_init_out out;

	if (!why && fuse_init(f, 0, &out))
		why = "INIT fails";
	return why;
}

/* ---- one request ------------------------------------------------------ */

int fuse_offer(struct fuse *f, const struct fuse_req *req)
{
	uint32_t args = req->arg_len + req->text_len;
	struct vq *q = &f->dev.vq[f->queue];
	struct vq_seg segs[5];
	unsigned nr = 0;
	int head;

	*f->head = (struct fuse_in_header){
		.len = (uint32_t)((int)(sizeof(*f->head) + args +
					req->data_len) +
				  req->len_off),
		.opcode = req->opcode,
		.unique = ++f->unique,
		.nodeid = req->nodeid,
		.uid = f->uid,
		.gid = f->gid,
		.total_extlen = req->extlen,
	};
	*f->out_head = (struct fuse_out_header){ 0 };
	memcpy(f->args, req->arg, req->arg_len);
	memcpy(f->args + req->arg_len, req->text, req->text_len);
	segs[nr++] = (struct vq_seg){ f->head, sizeof(*f->head), false };
	if (args)
		segs[nr++] = (struct vq_seg){ f->args, args, false };
	if (req->data_len)
		segs[nr++] = (struct vq_seg){ req->data, req->data_len, false };
	if (req->opcode != FUSE_FORGET && req->opcode != FUSE_BATCH_FORGET)
		segs[nr++] = (struct vq_seg){ f->out_head, sizeof(*f->out_head),
					      true };
	if (req->room)
		segs[nr++] = (struct vq_seg){ req->into ? req->into : f->reply,
					      req->room, true };
	head = vq_add(q, segs, nr, q->indirect);
	if (head >= 0)
		vq_kick(q);
	return head;
}

int fuse_wait(struct fuse *f, int head)
{
	struct vq *q = &f->dev.vq[f->queue];
	uint64_t deadline = clock_after_ms(REQUEST_TIMEOUT_MS);
	uint32_t len;
	int done;

	for (unsigned spins = 1; (done = vq_pop(q, &len)) < 0; spins++) {
		if (spins % STATUS_EVERY == 0 &&
		    (f->dev.ops->status(&f->dev) & VIRTIO_S_NEEDS_RESET))
			return FUSE_BROKEN;
		if (clock_is_past(deadline))
			return FUSE_LOST;
		cpu_relax();
	}
	vq_free(q, (uint16_t)done);
	f->reply_len = 0;
	if (done != head)
		return FUSE_BAD_REPLY;
	if (!len)
		return f->dev.ops->status(&f->dev) & VIRTIO_S_NEEDS_RESET
			       ? FUSE_BROKEN
			       : FUSE_NO_REPLY;
	if (len != f->out_head->len || len < sizeof(*f->out_head) ||
	    f->out_head->unique != f->unique || f->out_head->error > 0)
		return FUSE_BAD_REPLY;
	f->reply_len = len - (uint32_t)sizeof(*f->out_head);
	return f->out_head->error;
}

int fuse_do(struct fuse *f, const struct fuse_req *req)
{
	int head = fuse_offer(f, req);

	return head < 0 ? FUSE_LOST : fuse_wait(f, head);
}

/* ---- whole requests --------------------------------------------------- */

int fuse_init(struct fuse *f, uint64_t flags, struct fuse_init_out *out)
{
	const struct fuse_init_in in = {
		.major = 7,
		.minor = 45,
		.max_readahead = 1u << 17,
		.flags = (uint32_t)flags | FUSE_INIT_EXT | FUSE_MAX_PAGES |
			 FUSE_DO_READDIRPLUS,
		.flags2 = (uint32_t)(flags >> 32),
	};
	const struct fuse_req req = { .opcode = FUSE_INIT,
				      .arg = &in,
				      .arg_len = sizeof(in),
				      .room = sizeof(*out) };
	int r = fuse_do(f, &req);

	memcpy(out, f->reply, sizeof(*out));
	return r;
}

int fuse_name(struct fuse *f, uint32_t opcode, uint64_t parent,
	      const char *name)
{
	return fuse_do(
		f, &(struct fuse_req){ .opcode = opcode,
				       .nodeid = parent,
				       .text = name,
				       .text_len = (uint32_t)text_len(name) + 1,
				       .room = sizeof(struct fuse_entry_out) });
}

int fuse_lookup(struct fuse *f, uint64_t parent, const char *name,
		struct fuse_entry_out *entry)
{
	int r = fuse_name(f, FUSE_LOOKUP, parent, name);

	if (!r && entry)
		memcpy(entry, f->reply, sizeof(*entry));
	return r;
}

int fuse_getattr(struct fuse *f, uint64_t nodeid, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	int r = fuse_do(f, &(struct fuse_req){ .opcode = FUSE_GETATTR,
					       .nodeid = nodeid,
					       .arg = &in,
					       .arg_len = sizeof(in),
					       .room = sizeof(out) });

	memcpy(&out, f->reply, sizeof(out));
	if (!r && attr)
		*attr = out.attr;
	return r;
}

int fuse_open(struct fuse *f, uint32_t opcode, uint64_t nodeid, uint32_t flags,
	      uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out;
	int r = fuse_do(f, &(struct fuse_req){ .opcode = opcode,
					       .nodeid = nodeid,
					       .arg = &in,
					       .arg_len = sizeof(in),
					       .room = sizeof(out) });

	memcpy(&out, f->reply, sizeof(out));
	*fh = r ? 0 : out.fh;
	return r;
}

int fuse_create(struct fuse *f, uint64_t parent, const char *name,
		uint32_t flags, uint32_t mode, struct fuse_entry_out *entry,
		uint64_t *fh)
{
	const struct fuse_create_in in = { .flags = flags | O_CREAT,
					   .mode = S_IFREG | mode };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = fuse_do(
		f, &(struct fuse_req){ .opcode = FUSE_CREATE,
				       .nodeid = parent,
				       .arg = &in,
				       .arg_len = sizeof(in),
				       .text = name,
				       .text_len = (uint32_t)text_len(name) + 1,
				       .room = sizeof(out) });

	memcpy(&out, f->reply, sizeof(out));
	if (!r && entry)
		*entry = out.entry;
	if (!r && fh)
		*fh = out.open.fh;
	return r;
}

int fuse_mkdir(struct fuse *f, uint64_t parent, const char *name, uint32_t mode,
	       struct fuse_entry_out *entry)
{
	const struct fuse_mkdir_in in = { .mode = mode };
	int r = fuse_do(
		f, &(struct fuse_req){ .opcode = FUSE_MKDIR,
				       .nodeid = parent,
				       .arg = &in,
				       .arg_len = sizeof(in),
				       .text = name,
				       .text_len = (uint32_t)text_len(name) + 1,
				       .room = sizeof(struct fuse_entry_out) });

	if (!r && entry)
		memcpy(entry, f->reply, sizeof(*entry));
	return r;
}

int fuse_read(struct fuse *f, uint64_t nodeid, uint64_t fh, uint64_t off,
	      void *into, uint32_t len)
{
	const struct fuse_read_in in = { .fh = fh, .offset = off, .size = len };
	int r = fuse_do(f, &(struct fuse_req){ .opcode = FUSE_READ,
					       .nodeid = nodeid,
					       .arg = &in,
					       .arg_len = sizeof(in),
					       .room = len,
					       .into = into });

	return r > 0 ? -1000 * r : r ? r : (int)f->reply_len;
}

int fuse_write(struct fuse *f, uint64_t nodeid, uint64_t fh, uint64_t off,
	       const void *data, uint32_t len)
{
	const struct fuse_write_in in = { .fh = fh,
					  .offset = off,
					  .size = len };
	struct fuse_write_out out;
	int r = fuse_do(f, &(struct fuse_req){ .opcode = FUSE_WRITE,
					       .nodeid = nodeid,
					       .arg = &in,
					       .arg_len = sizeof(in),
					       .data = data,
					       .data_len = len,
					       .room = sizeof(out) });

	memcpy(&out, f->reply, sizeof(out));
	return r > 0 ? -1000 * r : r ? r : (int)out.size;
}

int fuse_release(struct fuse *f, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return fuse_do(f, &(struct fuse_req){ .opcode = opcode,
					      .nodeid = nodeid,
					      .arg = &in,
					      .arg_len = sizeof(in) });
}

int fuse_rename(struct fuse *f, uint64_t from, const char *name, uint64_t to,
		const char *new_name, uint32_t flags)
{
	const struct fuse_rename2_in in = { .newdir = to, .flags = flags };
	static char names[FUSE_TEXT_MAX];
	uint32_t len = (uint32_t)text_len(name) + 1;
	uint32_t new_len = (uint32_t)text_len(new_name) + 1;

	memcpy(names, name, len);
	memcpy(names + len, new_name, new_len);
	return fuse_do(f, &(struct fuse_req){ .opcode = FUSE_RENAME2,
					      .nodeid = from,
					      .arg = &in,
					      .arg_len = sizeof(in),
					      .text = names,
					      .text_len = len + new_len });
}

int fuse_map(struct fuse *f, uint64_t nodeid, uint64_t off, uint64_t len,
	     uint64_t file_off, uint64_t flags)
{
	const struct fuse_setupmapping_in in = { .fh = ~0ull,
						 .foffset = file_off,
						 .len = len,
						 .flags = flags,
						 .moffset = off };

	return fuse_do(f, &(struct fuse_req){ .opcode = FUSE_SETUPMAPPING,
					      .nodeid = nodeid,
					      .arg = &in,
					      .arg_len = sizeof(in) });
}

int fuse_forget(struct fuse *f, uint64_t nodeid, uint64_t nr)
{
	const struct fuse_forget_in in = { .nlookup = nr };
	unsigned queue = f->queue;
	int r;

	f->queue = FUSE_HIPRIO;
	r = fuse_do(f, &(struct fuse_req){ .opcode = FUSE_FORGET,
					   .nodeid = nodeid,
					   .arg = &in,
					   .arg_len = sizeof(in) });
	f->queue = queue;
	return r == FUSE_NO_REPLY ? 0 : r;
}
