/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of every operation fails once, with each of the four
 * errors that disks and limits give (sysfault.h): the operation says so and
 * has changed nothing, or did without that call; it works when it is done
 * again; and what the log gives back afterwards is the same tree.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/log_format.h"
#include "fs/mount_state.h"
#include "fs/view_internal.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "sysfault.h"
#include "view_fixture.h"

#define SEGMENT_BYTES 60000
#define FILE_MAX 40000
#define STEPS 300
#define CALLS_MAX 20000 /* an operation that makes more never ends */

static const int errors[] = { ENOSPC, EDQUOT, EMFILE, EIO };
#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

/* --- the sweep over one operation --- */

struct sweep {
	const char *what;
	struct buf before;
	unsigned long call;
	unsigned error;
	bool in_rocksdb; /* which takes a list that breaks off for damage */
	unsigned failed; /* attempts, of all operations */
	unsigned survived;
};

static void arm(struct sweep *s)
{
	assert_true(s->call < CALLS_MAX);
	sysfault_arm(s->call, errors[s->error]);
}

static void dump(struct buf *out)
{
	buf_reset(out);
	fixture_dump(fx.view, out);
}

static void assert_unchanged(struct sweep *s)
{
	_cleanup_buf_ struct buf now = BUF_INIT;
	const char *at = sysfault_disarm();

	dump(&now);
	if (now.len != s->before.len ||
	    memcmp(now.data, s->before.data, now.len) != 0)
		print_message("# %s: call %lu (%s), %s\n", s->what, s->call,
			      at ? at : "none", strerror(errors[s->error]));
	fixture_assert_same(&s->before, &now);
}

static void open_small(void)
{
	fixture_view_open(&fx);
	assert_false(fx.damaged);
	log_set_segment_bytes(fx.view->upper.log, SEGMENT_BYTES);
}

static void assert_replayed(struct sweep *s)
{
	fixture_view_close(&fx);
	open_small();
	assert_unchanged(s);
}

static void sweep_begin(struct sweep *s, const char *what)
{
	s->what = what;
	s->call = 1;
	s->error = 0;
	s->in_rocksdb = false;
	dump(&s->before);
}

/* What an operation may say: what its call was told, or that the device
 * failed, where nobody knows more (reading back, RocksDB). */
static bool says_why(const struct sweep *s, long r)
{
	return r == -errors[s->error] || r == -EIO ||
	       (s->in_rocksdb && r == -EBADMSG);
}

/* What is the same whether the call was reached once or an operation is one
 * of many: the result is right, and nothing has changed. */
static void check_failure(struct sweep *s, const char *at, long r)
{
	if (!says_why(s, r))
		fail_msg("%s: %s said %s and it %s", s->what, at,
			 strerror(errors[s->error]), strerror((int)-r));
	assert_unchanged(s);
	if (++s->failed % 7 == 0)
		assert_replayed(s);
}

static void next_error(struct sweep *s)
{
	s->error = (s->error + 1) % ERRORS;
	if (s->error == 0)
		s->call++;
}

/* Behind an attempt whose result was `r`: whether there is another to be
 * made. When this is false, the last one has succeeded, or has failed as it
 * does with no fault. */
static bool sweep_again(struct sweep *s, long r)
{
	const char *at = sysfault_disarm();

	if (!at)
		return false;
	if (r >= 0) {
		s->survived++;
		return false;
	}
	check_failure(s, at, r);
	next_error(s);
	arm(s);
	return true;
}

/* The same for what can be done any number of times. */
static bool sweep_on(struct sweep *s, long r)
{
	const char *at = sysfault_disarm();

	if (!at)
		return false;
	if (r >= 0)
		s->survived++;
	else
		check_failure(s, at, r);
	next_error(s);
	return true;
}

static struct sweep sw;

#define SWEPT(what, call)                         \
	({                                        \
		long swept_;                      \
		sweep_begin(&sw, what);           \
		arm(&sw);                         \
		do                                \
			swept_ = (call);          \
		while (sweep_again(&sw, swept_)); \
		swept_;                           \
	})

/* --- the operations of the model, swept --- */

static int swept_mkdir(void *fs, const char *path, unsigned mode)
{
	return (int)SWEPT("mkdir", ops->mkdir(fs, path, mode));
}

static int swept_create(void *fs, const char *path, unsigned mode)
{
	return (int)SWEPT("create", ops->create(fs, path, mode));
}

static int swept_symlink(void *fs, const char *target, const char *path)
{
	return (int)SWEPT("symlink", ops->symlink(fs, target, path));
}

