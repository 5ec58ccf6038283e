/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: parts, fingerprints against independent tools, and file patterns. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/key.h"

#define _cleanup_parts_ _cleanup_(key_parts_release)
#define AT(f) (&(const struct key_place){ .rootfd = (f)->fd })

struct fixture {
	char dir[4096];
	int fd;
};

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "%s/test_key.XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

/* Makes a file with its directories; its content is its path. */
static void make(struct fixture *f, const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	char *slash = copy;
	int fd;

	while ((slash = strchr(slash, '/'))) {
		*slash = '\0';
		assert_true(mkdirat(f->fd, copy, 0700) == 0 || errno == EEXIST);
		*slash++ = '/';
	}
	fd = openat(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, path, strlen(path)), 0);
	close(fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct key_part *)a)->name,
		      ((const struct key_part *)b)->name);
}

/* `want`: the names, each followed by a blank, in byte order. */
static void check_glob(struct fixture *f, const char *glob, const char *want)
{
	_cleanup_parts_ struct key_parts parts = KEY_PARTS_INIT;
	_cleanup_buf_ struct buf names = BUF_INIT;
	char *bad = NULL;
	size_t i;
	int r = key_add_files(&parts, AT(f), glob, &bad);

	assert_null(bad);
	assert_int_equal(r, *want ? 0 : -ENOENT);
	if (parts.count > 0)
		qsort(parts.items, parts.count, sizeof(*parts.items), by_name);
	for (i = 0; i < parts.count; i++) {
		const char *name = parts.items[i].name;
		struct digest digest;

		buf_printf(&names, "%s ", name);
		if (strcmp(parts.items[i].kind, "link") == 0)
			continue;
		assert_string_equal(parts.items[i].kind, "file");
		assert_int_equal(digest_of(name, strlen(name), &digest), 0);
		assert_memory_equal(&parts.items[i].digest, &digest,
				    sizeof(digest));
	}
	buf_put_u8(&names, 0);
	assert_string_equal((char *)names.data, want);
}

static void make_tree(struct fixture *f)
{
	make(f, "package.json");
	make(f, "package-lock.json");
	make(f, "src/a.c");
	make(f, "src/b.h");
	make(f, "src/deep/a.c");
	make(f, "src/deep/er/a.c");
	make(f, "src/.hidden.c");
	make(f, "src/.cache/a.c");
	make(f, ".npmrc");
	make(f, ".git/HEAD");
	make(f, "sub/.git/a.c");
	make(f, "sub/x/src/a.c");
}

static void test_literal(void **state)
{
	struct fixture *f = *state;

	make_tree(f);
	check_glob(f, "package.json", "package.json ");
	check_glob(f, "./package.json", "package.json ");
	check_glob(f, "src//deep/./a.c", "src/deep/a.c ");
	check_glob(f, ".npmrc", ".npmrc ");
	check_glob(f, "src/.cache/a.c", "src/.cache/a.c ");
	check_glob(f, "nope.json", "");
	check_glob(f, "package.json/x", "");
	check_glob(f, "src", ""); /* a directory */
}

static void test_wildcards(void **state)
{
	struct fixture *f = *state;

	make_tree(f);
	check_glob(f, "*", "package-lock.json package.json ");
	check_glob(f, "*.json", "package-lock.json package.json ");
	check_glob(f, "package?json", "package.json ");
	check_glob(f, "src/[ab].[a-h]", "src/a.c src/b.h ");
	check_glob(f, "src/[!a].?", "src/b.h ");
	check_glob(f, "src/*", "src/a.c src/b.h ");
	check_glob(f, "src/.*", "src/.hidden.c ");
	check_glob(f, ".*", ".npmrc ");
	check_glob(f, "src/*/a.c", "src/deep/a.c ");
	check_glob(f, "src/.*/a.c", "src/.cache/a.c ");
	check_glob(f, "*/a.c", "src/a.c ");
	check_glob(f, "*.rs", "");
}

