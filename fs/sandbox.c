/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox: which parts, and in which order. No state. */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

static const struct {
	const char *name;
	unsigned part;
} part_names[] = { { "privileges", SANDBOX_PRIVILEGES },
		   { "dumps", SANDBOX_DUMPS },
		   { "seccomp", SANDBOX_SECCOMP },
		   { "landlock", SANDBOX_LANDLOCK } };

static unsigned find_part(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(part_names) / sizeof(*part_names); i++)
		if (strlen(part_names[i].name) == len &&
		    strncasecmp(part_names[i].name, name, len) == 0)
			return part_names[i].part;
	return 0;
}

/* "seccomp,landlock" */
static int parse_names(const char *text, unsigned *ret_parts)
{
	unsigned parts = 0;

	for (;;) {
		size_t len = strcspn(text, ",");
		unsigned part = find_part(text, len);

		if (!part)
			return -EINVAL;
		parts |= part;
		if (!text[len])
			break;
		text += len + 1;
	}
	*ret_parts = parts;
	return 0;
}

int sandbox_parse(const char *text, unsigned *ret_parts)
{
	unsigned without = 0;

	if (strncasecmp(text, "off:", 4) == 0) {
		int r = parse_names(text + 4, &without);

		if (r < 0)
			return r;
	} else if (strcasecmp(text, "off") == 0) {
		without = SANDBOX_ALL;
	} else if (strcasecmp(text, "on") != 0) {
		return -EINVAL;
	}
	if (without & SANDBOX_PRIVILEGES)
		without |= SANDBOX_SECCOMP | SANDBOX_LANDLOCK;
	*ret_parts = SANDBOX_ALL & ~without;
	return 0;
}

static unsigned wanted_parts(void)
{
	const char *text = getenv(SANDBOX_VARIABLE);
	unsigned parts = SANDBOX_ALL;

	if (text && *text && sandbox_parse(text, &parts) < 0)
		log_warn(0,
			 SANDBOX_VARIABLE "=%s is neither on, off nor off: "
					  "with parts of it; all of it is on",
			 text);
	return parts;
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

static int no_dumps(void)
{
	return SANITIZED ? -ENOSYS : set(PR_SET_DUMPABLE, 0);
}

void sandbox_hide(void)
{
	int r = wanted_parts() & SANDBOX_DUMPS ? no_dumps() : 0;

	if (r < 0 && r != -ENOSYS)
		log_warn(r, "the supervisor's secrets are not protected");
}

/* no_new_privs first: without it an ordinary user may set up neither a filter
 * nor a ruleset. */
void sandbox_enter(struct sandbox *ret_sandbox)
{
	struct sandbox s = { .wanted = wanted_parts() };

	if (s.wanted & SANDBOX_PRIVILEGES)
		s.no_new_privs =
			done(set(PR_SET_NO_NEW_PRIVS, 1), "no_new_privs");
	if (s.wanted & SANDBOX_DUMPS)
		s.no_dumps = done(no_dumps(), "protection of its memory");
	if (s.no_new_privs && (s.wanted & SANDBOX_LANDLOCK))
		s.landlock = done(sandbox_landlock(), "Landlock");
	if (s.no_new_privs && (s.wanted & SANDBOX_SECCOMP))
		s.seccomp = done(sandbox_seccomp(SANITIZED), "seccomp");
	*ret_sandbox = s;
}
