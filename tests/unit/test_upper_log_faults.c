/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper log when calls fail or the process dies at a fault point
 * (LARDER_FAULT): what was answered is there, what failed is not, nothing is
 * half there, and the log goes on working. Each scenario runs in a process of
 * its own, this program again, since the rules are read once; it tells what
 * was answered through a pipe.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include "upper_log_fixture.h"

#define APPENDS 12
#define CHECKPOINT_AT 6

/* --- the child: a scenario, its answers on standard output --- */

static int write_state(void *arg, struct log_checkpoint *c)
{
	const unsigned *answered = arg;
	uint8_t items[64];
	int r = 0;

	for (unsigned n = 1; r == 0 && n <= *answered; n++)
		r = log_checkpoint_put(c, items, fixture_items(n, items));
	return r;
}

static void answer(char what)
{
	if (write(STDOUT_FILENO, &what, 1) != 1)
		_exit(99);
}

/* Appends records, in small segments, each only once the one before it was
 * answered; a checkpoint in the middle, and syncs. Any call may fail; it is
 * made again until it succeeds. 'a': an append was answered, 'f': a call
 * failed, and 'd' at the end. */
static int child_appends(struct log *l)
{
	unsigned answered = 0;
	int r;

	log_set_segment_bytes(l, 1500);
	while (answered < APPENDS) {
		r = fixture_append(l, answered + 1, 300, NULL);
		if (r == 0)
			answered++;
		answer(r == 0 ? 'a' : 'f');
		while (r == 0 && answered % 4 == 0 && log_sync(l) < 0)
			answer('f');
		while (r == 0 && answered == CHECKPOINT_AT &&
		       log_checkpoint(l, write_state, &answered) < 0)
			answer('f');
	}
	answer('d');
	return 0;
}

/* Five records, then the log is emptied. 'c': that was answered. */
static int child_clear(struct log *l)
{
	for (unsigned n = 1; n <= 5; n++)
		if (fixture_append(l, n, 300, NULL) < 0)
			return 1;
	while (log_clear(l) < 0)
		answer('f');
	answer('c');
	return 0;
}

/* The content of an own file: before, and from the second write on. */
static int child_own(struct log *l)
{
	if (log_own_write(l, 5, "before", 6, 0) < 0)
		return 1;
	while (log_own_write(l, 5, "after!", 6, 0) < 0)
		answer('f');
	answer('o');
	return 0;
}

static int child_main(const char *scenario, const char *path)
{
	struct log *l;
	bool damaged;
	int r;

	fx.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fx.dirfd < 0 ||
	    log_open(fx.dirfd, fixture_replay, NULL, &l, &damaged) < 0 ||
	    damaged)
		return 2;
	if (strcmp(scenario, "appends") == 0)
		r = child_appends(l);
	else if (strcmp(scenario, "clear") == 0)
		r = child_clear(l);
	else
		r = child_own(l);
	log_close(l);
	return r;
}

/* --- the parent --- */

struct outcome {
	unsigned answered, failed;
	bool done, killed;
};

static void count_answers(int fd, struct outcome *out)
{
	char what;

	while (read(fd, &what, 1) == 1) {
		out->answered += what == 'a';
		out->failed += what == 'f';
		out->done |= what == 'd' || what == 'c' || what == 'o';
	}
}

static struct outcome run(const char *scenario, const char *fault)
{
	struct outcome out = { 0 };
	int pipe_fds[2], status;
	pid_t pid;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		setenv("LARDER_FAULT", fault, 1);
		execl("/proc/self/exe", "child", "child", scenario, fx.path,
		      (char *)NULL);
		_exit(98);
	}
	close(pipe_fds[1]);
	count_answers(pipe_fds[0], &out);
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	out.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (!out.killed)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return out;
}

static void fresh_directory(void)
{
	fixture_teardown(NULL);
	assert_int_equal(fixture_setup(NULL), 0);
}

static bool temporary_files_left(void)
{
	_cleanup_closedir_ DIR *d = opendir(fx.path);
	struct dirent *de;

	assert_non_null(d);
	while ((de = readdir(d)))
		if (strncmp(de->d_name, ".tmp-", 5) == 0)
			return true;
	return false;
}

/* The replay gives 1 .. n with n in [low, high], and the log goes on. */
static void assert_replayed(unsigned low, unsigned high)
{
	struct log *l = fixture_open_good();
	unsigned n = fx.count;

	assert_in_range(n, low, high);
	fixture_assert_seen(1, n);
	assert_false(temporary_files_left());
	assert_int_equal(fixture_append(l, n + 1, 300, NULL), 0);
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(1, n + 1);
}

static const char *const points[] = {
	"log.append",	"log.sync",	  "log.checkpoint",  "publish.open",
	"publish.sync", "publish.rename", "publish.dirsync",
};

