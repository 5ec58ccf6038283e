/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of several roots: joined, read back, taken apart again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/lone_file.h"
#include "store/roots.h"

struct fixture {
	char dir[256];
	struct store *store;
	struct digest a, b; /* of two trees in the store */
};

/* A directory with one file, imported without an entry. */
static struct digest import(struct fixture *f, const char *name,
			    const char *content)
{
	const struct ingest_owner self = { getuid(), getgid() };
	_cleanup_free_ char *dir = io_path("%s/%s", f->dir, name);
	_cleanup_free_ char *file = io_path("%s/file", dir);
	_cleanup_close_ int fd = -1;
	struct ingest_result result;
	FILE *out;

	assert_int_equal(mkdir(dir, 0700), 0);
	out = fopen(file, "w");
	assert_non_null(out);
	fputs(content, out);
	fclose(out);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ingest_dir(f->store, fd, name, &self, true, NULL, NULL,
				    &result),
			 0);
	return result.catalog;
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_free_ char *dir = NULL;

	snprintf(f->dir, sizeof(f->dir), "%s/test_roots.XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	dir = io_path("%s/store", f->dir);
	assert_int_equal(store_open(dir, &f->store), 0);
	f->a = import(f, "a", "one");
	f->b = import(f, "b", "two");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_set_level(LOG_LEVEL_INFO);
	store_close(f->store);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static int join(struct fixture *f, const struct root *roots, size_t count,
		struct digest *ret_catalog)
{
	const struct ingest_result none = { .read_bytes = 0 };
	struct ingest_result result;
	int r = roots_join(f->store, roots, count, &none, NULL, &result);

	if (r == 0)
		*ret_catalog = result.catalog;
	return r;
}

static void test_names(void **state)
{
	char longer[ROOTS_NAME_MAX + 2];

	(void)state;
	assert_int_equal(roots_check_name("REPO"), 0);
	assert_int_equal(roots_check_name("REPO/a/.b..c"), 0);
	assert_int_equal(roots_check_name(""), -EINVAL);
	assert_int_equal(roots_check_name("/a"), -EINVAL);
	assert_int_equal(roots_check_name("a/"), -EINVAL);
	assert_int_equal(roots_check_name("a//b"), -EINVAL);
	assert_int_equal(roots_check_name("a/./b"), -EINVAL);
	assert_int_equal(roots_check_name("a/../b"), -EINVAL);
	for (size_t i = 0; i < sizeof(longer); i++)
		longer[i] = i % 2 ? '/' : 'a';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(roots_check_name(longer), -EINVAL);
	longer[ROOTS_NAME_MAX - 1] = '\0';
	assert_int_equal(roots_check_name(longer), 0);
}

static void test_join_and_read(void **state)
{
	struct fixture *f = *state;
	const struct root roots[] = { { "REPO/x/b", f->b, ROOT_DIR },
				      { "HOME/a", f->a, ROOT_DIR },
				      { "REPO/x/c", f->a, ROOT_DIR } };
	const struct root other[] = { roots[2], roots[0], roots[1] };
	struct root found[ROOTS_MAX];
	struct digest joined, again;
	struct store_tree *t;
	uint32_t ino;
	size_t count;

	assert_int_equal(join(f, roots, 3, &joined), 0);
	assert_int_equal(join(f, other, 3, &again), 0);
	assert_true(digest_equal(&joined, &again));
	assert_int_equal(store_tree_open(f->store, &joined, &t), 0);
	assert_int_equal(roots_read(store_tree_catalog(t), found, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(found[0].name, "HOME/a");
	assert_string_equal(found[1].name, "REPO/x/b");
	assert_true(digest_equal(&found[1].catalog, &f->b));
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "REPO/x/c/file",
					 &ino),
			 0);
	store_tree_unref(t);
}

static void test_what_cannot_be_joined(void **state)
{
	struct fixture *f = *state;
	const struct digest absent = { { 1 } };
	struct digest joined;

	assert_int_equal(join(f,
			      (struct root[]){ { "a", f->a, ROOT_DIR },
					       { "a/b", f->b, ROOT_DIR } },
			      2, &joined),
			 -EINVAL);
	assert_int_equal(join(f,
			      (struct root[]){ { "a", f->a, ROOT_DIR },
					       { "a", f->b, ROOT_DIR } },
			      2, &joined),
			 -EINVAL);
	assert_int_equal(join(f, (struct root[]){ { "../a", f->a, ROOT_DIR } },
			      1, &joined),
			 -EINVAL);
	assert_int_equal(join(f, (struct root[]){ { "a", f->a, ROOT_DIR } }, 0,
			      &joined),
			 -EINVAL);
	assert_int_equal(join(f, (struct root[]){ { "a", absent, ROOT_DIR } },
			      1, &joined),
			 -ENOENT);
}

static void remove_catalog(struct fixture *f, const struct digest *d)
{
	_cleanup_free_ char *path = NULL;
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(d, hex);
	path = io_path("%s/store/v1/catalogs/%.2s/%s", f->dir, hex, hex);
	if (access(path, F_OK) < 0) {
		free(steal_ptr(&path));
		path = io_path("%s/store/v1/catalogs/%.2s/%s", f->dir, hex,
			       hex + 2);
	}
	assert_int_equal(unlink(path), 0);
}

static int extract(struct fixture *f, const struct digest *tree,
		   const char *name, struct root *ret_root)
{
	return roots_extract(f->store, tree, name, false, ret_root);
}

static void test_extract(void **state)
{
	struct fixture *f = *state;
	const struct root roots[] = { { "x/a", f->a, ROOT_DIR },
				      { "b", f->b, ROOT_DIR } };
	struct digest joined;
	struct root got;

	assert_int_equal(join(f, roots, 2, &joined), 0);
	assert_int_equal(extract(f, &joined, "x/a", &got), 0);
	assert_true(digest_equal(&got.catalog, &f->a));
	assert_int_equal(got.kind, ROOT_DIR);
	/* A part that the store has lost is made again, the same. */
	remove_catalog(f, &f->a);
	assert_int_equal(extract(f, &joined, "x/a", &got), 0);
	assert_true(digest_equal(&got.catalog, &f->a));

	assert_int_equal(extract(f, &joined, "x", &got), -ENOENT);
	assert_int_equal(extract(f, &joined, "c", &got), -ENOENT);
	/* A tree of several is none of one, and the other way round. */
	assert_int_equal(roots_extract(f->store, &joined, "b", true, &got),
			 -ENOENT);
	assert_int_equal(extract(f, &f->b, "b", &got), -ENOENT);
	assert_int_equal(roots_extract(f->store, &f->b, NULL, true, &got), 0);
	assert_true(digest_equal(&got.catalog, &f->b));
	assert_int_equal(roots_extract(f->store, &f->b, "b", true, &got), 0);
	assert_true(digest_equal(&got.catalog, &f->b));
}

/* ---- files */

static int open_top(const struct fixture *f)
{
	int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void write_file(int dirfd, const char *name, const char *text, int flags)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | flags, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static struct digest take(struct fixture *f, int dirfd, const char *name)
{
	const struct ingest_owner self = { getuid(), getgid() };
	struct ingest_result result;

	assert_int_equal(lone_file_ingest(f->store, dirfd, name, name, &self,
					  NULL, &result),
			 0);
	return result.catalog;
}

static enum lone_file_state look(struct fixture *f, int dirfd, const char *name,
				 struct digest *ret_catalog)
{
	enum lone_file_state state;

	assert_int_equal(
		lone_file_look(f->store, dirfd, name, &state, ret_catalog), 0);
	return state;
}

/* Whether the file has the content of the tree's. */
static int equals(struct fixture *f, const struct digest *tree, int dirfd,
		  const char *name)
{
	struct store_tree *t;
	int r;

	assert_int_equal(store_tree_open(f->store, tree, &t), 0);
	r = lone_file_equals(t, dirfd, name);
	store_tree_unref(t);
	return r;
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int top = open_top(f);
	struct root roots[] = { { .name = "REPO/x/tool", .kind = ROOT_FILE },
				{ "REPO/x/b", f->b, ROOT_DIR },
				{ .name = "HOME/none", .kind = ROOT_ABSENT } };
	struct digest joined;
	struct root got;
	struct store_tree *t;
	uint32_t ino;

	write_file(top, "tool", "binary", O_EXCL);
	roots[0].catalog = take(f, top, "tool");
	assert_int_equal(join(f, roots, 3, &joined), 0);
	assert_int_equal(store_tree_open(f->store, &joined, &t), 0);
	assert_int_equal(
		catalog_resolve(store_tree_catalog(t), "REPO/x/tool", &ino), 0);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "HOME", &ino),
			 -ENOENT);
	store_tree_unref(t);

	/* Lost, and made again. */
	remove_catalog(f, &roots[0].catalog);
	assert_int_equal(extract(f, &joined, "REPO/x/tool", &got), 0);
	assert_int_equal(got.kind, ROOT_FILE);
	assert_true(digest_equal(&got.catalog, &roots[0].catalog));
	assert_int_equal(extract(f, &joined, "HOME/none", &got), 0);
	assert_int_equal(got.kind, ROOT_ABSENT);
	/* A file is all of an entry only where it is the only root. */
	assert_int_equal(roots_extract(f->store, &joined, "REPO/x/tool", true,
				       &got),
			 -ENOENT);
	assert_int_equal(join(f, roots, 1, &joined), 0);
	assert_int_equal(
		roots_extract(f->store, &joined, "REPO/x/tool", true, &got), 0);
	assert_int_equal(roots_extract(f->store, &joined, "REPO/x/b", true,
				       &got),
			 -ENOENT);
}

