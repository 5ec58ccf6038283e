/* SPDX-License-Identifier: Apache-2.0 */
/* Trees into the store: what is stored, what is refused, what a failure
 * leaves behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>

#include "store/ingest_internal.h"
#include "tree_fixture.h"

static const struct catalog_meta plain_dir = { .mode = S_IFDIR | 0755 };
static const struct catalog_meta plain_file = { .mode = S_IFREG | 0644 };

static void equal_tree_adds_nothing(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct ingest_result a, b;

	make_all_types(from);
	make_text_files(from, 300);
	a = import_dir(f, from, "k1");
	assert_true(a.new_chunks > 300);
	/* Holes are not. */
	assert_true(a.read_bytes > 0 && a.read_bytes <= a.bytes);
	b = import_dir(f, from, "k2");
	assert_true(digest_equal(&a.catalog, &b.catalog));
	assert_int_equal(b.new_chunks, 0);
	assert_int_equal(b.new_files, 0);
	assert_int_equal(b.stored_bytes, 0);
	assert_int_equal(b.files, a.files);
	close(from);
}

static void changed_tree_adds_the_change(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct ingest_result res;

	make_text_files(from, 300);
	import_dir(f, from, "k1");
	write_file(from, "m0007.js", "changed", 7);
	write_file(from, "copy", "changed", 7);
	res = import_dir(f, from, "k2");
	assert_int_equal(res.new_chunks, 1);
	assert_int_equal(res.new_files, 1);
	assert_int_equal(res.new_bytes, 7);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 2);
	close(from);
}

/* Large enough for a dictionary and for several packs. */
static void make_large_tree(int fd)
{
	char name[32];
	unsigned i;

	make_text_files(fd, 900);
	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		write_noise(fd, name, (1u << 20) + i, i + 1);
	}
	write_noise(fd, "p-large", 9u << 20, 99);
	write_noise(fd, "q-again", 9u << 20, 99);
}

static void import_with_threads(struct fixture *f, int fd, int threads,
				struct ingest_result *res)
{
	ingest_threads = threads;
	assert_int_equal(try_import(f, fd, "k", NULL, res), 0);
	ingest_threads = -1;
}

/* Packs are named by their bytes, so it is enough to compare names. */
static void packs_do_not_depend_on_threads(void **state)
{
	static const int threads[] = { 0, 1, 2, 7 };
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct ingest_result first, res;
	struct digest names[64];
	struct store_tree *t;
	struct pack_loc loc;
	size_t i;

	make_large_tree(from);
	for (i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		struct catalog_info info;
		uint32_t c, n = 0;

		import_with_threads(f, from, threads[i], &res);
		if (i == 0)
			first = res;
		assert_true(digest_equal(&res.catalog, &first.catalog));
		assert_int_equal(res.new_chunks, first.new_chunks);
		assert_int_equal(res.stored_bytes, first.stored_bytes);
		assert_true(res.stored_bytes < res.new_bytes);
		t = open_tree(f, &res.catalog);
		catalog_info(store_tree_catalog(t), &info);
		for (c = 0; c < info.chunks; c += 100) {
			assert_int_equal(store_tree_locate(t, c, &loc), 0);
			if (i == 0)
				names[n] = loc.pack;
			assert_true(n < 64 &&
				    digest_equal(&names[n], &loc.pack));
			n++;
		}
		store_tree_unref(t);
		assert_int_equal(count_objects(f, "packs", NULL, 0), 2);

		/* The next one starts with an empty store. */
		store_close(f->store);
		f->store = NULL;
		{
			char path[96];

			snprintf(path, sizeof(path), "%s/store", f->dir);
			assert_int_equal(io_remove_tree(AT_FDCWD, path), 0);
			assert_int_equal(store_open(path, &f->store), 0);
		}
	}
	close(from);
}

/* A loader over memory. */
struct mem_file {
	const uint8_t *data;
	size_t len;
	int open_err, read_err, close_err;
};

