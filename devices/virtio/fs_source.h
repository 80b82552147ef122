/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_SOURCE_H
#define DEVICES_VIRTIO_FS_SOURCE_H

#include "devices/backend/fs.h"
#include "devices/backend/fs_handover.h"
#include "devices/virtio/fs_params.h"

/* What a device's configuration names on the host: its directory, be it that
 * another program hands it over. One thread at a time. */
struct fs_source {
	struct fs_tree *tree;
	struct fs_handover handover; /* without one its words are empty */
};

/* Open it. Takes as long as the host likes; any thread. -errno with a message,
 * and *source is untouched. */
int fs_source_open(struct fs_source **source, const struct fs_config *config,
		   struct error *err);
/* Close it, which may take as long. NULL is accepted. */
void fs_source_close(struct fs_source *source);

#endif
