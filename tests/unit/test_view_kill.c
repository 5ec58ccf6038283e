/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killing the process at every fault point that it passes, in the middle of
 * random operations, checkpoints and commits: every operation that was answered is there after
 * the next open, and the one that was not is there whole or not at all.
 *
 * The child is this program again, with the directory to work in and the
 * fault in its environment. It notes each step that was answered in a file.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/view_internal.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#include "child.h"
#include "view_fixture.h"

#define CHILD_DIR "LARDER_TEST_KILL_DIR"
#define CHILD_STEPS "LARDER_TEST_KILL_STEPS"
#define STEPS "150"
#define CHECKPOINT_EACH 50
#define COMMIT_EACH 30
#define SEED 5
#define FILE_MAX 500000

static bool step(struct fixture_random *w, struct fixture *fx, unsigned n)
{
	struct ingest_result r;
	char key[16];

	if (!fixture_random_step(w))
		return false;
	if (n % CHECKPOINT_EACH == 0)
		return upper_checkpoint(&fx->view->upper) == 0;
	if (n % COMMIT_EACH)
		return true;
	snprintf(key, sizeof(key), "k%u", n);
	return fixture_commit(fx, key, &r) == 0;
}

/* In the child: until the fault kills it, or to the end. */
static void test_child(void **state)
{
	const char *dir = getenv(CHILD_DIR);
	_cleanup_free_ char *path = io_path("%s/answered", dir);
	struct fixture_random w;
	_cleanup_close_ int fd = -1;
	uint32_t n, steps = (uint32_t)strtoul(getenv(CHILD_STEPS), NULL, 10);
	struct fixture fx;

	(void)state;
	assert_non_null(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	fixture_open_at(&fx, dir);
	fixture_random_init(&w, &fx, SEED, FILE_MAX);
	for (n = 1; n <= steps; n++) {
		assert_true(step(&w, &fx, n));
		assert_int_equal(io_pwrite(fd, &n, sizeof(n), 0), 0);
	}
	play_close_all(&w.play);
	fixture_random_release(&w);
	fixture_close(&fx);
}

static void run_child(const char *dir, const char *point, unsigned at)
{
	char rule[64];

	snprintf(rule, sizeof(rule), "%s:%u:kill", point, at);
	setenv("LARDER_FAULT", rule, 1);
	setenv(CHILD_DIR, dir, 1);
	child_exec("test_view_kill");
}

/* True when the fault came before the end. */
static bool was_killed(const char *dir, const char *point, unsigned at)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run_child(dir, point, at);
	return child_was_killed(pid);
}

static uint32_t answered(const char *dir)
{
	_cleanup_free_ char *path = io_path("%s/answered", dir);
	_cleanup_close_ int fd = open(path, O_RDONLY);
	uint32_t n = 0;

	assert_true(fd >= 0);
	assert_true(pread(fd, &n, sizeof(n), 0) >= 0);
	return n;
}

/* Whether `left` is what the steps made of `here`. */
static bool is_same(struct fixture_random *w, struct fixture *left,
		    struct fixture *here)
{
	bool same;

	play_new_tree(&w->play);
	w->play.fs = left;
	same = play_compare_tree(&w->play);
	play_new_tree(&w->play);
	w->play.fs = here;
	w->play.failed = NULL;
	return same;
}

/* What the child left, against the same steps done here. */
static void check(const char *dir)
{
	uint32_t n, done = answered(dir);
	struct fixture left, here;
	struct fixture_random w;
	struct ingest_result r;

	fixture_open_at(&left, dir);
	assert_false(left.damaged);
	fixture_open(&here, NULL);
	fixture_random_init(&w, &here, SEED, FILE_MAX);
	for (n = 1; n <= done; n++)
		assert_true(fixture_random_step(&w));
	/* The step that was not answered may have happened. */
	if (!is_same(&w, &left, &here)) {
		assert_true(fixture_random_step(&w));
		assert_true(is_same(&w, &left, &here));
	}
	/* And it goes on working. */
	assert_int_equal(fixture_write(&left, "after", "x"), 0);
	assert_int_equal(fixture_commit(&left, "after", &r), 0);
	fixture_assert_diff(left.view, "");
	play_close_all(&w.play);
	fixture_random_release(&w);
	fixture_close(&left);
	fixture_close(&here);
}

static void make_dir(char dir[256])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, 256, "%s/larder-kill-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
}

static void kill_at(const char *point, unsigned at)
{
	char dir[256];

	make_dir(dir);
	if (!was_killed(dir, point, at))
		fail_msg("%s was passed fewer than %u times", point, at);
	check(dir);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

/* --- the points that a run passes --- */

struct point {
	char name[64];
	unsigned passed;
};

struct points {
	struct point list[64];
	unsigned n;
};

static void points_add(struct points *points, const char *name)
{
	unsigned k;

	for (k = 0; k < points->n; k++)
		if (strcmp(points->list[k].name, name) == 0) {
			points->list[k].passed++;
			return;
		}
	assert_true(points->n < 64);
	snprintf(points->list[points->n].name, 64, "%s", name);
	points->list[points->n++].passed = 1;
}

static void points_find(struct points *ret_points)
{
	char dir[256], list[300], line[64];
	FILE *f;

	*ret_points = (struct points){ .n = 0 };
	make_dir(dir);
	snprintf(list, sizeof(list), "%s/points", dir);
	setenv("LARDER_FAULT_LIST", list, 1);
	assert_false(was_killed(dir, "none", 1));
	unsetenv("LARDER_FAULT_LIST");
	f = fopen(list, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		points_add(ret_points, line);
	}
	fclose(f);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

static bool points_have(const struct points *points, const char *name)
{
	unsigned k;

	for (k = 0; k < points->n; k++)
		if (strcmp(points->list[k].name, name) == 0)
			return true;
	return false;
}

/* Every point that the run passes, whatever its name, at some of its passages
 * spread over the run: LARDER_TEST_KILLS a point. */
static void test_every_point(void **state)
{
	const char *env = getenv("LARDER_TEST_KILLS");
	unsigned kills = env ? (unsigned)strtoul(env, NULL, 10) : 3;
	struct points points;
	unsigned k, n, done = 0;

	(void)state;
	points_find(&points);
	for (k = 0; k < points.n; k++) {
		const struct point *p = &points.list[k];
		unsigned some = p->passed < kills ? p->passed : kills;

		for (n = 0; n < some; n++, done++)
			kill_at(p->name,
				1 + (unsigned)((uint64_t)p->passed * n / some));
	}
	print_message("# %u kills at %u points\n", done, points.n);
	/* The run reaches what it is for. */
	assert_true(points_have(&points, "log.appended"));
	assert_true(points_have(&points, "log.own.written"));
	assert_true(points_have(&points, "log.checkpoint.done"));
	assert_true(points_have(&points, "ingest.index"));
	assert_true(points_have(&points, "commit.remember"));
}

int main(void)
{
	const struct CMUnitTest child[] = { cmocka_unit_test(test_child) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_point),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv(CHILD_DIR))
		return cmocka_run_group_tests(child, NULL, NULL);
	setenv(CHILD_STEPS, STEPS, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
