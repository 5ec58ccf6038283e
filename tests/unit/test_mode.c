/* SPDX-License-Identifier: Apache-2.0 */
/* What the environment says of a run: its mode and its branch. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tools/branch.h"
#include "tools/cmd.h"
#include "tools/mode.h"

static const char *const variables[] = {
	"LARDER_MODE",
	"LARDER_REBUILD",
	"ACTIONS_CACHE_MODE",
	"GITHUB_HEAD_REF",
	"GITHUB_REF_NAME",
	"GITHUB_REF_TYPE",
	"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
	"CI_COMMIT_BRANCH",
	"BUILDKITE_BRANCH",
	"BUILDKITE_TAG",
	"CIRCLE_BRANCH",
	"TRAVIS_BRANCH",
	"TRAVIS_PULL_REQUEST_BRANCH",
	"BRANCH_NAME",
	"CHANGE_BRANCH",
	"BITBUCKET_BRANCH",
	"DRONE_SOURCE_BRANCH",
	"APPVEYOR_REPO_BRANCH",
	"APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH",
	NULL
};

/* Outside of any git work tree, with a clean environment. */
static int setup(void **state)
{
	struct args quiet = { .quiet = true };

	(void)state;
	for (size_t i = 0; variables[i]; i++)
		unsetenv(variables[i]);
	out_init(&quiet);
	return chdir("/");
}

/* ---- modes */

static void expect_mode(const char *option, const char *project, enum mode want)
{
	enum mode mode = MODE_DEFAULT;
	struct failure f;

	assert_int_equal(mode_choose(option, project, &mode, &f), 0);
	assert_int_equal(mode, want);
}

static void expect_no_mode(const char *option, const char *project, int code,
			   int exit_code)
{
	enum mode mode = MODE_DEFAULT;
	struct failure f;

	assert_int_equal(mode_choose(option, project, &mode, &f), code);
	assert_int_equal(f.exit, exit_code);
}

static void test_names(void **state)
{
	(void)state;
	for (int m = MODE_DEFAULT; m <= MODE_OFF; m++)
		expect_mode(mode_name((enum mode)m), NULL, (enum mode)m);
	expect_mode("ReadOnly", NULL, MODE_READ_ONLY);
	expect_mode("READ-ONLY", NULL, MODE_READ_ONLY);
	expect_mode("write_only", NULL, MODE_WRITE_ONLY);
	expect_mode("Force", NULL, MODE_FORCE);
	expect_no_mode("forced", NULL, -EINVAL, EXIT_USAGE);
	expect_no_mode("", NULL, -EINVAL, EXIT_USAGE);
	expect_no_mode("read", NULL, -EINVAL, EXIT_USAGE);
}

static void test_what_they_do(void **state)
{
	(void)state;
	assert_true(mode_looks_up(MODE_DEFAULT) && mode_commits(MODE_DEFAULT));
	assert_true(mode_looks_up(MODE_READ_ONLY));
	assert_false(mode_commits(MODE_READ_ONLY));
	assert_true(mode_looks_up(MODE_FORCE));
	assert_false(mode_commits(MODE_FORCE));
	assert_false(mode_looks_up(MODE_REFRESH));
	assert_true(mode_commits(MODE_REFRESH));
	assert_false(mode_looks_up(MODE_WRITE_ONLY));
	assert_true(mode_commits(MODE_WRITE_ONLY));
	assert_false(mode_looks_up(MODE_OFF) || mode_commits(MODE_OFF));
}

static void test_which_one_wins(void **state)
{
	(void)state;
	expect_mode(NULL, NULL, MODE_DEFAULT);
	expect_mode(NULL, "", MODE_DEFAULT);
	expect_mode(NULL, "off", MODE_OFF);
	setenv("LARDER_REBUILD", "0", 1);
	expect_mode(NULL, "off", MODE_OFF);
	setenv("LARDER_REBUILD", "1", 1);
	expect_mode(NULL, "off", MODE_REFRESH);
	setenv("LARDER_MODE", "", 1);
	expect_mode(NULL, NULL, MODE_REFRESH);
	setenv("LARDER_MODE", "read-only", 1);
	expect_mode(NULL, "off", MODE_READ_ONLY);
	expect_mode("force", "off", MODE_FORCE);
	setenv("LARDER_MODE", "sometimes", 1);
	expect_no_mode(NULL, NULL, -EINVAL, EXIT_USAGE);
	expect_mode("default", NULL, MODE_DEFAULT);
	unsetenv("LARDER_MODE");
	unsetenv("LARDER_REBUILD");
	expect_no_mode(NULL, "sometimes", -EINVAL, EXIT_USAGE);
}

