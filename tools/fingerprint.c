/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From KEY OPTIONS to a key. What is hashed is store/key.h's matter; this
 * chooses, and says what is wrong in terms of the options. Scripts and git
 * have files of their own.
 */
#include "fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "compare.h"
#include "fingerprint_internal.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/entry.h"

#define REQUEST_BYTES (256u << 10) /* of a commit, without parts */

void wanted_release(struct wanted *w)
{
	key_parts_release(&w->parts);
}

/* ---- files */

static int bad_pattern(const struct inputs *in, const char *glob)
{
	return failure_set(in->failure, -EINVAL, EXIT_USAGE,
			   "--key-file %s: a pattern is relative to %s, "
			   "without .. and without a slash at its end",
			   glob, in->label);
}

static int add_files(struct inputs *in, const char *glob, bool optional)
{
	_cleanup_free_ char *bad = NULL;
	int r = key_add_files(in->parts, &in->place, glob, &bad);

	if (r == 0 || (r == -ENOENT && !bad && optional))
		return 0;
	if (r == -EINVAL)
		return bad_pattern(in, glob);
	if (r == -ENOENT && !bad)
		return failure_set(in->failure, r, EXIT_ERROR,
				   "--key-file %s: no file matches in %s; "
				   "'%s?' lets it be absent",
				   glob, in->label, glob);
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

struct stat_cache *inputs_cache(const char *root, int rootfd)
{
	_cleanup_free_ char *store = rpc_store_dir();
	_cleanup_free_ char *dir = store ? io_path("%s/v1/stat", store) : NULL;
	struct stat_cache *cache = NULL;

	if (!dir || stat_cache_open(dir, root, rootfd, &cache) < 0)
		return NULL;
	return cache;
}

/* ---- the others */

static int add_script(struct inputs *in, const char *line)
{
	return inputs_add_script(in, "key-script", "script", line, true);
}

static int add_command(struct inputs *in, const char *line)
{
	return inputs_add_script(in, "key-command", "command", line, false);
}

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
	if (r == 0 && o->git)
		r = inputs_add_git(in);
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

const char *inputs_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		len = 0;
	return strncmp(path, dir, len) == 0 && path[len] == '/' &&
			       path[len + 1] ?
		       path + len + 1 :
		       NULL;
}

/* The outputs, absolute and, where they are in `root`, relative to it. What
 * is not there holds nothing. */
struct outputs {
	char **absolute;
	const char **relative;
	size_t count, nrelative;
};

static void outputs_release(struct outputs *out)
{
	for (size_t i = 0; i < out->count; i++)
		free(out->absolute[i]);
	free(out->absolute);
	free(out->relative);
}

static int outputs_init(struct outputs *out, const struct strings *dirs,
			const char *root, struct failure *f)
{
	struct failure absent;

	out->absolute = calloc(dirs->count + 1, sizeof(*out->absolute));
	out->relative = calloc(dirs->count + 1, sizeof(*out->relative));
	if (!out->absolute || !out->relative)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	for (size_t i = 0; i < dirs->count; i++) {
		char **dir = &out->absolute[out->count];
		const char *below;

		if (place_absolute(dirs->items[i], dir, &absent) < 0)
			continue;
		out->count++;
		below = inputs_below(*dir, root);
		if (below)
			out->relative[out->nrelative++] = below;
	}
	return 0;
}

static int inputs_collect(const struct key_options *o, int rootfd,
			  struct wanted *w, struct failure *f)
{
	_cleanup_stat_cache_ struct stat_cache *cache = NULL;
	_cleanup_(outputs_release) struct outputs out = { 0 };
	char root[PATH_MAX];
	struct inputs in = { .parts = &w->parts,
			     .label = o->dir ? o->dir : "the current directory",
			     .failure = f };
	int r;

	if (!realpath(o->dir ? o->dir : ".", root))
		return failure_set(f, -errno, EXIT_ERROR,
				   "the key's directory: %s", strerror(errno));
	r = outputs_init(&out, &o->outputs, root, f);
	if (r < 0)
		return r;
	cache = inputs_cache(root, rootfd);
	in.place = (struct key_place){ rootfd, cache, out.relative,
				       out.nrelative };
	in.outputs = out.absolute;
	in.noutputs = out.count;
	in.timeout_s = o->timeout_s ? o->timeout_s : KEY_TIMEOUT_DEFAULT_S;
	r = add_parts(&in, o);
	if (r == 0 && cache)
		stat_cache_save(cache);
	return r;
}

static int fingerprint(const struct key_options *o, struct wanted *w,
		       struct failure *f)
{
	_cleanup_close_ int rootfd =
		open(o->dir ? o->dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct digest d;
	int r;

	if (rootfd < 0)
		return failure_set(f, -errno, EXIT_ERROR, "cannot open %s: %s",
				   o->dir ? o->dir : "the current directory",
				   strerror(errno));
	r = inputs_collect(o, rootfd, w, f);
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

/* A request is one line. The key holds without its parts, but what made the
 * next one another can then not be told. */
static bool fit_into_request(const struct wanted *w, const json_t *parts)
{
	if (w->parts.count <= ENTRY_PARTS_MAX &&
	    json_dumpb(parts, NULL, 0, JSON_COMPACT) <=
		    RPC_LINE_MAX - REQUEST_BYTES)
		return true;
	out_note("the key has %zu parts, more than an entry can keep: larder "
		 "why will not be able to tell what differs from it",
		 w->parts.count);
	return false;
}

void wanted_add(const struct wanted *w, json_t *params)
{
	_cleanup_json_ json_t *parts = wanted_parts(w);

	json_object_set_new(params, "key", json_string(w->key));
	if (fit_into_request(w, parts))
		json_object_set(params, "parts", parts);
}

/* "kind name", in JSON as names are. */
static json_t *change_text(const json_t *change)
{
	const char *kind = field_text(change, "kind");
	const char *name = field_text(change, "name");

	return json_sprintf("%s%s%s", kind, *name ? " " : "", name);
}

json_t *wanted_changes(const struct wanted *a, const struct wanted *b,
		       size_t max)
{
	_cleanup_json_ json_t *changes = compare_parts(&a->parts, &b->parts);
	json_t *texts = json_array(), *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		if (i == max)
			break;
		json_array_append_new(texts, change_text(change));
	}
	return texts;
}
