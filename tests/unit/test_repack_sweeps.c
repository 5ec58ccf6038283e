/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repacking that is killed at every point that it passes, or of which every
 * system call fails once: no entry loses a byte, and the next one ends what was
 * begun.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/repack.h"
#include "sweep_fixture.h"

static const char *const kept[] = { "one", "two", "noise" };

static int run(struct store *s, uint64_t unused)
{
	const struct repack_options o = { .level = 9 };
	struct repack_result res;

	(void)unused;
	return repack_run(s, &o, NULL, &res);
}

static void assert_whole(struct fixture *f, const char *what, const char *when)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (read_entry(f, kept[i]) != 0)
			fail_msg("%s: %s cannot be read %s", what, kept[i],
				 when);
}

static void check(struct fixture *f, const char *what)
{
	struct gc_result res;

	assert_whole(f, what, "then");
	assert_int_equal(run(f->store, 0), 0);
	assert_whole(f, what, "after the next");
	res = collect(f, 0);
	assert_int_equal(res.unreadable, 0);
	assert_whole(f, what, "after a collection");
	/* What "two" has alone, the rest in one or two, and the noise. */
	assert_in_range(count_objects(f, "packs", NULL, 0), 3, 4);
}

static int group_setup(void **state)
{
	struct fixture *f;
	int text, noise;

	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	text = make_dir(f, "text");
	noise = make_dir(f, "noise");
	make_text_files(text, 150);
	import_dir(f, text, "one");
	write_noise(text, "m0000.js", 50000, 1);
	import_dir(f, text, "two");
	write_noise(noise, "file", 100000, 2);
	import_dir(f, noise, "noise");
	close(text);
	close(noise);
	take_template(f);
	return 0;
}

static const char *const points[] = { "gc.rewritten",	"gc.place",
				      "repack.note",	"pack.write",
				      "publish.rename", NULL };

static const struct sweep repacking = { "test_repack_sweeps", 307, run, check,
					points };

static void child(void **state)
{
	(void)state;
	sweep_child(&repacking);
}

static void killed_anywhere(void **state)
{
	sweep_kill(*state, &repacking);
}

static void failed_anywhere(void **state)
{
	sweep_fail(*state, &repacking);
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
