/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts: random operations, syncs, checkpoints, commits, resets and space
 * given back are recorded with all that they do to the disk, and the view is opened
 * again on what a cut after each of those leaves, whichever of the writes that
 * were not synced are lost. Each time it shows the tree as it was after some
 * operation, no earlier than the last sync that had returned and no later than
 * the cut, and takes changes again.
 *
 * LARDER_TEST_CUTS: how many ways of losing are tried at each place.
 */
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

#include "fs/log_format.h"
#include "fs/view_internal.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "disk_record.h"
#include "view_fixture.h"

#define STEPS 450
#define FILE_MAX 330000
#define SEGMENT (256u << 10)
#define CUTS 3
#define SYNC_EACH 11
#define CHECKPOINT_EACH 57
#define RECLAIM_EACH 43
#define COMMIT_EACH 67
#define RESET_AT 331

/* After step k: how much was recorded, what the tree was, and the newest step
 * that a sync covered. */
struct state {
	size_t notes;
	uint64_t tree;
	unsigned synced;
};

static struct fixture fx;
static struct state states[STEPS + 1];

static void small_base(int dirfd)
{
	int fd = openat(dirfd, "n1", O_CREAT | O_WRONLY, 0640);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, "of the base", 11), 0);
	close(fd);
	assert_int_equal(mkdirat(dirfd, "n2", 0750), 0);
	fd = openat(dirfd, "n2/n3", O_CREAT | O_WRONLY, 0640);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 100000), 0);
	assert_int_equal(io_pwrite(fd, "end", 3, 99997), 0);
	close(fd);
}

static uint64_t tree_hash(struct view *v)
{
	_cleanup_buf_ struct buf dump = BUF_INIT;

	fixture_dump_plain(v, &dump);
	return map_hash_bytes(dump.data, dump.len, 1);
}

/* The store is elsewhere and loses nothing: what is cut is what the upper
 * notes of the commit, and the bytes that die by it. */
static void do_commit(unsigned k)
{
	struct ingest_result res;
	char key[16];

	snprintf(key, sizeof(key), "key%u", k);
	assert_int_equal(fixture_commit(&fx, key, &res), 0);
	assert_int_equal(upper_checkpoint(&fx.view->upper), 0);
	(void)view_reclaim(fx.view);
}

static void do_step(struct fixture_random *w, unsigned k)
{
	struct view *v = fx.view;

	if (k == RESET_AT) {
		play_close_all(&w->play);
		assert_int_equal(view_reset(v, NULL, NULL), 0);
		return;
	}
	if (k % SYNC_EACH == 0)
		assert_int_equal(view_fsync(v, VIEW_ROOT), 0);
	else if (k % CHECKPOINT_EACH == 0)
		assert_int_equal(upper_checkpoint(&v->upper), 0);
	else if (k % RECLAIM_EACH == 0)
		(void)view_reclaim(v);
	else if (k % COMMIT_EACH == 0)
		do_commit(k);
	else
		assert_true(fixture_random_step(w));
}

/* Fills `states`. The model follows a reset by loading the tree. */
static void record(void)
{
	struct fixture_random w;
	unsigned k;

	fixture_random_init(&w, &fx, 11, FILE_MAX);
	states[0].tree = tree_hash(fx.view);
	for (k = 1; k <= STEPS; k++) {
		do_step(&w, k);
		states[k] = states[k - 1];
		states[k].notes = disk_record_count();
		states[k].tree = tree_hash(fx.view);
		if (k % SYNC_EACH == 0 || k == RESET_AT)
			states[k].synced = k;
		if (k != RESET_AT)
			continue;
		fixture_random_release(&w);
		fixture_random_init(&w, &fx, 12, FILE_MAX);
	}
	play_close_all(&w.play);
	fixture_random_release(&w);
}

