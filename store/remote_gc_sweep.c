/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing, in rounds, each under a notice of its own: entries, with the
 * pointers that lead to them, then trees, records and packs. Where a removal
 * was not answered, it may still be carried out, so the notice stays then and
 * goes when it counts no more. The collection's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "remote_gc_internal.h"

/* The most that is needed goes last, as it was put first. */
static const enum remote_kind order[REMOTE_KINDS] = { REMOTE_TREE,
						      REMOTE_RECORD,
						      REMOTE_PACK };

struct sweep {
	struct rgc *g;
	struct rgc_object **dead; /* what was, when it began */
	size_t n, cap;
	size_t at_entry, at_object; /* how far it is */
	int64_t until_ns;	    /* of this round; CLOCK_BOOTTIME */
	bool unanswered;	    /* a removal */
	bool late;		    /* what was next came after until_ns */
};

/* ---- the notice */

static int put_notice(struct sweep *s)
{
	struct rgc *g = s->g;
	struct tier_call call = rgc_call(g);
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	int64_t now = clock_boot_ns();
	int r;

	s->until_ns = now + g->pace->sweep_ns;
	s->late = false;
	g->notice.tier_ns = g->now_ns + (now - g->began_ns);
	g->notice.number++;
	memcpy(g->notice.id, strrchr(g->own_path, '/') + 1, REMOTE_ID_LEN);
	remote_notice_path(g->remote, path);
	r = remote_notice_encode(&g->notice, &data);
	if (r == 0)
		r = chain_put_data_to(g->remote->chain, g->tier, &call, path,
				      data.data, data.len);
	return r < 0 ? r : fault_check("remote_gc.notice");
}

/* Another collection may have put one since. */
static bool is_own_notice(const struct rgc *g, const struct tier_call *call,
			  const char *path)
{
	_cleanup_buf_ struct buf data = BUF_INIT;
	struct remote_notice n;

	return chain_read_from(g->remote->chain, g->tier, call, path,
			       REMOTE_NOTICE_MAX, &data) == 0 &&
	       remote_notice_decode(data.data, data.len, &n) == 0 &&
	       memcmp(n.id, g->notice.id, REMOTE_ID_LEN) == 0;
}

static void remove_notice(struct sweep *s)
{
	struct rgc *g = s->g;
	struct tier_call call = rgc_call(g);
	char path[TIER_PATH_MAX + 1], why[TIER_WHY_MAX];

	call.why = why; /* what failed before is what counts */
	remote_notice_path(g->remote, path);
	if (!s->unanswered && rgc_is_alive(g) &&
	    chain_is_up(g->remote->chain, g->tier) &&
	    is_own_notice(g, &call, path) && rgc_is_alive(g))
		(void)chain_delete_at(g->remote->chain, g->tier, &call, path);
}

static bool is_over(const struct sweep *s)
{
	return clock_boot_ns() >= s->until_ns;
}

/* A call that changes what is there, while the notice counts: -ETIMEDOUT, and
 * `late`, where the round is over. It is given up well before others take the
 * notice for old. */
static int changing_call(struct sweep *s, struct tier_call *ret_call)
{
	const struct remote_pace *pace = s->g->pace;
	int64_t left = s->until_ns - clock_boot_ns();
	int64_t spare = pace->notice_ns - pace->sweep_ns;
	int64_t deadline;

	if (left <= 0) {
		s->late = true;
		return -ETIMEDOUT;
	}
	*ret_call = rgc_call(s->g);
	deadline = clock_mono_ns() + left + (spare > 0 ? spare / 2 : 0);
	if (deadline < ret_call->deadline_ns)
		ret_call->deadline_ns = deadline;
	return 0;
}

static int remove_path(struct sweep *s, const char *path)
{
	struct rgc *g = s->g;
	struct tier_call call;
	int r = changing_call(s, &call);

	if (r < 0)
		return r;
	r = chain_delete_at(g->remote->chain, g->tier, &call, path);
	s->unanswered |= r < 0 && r != -ENOENT && r != -EACCES &&
			 r != -EOPNOTSUPP;
	return r == -ENOENT ? 0 : r;
}

/* ---- pointers */

