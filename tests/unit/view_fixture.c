/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the view's tests; see view_fixture.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/cursor.h"
#include "store/base/io.h"

#include "view_fixture.h"

/* --- the base --- */

static void put_file(int dirfd, const char *path, const void *data, size_t len,
		     mode_t mode)
{
	_cleanup_close_ int fd =
		openat(dirfd, path, O_CREAT | O_WRONLY | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, data, len), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void put_big(int dirfd, const char *path, size_t len)
{
	_cleanup_free_ uint8_t *data = malloc(len);
	uint64_t word = 88172645463325252;
	size_t i;

	assert_non_null(data);
	for (i = 0; i < len; i++) {
		word = word * UINT64_C(6364136223846793005) + 1;
		data[i] = (uint8_t)(word >> 56);
	}
	put_file(dirfd, path, data, len, 0644);
}

static void put_sparse(int dirfd, const char *path)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_CREAT | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "head", 4, 0), 4);
	assert_int_equal(pwrite(fd, "tail", 4, 9000000), 4);
}

void fixture_base(int dirfd)
{
	assert_int_equal(mkdirat(dirfd, "dir", 0755), 0);
	assert_int_equal(mkdirat(dirfd, "dir/sub", 0755), 0);
	assert_int_equal(mkdirat(dirfd, "empty", 0700), 0);
	assert_int_equal(mkdirat(dirfd, "other", 0755), 0);
	put_file(dirfd, "a", "hello", 5, 0644);
	put_file(dirfd, "b", "world", 5, 0600);
	put_file(dirfd, "suid", "x", 1, 04755);
	put_file(dirfd, "zero", "", 0, 0644);
	put_file(dirfd, "dir/one", "1", 1, 0644);
	put_file(dirfd, "dir/two", "22", 2, 0644);
	put_file(dirfd, "dir/sub/deep", "deep", 4, 0644);
	put_file(dirfd, "other/o", "o", 1, 0644);
	put_big(dirfd, "big", 5000000);
	put_sparse(dirfd, "sparse");
	assert_int_equal(linkat(dirfd, "a", dirfd, "dir/hard", 0), 0);
	assert_int_equal(symlinkat("dir/one", dirfd, "link"), 0);
}

/* Where the file system of the test has no attributes, there are none. */
static void put_xattr(const char *tree)
{
	_cleanup_free_ char *path = io_path("%s/b", tree);

	assert_non_null(path);
	if (setxattr(path, "user.k", "value", 5, 0) < 0)
		assert_int_equal(errno, EOPNOTSUPP);
}

