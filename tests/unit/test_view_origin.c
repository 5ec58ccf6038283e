/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes that tell where content comes from: what they say, when there is
 * none, and that nobody can list, set or forge them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/digest.h"

#include "view_fixture.h"

#define DIGEST "user.larder.digest"
#define KEY "user.larder.key"
#define TIER "user.larder.tier"
#define VALUE_MAX 128

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static ssize_t get(const char *path, const char *name, char *ret_value)
{
	uint64_t ino = *path ? fixture_ino(&fx, path) : VIEW_ROOT;
	ssize_t n = view_getxattr(fx.view, ino, name, ret_value, VALUE_MAX - 1);

	if (n >= 0) {
		assert_int_equal(view_getxattr(fx.view, ino, name, NULL, 0), n);
		ret_value[n] = '\0';
	}
	return n;
}

static void assert_value(const char *path, const char *name, const char *want)
{
	char value[VALUE_MAX] = "";

	assert_int_equal(get(path, name, value), strlen(want));
	assert_string_equal(value, want);
}

static void assert_none(const char *path, const char *name)
{
	char value[VALUE_MAX];

	assert_int_equal(get(path, name, value), -ENODATA);
}

/* As a digest of this content is written. */
static const char *text_of(const char *what, const void *data, size_t len)
{
	static char text[VALUE_MAX];
	struct digest d;
	int n = snprintf(text, sizeof(text), "%s:", what);

	assert_int_equal(digest_of(data, len, &d), 0);
	digest_hex(&d, text + n);
	return text;
}

static const char *tree_text(const struct digest *d)
{
	static char text[VALUE_MAX];
	int n = snprintf(text, sizeof(text), "sha256-catalog:");

	digest_hex(d, text + n);
	return text;
}

/* --- digests --- */

static void test_small(void **state)
{
	(void)state;
	assert_value("a", DIGEST, text_of("sha256", "hello", 5));
	assert_value("dir/hard", DIGEST, text_of("sha256", "hello", 5));
	assert_value("dir/sub/deep", DIGEST, text_of("sha256", "deep", 4));
	assert_value("zero", DIGEST, text_of("sha256", "", 0));
	assert_value("zero", DIGEST,
		     "sha256:e3b0c44298fc1c149afbf4c8996fb924"
		     "27ae41e4649b934ca495991b7852b855");
}

/* The list as the header describes it, made of what the catalog says. */
static void put_list(const char *path, struct buf *out)
{
	const struct catalog *c = store_tree_catalog(fx.base);
	static const struct digest hole;
	uint32_t ino = (uint32_t)fixture_ino(&fx, path), size;
	const struct digest *d;
	struct catalog_piece p;

	for (uint32_t n = 0; catalog_piece(c, ino, n, &p) == 0; n++) {
		d = &hole;
		if (p.chunk != CATALOG_HOLE)
			assert_int_equal(catalog_chunk(c, p.chunk, &d, &size),
					 0);
		buf_put_u64(out, p.len);
		buf_put(out, d->bytes, DIGEST_LEN);
	}
	assert_true(out->len >= 2 * (size_t)(8 + DIGEST_LEN));
}

static void assert_pieces(const char *path)
{
	_cleanup_buf_ struct buf list = BUF_INIT;

	put_list(path, &list);
	assert_value(path, DIGEST,
		     text_of("sha256-pieces", list.data, list.len));
}

static void test_pieces(void **state)
{
	(void)state;
	assert_pieces("big");
	assert_pieces("sparse");
}

static void test_what_has_none(void **state)
{
	(void)state;
	assert_none("dir", DIGEST);
	assert_none("dir", KEY);
	assert_none("dir", TIER);
	assert_none("", TIER);
	assert_none("link", DIGEST);
	assert_none("a", "user.larder.other");
}

/* --- what changes --- */

static void test_changed_content_has_none(void **state)
{
	(void)state;
	assert_int_equal(view_set_key(fx.view, "k"), 0);
	assert_int_equal(fixture_write(&fx, "b", "more"), 0);
	assert_int_equal(fixture_write(&fx, "new", "new"), 0);
	assert_int_equal(ops->truncate(&fx, "a", 0), 0);
	assert_int_equal(ops->truncate(&fx, "big", 4000000), 0);
	assert_int_equal(fixture_write(&fx, "zero", "z"), 0);
	for (unsigned i = 0; i < 5; i++) {
		const char *const path[] = { "b", "new", "dir/hard", "big",
					     "zero" };

		assert_none(path[i], DIGEST);
		assert_none(path[i], KEY);
		assert_none(path[i], TIER);
	}
}

