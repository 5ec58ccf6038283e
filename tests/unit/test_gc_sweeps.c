/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections that are killed at every point that they pass, and collections
 * of which every system call fails once: no entry loses a byte, and the next
 * one ends what they have begun.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sweep_fixture.h"

/* What has to be there afterwards; over the limit, "old" has to go. */
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

static int run(struct store *s, uint64_t max_bytes)
{
	const struct gc_options o = { .limits = { .max_bytes = max_bytes } };
	struct gc_result res;

	return gc_run(s, &o, NULL, &res);
}

/* What a collection that was broken off has left, and the next one makes of
 * it. */
static void check(struct fixture *f, const char *what)
{
	const struct gc_options o = { .limits = { .max_bytes = limit } };
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
	struct gc_result res;
	struct fixture *f;

	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	make_template(f);
	reopen_store(f);
	/* Without "old", and with half-dead packs written anew, it fits. */
	limit = bytes_now(f) - 600000;
	take_template(f);
	copy_template(f);
	assert_int_equal(open_store(f), 0);
	res = collect(f, limit);
	assert_int_equal(res.removed_entries, 1);
	assert_true(res.rewritten_packs > 0);
	close_store(f);
	return 0;
}

static const char *const points[] = { "gc.entry",	"gc.rewritten",
				      "gc.place",	"gc.index",
				      "gc.durable",	"gc.unlink",
				      "publish.rename", NULL };

static const struct sweep collection = { "test_gc_sweeps", 29, run, check,
					 points };

static void child(void **state)
{
	(void)state;
	sweep_child(&collection);
}

static void killed_anywhere(void **state)
{
	sweep_kill(*state, &collection);
}

static void failed_anywhere(void **state)
{
	sweep_fail(*state, &collection);
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
