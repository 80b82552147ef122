/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/log.h"
#include "vmm/util.h"

/*
 * The inode table. Slots lie in one reserved range of memory, which is used and
 * given back by chunks; so a number of the guest can always be looked at, and
 * one atomic word says what the slot is now: a generation and a count of
 * references. Whoever brings that count to 0 frees the slot under its shard's
 * lock, unless a lookup was faster there.
 */

#define FS_CHUNK_BYTES (FS_CHUNK * sizeof(struct fs_inode))
#define FS_CHUNKS_MAX (FS_INODES_MAX / FS_CHUNK)
/* Chunks whose memory becomes accessible at a time. */
#define FS_CHUNKS_STEP 16u
#define FS_BUCKETS_MIN 64u

/* ---- slots and chunks ---- */

int fs_table_init(struct fs_tree *t)
{
	struct fs_table *tab = &t->table;
	size_t size = FS_INODES_MAX * sizeof(struct fs_inode);
	void *p = mmap(NULL, size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	tab->inode = p;
	p = mmap(NULL, FS_CHUNKS_MAX * sizeof(struct fs_chunk),
		 PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	tab->chunk = p;
	return 0;
}

/* More slots can be looked at. Under the chunks' lock. */
static int table_extend(struct fs_table *tab)
{
	uint32_t end = (tab->nr_chunks + FS_CHUNKS_STEP) * FS_CHUNK;

	if (end > FS_INODES_MAX)
		return -ENFILE;
	if (mprotect(tab->inode + (size_t)tab->nr_chunks * FS_CHUNK,
		     FS_CHUNKS_STEP * FS_CHUNK_BYTES, PROT_READ | PROT_WRITE))
		return -errno;
	atomic_store(&tab->limit, end);
	return 0;
}

static void chunk_link(struct fs_table *tab, struct fs_shard *shard, uint32_t c)
{
	struct fs_chunk *chunk = &tab->chunk[c];

	chunk->prev = 0;
	chunk->next = shard->chunk;
	if (shard->chunk)
		tab->chunk[shard->chunk - 1].prev = c + 1;
	shard->chunk = c + 1;
}

static void chunk_unlink(struct fs_table *tab, struct fs_shard *shard,
			 uint32_t c)
{
	struct fs_chunk *chunk = &tab->chunk[c];

	if (chunk->prev)
		tab->chunk[chunk->prev - 1].next = chunk->next;
	else
		shard->chunk = chunk->next;
	if (chunk->next)
		tab->chunk[chunk->next - 1].prev = chunk->prev;
}

/* Give a shard, whose lock is held, one more chunk. */
static int chunk_take(struct fs_table *tab, struct fs_shard *shard)
{
	struct fs_chunk *chunk;
	uint32_t c;
	int r = 0;

	pthread_mutex_lock(&tab->lock);
	if (tab->spare) {
		c = tab->spare - 1;
		tab->spare = tab->chunk[c].next;
	} else {
		c = tab->nr_chunks;
		if (c * FS_CHUNK >= atomic_load(&tab->limit))
			r = table_extend(tab);
		if (!r)
			tab->nr_chunks++;
	}
	if (!r)
		tab->nr_used++;
	pthread_mutex_unlock(&tab->lock);
	if (r)
		return r;
	chunk = &tab->chunk[c];
	chunk->shard = (uint8_t)(shard - tab->shard);
	chunk->free = 0;
	chunk->live = 0;
	chunk->fresh = c ? 0 : 1;
	atomic_store(&chunk->used, true);
	chunk_link(tab, shard, c);
	return 0;
}

/* An empty chunk's memory is the host's again. The shard's lock is held. */
static void chunk_give(struct fs_table *tab, struct fs_shard *shard, uint32_t c)
{
	chunk_unlink(tab, shard, c);
	madvise(tab->inode + (size_t)c * FS_CHUNK, FS_CHUNK_BYTES,
		MADV_DONTNEED);
	pthread_mutex_lock(&tab->lock);
	atomic_store(&tab->chunk[c].used, false);
	tab->chunk[c].next = tab->spare;
	tab->spare = c + 1;
	tab->nr_used--;
	pthread_mutex_unlock(&tab->lock);
}

/* A free slot, under the shard's lock; 0: none, *r says why. */
static uint32_t slot_take(struct fs_table *tab, struct fs_shard *shard, int *r)
{
	struct fs_chunk *chunk;
	uint32_t c, slot;

	*r = shard->chunk ? 0 : chunk_take(tab, shard);
	if (*r)
		return 0;
	c = shard->chunk - 1;
	chunk = &tab->chunk[c];
	if (chunk->free) {
		slot = chunk->free;
		chunk->free = tab->inode[slot].next;
	} else {
		slot = c * FS_CHUNK + chunk->fresh++;
	}
	chunk->live++;
	if (!chunk->free && chunk->fresh == FS_CHUNK)
		chunk_unlink(tab, shard, c);
	return slot;
}

/* A shard keeps one chunk, even an empty one, to take slots of. */
static void slot_give(struct fs_table *tab, struct fs_shard *shard,
		      uint32_t slot)
{
	uint32_t c = slot / FS_CHUNK;
	struct fs_chunk *chunk = &tab->chunk[c];
	bool was_full = !chunk->free && chunk->fresh == FS_CHUNK;

	tab->inode[slot].next = chunk->free;
	chunk->free = slot;
	chunk->live--;
	if (was_full)
		chunk_link(tab, shard, c);
	if (!chunk->live && (chunk->prev || chunk->next))
		chunk_give(tab, shard, c);
}

/* ---- references ---- */

uint32_t fs_inode_slot(const struct fs_tree *t, const struct fs_inode *inode)
{
	return (uint32_t)(inode - t->table.inode);
}

uint64_t fs_inode_id(const struct fs_tree *t, const struct fs_inode *inode)
{
	return fs_number((uint32_t)(atomic_load(&inode->word) >> 32),
			 fs_inode_slot(t, inode));
}

static struct fs_shard *inode_shard(struct fs_tree *t,
				    const struct fs_inode *inode)
{
	uint32_t slot = fs_inode_slot(t, inode);

	return &t->table.shard[t->table.chunk[slot / FS_CHUNK].shard];
}

struct fs_inode *fs_inode_get(struct fs_tree *t, uint64_t nodeid)
{
	uint32_t slot = fs_slot(nodeid);
	struct fs_inode *inode = &t->table.inode[slot];

	if (!slot || slot >= atomic_load(&t->table.limit) ||
	    !fs_word_get(&inode->word, (uint32_t)(nodeid >> 32), false))
		return NULL;
	return inode;
}

struct fs_inode *fs_inode_ref(struct fs_tree *t, uint32_t slot)
{
	struct fs_inode *inode = &t->table.inode[slot];

	atomic_fetch_add(&inode->word, 1);
	return inode;
}

/* ---- what tells inodes apart ---- */

static void *inode_ptr(const struct fs_inode *inode)
{
	void *p;

	memcpy(&p, inode->id, sizeof(p));
	return p;
}

static void inode_set_ptr(struct fs_inode *inode, const void *p)
{
	memcpy(inode->id, &p, sizeof(p));
}

static bool inode_is_named(const struct fs_inode *inode)
{
	return atomic_load(&inode->flags) & FS_INODE_NAMED;
}

const uint8_t *fs_inode_handle(const struct fs_inode *inode)
{
	return inode->handle_len > FS_HANDLE_INLINE ? inode_ptr(inode)
						    : (const void *)inode->id;
}

/* Fill in what is behind the identity. Bytes that were allocated, or -ENOMEM. */
static ssize_t inode_set_id(struct fs_tree *t, struct fs_inode *inode,
			    const struct fs_identity *id)
{
	void *p;

	inode->handle_len = id->handle_len;
	inode->handle_type = id->handle_type;
	if (id->handle_len && id->handle_len <= FS_HANDLE_INLINE) {
		memcpy(inode->id, id->handle, id->handle_len);
		return 0;
	}
	if (id->handle_len) {
		p = malloc(id->handle_len);
		if (p)
			memcpy(p, id->handle, id->handle_len);
	} else {
		p = strdup(id->name);
	}
	if (!p)
		return -ENOMEM;
	inode_set_ptr(inode, p);
	if (!id->handle_len) {
		inode->id[2] = id->parent;
		if (id->parent)
			fs_inode_ref(t, id->parent);
	}
	return (ssize_t)malloc_usable_size(p);
}

/* The other way round. *parent: a slot whose reference the caller is to put. */
static size_t inode_clear_id(struct fs_inode *inode, uint32_t *parent)
{
	bool named = inode_is_named(inode);
	size_t bytes = 0;
	void *p;

	*parent = named ? inode->id[2] : 0;
	if (named || inode->handle_len > FS_HANDLE_INLINE) {
		p = inode_ptr(inode);
		bytes = malloc_usable_size(p);
		free(p);
	}
	return bytes;
}

static bool inode_matches(const struct fs_inode *inode,
			  const struct fs_identity *id)
{
	if (inode->ino != id->ino || inode->mount != id->mount ||
	    inode->type != id->type)
		return false;
	if (id->handle_len && !inode_is_named(inode))
		return inode->handle_len == id->handle_len &&
		       inode->handle_type == id->handle_type &&
		       !memcmp(fs_inode_handle(inode), id->handle,
			       id->handle_len);
	return inode->btime == id->btime &&
	       (atomic_load(&inode->flags) & (FS_INODE_NAMED | FS_INODE_SURE));
}

/* ---- the hash ---- */

static uint64_t identity_hash(uint64_t ino, uint16_t mount)
{
	uint64_t h = (ino ^ (uint64_t)mount << 48) * 0x9e3779b97f4a7c15u;

	return h ^ h >> 29;
}

static struct fs_shard *hash_shard(struct fs_tree *t, uint64_t hash)
{
	return &t->table.shard[hash >> 60 & (FS_SHARDS - 1)];
}

static uint32_t *hash_bucket(struct fs_shard *shard, uint64_t hash)
{
	return &shard->bucket[hash & (shard->nr_buckets - 1)];
}

/* Another number of buckets. The old one stays where memory is short. */
static int shard_resize(struct fs_tree *t, struct fs_shard *shard, uint32_t nr)
{
	struct fs_shard old = *shard;
	uint32_t *bucket = calloc(nr, sizeof(*bucket));

	if (!bucket)
		return shard->bucket ? 0 : -ENOMEM;
	shard->bucket = bucket;
	shard->nr_buckets = nr;
	for (uint32_t i = 0; i < old.nr_buckets; i++) {
		for (uint32_t slot = old.bucket[i], next; slot; slot = next) {
			struct fs_inode *inode = &t->table.inode[slot];
			uint32_t *head = hash_bucket(
				shard, identity_hash(inode->ino, inode->mount));

			next = inode->next;
			inode->next = *head;
			*head = slot;
		}
	}
	free(old.bucket);
	return 0;
}

static int shard_insert(struct fs_tree *t, struct fs_shard *shard,
			uint64_t hash, uint32_t slot)
{
	uint32_t *head;
	int r;

	if (shard->nr >= shard->nr_buckets * 2) {
		r = shard_resize(t, shard,
				 MAX(shard->nr_buckets * 2, FS_BUCKETS_MIN));
		if (r)
			return r;
	}
	head = hash_bucket(shard, hash);
	t->table.inode[slot].next = *head;
	*head = slot;
	shard->nr++;
	return 0;
}

static void shard_remove(struct fs_tree *t, struct fs_shard *shard,
			 const struct fs_inode *inode)
{
	uint32_t slot = fs_inode_slot(t, inode);
	uint32_t *p =
		hash_bucket(shard, identity_hash(inode->ino, inode->mount));

	while (*p != slot)
		p = &t->table.inode[*p].next;
	*p = inode->next;
	shard->nr--;
	if (shard->nr_buckets > FS_BUCKETS_MIN &&
	    shard->nr < shard->nr_buckets / 4)
		shard_resize(t, shard, shard->nr_buckets / 2);
}

static struct fs_inode *shard_find(struct fs_tree *t, struct fs_shard *shard,
				   uint64_t hash, const struct fs_identity *id)
{
	struct fs_inode *inode;
	uint32_t slot;

	if (!shard->nr_buckets)
		return NULL;
	for (slot = *hash_bucket(shard, hash); slot; slot = inode->next) {
		inode = &t->table.inode[slot];
		if (inode_matches(inode, id))
			return inode;
	}
	return NULL;
}

/* ---- names of inodes that have no handle ---- */

/* Under the shard's lock. Returns the slot of the parent that is left, whose
 * reference the caller puts. Where memory is short the old name stays. */
static uint32_t inode_set_name(struct fs_tree *t, struct fs_shard *shard,
			       struct fs_inode *inode, uint32_t parent,
			       const char *name)
{
	char *old = inode_ptr(inode), *new;
	uint32_t left = inode->id[2];

	if (left == parent && !strcmp(old, name))
		return 0;
	new = strdup(name);
	if (!new)
		return 0;
	shard->bytes += malloc_usable_size(new) - malloc_usable_size(old);
	free(old);
	inode_set_ptr(inode, new);
	inode->id[2] = parent;
	fs_inode_ref(t, parent);
	return left;
}

void fs_inode_rename(struct fs_tree *t, struct fs_inode *inode,
		     struct fs_inode *parent, const char *name)
{
	struct fs_shard *shard = inode_shard(t, inode);
	uint32_t left;

	if (!inode_is_named(inode) || inode == parent)
		return;
	pthread_mutex_lock(&shard->lock);
	left = inode_set_name(t, shard, inode, fs_inode_slot(t, parent), name);
	pthread_mutex_unlock(&shard->lock);
	if (left)
		fs_inode_put(t, &t->table.inode[left]);
}

struct fs_inode *fs_inode_parent(struct fs_tree *t, struct fs_inode *inode,
				 char name[NAME_MAX + 1])
{
	struct fs_shard *shard = inode_shard(t, inode);
	struct fs_inode *parent = NULL;

	pthread_mutex_lock(&shard->lock);
	if (inode->id[2]) {
		parent = fs_inode_ref(t, inode->id[2]);
		memccpy(name, inode_ptr(inode), 0, NAME_MAX + 1);
	}
	pthread_mutex_unlock(&shard->lock);
	return parent;
}

/* ---- finding and adding ---- */

/* A reference, and the lookup, to what was found under the shard's lock. */
static void inode_take(struct fs_inode *inode, bool lookup)
{
	uint64_t refs = 1;

	if (lookup && !inode->lookups++)
		refs++;
	atomic_fetch_add(&inode->word, refs);
}

/* What is known of an inode that was found again. The slot of a parent to put. */
static uint32_t inode_refresh(struct fs_tree *t, struct fs_shard *shard,
			      struct fs_inode *inode,
			      const struct fs_identity *id)
{
	if (id->sure && inode->btime == id->btime)
		atomic_fetch_or(&inode->flags, FS_INODE_SURE);
	if (!id->name || !inode_is_named(inode) ||
	    fs_inode_slot(t, inode) == FS_ROOT ||
	    id->parent == fs_inode_slot(t, inode))
		return 0;
	return inode_set_name(t, shard, inode, id->parent, id->name);
}

int fs_table_find(struct fs_tree *t, const struct fs_identity *id, bool lookup,
		  struct fs_inode **inode)
{
	uint64_t hash = identity_hash(id->ino, id->mount);
	struct fs_shard *shard = hash_shard(t, hash);
	uint32_t left = 0;

	pthread_mutex_lock(&shard->lock);
	*inode = shard_find(t, shard, hash, id);
	if (*inode) {
		inode_take(*inode, lookup);
		left = inode_refresh(t, shard, *inode, id);
	}
	pthread_mutex_unlock(&shard->lock);
	if (left)
		fs_inode_put(t, &t->table.inode[left]);
	return *inode ? 0 : -ENOENT;
}

/* A new inode, known once, under the shard's lock. */
static int table_new(struct fs_tree *t, struct fs_shard *shard, uint64_t hash,
		     const struct fs_identity *id, struct fs_inode **result)
{
	struct fs_table *tab = &t->table;
	unsigned int flags = id->handle_len ? 0 : FS_INODE_NAMED;
	struct fs_inode *inode;
	uint32_t slot, parent;
	ssize_t bytes;
	int r;

	slot = slot_take(tab, shard, &r);
	if (!slot)
		return r;
	inode = &tab->inode[slot];
	flags |= id->sure ? FS_INODE_SURE : 0;
	flags |= id->root ? FS_INODE_MOUNT : 0;
	flags |= id->checked ? FS_INODE_CHECKED : 0;
	/* All but the word, at which others may look. */
	memset(&inode->lookups, 0,
	       sizeof(*inode) - offsetof(struct fs_inode, lookups));
	inode->ino = id->ino;
	inode->lookups = 1;
	inode->btime = id->btime;
	inode->mount = id->mount;
	inode->type = id->type;
	atomic_store(&inode->flags, (uint16_t)(flags | FS_INODE_CAPS));
	bytes = inode_set_id(t, inode, id);
	if (bytes < 0) {
		slot_give(tab, shard, slot);
		return (int)bytes;
	}
	r = shard_insert(t, shard, hash, slot);
	if (r) {
		/* The caller holds the parent as well. */
		inode_clear_id(inode, &parent);
		if (parent)
			atomic_fetch_sub(&tab->inode[parent].word, 1);
		slot_give(tab, shard, slot);
		return r;
	}
	shard->bytes += (uint64_t)bytes;
	atomic_fetch_add(&t->mounts.mount[id->mount].nr, 1);
	atomic_store(
		&inode->word,
		fs_number(id->parent ? fs_generation(&tab->generation) : 0, 2));
	*result = inode;
	return 0;
}

int fs_table_add(struct fs_tree *t, const struct fs_identity *id,
		 struct fs_inode **inode)
{
	uint64_t hash = identity_hash(id->ino, id->mount);
	struct fs_shard *shard = hash_shard(t, hash);
	uint32_t left = 0;
	int r = 0;

	pthread_mutex_lock(&shard->lock);
	*inode = shard_find(t, shard, hash, id);
	if (*inode) {
		inode_take(*inode, true);
		left = inode_refresh(t, shard, *inode, id);
	} else {
		r = table_new(t, shard, hash, id, inode);
	}
	pthread_mutex_unlock(&shard->lock);
	if (left)
		fs_inode_put(t, &t->table.inode[left]);
	return r;
}

/* ---- letting go ---- */

/* Nobody had a reference: free the slot if that is still so. Returns the slot of
 * a parent to put, or 0. */
static uint32_t inode_free(struct fs_tree *t, struct fs_inode *inode,
			   uint64_t word)
{
	struct fs_shard *shard = inode_shard(t, inode);
	uint32_t parent;
	size_t bytes;
	bool dead;

	pthread_mutex_lock(&shard->lock);
	dead = atomic_compare_exchange_strong(&inode->word, &word, 0);
	if (dead)
		shard_remove(t, shard, inode);
	pthread_mutex_unlock(&shard->lock);
	if (!dead)
		return 0;
	/* Nobody finds it any more. */
	fs_fds_drop(t, inode);
	atomic_fetch_sub(&t->mounts.mount[inode->mount].nr, 1);
	bytes = inode_clear_id(inode, &parent);
	pthread_mutex_lock(&shard->lock);
	shard->bytes -= bytes;
	slot_give(&t->table, shard, fs_inode_slot(t, inode));
	pthread_mutex_unlock(&shard->lock);
	return parent;
}

void fs_inode_put(struct fs_tree *t, struct fs_inode *inode)
{
	uint32_t parent;

	for (;;) {
		uint64_t word = atomic_fetch_sub(&inode->word, 1) - 1;

		if (word & FS_REFS)
			return;
		parent = inode_free(t, inode, word);
		if (!parent)
			return;
		inode = &t->table.inode[parent];
	}
}

/* The guest should not have such numbers; said once. */
static void forget_warn(struct fs_tree *t, uint64_t nodeid)
{
	if (!atomic_exchange(&t->warned, true))
		log_warn(
			"fs: the guest forgets inode %#llx more often than it looked it up",
			llu(nodeid));
}

void fs_forget(struct fs_tree *t, uint64_t nodeid, uint64_t nr)
{
	struct fs_inode *inode = fs_inode_get(t, nodeid);
	struct fs_shard *shard;
	bool last, excess;
	uint16_t mount;

	if (!inode) {
		forget_warn(t, nodeid);
		return;
	}
	if (nodeid == FS_ROOT) {
		fs_inode_put(t, inode);
		return;
	}
	shard = inode_shard(t, inode);
	pthread_mutex_lock(&shard->lock);
	excess = nr > inode->lookups;
	nr = MIN(nr, inode->lookups);
	inode->lookups -= nr;
	last = nr && !inode->lookups;
	pthread_mutex_unlock(&shard->lock);
	if (excess)
		forget_warn(t, nodeid);
	mount = inode->mount;
	if (last) {
		fs_implicit_drop(t, nodeid);
		fs_inode_put(t, inode);
	}
	fs_inode_put(t, inode);
	if (last)
		fs_mount_settle(t, mount);
}

uint64_t fs_inode_lookups(struct fs_tree *t, struct fs_inode *inode)
{
	mutex_guard(&inode_shard(t, inode)->lock);

	return inode->lookups;
}

/* Empty chunks that shards keep. */
static void table_shrink(struct fs_tree *t)
{
	struct fs_table *tab = &t->table;

	for (unsigned int i = 0; i < FS_SHARDS; i++) {
		struct fs_shard *shard = &tab->shard[i];

		pthread_mutex_lock(&shard->lock);
		if (shard->chunk && !tab->chunk[shard->chunk - 1].live)
			chunk_give(tab, shard, shard->chunk - 1);
		pthread_mutex_unlock(&shard->lock);
	}
}

static void inode_forget(struct fs_tree *t, struct fs_inode *inode)
{
	struct fs_shard *shard = inode_shard(t, inode);
	uint32_t parent = 0;
	bool last;

	if (fs_inode_slot(t, inode) == FS_ROOT)
		return;
	pthread_mutex_lock(&shard->lock);
	last = inode->lookups;
	inode->lookups = 0;
	/* As they were seen one after another, while the host moved them, two
	 * directories may each be the other's parent. */
	if (inode_is_named(inode)) {
		parent = inode->id[2];
		inode->id[2] = 0;
	}
	pthread_mutex_unlock(&shard->lock);
	if (parent)
		fs_inode_put(t, &t->table.inode[parent]);
	if (last)
		fs_inode_put(t, inode);
}

void fs_table_forget_all(struct fs_tree *t)
{
	uint32_t limit = atomic_load(&t->table.limit);

	for (uint32_t slot = 1; slot < limit; slot++) {
		struct fs_inode *inode = &t->table.inode[slot];

		if (!atomic_load(&t->table.chunk[slot / FS_CHUNK].used)) {
			slot |= FS_CHUNK - 1;
			continue;
		}
		if (!fs_word_get(&inode->word, 0, true))
			continue;
		inode_forget(t, inode);
		fs_inode_put(t, inode);
	}
	table_shrink(t);
}

void fs_table_count(struct fs_tree *t, uint64_t *inodes, uint64_t *bytes)
{
	struct fs_table *tab = &t->table;

	*inodes = 0;
	pthread_mutex_lock(&tab->lock);
	*bytes = tab->nr_used * FS_CHUNK_BYTES +
		 tab->nr_chunks * sizeof(struct fs_chunk);
	pthread_mutex_unlock(&tab->lock);
	for (unsigned int i = 0; i < FS_SHARDS; i++) {
		struct fs_shard *shard = &tab->shard[i];

		pthread_mutex_lock(&shard->lock);
		*inodes += shard->nr;
		*bytes += shard->bytes +
			  shard->nr_buckets * sizeof(*shard->bucket);
		pthread_mutex_unlock(&shard->lock);
	}
}

void fs_table_fini(struct fs_tree *t)
{
	struct fs_table *tab = &t->table;
	uint32_t parent;

	/* All but the root was forgotten. */
	if (tab->inode && atomic_load(&tab->limit) &&
	    atomic_load(&tab->inode[FS_ROOT].word))
		inode_clear_id(&tab->inode[FS_ROOT], &parent);
	for (unsigned int i = 0; i < FS_SHARDS; i++)
		free(tab->shard[i].bucket);
	if (tab->chunk)
		munmap(tab->chunk, FS_CHUNKS_MAX * sizeof(struct fs_chunk));
	if (tab->inode)
		munmap(tab->inode, FS_INODES_MAX * sizeof(struct fs_inode));
}