static void test_any_depth(void **state)
{
	struct fixture *f = *state;

	make_tree(f);
	check_glob(f, "**/a.c",
		   "src/a.c src/deep/a.c src/deep/er/a.c sub/x/src/a.c ");
	check_glob(f, "src/**",
		   "src/a.c src/b.h src/deep/a.c src/deep/er/a.c ");
	check_glob(f, "src/**/a.c", "src/a.c src/deep/a.c src/deep/er/a.c ");
	check_glob(f, "src/**/**/a.c", "src/a.c src/deep/a.c src/deep/er/a.c ");
	check_glob(f, "**/src/**/a.c",
		   "src/a.c src/deep/a.c src/deep/er/a.c sub/x/src/a.c ");
	check_glob(f, "**/deep/**", "src/deep/a.c src/deep/er/a.c ");
	check_glob(f, "**/.cache/*", "src/.cache/a.c ");
	check_glob(f, "**/.hidden.c", "src/.hidden.c ");
	check_glob(f, "**/er/*.c", "src/deep/er/a.c ");
	check_glob(f, "src/a**c", "src/a.c ");
	check_glob(f, "**/*.rs", "");
}

static void test_git_is_not_entered(void **state)
{
	struct fixture *f = *state;

	make_tree(f);
	check_glob(f, ".git/HEAD", "");
	check_glob(f, ".git/*", "");
	check_glob(f, ".*/*", "");
	check_glob(f, "sub/.git/**", "");
	/* A file of that name is one. */
	make(f, "wt/.git");
	check_glob(f, "wt/.git", "wt/.git ");
}

static void test_mounts_are_not_entered(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *sub = io_path("%s/sub", f->dir);

	make_tree(f);
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", sub, "tmpfs", 0, NULL) < 0)
		skip(); /* takes privilege */
	/* The directory as this name space sees it. */
	close(f->fd);
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	make(f, "sub/x/src/a.c");
	check_glob(f, "**/src/a.c", "src/a.c ");
	check_glob(f, "sub/x/src/a.c", "");
	assert_int_equal(umount(sub), 0);
	check_glob(f, "**/src/a.c", "src/a.c sub/x/src/a.c ");
}

/* Each "**" doubles the ways to a file; it is found once, and soon. */
static void test_many_stars(void **state)
{
	struct fixture *f = *state;

	make(f, "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/f");
	check_glob(f, "**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/f",
		   "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/f ");
}

static void check_invalid(struct fixture *f, const char *glob)
{
	_cleanup_parts_ struct key_parts parts = KEY_PARTS_INIT;

	assert_int_equal(key_add_files(&parts, AT(f), glob, NULL), -EINVAL);
	assert_int_equal(parts.count, 0);
}

static void test_invalid_patterns(void **state)
{
	struct fixture *f = *state;
	char many[2 * 64 + 1];
	int i;

	make_tree(f);
	check_invalid(f, "");
	check_invalid(f, "/etc/passwd");
	check_invalid(f, "../x");
	check_invalid(f, "src/../package.json");
	check_invalid(f, "src/..");
	check_invalid(f, "src/");
	check_invalid(f, ".");
	check_invalid(f, "./.");
	for (i = 0; i < 64; i++)
		memcpy(many + 2 * i, "*/", 2);
	many[2 * 64 - 1] = '\0';
	check_invalid(f, many);
	many[2 * 63 - 1] = '\0';
	check_glob(f, many, "");
}

