/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder daemon: starting, stopping and restarting it by hand. A restart
 * keeps the mounts: only the worker process is replaced.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "out.h"
#include "status.h"
#include "store/base/cleanup.h"

static bool nobody_answers(const struct failure *f)
{
	return f->code == -ENOENT || f->code == -ECONNREFUSED;
}

static int report(const struct args *args, bool running, json_t *status)
{
	json_t *o;

	if (args->json) {
		o = status ? json_copy(status) : json_object();
		json_object_set_new(o, "running", json_boolean(running));
		return out_json(o);
	}
	if (status)
		status_print(args, status);
	else
		puts("no daemon is running for this store");
	return 0;
}

static int show_status(const struct args *args)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ json_t *status = NULL;
	struct failure f;
	int r = client_open(false, &c, &f);

	if (r < 0 && nobody_answers(&f))
		return report(args, false, NULL);
	if (r == 0)
		r = client_call(c, "status", json_object(), NULL, 0, &status,
				&f);
	return r < 0 ? out_failure(&f) : report(args, true, status);
}

static int start(const struct args *args)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ json_t *status = NULL;
	struct failure f;

	if (client_open(true, &c, &f) < 0 ||
	    client_call(c, "status", json_object(), NULL, 0, &status, &f) < 0)
		return out_failure(&f);
	if (args->json)
		return report(args, true, status);
	out_note("the daemon is running, process %lld",
		 (long long)field_number(status, "pid"));
	return 0;
}

/* A descriptor that becomes readable when the process has ended. */
static int open_process(const json_t *status, const char *name)
{
	return (int)syscall(SYS_pidfd_open, (pid_t)field_number(status, name),
			    0);
}

static void await_end(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	while (pidfd >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* Returns when the process called `name` in the status has ended, so that
 * what comes next finds the store free. */
static int end_process(struct client *c, const char *name, json_t *params,
		       struct failure *f)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_json_ json_t *result = NULL;
	_cleanup_close_ int pidfd = -1;
	int r;

	r = client_call(c, "status", json_object(), NULL, 0, &status, f);
	if (r < 0) {
		json_decref(params);
		return r;
	}
	pidfd = open_process(status, name);
	r = client_call(c, "stop", params, NULL, 0, &result, f);
	if (r < 0)
		return r;
	await_end(pidfd);
	return 0;
}

static int stop(const struct args *args)
{
	_cleanup_client_ struct client *c = NULL;
	struct failure f;
	int r = client_open(false, &c, &f);

	if (r < 0 && nobody_answers(&f))
		return args->json ? report(args, false, NULL) : 0;
	if (r == 0)
		r = end_process(c, "pid",
				json_pack("{s:b}", "force", args->force), &f);
	if (r < 0)
		return out_failure(&f);
	if (args->json)
		return report(args, false, NULL);
	out_note("the daemon has ended");
	return 0;
}

static int restart(const struct args *args)
{
	_cleanup_client_ struct client *c = NULL;
	struct failure f;
	int r = client_open(false, &c, &f);

	if (r == 0)
		r = end_process(c, "worker_pid",
				json_pack("{s:b}", "restart", 1), &f);
	if (r < 0 && !nobody_answers(&f))
		return out_failure(&f);
	return start(args);
}

static const struct {
	const char *name;
	int (*run)(const struct args *args);
} verbs[] = {
	{ "start", start },	   { "stop", stop }, { "restart", restart },
	{ "status", show_status }, { NULL, NULL },
};

static const char *verb_name(const void *arg, size_t index)
{
	(void)arg;
	return verbs[index].name;
}

static int run(const struct args *args)
{
	const char *word = args->operands[0], *nearest;

	for (size_t i = 0; verbs[i].name; i++)
		if (strcmp(verbs[i].name, word) == 0)
			return verbs[i].run(args);
	nearest = options_nearest(word, verb_name, NULL);
	return out_error(EXIT_USAGE,
			 "daemon %s: there are start, stop, restart and "
			 "status%s%s%s",
			 word, nearest ? "; did you mean " : "",
			 nearest ? nearest : "", nearest ? "?" : "");
}

static const char *const words[] = { "start", "stop", "restart", "status",
				     NULL };

static const struct option_def options[] = {
	{ "force", 0, OPTION_FLAG, NULL, offsetof(struct args, force),
	  "With stop: end all mounts first, also those in use; their changes "
	  "are kept." },
	OPTION_END
};

const struct command cmd_daemon = {
	.name = "daemon",
	.summary = "start, stop or restart the daemon",
	.synopsis = "start|stop|restart|status [--force]",
	.description =
		"The daemon is started by any command that needs it and ends "
		"by itself when it has no mount and nothing to do, so this is "
		"seldom needed. stop refuses while there are mounts. restart "
		"keeps them: programs that use them wait for a moment. stop "
		"and status start no daemon.",
	.options = options,
	.words = words,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
