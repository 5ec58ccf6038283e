/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier: one place that holds objects. An object is a sequence of bytes under
 * a path of segments, "v1/local/default/packs/ab/ab12...", each segment in
 * the alphabet of keys; any other path is refused (-EINVAL) before a tier
 * sees it, so none can leave the tier's root. An object is replaced whole or
 * not at all.
 *
 * Every call returns 0 or one of these; a failure is never taken for an
 * absence, and an answer that is short, long or endless is an error of the
 * tier and never data:
 *
 *	-ENOENT		the tier answers, and has no such object
 *	-EACCES		refused: permissions, credentials, a symbolic link
 *	-ETIMEDOUT	the deadline passed, or too little came for too long
 *	-EIO		anything else that failed, also fewer bytes than wanted
 *	-EFBIG		more bytes than asked for or announced
 *	-ENOSPC		the tier is full, or the object too large for it
 *	-EOPNOTSUPP	the tier cannot do this (most web servers: list)
 *	-ECANCELED	the caller's own wish
 *	-ENOMEM		this process is short of memory
 *
 * A sink may have been given a part of the bytes of a call that then fails.
 * A tier says nothing by itself: what went wrong is in the call's `why`, for
 * the chain to say once. Any thread, any number of calls at once.
 */
#ifndef LARDER_TIER_H
#define LARDER_TIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define TIER_PATH_MAX 1024
#define TIER_WHY_MAX 256
#define TIER_CANCEL_MS 100 /* a tier looks at `cancelled` at least so often */

struct tier;

/* What an answer told besides what was asked for. */
struct tier_seen {
	int64_t date_s; /* the tier's own clock, since 1970; 0: not told */
	bool whole;	/* it gave all of an object in place of a part */
};

/* What goes with a call; borrowed until it returns. NULL: no wishes. */
struct tier_call {
	int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: the tier's own default */
	const atomic_bool *cancelled; /* NULL: never */
	bool background; /* fills, prefetch, uploads: after all others */
	char *why; /* NULL, or TIER_WHY_MAX bytes for the cause of a failure */
	struct tier_seen *seen; /* NULL, or zeros to be filled */
	/* NULL, or where a chain says which of its tiers it is asking: its
	 * name, which lives as long as the chain. */
	const char **asked;
};

/* Takes the next bytes; a negative errno ends the call with it. */
typedef int (*tier_sink)(void *arg, const void *data, size_t len);

/* Up to `cap` bytes at `off`, or a negative errno. */
typedef ssize_t (*tier_source)(void *arg, void *buf, size_t cap, uint64_t off);

/* An object that is there, as a list tells of it. */
struct tier_object {
	const char *path; /* borrowed */
	uint64_t size;
	int64_t mtime_ns; /* when it was put, by the tier's clock, since 1970;
			   * 0: not told */
};

/* What is not 0 ends the list and is returned. */
typedef int (*tier_each)(void *arg, const struct tier_object *o);

/* `len` bytes at `off`, exactly; 0: all from `off` to the end. */
int tier_get(struct tier *t, const struct tier_call *c, const char *path,
	     uint64_t off, uint64_t len, tier_sink sink, void *arg);

/* A whole object of at most `max` bytes (-EFBIG), appended to `ret_data`, which
 * is as it was where this fails. */
int tier_read(struct tier *t, const struct tier_call *c, const char *path,
	      size_t max, struct buf *ret_data);

/* Makes or replaces an object of `size` bytes, which the source has. */
int tier_put(struct tier *t, const struct tier_call *c, const char *path,
	     uint64_t size, tier_source source, void *arg);
int tier_put_data(struct tier *t, const struct tier_call *c, const char *path,
		  const void *data, size_t len);
int tier_head(struct tier *t, const struct tier_call *c, const char *path,
	      uint64_t *ret_size);

/* The objects below `prefix` (whole segments, "" for all), in no order. */
int tier_list(struct tier *t, const struct tier_call *c, const char *prefix,
	      tier_each each, void *arg);
int tier_delete(struct tier *t, const struct tier_call *c, const char *path);

bool tier_path_is_valid(const char *path);

struct tier *tier_ref(struct tier *t);
void tier_unref(struct tier *t); /* NULL is fine */

/* The directory `root` (absolute), which must exist when it is used: a share
 * that is not mounted is no empty one. */
int tier_dir_new(const char *root, struct tier **ret_tier);

/*
 * For those who make a tier: its functions, with the contracts from above,
 * but for what tier.c sees to: paths are valid, `c` and `c->why` are not NULL,
 * and a sink counts for itself (with `len` 0, the tier has to know that what
 * it gave was all).
 */
struct tier_ops {
	int (*get)(void *self, const struct tier_call *c, const char *path,
		   uint64_t off, uint64_t len, tier_sink sink, void *arg);
	int (*put)(void *self, const struct tier_call *c, const char *path,
		   uint64_t size, tier_source source, void *arg);
	int (*head)(void *self, const struct tier_call *c, const char *path,
		    uint64_t *ret_size);
	int (*list)(void *self, const struct tier_call *c, const char *prefix,
		    tier_each each, void *arg);
	int (*delete)(void *self, const struct tier_call *c, const char *path);
	void (*free)(void *self);
};

/* `self` goes over to the tier, also where this fails. */
int tier_new(const struct tier_ops *ops, void *self, struct tier **ret_tier);

/* Notes why a call fails, where nothing was noted yet; returns `err`. */
int tier_why(const struct tier_call *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* -ECANCELED, -ETIMEDOUT or 0. For what waits or repeats. */
int tier_call_check(const struct tier_call *c);

static inline void cleanup_tier(struct tier **t)
{
	tier_unref(*t);
}

#define _cleanup_tier_ __attribute__((cleanup(cleanup_tier)))

#endif
