/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting a remote tier: one tenant's namespace in it. A collection
 *
 *	1. lists all objects, reads the entries and decides which of them stay;
 *	2. reads the trees of those, and so learns which packs they need;
 *	3. removes the entries that go, and then trees, records and packs that
 *	   nothing needs, and which are older than a grace time.
 *
 * Pointers to entries that go are first turned to the newest that stays, or
 * removed. A collection that is broken off anywhere leaves objects that nothing
 * needs, which the next one finds, and never an entry without what it needs.
 *
 * Others may push meanwhile, and rely on objects that nothing needed when the
 * collection looked. Neither a tier's own clock nor conditional requests are
 * any help there, since a removal goes by the name alone: whoever had put an
 * object anew a moment before would lose it. So both sides say what they are
 * about to do before they look at what the other one says (remote_hold.h):
 *
 *	a push			a collection
 *	p1 puts a hold		c1 puts the notice
 *	p2 waits while there	c2 lists the holds, then the entries, and keeps
 *	   is a notice		   what they need
 *	p3 looks what is there,	c3 removes
 *	   puts what is not
 *	p4 puts the entry	c4 removes the notice
 *	p5 removes the hold
 *
 * An object that a push relies on is not removed: if the hold was put before
 * the collection listed the holds, it either was there then, and the object is
 * kept; or it had been removed, so that the entry was there before the entries
 * were listed, and the object is kept for that. If the hold was put later, so
 * was p2, when the notice was there already, or had gone: p3 comes after c4, and
 * sees what was removed.
 *
 * Time bounds what the dead leave. A notice counts for `notice_ns`, and a
 * collection removes nothing more once `sweep_ns`, which is well below, have
 * passed since it put the notice: it takes it away and begins again at c1. A
 * hold counts for `hold_ns` since it was last put, by the tier's clock, and a
 * push that has not put it for half of that looks at everything again. Ages on
 * one machine are of a clock that goes on while it sleeps. So what is trusted
 * is that a tier's clock does not jump by minutes during a collection, and that
 * a request is not carried out minutes after it was given up.
 *
 * Two collections exclude each other in the same way: each puts an object of its
 * own and then lists those of others.
 *
 * Versions of Larder that put no hold are protected by the grace time alone,
 * and so is who may put objects, but not read them. Mounts elsewhere that fetch
 * when they are read lose what they have not fetched of an entry that goes.
 *
 * A tier that cannot list cannot be collected. Any thread.
 */
#ifndef LARDER_REMOTE_GC_H
#define LARDER_REMOTE_GC_H

#include "remote.h"

#define REMOTE_GC_GRACE_NS (INT64_C(24) * 3600 * 1000000000)

enum remote_gc_reason {
	REMOTE_GC_OLD,	      /* by the rules */
	REMOTE_GC_UNREADABLE, /* it or its tree is damaged or gone */
};

/*
 * Which entries stay. By no rule all do that can be read; with any, those that
 * are pinned on this machine, younger than `grace_ns` or named by one of the
 * first two rules. Of the others, with `max_bytes`, the newest as long as all
 * objects that are needed take no more; without, none. An entry is as old as
 * its object, by the tier's clock.
 */
struct remote_gc_options {
	int64_t keep_ns;    /* younger than this; 0: no rule */
	unsigned keep_last; /* so many of each name and branch that can be
			     * read; 0: no rule */
	uint64_t max_bytes; /* 0: no rule */
	int64_t grace_ns;   /* of entries and of all other objects */
	bool dry_run;	    /* nothing is put or removed */

	/* Told of each entry that goes; may be NULL. `e` is without parts, and
	 * of one that cannot be read it has name and key only. */
	void (*removed)(void *arg, const struct entry *e, int64_t put_ns,
			enum remote_gc_reason reason);
	void *arg;
};

struct remote_gc_result {
	uint64_t entries, kept_entries; /* kept: they may not go */
	uint64_t removed_entries;
	uint64_t objects, bytes; /* of all kinds but entries, before */
	uint64_t removed[REMOTE_KINDS], removed_bytes;
	uint64_t waiting, waiting_bytes; /* not needed, and too young */
	uint64_t unreadable; /* entries that stay and keep all packs */
	bool over;	     /* what is needed takes more than max_bytes */
};

/*
 * -EOPNOTSUPP: the tier cannot list, or does not tell when objects were put.
 * -EBUSY: another collection is under way, or was broken off lately. -ESTALE
 * (said): it has entries, trees or holds of a newer version, and is left alone.
 * -ETIMEDOUT and others: r->why has the cause; what was removed until then is
 * not told.
 */
int remote_gc(const struct remote *r, unsigned i,
	      const struct remote_gc_options *options,
	      struct remote_gc_result *ret_result);

#endif
