/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a tier's collection, shared by remote_gc*.c: what there is
 * (remote_gc_look.c), which entries stay and what they need (remote_gc_plan.c),
 * others that collect (remote_gc.c), and removing (remote_gc_sweep.c). One
 * thread.
 */
#ifndef LARDER_REMOTE_GC_INTERNAL_H
#define LARDER_REMOTE_GC_INTERNAL_H

#include "digest_map.h"
#include "remote_gc.h"
#include "remote_hold.h"
#include "remote_internal.h"

/* A pack, a tree or a record. */
struct rgc_object {
	struct dmap_node node; /* first */
	enum remote_kind kind;
	uint64_t bytes;
	int64_t put_ns;
	bool needed;
};

/* Which packs a tree names. */
struct rgc_tree {
	struct dmap_node node; /* first */
	bool loaded;
	int err; /* -ENOENT, -EBADMSG: it cannot be had */
	struct digest *packs;
	uint32_t n;
};

struct rgc_entry {
	struct dmap_node node; /* first; the digest of its path */
	struct entry entry;    /* without parts; name and key, if no more */
	uint64_t bytes;
	int64_t put_ns;
	int err; /* -EBADMSG: it cannot be used */
	bool protected, unreadable, goes;
	bool gone; /* removed, or not there any more */
};

struct rgc {
	const struct remote *remote;
	unsigned tier;
	const struct remote_gc_options *options;
	const struct remote_pace *pace;
	struct remote_gc_result result;
	int64_t now_ns; /* the tier's clock, when it began */

	struct dmap objects[REMOTE_KINDS]; /* struct rgc_object */
	struct dmap trees;		   /* struct rgc_tree */
	struct dmap held;	    /* digests in holds: struct dmap_node */
	struct dmap by_path;	    /* all entries; owned */
	struct rgc_entry **entries; /* likewise, to be sorted */
	size_t n_entries, cap_entries;
	uint64_t needed_bytes;

	/* What some entry needs is not known, so no object may go. */
	bool blocked;

	char own_path[TIER_PATH_MAX + 1]; /* this collection's object, or "" */
	int64_t own_put_ns, began_ns;	  /* CLOCK_BOOTTIME */
	struct remote_notice notice;	  /* the latest */
	struct dmap pointers; /* looked at: digests of their paths */
};

/* Notes why it fails, where the caller wants to know. */
int rgc_fail(const struct rgc *g, int err, const char *why);

/* "v1/<tenant>/<namespace>/<rest>" */
void rgc_path(const struct rgc *g, const char *rest,
	      char ret_path[TIER_PATH_MAX + 1]);
struct tier_call rgc_call(const struct rgc *g);

/* Between any two calls: tells how far it is, and keeps this collection's
 * object alive. -ETIMEDOUT: it was not for too long. */
int rgc_tick(struct rgc *g, const char *phase, uint64_t done, uint64_t all);

/* Whether its object keeps others out; else the notice may be another one's. */
bool rgc_is_alive(const struct rgc *g);

/* ---- remote_gc_look.c */

/* Lists all there is, and reads the entries. */
int rgc_look(struct rgc *g);

/* Lists holds and then entries. An entry that was not there before, or was put
 * since, is protected and marked; what is held is noted. */
int rgc_look_again(struct rgc *g);

/* An entry that could not be used, which may have been a fault on the way: then
 * it is marked, and `unreadable` no more. */
int rgc_read_again(struct rgc *g, struct rgc_entry *e);

bool rgc_is_held(const struct rgc *g, const struct digest *digest);
void rgc_look_release(struct rgc *g);

/* ---- remote_gc_plan.c */

/* Sets `goes` of entries and `needed` of objects. */
int rgc_plan(struct rgc *g);

/* Marks what an entry needs; with `anew`, its tree is read again: who puts an
 * entry may have put its tree with other packs. Where that cannot be told, it
 * is `unreadable` and nothing is marked. */
int rgc_mark(struct rgc *g, struct rgc_entry *e, bool anew);
void rgc_plan_release(struct rgc *g);

/* Whether an object may go: nothing needs it, and it is old enough. */
bool rgc_is_dead(const struct rgc *g, const struct rgc_object *o);

/* ---- remote_gc_sweep.c */

/* Removes the entries that go and all dead objects. */
int rgc_sweep(struct rgc *g);
void rgc_sweep_release(struct rgc *g);

#endif
