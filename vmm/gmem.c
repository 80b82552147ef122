/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Guest RAM. Regions are reserved with mmap(2) and cost nothing until the
 * guest touches them. Private anonymous memory is the default: it can use
 * transparent huge pages, be merged by KSM and have files mapped over it.
 */
#include "vmm/gmem.h"

#include <linux/memfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define HUGE_PAGE (2 * MIB)
#define PREFAULT_THREADS_MAX 16

void gmem_init(struct gmem *gm, const struct gmem_config *config)
{
	memset(gm, 0, sizeof(*gm));
	gm->config = *config;
	gm->hot.fd = -1;
}

void gmem_fini(struct gmem *gm)
{
	unsigned int i, nr = atomic_load(&gm->nr);

	atomic_store(&gm->nr, 0);
	for (i = 0; i < nr; i++) {
		munmap(gm->regions[i].hva, gm->regions[i].len);
		close_fd(&gm->regions[i].fd);
	}
	if (gm->hot.len)
		munmap(gm->hot.hva, gm->hot.len);
	if (gm->hot.fd > 0)
		close_fd(&gm->hot.fd);
	free(gm->hot.plugged);
	memset(&gm->hot, 0, sizeof(gm->hot));
}

static int gmem_check_new(const struct gmem *gm, gpa_t gpa, uint64_t len,
			  struct error *err)
{
	uint64_t align = gm->config.hugepages ? HUGE_PAGE : 4096;
	unsigned int i, nr = atomic_load(&gm->nr);

	if (!len || gpa % align || len % align || gpa + len < gpa)
		return error_set(
			err, EINVAL,
			"--memory: %llu bytes at %#llx is not a multiple of %llu KiB; give a size that is",
			(unsigned long long)len, (unsigned long long)gpa,
			(unsigned long long)align / 1024);
	for (i = 0; i < nr; i++) {
		const struct gmem_region *r = &gm->regions[i];

		if (gpa < r->gpa + r->len && r->gpa < gpa + len)
			return error_set(
				err, EINVAL,
				"--memory: region at %#llx overlaps another",
				(unsigned long long)gpa);
	}
	if (nr == GMEM_MAX_REGIONS)
		return error_set(err, ENOSPC, "--memory: more than %d regions",
				 GMEM_MAX_REGIONS);
	return 0;
}

static int gmem_map_flags(const struct gmem_config *c, bool shared)
{
	int flags = c->hugepages ? 0 : MAP_NORESERVE;

	if (shared)
		return flags | MAP_SHARED;
	return flags | MAP_PRIVATE | MAP_ANONYMOUS |
	       (c->hugepages ? MAP_HUGETLB : 0);
}

/*
 * mmap(2) over something, but that stays when there are no pages: a failed
 * MAP_FIXED leaves a hole, where the next mapping of anybody may go.
 */
static int gmem_map_over(void *hva, uint64_t len, int flags, int fd, off_t off)
{
	void *made = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, off);
	int r;

	if (made == MAP_FAILED)
		return -errno;
	if (mremap(made, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, hva) !=
	    MAP_FAILED)
		return 0;
	r = -errno;
	munmap(made, len);
	if (r != -EINVAL)
		return r;
	/* Before Linux 5.16 huge pages cannot be moved; they are there. */
	made = mmap(hva, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
		    off);
	return made == MAP_FAILED ? -errno : 0;
}

/* Host addresses for len bytes, 2 MiB aligned so that the kernel can use huge
 * pages. */
