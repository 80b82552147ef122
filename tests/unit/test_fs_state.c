/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What of a shared directory can be written down, and what it is good for. */
#include "tests/unit/fs_fixture.h"

struct notes {
	struct fs_saver saver;
	struct fs_saved_inode inode[8];
	struct fs_saved_file file[8];
	unsigned int nr_inodes, nr_files;
};

static void note_inode(struct fs_saver *saver, const struct fs_saved_inode *i)
{
	struct notes *n = container_of(saver, struct notes, saver);

	assert_true(n->nr_inodes < 8);
	n->inode[n->nr_inodes++] = *i;
}

static void note_file(struct fs_saver *saver, const struct fs_saved_file *f)
{
	struct notes *n = container_of(saver, struct notes, saver);

	assert_true(n->nr_files < 8);
	n->file[n->nr_files++] = *f;
}

static struct notes save(void)
{
	struct notes n = { .saver = { note_inode, note_file } };

	fs_tree_save(tree, &n.saver);
	return n;
}

static const struct fs_saved_inode *noted(const struct notes *n,
					  uint64_t nodeid)
{
	for (unsigned int i = 0; i < n->nr_inodes; i++)
		if (n->inode[i].nodeid == nodeid)
			return &n->inode[i];
	fail_msg("inode %llx is not noted", (unsigned long long)nodeid);
	return NULL;
}

static void test_inodes(void **state unused_param)
{
	const struct fs_saved_inode *s;
	struct fs_entry d, f;
	struct notes n;

	assert_int_equal(mkdir(at("d"), 0755), 0);
	host_write("d/file", "");
	d = look("d");
	f = look_in(d.nodeid, "file");
	look_in(d.nodeid, "file");
	n = save();
	assert_int_equal(n.nr_inodes, 3);
	assert_int_equal(n.nr_files, 0);
	assert_int_equal(noted(&n, FS_ROOT)->lookups, 1);
	s = noted(&n, f.nodeid);
	assert_int_equal(s->lookups, 2);
	assert_int_equal(s->ino, f.attr.stx_ino);
	assert_int_equal(s->mode, S_IFREG);
	assert_int_equal(s->mount, FS_ROOT);
	assert_false(s->nameless);
	/* By one or by the other. */
	if (s->handle_len) {
		assert_int_equal(s->parent, 0);
		assert_string_equal(s->name, "");
	} else {
		assert_int_equal(s->parent, d.nodeid);
		assert_string_equal(s->name, "file");
	}
	assert_true(geteuid() || s->handle_len);
	assert_int_equal(fs_unlink(tree, &as_root, d.nodeid, "file"), 0);
	n = save();
	assert_true(noted(&n, f.nodeid)->nameless);
}

static void test_files(void **state unused_param)
{
	struct fs_opened o;
	struct fs_entry f;
	struct notes n;
	uint64_t fh;

	host_write("file", "");
	f = look("file");
	fh = guest_open(f.nodeid, O_RDWR | O_DSYNC);
	assert_int_equal(fs_opendir(tree, FS_ROOT, &o), 0);
	n = save();
	assert_int_equal(n.nr_files, 2);
	for (unsigned int i = 0; i < 2; i++) {
		const struct fs_saved_file *s = &n.file[i];

		assert_true(s->fh == fh || s->fh == o.fh);
		assert_int_equal(s->nodeid, s->fh == fh ? f.nodeid : FS_ROOT);
		assert_int_equal(s->flags, s->fh == fh
						   ? O_RDWR | O_DSYNC
						   : O_RDONLY | O_DIRECTORY);
	}
	fs_tree_forget_all(tree);
	n = save();
	assert_int_equal(n.nr_inodes, 1);
	assert_int_equal(n.nr_files, 0);
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
