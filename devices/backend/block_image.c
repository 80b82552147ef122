/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A disk's file or block device: what it is, how large, who else uses it.
 * The lock belongs to the open file description (fcntl(2), F_OFD_SETLK), so it
 * also holds between two disks of one process, and ends with the last copy of
 * the descriptor, however the process ends.
 */
#include "devices/backend/block.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/few.h"
#include "vmm/log.h"
#include "vmm/nowait.h"
#include "vmm/util.h"

#define SECTOR 512u
/*
 * A process that was killed holds its lock until the last request has ended
 * that the host had of it, and the kernel has taken its io_uring apart: a
 * restart must not fail on that. Four seconds in all.
 */
#define LOCK_TRIES 400u
#define LOCK_WAIT_US 10000u
/* After so many it is time to say something. */
#define LOCK_QUIET_TRIES 20u

/* Calls of one disk on the pool's threads at the same time. */
#define POOL_JOBS 8u

/* What the page cache moves, whatever a file's own blocks are. */
#define FILE_BLOCK 4096u

/* What to call the image in messages. */
static void image_set_name(struct block_image *img,
			   const struct block_image_config *config)
{
	char link[32], path[200];
	ssize_t n;

	if (config->path) {
		snprintf(img->name, sizeof(img->name), "'%s'",
			 error_value(config->path).text);
		return;
	}
	/* Its number is of use to nobody: it may be a copy. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", config->fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[MAX(n, 0)] = '\0';
	snprintf(img->name, sizeof(img->name), "given as fd (%s)",
		 n > 0 ? error_value(path).text : "not open");
}

/* ---- open ---- */

static const char *image_open_hint(int r, const struct block_image_config *c)
{
	switch (r) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return c->readonly ? "check its permissions"
				   : "check its permissions, or use "
				     "readonly=on";
	case -ENOENT:
		return "make it first, for example with truncate -s 1G";
	case -EINVAL:
		if (c->direct)
			return "its file system may not know O_DIRECT: use "
			       "direct=off";
		break;
	case -EMFILE:
	case -ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case -EBUSY:
		return "something else on this host has it for itself";
	}
	return "check the path";
}

/* May the descriptor that was given be used as is asked? */
static int image_check_given(const struct block_image *img,
			     const struct block_image_config *config,
			     struct error *err)
{
	int flags = fcntl(config->fd, F_GETFL);
	int mode = flags & O_ACCMODE;

	if (flags < 0 || (flags & O_PATH))
		return error_set(err, EBADF,
				 "disk image %s is not a descriptor open for "
				 "I/O: pass the number of an open one",
				 img->name);
	if (mode == O_WRONLY || (mode == O_RDONLY && !config->readonly))
		return error_set(
			err, EACCES,
			"disk image %s is open for %s only: open it "
			"for both%s",
			img->name, mode == O_WRONLY ? "writing" : "reading",
			mode == O_RDONLY ? ", or use readonly=on" : "");
	if (flags & O_APPEND)
		return error_set(err, EINVAL,
				 "disk image %s is open with O_APPEND, which "
				 "moves every write to its end: open it "
				 "without",
				 img->name);
	return 0;
}

static int image_check_type(struct block_image *img, mode_t mode,
			    struct error *err)
{
	const char *what = S_ISDIR(mode)    ? "a directory"
			   : S_ISFIFO(mode) ? "a pipe"
			   : S_ISSOCK(mode) ? "a socket"
			   : S_ISCHR(mode)  ? "a character device"
					    : "no file";
	int ro = 0;

	img->is_blockdev = S_ISBLK(mode);
	if (!S_ISREG(mode) && !S_ISBLK(mode))
		return error_set(err, S_ISDIR(mode) ? EISDIR : ENOTBLK,
				 "disk image %s is %s: a disk needs a raw "
				 "image file or a block device",
				 img->name, what);
	/* open(2) for writing does not fail on every device that refuses
	 * writes. */
	if (img->is_blockdev && !img->readonly &&
	    !ioctl(img->fd, BLKROGET, &ro) && ro)
		return error_set(err, EROFS,
				 "disk image %s is a read-only device: use "
				 "readonly=on",
				 img->name);
	return 0;
}

/*
 * A file that was given as a descriptor is opened once more: with an open file
 * description of our own, the lock is ours, and O_DIRECT is no business of who
 * gave us the descriptor. Where the file may not be opened any more, all copies
 * of the descriptor share one lock. Returns the descriptor.
 */
static int image_open_file(struct block_image *img,
			   const struct block_image_config *config,
			   struct error *err)
{
	unsigned int flags = OPENER_READ |
			     (config->readonly ? 0 : OPENER_WRITE) |
			     (config->direct ? OPENER_DIRECT : 0);
	const char *path = config->path;
	int fd = path ? 0 : image_check_given(img, config, err);