static uint8_t *gmem_map_room(uint64_t len)
{
	uint64_t room = len + HUGE_PAGE;
	uint8_t *base, *start;

	base = mmap(NULL, room, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return MAP_FAILED;
	start = (uint8_t *)ALIGN_UP((uintptr_t)base, HUGE_PAGE);
	if (start > base)
		munmap(base, (size_t)(start - base));
	munmap(start + len, (size_t)(base + room - (start + len)));
	return start;
}

/* Pages of hugetlbfs are claimed now: running out of them later would be a
 * SIGBUS. */
static void *gmem_map(const struct gmem_config *c, uint64_t len, int fd)
{
	uint8_t *start = gmem_map_room(len);
	int r;

	if (start == MAP_FAILED)
		return MAP_FAILED;
	r = gmem_map_over(start, len, gmem_map_flags(c, fd >= 0), fd, 0);
	if (r) {
		munmap(start, len);
		errno = -r;
		return MAP_FAILED;
	}
	return start;
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

struct prefault_job {
	pthread_t thread;
	uint8_t *hva;
	uint64_t len;
	int result;
};

static void *prefault_run(void *arg)
{
	struct prefault_job *job = arg;

	job->result = 0;
	if (job->len && madvise(job->hva, job->len, MADV_POPULATE_WRITE))
		job->result = -errno;
	return NULL;
}

/* Bytes that the host could still give away, or all there are if unknown. */
static uint64_t host_memory_left(void)
{
	unsigned long long kib, sum = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1 ||
		    sscanf(line, "SwapFree: %llu", &kib) == 1)
			sum += kib;
	fclose(f);
	return sum ? sum * KIB : UINT64_MAX;
}

/* To take more than there is would have the host kill us, or others. */
static int gmem_check_left(const struct gmem_config *c, uint64_t len,
			   struct error *err)
{
	uint64_t left;

	if (!c->prefault || c->hugepages)
		return 0;
	left = host_memory_left();
	if (len <= left)
		return 0;
	return error_set(
		err, ENOMEM,
		"--memory prefault=on: the host has %llu MiB left, not %llu; lower size or free memory on the host",
		(unsigned long long)(left / MIB),
		(unsigned long long)(len / MIB));
}

/* Page clearing is memory bound: a thread per host CPU, up to a few. */
static int gmem_prefault(void *hva, uint64_t len, struct error *err)
{
	struct prefault_job jobs[PREFAULT_THREADS_MAX];
	unsigned int i, nr = usable_cpus(), started = 0;
	uint64_t step;
	int r = 0;

	nr = MIN(nr, PREFAULT_THREADS_MAX);
	step = ALIGN_UP(len / nr + 1, HUGE_PAGE);
	for (i = 0; i < nr; i++) {
		uint64_t off = MIN(step * i, len);

		jobs[i].hva = (uint8_t *)hva + off;
		jobs[i].len = MIN(step, len - off);
		if (i + 1 == nr || pthread_create(&jobs[i].thread, NULL,
						  prefault_run, &jobs[i])) {
			jobs[i].len = len - off;
			prefault_run(&jobs[i]);
			break;
		}
		started++;
	}
	r = jobs[i].result;
	while (started--) {
		pthread_join(jobs[started].thread, NULL);
		if (jobs[started].result)
			r = jobs[started].result;
	}
	if (r)
		return error_set(
			err, r,
			"--memory prefault=on: cannot populate %llu MiB: %s; lower size or free memory on the host",
			(unsigned long long)(len / MIB), strerror(-r));
	return 0;
}

static int gmem_memfd(const struct gmem_config *c, uint64_t len,
		      struct error *err)
{
	unsigned int flags = MFD_CLOEXEC;
	int fd;

	if (c->hugepages)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("guest-ram", flags);
	if (fd < 0 || ftruncate(fd, (off_t)len)) {
		int code = errno;

		close_fd(&fd);
		return error_set(
			err, code,
			"--memory shared=on: cannot make a memfd of %llu MiB: %s",
			(unsigned long long)(len / MIB), strerror(code));
	}
	return fd;
}

int gmem_add(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err)
{
	const struct gmem_config *c = &gm->config;
	unsigned int nr = atomic_load(&gm->nr);
	cleanup_fd int fd = -1;
	void *hva;
	int r;

	r = gmem_check_new(gm, gpa, len, err);
	if (!r && !nr) /* the first one stands for all */
		r = gmem_check_left(c, MAX(len, c->size), err);
	if (r)
		return r;
	if (c->shared) {
		fd = gmem_memfd(c, len, err);
		if (fd < 0)
			return fd;
	}
	hva = gmem_map(c, len, fd);
	if (hva == MAP_FAILED) {
		r = errno;
		return error_set(
			err, r,
			"--memory: cannot map %llu of its %llu MiB: %s; %s",
			(unsigned long long)(len / MIB),
			(unsigned long long)(MAX(c->size, len) / MIB),
			strerror(r),
			c->hugepages
				? "reserve huge pages in /proc/sys/vm/nr_hugepages or drop hugepages=on"
				: "lower size");
	}
	gmem_advise(c, gpa, hva, len);
	if (c->prefault) {
		r = gmem_prefault(hva, len, err);
		if (r) {
			munmap(hva, len);
			return r;
		}
	}
	gm->regions[nr] = (struct gmem_region){
		.gpa = gpa, .len = len, .hva = hva, .fd = take_fd(&fd)
	};
	atomic_store_explicit(&gm->nr, nr + 1, memory_order_release);
	return 0;
}

/* ---- memory that comes and goes ---- */

int gmem_reserve(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err)
{
	struct gmem_hot *hot = &gm->hot;
	uint64_t words = len / GMEM_BLOCK / 64 + 1;

	if (gm->config.shared) {
		hot->fd = gmem_memfd(&gm->config, len, err);
		if (hot->fd < 0)
			return hot->fd;
	}
	hot->plugged = calloc(words, sizeof(*hot->plugged));
	hot->hva = hot->plugged ? gmem_map_room(len) : MAP_FAILED;
	if (hot->hva == MAP_FAILED)
		return error_set(
			err, ENOMEM,
			"--memory hotplug_size: no room for %llu MiB of addresses; lower it",
			(unsigned long long)(len / MIB));
	hot->gpa = gpa;
	hot->len = len;
	return 0;
}

void *gmem_hot_ptr(const struct gmem *gm, gpa_t gpa)
{
	return gm->hot.hva + (gpa - gm->hot.gpa);
}

uint64_t gmem_boot_size(const struct gmem *gm)
{
	uint64_t size = 0;
	unsigned int i;

	for (i = 0; i < atomic_load(&gm->nr); i++)
		size += gm->regions[i].len;
	return size;
}

static bool gmem_block_is_plugged(const struct gmem_hot *hot, uint64_t block)
{
	return atomic_load_explicit(&hot->plugged[block / 64],
				    memory_order_acquire) >>
		       block % 64 &
	       1;
}

bool gmem_hot_is_there(const struct gmem_hot *hot, const void *hva)
{
	return gmem_block_is_plugged(
		hot, (uint64_t)((const uint8_t *)hva - hot->hva) / GMEM_BLOCK);
}

static void gmem_mark(struct gmem_hot *hot, gpa_t gpa, uint64_t len,
		      bool plugged)
{
	uint64_t block = (gpa - hot->gpa) / GMEM_BLOCK;
	uint64_t end = block + len / GMEM_BLOCK;

	for (; block < end; block++) {
		if (plugged)
			atomic_fetch_or(&hot->plugged[block / 64],
					1ull << block % 64);
		else
			atomic_fetch_and(&hot->plugged[block / 64],
					 ~(1ull << block % 64));
	}
}

/* New pages at a place that is reserved. */
static int gmem_map_hot(struct gmem *gm, gpa_t gpa, uint64_t len)
{
	const struct gmem_hot *hot = &gm->hot;
	void *hva = gmem_hot_ptr(gm, gpa);
	bool shared = gm->config.shared;
	int r;

	r = gmem_map_over(hva, len, gmem_map_flags(&gm->config, shared),
			  hot->fd, shared ? (off_t)(gpa - hot->gpa) : 0);
	if (!r)
		gmem_advise(&gm->config, gpa, hva, len);
	return r;
}

int gmem_plug(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err)
{
	int r = gmem_check_left(&gm->config, len, err);

	if (r)
		return r;
	r = gmem_map_hot(gm, gpa, len);
	if (r)
		return error_set(err, r, "memory: cannot map %llu MiB: %s",
				 (unsigned long long)(len / MIB), strerror(-r));
	if (gm->config.prefault) {
		r = gmem_prefault(gmem_hot_ptr(gm, gpa), len, err);
		if (r) {
			gmem_unplug(gm, gpa, len);
			return r;
		}
	}
	gmem_mark(&gm->hot, gpa, len, true);
	return 0;
}

void gmem_unplug(struct gmem *gm, gpa_t gpa, uint64_t len)
{
	void *hva = gmem_hot_ptr(gm, gpa);
	int r;

	gmem_mark(&gm->hot, gpa, len, false);
	if (gm->config.shared && madvise(hva, len, MADV_REMOVE))
		log_warn("memory: %llu MiB stay with the memfd: %s",
			 (unsigned long long)(len / MIB), strerror(errno));
	/* Devices may still hold pointers: let there be something. */
	r = gmem_map_over(hva, len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);
	if (r)
		log_warn("memory: %llu MiB are not given back: %s",
			 (unsigned long long)(len / MIB), strerror(-r));
}

static void *gmem_hot_span(const struct gmem_hot *hot, gpa_t gpa, uint64_t *len)
{
	uint64_t off = gpa - hot->gpa, end;

	if (gpa < hot->gpa || off >= hot->len ||
	    !gmem_block_is_plugged(hot, off / GMEM_BLOCK))
		return NULL;
	end = ALIGN_DOWN(off, GMEM_BLOCK) + GMEM_BLOCK;
	while (end - off < *len && end < hot->len &&
	       gmem_block_is_plugged(hot, end / GMEM_BLOCK))
		end += GMEM_BLOCK;
	*len = MIN(*len, end - off);
	return hot->hva + off;
}

static int gmem_clear_hot(struct gmem *gm)
{
	struct gmem_hot *hot = &gm->hot;
	uint64_t block;
	int r = 0;

	for (block = 0; block < hot->len / GMEM_BLOCK && !r; block++) {
		gpa_t gpa = hot->gpa + block * GMEM_BLOCK;

		if (!gmem_block_is_plugged(hot, block))
			continue;
		gmem_unplug(gm, gpa, GMEM_BLOCK);
		r = gmem_map_hot(gm, gpa, GMEM_BLOCK);
		if (!r && gm->config.prefault)
			r = gmem_prefault(gmem_hot_ptr(gm, gpa), GMEM_BLOCK,
					  NULL);
		gmem_mark(hot, gpa, GMEM_BLOCK, !r);
	}
	return r;
}

/* ---- access ---- */

void *gmem_span(const struct gmem *gm, gpa_t gpa, uint64_t *len)
{
	unsigned int i;
	unsigned int nr = atomic_load_explicit(&gm->nr, memory_order_acquire);

	for (i = 0; i < nr; i++) {
		const struct gmem_region *r = &gm->regions[i];
		uint64_t off = gpa - r->gpa;

		if (gpa >= r->gpa && off < r->len) {
			*len = MIN(*len, r->len - off);
			return r->hva + off;
		}
	}
	return gmem_hot_span(&gm->hot, gpa, len);
}

void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	uint64_t got = len;
	void *p = gmem_span(gm, gpa, &got);

	return got == len ? p : NULL;
}