static void test_files_that_cannot_be_joined(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int top = open_top(f);
	struct root roots[] = { { .name = "a", .kind = ROOT_ABSENT },
				{ "other", f->b, ROOT_FILE } };
	struct digest joined;

	/* Nothing at all, */
	assert_int_equal(join(f, roots, 1, &joined), -EINVAL);
	/* a file by another name. */
	assert_int_equal(join(f, roots, 2, &joined), -EBADMSG);
	write_file(top, "other", "", O_EXCL);
	roots[1].catalog = take(f, top, "other");
	assert_int_equal(join(f, roots, 2, &joined), 0);
}

static void test_file_looked_at(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int top = open_top(f);
	struct digest tree, found;

	assert_int_equal(look(f, top, "f", &found), LONE_FILE_ABSENT);
	assert_int_equal(look(f, top, "a", &found), LONE_FILE_OTHER);
	assert_int_equal(symlinkat("f", top, "link"), 0);
	assert_int_equal(look(f, top, "link", &found), LONE_FILE_OTHER);

	write_file(top, "f", "content", O_EXCL);
	assert_int_equal(look(f, top, "f", &found), LONE_FILE_UNKNOWN);
	tree = take(f, top, "f");
	assert_int_equal(look(f, top, "f", &found), LONE_FILE_KNOWN);
	assert_true(digest_equal(&tree, &found));
	assert_int_equal(equals(f, &tree, top, "f"), 1);

	write_file(top, "f", "CONTENT", O_TRUNC);
	assert_int_equal(look(f, top, "f", &found), LONE_FILE_UNKNOWN);
	assert_int_equal(equals(f, &tree, top, "f"), 0);
	write_file(top, "f", "content", O_TRUNC);
	assert_int_equal(equals(f, &tree, top, "f"), 1);
	write_file(top, "f", "content and more", O_TRUNC);
	assert_int_equal(equals(f, &tree, top, "f"), 0);
}