static int mem_open(void *ctx, uint64_t cookie, void **ret_handle)
{
	struct mem_file *files = ctx;

	if (files[cookie].open_err)
		return files[cookie].open_err;
	*ret_handle = &files[cookie];
	return 0;
}

static ssize_t mem_read(void *handle, void *buf, size_t len, uint64_t off)
{
	struct mem_file *m = handle;
	size_t n;

	if (m->read_err && off > 0)
		return m->read_err;
	n = off < m->len ? m->len - off : 0;
	n = n < len ? n : len;
	/* Short reads are allowed. */
	n = n > 70000 ? 70000 : n;
	if (n > 0)
		memcpy(buf, m->data + off, n);
	return n;
}

static int mem_close(void *ctx, uint64_t cookie, void *handle, uint64_t got)
{
	struct mem_file *m = handle;

	(void)ctx;
	(void)cookie;
	if (m->close_err)
		return m->close_err;
	return m->read_err || got <= m->len ? 0 : -EINVAL;
}

static const struct ingest_loader mem_loader = {
	.open = mem_open,
	.read = mem_read,
	.close = mem_close,
};

/* An ingest with `n` files "f0", "f1", ...; the nodes are 1 .. n. */
static struct ingest *begin_ingest(struct fixture *f, unsigned n)
{
	const uint32_t *files;
	struct ingest *in;
	size_t count;
	unsigned i;

	assert_int_equal(ingest_new(f->store, &plain_dir, NULL, &in), 0);
	for (i = 0; i < n; i++) {
		char name[16];
		uint32_t node;

		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(catalog_build_node(ingest_build(in),
						    &plain_file, &node),
				 0);
		assert_int_equal(node, i + 1);
		assert_int_equal(catalog_build_link(ingest_build(in),
						    CATALOG_BUILD_ROOT, name,
						    strlen(name), node),
				 0);
	}
	assert_int_equal(catalog_build_order(ingest_build(in), &files, &count),
			 0);
	return in;
}

static void assert_content(struct fixture *f, const struct digest *catalog,
			   const char *name, const void *data, size_t len)
{
	struct store_tree *t = open_tree(f, catalog);
	uint8_t *got = malloc(len + 1);
	struct codec_ctx *ctx;
	uint32_t ino;

	assert_int_equal(codec_ctx_new(&ctx), 0);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), name, &ino), 0);
	assert_int_equal(store_file_read(t, ctx, ino, got, len + 1, 0), len);
	assert_int_equal(memcmp(got, data, len), 0);
	codec_ctx_free(ctx);
	store_tree_unref(t);
	free(got);
}

static void files_that_grew_or_shrank_are_read_to_the_end(void **state)
{
	struct fixture *f = *state;
	size_t len = 5u << 20;
	uint8_t *data = malloc(len);
	struct mem_file files[] = {
		{ .data = data, .len = 100 },
		{ .data = data, .len = len },
		{ .data = data + 1, .len = 3u << 20 },
		{ .data = data + 2, .len = 10 },
		{ .data = data, .len = 0 },
	};
	static const uint64_t expected[] = { 10, 1000, 4u << 20, 500000, 7 };
	struct ingest *in = begin_ingest(f, 5);
	struct ingest_result res;
	unsigned i;

	fill_noise(data, len, 5);
	for (i = 0; i < 5; i++)
		assert_int_equal(ingest_load(in, i + 1, &mem_loader, files, i,
					     expected[i]),
				 0);
	assert_int_equal(ingest_commit(in, NULL, &res), 0);
	ingest_free(in);
	for (i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		assert_content(f, &res.catalog, name, files[i].data,
			       files[i].len);
	}
	free(data);
}

