/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The map of guest memory, and the host's pages behind RAM and DIMMs. They are
 * reserved with mmap(2) and cost nothing until the guest touches them. Private
 * anonymous memory is the default: it can use transparent huge pages, be merged
 * by KSM and have files mapped over it.
 */
#include "vmm/gmem.h"

#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/host.h"
#include "vmm/few.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define FIRST_DIMM GMEM_MAX_RAM
#define FIRST_WINDOW (GMEM_MAX_RAM + GMEM_MAX_DIMMS)

/* ---- the map ---- */

static void area_store(struct gmem_area *to, const struct gmem_area *from)
{
	__atomic_store_n(&to->gpa, from->gpa, __ATOMIC_RELAXED);
	__atomic_store_n(&to->len, from->len, __ATOMIC_RELAXED);
	__atomic_store_n(&to->hva, from->hva, __ATOMIC_RELAXED);
	__atomic_store_n(&to->kind, from->kind, __ATOMIC_RELAXED);
}

/* A window may be nowhere. */
static bool range_is_somewhere(const struct gmem_range *r)
{
	return r->kind != GMEM_WINDOW || r->placed;
}

/* The range with the lowest address that is not below gpa, or NULL. */
static const struct gmem_range *gmem_from(const struct gmem *gm, gpa_t gpa)
{
	const struct gmem_range *r, *lowest = NULL;

	gmem_for_each (r, gm)
		if (range_is_somewhere(r) && r->gpa >= gpa &&
		    (!lowest || r->gpa < lowest->gpa))
			lowest = r;
	return lowest;
}

/* DIMMs are one where both their addresses touch. */
static bool area_extend(struct gmem_area *a, const struct gmem_range *r)
{
	if (a->kind != GMEM_DIMM || r->kind != GMEM_DIMM ||
	    r->gpa != a->gpa + a->len || r->hva != a->hva + a->len)
		return false;
	a->len += r->len;
	return true;
}

/* Have readers see the ranges as they are now. */
static void gmem_publish_locked(struct gmem *gm)
{
	unsigned int version = atomic_load(&gm->version) + 1, nr = 0;
	struct gmem_view *view = &gm->views[version % 2];
	const struct gmem_range *r;
	struct gmem_area area = { .len = 0 };

	/* Who still reads this view, from two versions ago, sees that the
	 * version has moved on before it sees a change. */
	atomic_thread_fence(memory_order_release);
	for (r = gmem_from(gm, 0); r; r = gmem_from(gm, r->gpa + r->len)) {
		if (!area.len || !area_extend(&area, r)) {
			area = (struct gmem_area){ r->gpa, r->len, r->hva,
						   r->kind };
			nr++;
		}
		area_store(&view->areas[nr - 1], &area);
	}
	__atomic_store_n(&view->nr, nr, __ATOMIC_RELAXED);
	atomic_store_explicit(&gm->version, version, memory_order_release);
}

/*
 * Where gpa is, with the bytes from there to the end of its area; NULL: nowhere.
 * Fields go to scalars: there are several lookups a request, and one that copies
 * areas takes many times as long. Any thread.
 */
static inline void *gmem_find(const struct gmem *gm, gpa_t gpa, uint64_t *left,
			      enum gmem_kind *kind)
{
	unsigned int version, i, nr;
	uint8_t *hva;

	*left = 0;
	*kind = GMEM_RAM;
	do {
		const struct gmem_view *view;

		version = atomic_load_explicit(&gm->version,
					       memory_order_acquire);
		view = &gm->views[version % 2];
		nr = __atomic_load_n(&view->nr, __ATOMIC_RELAXED);
		for (hva = NULL, i = 0; i < nr && !hva; i++) {
			const struct gmem_area *a = &view->areas[i];
			uint64_t off = gpa - __atomic_load_n(&a->gpa,
							     __ATOMIC_RELAXED);
			uint64_t len =
				__atomic_load_n(&a->len, __ATOMIC_RELAXED);

			if (off >= len)
				continue;
			*left = len - off;
			*kind = __atomic_load_n(&a->kind, __ATOMIC_RELAXED);
			hva = __atomic_load_n(&a->hva, __ATOMIC_RELAXED) + off;
		}
		atomic_thread_fence(memory_order_acquire);
	} while (version !=
		 atomic_load_explicit(&gm->version, memory_order_relaxed));
	return hva;
}

