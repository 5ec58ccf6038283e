/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections that are killed at every point that they pass, and collections
 * of which every system call fails once: no entry loses a byte, and the next
 * one ends what they have begun.
 *
 * Most calls are alike, so every 29th of them fails; with LARDER_TEST_SWEEP_ALL
 * each one does, which takes minutes. The store that they work on is made once and copied. The child that is
 * killed is this program again, with the store and the fault in its
 * environment.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "child.h"
#include "gc_fixture.h"
#include "store/base/log.h"
#include "sysfault.h"

#define CHILD_STORE "LARDER_TEST_GC_STORE"
#define POINTS_MAX 32
#define STEP 29 /* a prime: most calls come in turn with few others */

static const int errors[] = { ENOSPC, EIO, EMFILE, EDQUOT };

/* Where the store is copied from, and its limit: "old" has to go. */
static char template[300];
static uint64_t limit;

/* What has to be there afterwards. */
static const char *const kept[] = { "small", "new", "text" };

/* ---- the store */

static void make_template(struct fixture *f)
{
	int from = make_dir(f, "from"), text = make_dir(f, "text");
	char name[16];
	int64_t now;
	unsigned i;

	for (i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		write_noise(from, name, 60000, i + 1);
	}
	import_dir(f, from, "large");
	for (i = 4; i < 12; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(unlinkat(from, name, 0), 0);
	}
	import_dir(f, from, "small");
	write_noise(from, "f0", 700000, 50);
	import_dir(f, from, "old");
	write_noise(from, "f0", 70000, 51);
	import_dir(f, from, "new");
	make_text_files(text, 40);
	import_dir(f, text, "text");
	now = clock_wall_ns();
	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		use_at(f, kept[i], now + i + 1);
	remove_entry(f, "large");
	close(from);
	close(text);
}

static void copy_template(struct fixture *f)
{
	char command[800];

	snprintf(command, sizeof(command),
		 "rm -rf %s/store && cp -a %s %s/store", f->dir, template,
		 f->dir);
	assert_int_equal(system(command), 0);
}

static struct gc_options options(void)
{
	return (struct gc_options){ .limits = { .max_bytes = limit } };
}

static int open_store(struct fixture *f)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/store", f->dir);
	return store_open(path, &f->store);
}

/* What a collection that was broken off has left, and the next one makes of
 * it. */
static void check(struct fixture *f, const char *what)
{
	const struct gc_options o = options();
	struct gc_result res;

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (read_entry(f, kept[i]) != 0)
			fail_msg("%s: %s cannot be read", what, kept[i]);
	assert_true(!has_entry(f, "old") || read_entry(f, "old") == 0);
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_false(has_entry(f, "old"));
	assert_int_equal(res.unreadable, 0);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (read_entry(f, kept[i]) != 0)
			fail_msg("%s: %s is lost", what, kept[i]);
	assert_int_equal(count_objects(f, "catalogs", NULL, 0), 3);
	assert_int_equal(count_objects(f, "placements", NULL, 0), 3);
	/* A second copy of a chunk may keep one pack more half alive. */
	assert_in_range(count_objects(f, "packs", NULL, 0), 3, 4);
}

static int group_setup(void **state)
{
	struct gc_options o;
	struct gc_result res;
	struct fixture *f;
	char from[160];

	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	make_template(f);
	reopen_store(f);
	snprintf(template, sizeof(template), "%s/template", f->dir);
	/* Without "old", and with half-dead packs written anew, it fits. */
	limit = bytes_now(f) - 600000;
	o = options();
	store_close(f->store);
	f->store = NULL;
	snprintf(from, sizeof(from), "%s/store", f->dir);
	assert_int_equal(rename(from, template), 0);
	copy_template(f);
	assert_int_equal(open_store(f), 0);
	assert_int_equal(gc_run(f->store, &o, NULL, &res), 0);
	assert_int_equal(res.removed_entries, 1);
	assert_true(res.rewritten_packs > 0);
	store_close(f->store);
	f->store = NULL;
	return 0;
}

