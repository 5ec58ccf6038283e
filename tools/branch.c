/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What git knows is asked of git. CI systems check a commit out and no branch,
 * and say in the environment which branch it is of; a merge request's source
 * comes before its target, and a tag is no branch.
 */
#include "branch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "spawn.h"
#include "store/entry.h"

/* In this order. */
static const struct {
	const char *name;
	const char *
		unless; /* a variable, with the value that makes it no branch */
	const char *value; /* NULL: any */
} variables[] = {
	{ "GITHUB_HEAD_REF", NULL, NULL },
	{ "GITHUB_REF_NAME", "GITHUB_REF_TYPE", "tag" },
	{ "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", NULL, NULL },
	{ "CI_COMMIT_BRANCH", NULL, NULL },
	{ "BUILDKITE_BRANCH", "BUILDKITE_TAG", NULL },
	{ "CIRCLE_BRANCH", NULL, NULL },
	{ "TRAVIS_PULL_REQUEST_BRANCH", NULL, NULL },
	{ "TRAVIS_BRANCH", "TRAVIS_TAG", NULL },
	{ "DRONE_SOURCE_BRANCH", NULL, NULL },
	{ "CHANGE_BRANCH", NULL, NULL }, /* Jenkins, a pull request's */
	{ "BRANCH_NAME", NULL, NULL },	 /* Jenkins */
	{ "BITBUCKET_BRANCH", NULL, NULL },
	{ "APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH", NULL, NULL },
	{ "APPVEYOR_REPO_BRANCH", "APPVEYOR_REPO_TAG", "true" },
};

static bool is_branch(const char *text)
{
	return text && *text && strlen(text) <= ENTRY_BRANCH_MAX &&
	       !strchr(text, '\n');
}

static bool is_excluded(const char *name, const char *value)
{
	const char *found = name ? getenv(name) : NULL;

	return found && *found && (!value || strcmp(found, value) == 0);
}

static const char *of_ci(void)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *value = getenv(variables[i].name);

		if (is_branch(value) &&
		    !is_excluded(variables[i].unless, variables[i].value))
			return value;
	}
	return "";
}

char *branch_here(void)
{
	static const char *const argv[] = { "git",     "symbolic-ref", "-q",
					    "--short", "HEAD",	       NULL };
	char *branch = spawn_output(argv);

	if (is_branch(branch))
		return branch;
	free(branch);
	return strdup(of_ci());
}