const struct gmem_range *gmem_next(const struct gmem *gm,
				   const struct gmem_range *prev)
{
	const struct gmem_range *r = prev ? prev + 1 : gm->ranges;

	while (r < gm->ranges + GMEM_MAX_RANGES &&
	       (!r->len || r->flags & GMEM_ABSENT))
		r++;
	return r < gm->ranges + GMEM_MAX_RANGES ? r : NULL;
}

/* The pages of a DIMM that went; devices may still hold pointers to it: let
 * there be something. */
static void gmem_map_nothing(const struct gmem_range *range)
{
	int r;

	if (range->fd >= 0 && madvise(range->hva, range->len, MADV_REMOVE))
		log_warn("memory: %llu MiB stay with the memfd: %s",
			 mib(range->len), strerror(errno));
	r = pages_map_over(range->hva, range->len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r)
		log_warn("memory: %llu MiB are not given back: %s",
			 mib(range->len), strerror(-r));
}

/* The range is in its place, and found by readers if flags do not say ABSENT. */
static void gmem_store(struct gmem *gm, const struct gmem_range *range)
{
	mutex_guard(&gm->lock);
	gm->ranges[range->slot] = *range;
	gmem_publish_locked(gm);
}

/* Have readers find a range, or not. */
static void gmem_show(struct gmem *gm, struct gmem_range *r, bool there)
{
	mutex_guard(&gm->lock);
	r->flags = there ? r->flags & ~GMEM_ABSENT : r->flags | GMEM_ABSENT;
	gmem_publish_locked(gm);
}

/* Nobody uses a range any more: its place is free. */
static void gmem_free(struct gmem *gm, struct gmem_range *r)
{
	struct gmem_range gone = *r;

	/* What I/O that was under way has written there. */
	if (r->kind == GMEM_DIMM)
		madvise(r->hva, r->len, MADV_DONTNEED);
	gmem_store(gm, &(struct gmem_range){ .slot = gone.slot });
	list_for_each_entry (struct gmem_listener, gl, &gm->listeners, node)
		if (gl->released)
			gl->released(gl, &gone);
}

void gmem_hold(struct gmem *gm, unsigned int slot)
{
	gm->ranges[slot].holders++;
}

void gmem_release(struct gmem *gm, unsigned int slot)
{
	if (--gm->ranges[slot].holders == 0)
		gmem_free(gm, &gm->ranges[slot]);
}

/* Take a range out of the map; listeners before `end` know of it. */
static void gmem_withdraw(struct gmem *gm, struct gmem_range *r,
			  struct list_node *end)
{
	struct gmem_listener *gl;
	struct list_node *pos;

	gmem_show(gm, r, false);
	gmem_hold(gm, r->slot);
	for (pos = end->prev; pos != &gm->listeners; pos = pos->prev) {
		gl = container_of(pos, struct gmem_listener, node);
		if (gl->removed)
			gl->removed(gl, r);
	}
	if (r->kind == GMEM_DIMM)
		gmem_map_nothing(r);
	gmem_release(gm, r->slot);
}

static int gmem_tell_added(struct gmem_listener *gl, const struct gmem_range *r,
			   struct error *err)
{
	return gl->added ? gl->added(gl, r, err) : 0;
}

static int gmem_tell_placed_locked(struct gmem_listener *gl,
				   const struct gmem_range *r, bool there,
				   struct error *err)
{
	return gl->placed ? gl->placed(gl, r, there, err) : 0;
}

/* Have all find the range of this slot. */
static int gmem_put(struct gmem *gm, unsigned int slot, struct error *err)
{
	struct gmem_range *r = &gm->ranges[slot];
	int ret;

	gmem_show(gm, r, true);
	list_for_each_entry (struct gmem_listener, gl, &gm->listeners, node) {
		ret = gmem_tell_added(gl, r, err);
		if (ret) {
			gmem_withdraw(gm, r, &gl->node);
			return ret;
		}
	}
	return 0;
}

