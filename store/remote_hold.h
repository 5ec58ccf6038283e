/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a push holds in a tier while it relies on objects that it finds there
 * or has put there, and the notice of a collection that is about to remove
 * some. remote_gc.h says how the two keep out of each other's way. Objects, by
 * the side of those of remote.h:
 *
 *	holds/<id>		a hold: the digests of packs and catalogs, and
 *				of the path of the entry
 *	gc/notice		a collection removes objects now
 *	gc/collectors/<id>	a collection is under way; empty
 *
 * An id is 32 hex digits, chosen at random. A hold, little-endian:
 *
 *	magic		8 bytes, "LARDHOLD"
 *	version, count	u32 each
 *	digests		32 bytes each
 *	CRC32C		u32, of all that precedes
 *
 * A notice: magic "LARDNOTE", version u32, i64 when it was put by the tier's
 * clock (ns since 1970), the id of the collection (32 bytes), u32 its number in
 * it, CRC32C.
 *
 * One thread each; a struct hold is the caller's.
 */
#ifndef LARDER_REMOTE_HOLD_H
#define LARDER_REMOTE_HOLD_H

#include "remote.h"

#define REMOTE_ID_LEN 32
#define REMOTE_HOLD_MAX (64u << 20)
#define REMOTE_HOLD_VERSION 1u
#define REMOTE_NOTICE_MAX 256u

/* How long things count. Tests have others. */
struct remote_pace {
	/* A hold, from when it was put. It is put again after a 24th of that,
	 * and its owner does not rely on it for more than half of it. */
	int64_t hold_ns;
	/* A notice; and for how long a collection removes objects under it,
	 * with what has to be looked at before. */
	int64_t notice_ns, sweep_ns;
	/* The object of a collection, which is put again after a 20th. */
	int64_t collector_ns;
	int64_t poll_ns; /* a push that waits for a notice to go looks so often */
};

/* Those of `r`, or the usual ones. */
const struct remote_pace *remote_pace(const struct remote *r);

/* ---- a push */

struct hold {
	const struct remote *remote; /* set these two, and zeros */
	unsigned tier;

	struct buf digests;
	char path[TIER_PATH_MAX + 1]; /* "": nothing was put */
	int64_t put_ns; /* CLOCK_BOOTTIME, before it was put the last time */
};

/* Adds a digest; it is held after the next hold_take() or hold_extend(). */
int hold_add(struct hold *h, const struct digest *digest);
int hold_add_path(struct hold *h, const char *path);

/*
 * Puts the hold, under a new name, and waits until no collection is under way
 * that may not have seen it. What the caller finds in the tier from here on,
 * and what it puts there, stays until hold_drop() as long as hold_keep() says
 * so. Errors of tiers.
 */
int hold_take(struct hold *h);

/* The same for what was added since. -ESTALE as of hold_keep(). */
int hold_extend(struct hold *h);

/* Puts it again where that is due: to be called between objects. -ESTALE: it
 * has not been put for so long (the machine slept) that what was found may be
 * gone, and hold_take() and all looks at the tier are to be done again. */
int hold_keep(struct hold *h);

/* Removes it from the tier, where that can be done (else a collection does when
 * it counts no more), and frees its memory. */
void hold_drop(struct hold *h);

/* ---- a collection */

/* A name in "<folder>/", with an id that nobody else has. */
int remote_id_path(const struct remote *r, const char *folder,
		   char ret_path[TIER_PATH_MAX + 1]);

struct remote_notice {
	int64_t tier_ns;
	char id[REMOTE_ID_LEN];
	uint32_t number;
};

void remote_notice_path(const struct remote *r,
			char ret_path[TIER_PATH_MAX + 1]);
int remote_notice_encode(const struct remote_notice *n, struct buf *ret_data);
int remote_notice_decode(const void *data, size_t len,
			 struct remote_notice *ret_notice); /* -EBADMSG */

int remote_hold_encode(const struct digest *digests, size_t n,
		       struct buf *ret_data);

/* Calls `each` for every digest. -EBADMSG, -ESTALE: a newer version. */
int remote_hold_decode(const void *data, size_t len,
		       int (*each)(void *arg, const struct digest *digest),
		       void *arg);

#endif
