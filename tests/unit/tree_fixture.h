/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees, stores and comparisons for the tests of store, ingest and export.
 * Header-only; include it behind cmocka.h. Each fixture is one temporary
 * directory that goes with the test.
 */
#ifndef LARDER_TESTS_TREE_FIXTURE_H
#define LARDER_TESTS_TREE_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/export.h"
#include "store/ingest.h"
#include "store/store.h"

#define UNUSED __attribute__((unused))

struct fixture {
	char dir[64]; /* holds all others */
	struct store *store;
	struct ingest_owner self;
};

static int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	char path[96];

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%.40s/larder-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	f->self = (struct ingest_owner){ geteuid(), getegid() };
	snprintf(path, sizeof(path), "%s/store", f->dir);
	assert_int_equal(store_open(path, &f->store), 0);
	*state = f;
	return 0;
}

static int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	io_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static UNUSED void reopen_store(struct fixture *f)
{
	char path[96];

	store_close(f->store);
	f->store = NULL;
	snprintf(path, sizeof(path), "%s/store", f->dir);
	assert_int_equal(store_open(path, &f->store), 0);
}

/* A new directory below the fixture's. */
static UNUSED int make_dir(struct fixture *f, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Bytes that do not compress, the same for the same seed. */
static UNUSED void fill_noise(uint8_t *p, size_t len, uint64_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) +
		       1442695040888963407;
		p[i] = seed >> 56;
	}
}

static UNUSED void write_file(int dirfd, const char *name, const void *data,
			      size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0644);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite(fd, data, len, 0), 0);
	close(fd);
}

static UNUSED void write_noise(int dirfd, const char *name, size_t len,
			       uint64_t seed)
{
	uint8_t *data = malloc(len + 1);

	assert_non_null(data);
	fill_noise(data, len, seed);
	write_file(dirfd, name, data, len);
	free(data);
}

/* Text like source code: compresses, and all files have much in common. */
static UNUSED void write_text(int dirfd, const char *name, unsigned seed,
			      unsigned lines)
{
	char *text = malloc(lines * 80 + 1);
	size_t len = 0;
	unsigned i;

	assert_non_null(text);
	for (i = 0; i < lines; i++) {
		seed = seed * 1103515245 + 12345;
		len += sprintf(
			text + len,
			"module.exports.value%u = require(\"./lib%u\");\n",
			seed >> 16, seed >> 24);
	}
	write_file(dirfd, name, text, len);
	free(text);
}

static UNUSED void make_text_files(int dirfd, unsigned n)
{
	char name[32];
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "m%04u.js", i);
		write_text(dirfd, name, i + 1, 60 + i % 60);
	}
}

static UNUSED void set_time(int dirfd, const char *name, time_t sec, long nsec)
{
	const struct timespec ts[2] = { { sec, nsec }, { sec, nsec } };

	assert_int_equal(utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW), 0);
}