int gmem_listen(struct gmem *gm, struct gmem_listener *gl, struct error *err)
{
	const struct gmem_range *r;
	int ret;

	gmem_for_each (r, gm) {
		if (r->kind == GMEM_WINDOW)
			continue;
		ret = gmem_tell_added(gl, r, err);
		if (ret)
			return ret;
	}
	mutex_guard(&gm->lock);
	gl->gm = gm;
	gmem_for_each (r, gm) {
		if (r->kind != GMEM_WINDOW || !r->placed)
			continue;
		ret = gmem_tell_placed_locked(gl, r, true, err);
		if (ret)
			return ret;
	}
	list_insert(&gm->listeners, &gl->node);
	return 0;
}

void gmem_unlisten(struct gmem_listener *gl)
{
	if (!gl->node.next)
		return;
	mutex_guard(&gl->gm->lock);
	list_remove(&gl->node);
}

uint64_t gmem_size(const struct gmem *gm)
{
	const struct gmem_range *r;
	uint64_t size = 0;

	gmem_for_each (r, gm)
		size += r->kind == GMEM_WINDOW ? 0 : r->len;
	return size;
}

static bool gmem_is_taken(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	const struct gmem_range *r;

	gmem_for_each (r, gm)
		if (range_is_somewhere(r) &&
		    ranges_overlap(gpa, len, r->gpa, r->len))
			return true;
	return false;
}

/* A free slot from [first, first + nr). -ENOSPC with a message. */
static int gmem_free_slot(const struct gmem *gm, unsigned int first,
			  unsigned int nr, struct error *err)
{
	for (unsigned int slot = first; slot < first + nr; slot++)
		if (!gm->ranges[slot].len)
			return (int)slot;
	return error_set(err, ENOSPC, "more than %u ranges of memory", nr);
}

static int gmem_check_new(const struct gmem *gm, const struct gmem_range *range,
			  struct error *err)
{
	uint64_t align = gm->config.hugepages ? HUGE_PAGE : arch_page_size();
	gpa_t end = range->gpa + range->len;

	if (!range->len || range->gpa % align || range->len % align ||
	    end < range->gpa)
		return error_set(
			err, EINVAL,
			"--memory: %llu bytes at %#llx is not a multiple of %llu KiB; give a size that is",
			llu(range->len), llu(range->gpa), llu(align / 1024));
	if (gmem_is_taken(gm, range->gpa, range->len))
		return error_set(err, EINVAL,
				 "--memory: a range at %#llx overlaps another",
				 llu(range->gpa));
	return 0;
}

/* ---- pages ---- */

static int gmem_map_flags(const struct gmem_config *c, bool shared)
{
	int flags = c->hugepages ? 0 : MAP_NORESERVE;

	if (shared)
		return flags | MAP_SHARED;
	return flags | MAP_PRIVATE | MAP_ANONYMOUS |
	       (c->hugepages ? MAP_HUGETLB : 0);
}

static void gmem_advise(const struct gmem_config *c, gpa_t gpa, void *hva,
			uint64_t len)
{
	madvise(hva, len, MADV_DONTDUMP);
	if (c->mergeable && madvise(hva, len, MADV_MERGEABLE))
		log_warn("--memory mergeable=on: this kernel has no KSM");
	if (c->hugepages)
		return;
	if (!c->thp)
		madvise(hva, len, MADV_NOHUGEPAGE);
	else if (madvise(hva, len, MADV_HUGEPAGE))
		log_debug("no transparent huge pages on this kernel");
	else if (!c->prefault && gpa < HUGE_PAGE)
		/*
		 * A boot touches a few pages of the first two megabytes, and a
		 * third of them is no RAM to a PC's kernel: to clear a huge
		 * page for that would be the longest step of a small machine's
		 * start.
		 */
		madvise(hva, MIN(len, HUGE_PAGE - gpa), MADV_NOHUGEPAGE);
}

/* Pages for a range that has addresses. Those of hugetlbfs are claimed now:
 * running out of them later would be a SIGBUS. */
static int gmem_map_pages(const struct gmem *gm, const struct gmem_range *range)
{
	int r = pages_map_over(range->hva, range->len, PROT_READ | PROT_WRITE,
			       gmem_map_flags(&gm->config, range->fd >= 0),
			       range->fd, range->offset);

	if (!r)
		gmem_advise(&gm->config, range->gpa, range->hva, range->len);
	return r;
}