/* Holes and more than one chunk; the times and the mode come back. */
static void test_file_written(void **state)
{
	const struct ingest_owner self = { getuid(), getgid() };
	const struct timespec times[2] = { { 1, 2 },
					   { 1234567890, 123456789 } };
	struct fixture *f = *state;
	_cleanup_close_ int top = open_top(f), fd = -1;
	struct digest tree, found;
	struct store_tree *t;
	struct stat st;

	write_file(top, "big", "begin", O_EXCL);
	fd = openat(top, "big", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "end", 3, 9 << 20), 3);
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_int_equal(futimens(fd, times), 0);
	tree = take(f, top, "big");
	assert_int_equal(equals(f, &tree, top, "big"), 1);
	assert_int_equal(unlinkat(top, "big", 0), 0);

	/* Over what is there, a link that leads away too. */
	assert_int_equal(symlinkat("a", top, "big"), 0);
	assert_int_equal(store_tree_open(f->store, &tree, &t), 0);
	assert_int_equal(lone_file_write(t, top, "big", &self), 0);
	store_tree_unref(t);
	assert_int_equal(fstatat(top, "big", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	assert_int_equal(st.st_size, (9 << 20) + 3);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(equals(f, &tree, top, "big"), 1);
	assert_int_equal(look(f, top, "big", &found), LONE_FILE_KNOWN);
	assert_true(digest_equal(&tree, &found));
	/* And it is the same tree again, without being read. */
	found = take(f, top, "big");
	assert_true(digest_equal(&tree, &found));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		T(test_join_and_read),
		T(test_what_cannot_be_joined),
		T(test_extract),
		T(test_files),
		T(test_files_that_cannot_be_joined),
		T(test_file_looked_at),
		T(test_file_written),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
