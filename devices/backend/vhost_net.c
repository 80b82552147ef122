/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/vhost_net.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "vmm/opener.h"
#include "vmm/util.h"

#define VHOST_DEVICE "/dev/vhost-net"

/* What the kernel has to know of the driver's choice; it is made without
 * asking the kernel, which can do all of it since Linux 3.19. */
#define VHOST_FEATURES                                                 \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF | \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC |                         \
	 1ull << VIRTIO_RING_F_EVENT_IDX)

static int vhost_no_device(int code, struct error *err)
{
	switch (code) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_set(
			err, code,
			"vhost=on: there is no " VHOST_DEVICE
			" on this host; load its module: modprobe vhost_net, or use vhost=off");
	case EACCES:
	case EPERM:
		return error_set(err, code,
				 "vhost=on: no permission to open " VHOST_DEVICE
				 "; run as a user who may, or use vhost=off");
	case ENOANO:
		return error_set(
			err, code,
			"vhost=on: nothing is opened by its name with --no-opener; use vhost=off");
	default:
		return error_set(err, code,
				 "vhost=on: cannot open " VHOST_DEVICE ": %s",
				 error_text(code));
	}
}

static int vhost_open_pair(int *fd, struct error *err)
{
	uint64_t features = 0;

	*fd = opener_vhost();
	if (*fd < 0)
		return vhost_no_device(-*fd, err);
	if (ioctl(*fd, VHOST_SET_OWNER) ||
	    ioctl(*fd, VHOST_GET_FEATURES, &features))
		return error_set(err, errno, "vhost=on: %s; use vhost=off",
				 error_text(errno));
	if (~features & VHOST_FEATURES)
		return error_set(
			err, ENOTSUP,
			"vhost=on: this host's is too old; use vhost=off");
	return 0;
}

int vhost_net_open(struct vhost_net *vn, unsigned int nr_pairs,
		   struct error *err)
{
	int r = 0;

	*vn = (struct vhost_net){ .nr_pairs = nr_pairs };
	for (unsigned int i = 0; i < nr_pairs; i++)
		vn->fds[i] = -1;
	for (unsigned int i = 0; i < nr_pairs && !r; i++)
		r = vhost_open_pair(&vn->fds[i], err);
	if (r)
		vhost_net_close(vn);
	return r;
}

void vhost_net_close(struct vhost_net *vn)
{
	for (unsigned int i = 0; i < vn->nr_pairs; i++)
		close_fd(&vn->fds[i]);
}

/* ---- memory ---- */

static bool vhost_find_region(const struct vhost_net *vn, uint64_t gpa,
			      uint32_t *at)
{
	for (*at = 0; *at < vn->memory.nregions; (*at)++)
		if (vn->memory.regions[*at].guest_phys_addr == gpa)
			return true;
	return false;
}

int vhost_net_change_memory(struct vhost_net *vn,
			    const struct vhost_memory_region *region,
			    bool there)
{
	struct vhost_table *table = &vn->memory;
	uint32_t at;
	int r = 0;

	if (vhost_find_region(vn, region->guest_phys_addr, &at))
		table->regions[at] = table->regions[--table->nregions];
	if (there && table->nregions == VHOST_NET_REGIONS)
		return -ENOSPC;
	if (there)
		table->regions[table->nregions++] = *region;
	for (unsigned int i = 0; i < vn->nr_pairs; i++)
		if (ioctl(vn->fds[i], VHOST_SET_MEM_TABLE, table))
			r = -errno;
	return r;
}

/* ---- rings ---- */

static int vhost_fd(const struct vhost_net *vn, unsigned int queue)
{
	return vn->fds[queue / 2];
}

int vhost_net_connect(struct vhost_net *vn, unsigned int queue, int tap_fd)
{
	const struct vhost_vring_file file = { queue % 2, tap_fd };

	return ioctl(vhost_fd(vn, queue), VHOST_NET_SET_BACKEND, &file) ? -errno
									: 0;
}

int vhost_net_start(struct vhost_net *vn, const struct vhost_ring *ring)
{
	unsigned int n = ring->queue % 2;
	uint64_t features = ring->features & VHOST_FEATURES;
	const struct vhost_vring_state size = { n, ring->size };
	const struct vhost_vring_state base = { n, ring->next_avail };
	const struct vhost_vring_addr addr = {
		.index = n,
		.desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail,
		.used_user_addr = (uintptr_t)ring->used,
	};
	const struct vhost_vring_file kick = { n, ring->kick_fd };
	const struct vhost_vring_file call = { n, ring->call_fd };
	int fd = vhost_fd(vn, ring->queue);

	if (ioctl(fd, VHOST_SET_FEATURES, &features) ||
	    ioctl(fd, VHOST_SET_VRING_NUM, &size) ||
	    ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
	    ioctl(fd, VHOST_SET_VRING_ADDR, &addr) ||
	    ioctl(fd, VHOST_SET_VRING_CALL, &call) ||
	    ioctl(fd, VHOST_SET_VRING_KICK, &kick))
		return -errno;
	return 0;
}

uint16_t vhost_net_stop(struct vhost_net *vn, unsigned int queue)
{
	struct vhost_vring_state base = { .index = queue % 2 };
	const struct vhost_vring_file none = { queue % 2, VHOST_FILE_UNBIND };
	int fd = vhost_fd(vn, queue);

	vhost_net_connect(vn, queue, -1);
	ioctl(fd, VHOST_SET_VRING_KICK, &none);
	if (ioctl(fd, VHOST_GET_VRING_BASE, &base))
		log_warn("vhost-net: gives no ring back: %s", strerror(errno));
	ioctl(fd, VHOST_SET_VRING_CALL, &none);
	return (uint16_t)base.num;
}
