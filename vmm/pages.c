/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/pages.h"

#include <assert.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/host.h"
#include "vmm/kept.h"
#include "vmm/thread.h"
#include "vmm/util.h"

/* What a thread takes at a time: whole huge pages, some milliseconds of work. */
#define CHUNK (8 * MIB)
#define PAGE_LEAST 4096u /* arch_page_size() is no less */

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5, of all architectures */
#endif

void pages_forget_program(void)
{
	extern const ElfW(Ehdr) __ehdr_start
		__attribute__((visibility("hidden")));
	uintptr_t start = (uintptr_t)&__ehdr_start;
	uintptr_t base = __ehdr_start.e_type == ET_DYN ? start : 0;
	const ElfW(Phdr) *ph = (const void *)(start + __ehdr_start.e_phoff);

	/* What is written is the process's own. The headers come first in the
	 * file, and are not needed any more when their turn is. */
	for (unsigned int i = __ehdr_start.e_phnum; i-- > 0;) {
		uintptr_t from =
			ALIGN_DOWN(base + ph[i].p_vaddr, arch_page_size());

		if (ph[i].p_type == PT_LOAD && !(ph[i].p_flags & PF_W))
			madvise((void *)from,
				base + ph[i].p_vaddr + ph[i].p_memsz - from,
				MADV_DONTNEED);
	}
}

static void pages_on_meminfo(void *arg, const char *line)
{
	unsigned long long kib;
	uint64_t *sum = arg;

	if (sscanf(line, "MemAvailable: %llu", &kib) == 1 ||
	    sscanf(line, "SwapFree: %llu", &kib) == 1)
		*sum += kib;
}

uint64_t pages_host_left(void)
{
	uint64_t sum = 0;

	kept_read(KEPT_MEMINFO, pages_on_meminfo, &sum);
	return sum ? sum * KIB : UINT64_MAX;
}

void *pages_map_room(uint64_t len, int prot)
{
	uint64_t room = len + HUGE_PAGE;
	uint8_t *base, *start;

	base = mmap(NULL, room, prot,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return MAP_FAILED;
	start = (uint8_t *)ALIGN_UP((uintptr_t)base, HUGE_PAGE);
	if (start > base)
		munmap(base, (size_t)(start - base));
	munmap(start + len, (size_t)(base + room - (start + len)));
	return start;
}

int pages_map_over(void *hva, uint64_t len, int prot, int flags, int fd,
		   uint64_t off)
{
	void *made = mmap(NULL, len, prot, flags, fd, (off_t)off);
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
	made = mmap(hva, len, prot, flags | MAP_FIXED, fd, (off_t)off);
	return made == MAP_FAILED ? -errno : 0;
}

bool pages_are_missing(void *hva, uint64_t len, int fd, uint64_t off)
{
	struct {
		uint64_t off, len;
	} range = { off, len };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} known = { 0 };
	unsigned char has[PAGES_LOOK_MAX / PAGE_LEAST];
	uint64_t nr = len / arch_page_size(), good = 0;

	/* What it has begun to read is in its cache, and not good yet, or never. */
	if (nr > sizeof(has) || syscall(SYS_cachestat, fd, &range, &known, 0) ||
	    mincore(hva, len, has))
		return false;
	for (uint64_t i = 0; i < nr; i++)
		good += has[i] & 1;
	return known.cache > good;
}

void pages_add(struct pages_job *job, void *hva, uint64_t len)
{
	assert(job->nr_pieces < PAGES_MAX_PIECES);
	job->pieces[job->nr_pieces++] = (struct pages_piece){ hva, len };
}

/* The chunk that begins `at` bytes into the pieces, each rounded up to whole
 * chunks. len 0: there is none. */
static struct pages_piece pages_at(const struct pages_job *job, uint64_t at)
{
	for (unsigned int i = 0; i < job->nr_pieces; i++) {
		const struct pages_piece *p = &job->pieces[i];

		if (at < p->len)
			return (struct pages_piece){ p->hva + at,
						     MIN(p->len - at, CHUNK) };
		at -= ALIGN_UP(p->len, CHUNK);
	}
	return (struct pages_piece){ NULL, 0 };
}

/* A page that is not there reads as zero already; to look costs little. */
static void pages_clear(const struct pages_piece *p)
{
	for (uint64_t off = 0; off < p->len; off += HUGE_PAGE) {
		uint64_t len = MIN(HUGE_PAGE, p->len - off);
		unsigned char there[HUGE_PAGE / PAGE_LEAST];

		if (mincore(p->hva + off, len, there) ||
		    memchr(there, 1, len / arch_page_size()))
			memset(p->hva + off, 0, len);
	}
}

static void pages_leave(struct pages_job *job)
{
	if (atomic_fetch_sub(&job->running, 1) == 1 && job->loop)
		loop_post(job->loop, &job->ended);
}

static void *pages_work(void *arg)
{
	struct pages_job *job = arg;
	struct pages_piece p;

	while (!atomic_load(&job->result)) {
		p = pages_at(job, atomic_fetch_add(&job->next, CHUNK));
		if (!p.len)
			break;
		if (job->op == PAGES_CLEAR)
			pages_clear(&p);
		else if (madvise(p.hva, p.len, MADV_POPULATE_WRITE))
			atomic_store(&job->result, -errno);
	}
	pages_leave(job);
	return NULL;
}

void pages_start(struct pages_job *job)
{
	unsigned int i, nr = MIN(thread_usable_cpus(), PAGES_MAX_THREADS);

	if (!job->nr_pieces)
		return;
	job->nr_threads = 0;
	atomic_store(&job->next, 0);
	atomic_store(&job->running, nr);
	for (i = 0; i < nr; i++) {
		if (!thread_start(&job->threads[job->nr_threads], "pages",
				  pages_work, job))
			job->nr_threads++;
		else if (!job->nr_threads && i + 1 == nr)
			pages_work(job);
		else
			pages_leave(job);
	}
}

void pages_stop(struct pages_job *job)
{
	int none = 0;

	atomic_compare_exchange_strong(&job->result, &none, -ECANCELED);
}

uint64_t pages_len(const struct pages_job *job)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < job->nr_pieces; i++)
		len += job->pieces[i].len;
	return len;
}

int pages_end(struct pages_job *job, struct error *err)
{
	uint64_t len = pages_len(job);
	int r;

	while (job->nr_threads)
		pthread_join(job->threads[--job->nr_threads], NULL);
	job->nr_pieces = 0;
	r = atomic_exchange(&job->result, 0);
	if (r)
		return error_set(
			err, r,
			"--memory prefault=on: cannot populate %llu MiB: %s; lower size or free memory on the host",
			mib(len), strerror(-r));
	return 0;
}
