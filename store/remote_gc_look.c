/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is in a tier: objects as the lists tell of them, entries and holds
 * as they are read. What has a path that is none of ours is left alone. The
 * collection's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "remote_gc_internal.h"

#define OBJECTS_MAX 4000000u
#define LIST_TIMEOUT_NS INT64_C(900000000000)

/* An entry that was put so shortly before the collection began may be another
 * one than was read, with the same size and time. */
#define SURE_NS INT64_C(10000000000)

static const char *const kinds[REMOTE_KINDS] = {
	[REMOTE_PACK] = "packs",
	[REMOTE_TREE] = "trees",
	[REMOTE_RECORD] = "records",
};

/* ---- lists */

/* An entry of a list, which is read once the list has ended. */
struct listed {
	char *path; /* NAME/KEY, or the whole path of a hold */
	uint64_t bytes;
	int64_t put_ns;
};

struct listing {
	struct rgc *g;
	char prefix[TIER_PATH_MAX + 1]; /* all that is ours; ends with '/' */
	struct listed *items;
	size_t n, cap;
};

static void listing_release(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i].path);
	free(l->items);
}

static int keep(struct listing *l, const char *path,
		const struct tier_object *o)
{
	if (l->n == OBJECTS_MAX)
		return -EFBIG;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct listed *grown =
			reallocarray(l->items, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->items = grown;
		l->cap = cap;
	}
	l->items[l->n] = (struct listed){ strdup(path), o->size, o->mtime_ns };
	return l->items[l->n].path ? (l->n++, 0) : -ENOMEM;
}

/* "<hh>/<hex>" */
static bool parse_object(const char *rest, struct digest *ret_digest)
{
	return strlen(rest) == 3 + DIGEST_HEX_LEN && rest[2] == '/' &&
	       memcmp(rest, rest + 3, 2) == 0 &&
	       digest_parse(rest + 3, ret_digest) == 0;
}

static int add_object(struct rgc *g, enum remote_kind kind,
		      const struct digest *digest, const struct tier_object *to)
{
	struct rgc_object *o;
	int r;

	if (g->result.objects == OBJECTS_MAX)
		return -EFBIG;
	r = dmap_get(&g->objects[kind], digest, sizeof(*o),
		     (struct dmap_node **)&o);
	if (r < 0)
		return r;
	o->kind = kind;
	o->bytes = to->size;
	o->put_ns = to->mtime_ns;
	g->result.objects++;
	g->result.bytes += to->size;
	return 0;
}

/* NULL: it does not begin so. */
static const char *behind(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/' ?
		       path + len + 1 :
		       NULL;
}

/* What a server tells of may be anything. NULL: it is not in the folder of this
 * namespace. */
static const char *in_folder(const struct listing *l,
			     const struct tier_object *o, const char *folder)
{
	size_t len = strlen(l->prefix);

	return strncmp(o->path, l->prefix, len) == 0 ?
		       behind(o->path + len, folder) :
		       NULL;
}

static int note_entry(void *arg, const struct tier_object *o)
{
	const char *rest = in_folder(arg, o, "entries");

	return rest ? keep(arg, rest, o) : 0;
}

static int note_object(void *arg, const struct tier_object *o)
{
	struct listing *l = arg;
	struct digest digest;

	for (unsigned k = 0; k < REMOTE_KINDS; k++) {
		const char *rest = in_folder(l, o, kinds[k]);

		if (rest && parse_object(rest, &digest))
			return add_object(l->g, (enum remote_kind)k, &digest,
					  o);
	}
	return note_entry(l, o);
}

static int note_hold(void *arg, const struct tier_object *o)
{
	return in_folder(arg, o, "holds") ? keep(arg, o->path, o) : 0;
}

static int list(struct listing *l, const char *folder, tier_each each,
		int64_t timeout_ns)
{
	struct rgc *g = l->g;
	struct tier_call call = remote_call(g->remote, timeout_ns);
	char path[TIER_PATH_MAX + 1];
	size_t len;

	rgc_path(g, folder, path);
	rgc_path(g, "", l->prefix);
	len = strlen(path);
	if (path[len - 1] == '/') /* all */
		path[len - 1] = '\0';
	return chain_list_at(g->remote->chain, g->tier, &call, path, each, l);
}

/* ---- entries */

