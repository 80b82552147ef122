/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/fs_params.h"

#include <linux/capability.h>
#include <unistd.h>

#include "devices/backend/fs.h"
#include "devices/virtio/virtio.h"
#include "vmm/util.h"

/* What guests map at a time, and as much as there may be mappings of that. */
#define FS_DAX_UNIT (2 * MIB)
#define FS_DAX_MAX (32 * GIB)

/* clang-format off: one line, one thing to say */
static const struct param_choice fs_caches[] = {
	[FS_CACHE_AUTO] = { "auto", NULL },
	[FS_CACHE_ALWAYS] = { "always", NULL },
	[FS_CACHE_NEVER] = { "never", NULL },
	{ 0 },
};

static const struct param_choice fs_xattrs[] = {
	[FS_XATTR_OFF] = { "off", NULL },
	[FS_XATTR_ON] = { "on", NULL },
	[FS_XATTR_MAP] = { "map", NULL },
	{ 0 },
};

/* false, true of fs_tree_config.frozen */
static const struct param_choice fs_mounts[] = {
	{ "live", NULL },
	{ "frozen", NULL },
	{ 0 },
};

/* What a program that hands the directory over says of it instead. */
#define FS_HANDED_PARAMS                                                                \
	PARAM("readonly", BOOL, struct fs_config, readonly,                             \
	      "the guest cannot change anything"),                                      \
		PARAM("cache", ENUM, struct fs_config, cache,                           \
		      "how long the guest believes what it has read: for a second "     \
		      "(auto), for ever as nobody else changes files (always), or "     \
		      "not at all (never)",                                             \
		      .choices = fs_caches),                                            \
		PARAM("writeback", BOOL, struct fs_config, writeback,                   \
		      "the guest may keep back what it writes, and knows sizes and "    \
		      "times best"),                                                    \
		PARAM("xattr", ENUM, struct fs_config, xattr,                           \
		      "extended attributes: those of the host but for trusted.*, "      \
		      "none, or with security.* under another name",                    \
		      .choices = fs_xattrs, .def = FS_XATTR_ON),                        \
		PARAM("posix_acl", BOOL, struct fs_config, posix_acl,                   \
		      "access control lists hold in the guest"),                        \
		PARAM("locks", BOOL, struct fs_config, locks,                           \
		      "file locks hold between guests and host, instead of in the "     \
		      "guest alone"),                                                   \
		PARAM("uidmap", RANGES, struct fs_config, uidmap,                       \
		      "what the guest's user ids are on the host (default: the same)"), \
		PARAM("gidmap", RANGES, struct fs_config, gidmap,                       \
		      "what its group ids are")

static const struct param fs_params[] = {
	PARAM("tag", STRING, struct fs_config, tag,
	      "name by which the guest mounts it", .required = true,
	      .max = FS_TAG_LEN),
	PARAM("path", PATH, struct fs_config, path, "directory to share"),
	PARAM("fd", FD, struct fs_config, fd,
	      "an open file descriptor of the directory, instead of path",
	      .min = STDERR_FILENO + 1),
	PARAM("socket", PATH, struct fs_config, socket,
	      "socket of a vmm-virtiofsd that gives the directory, instead of "
	      "path; it says all from readonly to gidmap, too",
	      .max = FS_SOCKET_LEN),
	FS_HANDED_PARAMS,
	PARAM("mounts", ENUM, struct fs_config, frozen,
	      "what is mounted in the directory later is seen (live), or not "
	      "(frozen)",
	      .choices = fs_mounts),
	PARAM("num_queues", UINT, struct fs_config, num_queues,
	      "request queues, each with a thread; 0: as many as vCPUs, at "
	      "most 8",
	      .max = FS_QUEUES_MAX),
	PARAM("queue_size", UINT, struct fs_config, queue_size,
	      "buffers a queue can hold; less than 512 makes requests smaller",
	      .def = 1024, .min = 16, .max = 32768, .pow2 = true),
	PARAM("dax", SIZE, struct fs_config, dax,
	      "addresses of the guest at which it maps files instead of "
	      "reading them, a multiple of 2M; it needs 1/64 of that as memory",
	      .max = FS_DAX_MAX),
	PARAM("poll_us", UINT, struct fs_config, poll_us,
	      "longest busy wait for the guest's next request", .unit = "us",
	      .def = 64, .max = 1000),
	PARAM("id", STRING, struct fs_config, id,
	      "name of the device for later requests", .max = 63),
	LIMIT_PARAMS(struct fs_config, limit),
};

