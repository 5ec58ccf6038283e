/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of blame: workers, which are children here, die in the ways that
 * workers do, and the next one is told which requests to refuse.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/blame.h"

enum { MOUNT = 11, OTHER_MOUNT = 12, BAD = 7, INNOCENT = 8 };

static struct blame *blame;

static int setup(void **state)
{
	(void)state;
	return blame_new(&blame);
}

static int teardown(void **state)
{
	(void)state;
	blame_free(blame);
	return 0;
}

/* --- a worker --- */

static pthread_barrier_t both_began;

/* Is at a request as long as the worker lives. */
static void *innocent_thread(void *arg)
{
	(void)arg;
	(void)blame_begin(blame, MOUNT, INNOCENT, true);
	pthread_barrier_wait(&both_began);
	for (;;)
		pause();
	return NULL;
}

static void die_by_kill(void)
{
	kill(getpid(), SIGKILL);
}

/* Writes where nothing may be written; not by a pointer that a sanitizer
 * knows to be wrong. */
static void die_by_fault(void)
{
	uint8_t *page =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*(volatile uint8_t *)page = 1;
}

static void die_by_will(void)
{
	_exit(75);
}

/* A worker that is at two requests when it dies. */
static void run_worker(void (*die)(void))
{
	static const struct rlimit none;
	pthread_t thread;

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGSEGV, SIG_DFL); /* a sanitizer's, too */
	signal(SIGABRT, SIG_DFL);
	blame_watch();
	pthread_barrier_init(&both_began, NULL, 2);
	pthread_create(&thread, NULL, innocent_thread, NULL);
	pthread_barrier_wait(&both_began);
	if (!blame_begin(blame, MOUNT, BAD, true))
		_exit(1);
	die();
	_exit(2);
}

static void live_and_die(void (*die)(void), int want_signal)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		run_worker(die);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (want_signal)
		assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0,
				 want_signal);
	else
		assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1,
				 75);
	blame_collect(blame, WIFSIGNALED(status));
}

static bool would_serve(uint64_t mount, uint64_t unique, bool resent)
{
	if (!blame_begin(blame, mount, unique, resent))
		return false;
	blame_end();
	return true;
}

/* --- the tests --- */

static void assert_third_is_refused(void (*die)(void), int sig)
{
	live_and_die(die, sig);
	live_and_die(die, sig);
	assert_true(would_serve(MOUNT, BAD, true));
	live_and_die(die, sig);
	assert_false(would_serve(MOUNT, BAD, true));
	/* Only that one: not what ran beside it, nor another of its number. */
	assert_true(would_serve(MOUNT, INNOCENT, true));
	assert_true(would_serve(OTHER_MOUNT, BAD, true));
	assert_true(would_serve(MOUNT, BAD, false));
}

static void test_abort(void **state)
{
	(void)state;
	assert_third_is_refused(abort, SIGABRT);
}

static void test_fault(void **state)
{
	(void)state;
	assert_third_is_refused(die_by_fault, SIGSEGV);
}

/* Nobody knows what the worker was killed for, so it takes longer. */
static void test_kill(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		live_and_die(die_by_kill, SIGKILL);
	assert_true(would_serve(MOUNT, BAD, true));
	live_and_die(die_by_kill, SIGKILL);
	assert_false(would_serve(MOUNT, BAD, true));
	assert_false(would_serve(MOUNT, INNOCENT, true));
}

static void test_replaced_worker_blames_nobody(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 9; i++)
		live_and_die(die_by_will, 0);
	assert_true(would_serve(MOUNT, BAD, true));
}

/* What was answered in between is not blamed for earlier deaths. */
static void test_only_deaths_in_a_row(void **state)
{
	(void)state;
	live_and_die(abort, SIGABRT);
	live_and_die(abort, SIGABRT);
	blame_collect(blame, true); /* a worker that was at nothing */
	live_and_die(abort, SIGABRT);
	assert_true(would_serve(MOUNT, BAD, true));
}

/* More threads than the table has room for are served all the same. */
static void test_more_than_the_table_holds(void **state)
{
	uint64_t i;

	(void)state;
	for (i = 1; i <= 1000; i++)
		assert_true(blame_begin(blame, MOUNT, i, false));
	blame_collect(blame, true);
	assert_true(would_serve(MOUNT, 1, true));
	assert_true(blame_begin(NULL, MOUNT, 1, true));
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARED(test_abort),
		SHARED(test_fault),
		SHARED(test_kill),
		SHARED(test_replaced_worker_blames_nobody),
		SHARED(test_only_deaths_in_a_row),
		SHARED(test_more_than_the_table_holds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
