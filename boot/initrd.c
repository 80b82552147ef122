/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/initrd.h"

#include "boot/image.h"
#include "vmm/util.h"

#define INITRD_ALIGN 4096

int initrd_load(struct gmem *gm, struct space *space, int fd, gpa_t max,
		struct initrd *out, struct error *err)
{
	struct space_want want = {
		.align = INITRD_ALIGN,
		.max = max,
		.high = true,
	};
	struct image img;
	gpa_t gpa;
	int r;

	*out = (struct initrd){ 0 };
	if (fd < 0)
		return 0;
	r = image_init(&img, fd, err);
	if (r)
		return r;
	/* A file size is below 2^63: rounding up does not overflow. */
	want.len = ALIGN_UP(img.size, INITRD_ALIGN);
	if (space_find(space, &want, &gpa))
		return error_set(
			err, ENOSPC,
			"no room for %llu KiB beside the kernel below %#llx; give more --memory or a smaller file",
			(unsigned long long)(want.len / KIB),
			(unsigned long long)max);
	r = space_claim(space, gpa, want.len, "the initramfs", err);
	if (r)
		return r;
	/* Read, not mapped: the guest reads it once and then writes other
	 * things there, at two exits for each page that was mapped. */
	r = image_load(&img, 0, img.size, gm, gpa, false, err);
	if (r)
		return r;
	out->gpa = gpa;
	out->len = img.size;
	return 0;
}
