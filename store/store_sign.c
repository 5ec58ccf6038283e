/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing an entry of the store. No publication is under way while it is read
 * and put back, so none is undone by it.
 */
#include <errno.h>

#include "base/clock.h"
#include "seen.h"
#include "store_internal.h"

struct signing {
	struct store *store;
	const struct sign_key *key;
	const struct entry *wanted;
	struct entry stored;
	bool changed;
};

static int put_signed(struct signing *s)
{
	struct index_batch *b;
	int r = index_batch_begin(s->store->index, &b);

	if (r < 0)
		return r;
	r = index_put_entry(b, &s->stored);
	if (r == 0)
		r = seen_note(b, &s->stored, sign_key_public(s->key));
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, false);
}

static bool is_same(const struct entry *a, const struct entry *b)
{
	return a->created_ns == b->created_ns &&
	       digest_equal(&a->catalog, &b->catalog);
}

static int sign_stored(void *arg)
{
	struct signing *s = arg;
	const struct entry *e = s->wanted;
	int r = index_get_entry(s->store->index, e->tenant, e->namespace,
				e->name, e->key, &s->stored);

	if (r < 0 || !is_same(e, &s->stored) ||
	    entry_verify(&s->stored, sign_key_public(s->key)) == 0)
		return r;
	r = entry_sign(&s->stored, s->key);
	if (r == 0)
		r = put_signed(s);
	s->changed = r == 0;
	return r;
}

/* What was written before a synced write is durable with it. */
static int sync_index(const struct signing *s)
{
	struct index_batch *b;
	int r = index_batch_begin(s->store->index, &b);

	if (r < 0)
		return r;
	r = index_put_use(b, &s->stored, clock_wall_ns());
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	return index_batch_commit(b, true);
}

int store_sign_entry(struct store *s, const struct entry *e,
		     const struct sign_key *key, struct entry *ret_entry)
{
	struct signing signing = { .store = s, .key = key, .wanted = e };
	int r = store_exclude(s, sign_stored, &signing);

	if (r == 0 && signing.changed)
		r = sync_index(&signing);
	if (r < 0) {
		entry_release(&signing.stored);
		return r;
	}
	*ret_entry = signing.stored;
	return 0;
}
