/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: keeps the store within its limits, on a thread of its own, of
 * the lowest priority. It collects (store/gc.h) where the store is over a limit
 * when something was added, and otherwise once a day, and after entries were
 * removed, when nobody asks for anything. Then it also folds what rests
 * (store/rest.h), and, when that has been so for a minute, compresses packs
 * better (store/repack.h), as long as nobody asks for anything. Commands have it
 * do all of it at once.
 *
 * The limits come from the environment that the daemon was started with, which
 * the command fills from its configuration (larder-config(5)).
 */
#ifndef LARDER_FS_KEEPER_H
#define LARDER_FS_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/gc.h"
#include "store/repack.h"
#include "store/rest.h"
#include "store/verify.h"

#include "mounts.h"

/* A size as users write it: bytes, or a part of the file system. */
struct keeper_size {
	uint64_t bytes;
	unsigned percent; /* 0: `bytes` counts */
};

struct keeper_limits {
	struct keeper_size max_size, min_free; /* 0: none */
	uint64_t max_objects;
	int64_t grace_ns;
	bool repack; /* in idle time */
};

#define KEEPER_MAX_SIZE "10%"
#define KEEPER_MIN_FREE "2%"
#define KEEPER_GRACE "3600" /* seconds, GC_GRACE_NS */
#define KEEPER_REPACK "idle"

/* "500M", "20G" (powers of 1024; K, M, G, T), "10%", "none". -EINVAL. */
int keeper_size_parse(const char *text, struct keeper_size *ret_size);

/* "100000" or "none"; -EINVAL. */
int keeper_number_parse(const char *text, uint64_t *ret_number);

/* "idle" or "off"; -EINVAL. */
int keeper_repack_parse(const char *text, bool *ret_idle);

/* From LARDER_STORE_MAX_SIZE, _MAX_OBJECTS, _MIN_FREE, _GRACE (seconds) and
 * _REPACK; what is missing or wrong (said) is as by default. */
void keeper_limits_read(struct keeper_limits *ret_limits);

struct keeper;

/* Store and mounts are borrowed. */
int keeper_start(struct store *store, struct mounts *mounts,
		 const struct keeper_limits *limits,
		 struct keeper **ret_keeper);

/* Breaks off what it is doing, and waits for that; before the mounts are
 * freed. NULL is fine. */
void keeper_stop(struct keeper *k);
void keeper_free(struct keeper *k); /* after the store is closed; NULL: fine */

/* Something was asked for; the store has grown; there is something to remove.
 * Any thread, as the rest. */
void keeper_note_request(struct keeper *k);
void keeper_note_growth(struct keeper *k);
void keeper_note_removal(struct keeper *k);

/* A collection on the caller's thread, after the one that is under way.
 * `removed` and `arg` as in gc.h. */
int keeper_collect(struct keeper *k, bool dry_run, struct progress *progress,
		   void (*removed)(void *arg, const struct entry *e,
				   int64_t used_ns, enum gc_reason reason),
		   void *arg, struct gc_result *ret_result);

/* Folds what rests, likewise; see rest.h. */
int keeper_rest(struct keeper *k, const struct rest_options *options,
		struct progress *progress, struct rest_result *ret_result);

/* Compresses packs better, likewise. *ret_result as of repack_run(). */
int keeper_repack(struct keeper *k, struct progress *progress,
		  struct repack_result *ret_result);

/* A verification on the caller's thread, while there is no collection. */
int keeper_verify(struct keeper *k, const struct verify_options *options,
		  struct progress *progress, struct verify_result *ret_result);

/* What the store takes, and its limits. */
int keeper_usage(struct keeper *k, struct gc_usage *ret_usage);

#endif