static void failing_loader_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	size_t len = 3u << 20;
	uint8_t *data = malloc(len);
	struct mem_file kinds[] = {
		{ .data = data, .len = 100, .open_err = -EACCES },
		{ .data = data, .len = len, .read_err = -EIO },
		{ .data = data, .len = 100000, .read_err = -ENXIO },
		{ .data = data, .len = 100, .close_err = -ESTALE },
	};
	static const int errs[] = { -EACCES, -EIO, -ENXIO, -ESTALE };
	struct ingest_result res;
	unsigned k, i;

	fill_noise(data, len, 6);
	for (k = 0; k < 4; k++) {
		struct mem_file files[12];
		struct ingest *in = begin_ingest(f, 12);
		int r = 0;

		for (i = 0; i < 12; i++)
			files[i] = (struct mem_file){ .data = data + i,
						      .len = len - 12 };
		files[7] = kinds[k];
		for (i = 0; i < 12 && r == 0; i++)
			r = ingest_load(in, i + 1, &mem_loader, files, i,
					files[i].len);
		if (r == 0)
			r = ingest_commit(in, NULL, &res);
		assert_int_equal(r, errs[k]);
		/* The sticky error: no content, no commit. */
		assert_int_equal(ingest_load(in, 1, &mem_loader, files, 0, 1),
				 errs[k]);
		assert_int_equal(ingest_commit(in, NULL, &res), errs[k]);
		ingest_free(in);
		assert_nothing_stored(f);
	}
	free(data);
}

static void known_pieces_and_holes_keep_their_order(void **state)
{
	struct fixture *f = *state;
	uint8_t data[3000], want[9000] = { 0 };
	struct mem_file files[] = { { .data = data, .len = sizeof(data) } };
	struct ingest *in = begin_ingest(f, 1);
	struct ingest_result res;
	struct store_tree *t;
	struct pack_loc loc;
	struct digest digest;

	fill_noise(data, sizeof(data), 7);
	assert_int_equal(digest_of(data, sizeof(data), &digest), 0);
	assert_int_equal(ingest_load(in, 1, &mem_loader, files, 0, 3000), 0);
	assert_int_equal(ingest_commit(in, NULL, &res), 0);
	ingest_free(in);
	t = open_tree(f, &res.catalog);
	assert_int_equal(store_tree_locate(t, 0, &loc), 0);
	store_tree_unref(t);

	in = begin_ingest(f, 1);
	assert_int_equal(ingest_known(in, 1, &digest, 3000, &loc), 0);
	assert_int_equal(ingest_known(in, 1, NULL, 3000, NULL), 0);
	assert_int_equal(ingest_known(in, 1, &digest, 3000, &loc), 0);
	assert_int_equal(ingest_known(in, 1, NULL, 0, NULL), -EINVAL);
	assert_int_equal(ingest_known(in, 1, &digest, 3000, NULL), -EINVAL);
	assert_int_equal(ingest_commit(in, NULL, &res), 0);
	ingest_free(in);
	assert_int_equal(res.new_chunks, 0);
	assert_int_equal(res.read_bytes, 0);
	memcpy(want, data, 3000);
	memcpy(want + 6000, data, 3000);
	assert_content(f, &res.catalog, "f0", want, sizeof(want));
}

/* Progress that acts: always due, so each step of the work calls it. */
struct meddler {
	struct progress progress;
	const char *phase;
	unsigned after;
	int (*act)(struct meddler *m);
	int dirfd;
};

static int meddle(void *arg, const char *phase, uint64_t done_files,
		  uint64_t all_files, uint64_t done_bytes, uint64_t all_bytes)
{
	struct meddler *m = arg;

	(void)done_files, (void)all_files, (void)done_bytes, (void)all_bytes;
	m->progress.last_ns = 0;
	if (strcmp(phase, m->phase) != 0 || m->after-- > 0)
		return 0;
	return m->act(m);
}

static int act_cancel(struct meddler *m)
{
	(void)m;
	return -ECANCELED;
}

static int act_append(struct meddler *m)
{
	int fd = openat(m->dirfd, "m0000.js", O_WRONLY | O_APPEND | O_CLOEXEC);

	m->phase = "";
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	return 0;
}