	if (fd)
		return fd;
	fd = path ? opener_open(OPENER_IMAGE, path, flags, &img->found)
		  : opener_open_again(config->fd, flags, &img->found);
	if (fd >= 0)
		return fd;
	if (path && fd == -EINVAL && img->found.mode &&
	    image_check_type(img, img->found.mode, err))
		return S_ISDIR(img->found.mode) ? -EISDIR : -ENOTBLK;
	if (path)
		return error_set(err, fd, "cannot open disk image %s: %s (%s)",
				 img->name, error_text(-fd),
				 image_open_hint(fd, config));
	log_info(
		"disk image %s: cannot be opened again (%s): its lock holds for all copies of the descriptor together",
		img->name, error_text(-fd));
	img->lock_is_shared = true;
	fd = fcntl(config->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, errno, "cannot copy disk image %s: %s",
				 img->name, strerror(errno));
	return fd;
}

/* O_DIRECT as asked; never O_NONBLOCK, which io_uring would obey. */
static int image_set_flags(const struct block_image *img, struct error *err)
{
	int old = fcntl(img->fd, F_GETFL);
	int new = (old & ~(O_NONBLOCK | O_DIRECT)) |
		  (img->direct ? O_DIRECT : 0);

	/* Its owner can do without times of reads, which a journal would have
	 * to take in, and which may so wait for the disk. */
	if (!fcntl(img->fd, F_SETFL, new | O_NOATIME) || old == new ||
	    !fcntl(img->fd, F_SETFL, new))
		return 0;
	return error_set(err, errno,
			 "disk image %s cannot be used with direct=%s: %s "
			 "(leave direct as it is opened)",
			 img->name, img->direct ? "on" : "off",
			 strerror(errno));
}

static int image_lock(const struct block_image *img, struct error *err)
{
	struct flock lock = {
		.l_type = img->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	for (unsigned int try = 0; try < LOCK_TRIES; try++) {
		if (!fcntl(img->fd, F_OFD_SETLK, &lock))
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		if (try == LOCK_QUIET_TRIES)
			log_warn("disk image %s is in use: waiting up to 4 s "
				 "for its end",
				 img->name);
		few_sleep_us(LOCK_WAIT_US);
	}
	if (errno != EAGAIN && errno != EACCES) {
		/* Some network file systems have no locks. */
		log_warn("disk image %s cannot be locked (%s): make sure that "
			 "nothing else writes to it",
			 img->name, strerror(errno));
		return 0;
	}
	return error_set(err, EBUSY,
			 "disk image %s is %s by another disk or process: "
			 "stop that one, or %s",
			 img->name, img->readonly ? "being written" : "used",
			 img->readonly ? "give it readonly=on too"
				       : "share the image with readonly=on "
					 "on both");
}

/* ---- geometry ---- */

static uint32_t image_block(uint64_t value, uint32_t min, uint32_t max)
{
	if (!IS_POW2(value) || value < min || value > max)
		return min;
	return (uint32_t)value;
}

static void image_blockdev_limits(struct block_image *img)
{
	unsigned int physical = 0;
	int logical = 0;
	uint64_t granularity;

	if (ioctl(img->fd, BLKSSZGET, &logical) || logical <= 0)
		logical = SECTOR;
	if (ioctl(img->fd, BLKPBSZGET, &physical))
		physical = 0;
	img->logical_block = image_block((unsigned int)logical, SECTOR, 65536);
	img->physical_block =
		image_block(physical, img->logical_block, 1u << 20);
	if (img->direct)
		img->memory_align = img->logical_block;
	if (img->readonly || !img->found.discard_max)
		return;
	granularity = img->found.discard_granularity;
	if (granularity < img->logical_block || granularity > UINT32_MAX)
		granularity = img->logical_block;
	img->discard_granularity = (uint32_t)granularity;
}

static void image_file_limits(struct block_image *img, const struct stat *st)
{
	img->logical_block = SECTOR;
	img->physical_block = FILE_BLOCK;
	if (img->direct)
		img->memory_align = SECTOR;
	/* Nearly every file system can punch holes. To ask this one would
	 * change the file's times; where it cannot, a discard does nothing. */
	if (!img->readonly)
		img->discard_granularity = image_block((uint64_t)st->st_blksize,
						       FILE_BLOCK, 1u << 20);
}

/* What the kernel says of O_DIRECT here (Linux 6.1) goes over our guess. */
static void image_direct_limits(struct block_image *img)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (!img->direct ||
	    statx(img->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) ||
	    !(stx.stx_mask & STATX_DIOALIGN) || !stx.stx_dio_offset_align)
		return;
	img->memory_align = image_block(stx.stx_dio_mem_align, 1, 65536);
	img->logical_block = image_block(stx.stx_dio_offset_align,
					 img->logical_block, 65536);
	img->physical_block = MAX(img->physical_block, img->logical_block);
	if (img->discard_granularity)
		img->discard_granularity =
			MAX(img->discard_granularity, img->logical_block);
#endif
}