/* Each mode within each bound. */
static void test_upper_bound(void **state)
{
	enum { REFUSED = 100 };
	static const struct {
		const char *bound;
		int want[MODE_OFF + 1];
	} table[] = {
		{ "write",
		  { MODE_DEFAULT, MODE_READ_ONLY, MODE_FORCE, MODE_REFRESH,
		    MODE_WRITE_ONLY, MODE_OFF } },
		{ "read",
		  { MODE_READ_ONLY, MODE_READ_ONLY, MODE_FORCE, MODE_OFF,
		    MODE_OFF, MODE_OFF } },
		{ "Write-Only",
		  { MODE_WRITE_ONLY, MODE_OFF, REFUSED, MODE_REFRESH,
		    MODE_WRITE_ONLY, MODE_OFF } },
		{ "none",
		  { MODE_OFF, MODE_OFF, REFUSED, MODE_OFF, MODE_OFF,
		    MODE_OFF } },
		{ "of-next-year",
		  { MODE_OFF, MODE_OFF, REFUSED, MODE_OFF, MODE_OFF,
		    MODE_OFF } },
		{ "",
		  { MODE_DEFAULT, MODE_READ_ONLY, MODE_FORCE, MODE_REFRESH,
		    MODE_WRITE_ONLY, MODE_OFF } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		setenv("ACTIONS_CACHE_MODE", table[i].bound, 1);
		for (int m = MODE_DEFAULT; m <= MODE_OFF; m++) {
			const char *name = mode_name((enum mode)m);

			if (table[i].want[m] == REFUSED)
				expect_no_mode(name, NULL, -EACCES,
					       EXIT_REFUSED);
			else
				expect_mode(name, NULL,
					    (enum mode)table[i].want[m]);
		}
	}
}

static void test_commits_of_other_commands(void **state)
{
	struct failure f;

	(void)state;
	assert_int_equal(mode_check_commit("commit", NULL, &f), 0);
	assert_int_equal(mode_check_commit("commit", "off", &f), -EACCES);
	setenv("LARDER_MODE", "read-only", 1);
	assert_int_equal(mode_check_commit("commit", NULL, &f), -EACCES);
	assert_int_equal(f.exit, EXIT_REFUSED);
	assert_non_null(strstr(f.message, "read-only"));
	setenv("LARDER_MODE", "refresh", 1);
	assert_int_equal(mode_check_commit("commit", NULL, &f), 0);
	setenv("ACTIONS_CACHE_MODE", "read", 1);
	assert_int_equal(mode_check_commit("commit", NULL, &f), -EACCES);
}

/* ---- branches */

static void expect_branch(const char *want)
{
	_cleanup_free_ char *branch = branch_here();

	assert_non_null(branch);
	assert_string_equal(branch, want);
}

static void test_branch_of_ci(void **state)
{
	(void)state;
	expect_branch("");
	setenv("GITHUB_REF_NAME", "12/merge", 1);
	expect_branch("12/merge");
	setenv("GITHUB_HEAD_REF", "feature", 1);
	expect_branch("feature");
	setenv("GITHUB_HEAD_REF", "", 1);
	setenv("GITHUB_REF_TYPE", "branch", 1);
	expect_branch("12/merge");
	setenv("GITHUB_REF_TYPE", "tag", 1);
	expect_branch("");
	setenv("CI_COMMIT_BRANCH", "main", 1);
	expect_branch("main");
	unsetenv("CI_COMMIT_BRANCH");
	setenv("BUILDKITE_BRANCH", "v1", 1);
	expect_branch("v1");
	setenv("BUILDKITE_TAG", "v1", 1);
	expect_branch("");
}

static void test_what_is_no_branch(void **state)
{
	char longer[300];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	setenv("CI_COMMIT_BRANCH", longer, 1);
	setenv("CIRCLE_BRANCH", "two\nlines", 1);
	expect_branch("");
	longer[255] = '\0';
	setenv("CI_COMMIT_BRANCH", longer, 1);
	expect_branch(longer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_names, setup),
		cmocka_unit_test_setup(test_what_they_do, setup),
		cmocka_unit_test_setup(test_which_one_wins, setup),
		cmocka_unit_test_setup(test_upper_bound, setup),
		cmocka_unit_test_setup(test_commits_of_other_commands, setup),
		cmocka_unit_test_setup(test_branch_of_ci, setup),
		cmocka_unit_test_setup(test_what_is_no_branch, setup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