/* Same size and same mtime: the ctime tells. */
static int act_overwrite(struct meddler *m)
{
	struct stat st;
	int fd = openat(m->dirfd, "m0000.js", O_WRONLY | O_CLOEXEC);

	m->phase = "";
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pwrite(fd, "X", 1, 0), 1);
	close(fd);
	set_time(m->dirfd, "m0000.js", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return 0;
}

static int act_remove(struct meddler *m)
{
	m->phase = "";
	assert_int_equal(unlinkat(m->dirfd, "m0000.js", 0), 0);
	return 0;
}

static int act_swap_for_link(struct meddler *m)
{
	act_remove(m);
	assert_int_equal(symlinkat("/etc/passwd", m->dirfd, "m0000.js"), 0);
	return 0;
}

static int import_meddled(struct fixture *f, int fd, const char *phase,
			  unsigned after, int (*act)(struct meddler *m))
{
	struct meddler m = { .phase = phase,
			     .after = after,
			     .act = act,
			     .dirfd = fd };
	struct ingest_result res;

	m.progress = (struct progress){ .report = meddle, .arg = &m };
	return try_import(f, fd, "k", &m.progress, &res);
}

static void cancelling_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct entry e;

	make_large_tree(from);
	assert_int_equal(import_meddled(f, from, "scan", 5, act_cancel),
			 -ECANCELED);
	assert_int_equal(import_meddled(f, from, "content", 0, act_cancel),
			 -ECANCELED);
	assert_int_equal(import_meddled(f, from, "content", 35, act_cancel),
			 -ECANCELED);
	assert_int_equal(import_meddled(f, from, "publish", 0, act_cancel),
			 -ECANCELED);
	assert_nothing_stored(f);
	assert_int_equal(index_get_entry(store_index(f->store), "local",
					 "default", "test", "k", &e),
			 -ENOENT);
	close(from);
}

/* The packs of the finished ingest have the same names as those of the one
 * that is given up. */
static void cancelling_spares_packs_of_others(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct mem_file files[] = { { .data = (const uint8_t *)"same",
				      .len = 4 } };
	struct ingest *a = begin_ingest(f, 1), *b = begin_ingest(f, 1);
	struct ingest_result res;

	assert_int_equal(ingest_load(a, 1, &mem_loader, files, 0, 4), 0);
	assert_int_equal(ingest_load(b, 1, &mem_loader, files, 0, 4), 0);
	/* Both have their pack before either goes on. */
	assert_int_equal(ingest_pipeline_finish(a), 0);
	assert_int_equal(ingest_pipeline_finish(b), 0);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 1);
	ingest_free(a);
	assert_int_equal(ingest_commit(b, NULL, &res), 0);
	ingest_free(b);
	assert_int_equal(count_objects(f, "packs", NULL, 0), 1);
	assert_content(f, &res.catalog, "f0", "same", 4);
	close(from);
}

static void changing_file_fails_the_import(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");

	make_text_files(from, 20);
	assert_int_equal(import_meddled(f, from, "scan", 19, act_append),
			 -ESTALE);
	assert_int_equal(import_meddled(f, from, "scan", 19, act_overwrite),
			 -ESTALE);
	assert_int_equal(import_meddled(f, from, "scan", 19, act_remove),
			 -ENOENT);
	make_text_files(from, 20);
	assert_int_equal(import_meddled(f, from, "scan", 19, act_swap_for_link),
			 -ELOOP);
	assert_nothing_stored(f);
	close(from);
}

static void sockets_are_left_out(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	struct ingest_result res;
	struct store_tree *t;
	uint32_t ino;

	assert_int_equal(mknodat(from, "sock", S_IFSOCK | 0600, 0), 0);
	write_file(from, "file", "x", 1);
	res = import_dir(f, from, "k");
	t = open_tree(f, &res.catalog);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "file", &ino),
			 0);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "sock", &ino),
			 -ENOENT);
	store_tree_unref(t);
	close(from);
}