#define POINTS (sizeof(points) / sizeof(points[0]))

/* Call N of every point fails, for N from 1 until the run passes without. */
static void test_fault_sweep(void **state)
{
	static const char *const errors[] = { "ENOSPC", "EDQUOT", "EIO",
					      "EMFILE" };

	(void)state;
	for (size_t p = 0; p < POINTS; p++) {
		unsigned failed = 1;

		for (unsigned n = 1; failed; n++) {
			struct outcome out;
			char fault[80];

			snprintf(fault, sizeof(fault), "%s:%u:%s", points[p], n,
				 errors[n % 4]);
			fresh_directory();
			out = run("appends", fault);
			assert_true(out.done);
			assert_int_equal(out.answered, APPENDS);
			assert_true(out.failed <= 1 && (out.failed || n > 1));
			failed = out.failed;
			assert_replayed(APPENDS, APPENDS);
		}
	}
}

static void test_kill_sweep(void **state)
{
	(void)state;
	for (size_t p = 0; p < POINTS; p++) {
		bool killed = true;

		for (unsigned n = 1; killed; n++) {
			struct outcome out;
			char fault[80];

			snprintf(fault, sizeof(fault), "%s:%u:kill", points[p],
				 n);
			fresh_directory();
			out = run("appends", fault);
			killed = out.killed;
			assert_true(killed != out.done);
			assert_true(killed || n > 1);
			assert_replayed(out.answered, out.answered);
		}
	}
}

/* Dying between writing a record and answering: it is there, though whoever
 * asked for it was not told. */
static void test_kill_after_append(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= APPENDS; n++) {
		struct outcome out;
		char fault[80];

		snprintf(fault, sizeof(fault), "log.appended:%u:kill", n);
		fresh_directory();
		out = run("appends", fault);
		assert_true(out.killed);
		assert_int_equal(out.answered, n - 1);
		assert_replayed(n, n);
	}
}

/* Killed at any moment, not only at points. */
static void test_kill_anywhere(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		struct log *l;
		int fds[2], status;
		unsigned got = 0;
		char what;
		pid_t pid;

		fresh_directory();
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			dup2(fds[1], STDOUT_FILENO);
			l = fixture_open_good();
			log_set_segment_bytes(l, 300000);
			for (unsigned n = 1; n < FIXTURE_MAX; n++) {
				if (fixture_append(l, n, 60000, NULL) < 0)
					_exit(1);
				answer('a');
			}
			_exit(0);
		}
		close(fds[1]);
		while (got < 5 + i && read(fds[0], &what, 1) == 1)
			got++;
		kill(pid, SIGKILL);
		while (read(fds[0], &what, 1) == 1)
			got++;
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_replayed(got, got + 1);
	}
}

static void test_clear_sweep(void **state)
{
	static const char *const actions[] = { "ENOSPC", "kill" };

	(void)state;
	for (size_t i = 0; i < 2 * POINTS; i++) {
		struct outcome out;
		char fault[80];
		struct log *l;

		if (strcmp(points[i / 2], "log.append") == 0)
			continue;
		snprintf(fault, sizeof(fault), "%s:1:%s", points[i / 2],
			 actions[i % 2]);
		fresh_directory();
		out = run("clear", fault);
		assert_true(out.killed == (i % 2 == 1));
		assert_true(out.killed != out.done);
		/* With its name in place the empty state has happened. */
		assert_int_equal(out.failed,
				 !out.killed && strcmp(points[i / 2],
						       "publish.dirsync") != 0);
		l = fixture_open_good();
		/* All of it or none; and none once that was answered. */
		assert_true(fx.count == 0 || (fx.count == 5 && out.killed));
		assert_false(temporary_files_left());
		log_close(l);
	}
}

static void test_own_file(void **state)
{
	static const char *const faults[] = { "log.own:2:ENOSPC",
					      "log.own:2:kill" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char got[6], want[7] = "after!";
		struct outcome out;
		struct log *l;

		fresh_directory();
		out = run("own", faults[i]);
		assert_int_equal(out.failed, i == 0);
		assert_int_equal(out.killed, i == 1);
		if (out.killed)
			memcpy(want, "before", 6);
		l = fixture_open_good();
		assert_int_equal(log_own_read(l, 5, got, 6, 0), 0);
		assert_memory_equal(got, want, 6);
		log_close(l);
	}
}

#define LOG_TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_fault_sweep),	  LOG_TEST(test_kill_sweep),
		LOG_TEST(test_kill_after_append), LOG_TEST(test_kill_anywhere),
		LOG_TEST(test_clear_sweep),	  LOG_TEST(test_own_file),
	};

	/* What is provoked here would be said a hundred times. */
	log_set_level((enum log_level)0);
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child_main(argv[2], argv[3]);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