static void make_base(struct fixture *fx, void (*make)(int dirfd))
{
	const struct ingest_owner self = { 0, 0 };
	struct ingest_result result;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_free_ char *tree = io_path("%s/tree", fx->dir);
	_cleanup_close_ int fd = -1;

	assert_non_null(tree);
	assert_int_equal(mkdir(tree, 0755), 0);
	fd = open(tree, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	make(fd);
	if (make == fixture_base)
		put_xattr(tree);
	e.tenant = strdup("local");
	e.namespace = strdup("default");
	e.name = strdup("base");
	e.key = strdup("k");
	e.branch = strdup("");
	e.creator = strdup("t@t");
	e.parent = strdup("");
	assert_int_equal(ingest_dir(fx->store, fd, tree, &self, false, NULL, &e,
				    &result),
			 0);
	fx->base = fixture_tree(fx, &result.catalog);
}

struct store_tree *fixture_tree(struct fixture *fx, const struct digest *d)
{
	struct store_tree *tree;

	assert_int_equal(store_tree_open(fx->store, d, &tree), 0);
	return tree;
}

/* --- the view --- */

void fixture_view_open(struct fixture *fx)
{
	struct view_options opt = { .dirfd = fx->state, .store = fx->store };
	struct catalog_info info;

	if (fx->notes_reads) {
		catalog_info(store_tree_catalog(fx->base), &info);
		opt.used = used_open(fx->state, info.inodes,
				     faccessat(fx->state, "used", F_OK, 0) < 0);
		assert_non_null(opt.used);
	}
	assert_int_equal(view_open(fx->base, fx->fetch, &opt, &fx->view,
				   &fx->damaged),
			 0);
}

void fixture_view_close(struct fixture *fx)
{
	view_close(fx->view);
	fx->view = NULL;
}

void fixture_reopen(struct fixture *fx)
{
	fixture_view_close(fx);
	fixture_view_open(fx);
	assert_false(fx->damaged);
}

static void open_state(struct fixture *fx)
{
	_cleanup_free_ char *state = io_path("%s/state", fx->dir);

	assert_non_null(state);
	assert_true(mkdir(state, 0700) == 0 || errno == EEXIST);
	fx->state = open(state, O_RDONLY | O_DIRECTORY);
	assert_true(fx->state >= 0);
}

static void open_stores(struct fixture *fx)
{
	_cleanup_free_ char *store = io_path("%s/store", fx->dir);

	assert_non_null(store);
	assert_int_equal(store_open(store, &fx->store), 0);
	assert_int_equal(fetch_new(16 << 20, &fx->fetch), 0);
	open_state(fx);
}

void fixture_view_renew(struct fixture *fx, struct store_tree *base)
{
	_cleanup_free_ char *state = io_path("%s/state", fx->dir);

	assert_non_null(state);
	fixture_view_close(fx);
	close(fx->state);
	assert_int_equal(io_remove_tree(AT_FDCWD, state), 0);
	open_state(fx);
	store_tree_ref(base);
	store_tree_unref(fx->base);
	fx->base = base;
	fixture_view_open(fx);
	assert_false(fx->damaged);
}

void fixture_open(struct fixture *fx, void (*make)(int dirfd))
{
	const char *tmp = getenv("TMPDIR");

	*fx = (struct fixture){ .state = -1 };
	snprintf(fx->dir, sizeof(fx->dir), "%s/larder-view-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(fx->dir));
	open_stores(fx);
	if (make)
		make_base(fx, make);
	fixture_view_open(fx);
	assert_false(fx->damaged);
}

void fixture_open_at(struct fixture *fx, const char *dir)
{
	*fx = (struct fixture){ .state = -1, .keep_dir = true };
	snprintf(fx->dir, sizeof(fx->dir), "%s", dir);
	open_stores(fx);
	fixture_view_open(fx);
}

void fixture_close(struct fixture *fx)
{
	if (fx->view)
		view_close(fx->view);
	store_tree_unref(fx->base);
	fetch_free(fx->fetch);
	store_close(fx->store);
	close(fx->state);
	if (!fx->keep_dir)
		assert_int_equal(io_remove_tree(AT_FDCWD, fx->dir), 0);
}

int fixture_setup_base(void **state)
{
	fixture_open(*state, fixture_base);
	return 0;
}

int fixture_setup_empty(void **state)
{
	fixture_open(*state, NULL);
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_close(*state);
	return 0;
}

int fixture_commit(struct fixture *fx, const char *key,
		   struct ingest_result *ret_result)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;

	e.tenant = strdup("local");
	e.namespace = strdup("default");
	e.name = strdup("view");
	e.key = strdup(key);
	e.branch = strdup("");
	e.creator = strdup("t@t");
	e.parent = strdup("");
	return view_commit(fx->view, fx->store, fx->progress, &e, ret_result);
}

int fixture_mkdir(struct fixture *fx, const char *path)
{
	return fixture_ops.mkdir(fx, path, 0755);
}

int fixture_write(struct fixture *fx, const char *path, const char *text)
{
	ssize_t n;
	int r;

	if (fixture_ino(fx, path) == 0)
		r = fixture_ops.create(fx, path, 0644);
	else
		r = fixture_ops.truncate(fx, path, 0);
	if (r < 0)
		return r;
	n = fixture_ops.write(fx, path, text, strlen(text), 0);
	return n < 0 ? (int)n : 0;
}

int fixture_punch(struct fixture *fx, const char *path, uint64_t off,
		  uint64_t len)
{
	return fixture_ops.fallocate(
		fx, path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
}

void fixture_assert_content(struct fixture *fx, const char *path,
			    const char *text)
{
	char buf[256];
	ssize_t n = fixture_ops.read(fx, path, buf, sizeof(buf) - 1, 0);

	assert_true(n >= 0);
	buf[n] = '\0';
	assert_string_equal(buf, text);
}

/* --- random steps --- */

void fixture_random_init(struct fixture_random *w, struct fixture *fx,
			 uint64_t seed, uint64_t max_file)
{
	w->seed = seed;
	play_init(&w->play, &fixture_ops, fx, 0, 0);
	assert_int_equal(play_load(&w->play, &fixture_ops, fx), 0);
	choose_init(&w->choose, CHOOSE_TREE, seed, &fixture_ops);
	w->choose.root = true;
	w->choose.tmpfile = true;
	w->choose.max_file = max_file;
}

void fixture_random_release(struct fixture_random *w)
{
	play_release(&w->play);
}

static bool random_step(struct fixture_random *w, bool look)
{
	char line[1024];
	struct step s;
	bool same;

	choose_step(&w->choose, &w->play.model, &s);
	same = (!look && s.kind >= STEP_STAT) || play_step(&w->play, &s);
	if (!same) {
		step_format(&s, line, sizeof(line));
		print_error("seed %" PRIu64 ": %s: %s\n", w->seed, line,
			    w->play.failure);
	}
	step_release(&s);
	return same;
}

bool fixture_random_step(struct fixture_random *w)
{
	return random_step(w, true);
}

bool fixture_random_change(struct fixture_random *w)
{
	return random_step(w, false);
}

void fixture_random_assert_same(struct fixture_random *w)
{
	if (!play_compare(&w->play))
		fail_msg("seed %" PRIu64 ": %s", w->seed, w->play.failure);
}

/* --- dumps --- */

static void dump_content(struct view *v, const struct view_attr *a, bool plain,
			 struct buf *out)
{
	_cleanup_free_ uint8_t *buf = malloc(1 << 20);
	uint64_t off = 0;
	uint32_t crc = 0;
	ssize_t n;

	assert_non_null(buf);
	while ((n = view_read(v, a->ino, buf, 1 << 20, off)) > 0) {
		crc = crc32c(crc, buf, (size_t)n);
		off += (uint64_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(off, a->size);
	buf_printf(out, " crc %08" PRIx32, crc);
	if (!plain)
		buf_printf(out, " blocks %" PRIu64, a->blocks);
}

static void dump_xattrs(struct view *v, uint64_t ino, struct buf *out)
{
	char names[4096], value[4096];
	ssize_t len = view_listxattr(v, ino, true, names, sizeof(names));
	const char *name;
	ssize_t n;

	assert_true(len >= 0);
	for (name = names; name < names + len; name += strlen(name) + 1) {
		n = view_getxattr(v, ino, name, value, sizeof(value));
		assert_true(n >= 0);
		buf_printf(out, " %s=%08" PRIx32, name,
			   crc32c(0, value, (size_t)n));
	}
}

static void dump_inode(struct view *v, const char *path, uint64_t ino,
		       bool plain, struct buf *out)
{
	struct view_attr a;
	char target[4096];
	ssize_t n;

	assert_int_equal(view_getattr(v, ino, &a), 0);
	buf_printf(out,
		   "%s mode %o links %u owner %u:%u rdev %u size %" PRIu64
		   " mtime %ld.%09ld",
		   path, a.mode, a.nlink, a.uid, a.gid, a.rdev, a.size,
		   (long)a.mtime.tv_sec, a.mtime.tv_nsec);
	if (!plain)
		buf_printf(out, " ino %" PRIu64 " times %ld.%09ld %ld.%09ld",
			   a.ino, (long)a.atime.tv_sec, a.atime.tv_nsec,
			   (long)a.ctime.tv_sec, a.ctime.tv_nsec);
	if (S_ISREG(a.mode))
		dump_content(v, &a, plain, out);
	if (S_ISLNK(a.mode)) {
		n = view_readlink(v, ino, target, sizeof(target));
		assert_true(n > 0);
		buf_printf(out, " -> %.*s", (int)n, target);
	}
	dump_xattrs(v, ino, out);
	buf_printf(out, "\n");
}

static int collect_entry(void *arg, const char *name, size_t len,
			 const struct view_attr *attr, uint64_t next)
{
	struct buf *out = arg;

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return 0;
	buf_put_u64(out, attr->ino);
	buf_put_u32(out, attr->mode);
	buf_put_u64(out, next);
	buf_put_u16(out, (uint16_t)len);
	buf_put(out, name, len);
	return 0;
}

static void dump_dir(struct view *v, const char *path, uint64_t dir, bool plain,
		     struct buf *out)
{
	_cleanup_buf_ struct buf entries = BUF_INIT;
	struct cursor c;

	assert_int_equal(
		view_readdir(v, dir, 0, false, collect_entry, &entries), 0);
	cursor_init(&c, entries.data, entries.len);
	while (cursor_left(&c) > 0) {
		uint64_t ino = cursor_u64(&c);
		uint32_t mode = cursor_u32(&c);
		uint64_t next = cursor_u64(&c);
		uint16_t len = cursor_u16(&c);
		const char *name = cursor_bytes(&c, len);
		_cleanup_free_ char *below =
			io_path("%s/%.*s", path, (int)len, name);

		assert_non_null(below);
		if (!plain)
			buf_printf(out, "%" PRIu64 " ", next);
		dump_inode(v, below, ino, plain, out);
		if (S_ISDIR(mode))
			dump_dir(v, below, ino, plain, out);
	}
}

void fixture_dump(struct view *v, struct buf *out)
{
	dump_inode(v, "", VIEW_ROOT, false, out);
	dump_dir(v, "", VIEW_ROOT, false, out);
	assert_int_equal(buf_error(out), 0);
}

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void fixture_dump_plain(struct view *v, struct buf *out)
{
	_cleanup_buf_ struct buf all = BUF_INIT;
	_cleanup_free_ char **lines = NULL;
	char *rest, *line;
	size_t n = 0, k;

	dump_inode(v, "", VIEW_ROOT, true, &all);
	dump_dir(v, "", VIEW_ROOT, true, &all);
	buf_put_u8(&all, 0);
	assert_int_equal(buf_error(&all), 0);
	lines = calloc(all.len, sizeof(*lines));
	assert_non_null(lines);
	rest = (char *)all.data;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			lines[n++] = line;
	qsort(lines, n, sizeof(*lines), by_line);
	for (k = 0; k < n; k++)
		buf_printf(out, "%s\n", lines[k]);
	assert_int_equal(buf_error(out), 0);
}

void fixture_assert_same(const struct buf *a, const struct buf *b)
{
	size_t i, line = 0;

	for (i = 0; i < a->len && i < b->len && a->data[i] == b->data[i]; i++)
		if (a->data[i] == '\n')
			line = i + 1;
	if (i == a->len && i == b->len)
		return;
	fail_msg("trees differ:\n%.*s\n-- and --\n%.*s",
		 (int)strcspn((char *)a->data + line, "\n"),
		 (char *)a->data + line,
		 (int)strcspn((char *)b->data + line, "\n"),
		 (char *)b->data + line);
}

static int diff_line(void *arg, const struct view_diff_item *item)
{
	struct buf *out = arg;

	if (item->from)
		buf_printf(out, "%c %s -> %s\n", item->change, item->from,
			   item->path);
	else
		buf_printf(out, "%c %s\n", item->change, item->path);
	return 0;
}

void fixture_diff(struct view *v, struct buf *out)
{
	assert_int_equal(view_diff(v, diff_line, out), 0);
	assert_int_equal(buf_error(out), 0);
}

void fixture_assert_diff(struct view *v, const char *want)
{
	_cleanup_buf_ struct buf got = BUF_INIT;

	fixture_diff(v, &got);
	buf_put_u8(&got, 0);
	assert_string_equal((char *)got.data, want);
}

void fixture_put(struct fixture *fx, const char *path, const char *text)
{
	assert_int_equal(fixture_write(fx, path, text), 0);
}

uint32_t fixture_links(struct fixture *fx, const char *path)
{
	struct view_attr a;

	fixture_attr(fx, path, &a);
	return a.nlink;
}

void fixture_assert_absent(struct fixture *fx, const char *path)
{
	assert_int_equal(fixture_ino(fx, path), 0);
}

void fixture_force_checkpoint(struct fixture *fx)
{
	unsigned i;

	for (i = 0; i < 1100; i++)
		assert_int_equal(fixture_ops.chmod(fx, "", i % 2 ? 0755 : 0700),
				 0);
}

void fixture_assert_replays(struct fixture *fx)
{
	_cleanup_buf_ struct buf before = BUF_INIT, after = BUF_INIT;

	fixture_dump(fx->view, &before);
	fixture_reopen(fx);
	fixture_dump(fx->view, &after);
	fixture_assert_same(&before, &after);
}

void fixture_assert_replays_all(struct fixture *fx)
{
	fixture_assert_replays(fx);
	fixture_force_checkpoint(fx);
	fixture_assert_replays(fx);
	fixture_assert_replays(fx);
}
