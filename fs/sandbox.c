/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's sandbox: which parts, and in which order. No state. */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/prctl.h>

#include "store/base/log.h"

/* A leak checker stops the process's own threads with ptrace(2), which a process
 * that cannot be dumped does not let it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

int sandbox_parse(const char *text, bool *ret_wanted)
{
	if (strcasecmp(text, "on") != 0 && strcasecmp(text, "off") != 0)
		return -EINVAL;
	*ret_wanted = strcasecmp(text, "on") == 0;
	return 0;
}

static bool is_wanted(void)
{
	const char *text = getenv("LARDER_SANDBOX");
	bool wanted = true;

	if (text && *text && sandbox_parse(text, &wanted) < 0)
		log_warn(0, "LARDER_SANDBOX=%s is neither on nor off; it is on",
			 text);
	return wanted;
}

/* Whether a part is in force. */
static bool done(int r, const char *what)
{
	if (r < 0 && r != -ENOSYS)
		log_warn(r, "the worker runs without %s", what);
	return r == 0;
}

static int set(int option, unsigned long value)
{
	return prctl(option, value, 0UL, 0UL, 0UL) < 0 ? -errno : 0;
}

/* no_new_privs first: without it an ordinary user may set up neither a filter
 * nor a ruleset. */
void sandbox_enter(struct sandbox *ret_sandbox)
{
	struct sandbox s = { .wanted = is_wanted() };

	*ret_sandbox = s;
	if (!s.wanted)
		return;
	s.no_new_privs = done(set(PR_SET_NO_NEW_PRIVS, 1), "no_new_privs");
	if (!SANITIZED)
		s.no_dumps = done(set(PR_SET_DUMPABLE, 0),
				  "protection of its memory");
	if (s.no_new_privs) {
		s.landlock = done(sandbox_landlock(), "Landlock");
		s.seccomp = done(sandbox_seccomp(SANITIZED), "seccomp");
	}
	*ret_sandbox = s;
}
