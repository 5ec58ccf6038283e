/* SPDX-License-Identifier: Apache-2.0 */
/* Modes by name, from the environment, and within GitHub's upper bound. */
#include "mode.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define MODES_TEXT "default, read-only, force, refresh, write-only or off"

static const struct {
	const char *name;
	bool looks_up, commits;
} modes[] = {
	[MODE_DEFAULT] = { "default", true, true },
	[MODE_READ_ONLY] = { "read-only", true, false },
	[MODE_FORCE] = { "force", true, false },
	[MODE_REFRESH] = { "refresh", false, true },
	[MODE_WRITE_ONLY] = { "write-only", false, true },
	[MODE_OFF] = { "off", false, false },
};

#define MODES (sizeof(modes) / sizeof(modes[0]))

static bool is_dash(char c)
{
	return c == '-' || c == '_';
}

/* Whether two words are the same but for case and dashes. */
static bool same_word(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (is_dash(*a))
			a++;
		while (is_dash(*b))
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (!*a)
			return true;
	}
}

int mode_parse(const char *text, enum mode *ret_mode)
{
	for (size_t i = 0; i < MODES; i++) {
		if (same_word(text, modes[i].name)) {
			*ret_mode = (enum mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *mode_name(enum mode mode)
{
	return modes[mode].name;
}

bool mode_looks_up(enum mode mode)
{
	return modes[mode].looks_up;
}

bool mode_commits(enum mode mode)
{
	return modes[mode].commits;
}

/* ---- what is asked for */

static const char *given(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int parse_given(const char *text, const char *where, enum mode *ret_mode,
		       struct failure *f)
{
	if (mode_parse(text, ret_mode) == 0)
		return 0;
	return failure_set(f, -EINVAL, EXIT_USAGE,
			   "%s: %s is no mode; use " MODES_TEXT, where, text);
}

static int asked_for(const char *option, const char *project,
		     enum mode *ret_mode, struct failure *f)
{
	const char *named = given("LARDER_MODE");
	const char *rebuild = given("LARDER_REBUILD");

	if (option)
		return parse_given(option, "--mode", ret_mode, f);
	if (named)
		return parse_given(named, "LARDER_MODE", ret_mode, f);
	if (rebuild && strcmp(rebuild, "0") != 0) {
		*ret_mode = MODE_REFRESH;
		return 0;
	}
	if (project && *project)
		return parse_given(project, "mode", ret_mode, f);
	*ret_mode = MODE_DEFAULT;
	return 0;
}

/* ---- the upper bound */

/* GitHub's words; one that is not known allows nothing. */
static void read_bound(const char *text, bool *ret_read, bool *ret_write)
{
	*ret_read = same_word(text, "read") || same_word(text, "write");
	*ret_write = same_word(text, "write") || same_word(text, "write-only");
	if (!*ret_read && !*ret_write && !same_word(text, "none"))
		out_warning("ACTIONS_CACHE_MODE=%s is not known; nothing is "
			    "looked up and nothing committed",
			    text);
}

static const char *forbidden_by; /* NULL: commits are fine */

void mode_forbid_commits(const char *why)
{
	forbidden_by = why;
}

/* The mode that does what `mode` does, as far as it may; false where there is
 * none. */
static bool within(enum mode mode, bool may_read, bool may_write,
		   enum mode *ret_mode)
{
	bool looks_up = modes[mode].looks_up && may_read;
	bool commits = modes[mode].commits && may_write;

	if (mode == MODE_FORCE && !may_read)
		return false;
	if (looks_up == modes[mode].looks_up && commits == modes[mode].commits)
		*ret_mode = mode;
	else if (looks_up)
		*ret_mode = MODE_READ_ONLY;
	else
		*ret_mode = commits ? MODE_WRITE_ONLY : MODE_OFF;
	return true;
}

int mode_choose(const char *option, const char *project, enum mode *ret_mode,
		struct failure *f)
{
	const char *bound = given("ACTIONS_CACHE_MODE");
	bool may_read, may_write;
	enum mode asked = MODE_DEFAULT, mode;
	int r = asked_for(option, project, &asked, f);

	if (r < 0)
		return r;
	mode = asked;
	if (bound) {
		read_bound(bound, &may_read, &may_write);
		if (!within(asked, may_read, may_write, &mode))
			return failure_set(f, -EACCES, EXIT_REFUSED,
					   "ACTIONS_CACHE_MODE=%s allows no "
					   "lookup, which mode force is",
					   bound);
	}
	if (mode != asked)
		out_note("mode %s instead of %s: ACTIONS_CACHE_MODE is %s",
			 mode_name(mode), mode_name(asked), bound);
	asked = mode;
	if (forbidden_by)
		(void)within(asked, true, false, &mode);
	if (mode != asked)
		out_note("mode %s instead of %s: the tier local is not "
			 "written to (%s)",
			 mode_name(mode), mode_name(asked), forbidden_by);
	*ret_mode = mode;
	return 0;
}

int mode_check_commit(const char *what, const char *project, struct failure *f)
{
	enum mode mode;
	int r = mode_choose(NULL, project, &mode, f);

	if (r < 0)
		return r;
	if (mode_commits(mode))
		return 0;
	return failure_set(f, -EACCES, EXIT_REFUSED,
			   "%s: refused, the mode is %s (larder config "
			   "--origin mode; ACTIONS_CACHE_MODE)",
			   what, mode_name(mode));
}