static void entry_tells_what_was_added(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from");
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct ingest_result res;
	struct entry_ref ref;

	make_text_files(from, 30);
	res = import_dir(f, from, "key-one");
	assert_int_equal(entry_ref_parse("test@branch:main", &ref), 0);
	assert_int_equal(
		store_find_entry(f->store, "local", "default", &ref, &e), 0);
	assert_string_equal(e.key, "key-one");
	assert_true(digest_equal(&e.catalog, &res.catalog));
	assert_int_equal(e.files, 30);
	assert_int_equal(e.dirs, 1);
	assert_int_equal(e.bytes, res.bytes);
	assert_int_equal(e.new_bytes, res.new_bytes);
	assert_int_equal(e.stored_bytes, res.stored_bytes);
	assert_true(e.created_ns > 0);
	close(from);
}

/* Tar streams */

static struct archive *tar_begin(struct fixture *f, int *ret_fd)
{
	struct archive *a = archive_write_new();
	char path[96];

	snprintf(path, sizeof(path), "%s/tar-XXXXXX", f->dir);
	*ret_fd = mkstemp(path);
	assert_true(*ret_fd >= 0);
	assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(a, *ret_fd), ARCHIVE_OK);
	return a;
}

static void tar_add(struct archive *a, const char *path, unsigned type,
		    const char *text)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_copy_pathname(e, path);
	archive_entry_set_mode(e, type | 0750);
	archive_entry_set_mtime(e, 1000, 5);
	if (type == AE_IFREG) {
		archive_entry_set_size(e, strlen(text));
	} else if (type == AE_IFLNK) {
		archive_entry_copy_symlink(e, text);
	} else if (type == 0) {
		archive_entry_set_mode(e, AE_IFREG | 0750);
		archive_entry_set_size(e, 0);
		archive_entry_copy_hardlink(e, text);
	}
	assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
	if (type == AE_IFREG)
		assert_int_equal(archive_write_data(a, text, strlen(text)),
				 strlen(text));
	archive_entry_free(e);
}

static int tar_import(struct fixture *f, struct archive *a, int fd,
		      struct ingest_result *res)
{
	_cleanup_entry_ struct entry e = make_entry("tar");
	int r;

	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = ingest_tar(f->store, fd, "tar", &f->self, NULL, &e, res);
	close(fd);
	return r;
}

static void tar_with_evil_paths_is_refused(void **state)
{
	static const char *const paths[] = {
		"/etc/passwd", "../up", "a/../../up", "a/..", "..",
	};
	struct fixture *f = *state;
	struct ingest_result res;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct archive *a = tar_begin(f, &fd);

		tar_add(a, "good", AE_IFREG, "x");
		tar_add(a, paths[i], AE_IFREG, "evil");
		assert_int_equal(tar_import(f, a, fd, &res), -EINVAL);
	}
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct archive *a = tar_begin(f, &fd);

		tar_add(a, "link", 0, paths[i]);
		assert_int_equal(tar_import(f, a, fd, &res), -EINVAL);
	}
	assert_nothing_stored(f);
}

static void tar_below_a_symlink_is_refused(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res;
	int fd;
	struct archive *a = tar_begin(f, &fd);

	tar_add(a, "link", AE_IFLNK, "/etc");
	tar_add(a, "link/passwd", AE_IFREG, "evil");
	assert_int_equal(tar_import(f, a, fd, &res), -ENOTDIR);
	a = tar_begin(f, &fd);
	tar_add(a, "hard", 0, "nowhere");
	assert_int_equal(tar_import(f, a, fd, &res), -ENOENT);
	a = tar_begin(f, &fd);
	tar_add(a, "d/f", AE_IFREG, "x");
	tar_add(a, "d", AE_IFREG, "y");
	assert_int_equal(tar_import(f, a, fd, &res), -EISDIR);
	assert_nothing_stored(f);
}

