/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts and probes as parts of a key: what they print, up to a deadline. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cmd.h"
#include "fingerprint_internal.h"
#include "process.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

/* Byte order, English and UTC, whatever the user's. C.UTF-8 sorts as C does
 * and lets tools read UTF-8. */
static const struct variable environment[] = {
	{ "LC_ALL", "C.UTF-8" },
	{ "LANGUAGE", NULL },
	{ "TZ", "UTC0" },
	{ NULL, NULL },
};

static int read_all(struct process *p, struct digest_ctx *hash,
		    int64_t deadline_ns, uint64_t *ret_bytes)
{
	char buf[16384];
	ssize_t n;
	int r;

	while ((n = process_read(p, buf, sizeof(buf), deadline_ns)) > 0) {
		r = digest_ctx_update(hash, buf, (size_t)n);
		if (r < 0)
			return r;
		*ret_bytes += (uint64_t)n;
	}
	return (int)n;
}

/* The exit code, or a negative errno. */
static int hash_output(struct inputs *in, const char *line,
		       struct digest *ret_digest, uint64_t *ret_bytes)
{
	const char *const argv[] = { "sh", "-c", line, NULL };
	const struct process_setup setup = { .argv = argv,
					     .variables = environment,
					     .dirfd = in->place.rootfd,
					     .own_session = true };
	_cleanup_digest_ctx_ struct digest_ctx *hash = NULL;
	_cleanup_process_ struct process p = PROCESS_INIT;
	int64_t deadline =
		clock_mono_ns() + in->timeout_s * INT64_C(1000000000);
	int r = digest_ctx_new(&hash);

	if (r == 0)
		r = process_start(&setup, &p);
	if (r == 0)
		r = read_all(&p, hash, deadline, ret_bytes);
	if (r == 0)
		r = digest_ctx_final(hash, ret_digest);
	return r < 0 ? r : process_wait(&p, deadline);
}

static int failed(struct inputs *in, const char *option, const char *line,
		  int r)
{
	if (r == -ETIMEDOUT)
		return failure_set(in->failure, r, EXIT_ERROR,
				   "--%s %.200s: it did not end within %u s "
				   "and was killed; --key-timeout gives it "
				   "more",
				   option, line, in->timeout_s);
	if (r < 0)
		return failure_set(in->failure, r, EXIT_ERROR,
				   "--%s %.200s: %s", option, line,
				   strerror(-r));
	if (r > EXIT_SIGNAL)
		return failure_set(in->failure, -EIO, EXIT_ERROR,
				   "--%s %.200s: it was ended by a signal (%s)",
				   option, line, strsignal(r - EXIT_SIGNAL));
	return failure_set(in->failure, -EIO, EXIT_ERROR,
			   "--%s %.200s: it failed with exit code %d", option,
			   line, r);
}

/* Several tools tell their version on standard error; the key would then not
 * depend on it at all. */
static int silent(struct inputs *in, const char *option, const char *line)
{
	return failure_set(in->failure, -ENODATA, EXIT_ERROR,
			   "--%s %.200s: it printed nothing on standard "
			   "output; if it answers on standard error, add 2>&1",
			   option, line);
}

int inputs_add_script(struct inputs *in, const char *option, const char *kind,
		      const char *line, bool may_be_silent)
{
	struct digest digest;
	uint64_t bytes = 0;
	int r = hash_output(in, line, &digest, &bytes);

	if (r != 0)
		return failed(in, option, line, r);
	if (bytes == 0 && !may_be_silent)
		return silent(in, option, line);
	r = key_parts_add(in->parts, kind, line, &digest);
	return r < 0 ? failed(in, option, line, r) : 0;
}
