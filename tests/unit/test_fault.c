/* SPDX-License-Identifier: Apache-2.0 */
/* Fault injection. LARDER_FAULT is read once, so each case is a child. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/fault.h"

/* The wait status of a child that runs `fn` under `rules`. */
static int under(const char *rules, int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		if (rules)
			setenv("LARDER_FAULT", rules, 1);
		else
			unsetenv("LARDER_FAULT");
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int never(void)
{
	int i;

	for (i = 0; i < 100; i++)
		if (fault_check("log.append") || fault_check("log.appen") ||
		    fault_check("log.append2") || fault_check(""))
			return 1;
	return 0;
}

/* Fails at the third passage and at no other one. */
static int third_enospc(void)
{
	int i;

	for (i = 1; i <= 100; i++) {
		int r = fault_check("log.append");

		if (r != (i == 3 ? -ENOSPC : 0))
			return 1;
		if (fault_check("other"))
			return 2;
	}
	return 0;
}

static int one_after_another(void)
{
	if (fault_check("a") != -EIO || fault_check("a") != -EROFS ||
	    fault_check("a") != 0)
		return 1;
	return fault_check("b") == 0 && fault_check("b") == -EMFILE ? 0 : 2;
}

static int second_passage_kills(void)
{
	if (fault_check("a"))
		return 1;
	fault_check("a");
	return 2;
}

static atomic_int failures;

static void *pass_often(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++)
		if (fault_check("a"))
			atomic_fetch_add(&failures, 1);
	return arg;
}

static int one_of_many_threads(void)
{
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, pass_often, NULL))
			return 1;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return atomic_load(&failures) == 1 ? 0 : 2;
}

static void test_unset(void **state)
{
	(void)state;
	assert_int_equal(under(NULL, never), 0);
	assert_int_equal(under("", never), 0);
	assert_int_equal(under("elsewhere:1:EIO", never), 0);
}

static void test_nth_passage(void **state)
{
	(void)state;
	assert_int_equal(under("log.append:3:ENOSPC", third_enospc), 0);
}

static void test_several_rules(void **state)
{
	(void)state;
	assert_int_equal(
		under("a:1:EIO,a:2:EROFS,b:2:EMFILE", one_after_another), 0);
}

static void test_kill(void **state)
{
	int status;

	(void)state;
	status = under("a:2:kill", second_passage_kills);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void test_threads(void **state)
{
	(void)state;
	assert_int_equal(under("a:4000:EDQUOT", one_of_many_threads), 0);
	assert_int_equal(under("a:1:ENOMEM", one_of_many_threads), 0);
}

/* Also a good rule before a bad one does nothing. */
static void test_malformed_is_ignored(void **state)
{
	static const char *const bad[] = {
		"log.append",
		"log.append:1",
		"log.append:0:EIO",
		"log.append:-1:EIO",
		"log.append:x:EIO",
		"log.append:1:EFOO",
		"log.append:1:",
		"log.append:1:EIO,",
		":1:EIO",
		"log.append:1:EIO,log.append:2",
		"log.append:1 :EIO",
		"log.append:1:EIO:",
		"log.append:99999999999999999999999:EIO",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(under(bad[i], never), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unset),
		cmocka_unit_test(test_nth_passage),
		cmocka_unit_test(test_several_rules),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_malformed_is_ignored),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