static void test_symbolic_links(void **state)
{
	struct fixture *f = *state;
	_cleanup_parts_ struct key_parts parts = KEY_PARTS_INIT;
	struct digest digest;

	make_tree(f);
	assert_int_equal(symlinkat("../package.json", f->fd, "src/l.c"), 0);
	assert_int_equal(symlinkat("src", f->fd, "linked"), 0);
	assert_int_equal(symlinkat("nowhere", f->fd, "dangling"), 0);
	check_glob(f, "src/*.c", "src/a.c src/l.c ");
	check_glob(f, "linked/a.c", ""); /* not followed */
	check_glob(f, "linked/**", "");
	check_glob(f, "*/b.h", "src/b.h ");
	check_glob(f, "dangling", "dangling ");

	assert_int_equal(key_add_files(&parts, AT(f), "src/l.c", NULL), 0);
	assert_int_equal(parts.count, 1);
	assert_string_equal(parts.items[0].kind, "link");
	assert_int_equal(digest_of("../package.json", 15, &digest), 0);
	assert_memory_equal(&parts.items[0].digest, &digest, sizeof(digest));
}

static void test_special_files(void **state)
{
	struct fixture *f = *state;

	make(f, "d/file");
	assert_int_equal(mkfifoat(f->fd, "d/fifo", 0600), 0);
	check_glob(f, "d/*", "d/file ");
	check_glob(f, "d/fifo", "");
}

/* Names are bytes: in any locale, of any encoding. */
static void test_binary_names(void **state)
{
	struct fixture *f = *state;

	make(f, "n/\xff\xfe.c");
	make(f, "n/a\nb.c");
	make(f, "n/\xc3\xa9.c");
	make(f, "n/*.c");
	check_glob(f, "n/??.c", "n/\xc3\xa9.c n/\xff\xfe.c ");
	check_glob(f, "n/a\nb.c", "n/a\nb.c ");
	check_glob(f, "n/\xff*", "n/\xff\xfe.c ");
	check_glob(f, "n/\\*.c", "n/*.c ");
	check_glob(f, "n/[\xc0-\xff]?.c", "n/\xc3\xa9.c n/\xff\xfe.c ");
	if (setlocale(LC_ALL, "C.UTF-8")) {
		check_glob(f, "n/??.c", "n/\xc3\xa9.c n/\xff\xfe.c ");
		check_glob(f, "n/[a-z]*", "n/a\nb.c ");
		setlocale(LC_ALL, "C");
	}
}

static void test_large_file(void **state)
{
	struct fixture *f = *state;
	_cleanup_parts_ struct key_parts parts = KEY_PARTS_INIT;
	_cleanup_free_ char *data = malloc(1000003);
	struct digest digest;
	int fd;

	memset(data, 'x', 1000003);
	fd = openat(f->fd, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_int_equal(io_write(fd, data, 1000003), 0);
	close(fd);
	assert_int_equal(digest_of(data, 1000003, &digest), 0);
	assert_int_equal(key_add_files(&parts, AT(f), "big", NULL), 0);
	assert_memory_equal(&parts.items[0].digest, &digest, sizeof(digest));
}

/* A name of which the walk cannot tell anything: too long for the system. */
static void test_failure_names_the_path(void **state)
{
	struct fixture *f = *state;
	_cleanup_parts_ struct key_parts parts = KEY_PARTS_INIT;
	_cleanup_free_ char *bad = NULL;
	char glob[400] = "src/deep/";

	make_tree(f);
	memset(glob + 9, 'x', 300);
	assert_int_equal(key_add_files(&parts, AT(f), glob, &bad),
			 -ENAMETOOLONG);
	assert_non_null(bad);
	assert_string_equal(bad, glob);
}

/* In whatever order files were made, and whichever patterns overlap. */
static void test_order_does_not_matter(void **state)
{
	struct fixture *f = *state;
	_cleanup_parts_ struct key_parts a = KEY_PARTS_INIT, b = KEY_PARTS_INIT;
	struct digest x, y;
	char name[32];
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "one/%d/f", i * 37 % 200);
		make(f, name);
	}
	assert_int_equal(key_add_files(&a, AT(f), "one/**", NULL), 0);
	assert_int_equal(a.count, 200);
	assert_int_equal(io_remove_tree(f->fd, "one"), 0);
	for (i = 199; i >= 0; i--) {
		snprintf(name, sizeof(name), "one/%d/f", i);
		make(f, name);
	}
	assert_int_equal(key_add_files(&b, AT(f), "one/1*/f", NULL), 0);
	assert_int_equal(key_add_files(&b, AT(f), "**/f", NULL), 0);
	assert_int_equal(key_add_files(&b, AT(f), "one/7/f", NULL), 0);
	assert_int_equal(key_fingerprint(&a, &x), 0);
	assert_int_equal(key_fingerprint(&b, &y), 0);
	assert_int_equal(b.count, 200);
	assert_memory_equal(&x, &y, sizeof(x));
}

