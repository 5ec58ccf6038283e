/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a whole store, and saying what was found. */
#include "verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "chunker.h"
#include "object_files.h"
#include "verify_internal.h"

#define WHAT_MAX 96

/* ---- telling */

static void tell(struct verify *v, enum verify_kind kind, const char *name,
		 const char *what, enum verify_outcome outcome)
{
	const struct verify_damage d = { kind, name, what, outcome };

	v->result.left += outcome == VERIFY_LEFT;
	if (v->options->damaged)
		v->options->damaged(v->options->arg, &d);
}

static int tell_pack(void *arg, struct dmap_node *n)
{
	const struct verify_pack *p = (struct verify_pack *)n;
	char hex[DIGEST_HEX_LEN + 1], what[WHAT_MAX];

	if (!verify_pack_is_bad(p))
		return 0;
	if (p->unreadable)
		snprintf(what, sizeof(what), "cannot be read");
	else if (p->bad > 0)
		snprintf(what, sizeof(what), "%u of %u chunks are damaged",
			 p->bad, p->chunks);
	else
		snprintf(what, sizeof(what),
			 "its bytes are not those of its name, though every "
			 "chunk is good");
	digest_hex(&p->node.digest, hex);
	tell(arg, VERIFY_PACK, hex, what,
	     p->aside ? VERIFY_SET_ASIDE : VERIFY_LEFT);
	return 0;
}

static void say_tree(const struct verify_tree *vt, char what[WHAT_MAX])
{
	if (vt->err == -ENOENT)
		snprintf(what, WHAT_MAX, "its tree is not here");
	else if (vt->err < 0)
		snprintf(what, WHAT_MAX, "its tree is damaged");
	else if (vt->bad > 0)
		snprintf(what, WHAT_MAX, "%u of %u chunks are damaged or gone",
			 vt->bad, vt->chunks);
	else
		snprintf(what, WHAT_MAX, "one of its roots is damaged");
}

static int tell_entry(struct verify *v, const struct entry *e, const char *what,
		      enum verify_outcome outcome)
{
	_cleanup_free_ char *name =
		io_path("%s/%s@%s", e->namespace, e->name, e->key);

	if (!name)
		return -ENOMEM;
	tell(v, VERIFY_ENTRY, name, what, outcome);
	return 0;
}

/* ---- looking */

static int count_file(void *arg, const struct digest *name,
		      const struct stat *st)
{
	struct verify *v = arg;

	(void)name;
	(void)st;
	v->all_packs++;
	return 0;
}

static int look_at_pack(void *arg, const struct digest *name,
			const struct stat *st)
{
	struct verify_pack *p;

	(void)st;
	return verify_get_pack(arg, name, &p);
}

static int look_at_catalog(void *arg, const struct digest *name,
			   const struct stat *st)
{
	struct verify_tree *vt;

	(void)st;
	return verify_get_tree(arg, name, false, &vt);
}

static int look(struct verify *v)
{
	int r = object_files_each(v->store->packs_fd, count_file, v);

	if (r == 0)
		r = object_files_each(v->store->packs_fd, look_at_pack, v);
	if (r == 0)
		r = object_files_each(v->store->catalogs_fd, look_at_catalog,
				      v);
	return r;
}

/* ---- entries */

struct bad_entry {
	struct entry entry; /* without a catalog: a record that is damaged */
	char what[WHAT_MAX];
	bool whole; /* by now */
};

struct bad_entries {
	struct verify *v;
	struct bad_entry *entries;
	size_t n, cap;
};