int gmem_write(const struct gmem *gm, gpa_t gpa, const void *buf, size_t len)
{
	void *p = gmem_ptr(gm, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}

int gmem_read(const struct gmem *gm, gpa_t gpa, void *buf, size_t len)
{
	const void *p = gmem_ptr(gm, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

static int gmem_pread(int fd, uint8_t *p, uint64_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

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
	const uint64_t page = 4096;
	uint8_t *p = gmem_ptr(gm, gpa, len);
	uint64_t head, whole;
	int r;

	if (!p)
		return -EFAULT;
	if (!map || gm->config.shared || gm->config.hugepages ||
	    (uintptr_t)p % page != off % page)
		return gmem_pread(fd, p, len, off);
	head = MIN((page - off % page) % page, len);
	whole = ALIGN_DOWN(len - head, page);
	if (!whole)
		return gmem_pread(fd, p, len, off);
	r = gmem_pread(fd, p, head, off);
	if (r)
		return r;
	if (mmap(p + head, whole, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
		 (off_t)(off + head)) == MAP_FAILED)
		return -errno;
	gmem_advise(&gm->config, gpa + head, p + head, whole);
	if (gm->nr_mapped < GMEM_MAX_MAPPED)
		gm->mapped[gm->nr_mapped++] =
			(struct gmem_range){ gpa + head, whole };
	return gmem_pread(fd, p + head + whole, len - head - whole,
			  off + head + whole);
}

static int gmem_clear_region(const struct gmem_config *c,
			     const struct gmem_region *r)
{
	int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS |
		    (c->hugepages ? MAP_HUGETLB : MAP_NORESERVE);

	if (c->shared) {
		/* Hole punching frees the memfd's pages in place. */
		if (madvise(r->hva, r->len, MADV_REMOVE))
			return -errno;
	} else {
		/* A new mapping also drops the files mapped over the old one. */
		if (mmap(r->hva, r->len, PROT_READ | PROT_WRITE, flags, -1,
			 0) == MAP_FAILED)
			return -errno;
		gmem_advise(c, r->gpa, r->hva, r->len);
	}
	return c->prefault ? gmem_prefault(r->hva, r->len, NULL) : 0;
}

int gmem_clear(struct gmem *gm)
{
	unsigned int i, nr = atomic_load(&gm->nr);
	int r = 0;

	gm->nr_mapped = 0;
	for (i = 0; i < nr && !r; i++)
		r = gmem_clear_region(&gm->config, &gm->regions[i]);
	return r ? r : gmem_clear_hot(gm);
}