/*
 * Made with other tools:
 *
 *	h() { printf %s "$1" | sha256sum | cut -c1-64; }
 *	{ printf 'larder-key 2\n'
 *	  { printf 'file %s a/b.txt\n' $(h hello)
 *	    printf 'file %s new\\nline\\\\\n' $(h hello)
 *	    printf 'env %s HOME_OF_TESTS\n' $(h value)
 *	    printf 'env %064d UNSET_IN_TESTS\n' 0
 *	    printf 'platform %s linux-x86_64\n' $(h linux-x86_64)
 *	    printf 'salt %s \n' $(h pepper); } | LC_ALL=C sort; } | sha256sum
 */
#define GOLDEN_FINGERPRINT \
	"e4cff1078a97babdd96c5f93b996d04d110880e6f1a771001e08e80781480d7d"

static void test_golden_fingerprint(void **state)
{
	_cleanup_parts_ struct key_parts p = KEY_PARTS_INIT;
	char hex[DIGEST_HEX_LEN + 1];
	struct digest hello, key;

	(void)state;
	if (strcmp(key_platform(), "linux-x86_64") != 0)
		skip();
	assert_int_equal(digest_of("hello", 5, &hello), 0);
	setenv("HOME_OF_TESTS", "value", 1);
	unsetenv("UNSET_IN_TESTS");
	assert_int_equal(key_add_salt(&p, "pepper"), 0);
	assert_int_equal(key_add_platform(&p), 0);
	assert_int_equal(key_add_env(&p, "UNSET_IN_TESTS"), 0);
	assert_int_equal(key_parts_add(&p, "file", "new\nline\\", &hello), 0);
	assert_int_equal(key_parts_add(&p, "file", "a/b.txt", &hello), 0);
	assert_int_equal(key_parts_add(&p, "file", "a/b.txt", &hello), 0);
	assert_int_equal(key_add_env(&p, "HOME_OF_TESTS"), 0);
	assert_int_equal(key_fingerprint(&p, &key), 0);
	assert_int_equal(p.count, 6);
	digest_hex(&key, hex);
	assert_string_equal(hex, GOLDEN_FINGERPRINT);
}

/* The order of parts is that of their lines, where a newline is written as
 * \n and a backslash as two. */
static void test_sorting(void **state)
{
	static const char *const sorted[] = {
		"",    "\\",   "\\n", "\n",   "a",  "a\x01",
		"a\\", "a\\n", "a\n", "a\n!", "a]", "\xff",
	};
	_cleanup_parts_ struct key_parts p = KEY_PARTS_INIT;
	const struct digest zero = { { 0 } };
	int i;

	(void)state;
	for (i = 11; i >= 0; i--) {
		assert_int_equal(
			key_parts_add(&p, "k", sorted[i * 5 % 12], &zero), 0);
		assert_int_equal(
			key_parts_add(&p, "k", sorted[i * 5 % 12], &zero), 0);
	}
	key_parts_sort(&p);
	assert_int_equal(p.count, 12);
	for (i = 0; i < 12; i++)
		assert_string_equal(p.items[i].name, sorted[i]);
}