/* To take more than there is would have the host kill us, or others. */
static int gmem_check_left(const struct gmem_config *c, uint64_t len,
			   struct error *err)
{
	uint64_t left;

	if (!c->prefault || c->hugepages)
		return 0;
	left = pages_host_left();
	if (len <= left)
		return 0;
	return error_set(
		err, ENOMEM,
		"--memory prefault=on: the host has %llu MiB left, not %llu; lower size or free memory on the host",
		mib(left), mib(len));
}

/* In *fd, where memory is to be shared. */
static int gmem_memfd(const struct gmem_config *c, uint64_t len, int *fd,
		      struct error *err)
{
	unsigned int flags = MFD_CLOEXEC;

	if (!c->shared)
		return 0;
	if (c->hugepages)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	*fd = memfd_create("guest-ram", flags);
	if (*fd >= 0 && !ftruncate(*fd, (off_t)len))
		return 0;
	return error_set(
		err, errno,
		"--memory shared=on: cannot make a memfd of %llu MiB: %s",
		mib(len), strerror(errno));
}

static unsigned int gmem_flags(const struct gmem_config *c)
{
	return c->prefault || c->hugepages ? GMEM_POPULATED : 0;
}

int gmem_add(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err)
{
	const struct gmem_config *c = &gm->config;
	struct gmem_range range = { .gpa = gpa,
				    .len = len,
				    .kind = GMEM_RAM,
				    .flags = gmem_flags(c),
				    .fd = -1 };
	cleanup_fd int fd = -1;
	int slot = gmem_free_slot(gm, 0, GMEM_MAX_RAM, err);
	int r = slot < 0 ? slot : gmem_check_new(gm, &range, err);

	range.slot = (unsigned int)slot;
	if (!r && !slot) /* the first one stands for all */
		r = gmem_check_left(c, MAX(len, c->size), err);
	if (!r)
		r = gmem_memfd(c, len, &fd, err);
	if (r)
		return r;
	range.fd = fd;
	range.hva = pages_map_room(len, PROT_NONE);
	r = range.hva == MAP_FAILED ? -errno : gmem_map_pages(gm, &range);
	if (r) {
		error_set(
			err, r,
			"--memory: cannot map %llu of its %llu MiB: %s; %s",
			mib(len), mib(MAX(c->size, len)), strerror(-r),
			c->hugepages
				? "reserve huge pages in /proc/sys/vm/nr_hugepages or drop hugepages=on"
				: "lower size");
	} else {
		gmem_store(gm, &range);
		r = gmem_put(gm, range.slot, err);
	}
	if (!r)
		take_fd(&fd);
	else if (range.hva != MAP_FAILED)
		munmap(range.hva, len);
	return r;
}

/* ---- DIMMs ---- */

int gmem_reserve(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err)
{
	cleanup_fd int fd = -1;
	int r = gmem_memfd(&gm->config, len, &fd, err);
	uint8_t *hva;

	if (r)
		return r;
	hva = pages_map_room(len, PROT_NONE);
	if (hva == MAP_FAILED)
		return error_set(
			err, ENOMEM,
			"--memory hotplug_size: no room for %llu MiB of addresses; lower it",
			mib(len));
	gm->reserved = (struct gmem_range){
		.gpa = gpa, .len = len, .hva = hva, .fd = take_fd(&fd)
	};
	return 0;
}

unsigned int gmem_max_dimms(const struct gmem *gm)
{
	return (unsigned int)MIN(gm->reserved.len / GMEM_BLOCK,
				 (uint64_t)GMEM_MAX_DIMMS);
}

const struct gmem_range *gmem_dimm(const struct gmem *gm, unsigned int i)
{
	return &gm->ranges[FIRST_DIMM + i];
}

int gmem_plug_begin(struct gmem *gm, unsigned int i, gpa_t gpa, uint64_t len,
		    struct pages_job *job, struct error *err)
{
	uint64_t off = gpa - gm->reserved.gpa;
	struct gmem_range *r = &gm->ranges[FIRST_DIMM + i], dimm;
	int ret = gmem_check_left(&gm->config, pages_len(job) + len, err);

