/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a run, a commit or an import may use the cache. No state.
 *
 *	default	    looks up and commits
 *	read-only   looks up, never commits
 *	force	    uses an exact hit or fails; never commits
 *	refresh	    looks nothing up, and replaces the key's entry
 *	write-only  looks nothing up, and commits where the key has no entry
 *	off	    neither: there is no cache
 */
#ifndef LARDER_TOOLS_MODE_H
#define LARDER_TOOLS_MODE_H

#include <stdbool.h>

#include "out.h"

enum mode {
	MODE_DEFAULT,
	MODE_READ_ONLY,
	MODE_FORCE,
	MODE_REFRESH,
	MODE_WRITE_ONLY,
	MODE_OFF,
};

/* Case and the dash do not matter (ReadOnly). -EINVAL. */
int mode_parse(const char *text, enum mode *ret_mode);
const char *mode_name(enum mode mode);

bool mode_looks_up(enum mode mode);
bool mode_commits(enum mode mode);

/* From now on no mode commits; `why` (borrowed) is told. */
void mode_forbid_commits(const char *why);

/*
 * The mode to work in: `option` (--mode), else LARDER_MODE, else refresh where
 * LARDER_REBUILD is set and not 0, else `project` (of a project file or of the
 * configuration), else the
 * default; each NULL or empty where not given. ACTIONS_CACHE_MODE (read, write,
 * write-only, none) then takes away what it does not allow, which is told.
 * -EINVAL for what is no mode, -EACCES where nothing is left of force.
 */
int mode_choose(const char *option, const char *project, enum mode *ret_mode,
		struct failure *ret_failure);

/* For commands that write an entry: -EACCES where the mode that the
 * environment or else `project` asks for does not commit. `what`: the
 * command. */
int mode_check_commit(const char *what, const char *project,
		      struct failure *ret_failure);

#endif
