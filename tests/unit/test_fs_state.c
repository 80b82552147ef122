/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* All that a tree knows of inodes and open files is numbers, handles and names
 * by which another process finds them again: what saving a machine will need. */
#include "tests/unit/fs_fixture.h"

#include "devices/backend/fs_tree.h"

/* What is to be found again. */
struct note {
	uint64_t ino;
	uint32_t mode, btime;
	unsigned int handle_len, handle_type;
	unsigned char handle[UINT8_MAX];
	char path[512]; /* below the root; without a handle */
};

static void note_name(struct fs_inode *inode, struct note *n)
{
	struct fs_inode *up;
	char name[NAME_MAX + 1], path[sizeof(n->path)];

	while ((up = fs_inode_parent(tree, inode, name))) {
		assert_in_range(snprintf(path, sizeof(path), "%s%s%s", name,
					 *n->path ? "/" : "", n->path),
				1, sizeof(path) - 1);
		memcpy(n->path, path, sizeof(path));
		fs_inode_put(tree, up);
		inode = up; /* its child has a reference */
	}
}

static struct note note_inode(uint64_t nodeid)
{
	struct fs_inode *inode = fs_inode_get(tree, nodeid);
	struct note n = { .path = "" };

	assert_non_null(inode);
	n.ino = inode->ino;
	n.mode = fs_inode_mode(inode);
	n.btime = inode->btime;
	n.handle_len = inode->handle_len;
	n.handle_type = inode->handle_type;
	if (n.handle_len)
		memcpy(n.handle, fs_inode_handle(inode), n.handle_len);
	else
		note_name(inode, &n);
	fs_inode_put(tree, inode);
	return n;
}

/* As another process would, which has the directory alone. */
static int find_again(const struct note *n)
{
	int root = open(base, O_RDONLY | O_DIRECTORY), fd;
	union {
		struct file_handle fh;
		char room[sizeof(struct file_handle) + UINT8_MAX];
	} h = { .fh = { .handle_bytes = n->handle_len,
			.handle_type = (int)n->handle_type } };

	assert_true(root >= 0);
	memcpy(h.fh.f_handle, n->handle, n->handle_len);
	if (n->handle_len)
		fd = open_by_handle_at(root, &h.fh, O_PATH);
	else
		fd = openat(root, *n->path ? n->path : ".",
			    O_PATH | O_NOFOLLOW);
	close(root);
	return fd;
}

static void expect_found(const struct note *n, uint64_t ino)
{
	int fd = find_again(n);
	struct fs_identity id;
	struct statx stx;

	assert_true(fd >= 0);
	assert_int_equal(fs_stat(fd, "", &stx), 0);
	fs_node_identify(&stx, &id);
	assert_int_equal(stx.stx_ino, ino);
	assert_int_equal(n->ino, ino);
	assert_int_equal(n->mode, stx.stx_mode & S_IFMT);
	assert_int_equal(n->btime, id.btime);
	close(fd);
}

static void test_inodes(void **state unused_param)
{
	struct note notes[3];
	struct fs_entry d, f;

	assert_int_equal(mkdir(at("d"), 0755), 0);
	host_write("d/file", "");
	assert_int_equal(symlink("file", at("d/link")), 0);
	d = look("d");
	f = look_in(d.nodeid, "file");
	notes[0] = note_inode(d.nodeid);
	notes[1] = note_inode(f.nodeid);
	notes[2] = note_inode(look_in(d.nodeid, "link").nodeid);
	assert_true(geteuid() || notes[1].handle_len);
	fs_tree_close(tree);
	tree = NULL;
	expect_found(&notes[0], d.attr.stx_ino);
	expect_found(&notes[1], f.attr.stx_ino);
	expect_found(&notes[2], notes[2].ino);
	open_tree_with(&config);
}

/* An open file is an inode and flags. */
static void test_files(void **state unused_param)
{
	struct fs_file *file;
	struct fs_entry f;
	struct note n;
	uint64_t fh;
	int flags;

	host_write("file", "");
	f = look("file");
	fh = guest_open(f.nodeid, O_RDWR | O_DSYNC);
	file = fs_file_get(tree, fh);
	assert_non_null(file);
	assert_int_equal(fs_inode_id(tree, &tree->table.inode[file->inode]),
			 f.nodeid);
	flags = fcntl(file->fd, F_GETFL);
	assert_int_equal(flags & (O_ACCMODE | O_DSYNC), O_RDWR | O_DSYNC);
	fs_file_put(tree, file);
	n = note_inode(f.nodeid);
	expect_found(&n, f.attr.stx_ino);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_inodes),
		FS_TEST(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
