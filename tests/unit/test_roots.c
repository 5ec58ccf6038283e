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
	const struct root roots[] = { { "REPO/x/b", f->b },
				      { "HOME/a", f->a },
				      { "REPO/x/c", f->a } };
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
			      (struct root[]){ { "a", f->a }, { "a/b", f->b } },
			      2, &joined),
			 -EINVAL);
	assert_int_equal(join(f,
			      (struct root[]){ { "a", f->a }, { "a", f->b } },
			      2, &joined),
			 -EINVAL);
	assert_int_equal(join(f, (struct root[]){ { "../a", f->a } }, 1,
			      &joined),
			 -EINVAL);
	assert_int_equal(join(f, (struct root[]){ { "a", f->a } }, 0, &joined),
			 -EINVAL);
	assert_int_equal(join(f, (struct root[]){ { "a", absent } }, 1,
			      &joined),
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

static void test_extract(void **state)
{
	struct fixture *f = *state;
	const struct root roots[] = { { "x/a", f->a }, { "b", f->b } };
	struct digest joined, got;

	assert_int_equal(join(f, roots, 2, &joined), 0);
	assert_int_equal(roots_extract(f->store, &joined, "x/a", &got), 0);
	assert_true(digest_equal(&got, &f->a));
	/* A part that the store has lost is made again, the same. */
	remove_catalog(f, &f->a);
	assert_int_equal(roots_extract(f->store, &joined, "x/a", &got), 0);
	assert_true(digest_equal(&got, &f->a));

	assert_int_equal(roots_extract(f->store, &joined, "x", &got), -ENOENT);
	assert_int_equal(roots_extract(f->store, &joined, "c", &got), -ENOENT);
	/* A tree of several is none of one, and the other way round. */
	assert_int_equal(roots_extract(f->store, &joined, NULL, &got), -ENOENT);
	assert_int_equal(roots_extract(f->store, &f->b, "b", &got), -ENOENT);
	assert_int_equal(roots_extract(f->store, &f->b, NULL, &got), 0);
	assert_true(digest_equal(&got, &f->b));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		T(test_join_and_read),
		T(test_what_cannot_be_joined),
		T(test_extract),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