/* One of everything. Device nodes only where they can be made. */
static UNUSED void make_all_types(int fd)
{
	uint8_t zeros[4096] = { 0 };
	int file;

	write_file(fd, "empty", "", 0);
	write_file(fd, "small", "hello\n", 6);
	write_file(fd, "zeros", zeros, sizeof(zeros));
	write_noise(fd, "exact", 2u << 20, 1);
	write_noise(fd, "one-more", (2u << 20) + 1, 2);
	write_noise(fd, "large", 7u << 20, 3);
	file = openat(fd, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(io_pwrite(file, "middle", 6, 6u << 20), 0);
	assert_int_equal(ftruncate(file, 20u << 20), 0);
	close(file);
	file = openat(fd, "all-hole", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, 3u << 20), 0);
	close(file);
	assert_int_equal(symlinkat("small", fd, "link"), 0);
	assert_int_equal(symlinkat("../no/where", fd, "dangling"), 0);
	assert_int_equal(mkfifoat(fd, "fifo", 0620), 0);
	assert_int_equal(mkdirat(fd, "d", 0755), 0);
	assert_int_equal(mkdirat(fd, "d/e", 0755), 0);
	assert_int_equal(mkdirat(fd, "void", 0700), 0);
	write_file(fd, "d/e/deep", "deep", 4);
	assert_int_equal(linkat(fd, "small", fd, "d/hard", 0), 0);
	assert_int_equal(linkat(fd, "small", fd, "d/e/hard", 0), 0);
	assert_int_equal(linkat(fd, "link", fd, "d/hard-link", 0), 0);
	write_file(fd, "suid", "#!\n", 3);
	assert_int_equal(fchmodat(fd, "suid", 04755, 0), 0);
	write_file(fd, "secret", "x", 1);
	assert_int_equal(fchmodat(fd, "secret", 0400, 0), 0);
	write_file(fd, "bytes \xff\xfe\n", "n", 1);
	write_file(fd, "gr\xc3\xbc\xc3\x9f", "u", 1);
	if (geteuid() == 0) {
		assert_int_equal(
			mknodat(fd, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
		assert_int_equal(fchownat(fd, "d/e/deep", 12345, 54321, 0), 0);
	}
	set_time(fd, "small", 1234567890, 123456789);
	set_time(fd, "link", 1000000000, 1);
	set_time(fd, "fifo", 5, 999999999);
	set_time(fd, "d/e", 1500000000, 42);
	assert_int_equal(fchmodat(fd, "d/e", 02751, 0), 0);
	set_time(fd, "d", 1600000000, 43);
	set_time(fd, ".", 1700000000, 44);
}

/* Gives a file an attribute; false where the file system has none. */
static UNUSED bool set_xattr(int dirfd, const char *name, const char *key,
			     const void *value, size_t len)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	int r = fsetxattr(fd, key, value, len, 0);

	close(fd);
	return r == 0;
}

static UNUSED struct entry make_entry(const char *key)
{
	struct entry e = ENTRY_INIT;

	e.tenant = strdup(ENTRY_TENANT_LOCAL);
	e.namespace = strdup(ENTRY_NAMESPACE_DEFAULT);
	e.name = strdup("test");
	e.key = strdup(key);
	e.branch = strdup("main");
	e.creator = strdup("me@here");
	e.parent = strdup("");
	return e;
}

static UNUSED int try_import(struct fixture *f, int dirfd, const char *key,
			     struct progress *progress,
			     struct ingest_result *res)
{
	_cleanup_entry_ struct entry e = make_entry(key);

	return ingest_dir(f->store, dirfd, "tree", &f->self, false, progress,
			  &e, res);
}

static UNUSED struct ingest_result import_dir(struct fixture *f, int dirfd,
					      const char *key)
{
	struct ingest_result res;

	assert_int_equal(try_import(f, dirfd, key, NULL, &res), 0);
	return res;
}

static UNUSED struct store_tree *open_tree(struct fixture *f,
					   const struct digest *catalog)
{
	struct store_tree *t;

	assert_int_equal(store_tree_open(f->store, catalog, &t), 0);
	return t;
}

/* Files below v1/<what> of the store (temporary ones as well), and the path
 * of one of them. */
static UNUSED unsigned count_objects(struct fixture *f, const char *what,
				     char *ret_path, size_t room)
{
	char root[160], sub[420];
	struct dirent *de;
	unsigned n = 0;
	DIR *dir;

	snprintf(root, sizeof(root), "%s/store/v1/%s", f->dir, what);
	dir = opendir(root);
	assert_non_null(dir);
	while ((de = readdir(dir))) {
		struct dirent *inner;
		DIR *d;

		if (de->d_name[0] == '.') {
			n += strlen(de->d_name) > 2;
			continue;
		}
		snprintf(sub, sizeof(sub), "%s/%s", root, de->d_name);
		d = opendir(sub);
		assert_non_null(d);
		while ((inner = readdir(d))) {
			if (inner->d_name[0] == '.')
				continue;
			n++;
			if (ret_path)
				snprintf(ret_path, room, "%s/%s", sub,
					 inner->d_name);
		}
		closedir(d);
	}
	closedir(dir);
	return n;
}

static UNUSED void assert_nothing_stored(struct fixture *f)
{
	assert_int_equal(count_objects(f, "packs", NULL, 0), 0);
	assert_int_equal(count_objects(f, "catalogs", NULL, 0), 0);
	assert_int_equal(count_objects(f, "placements", NULL, 0), 0);
}

/* Changes one byte of a file. */
static UNUSED void flip_byte(const char *path, uint64_t off)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t b;

	assert_true(fd >= 0);
	assert_int_equal(io_pread(fd, &b, 1, off), 0);
	b ^= 0x40;
	assert_int_equal(io_pwrite(fd, &b, 1, off), 0);
	close(fd);
}

