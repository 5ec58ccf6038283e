/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain: an ordered list of remote tiers, each with what it may be used for.
 * Calls go through the chain so that they are counted, that what goes wrong
 * with a tier is said once, and that a tier which fails CHAIN_BREAK_AFTER times
 * in a row is left alone (-EIO, at once) and asked again in the background
 * until it answers.
 *
 * The local store is no member: it is always there, and comes first.
 *
 * The list is made by one thread (chain_add()) and constant from then on; all
 * else: any thread.
 */
#ifndef LARDER_CHAIN_H
#define LARDER_CHAIN_H

#include <errno.h>

#include "tier.h"

#define CHAIN_TIERS_MAX 16
#define CHAIN_NAME_MAX 255
#define CHAIN_BREAK_AFTER 3
#define CHAIN_LATENCY_BUCKETS 20

enum chain_access { CHAIN_READ = 1 << 0, CHAIN_WRITE = 1 << 1 };

struct chain;

int chain_new(struct chain **ret_chain);

/* Takes `t` over, also where this fails. `name`: for messages and counters; no
 * secret is in it. */
int chain_add(struct chain *c, const char *name, struct tier *t,
	      unsigned access);
struct chain *chain_ref(struct chain *c);
void chain_unref(struct chain *c); /* NULL is fine */

unsigned chain_count(const struct chain *c);
const char *chain_name(const struct chain *c, unsigned i); /* borrowed */
unsigned chain_access(const struct chain *c, unsigned i);

/* Whether a tier is in use, and not left alone for now. */
bool chain_is_up(const struct chain *c, unsigned i);

/* How long a tier that failed is left alone before it is asked again: at
 * first, and at most. For tests. */
void chain_set_pause(struct chain *c, unsigned first_ms, unsigned most_ms);

/* Calls of tier.h to tier `i`, whose access the caller has looked at. What a
 * sink or a source fails with is not the tier's failure. */
int chain_get_from(struct chain *c, unsigned i, const struct tier_call *call,
		   const char *path, uint64_t off, uint64_t len, tier_sink sink,
		   void *arg);
int chain_read_from(struct chain *c, unsigned i, const struct tier_call *call,
		    const char *path, size_t max, struct buf *ret_data);
int chain_put_to(struct chain *c, unsigned i, const struct tier_call *call,
		 const char *path, uint64_t size, tier_source source,
		 void *arg);
int chain_put_data_to(struct chain *c, unsigned i, const struct tier_call *call,
		      const char *path, const void *data, size_t len);
int chain_head_at(struct chain *c, unsigned i, const struct tier_call *call,
		  const char *path, uint64_t *ret_size);
int chain_list_at(struct chain *c, unsigned i, const struct tier_call *call,
		  const char *prefix, tier_each each, void *arg);
int chain_delete_at(struct chain *c, unsigned i, const struct tier_call *call,
		    const char *path);

/* Notes that tier `i` gave bytes that are not what they should be, or an entry
 * that is refused (`err`, as of chain_is_refused()). `what` is said once a tier
 * and kind. */
void chain_damaged(struct chain *c, unsigned i, const char *what);
void chain_untrusted(struct chain *c, unsigned i, const char *what, int err);

/* An entry that is there, and is not to be trusted: nobody trusted has signed
 * it, or it is older than one that was here (seen.h). */
static inline bool chain_is_refused(int err)
{
	return err == -EKEYREJECTED || err == -EKEYEXPIRED;
}

/* Where the bytes of one object go. */
struct chain_want {
	/* A tier's bytes follow, from the beginning: those that came before,
	 * if any, are worth nothing. May be NULL. */
	int (*begin)(void *arg);
	tier_sink data;
	/* All have come: 0 where they are right; -EBADMSG where not, or one of
	 * chain_is_refused(), and the next tier is asked; any other errno ends
	 * the call. May be NULL. */
	int (*check)(void *arg);
	void *arg;
};

/*
 * Asks the tiers that may be read, in order, for the first that has the object
 * whole and right; *ret_from is its number (NULL: not asked for). A deadline is
 * shared out, so that a tier that does not answer leaves time for the next.
 * Where no tier has it: -ENOENT if all have answered so, else the first
 * failure; -EBADMSG where there was none and a copy was damaged; and one of
 * chain_is_refused(), before all of these, where one was refused.
 */
int chain_get(struct chain *c, const struct tier_call *call, const char *path,
	      uint64_t off, uint64_t len, const struct chain_want *want,
	      unsigned *ret_from);

/* A whole object of at most `max` bytes, appended to `ret_data`. `check` (NULL:
 * none) says of the bytes what chain_want.check says. */
int chain_read(struct chain *c, const struct tier_call *call, const char *path,
	       size_t max,
	       int (*check)(void *arg, const void *data, size_t len), void *arg,
	       struct buf *ret_data, unsigned *ret_from);

/* Bucket n of a histogram counts the calls that took less than
 * chain_latency_us(n), and not less than that of the bucket before; the last
 * one all others. */
struct chain_stats {
	uint64_t requests, hits, misses, failures, damaged, untrusted;
	uint64_t bytes_in, bytes_out; /* read from it, written to it */
	uint64_t latency[CHAIN_LATENCY_BUCKETS];
	uint64_t latency_sum_us;
};

void chain_stats(const struct chain *c, unsigned i,
		 struct chain_stats *ret_stats);
void chain_stats_add(struct chain_stats *sum, const struct chain_stats *st);
uint64_t chain_latency_us(unsigned bucket);

static inline void cleanup_chain(struct chain **c)
{
	chain_unref(*c);
}

#define _cleanup_chain_ __attribute__((cleanup(cleanup_chain)))

#endif
