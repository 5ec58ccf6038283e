/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on the view beside a model of a tree, over a base and over
 * nothing, with a replay of the log between them. LARDER_TEST_SEED and
 * LARDER_TEST_STEPS choose other and longer runs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "view_fixture.h"

static struct fixture fx;

static void run_random(uint64_t seed, unsigned steps, unsigned reopen)
{
	struct fixture_random w;
	unsigned i;

	print_message("# seed %" PRIu64 "\n", seed);
	fixture_random_init(&w, &fx, seed, 700000);
	for (i = 1; i <= steps; i++) {
		if (!fixture_random_step(&w))
			fail_msg("step %u", i);
		if (i % reopen)
			continue;
		play_close_all(&w.play);
		fixture_assert_replays(&fx);
		fixture_random_assert_same(&w);
	}
	fixture_random_assert_same(&w);
	play_close_all(&w.play);
	fixture_random_release(&w);
}

static uint64_t seed_or(uint64_t value)
{
	const char *text = getenv("LARDER_TEST_SEED");

	return text ? strtoull(text, NULL, 10) : value;
}

static unsigned steps_or(unsigned value)
{
	const char *text = getenv("LARDER_TEST_STEPS");

	return text ? (unsigned)strtoul(text, NULL, 10) : value;
}

static void test_random_empty(void **state)
{
	(void)state;
	run_random(seed_or(11), steps_or(4000), 400);
}

/* A replay after every single operation. */
static void test_replay_each_step(void **state)
{
	(void)state;
	run_random(seed_or(13), 250, 1);
}

static void random_base(int dirfd)
{
	static const char *const names[] = { "n0", "n1", "n0/n2", "n0/n2/n3",
					     "n0/n4" };
	char path[64];
	unsigned i;
	int fd;

	for (i = 0; i < 5; i++) {
		assert_int_equal(mkdirat(dirfd, names[i], 0755), 0);
		snprintf(path, sizeof(path), "%s/n5", names[i]);
		fd = openat(dirfd, path, O_CREAT | O_WRONLY, 0644);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, path, 1 + i, 90000 * i), 1 + i);
		close(fd);
		assert_int_equal(fchmodat(dirfd, path, 0644, 0), 0);
		assert_int_equal(fchmodat(dirfd, names[i], 0755, 0), 0);
		snprintf(path, sizeof(path), "%s/n6", names[i]);
		assert_int_equal(symlinkat("t", dirfd, path), 0);
	}
}

static int setup_random_base(void **state)
{
	fixture_open(*state, random_base);
	return 0;
}

static void test_random_base(void **state)
{
	(void)state;
	run_random(seed_or(12), steps_or(4000), 400);
}

#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EMPTY(test_random_empty),
		FIXTURE_TEST(test_replay_each_step, setup_random_base, &fx),
		FIXTURE_TEST(test_random_base, setup_random_base, &fx),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