/* Comparing two plain trees */

static UNUSED void assert_same_content(int a, int b, const char *name,
				       uint64_t size)
{
	int fa = openat(a, name, O_RDONLY | O_CLOEXEC);
	int fb = openat(b, name, O_RDONLY | O_CLOEXEC);
	uint8_t *da = malloc(size + 1), *db = malloc(size + 1);

	assert_true(fa >= 0 && fb >= 0);
	assert_int_equal(io_pread(fa, da, size, 0), 0);
	assert_int_equal(io_pread(fb, db, size, 0), 0);
	assert_int_equal(memcmp(da, db, size), 0);
	free(da);
	free(db);
	close(fa);
	close(fb);
}

static UNUSED void assert_same_xattrs(int a, int b, const char *name)
{
	char pa[300], pb[300], la[4096], lb[4096];
	ssize_t na, nb;

	snprintf(pa, sizeof(pa), "/proc/self/fd/%d/%s", a, name);
	snprintf(pb, sizeof(pb), "/proc/self/fd/%d/%s", b, name);
	na = llistxattr(pa, la, sizeof(la));
	nb = llistxattr(pb, lb, sizeof(lb));
	assert_int_equal(na, nb);
	if (na <= 0)
		return;
	for (const char *key = la; key < la + na; key += strlen(key) + 1) {
		char va[4096], vb[4096];
		ssize_t len = lgetxattr(pa, key, va, sizeof(va));

		assert_int_equal(len, lgetxattr(pb, key, vb, sizeof(vb)));
		assert_memory_equal(va, vb, len);
	}
}

static UNUSED void assert_same_node(int a, int b, const char *name)
{
	char ta[4096] = "", tb[4096] = "";
	struct stat sa, sb;

	assert_int_equal(fstatat(a, name, &sa, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(b, name, &sb, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(sa.st_mode, sb.st_mode);
	assert_int_equal(sa.st_uid, sb.st_uid);
	assert_int_equal(sa.st_gid, sb.st_gid);
	assert_int_equal(sa.st_rdev, sb.st_rdev);
	assert_int_equal(sa.st_mtim.tv_sec, sb.st_mtim.tv_sec);
	assert_int_equal(sa.st_mtim.tv_nsec, sb.st_mtim.tv_nsec);
	assert_same_xattrs(a, b, name);
	if (S_ISDIR(sa.st_mode))
		return;
	assert_int_equal(sa.st_nlink, sb.st_nlink);
	assert_int_equal(sa.st_size, sb.st_size);
	if (S_ISREG(sa.st_mode))
		assert_same_content(a, b, name, sa.st_size);
	if (S_ISLNK(sa.st_mode)) {
		assert_true(readlinkat(a, name, ta, sizeof(ta) - 1) > 0);
		assert_true(readlinkat(b, name, tb, sizeof(tb) - 1) > 0);
		assert_string_equal(ta, tb);
	}
}

static UNUSED unsigned assert_same_dir(int a, int b)
{
	int fd = openat(a, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	struct dirent *de;
	unsigned n = 0;

	assert_non_null(dir);
	assert_same_node(a, b, ".");
	while ((de = readdir(dir))) {
		struct stat st;
		int sa, sb;

		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		n++;
		assert_same_node(a, b, de->d_name);
		fstatat(a, de->d_name, &st, AT_SYMLINK_NOFOLLOW);
		if (!S_ISDIR(st.st_mode))
			continue;
		sa = openat(a, de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		sb = openat(b, de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(sa >= 0 && sb >= 0);
		n += assert_same_dir(sa, sb);
		close(sa);
		close(sb);
	}
	closedir(dir);
	return n;
}

static UNUSED unsigned count_names(int fd)
{
	return assert_same_dir(fd, fd);
}

/* Both have the same names with the same nodes behind them. */
static UNUSED void assert_same_tree(int a, int b)
{
	assert_int_equal(assert_same_dir(a, b), count_names(b));
}

#endif