static const struct param fs_handed_params[] = { FS_HANDED_PARAMS };

static const struct param fs_set_params[] = {
	LIMIT_PARAMS(struct fs_config, limit),
};

/* There is one segment, and guests find a tag wherever it is. */
const struct peer_key fs_peer_keys[] = {
	PEER_KEEP("pci_segment", PEER_UINT),
	PEER_NONE("iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	PEER_NONE("pci_device_id", PEER_UINT, "slots are given in order"),
	PEER_KEEP("rate_limiter_config", PEER_OBJECT),
	/* Clients of a monitor that needs one read it back. */
	{ .path = "socket",
	  .type = PEER_STRING,
	  .def = "\"\"",
	  .always = true },
	{ .path = NULL },
};
/* clang-format on */

static int fs_check_modes(const void *config, struct error *err)
{
	const struct fs_config *c = config;

	if (c->writeback && c->readonly)
		return error_set(
			err, EINVAL,
			"writeback=on: nothing is written with readonly=on; leave one out");
	if (c->writeback && c->cache == FS_CACHE_NEVER)
		return error_set(
			err, EINVAL,
			"writeback=on: needs a cache; leave out cache=never");
	if (c->dax % FS_DAX_UNIT)
		return error_set(err, EINVAL,
				 "dax=%llu: not a multiple of 2M; give one",
				 llu(c->dax));
	if (c->posix_acl && c->xattr == FS_XATTR_OFF)
		return error_set(
			err, EINVAL,
			"posix_acl=on: lists are attributes; leave out xattr=off");
	return 0;
}

/* It is at its default. */
static bool fs_is_plain(const struct param *p, const struct fs_config *c)
{
	const void *field = (const char *)c + p->offset;

	switch (p->type) {
	case PARAM_BOOL:
		return *(const bool *)field == (p->def != 0);
	case PARAM_ENUM:
		return *(const int *)field == (int)p->def;
	default:
		return param_is_unset(p, c);
	}
}

/* Keys that the program at the socket decides are at their defaults. */
static int fs_check_socket(const struct fs_config *c, struct error *err)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(fs_handed_params); i++) {
		const struct param *p = &fs_handed_params[i];

		if (!fs_is_plain(p, c))
			return error_set(
				err, EINVAL,
				"%s: is up to the program at socket=%s; give it to that one, as an option",
				p->name, error_value(c->socket).text);
	}
	return 0;
}

static int fs_check(const void *config, struct error *err)
{
	const struct fs_config *c = config;

	if (!*c->tag)
		return error_set(err, EINVAL,
				 "tag: is empty; give a name to mount it by");
	if (!!c->path + (c->fd >= 0) + !!c->socket != 1)
		return error_set(
			err, EINVAL,
			"give one of path=DIRECTORY, fd=N and socket=PATH");
	if (c->socket)
		return fs_check_socket(c, err);
	return fs_check_modes(c, err);
}

const struct param_set fs_param_set = {
	.option = "fs",
	.help = "share a directory",
	PARAM_TABLE(fs_params, struct fs_config),
	.shorthand = "tag",
	.check = fs_check,
};

static const struct param_set fs_handed_param_set = {
	.option = "fs",
	PARAM_TABLE(fs_handed_params, struct fs_config),
	.check = fs_check_modes,
};

int fs_params_take(struct fs_config *c, const char *words, struct error *err)
{
	return *words ? param_parse(&fs_handed_param_set, c, words, err) : 0;
}

const struct param_set fs_set_param_set = {
	.option = "fs",
	PARAM_TABLE(fs_set_params, struct fs_config),
};

#define CAP(name) (1u << CAP_##name)

/* To read what belongs to others takes one, which makes handles possible too.
 * To write it takes others, and files are found by their names then. */
uint32_t fs_params_capabilities(const void *config)
{
	const uint32_t reads = CAP(DAC_READ_SEARCH);
	const uint32_t writes = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) |
				CAP(FSETID) | CAP(MKNOD) | CAP(SETGID) |
				CAP(SETUID);
	const struct fs_config *c = config;

	if (!c)
		return reads | writes | CAP(SETFCAP);
	if (c->readonly)
		return reads;
	return writes | (c->xattr == FS_XATTR_ON ? CAP(SETFCAP) : 0);
}
