/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From KEY OPTIONS to a key. What is hashed is store/key.h's matter; this
 * chooses, and says what is wrong in terms of the options.
 */
#include "fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fs/rpc.h"
#include "out.h"
#include "process.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

/* What the parts are being made of. */
struct inputs {
	struct key_parts *parts;
	int dirfd;
	unsigned timeout_s;
	struct failure *failure;
};

void wanted_release(struct wanted *w)
{
	key_parts_release(&w->parts);
}

static void cleanup_hash(struct digest_ctx **hash)
{
	digest_ctx_free(*hash);
}

/* ---- files */

static int bad_pattern(const char *glob, struct failure *f)
{
	return failure_set(f, -EINVAL, EXIT_USAGE,
			   "--key-file %s: a pattern is relative to the "
			   "current directory, without .. and without a "
			   "slash at its end",
			   glob);
}

static int add_files(struct inputs *in, const char *glob, bool optional)
{
	_cleanup_free_ char *bad = NULL;
	int r = key_add_files(in->parts, in->dirfd, glob, &bad);

	if (r == 0 || (r == -ENOENT && !bad && optional))
		return 0;
	if (r == -EINVAL)
		return bad_pattern(glob, in->failure);
	if (r == -ENOENT && !bad)
		return failure_set(in->failure, r, EXIT_ERROR,
				   "--key-file %s: no file matches in the "
				   "current directory; '%s?' lets it be absent",
				   glob, glob);
	return failure_set(in->failure, r, EXIT_ERROR,
			   "--key-file %s: cannot read %s: %s", glob,
			   bad ? bad : "a file", strerror(-r));
}

/* A '?' at the end says that nothing need match. */
static int add_pattern(struct inputs *in, const char *glob)
{
	size_t len = strlen(glob);
	_cleanup_free_ char *rest = NULL;

	if (len == 0 || glob[len - 1] != '?')
		return add_files(in, glob, false);
	rest = strndup(glob, len - 1);
	if (!rest)
		return failure_set(in->failure, -ENOMEM, EXIT_ERROR,
				   "out of memory");
	return add_files(in, rest, true);
}

static int add_optional(struct inputs *in, const char *glob)
{
	return add_files(in, glob, true);
}

/* ---- scripts */

/* Byte order, English and UTC, whatever the user's. C.UTF-8 sorts as C does
 * and lets tools read UTF-8. */
static const struct variable script_environment[] = {
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
					     .variables = script_environment,
					     .dirfd = in->dirfd,
					     .own_session = true };
	_cleanup_(cleanup_hash) struct digest_ctx *hash = NULL;
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

static int script_failed(struct inputs *in, const char *option,
			 const char *line, int r)
{
	if (r == -ETIMEDOUT)
		return failure_set(
			in->failure, r, EXIT_ERROR,
			"--%s %.200s: it did not end within %u "
			"seconds and was killed; --key-timeout gives "
			"it more",
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

static int add_output(struct inputs *in, const char *option, const char *kind,
		      const char *line, uint64_t *ret_bytes)
{
	struct digest digest;
	int r;

	*ret_bytes = 0;
	r = hash_output(in, line, &digest, ret_bytes);
	if (r != 0)
		return script_failed(in, option, line, r);
	r = key_parts_add(in->parts, kind, line, &digest);
	return r < 0 ? script_failed(in, option, line, r) : 0;
}

static int add_script(struct inputs *in, const char *line)
{
	uint64_t bytes;

	return add_output(in, "key-script", "script", line, &bytes);
}

/* Several tools tell their version on standard error; the key would then not
 * depend on it at all. */
static int add_command(struct inputs *in, const char *line)
{
	uint64_t bytes;
	int r = add_output(in, "key-command", "command", line, &bytes);

	if (r < 0 || bytes > 0)
		return r;
	return failure_set(in->failure, -ENODATA, EXIT_ERROR,
			   "--key-command %.200s: it printed nothing on "
			   "standard output; if it answers on standard error, "
			   "add 2>&1",
			   line);
}

/* ---- variables and salts */

static int add_env(struct inputs *in, const char *name)
{
	int r = key_add_env(in->parts, name);

	if (r == -EINVAL)
		return failure_set(in->failure, -EINVAL, EXIT_USAGE,
				   "--key-env %s: give the name of a variable",
				   name);
	return r < 0 ? failure_set(in->failure, r, EXIT_ERROR,
				   "--key-env %s: %s", name, strerror(-r)) :
		       0;
}

static int add_salt(struct inputs *in, const char *salt)
{
	int r = key_add_salt(in->parts, salt);

	return r < 0 ? failure_set(in->failure, r, EXIT_ERROR, "--salt: %s",
				   strerror(-r)) :
		       0;
}

/* ---- all of them */

static int add_each(struct inputs *in, const struct strings *list,
		    int (*add)(struct inputs *in, const char *text))
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = add(in, list->items[i]);
	return r;
}

static int add_parts(struct inputs *in, const struct key_options *o)
{
	int r = add_each(in, &o->files, add_pattern);

	if (r == 0)
		r = add_each(in, &o->optional_files, add_optional);
	if (r == 0)
		r = add_each(in, &o->envs, add_env);
	if (r == 0)
		r = add_each(in, &o->salts, add_salt);
	if (r == 0)
		r = add_each(in, &o->commands, add_command);
	if (r == 0)
		r = add_each(in, &o->scripts, add_script);
	return r;
}

static int fingerprint(const struct key_options *o, struct wanted *w,
		       struct failure *f)
{
	_cleanup_close_ int dirfd =
		open(o->dir ? o->dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct inputs in = { &w->parts, dirfd,
			     o->timeout_s ? o->timeout_s :
					    KEY_TIMEOUT_DEFAULT_S,
			     f };
	struct digest d;
	int r;

	if (dirfd < 0)
		return failure_set(f, -errno, EXIT_ERROR, "cannot open %s: %s",
				   o->dir ? o->dir : "the current directory",
				   strerror(errno));
	r = add_parts(&in, o);
	if (r < 0)
		return r;
	if (!o->any_platform)
		r = key_add_platform(&w->parts);
	if (r == 0)
		r = key_fingerprint(&w->parts, &d);
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR,
				   "computing the fingerprint: %s",
				   strerror(-r));
	digest_hex(&d, w->key);
	return 0;
}

int wanted_compute(const struct key_options *o, struct wanted *ret_wanted,
		   struct failure *f)
{
	_cleanup_wanted_ struct wanted w = WANTED_INIT;
	int r;

	if (!o->key && !key_options_any_part(o))
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "say what the key is made of: --key-file "
				   "GLOB for the inputs, or --key STR");
	if (o->key) {
		strcpy(w.key, o->key); /* valid, hence short */
	} else {
		r = fingerprint(o, &w, f);
		if (r < 0)
			return r;
	}
	*ret_wanted = w;
	w = (struct wanted)WANTED_INIT;
	return 0;
}