	if (ret)
		return ret;
	dimm = (struct gmem_range){
		.gpa = gpa,
		.len = len,
		.kind = GMEM_DIMM,
		.slot = FIRST_DIMM + i,
		.flags = gmem_flags(&gm->config) | GMEM_ABSENT,
		.hva = gm->reserved.hva + off,
		.fd = gm->reserved.fd,
		.offset = gm->config.shared ? off : 0,
	};
	ret = gmem_map_pages(gm, &dimm);
	if (ret)
		return error_set(err, ret, "memory: cannot map %llu MiB: %s",
				 mib(len), strerror(-ret));
	gmem_store(gm, &dimm);
	if (gm->config.prefault)
		pages_add(job, r->hva, r->len);
	return 0;
}

int gmem_plug_end(struct gmem *gm, unsigned int i, struct error *err)
{
	return gmem_put(gm, FIRST_DIMM + i, err);
}

void gmem_unplug(struct gmem *gm, unsigned int i)
{
	struct gmem_range *r = &gm->ranges[FIRST_DIMM + i];

	/* One that gmem_plug_end() did not reach is known to nobody. */
	gmem_withdraw(gm, r,
		      r->flags & GMEM_ABSENT ? gm->listeners.next
					     : &gm->listeners);
}

/* ---- windows ---- */

int gmem_add_window(struct gmem *gm, uint8_t *hva, uint64_t len,
		    struct error *err)
{
	struct gmem_range window = {
		.len = len, .kind = GMEM_WINDOW, .hva = hva, .fd = -1
	};
	int slot = gmem_free_slot(gm, FIRST_WINDOW, GMEM_MAX_WINDOWS, err);

	if (slot < 0)
		return slot;
	window.slot = (unsigned int)slot;
	gmem_store(gm, &window);
	return slot;
}

void gmem_remove_window(struct gmem *gm, unsigned int slot)
{
	gmem_displace_window(gm, slot);
	gmem_withdraw(gm, &gm->ranges[slot], &gm->listeners);
}

static void gmem_displace_locked(struct gmem *gm, struct gmem_range *r)
{
	if (!r->placed)
		return;
	r->placed = false;
	gmem_publish_locked(gm);
	list_for_each_entry (struct gmem_listener, gl, &gm->listeners, node)
		gmem_tell_placed_locked(gl, r, false, NULL);
}

void gmem_displace_window(struct gmem *gm, unsigned int slot)
{
	mutex_guard(&gm->lock);
	gmem_displace_locked(gm, &gm->ranges[slot]);
}

bool gmem_window_gpa(struct gmem *gm, unsigned int slot, gpa_t *gpa)
{
	mutex_guard(&gm->lock);
	*gpa = gm->ranges[slot].gpa;
	return gm->ranges[slot].placed;
}

/* Memory may come where DIMMs can. */
static bool gmem_is_free(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	const struct gmem_range *res = &gm->reserved;

	return gpa % arch_page_size() == 0 && gpa + len > gpa &&
	       !gmem_is_taken(gm, gpa, len) &&
	       (gpa + len <= res->gpa || gpa >= res->gpa + res->len);
}

int gmem_place_window(struct gmem *gm, unsigned int slot, gpa_t gpa,
		      struct error *err)
{
	struct gmem_range *r = &gm->ranges[slot];
	int ret = 0;

	mutex_guard(&gm->lock);
	if (r->placed && r->gpa == gpa)
		return 0;
	gmem_displace_locked(gm, r);
	if (!gmem_is_free(gm, gpa, r->len))
		return error_set(err, EINVAL, "memory is at %#llx already",
				 llu(gpa));
	r->gpa = gpa;
	r->placed = true;
	gmem_publish_locked(gm);
	list_for_each_entry (struct gmem_listener, gl, &gm->listeners, node)
		if (!ret)
			ret = gmem_tell_placed_locked(gl, r, true, err);
	if (ret)
		gmem_displace_locked(gm, r);
	return ret;
}

/* ---- access ---- */

void *gmem_span(const struct gmem *gm, gpa_t gpa, uint64_t *len,
		enum gmem_kind *kind)
{
	uint64_t left;
	void *hva = gmem_find(gm, gpa, &left, kind);

	if (hva)
		*len = MIN(*len, left);
	return hva;
}

