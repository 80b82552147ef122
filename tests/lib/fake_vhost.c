/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/fake_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/virtio/virtqueue.h"
#include "vmm/util.h"

#define FAKES 8u
#define FRAME_MAX 2048u

#define NEED(x)                                                                \
	do {                                                                   \
		if (!(x)) {                                                    \
			fprintf(stderr, "vhost: line %d: %s\n", __LINE__, #x); \
			abort();                                               \
		}                                                              \
	} while (0)

struct ring {
	unsigned int num;
	uint16_t last;
	const struct virtq_desc *desc;
	const uint16_t *avail; /* flags, idx, entries */
	uint8_t *used;
	int kick, call, backend;
};

static struct fake {
	int fd; /* an eventfd, whose number stands for it; -1: none */
	int wake; /* what the thread waits for has changed */
	bool owned, running;
	pthread_t thread;
	struct vhost_memory *memory;
	struct ring rings[2];
} fakes[FAKES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int fake_vhost_errno;
uint64_t fake_vhost_features = UINT64_MAX;

/* ---- serving, lock held ---- */

static void *translate(const struct fake *f, uint64_t gpa, uint64_t len)
{
	for (uint32_t i = 0; f->memory && i < f->memory->nregions; i++) {
		const struct vhost_memory_region *r = &f->memory->regions[i];

		if (gpa >= r->guest_phys_addr &&
		    gpa - r->guest_phys_addr + len <= r->memory_size)
			return (void *)(uintptr_t)(r->userspace_addr + gpa -
						   r->guest_phys_addr);
	}
	return NULL;
}

/* Without a backend, the ring's memory may be gone. */
static bool has_avail(const struct ring *r)
{
	return r->backend >= 0 &&
	       __atomic_load_n(&r->avail[1], __ATOMIC_ACQUIRE) != r->last;
}

/* The buffers of the next chain. 0: some are nowhere, and nothing goes on. */
static int next_chain(struct fake *f, struct ring *r, uint16_t *head,
		      struct iovec *iov)
{
	uint16_t at = r->avail[2 + r->last % r->num];
	int nr = 0;

	*head = at;
	for (;; at = r->desc[at].next.v) {
		const struct virtq_desc *d = &r->desc[at];

		NEED(at < r->num && nr < 8);
		iov[nr].iov_len = d->len.v;
		iov[nr].iov_base = translate(f, d->addr.v, d->len.v);
		if (!iov[nr++].iov_base)
			return 0;
		if (!(d->flags.v & VRING_DESC_F_NEXT))
			return nr;
	}
}

static void use(struct ring *r, uint16_t head, uint32_t len)
{
	uint16_t *idx = (uint16_t *)(void *)(r->used + 2);
	uint32_t *elem =
		(uint32_t *)(void *)(r->used + 4 + 8 * (*idx % r->num));

	elem[0] = head;
	elem[1] = len;
	__atomic_store_n(idx, *idx + 1, __ATOMIC_RELEASE);
	r->last++;
	NEED(!eventfd_write(r->call, 1));
}

/* Frames of the backend to the guest (ring 0), or the other way. */
static void serve(struct fake *f, unsigned int n)
{
	struct ring *r = &f->rings[n];
	struct iovec iov[8];
	uint16_t head;
	ssize_t len;
	int nr;

	while (r->backend >= 0 && r->kick >= 0 && has_avail(r)) {
		nr = next_chain(f, r, &head, iov);
		if (!nr)
			return;
		len = n ? writev(r->backend, iov, nr)
			: readv(r->backend, iov, nr);
		if (len < 0)
			return;
		use(r, head, n ? 0 : (uint32_t)len);
	}
}

static void *run(void *arg)
{
	struct fake *f = arg;
	struct pollfd fds[4];
	eventfd_t ignored;

	for (;;) {
		pthread_mutex_lock(&lock);
		fds[0] = (struct pollfd){ f->wake, POLLIN, 0 };
		fds[1] = (struct pollfd){ f->rings[0].kick, POLLIN, 0 };
		fds[2] = (struct pollfd){ f->rings[1].kick, POLLIN, 0 };
		fds[3] = (struct pollfd){ has_avail(&f->rings[0])
						  ? f->rings[0].backend
						  : -1,
					  POLLIN, 0 };
		pthread_mutex_unlock(&lock);
		poll(fds, 4, -1);
		pthread_mutex_lock(&lock);
		for (unsigned int i = 0; i < 3; i++)
			if (fds[i].revents)
				(void)!eventfd_read(fds[i].fd, &ignored);
		serve(f, 0);
		serve(f, 1);
		pthread_mutex_unlock(&lock);
		/* The program has closed its descriptor of it. */
		if (fcntl(f->fd, F_GETFD) < 0)
			return NULL;
	}
}

/* ---- requests, lock held ---- */

static const uint16_t no_ring[2];

static int set_owner(struct fake *f)
{
	NEED(!f->owned);
	f->owned = true;
	for (unsigned int i = 0; i < 2; i++)
		f->rings[i] = (struct ring){
			.avail = no_ring, .kick = -1, .call = -1, .backend = -1
		};
	f->running = !pthread_create(&f->thread, NULL, run, f);
	return 0;
}

static int set_memory(struct fake *f, const struct vhost_memory *m)
{
	size_t len = sizeof(*m) + m->nregions * sizeof(m->regions[0]);

	NEED(m->nregions <= 64);
	for (uint32_t i = 0; i < m->nregions; i++)
		for (uint32_t j = 0; j < i; j++)
			NEED(m->regions[i].guest_phys_addr !=
			     m->regions[j].guest_phys_addr);
	free(f->memory);
	f->memory = malloc(len);
	memcpy(f->memory, m, len);
	return 0;
}

static int set_ring(struct fake *f, unsigned long request, void *arg)
{
	const struct vhost_vring_addr *addr = arg;
	const struct vhost_vring_file *file = arg;
	struct vhost_vring_state *state = arg;
	struct ring *r = &f->rings[state->index];

	NEED(state->index < 2);
	switch (request) {
	case VHOST_SET_VRING_NUM:
		NEED(r->backend < 0 && IS_POW2(state->num));
		r->num = state->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		NEED(r->backend < 0);
		r->last = (uint16_t)state->num;
		return 0;
	case VHOST_GET_VRING_BASE:
		state->num = r->last;
		return 0;
	case VHOST_SET_VRING_ADDR:
		r->desc = (void *)(uintptr_t)addr->desc_user_addr;
		r->avail = (void *)(uintptr_t)addr->avail_user_addr;
		r->used = (void *)(uintptr_t)addr->used_user_addr;
		return 0;
	case VHOST_SET_VRING_KICK:
		r->kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		r->call = file->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		NEED(file->fd < 0 || (r->num && r->desc && f->memory));
		r->backend = file->fd;
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

static int answer(struct fake *f, unsigned long request, void *arg)
{
	int r;

	if (request == VHOST_SET_OWNER)
		return set_owner(f);
	NEED(f->owned);
	if (request == VHOST_GET_FEATURES) {
		*(uint64_t *)arg = fake_vhost_features;
		return 0;
	}
	if (request == VHOST_SET_FEATURES) {
		NEED(!(*(uint64_t *)arg & ~fake_vhost_features));
		return 0;
	}
	r = request == VHOST_SET_MEM_TABLE ? set_memory(f, arg)
					   : set_ring(f, request, arg);
	(void)!eventfd_write(f->wake, 1);
	return r;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(request) != VHOST_VIRTIO)
		return __real_ioctl(fd, request, arg);
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < FAKES; i++) {
		if (fakes[i].wake && fakes[i].fd == fd) {
			r = answer(&fakes[i], request, arg);
			pthread_mutex_unlock(&lock);
			return r;
		}
	}
	pthread_mutex_unlock(&lock);
	errno = ENOTTY;
	return -1;
}

/* ---- life ---- */

int __wrap_few_open(const char *path, int flags, mode_t mode);
int __real_few_open(const char *path, int flags, mode_t mode);

int __wrap_few_open(const char *path, int flags, mode_t mode)
{
	unsigned int i = 0;

	if (strcmp(path, "/dev/vhost-net") != 0)
		return __real_few_open(path, flags, mode);
	if (fake_vhost_errno) {
		errno = fake_vhost_errno;
		return -1;
	}
	while (fakes[i].wake)
		NEED(++i < FAKES);
	fakes[i] = (struct fake){
		.fd = eventfd(0, EFD_CLOEXEC),
		.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	return fakes[i].fd;
}

void fake_vhost_join(void)
{
	for (unsigned int i = 0; i < FAKES; i++) {
		struct fake *f = &fakes[i];

		if (!f->wake)
			continue;
		NEED(fcntl(f->fd, F_GETFD) < 0);
		(void)!eventfd_write(f->wake, 1);
		if (f->running)
			pthread_join(f->thread, NULL);
		close(f->wake);
		free(f->memory);
		*f = (struct fake){ .wake = 0 };
	}
}

unsigned int fake_vhost_nr_open(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < FAKES; i++)
		nr += fakes[i].wake && fcntl(fakes[i].fd, F_GETFD) >= 0;
	return nr;
}

unsigned int fake_vhost_nr_connected(void)
{
	unsigned int nr = 0;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < FAKES; i++)
		for (unsigned int n = 0; n < 2 && fakes[i].owned; n++)
			nr += fakes[i].rings[n].backend >= 0;
	pthread_mutex_unlock(&lock);
	return nr;
}

unsigned int fake_vhost_nr_regions(void)
{
	unsigned int nr = 0;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < FAKES; i++)
		if (fakes[i].memory)
			nr = nr ? MIN(nr, fakes[i].memory->nregions)
				: fakes[i].memory->nregions;
	pthread_mutex_unlock(&lock);
	return nr;
}