json_t *wanted_parts(const struct wanted *w)
{
	json_t *parts = json_array();

	for (size_t i = 0; i < w->parts.count; i++) {
		const struct key_part *p = &w->parts.items[i];
		char hex[DIGEST_HEX_LEN + 1];

		digest_hex(&p->digest, hex);
		json_array_append_new(
			parts,
			json_pack("{s:s, s:o, s:s}", "kind", p->kind, "name",
				  rpc_string(p->name, strlen(p->name)),
				  "digest", hex));
	}
	return parts;
}

void wanted_add(const struct wanted *w, json_t *params)
{
	json_object_set_new(params, "key", json_string(w->key));
	json_object_set_new(params, "parts", wanted_parts(w));
}

/* ---- comparing */

/* Parts by what they are of, whatever their digests. */
static int subject_order(const void *va, const void *vb)
{
	const struct key_part *a = *(const struct key_part *const *)va;
	const struct key_part *b = *(const struct key_part *const *)vb;
	int r = strcmp(a->kind, b->kind);

	if (r == 0)
		r = strcmp(a->name, b->name);
	return r ? r : memcmp(a->digest.bytes, b->digest.bytes, DIGEST_LEN);
}

static const struct key_part **by_subject(const struct key_parts *parts)
{
	const struct key_part **sorted =
		calloc(parts->count + 1, sizeof(struct key_part *));

	for (size_t i = 0; sorted && i < parts->count; i++)
		sorted[i] = &parts->items[i];
	if (sorted)
		qsort(sorted, parts->count, sizeof(struct key_part *),
		      subject_order);
	return sorted;
}

/* A changed part differs in its digest and so is found twice, in a row. */
static void add_change(json_t *changes, const struct key_part *p, size_t max)
{
	_cleanup_free_ char *text = NULL;
	json_t *last = json_array_get(changes, json_array_size(changes) - 1);
	json_t *change;

	if (json_array_size(changes) >= max)
		return;
	if (asprintf(&text, "%s%s%s", p->kind, *p->name ? " " : "", p->name) <
	    0)
		return;
	change = rpc_string(text, strlen(text));
	if (last && json_equal(last, change))
		json_decref(change);
	else
		json_array_append_new(changes, change);
}

json_t *wanted_changes(const struct wanted *a, const struct wanted *b,
		       size_t max)
{
	const struct key_part **pa = by_subject(&a->parts);
	const struct key_part **pb = by_subject(&b->parts);
	const struct key_part **ia = pa, **ib = pb;
	json_t *changes = json_array();

	while (pa && pb && (*ia || *ib)) {
		int order = !*ia ? 1 : !*ib ? -1 : subject_order(ia, ib);

		if (order == 0)
			ia++, ib++;
		else
			add_change(changes, order < 0 ? *ia++ : *ib++, max);
	}
	free(pa);
	free(pb);
	return changes;
}
