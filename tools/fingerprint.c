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
#include "store/base/cleanup.h"

void wanted_release(struct wanted *w)
{
	key_parts_release(&w->parts);
}

static int add_files(struct key_parts *parts, int here, const char *glob,
		     struct failure *f)
{
	_cleanup_free_ char *bad = NULL;
	int r = key_add_files(parts, here, glob, &bad);

	if (r == 0)
		return 0;
	if (r == -EINVAL)
		return failure_set(
			f, -EINVAL, EXIT_USAGE,
			"--key-file %s: a pattern is relative to the "
			"current directory, without .. and without a "
			"slash at its end",
			glob);
	if (r == -ENOENT && !bad)
		return failure_set(f, r, EXIT_ERROR,
				   "--key-file %s: no file matches in the "
				   "current directory",
				   glob);
	return failure_set(f, r, EXIT_ERROR,
			   "--key-file %s: cannot read %s: %s", glob,
			   bad ? bad : "a file", strerror(-r));
}

static int add_env(struct key_parts *parts, const char *name, struct failure *f)
{
	int r = key_add_env(parts, name);

	if (r == -EINVAL)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "--key-env %s: give the name of a variable",
				   name);
	return r < 0 ? failure_set(f, r, EXIT_ERROR, "--key-env %s: %s", name,
				   strerror(-r)) :
		       0;
}

static int add_salt(struct key_parts *parts, const char *salt,
		    struct failure *f)
{
	int r = key_add_salt(parts, salt);

	return r < 0 ? failure_set(f, r, EXIT_ERROR, "--salt: %s",
				   strerror(-r)) :
		       0;
}

static int add_parts(const struct key_options *options, struct key_parts *parts,
		     struct failure *f)
{
	_cleanup_close_ int here =
		open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (here < 0)
		return failure_set(f, -errno, EXIT_ERROR,
				   "cannot open the current directory: %s",
				   strerror(errno));
	for (size_t i = 0; r == 0 && i < options->files.count; i++)
		r = add_files(parts, here, options->files.items[i], f);
	for (size_t i = 0; r == 0 && i < options->envs.count; i++)
		r = add_env(parts, options->envs.items[i], f);
	for (size_t i = 0; r == 0 && i < options->salts.count; i++)
		r = add_salt(parts, options->salts.items[i], f);
	return r;
}

int wanted_compute(const struct key_options *options, struct wanted *ret_wanted,
		   struct failure *f)
{
	_cleanup_wanted_ struct wanted w = WANTED_INIT;
	struct digest d;
	int r;

	if (options->key) {
		*ret_wanted = w;
		strcpy(ret_wanted->key, options->key); /* valid, hence short */
		return 0;
	}
	r = add_parts(options, &w.parts, f);
	if (r < 0)
		return r;
	if (w.parts.count == 0)
		return failure_set(
			f, -EINVAL, EXIT_USAGE,
			"say what the key is made of: --key-file GLOB "
			"for the inputs, or --key STR");
	r = key_fingerprint(&w.parts, &d);
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR,
				   "computing the fingerprint: %s",
				   strerror(-r));
	digest_hex(&d, w.key);
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