static int swept_link(void *fs, const char *from, const char *to)
{
	return (int)SWEPT("link", ops->link(fs, from, to));
}

static int swept_unlink(void *fs, const char *path)
{
	return (int)SWEPT("unlink", ops->unlink(fs, path));
}

static int swept_rmdir(void *fs, const char *path)
{
	return (int)SWEPT("rmdir", ops->rmdir(fs, path));
}

static int swept_rename(void *fs, const char *from, const char *to,
			unsigned flags)
{
	return (int)SWEPT("rename", ops->rename(fs, from, to, flags));
}

static ssize_t swept_write(void *fs, const char *path, const void *buf,
			   size_t len, uint64_t off)
{
	return SWEPT("write", ops->write(fs, path, buf, len, off));
}

static int swept_truncate(void *fs, const char *path, uint64_t size)
{
	return (int)SWEPT("truncate", ops->truncate(fs, path, size));
}

static int swept_fallocate(void *fs, const char *path, int mode, uint64_t off,
			   uint64_t len)
{
	return (int)SWEPT("fallocate",
			  ops->fallocate(fs, path, mode, off, len));
}

static int swept_chmod(void *fs, const char *path, unsigned mode)
{
	return (int)SWEPT("chmod", ops->chmod(fs, path, mode));
}

static int swept_chown(void *fs, const char *path, uint32_t uid, uint32_t gid)
{
	return (int)SWEPT("chown", ops->chown(fs, path, uid, gid));
}

static int swept_utimens(void *fs, const char *path,
			 const struct timespec times[2])
{
	return (int)SWEPT("utimens", ops->utimens(fs, path, times));
}

static int swept_setxattr(void *fs, const char *path, const char *name,
			  const void *value, size_t len, int flags)
{
	return (int)SWEPT("setxattr",
			  ops->setxattr(fs, path, name, value, len, flags));
}

static int swept_removexattr(void *fs, const char *path, const char *name)
{
	return (int)SWEPT("removexattr", ops->removexattr(fs, path, name));
}

static ssize_t swept_read(void *fs, const char *path, void *buf, size_t len,
			  uint64_t off)
{
	return SWEPT("read", ops->read(fs, path, buf, len, off));
}

/* copy_file_range() may have done a part of its work, so it is no single
 * change; its reads and writes are swept. No file is open, since the view is
 * opened anew. */
static struct tree_ops swept_ops(void)
{
	struct tree_ops o = *ops;

	o.mkdir = swept_mkdir;
	o.create = swept_create;
	o.symlink = swept_symlink;
	o.link = swept_link;
	o.unlink = swept_unlink;
	o.rmdir = swept_rmdir;
	o.rename = swept_rename;
	o.write = swept_write;
	o.truncate = swept_truncate;
	o.fallocate = swept_fallocate;
	o.chmod = swept_chmod;
	o.chown = swept_chown;
	o.utimens = swept_utimens;
	o.setxattr = swept_setxattr;
	o.removexattr = swept_removexattr;
	o.read = swept_read;
	o.open = NULL;
	return o;
}

/* --- what is done beside them --- */

/* A sync that failed is never forgotten while the log is open, since the
 * kernel has dropped what it could not write; so it is opened anew. */
static void sweep_synced(const char *what, int (*call)(void))
{
	long r;

	sweep_begin(&sw, what);
	do {
		assert_int_equal(fixture_write(&fx, "beside",
					       sw.call % 2 ? "a" : "b"),
				 0);
		dump(&sw.before);
		arm(&sw);
		r = call();
		if (r < 0) {
			assert_non_null(sysfault_disarm());
			fixture_view_close(&fx);
			open_small();
			assert_int_equal(call(), 0);
		}
	} while (sweep_on(&sw, r));
	assert_int_equal(r, 0);
	assert_replayed(&sw);
	assert_int_equal(ops->unlink(&fx, "beside"), 0);
}

static int call_fsync(void)
{
	return view_fsync(fx.view, 0);
}

static int call_checkpoint(void)
{
	WRITE_SCOPE(fx.view);
	return upper_checkpoint(&fx.view->upper);
}

/* Says nothing; nothing may change. */
static int call_reclaim(void)
{
	(void)view_reclaim(fx.view);
	return 0;
}

static unsigned commits;

static int call_commit(void)
{
	struct ingest_result r;
	char key[16];

	snprintf(key, sizeof(key), "k%u", commits);
	return fixture_commit(&fx, key, &r);
}