static int keep_entry(struct bad_entries *be, const struct entry *e)
{
	if (be->n == be->cap) {
		size_t cap = be->cap ? 2 * be->cap : 16;
		struct bad_entry *grown =
			reallocarray(be->entries, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		be->entries = grown;
		be->cap = cap;
	}
	be->entries[be->n] = (struct bad_entry){ .whole = false };
	return entry_copy(e, &be->entries[be->n++].entry);
}

/* The key of such a record is a miss, so nobody else notices it. */
static int keep_record(struct bad_entries *be, const struct index_name *name)
{
	const struct entry e = { .tenant = (char *)name->tenant,
				 .namespace = (char *)name->namespace,
				 .name = (char *)name->name,
				 .key = (char *)name->key };

	return keep_entry(be, &e);
}

static int look_at_entry(void *arg, const struct index_name *name,
			 const struct entry *e, int err)
{
	struct bad_entries *be = arg;
	struct verify *v = be->v;
	bool whole;
	int r;

	if (err == -ESTALE)
		return log_error(err, "an entry was written by a newer version "
				      "of Larder; use that one");
	v->result.entries++;
	if (!name) {
		v->result.bad_records++;
		return 0;
	}
	if (!e)
		return keep_record(be, name);
	r = verify_tree_is_whole(v, &e->catalog, false, &whole);
	return r < 0 || whole ? r : keep_entry(be, e);
}

static bool is_record(const struct entry *e)
{
	static const struct digest none;

	return digest_equal(&e->catalog, &none);
}

static int remove_record(struct verify *v, const struct entry *e,
			 enum verify_outcome *ret_outcome)
{
	struct index_batch *b;
	int r = index_batch_begin(v->store->index, &b);

	if (r < 0)
		return r;
	r = index_remove_entry(b, e);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	*ret_outcome = VERIFY_REMOVED;
	return index_batch_commit(b, true);
}

static int tell_bad_record(struct verify *v, const struct entry *e)
{
	enum verify_outcome outcome = VERIFY_LEFT;
	int r = v->options->repair ? remove_record(v, e, &outcome) : 0;

	return r < 0 ? r :
		       tell_entry(v, e, "its record cannot be read", outcome);
}

/* What is wrong, before anything is done about it. */
static int name_damage(struct verify *v, struct bad_entry *b)
{
	struct verify_tree *vt;
	int r;

	v->result.bad_entries++;
	if (is_record(&b->entry))
		return 0;
	r = verify_get_tree(v, &b->entry.catalog, false, &vt);
	if (r < 0)
		return r;
	say_tree(vt, b->what);
	vt->told = true;
	return 0;
}

static int tell_bad_entry(struct verify *v, const struct bad_entry *b)
{
	enum verify_outcome outcome = VERIFY_LEFT;
	int r = 0;

	if (is_record(&b->entry))
		return tell_bad_record(v, &b->entry);
	if (b->whole)
		outcome = VERIFY_MENDED;
	else if (v->options->repair)
		r = verify_repair_entry(v, &b->entry, &outcome);
	return r < 0 ? r : tell_entry(v, &b->entry, b->what, outcome);
}

static void bad_entries_release(struct bad_entries *be)
{
	for (size_t i = 0; i < be->n; i++)
		entry_release(&be->entries[i].entry);
	free(be->entries);
}

/* All are fetched before any is removed: what one lacks may be the catalog that
 * it is folded against, which comes back with another one. */
static int mend_entries(struct verify *v, struct bad_entries *be)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < be->n; i++)
		r = name_damage(v, &be->entries[i]);
	for (size_t i = 0; r == 0 && v->options->repair && i < be->n; i++)
		if (!is_record(&be->entries[i].entry))
			r = verify_fetch_entry(v, &be->entries[i].entry,
					       &be->entries[i].whole);
	return r;
}

static int tell_entries(struct verify *v, struct bad_entries *be)
{
	int r = mend_entries(v, be);

	for (size_t i = 0; r == 0 && i < be->n; i++)
		r = tell_bad_entry(v, &be->entries[i]);
	return r;
}

/* ---- all */

/* Of trees that no entry has, those that somebody needs. */
static int look_at_held(void *arg, const struct digest *catalog)
{
	char hex[DIGEST_HEX_LEN + 1], what[WHAT_MAX];
	struct verify *v = arg;
	struct verify_tree *vt;
	bool whole = false;
	int r = verify_get_tree(v, catalog, false, &vt);

	/* Another store's, as gc.h has it. */
	if (r < 0 || vt->told || vt->err == -ENOENT ||
	    (vt->err == 0 && vt->bad == 0))
		return r;
	vt->told = true;
	v->result.bad_trees++;
	say_tree(vt, what);
	if (v->options->repair)
		r = verify_get_tree(v, catalog, true, &vt);
	whole = v->options->repair && vt->err == 0 && vt->bad == 0;
	digest_hex(catalog, hex);
	tell(v, VERIFY_TREE, hex, what, whole ? VERIFY_MENDED : VERIFY_LEFT);
	return r;
}

static int tell_held(struct verify *v)
{
	const struct verify_options *o = v->options;

	return o->holds ? o->holds(o->arg, look_at_held, v) : 0;
}

static int run(struct verify *v)
{
	_cleanup_(bad_entries_release) struct bad_entries be = { .v = v };
	int r = look(v);

	if (r == 0)
		r = index_each_record(v->store->index, look_at_entry, &be);
	if (r == 0)
		r = v->options->repair ? verify_repair(v) :
					 verify_records(v, false);
	if (r < 0)
		return r;
	if (!v->options->repair)
		v->result.left += v->result.bad_records;
	(void)dmap_each(&v->packs, tell_pack, v);
	r = tell_entries(v, &be);
	return r < 0 ? r : tell_held(v);
}

static void node_free(struct dmap_node *n)
{
	free(n);
}

static void verify_release(struct verify *v)
{
	dmap_release(&v->packs, node_free);
	dmap_release(&v->trees, node_free);
	map_release(&v->good);
	codec_ctx_free(v->codec);
	free(v->chunk);
}

int verify_run(struct store *s, const struct verify_options *options,
	       struct progress *progress, struct verify_result *ret_result)
{
	_cleanup_(verify_release) struct verify v = {
		.store = s,
		.options = options,
		.progress = progress,
		.chunk = malloc(CHUNK_MAX),
	};
	int r = v.chunk ? codec_ctx_new(&v.codec) : -ENOMEM;

	if (r == 0)
		r = store_collect_begin(s);
	if (r < 0)
		return r;
	r = run(&v);
	store_collect_end(s);
	if (r == 0)
		*ret_result = v.result;
	return r;
}