static int image_bytes(const struct block_image *img, uint64_t *bytes)
{
	struct stat st;

	if (img->is_blockdev)
		return ioctl(img->fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (few_fstat(img->fd, &st))
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

/* Have the host's blocks for all of a file of that size, which it has then. */
static int image_allocate(const struct block_image *img, uint64_t bytes)
{
	int r;

	do
		r = fallocate(img->fd, 0, 0, (off_t)bytes) ? -errno : 0;
	while (r == -EINTR);
	if (r != -EOPNOTSUPP && r != -ENOSYS)
		return r;
	log_warn("disk image %s stays sparse: its file system cannot allocate "
		 "ahead",
		 img->name);
	return 0;
}

/* For all of the file as it is opened. */
static int image_allocate_all(const struct block_image *img, struct error *err)
{
	uint64_t bytes = 0;
	int r = 0;

	if (!img->allocate || img->readonly || img->is_blockdev)
		return 0;
	r = image_bytes(img, &bytes);
	if (!r && bytes)
		r = image_allocate(img, bytes);
	if (!r)
		return 0;
	return error_set(err, r,
			 "disk image %s cannot be allocated in full: %s (make "
			 "room on its file system, or leave it sparse)",
			 img->name, error_text(-r));
}

static int image_set_bytes(const struct block_image *img, uint64_t now,
			   uint64_t bytes, struct error *err)
{
	int r;

	if (img->is_blockdev)
		return error_set(err, EINVAL,
				 "the block device has %" PRIu64 " bytes, not "
				 "%" PRIu64 ": give it that size first",
				 now, bytes);
	if (img->readonly)
		return error_set(err, EROFS,
				 "the disk is read-only and its file has "
				 "%" PRIu64 " bytes, not %" PRIu64,
				 now, bytes);
	r = img->allocate && bytes > now ? image_allocate(img, bytes) : 0;
	if (r) {
		/* Some of it may have been there. */
		(void)!ftruncate(img->fd, (off_t)now);
		return error_set(err, r,
				 "cannot allocate %" PRIu64 " bytes: %s", bytes,
				 error_text(-r));
	}
	if (ftruncate(img->fd, (off_t)bytes))
		return error_set(err, errno,
				 "cannot make the file %" PRIu64 " bytes "
				 "large: %s",
				 bytes, strerror(errno));
	return 0;
}

int block_image_resize(struct block_image *img, uint64_t bytes,
		       struct error *err)
{
	uint64_t now = 0;
	int r;

	if (!bytes || bytes > INT64_MAX || bytes % img->logical_block)
		return error_set(err, EINVAL,
				 "%" PRIu64 " bytes: must be a multiple of "
				 "the disk's block of %u, and not 0",
				 bytes, img->logical_block);
	r = image_bytes(img, &now);
	if (r)
		return error_set(err, r, "cannot read the disk's size: %s",
				 strerror(-r));
	if (now != bytes)
		r = image_set_bytes(img, now, bytes, err);
	if (!r)
		img->size = bytes;
	return r;
}

static int image_measure(struct block_image *img, struct error *err)
{
	uint64_t bytes = 0;
	int r = image_bytes(img, &bytes);

	if (r)
		return error_set(err, r,
				 "cannot read the size of disk image "
				 "%s: %s",
				 img->name, strerror(-r));
	img->size = ALIGN_DOWN(bytes, img->logical_block);
	if (!img->size)
		return error_set(err, EINVAL,
				 "disk image %s is %s: make it larger, for "
				 "example with truncate -s 1G",
				 img->name,
				 bytes ? "smaller than one block" : "empty");
	if (img->size != bytes)
		log_warn("disk image %s: the last %" PRIu64 " bytes are not a "
			 "whole block of %u and are not shown to the guest",
			 img->name, bytes - img->size, img->logical_block);
	return 0;
}

static int image_examine(struct block_image *img, struct error *err)
{
	struct stat st;
	int r;

	if (few_fstat(img->fd, &st))
		return error_set(err, errno, "cannot examine disk image %s: %s",
				 img->name, strerror(errno));
	r = image_check_type(img, st.st_mode, err);
	if (!r)
		r = image_set_flags(img, err);
	if (!r)
		r = image_lock(img, err);
	if (r)
		return r;
	img->memory_align = 1;
	img->is_local = img->is_blockdev || nowait_is_local(img->fd);
	if (img->is_blockdev)
		image_blockdev_limits(img);
	else
		image_file_limits(img, &st);
	image_direct_limits(img);
	r = image_allocate_all(img, err);
	return r ? r : image_measure(img, err);
}

int block_image_open(struct block_image *img,
		     const struct block_image_config *config, struct error *err)
{
	int r;

	*img = (struct block_image){
		.fd = -1,
		.readonly = config->readonly,
		.direct = config->direct,
		.allocate = config->allocate,
		.pool = { .name = img->name, .max = POOL_JOBS },
	};
	image_set_name(img, config);
	r = image_open_file(img, config, err);
	if (r < 0)
		return r;
	img->fd = r;
	r = image_examine(img, err);
	if (r)
		block_image_close(img);
	return r;
}

void block_image_close(struct block_image *img)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	/* An io_uring that had the file registered keeps it open a while. */
	if (img->fd >= 0 && !img->lock_is_shared)
		fcntl(img->fd, F_OFD_SETLK, &lock);
	close_fd(&img->fd);
}