/* Which of the states from `first` to `last` it is; -1: none. */
static int which(uint64_t tree, unsigned first, unsigned last)
{
	unsigned k;

	for (k = first; k <= last; k++)
		if (states[k].tree == tree)
			return (int)k;
	return -1;
}

static struct view *open_at(int dirfd, bool *ret_damaged)
{
	const struct view_options opt = { .dirfd = dirfd, .store = fx.store };
	struct view *v;

	assert_int_equal(view_open(fx.base, fx.fetch, &opt, &v, ret_damaged),
			 0);
	return v;
}

/* Changes after the cut are kept, too. */
static void assert_goes_on(int dirfd, struct view **v)
{
	struct view_cred cred = { .uid = 0 };
	struct view_attr a;
	uint64_t before;
	bool damaged;

	assert_int_equal(view_mknod(*v, VIEW_ROOT, "later", 5, S_IFREG | 0600,
				    0, &cred, &a),
			 0);
	view_forget(*v, a.ino, 1);
	assert_int_equal(view_write(*v, a.ino, "later", 5, 0, false), 5);
	before = tree_hash(*v);
	view_close(*v);
	*v = open_at(dirfd, &damaged);
	assert_false(damaged);
	assert_true(tree_hash(*v) == before);
}

static void cut_at(size_t notes, unsigned step, enum disk_loss loss,
		   uint64_t seed)
{
	_cleanup_free_ char *path = io_path("%s/cut", fx.dir);
	unsigned past = notes == states[step].notes ? step : step - 1;
	unsigned first = states[past].synced;
	_cleanup_close_ int dirfd = -1;
	struct view *v;
	bool damaged;

	assert_int_equal(mkdir(path, 0700), 0);
	dirfd = open(path, O_RDONLY | O_DIRECTORY);
	disk_record_build(dirfd, notes, loss, seed);
	v = open_at(dirfd, &damaged);
	if (damaged || which(tree_hash(v), first, step) < 0)
		fail_msg("cut after note %zu, in step %u, loss %d, seed %llu: "
			 "%s",
			 notes, step, (int)loss, (unsigned long long)seed,
			 damaged ? "taken for damage" :
				   "no state since the last sync");
	if (notes % 16 == 0)
		assert_goes_on(dirfd, &v);
	view_close(v);
	assert_int_equal(io_remove_tree(AT_FDCWD, path), 0);
}

static void test_every_cut(void **state)
{
	const char *env = getenv("LARDER_TEST_CUTS");
	unsigned cuts = env ? (unsigned)strtoul(env, NULL, 10) : CUTS;
	unsigned step = 0, n;
	size_t notes;

	(void)state;
	for (notes = 0; notes <= states[STEPS].notes; notes++) {
		while (step < STEPS && states[step].notes < notes)
			step++;
		for (n = 0; n < cuts; n++)
			cut_at(notes, step,
			       n == 0 ? (enum disk_loss)(notes % 4) :
					DISK_ANY_LOST,
			       notes * 1000 + n);
	}
	print_message("# %zu cuts, each with %u losses\n", notes, cuts);
	assert_true(notes > 300);
}

static int setup(void **state)
{
	char state_dir[PATH_MAX], real[PATH_MAX];

	(void)state;
	fixture_open(&fx, small_base);
	fixture_view_close(&fx);
	snprintf(state_dir, sizeof(state_dir), "%s/state", fx.dir);
	assert_non_null(realpath(state_dir, real));
	assert_int_equal(io_remove_tree(AT_FDCWD, real), 0);
	close(fx.state);
	assert_int_equal(mkdir(real, 0700), 0);
	fx.state = open(real, O_RDONLY | O_DIRECTORY);
	disk_record_start(real);
	fixture_view_open(&fx);
	log_set_segment_bytes(fx.view->upper.log, SEGMENT);
	record();
	disk_record_stop();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_close(&fx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
	};

	/* Each cut of a tail would be said. */
	if (!getenv("LARDER_TEST_LOG"))
		log_set_level((enum log_level)0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
