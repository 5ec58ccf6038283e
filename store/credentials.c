/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from where the user keeps them. The output of a helper command is
 * kept in memory for HELPER_KEEP_NS.
 */
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#define TEXT_MAX (16u << 10)
#define HELPER_KEEP_NS INT64_C(300000000000)
#define HELPER_TIMEOUT_NS INT64_C(20000000000)

extern char **environ;

struct credentials {
	struct credential given; /* constant, as the next two */
	char *file, *helper;

	pthread_mutex_t lock; /* guards the next two */
	char *kept;	      /* the helper's output */
	int64_t kept_until_ns;
};

static int copy(const char *text, char **ret_copy)
{
	if (!text)
		return 0;
	*ret_copy = strdup(text);
	return *ret_copy ? 0 : -ENOMEM;
}

static int copy_given(struct credentials *c, const struct tier_options *o,
		      bool is_token)
{
	if (is_token)
		return copy(o->token, &c->given.lines[0]);
	if (!o->access_key || !o->secret_key)
		return 0;
	if (copy(o->access_key, &c->given.lines[0]) < 0 ||
	    copy(o->secret_key, &c->given.lines[1]) < 0)
		return -ENOMEM;
	return copy(o->session_token, &c->given.lines[2]);
}

int credentials_new(const struct tier_options *o, bool is_token,
		    struct credentials **ret_credentials)
{
	struct credentials *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	if (copy_given(c, o, is_token) < 0 ||
	    copy(is_token ? o->token_file : o->credentials, &c->file) < 0 ||
	    copy(o->credential_helper, &c->helper) < 0) {
		credentials_free(c);
		return -ENOMEM;
	}
	*ret_credentials = c;
	return 0;
}

static void forget(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void credential_release(struct credential *c)
{
	for (unsigned i = 0; i < 3; i++) {
		forget(c->lines[i]);
		c->lines[i] = NULL;
	}
}

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	credential_release(&c->given);
	forget(c->kept);
	pthread_mutex_destroy(&c->lock);
	free(c->file);
	free(c->helper);
	free(c);
}

static int parse(const struct tier_call *call, const char *text,
		 struct credential *ret)
{
	for (unsigned i = 0; i < 3 && *text; i++) {
		size_t len = strcspn(text, "\n"), used = len;

		if (used > 0 && text[used - 1] == '\r')
			used--;
		ret->lines[i] = used ? strndup(text, used) : NULL;
		if (used && !ret->lines[i])
			return -ENOMEM;
		text += len + (text[len] == '\n');
	}
	return ret->lines[0] ?
		       0 :
		       tier_why(call, -EACCES, "the credentials are empty");
}

/* --- the command --- */

/* Reads what the command prints until it ends or takes too long. */
static int read_output(const struct tier_call *call, int fd, char *text)
{
	int64_t until = clock_mono_ns() + HELPER_TIMEOUT_NS;
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int r = tier_call_check(call);
		ssize_t n;

		if (r < 0)
			return r;
		if (clock_mono_ns() >= until)
			return tier_why(call, -ETIMEDOUT,
					"the credential helper takes too long");
		if (poll(&p, 1, TIER_CANCEL_MS) <= 0)
			continue;
		n = read(fd, text + len, TEXT_MAX - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0 || len + (size_t)n == TEXT_MAX)
			return tier_why(call, -EACCES,
					"the credential helper prints too "
					"much");
		if (n == 0)
			break;
		len += n;
	}
	text[len] = '\0';
	return 0;
}

static int spawn_helper(const char *helper, int out, pid_t *ret_pid)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)helper,
			       NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	r = posix_spawn(ret_pid, "/bin/sh", &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int run_helper(const struct tier_call *call, const char *helper,
		      char *text)
{
	_cleanup_close_ int in = -1, out = -1;
	int fds[2], status = 0, r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -EIO;
	in = fds[0];
	out = fds[1];
	r = spawn_helper(helper, out, &pid);
	if (r < 0)
		return tier_why(call, -EACCES,
				"the credential helper cannot be run: %s",
				strerror(-r));
	cleanup_close(&out);
	out = -1;
	r = read_output(call, in, text);
	if (r < 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && status != 0)
		r = tier_why(call, -EACCES, "the credential helper failed");
	return r;
}

/* What the helper said lately; the caller frees. */
static char *kept(struct credentials *c)
{
	LOCK_SCOPE(&c->lock);

	return c->kept && clock_mono_ns() < c->kept_until_ns ? strdup(c->kept) :
							       NULL;
}

static void keep(struct credentials *c, const char *text)
{
	LOCK_SCOPE(&c->lock);

	forget(c->kept);
	c->kept = strdup(text);
	c->kept_until_ns = clock_mono_ns() + HELPER_KEEP_NS;
}

void credentials_refused(struct credentials *c)
{
	LOCK_SCOPE(&c->lock);

	c->kept_until_ns = 0;
}

static int ask_helper(struct credentials *c, const struct tier_call *call,
		      struct credential *ret)
{
	char *text = kept(c);
	int r = 0;

	if (!text) {
		text = malloc(TEXT_MAX + 1);
		r = text ? run_helper(call, c->helper, text) : -ENOMEM;
		if (r == 0)
			keep(c, text);
		else if (text)
			*text = '\0';
	}
	if (r == 0)
		r = parse(call, text, ret);
	forget(text);
	return r;
}

static int read_lines(struct credentials *c, const struct tier_call *call,
		      struct credential *ret)
{
	uint8_t *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, c->file, TEXT_MAX, &text, &len);

	if (r < 0)
		return tier_why(call, -EACCES, "%.150s: %s", c->file,
				strerror(-r));
	r = parse(call, (char *)text, ret);
	forget((char *)text);
	return r;
}

int credentials_get(struct credentials *c, const struct tier_call *call,
		    struct credential *ret)
{
	*ret = (struct credential){ { NULL } };
	if (c->file)
		return read_lines(c, call, ret);
	if (c->helper)
		return ask_helper(c, call, ret);
	for (unsigned i = 0; i < 3; i++)
		if (copy(c->given.lines[i], &ret->lines[i]) < 0)
			return -ENOMEM;
	return 0;
}