/* NAME/KEY */
static bool parse_entry(const char *path, char ret_name[KEY_MAX + 1],
			const char **ret_key)
{
	const char *slash = strchr(path, '/');

	if (!slash || slash - path > KEY_MAX)
		return false;
	memcpy(ret_name, path, slash - path);
	ret_name[slash - path] = '\0';
	*ret_key = slash + 1;
	return key_is_valid(ret_name) && key_is_valid(*ret_key);
}

static bool is_of_place(const struct rgc *g, const struct entry *e,
			const char *name, const char *key)
{
	return strcmp(e->tenant, g->remote->tenant) == 0 &&
	       strcmp(e->namespace, g->remote->namespace) == 0 &&
	       strcmp(e->name, name) == 0 && strcmp(e->key, key) == 0;
}

static int read_entry(struct rgc *g, const char *path, const char *name,
		      const char *key, struct entry *ret_entry)
{
	struct tier_call call = rgc_call(g);
	_cleanup_buf_ struct buf data = BUF_INIT;
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r = chain_read_from(g->remote->chain, g->tier, &call, path,
				REMOTE_ENTRY_MAX, &data);

	if (r == 0)
		r = entry_decode(data.data, data.len, &e);
	if (r == 0 && !is_of_place(g, &e, name, key))
		r = -EBADMSG;
	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	key_parts_release(&e.parts);
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

/* One that cannot be read has its place, and nothing else. */
static int name_only(struct rgc *g, const char *name, const char *key,
		     struct entry *e)
{
	char empty[] = "";
	const struct entry bare = { .tenant = (char *)g->remote->tenant,
				    .namespace = (char *)g->remote->namespace,
				    .name = (char *)name,
				    .key = (char *)key,
				    .branch = empty,
				    .creator = empty,
				    .parent = empty };

	return entry_copy(&bare, e);
}

static int add_entry(struct rgc *g, const struct digest *path,
		     struct rgc_entry **ret_entry)
{
	int r = 0;

	if (g->n_entries == g->cap_entries) {
		size_t cap = g->cap_entries ? 2 * g->cap_entries : 64;
		struct rgc_entry **grown =
			reallocarray(g->entries, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		g->entries = grown;
		g->cap_entries = cap;
	}
	r = dmap_get(&g->by_path, path, sizeof(**ret_entry),
		     (struct dmap_node **)ret_entry);
	if (r == 0)
		g->entries[g->n_entries++] = *ret_entry;
	return r;
}

static bool is_the_same(const struct rgc *g, const struct rgc_entry *e,
			const struct listed *li)
{
	return !e->gone && e->bytes == li->bytes && e->put_ns == li->put_ns &&
	       li->put_ns > 0 && li->put_ns < g->now_ns - SURE_NS;
}

/* *ret_entry: NULL where it is known already, or gone again. */
static int take_entry(struct rgc *g, const struct listed *li,
		      struct rgc_entry **ret_entry)
{
	char path[TIER_PATH_MAX + 1], name[KEY_MAX + 1];
	struct entry got = ENTRY_INIT;
	struct rgc_entry *e;
	struct digest digest;
	const char *key;
	int r, err;

	*ret_entry = NULL;
	if (!parse_entry(li->path, name, &key))
		return 0;
	remote_entry_path(g->remote->tenant, g->remote->namespace, name, key,
			  path);
	r = digest_of(path, strlen(path), &digest);
	if (r < 0)
		return r;
	e = (struct rgc_entry *)dmap_find(&g->by_path, &digest);
	if (e && is_the_same(g, e, li))
		return 0;
	err = read_entry(g, path, name, key, &got);
	if (err == -ENOENT)
		return 0;
	if (err == -ESTALE)
		return log_error(err,
				 "tier %s has an entry of a newer version of "
				 "Larder (%s@%s), which must collect it",
				 chain_name(g->remote->chain, g->tier), name,
				 key);
	if (err == -EBADMSG)
		r = name_only(g, name, key, &got);
	else
		r = err;
	if (r == 0 && !e)
		r = add_entry(g, &digest, &e);
	if (r < 0) {
		entry_release(&got);
		return r;
	}
	entry_release(&e->entry);
	e->entry = got;
	e->bytes = li->bytes;
	e->put_ns = li->put_ns;
	e->err = err;
	e->gone = e->goes = e->unreadable = false;
	*ret_entry = e;
	return 0;
}

int rgc_read_again(struct rgc *g, struct rgc_entry *e)
{
	_cleanup_free_ char *name = strdup(e->entry.name);
	_cleanup_free_ char *key = strdup(e->entry.key);
	char path[TIER_PATH_MAX + 1];
	struct entry got = ENTRY_INIT;

	if (!name || !key)
		return -ENOMEM;
	remote_entry_path(g->remote->tenant, g->remote->namespace, name, key,
			  path);
	e->err = read_entry(g, path, name, key, &got);
	if (e->err == 0) {
		entry_release(&e->entry);
		e->entry = got;
	}
	if (e->err == -ENOENT)
		e->gone = true;
	if (e->err < 0 && e->err != -EBADMSG && e->err != -ENOENT)
		return e->err;
	return rgc_mark(g, e, true);
}

int rgc_look(struct rgc *g)
{
	_cleanup_(listing_release) struct listing l = { .g = g };
	struct rgc_entry *e;
	int r = list(&l, "", note_object, LIST_TIMEOUT_NS);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		r = rgc_tick(g, "look", i, l.n);
		if (r == 0)
			r = take_entry(g, &l.items[i], &e);
	}
	return r;
}

/* ---- once more */

static int note_held(void *arg, const struct digest *digest)
{
	struct rgc *g = arg;
	struct dmap_node *n;

	for (unsigned k = 0; k < REMOTE_KINDS; k++) {
		struct rgc_object *o =
			(struct rgc_object *)dmap_find(&g->objects[k], digest);

		if (o)
			o->needed = true;
	}
	return dmap_get(&g->held, digest, sizeof(*n), &n);
}

bool rgc_is_held(const struct rgc *g, const struct digest *digest)
{
	return dmap_find(&g->held, digest);
}

static int remove_hold(struct rgc *g, const char *path)
{
	struct tier_call call = rgc_call(g);
	int r = chain_delete_at(g->remote->chain, g->tier, &call, path);

	return r == -ENOENT ? 0 : r;
}

/* One that is damaged may hold anything. */
static int take_hold(struct rgc *g, const struct listed *li)
{
	struct tier_call call = rgc_call(g);
	_cleanup_buf_ struct buf data = BUF_INIT;
	int r;

	if (li->put_ns > 0 && li->put_ns < g->now_ns - g->pace->hold_ns)
		return remove_hold(g, li->path);
	r = chain_read_from(g->remote->chain, g->tier, &call, li->path,
			    REMOTE_HOLD_MAX, &data);
	if (r == 0)
		r = remote_hold_decode(data.data, data.len, note_held, g);
	if (r == -ESTALE)
		return log_error(r,
				 "a newer version of Larder puts entries into "
				 "tier %s, and must collect it",
				 chain_name(g->remote->chain, g->tier));
	if (r == -EBADMSG || r == -EFBIG)
		g->blocked = true;
	return r == -ENOENT || r == -EBADMSG || r == -EFBIG ? 0 : r;
}

static int look_at_holds(struct rgc *g)
{
	_cleanup_(listing_release) struct listing l = { .g = g };
	int r = list(&l, "holds", note_hold, g->pace->sweep_ns);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		r = rgc_tick(g, "look", i, l.n);
		if (r == 0)
			r = take_hold(g, &l.items[i]);
	}
	return r;
}