static void tar_tree_is_put_together(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res;
	struct catalog_inode i;
	struct store_tree *t;
	uint32_t ino, other;
	int fd;
	struct archive *a = tar_begin(f, &fd);

	tar_add(a, "./made/by/child", AE_IFREG, "1");
	tar_add(a, "file", AE_IFREG, "old");
	tar_add(a, "hard", 0, "./file");
	tar_add(a, ".//file", AE_IFREG, "new");
	tar_add(a, "void/", AE_IFDIR, NULL);
	tar_add(a, "void", AE_IFREG, "a file now");
	tar_add(a, "becomes", AE_IFREG, "gone");
	tar_add(a, "becomes", AE_IFDIR, NULL);
	tar_add(a, "becomes/dir", AE_IFREG, "2");
	tar_add(a, "made/", AE_IFDIR, NULL);
	tar_add(a, "n\xc3\xa4me", AE_IFREG, "3");
	tar_add(a, "./", AE_IFDIR, NULL);
	assert_int_equal(tar_import(f, a, fd, &res), 0);
	assert_int_equal(res.files, 6);
	assert_int_equal(res.dirs, 4);
	assert_content(f, &res.catalog, "file", "new", 3);
	assert_content(f, &res.catalog, "hard", "old", 3);
	assert_content(f, &res.catalog, "void", "a file now", 10);
	assert_content(f, &res.catalog, "becomes/dir", "2", 1);
	assert_content(f, &res.catalog, "n\xc3\xa4me", "3", 1);
	t = open_tree(f, &res.catalog);
	assert_int_equal(catalog_inode(store_tree_catalog(t), CATALOG_ROOT, &i),
			 0);
	assert_int_equal(i.mode, S_IFDIR | 0750);
	assert_int_equal(
		catalog_resolve(store_tree_catalog(t), "made/by", &ino), 0);
	assert_int_equal(catalog_inode(store_tree_catalog(t), ino, &i), 0);
	assert_int_equal(i.mode, S_IFDIR | 0755);
	assert_int_equal(i.mtime_sec, 0);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "made", &ino),
			 0);
	assert_int_equal(catalog_inode(store_tree_catalog(t), ino, &i), 0);
	assert_int_equal(i.mode, S_IFDIR | 0750);
	assert_int_equal(i.mtime_sec, 1000);
	assert_int_equal(i.mtime_nsec, 5);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "file", &ino),
			 0);
	assert_int_equal(catalog_resolve(store_tree_catalog(t), "hard", &other),
			 0);
	assert_int_not_equal(ino, other);
	store_tree_unref(t);
}

static void damaged_tar_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct ingest_result res;
	uint8_t junk[4096];
	int fd;
	struct archive *a = tar_begin(f, &fd);
	_cleanup_entry_ struct entry e = make_entry("tar");

	tar_add(a, "file", AE_IFREG, "some content that is cut off");
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	/* In the middle of the content: headers take two or more blocks. */
	assert_int_equal(ftruncate(fd, 1536 + 512 / 2), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(ingest_tar(f->store, fd, "tar", &f->self, NULL, &e,
				    &res),
			 -EBADMSG);
	fill_noise(junk, sizeof(junk), 8);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(io_pwrite(fd, junk, sizeof(junk), 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(ingest_tar(f->store, fd, "junk", &f->self, NULL, &e,
				    &res),
			 -EBADMSG);
	assert_nothing_stored(f);
	close(fd);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(equal_tree_adds_nothing),
		TEST(changed_tree_adds_the_change),
		TEST(packs_do_not_depend_on_threads),
		TEST(files_that_grew_or_shrank_are_read_to_the_end),
		TEST(failing_loader_leaves_nothing),
		TEST(known_pieces_and_holes_keep_their_order),
		TEST(cancelling_leaves_nothing),
		TEST(cancelling_spares_packs_of_others),
		TEST(changing_file_fails_the_import),
		TEST(sockets_are_left_out),
		TEST(entry_tells_what_was_added),
		TEST(tar_with_evil_paths_is_refused),
		TEST(tar_below_a_symlink_is_refused),
		TEST(tar_tree_is_put_together),
		TEST(damaged_tar_leaves_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
