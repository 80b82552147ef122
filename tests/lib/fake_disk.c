/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/fake_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/registry.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/guest_ring.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

bool fake_disk_init(struct fake_disk *fd, struct fake_vm *fv, uint64_t len,
		    const char *options)
{
	const struct device_class *class = &blk_class;
	struct error err = { "" };
	char text[512];

	fd->fv = fv;
	fd->fd = memfd_create("disk", 0);
	require(fd->fd >= 0 && !ftruncate(fd->fd, (off_t)len));
	fd->config = calloc(1, class->params->size);
	require(fd->config);
	param_defaults(class->params, fd->config);
	snprintf(text, sizeof(text), "fd=%d,%s", fd->fd, options);
	if (param_parse(class->params, fd->config, text, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	fd->dev = fake_vm_add(fv, class, fd->config);
	return fd->dev;
}

void fake_disk_fini(struct fake_disk *fd)
{
	if (fd->dev)
		fake_vm_remove(fd->fv, fd->dev);
	param_free(blk_class.params, fd->config);
	free(fd->config);
	fd->fd = -1;
}

static bool disk_is_reset(void *arg)
{
	return ((struct virtio_dev *)arg)->status == 0;
}

bool fake_disk_quiesce(struct fake_disk *fd)
{
	struct virtio_dev *dev =
		container_of(fd->dev, struct virtio_dev, device);

	pthread_mutex_lock(&dev->lock);
	virtio_set_status(dev, 0);
	pthread_mutex_unlock(&dev->lock);
	return fake_vm_turn_until(fd->fv, disk_is_reset, dev);
}

void fake_disk_header(struct fake_vm *fv, gpa_t gpa, uint32_t type,
		      uint64_t sector)
{
	uint8_t *p = guest_mem(&fv->board.gmem, gpa, 16);

	le_store(p, type, 4);
	le_store(p + 4, 0, 4);
	le_store(p + 8, sector, 8);
}