static struct rgc_entry *find_entry(struct rgc *g, const char *name,
				    const char *key)
{
	char path[TIER_PATH_MAX + 1];
	struct digest digest;

	remote_entry_path(g->remote->tenant, g->remote->namespace, name, key,
			  path);
	return digest_of(path, strlen(path), &digest) < 0 ?
		       NULL :
		       (struct rgc_entry *)dmap_find(&g->by_path, &digest);
}

/* The newest that stays; NULL: none does. */
static const struct rgc_entry *newest(const struct rgc *g, const char *name,
				      const char *branch)
{
	const struct rgc_entry *best = NULL;

	for (size_t i = 0; i < g->n_entries; i++) {
		const struct rgc_entry *e = g->entries[i];

		if (e->goes || e->gone || e->err < 0 ||
		    strcmp(e->entry.name, name) != 0 ||
		    (*branch && strcmp(e->entry.branch, branch) != 0))
			continue;
		if (!best || e->entry.created_ns > best->entry.created_ns)
			best = e;
	}
	return best;
}

static int put_pointer(struct sweep *s, const char *path, const char *name,
		       const char *branch)
{
	struct rgc *g = s->g;
	const struct rgc_entry *to = newest(g, name, branch);
	struct tier_call call;
	int r = fault_check("remote_gc.pointer");

	if (r == 0 && !to)
		return remove_path(s, path);
	if (r == 0)
		r = changing_call(s, &call);
	return r < 0 ? r :
		       chain_put_data_to(g->remote->chain, g->tier, &call, path,
					 to->entry.key, strlen(to->entry.key));
}

/* Only what leads to an entry that goes: another one may have come just now. */
static int turn(struct sweep *s, const char *path, const char *name,
		const char *branch)
{
	struct rgc *g = s->g;
	struct tier_call call = rgc_call(g);
	_cleanup_buf_ struct buf data = BUF_INIT;
	const struct rgc_entry *to;
	char key[KEY_MAX + 1];
	int r = chain_read_from(g->remote->chain, g->tier, &call, path, KEY_MAX,
				&data);

	if (r < 0)
		return r == -ENOENT || r == -EFBIG ? 0 : r;
	snprintf(key, sizeof(key), "%.*s", (int)data.len,
		 data.len > 0 ? (const char *)data.data : "");
	to = find_entry(g, name, key);
	return to && to->goes ? put_pointer(s, path, name, branch) : 0;
}

/* Each pointer is looked at once. */
static int turn_once(struct sweep *s, const struct entry *e, const char *branch)
{
	struct rgc *g = s->g;
	char path[TIER_PATH_MAX + 1];
	struct dmap_node *n;
	struct digest digest;
	int r = remote_latest_path(g->remote->tenant, g->remote->namespace,
				   e->name, branch, path);

	if (r == 0)
		r = digest_of(path, strlen(path), &digest);
	if (r < 0 || dmap_find(&g->pointers, &digest))
		return r;
	r = turn(s, path, e->name, branch);
	return r < 0 ? r : dmap_get(&g->pointers, &digest, sizeof(*n), &n);
}

/* ---- entries */

static int remove_entry(struct sweep *s, struct rgc_entry *e)
{
	const struct remote_gc_options *o = s->g->options;
	char path[TIER_PATH_MAX + 1];
	int r = turn_once(s, &e->entry, "");

	if (r == 0 && *e->entry.branch)
		r = turn_once(s, &e->entry, e->entry.branch);
	if (r == 0)
		r = fault_check("remote_gc.entry");
	if (r < 0)
		return r;
	remote_entry_path(s->g->remote->tenant, s->g->remote->namespace,
			  e->entry.name, e->entry.key, path);
	r = remove_path(s, path);
	if (r < 0)
		return r;
	e->gone = true;
	s->g->result.removed_entries++;
	if (o->removed)
		o->removed(o->arg, &e->entry, e->put_ns,
			   e->unreadable ? REMOTE_GC_UNREADABLE :
					   REMOTE_GC_OLD);
	return 0;
}

/* Somebody puts it anew just now; until he has, it is what it was. */
static int save_entry(struct sweep *s, struct rgc_entry *e)
{
	int r;

	e->goes = false;
	r = rgc_mark(s->g, e, false);
	s->g->blocked |= e->unreadable;
	return r;
}