void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	enum gmem_kind kind;
	uint64_t left;
	void *hva = gmem_find(gm, gpa, &left, &kind);

	return hva && kind != GMEM_WINDOW && len <= left ? hva : NULL;
}

int gmem_write(const struct gmem *gm, gpa_t gpa, const void *buf, size_t len)
{
	void *p = gmem_ptr(gm, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}

static int gmem_pread(int fd, uint8_t *p, uint64_t len, uint64_t off)
{
	while (len) {
		ssize_t n = few_pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int gmem_load_file(struct gmem *gm, gpa_t gpa, uint64_t len, int fd,
		   uint64_t off, bool map)
{
	const uint64_t page = arch_page_size();
	uint8_t *p = gmem_ptr(gm, gpa, len);
	uint64_t head, whole;
	int r;

	if (!p)
		return -EFAULT;
	if (!map || gm->config.shared || gm->config.hugepages ||
	    gm->nr_mapped == GMEM_MAX_MAPPED ||
	    (uintptr_t)p % page != off % page)
		return gmem_pread(fd, p, len, off);
	head = MIN((page - off % page) % page, len);
	whole = ALIGN_DOWN(len - head, page);
	if (!whole)
		return gmem_pread(fd, p, len, off);
	r = gmem_pread(fd, p, head, off);
	if (r)
		return r;
	r = pages_map_over(p + head, whole, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_NORESERVE, fd, off + head);
	if (r)
		return r;
	gmem_advise(&gm->config, gpa + head, p + head, whole);
	gm->mapped[gm->nr_mapped++] = (struct gmem_mapped){ gpa + head, whole };
	return gmem_pread(fd, p + head + whole, len - head - whole,
			  off + head + whole);
}

/* Anonymous pages take the place of files. */
static int gmem_unmap_files(struct gmem *gm)
{
	int flags = gmem_map_flags(&gm->config, false), r = 0;

	for (; gm->nr_mapped && !r; gm->nr_mapped -= !r) {
		const struct gmem_mapped *m = &gm->mapped[gm->nr_mapped - 1];
		void *hva = gmem_ptr(gm, m->gpa, m->len);

		r = pages_map_over(hva, m->len, PROT_READ | PROT_WRITE, flags,
				   -1, 0);
		if (!r)
			gmem_advise(&gm->config, m->gpa, hva, m->len);
	}
	return r;
}

int gmem_clear(struct gmem *gm, struct pages_job *job)
{
	const struct gmem_config *c = &gm->config;
	const struct gmem_range *range;
	int r = gmem_unmap_files(gm);

	job->op = c->hugepages ? PAGES_CLEAR : PAGES_POPULATE;
	gmem_for_each (range, gm) {
		if (r || range->kind == GMEM_WINDOW)
			continue;
		if (!c->hugepages &&
		    madvise(range->hva, range->len,
			    c->shared ? MADV_REMOVE : MADV_DONTNEED))
			r = -errno;
		if (!r && range->flags & GMEM_POPULATED)
			pages_add(job, range->hva, range->len);
	}
	return r;
}

void gmem_populate(const struct gmem *gm, struct pages_job *job)
{
	const struct gmem_range *r;

	job->op = PAGES_POPULATE;
	gmem_for_each (r, gm)
		if (gm->config.prefault && r->kind != GMEM_WINDOW)
			pages_add(job, r->hva, r->len);
}

/* ---- life ---- */

void gmem_init(struct gmem *gm, const struct gmem_config *config)
{
	memset(gm, 0, sizeof(*gm));
	gm->config = *config;
	pthread_mutex_init(&gm->lock, NULL);
	list_init(&gm->listeners);
}

void gmem_fini(struct gmem *gm)
{
	struct gmem_range *res = &gm->reserved;

	for (unsigned int i = 0; i < GMEM_MAX_RAM; i++) {
		struct gmem_range *r = &gm->ranges[i];

		if (!r->len)
			continue;
		munmap(r->hva, r->len);
		close_fd(&r->fd);
	}
	if (res->len) {
		munmap(res->hva, res->len);
		close_fd(&res->fd);
	}
	memset(gm->ranges, 0, sizeof(gm->ranges));
	memset(res, 0, sizeof(*res));
	gmem_publish_locked(gm);
	pthread_mutex_destroy(&gm->lock);
}