/* The entry of a commit that failed is not there, or whole: a batch whose
 * write failed may be found when the index is opened again. */
static void check_entry(const struct buf *want)
{
	const struct view_options opt = { .read_only = true, .dirfd = -1 };
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_buf_ struct buf got = BUF_INIT;
	struct store_tree *tree;
	struct view *v;
	char key[16];
	bool damaged;
	int r;

	snprintf(key, sizeof(key), "k%u", commits);
	r = index_get_entry(store_index(fx.store), "local", "default", "view",
			    key, &e);
	if (r == -ENOENT)
		return;
	assert_int_equal(r, 0);
	assert_int_equal(store_tree_open(fx.store, &e.catalog, &tree), 0);
	assert_int_equal(view_open(tree, fx.fetch, &opt, &v, &damaged), 0);
	fixture_dump_plain(v, &got);
	fixture_assert_same(want, &got);
	view_close(v);
	store_tree_unref(tree);
}

static void sweep_commit(void)
{
	_cleanup_buf_ struct buf plain = BUF_INIT;
	char text[32];
	long r;

	sweep_begin(&sw, "commit");
	do {
		snprintf(text, sizeof(text), "%u", ++commits);
		assert_int_equal(fixture_write(&fx, "committed", text), 0);
		dump(&sw.before);
		buf_reset(&plain);
		fixture_dump_plain(fx.view, &plain);
		arm(&sw);
		r = call_commit();
		(void)sysfault_disarm();
		check_entry(&plain);
	} while (sweep_on(&sw, r));
	assert_int_equal(r, 0);
}

/* --- tests --- */

static void assert_same(struct fixture_random *w, const struct tree_ops *swept)
{
	w->play.ops = ops;
	fixture_random_assert_same(w);
	w->play.ops = swept;
}

static void test_operations(void **state)
{
	const struct tree_ops swept = swept_ops();
	struct fixture_random w;
	unsigned n;

	(void)state;
	log_set_segment_bytes(fx.view->upper.log, SEGMENT_BYTES);
	fixture_random_init(&w, &fx, 11, FILE_MAX);
	w.play.ops = &swept;
	w.choose.opens = false;
	for (n = 1; n <= STEPS; n++) {
		if (!fixture_random_step(&w))
			fail_msg("step %u", n);
		assert_same(&w, &swept);
		if (n % 40 == 20)
			sweep_synced("fsync", call_fsync);
		if (n % 40 == 30)
			sweep_synced("checkpoint", call_checkpoint);
		if (n % 40 == 39)
			sweep_synced("reclaim", call_reclaim);
		/* A name came and went beside the model. */
		model_time_unknown(&w.play.model.root->mtime);
		model_time_unknown(&w.play.model.root->ctime);
	}
	assert_true(sw.failed > STEPS);
	dump(&sw.before);
	assert_replayed(&sw);
	assert_same(&w, &swept);
	fixture_random_release(&w);
}

static void test_commits(void **state)
{
	(void)state;
	assert_int_equal(fixture_mkdir(&fx, "dir"), 0);
	assert_int_equal(fixture_write(&fx, "dir/file", "content"), 0);
	assert_int_equal(ops->symlink(&fx, "dir/file", "link"), 0);
	sweep_commit();
	assert_true(sw.failed > 100);
}

/* A log with everything in it: segments, a checkpoint, own files, space to be
 * given back. */
static void make_upper(void)
{
	struct fixture_random w;
	unsigned n;

	log_set_segment_bytes(fx.view->upper.log, SEGMENT_BYTES);
	fixture_random_init(&w, &fx, 12, FILE_MAX);
	for (n = 1; n <= 300; n++) {
		assert_true(fixture_random_step(&w));
		if (n == 200)
			assert_int_equal(call_checkpoint(), 0);
	}
	play_close_all(&w.play);
	fixture_random_release(&w);
}

static int open_view(void)
{
	const struct view_options opt = { .dirfd = fx.state,
					  .store = fx.store };

	return view_open(fx.base, fx.fetch, &opt, &fx.view, &fx.damaged);
}

/* A call that fails while the log is replayed is no damage that stays: the
 * next open has all of it. Where the device failed, the view may be open and
 * read-only meanwhile. */
static void test_opening(void **state)
{
	long r;

	(void)state;
	make_upper();
	sweep_begin(&sw, "open");
	do {
		fixture_view_close(&fx);
		arm(&sw);
		r = open_view();
		if (r == 0 && sysfault_disarm() && fx.damaged) {
			assert_int_equal(errors[sw.error], EIO);
			assert_int_equal(fixture_write(&fx, "x", "x"), -EROFS);
			fixture_view_close(&fx);
		}
		if (!fx.view)
			open_small();
	} while (sweep_on(&sw, r));
	assert_int_equal(r, 0);
	assert_true(sw.failed > 20);
}

