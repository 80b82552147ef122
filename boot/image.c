/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/image.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/util.h"

int image_init(struct image *img, int fd, struct error *err)
{
	struct stat st;

	*img = (struct image){ .fd = -1 };
	if (few_fstat(fd, &st))
		return error_set(err, errno, "cannot look at it: %s",
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL,
				 "is not a regular file; give a file");
	if (st.st_size <= 0)
		return error_set(err, EINVAL, "is empty; give another file");
	img->fd = fd;
	img->size = (uint64_t)st.st_size;
	return 0;
}

static int image_truncated(const struct image *img, uint64_t off, uint64_t len,
			   const char *what, struct error *err)
{
	return error_set(
		err, EINVAL,
		"is truncated: %s %#llx bytes at %#llx, the file has %#llx; get it again",
		what, llu(len), llu(off), llu(img->size));
}

int image_check(const struct image *img, uint64_t off, uint64_t len,
		const char *what, struct error *err)
{
	if (off <= img->size && len <= img->size - off)
		return 0;
	return image_truncated(img, off, len, what, err);
}

int image_read(const struct image *img, uint64_t off, void *buf, size_t len,
	       struct error *err)
{
	uint8_t *p = buf;
	int r = image_check(img, off, len, "it needs", err);

	if (r)
		return r;
	while (len) {
		ssize_t n = few_pread(img->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, errno, "cannot read: %s",
					 strerror(errno));
		if (n == 0)
			return image_truncated(img, off, len, "it needs", err);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int image_load(const struct image *img, uint64_t off, uint64_t len,
	       struct gmem *gm, gpa_t gpa, bool map, struct error *err)
{
	int r = image_check(img, off, len, "it needs", err);

	if (r || !len)
		return r;
	r = gmem_load_file(gm, gpa, len, img->fd, off, map);
	if (r == -EFAULT)
		return error_set(
			err, EFAULT,
			"%#llx bytes at %#llx are not inside RAM; give more --memory",
			llu(len), llu(gpa));
	if (r)
		return error_set(err, r, "cannot load: %s", strerror(-r));
	return 0;
}