/* ---- killing */

static void child(void **state)
{
	const struct gc_options o = {
		.limits = { .max_bytes = strtoull(
				    getenv("LARDER_TEST_GC_LIMIT"), NULL, 10) },
	};
	struct gc_result res;
	struct store *s;

	(void)state;
	assert_int_equal(store_open(getenv(CHILD_STORE), &s), 0);
	assert_int_equal(gc_run(s, &o, NULL, &res), 0);
	store_close(s);
}

static void run_child(struct fixture *f, const char *rule)
{
	char path[160], text[32];

	snprintf(path, sizeof(path), "%s/store", f->dir);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
	setenv("LARDER_FAULT", rule, 1);
	setenv(CHILD_STORE, path, 1);
	setenv("LARDER_TEST_GC_LIMIT", text, 1);
	child_exec("test_gc_sweeps");
}

static bool was_killed(struct fixture *f, const char *rule)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run_child(f, rule);
	return child_was_killed(pid);
}

struct point {
	char name[64];
	unsigned passed;
};

static unsigned find_points(struct fixture *f, struct point *points)
{
	char list[160], line[64];
	unsigned n = 0, i;
	FILE *in;

	snprintf(list, sizeof(list), "%s/points", f->dir);
	setenv("LARDER_FAULT_LIST", list, 1);
	copy_template(f);
	assert_false(was_killed(f, "none:1:kill"));
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

static void killed_anywhere(void **state)
{
	static const char *const wanted[] = { "gc.entry",      "gc.rewritten",
					      "gc.place",      "gc.index",
					      "gc.durable",    "gc.unlink",
					      "publish.rename" };
	struct point points[POINTS_MAX] = { { "", 0 } };
	struct fixture *f = *state;
	unsigned n = find_points(f, points), i, at, found = 0;
	char rule[100];

	for (i = 0; i < n; i++)
		for (at = 0; at < sizeof(wanted) / sizeof(*wanted); at++)
			found += strcmp(points[i].name, wanted[at]) == 0;
	assert_int_equal(found, sizeof(wanted) / sizeof(*wanted));
	for (i = 0; i < n; i++)
		for (at = 1; at <= points[i].passed; at++) {
			snprintf(rule, sizeof(rule), "%.63s:%u:kill",
				 points[i].name, at);
			copy_template(f);
			assert_true(was_killed(f, rule));
			assert_int_equal(open_store(f), 0);
			check(f, rule);
			store_close(f->store);
			f->store = NULL;
		}
}

/* ---- failing */

static void failed_anywhere(void **state)
{
	struct fixture *f = *state;
	const struct gc_options o = options();
	const char *failed = "";
	struct gc_result res;
	const char *all = getenv("LARDER_TEST_SWEEP_ALL");
	unsigned long n, step = all && *all ? 1 : STEP;
	char what[100];

	for (n = 1; failed; n += step) {
		int err = errors[n % (sizeof(errors) / sizeof(*errors))], r;

		copy_template(f);
		assert_int_equal(open_store(f), 0);
		sysfault_arm(n, err);
		r = gc_run(f->store, &o, NULL, &res);
		failed = sysfault_disarm();
		snprintf(what, sizeof(what), "call %lu, %s, error %d: %d", n,
			 failed ? failed : "none", err, r);
		assert_true(failed || r == 0);
		check(f, what);
		store_close(f->store);
		f->store = NULL;
	}
	/* It was more than a look at the files. */
	assert_true(n > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_anywhere),
		cmocka_unit_test(failed_anywhere),
	};
	const struct CMUnitTest child_tests[] = {
		cmocka_unit_test(child),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv(CHILD_STORE))
		return cmocka_run_group_tests(child_tests, NULL, NULL);
	return cmocka_run_group_tests(tests, group_setup, fixture_teardown);
}