static void fill_upper(void)
{
	(void)fixture_mkdir(&fx, "dir");
	assert_int_equal(fixture_write(&fx, "dir/file", "content"), 0);
	assert_int_equal(fixture_write(&fx, "own", "content"), 0);
	assert_int_equal(fixture_write(&fx, "own", "written again"), 0);
}

static void assert_empty(void)
{
	assert_int_equal(fixture_ino(&fx, "dir"), 0);
	assert_int_equal(fixture_ino(&fx, "own"), 0);
}

/* All is there, or nothing. */
static void test_reset(void **state)
{
	long r;

	(void)state;
	sweep_begin(&sw, "reset");
	do {
		fill_upper();
		dump(&sw.before);
		arm(&sw);
		r = view_reset(fx.view, NULL, NULL);
		assert_true(sysfault_disarm() || r == 0);
		if (r == 0)
			assert_empty();
		else
			assert_unchanged(&sw);
		fixture_view_close(&fx);
		open_small();
		if (r == 0)
			assert_empty();
	} while (sweep_on(&sw, r));
	assert_int_equal(r, 0);
}

static int open_store(void)
{
	_cleanup_free_ char *path = io_path("%s/store", fx.dir);

	return store_open(path, &fx.store);
}

#define STORE_STRIDE 3 /* an open takes long, and has many calls */

/* The index, too, is as it was, whatever failed while it was opened. RocksDB
 * leaves files behind each time, so what an open has to do grows; the calls of
 * the first are what is swept. */
static void test_opening_the_store(void **state)
{
	_cleanup_buf_ struct buf plain = BUF_INIT;
	unsigned long calls = ULONG_MAX;
	int r;

	(void)state;
	assert_int_equal(fixture_write(&fx, "file", "content"), 0);
	commits++;
	assert_int_equal(call_commit(), 0);
	sweep_begin(&sw, "store open");
	sw.in_rocksdb = true;
	fixture_dump_plain(fx.view, &plain);
	for (sw.call = ULONG_MAX; sw.call > 0;
	     sw.call -= sw.call > STORE_STRIDE ? STORE_STRIDE : sw.call) {
		fixture_view_close(&fx);
		store_close(fx.store);
		fx.store = NULL;
		sysfault_arm(sw.call, errors[sw.error]);
		r = open_store();
		(void)sysfault_disarm();
		if (sw.call == ULONG_MAX)
			sw.call = calls = sysfault_calls();
		if (r < 0) {
			assert_true(says_why(&sw, r));
			assert_int_equal(open_store(), 0);
		}
		open_small();
		check_entry(&plain);
		sw.error = (sw.error + 1) % ERRORS;
	}
	assert_true(calls > 50 && calls < CALLS_MAX);
}

static int save_state(struct mount_state *s, int64_t kept_ns)
{
	s->kept_ns = kept_ns;
	return mount_state_save(fx.state, s);
}

/* What is on disk about a mount is the old text or the new one. */
static void test_mount_state(void **state)
{
	struct mount_state s = { .dir = strdup("/some/where") }, got;
	int64_t was = 0;
	int fd = -1;
	long r;

	(void)state;
	assert_int_equal(mount_state_new_id(s.id), 0);
	r = SWEPT("create", mount_state_create(fx.state, &s, &fd));
	assert_int_equal(r, 0);
	assert_true(fd >= 0);
	close(fd);
	sweep_begin(&sw, "save");
	do {
		arm(&sw);
		r = save_state(&s, was + 1);
		(void)sysfault_disarm();
		assert_int_equal(mount_state_load(fx.state, s.id, &got), 0);
		assert_true(got.kept_ns == was + 1 ||
			    (r < 0 && got.kept_ns == was));
		was = got.kept_ns;
		mount_state_release(&got);
	} while (sweep_on(&sw, r));
	assert_int_equal(r, 0);
	mount_state_release(&s);
}

#define SWEEP_TEST(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SWEEP_TEST(test_operations),
		SWEEP_TEST(test_commits),
		SWEEP_TEST(test_opening),
		SWEEP_TEST(test_reset),
		SWEEP_TEST(test_opening_the_store),
		SWEEP_TEST(test_mount_state),
	};

	/* What is provoked here would be said a thousand times. */
	log_set_level((enum log_level)0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