static void test_other_changes_keep_it(void **state)
{
	(void)state;
	assert_int_equal(ops->chmod(&fx, "a", 0600), 0);
	assert_int_equal(ops->chmod(&fx, "zero", 0600), 0);
	assert_int_equal(ops->rename(&fx, "dir/one", "one", 0), 0);
	assert_value("a", DIGEST, text_of("sha256", "hello", 5));
	assert_value("zero", DIGEST, text_of("sha256", "", 0));
	assert_value("one", DIGEST, text_of("sha256", "1", 1));
}

static void test_root(void **state)
{
	struct ingest_result result;

	(void)state;
	assert_value("", DIGEST, tree_text(store_tree_digest(fx.base)));
	assert_int_equal(fixture_write(&fx, "b", "more"), 0);
	assert_none("", DIGEST);
	assert_int_equal(fixture_commit(&fx, "k2", &result), 0);
	assert_value("", DIGEST, tree_text(&result.catalog));
	assert_value("b", DIGEST, text_of("sha256", "more", 4));
	assert_value("b", TIER, "local");
}

static void test_key(void **state)
{
	(void)state;
	assert_none("a", KEY);
	assert_int_equal(view_set_key(fx.view, "fingerprint"), 0);
	assert_value("a", KEY, "fingerprint");
	assert_value("", KEY, "fingerprint");
	assert_int_equal(view_set_key(fx.view, "next"), 0);
	assert_value("a", KEY, "next");
}

static void test_tier(void **state)
{
	(void)state;
	assert_value("a", TIER, "local");
	assert_value("big", TIER, "local");
	assert_value("zero", TIER, "local");
}

static void test_of_nothing(void **state)
{
	(void)state;
	assert_none("", DIGEST);
	assert_none("", KEY);
	assert_int_equal(fixture_write(&fx, "f", ""), 0);
	assert_none("f", DIGEST);
}

/* --- reserved --- */

static void test_room(void **state)
{
	char value[VALUE_MAX];

	(void)state;
	assert_int_equal(view_getxattr(fx.view, fixture_ino(&fx, "a"), DIGEST,
				       value, 70),
			 -ERANGE);
	assert_int_equal(view_getxattr(fx.view, fixture_ino(&fx, "a"), DIGEST,
				       value, 71),
			 71);
	assert_int_equal(view_getxattr(fx.view, VIEW_INO_FIRST + 99, DIGEST,
				       value, 71),
			 -ESTALE);
}

static void test_nobody_sets_them(void **state)
{
	uint64_t a = fixture_ino(&fx, "a");

	(void)state;
	assert_int_equal(view_setxattr(fx.view, a, DIGEST, "x", 1, 0), -EPERM);
	assert_int_equal(view_setxattr(fx.view, a, DIGEST, "x", 1,
				       XATTR_CREATE),
			 -EPERM);
	assert_int_equal(view_setxattr(fx.view, a, "user.larder.x", "x", 1, 0),
			 -EPERM);
	assert_int_equal(view_removexattr(fx.view, a, DIGEST), -EPERM);
	assert_int_equal(view_setxattr(fx.view, a, "user.larderx", "x", 1, 0),
			 0);
	assert_value("a", "user.larderx", "x");
}

static void forged_base(int dirfd)
{
	int fd = openat(dirfd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(fsetxattr(fd, DIGEST, "sha256:0", 8, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.larder.roots", "r", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.mine", "m", 1, 0), 0);
	close(fd);
}

static int setup_forged(void **state)
{
	fixture_open(*state, forged_base);
	return 0;
}

/* What somebody has put into the tree itself is not what is answered. */
static void test_forged(void **state)
{
	char list[256];

	(void)state;
	assert_value("a", DIGEST, text_of("sha256", "hello", 5));
	assert_value("a", "user.larder.roots", "r");
	assert_int_equal(view_listxattr(fx.view, fixture_ino(&fx, "a"), true,
					list, sizeof(list)),
			 sizeof("user.mine"));
	assert_string_equal(list, "user.mine");
	assert_int_equal(fixture_write(&fx, "a", "x"), 0);
	assert_none("a", DIGEST);
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_small),
		BASE(test_pieces),
		BASE(test_what_has_none),
		BASE(test_changed_content_has_none),
		BASE(test_other_changes_keep_it),
		BASE(test_root),
		BASE(test_key),
		BASE(test_tier),
		FIXTURE_TEST(test_of_nothing, fixture_setup_empty, &fx),
		BASE(test_room),
		BASE(test_nobody_sets_them),
		FIXTURE_TEST(test_forged, setup_forged, &fx),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