static void fingerprint_of_env(const char *value, struct digest *ret_digest)
{
	_cleanup_parts_ struct key_parts p = KEY_PARTS_INIT;

	if (value)
		setenv("LARDER_TEST_VAR", value, 1);
	else
		unsetenv("LARDER_TEST_VAR");
	assert_int_equal(key_add_env(&p, "LARDER_TEST_VAR"), 0);
	assert_int_equal(key_fingerprint(&p, ret_digest), 0);
}

static void test_env(void **state)
{
	_cleanup_parts_ struct key_parts p = KEY_PARTS_INIT;
	struct digest absent, empty, set, again;

	(void)state;
	fingerprint_of_env(NULL, &absent);
	fingerprint_of_env("", &empty);
	fingerprint_of_env("x", &set);
	fingerprint_of_env("x", &again);
	assert_false(digest_equal(&absent, &empty));
	assert_false(digest_equal(&empty, &set));
	assert_true(digest_equal(&set, &again));
	assert_int_equal(key_add_env(&p, ""), -EINVAL);
	assert_int_equal(key_add_env(&p, "A=B"), -EINVAL);
}

static void test_no_parts(void **state)
{
	struct key_parts p = KEY_PARTS_INIT;
	struct digest d;

	(void)state;
	assert_int_equal(key_fingerprint(&p, &d), -EINVAL);
	key_parts_release(&p);
}

static void test_part_limits(void **state)
{
	_cleanup_parts_ struct key_parts p = KEY_PARTS_INIT;
	_cleanup_free_ char *name = malloc(KEY_PART_NAME_MAX + 2);
	char kind[KEY_KIND_MAX + 2];
	const struct digest d = { { 0 } };

	(void)state;
	memset(name, 'n', KEY_PART_NAME_MAX + 1);
	name[KEY_PART_NAME_MAX + 1] = '\0';
	memset(kind, 'k', KEY_KIND_MAX + 1);
	kind[KEY_KIND_MAX + 1] = '\0';
	assert_int_equal(key_parts_add(&p, "file", name, &d), -EINVAL);
	assert_int_equal(key_parts_add(&p, "file", name + 1, &d), 0);
	assert_int_equal(key_parts_add(&p, kind, "x", &d), -EINVAL);
	assert_int_equal(key_parts_add(&p, kind + 1, "x", &d), 0);
}

static void test_alphabet(void **state)
{
	char text[KEY_MAX + 2];

	(void)state;
	assert_true(key_is_valid("a"));
	assert_true(key_is_valid("0.A_b-9"));
	assert_false(key_is_valid(""));
	assert_false(key_is_valid(".a"));
	assert_false(key_is_valid("-a"));
	assert_false(key_is_valid("_a"));
	assert_false(key_is_valid("a/b"));
	assert_false(key_is_valid("a b"));
	assert_false(key_is_valid("a@b"));
	assert_false(key_is_valid("a\xc3\xa9"));
	assert_false(key_is_valid("a\n"));
	memset(text, 'x', sizeof(text));
	text[KEY_MAX + 1] = '\0';
	assert_false(key_is_valid(text));
	assert_true(key_is_valid(text + 1));
}

#define T(test) cmocka_unit_test(test)
#define DIR_T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIR_T(test_literal),
		DIR_T(test_wildcards),
		DIR_T(test_any_depth),
		DIR_T(test_git_is_not_entered),
		DIR_T(test_mounts_are_not_entered),
		DIR_T(test_many_stars),
		DIR_T(test_invalid_patterns),
		DIR_T(test_symbolic_links),
		DIR_T(test_special_files),
		DIR_T(test_binary_names),
		DIR_T(test_large_file),
		DIR_T(test_failure_names_the_path),
		DIR_T(test_order_does_not_matter),
		T(test_golden_fingerprint),
		T(test_sorting),
		T(test_env),
		T(test_no_parts),
		T(test_part_limits),
		T(test_alphabet),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