/* What came or changed since the collection began. */
static int take_new(struct rgc *g, const struct listed *li)
{
	struct rgc_entry *e;
	int r = take_entry(g, li, &e);

	if (r < 0 || !e)
		return r;
	e->protected = true;
	r = rgc_mark(g, e, true);
	g->blocked |= e->unreadable;
	return r;
}

int rgc_look_again(struct rgc *g)
{
	_cleanup_(listing_release) struct listing l = { .g = g };
	int r = look_at_holds(g);

	if (r == 0)
		r = list(&l, "entries", note_entry, g->pace->sweep_ns);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		r = rgc_tick(g, "look", i, l.n);
		if (r == 0)
			r = take_new(g, &l.items[i]);
	}
	return r;
}

/* ---- the end */

static void node_free(struct dmap_node *n)
{
	free(n);
}

static void entry_free(struct dmap_node *n)
{
	struct rgc_entry *e = (struct rgc_entry *)n;

	entry_release(&e->entry);
	free(e);
}

void rgc_look_release(struct rgc *g)
{
	for (unsigned k = 0; k < REMOTE_KINDS; k++)
		dmap_release(&g->objects[k], node_free);
	dmap_release(&g->held, node_free);
	dmap_release(&g->by_path, entry_free);
	free(g->entries);
}
