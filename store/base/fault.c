/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault injection: the rules of LARDER_FAULT, read once, each with a count
 * of the passages of its point. A rule acts at exactly one passage, so what
 * the program does after the failure is tested too. The counts are per
 * process: a child starts with its parent's.
 */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

#define RULES_MAX 16
#define POINT_MAX 64

struct rule {
	char point[POINT_MAX]; /* these three: constant after rules_once */
	unsigned long at;
	int err; /* negative errno, 0: SIGKILL, 1: abort() */
	atomic_ulong passed;
};

static pthread_once_t rules_once = PTHREAD_ONCE_INIT;
static struct rule rules[RULES_MAX];
static unsigned nrules; /* constant after rules_once, as the next */
static int list_fd = -1;

static int parse_action(const char *text, int *ret_err)
{
	static const struct {
		const char *name;
		int err;
	} actions[] = {
		{ "ENOSPC", -ENOSPC }, { "EIO", -EIO },
		{ "EDQUOT", -EDQUOT }, { "EMFILE", -EMFILE },
		{ "ENOMEM", -ENOMEM }, { "EROFS", -EROFS },
		{ "kill", 0 },	       { "abort", 1 },
	};
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(text, actions[i].name) == 0) {
			*ret_err = actions[i].err;
			return 0;
		}
	return -EINVAL;
}

static int parse_count(const char *text, unsigned long *ret_count)
{
	unsigned long n;
	char *end;

	if (*text < '1' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end)
		return -EINVAL;
	*ret_count = n;
	return 0;
}

/* `text` is one "point:N:action"; it is cut at the colons. */
static int parse_rule(char *text, struct rule *ret_rule)
{
	char *count = strchr(text, ':');
	char *action = count ? strchr(count + 1, ':') : NULL;
	int r;

	if (!action)
		return -EINVAL;
	*count++ = '\0';
	*action++ = '\0';
	if (*text == '\0' || strlen(text) >= POINT_MAX)
		return -EINVAL;
	r = parse_count(count, &ret_rule->at);
	if (r < 0)
		return r;
	r = parse_action(action, &ret_rule->err);
	if (r < 0)
		return r;
	strcpy(ret_rule->point, text);
	return 0;
}

static int parse_rules(char *text, unsigned *ret_count)
{
	unsigned n = 0;
	char *one;
	int r;

	while ((one = strsep(&text, ","))) {
		if (n == RULES_MAX)
			return -E2BIG;
		r = parse_rule(one, &rules[n]);
		if (r < 0)
			return r;
		n++;
	}
	*ret_count = n;
	return 0;
}

static void rules_load(void)
{
	const char *value = secure_getenv("LARDER_FAULT");
	const char *list = secure_getenv("LARDER_FAULT_LIST");
	_cleanup_free_ char *copy = NULL;
	int r;

	if (list && *list)
		list_fd = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			       0600);
	if (!value || !*value)
		return;
	copy = strdup(value);
	r = copy ? parse_rules(copy, &nrules) : -ENOMEM;
	if (r < 0)
		log_warn(r, "LARDER_FAULT ignored: %s", value);
}

static int rule_pass(struct rule *rule)
{
	if (atomic_fetch_add(&rule->passed, 1) + 1 != rule->at)
		return 0;
	if (rule->err == 0)
		kill(getpid(), SIGKILL);
	if (rule->err > 0)
		abort();
	return rule->err;
}

/* One write a line, so that threads do not mix. */
static void list_point(const char *point)
{
	char line[POINT_MAX + 1];
	int n = snprintf(line, sizeof(line), "%s\n", point);

	if (n > 0 && (size_t)n < sizeof(line))
		(void)!write(list_fd, line, (size_t)n);
}

int fault_check(const char *point)
{
	int err = 0;
	unsigned i;

	pthread_once(&rules_once, rules_load);
	if (list_fd >= 0)
		list_point(point);
	for (i = 0; i < nrules; i++) {
		int r = 0;

		if (strcmp(rules[i].point, point) == 0)
			r = rule_pass(&rules[i]);
		if (err == 0)
			err = r;
	}
	return err;
}