static int sweep_entry(struct sweep *s, struct rgc_entry *e)
{
	int r;

	if (rgc_is_held(s->g, &e->node.digest))
		return save_entry(s, e);
	if (!e->unreadable)
		return remove_entry(s, e);
	r = rgc_read_again(s->g, e);
	if (r < 0 || e->gone)
		return r;
	e->goes = e->unreadable;
	return e->goes ? remove_entry(s, e) : 0;
}

static int sweep_entries(struct sweep *s)
{
	struct rgc *g = s->g;
	int r = 0;

	for (; r == 0 && s->at_entry < g->n_entries && !is_over(s);
	     s->at_entry += r == 0) {
		struct rgc_entry *e = g->entries[s->at_entry];

		if (!e->goes || e->gone)
			continue;
		r = rgc_tick(g, "entries", s->at_entry, g->n_entries);
		if (r == 0)
			r = sweep_entry(s, e);
	}
	return r;
}

/* ---- objects */

static int note_dead(void *arg, struct dmap_node *n)
{
	struct rgc_object *o = (struct rgc_object *)n;
	struct sweep *s = arg;

	if (!rgc_is_dead(s->g, o))
		return 0;
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct rgc_object **grown =
			reallocarray(s->dead, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		s->dead = grown;
		s->cap = cap;
	}
	s->dead[s->n++] = o;
	return 0;
}

static int remove_object(struct sweep *s, const struct rgc_object *o)
{
	const struct remote *remote = s->g->remote;
	struct remote_gc_result *res = &s->g->result;
	char path[TIER_PATH_MAX + 1];
	int r = fault_check("remote_gc.object");

	if (r < 0)
		return r;
	remote_path(remote->tenant, remote->namespace, o->kind, &o->node.digest,
		    path);
	r = remove_path(s, path);
	if (r < 0)
		return r;
	res->removed[o->kind]++;
	res->removed_bytes += o->bytes;
	return 0;
}

static int sweep_objects(struct sweep *s)
{
	int r = 0;

	for (; r == 0 && s->at_object < s->n && !is_over(s);
	     s->at_object += r == 0) {
		const struct rgc_object *o = s->dead[s->at_object];

		if (o->needed) /* by now */
			continue;
		r = rgc_tick(s->g, "sweep", s->at_object, s->n);
		if (r == 0)
			r = remove_object(s, o);
	}
	return r;
}

/* ---- rounds */

static bool is_done(const struct sweep *s)
{
	return s->at_entry == s->g->n_entries &&
	       (s->g->blocked || s->at_object == s->n);
}

/* What came too late is next in another round. */
static int sweep_all(struct sweep *s)
{
	int r = sweep_entries(s);

	if (r == 0 && s->at_entry == s->g->n_entries && !s->g->blocked)
		r = sweep_objects(s);
	return s->late ? 0 : r;
}

static int under_notice(struct sweep *s)
{
	size_t entry = s->at_entry, object = s->at_object;
	int r = rgc_look_again(s->g);

	if (r == 0)
		r = sweep_all(s);
	if (r == 0)
		r = fault_check("remote_gc.end");
	if (r == 0 && !is_done(s) && entry == s->at_entry &&
	    object == s->at_object)
		return rgc_fail(s->g, -ETIMEDOUT,
				"it takes too long to list its entries");
	return r;
}

static int sweep_round(struct sweep *s)
{
	int r = rgc_tick(s->g, "sweep", s->at_object, s->n);

	if (r < 0)
		return r;
	r = put_notice(s);
	if (r == 0)
		r = under_notice(s);
	remove_notice(s);
	return r;
}

static void pass_what_stays(struct sweep *s)
{
	while (s->at_entry < s->g->n_entries &&
	       !s->g->entries[s->at_entry]->goes)
		s->at_entry++;
}

/* What the plan has go may be saved, but nothing more goes than that. */
int rgc_sweep(struct rgc *g)
{
	struct sweep s = { .g = g };
	int r = 0;

	for (unsigned k = 0; r == 0 && !g->blocked && k < REMOTE_KINDS; k++)
		r = dmap_each(&g->objects[order[k]], note_dead, &s);
	pass_what_stays(&s);
	while (r == 0 && !is_done(&s))
		r = sweep_round(&s);
	free(s.dead);
	return r;
}

static void node_free(struct dmap_node *n)
{
	free(n);
}

void rgc_sweep_release(struct rgc *g)
{
	dmap_release(&g->pointers, node_free);
}
