/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sweeps over work on a store share: it is killed at every point that
 * it passes, and every system call of it fails once. The store that it works on
 * is made once and copied. The child that is killed is the test's program again,
 * with the store and the fault in its environment. Most calls are alike, so only
 * some of them fail; with LARDER_TEST_SWEEP_ALL each one does, which takes
 * minutes. Header-only; include it behind cmocka.h.
 */
#ifndef LARDER_TESTS_SWEEP_FIXTURE_H
#define LARDER_TESTS_SWEEP_FIXTURE_H

#include "child.h"
#include "gc_fixture.h"
#include "store/base/log.h"
#include "sysfault.h"

#define CHILD_STORE "LARDER_TEST_SWEEP_STORE"
#define CHILD_LIMIT "LARDER_TEST_SWEEP_LIMIT"
#define POINTS_MAX 32

struct sweep {
	const char *program;
	/* Every how manyth call fails; a prime, since most come in turn with
	 * few others. */
	unsigned step;
	int (*run)(struct store *s, uint64_t limit);
	/* What is there afterwards, with the store open, and what the next run
	 * makes of it. */
	void (*check)(struct fixture *f, const char *what);
	const char *const *points; /* that are passed, ended by NULL */
};

/* Where the store is copied from, and a number for `run`. */
static char template[300];
static uint64_t limit;

static void copy_template(struct fixture *f)
{
	char command[800];

	snprintf(command, sizeof(command),
		 "rm -rf %s/store && cp -a %s %s/store", f->dir, template,
		 f->dir);
	assert_int_equal(system(command), 0);
}

static int open_store(struct fixture *f)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/store", f->dir);
	return store_open(path, &f->store);
}

static void close_store(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

/* The store as it is now, closed. */
static void take_template(struct fixture *f)
{
	char from[160];

	snprintf(template, sizeof(template), "%s/template", f->dir);
	close_store(f);
	snprintf(from, sizeof(from), "%s/store", f->dir);
	assert_int_equal(rename(from, template), 0);
}

/* ---- killing */

static void sweep_child(const struct sweep *sw)
{
	struct store *s;

	assert_int_equal(store_open(getenv(CHILD_STORE), &s), 0);
	assert_int_equal(sw->run(s, strtoull(getenv(CHILD_LIMIT), NULL, 10)),
			 0);
	store_close(s);
}

static void run_child(struct fixture *f, const struct sweep *sw,
		      const char *rule)
{
	char path[160], text[32];

	snprintf(path, sizeof(path), "%s/store", f->dir);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
	setenv("LARDER_FAULT", rule, 1);
	setenv(CHILD_STORE, path, 1);
	setenv(CHILD_LIMIT, text, 1);
	child_exec(sw->program);
}

static bool was_killed(struct fixture *f, const struct sweep *sw,
		       const char *rule)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run_child(f, sw, rule);
	return child_was_killed(pid);
}

struct point {
	char name[64];
	unsigned passed;
};

static unsigned find_points(struct fixture *f, const struct sweep *sw,
			    struct point *points)
{
	char list[160], line[64];
	unsigned n = 0, i;
	FILE *in;

	snprintf(list, sizeof(list), "%s/points", f->dir);
	setenv("LARDER_FAULT_LIST", list, 1);
	copy_template(f);
	assert_false(was_killed(f, sw, "none:1:kill"));
	unsetenv("LARDER_FAULT_LIST");
	in = fopen(list, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		for (i = 0; i < n && strcmp(points[i].name, line) != 0; i++)
			;
		if (i == n) {
			assert_true(n < POINTS_MAX);
			strcpy(points[n++].name, line);
		}
		points[i].passed++;
	}
	fclose(in);
	return n;
}

static bool is_passed(const struct point *points, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(points[i].name, name) == 0)
			return true;
	return false;
}

static void sweep_kill(struct fixture *f, const struct sweep *sw)
{
	struct point points[POINTS_MAX] = { { "", 0 } };
	unsigned n = find_points(f, sw, points), i, at;
	char rule[100];

	for (i = 0; sw->points[i]; i++)
		assert_true(is_passed(points, n, sw->points[i]));
	for (i = 0; i < n; i++)
		for (at = 1; at <= points[i].passed; at++) {
			snprintf(rule, sizeof(rule), "%.63s:%u:kill",
				 points[i].name, at);
			copy_template(f);
			assert_true(was_killed(f, sw, rule));
			assert_int_equal(open_store(f), 0);
			sw->check(f, rule);
			close_store(f);
		}
}

/* ---- failing */

static void sweep_fail(struct fixture *f, const struct sweep *sw)
{
	static const int errors[] = { ENOSPC, EIO, EMFILE, EDQUOT };
	const char *all = getenv("LARDER_TEST_SWEEP_ALL"), *failed = "";
	unsigned long n, step = all && *all ? 1 : sw->step;
	char what[100];

	for (n = 1; failed; n += step) {
		int err = errors[n % (sizeof(errors) / sizeof(*errors))], r;

		copy_template(f);
		assert_int_equal(open_store(f), 0);
		sysfault_arm(n, err);
		r = sw->run(f->store, limit);
		failed = sysfault_disarm();
		snprintf(what, sizeof(what), "call %lu, %s, error %d: %d", n,
			 failed ? failed : "none", err, r);
		assert_true(failed || r == 0);
		sw->check(f, what);
		close_store(f);
	}
	/* It was more than a look at the files. */
	assert_true(n > 100);
}

#endif
