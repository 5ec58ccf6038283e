/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lazy*.c share. Not for others.
 *
 *	lazy.c		the threads and queues of a store
 *	lazy_totals.c	what all trees have counted
 *	lazy_tree.c	a tree, and its chunks by position
 *	lazy_ahead.c	what a read brings besides its own chunk
 *	lazy_pack.c	a tree's packs: here, sparse, or not yet begun
 *	lazy_read.c	the reader's side: looking here, asking, waiting
 *	lazy_here.c	what is on this machine, without reading it
 *	lazy_job.c	one request and what becomes of its bytes
 *	lazy_kept.c	decoded chunks that wait for their reader
 *	lazy_finish.c	how a sparse pack becomes whole
 *	lazy_learn.c	requests that nobody asked for: records and fills
 *
 * One lock for all of a store's lazy trees (lazy.lock); it is held for looking
 * up and noting down, and while a few bytes that a reader wants are copied.
 */
#ifndef LARDER_LAZY_INTERNAL_H
#define LARDER_LAZY_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "chunker.h"
#include "lazy.h"
#include "sparse.h"
#include "store_tree.h"

#define LAZY_THREADS 8
#define LAZY_REQUEST_MAX (512u << 10) /* bytes of one but for a large frame */
#define LAZY_GAP_MAX \
	(16u << 10) /* bytes of others' chunks that are taken along */
#define LAZY_BACK_MAX \
	(64u << 10) /* bytes that end with the frame that is waited for */
#define LAZY_CELL_BYTES (64u << 10) /* of a pack, what readahead looks at */

enum lazy_state {
	LAZY_ABSENT,  /* not known to be here */
	LAZY_PENDING, /* a job is to fetch it */
	LAZY_EARLY,   /* the same, and who waited has it before it is kept */
	LAZY_READY,   /* here and compared with its digest */
	LAZY_USED,    /* the same, and read */
};

/* A reader that waits, on its stack. The lock guards all but `changed`. */
struct lazy_want {
	uint32_t chunk;
	uint32_t size;
	void *out;
	bool done;
	int err;	  /* -EAGAIN: look again */
	const char *tier; /* that gave the bytes; as long as the tree */
	pthread_cond_t changed;
	struct lazy_want *next;
};

enum lazy_kind {
	LAZY_RANGE,  /* of chunks */
	LAZY_HEAD,   /* begin a sparse pack */
	LAZY_FINISH, /* make it whole */
	LAZY_RECORD, /* get the tree's learned record */
};

/* A request. Constant but for the marks. */
struct lazy_job {
	struct lazy_tree *tree;
	enum lazy_kind kind;
	enum lazy_priority prio; /* the lock, as the next four */
	bool running;
	TAILQ_ENTRY(lazy_job) queued;
	TAILQ_ENTRY(lazy_job) of_tree;
	struct lazy_want *wants;
	uint32_t pack;	     /* number in the placement */
	uint32_t first, end; /* positions */
};

TAILQ_HEAD(lazy_jobs, lazy_job);

/* How far a pack of a tree is known. */
enum lazy_pack_state {
	LAZY_PACK_UNKNOWN,
	LAZY_PACK_OPENING, /* by one thread; others wait */
	LAZY_PACK_NONE,	   /* nothing is here */
	LAZY_PACK_SPARSE,
	LAZY_PACK_WHOLE,
};

struct lazy_pack {
	uint32_t first, end;	    /* positions; constant once prepared */
	enum lazy_pack_state state; /* the lock, as the next four */
	struct lazy_file *file;	    /* SPARSE, or has become WHOLE */
	uint32_t missing;	    /* frames of the tree, once SPARSE */
	bool finishing;		    /* or tried in vain */
	bool distrusted;	    /* the whole pack that is here is damaged */
	uint8_t *cells;		    /* the lock: enum cell */
	uint32_t n_cells;
	_Atomic(struct pack *) reader; /* of `file`, once there is one */
};

struct lazy_tree {
	struct store_tree *tree; /* constant, as the next four */
	struct lazy *lazy;
	struct lazy_source *source;
	uint32_t n_chunks, n_packs;
	atomic_uint deadline_ms;
	atomic_bool cancelled;	/* the tree is being closed */
	_Atomic uint8_t *state; /* a chunk's; to READY and back by the lock */

	/* Constant once `prepared` is set, under the lock. */
	bool prepared;
	uint32_t *order; /* chunks by (pack, offset) */
	uint32_t *rank;	 /* position of a chunk in it */
	struct lazy_pack *packs;
	uint64_t stored_bytes;

	/* The lock, all below. */
	bool refused; /* the placement is none that a pack can have */
	struct lazy_jobs jobs;
	unsigned running;
	TAILQ_ENTRY(lazy_tree) all;
	uint32_t *read; /* chunks in the order of first reads */
	uint32_t n_read;
	uint32_t n_saved; /* of them, in the record that was last saved */
	bool record_asked;
	uint32_t *learnt; /* what earlier runs read */
	uint32_t n_learnt, at_learnt;
	uint8_t *in_learnt; /* by chunk */
	bool fill;
	uint32_t at_fill;
	uint64_t fill_bytes; /* of the frames before at_fill */
	bool fill_failed;
	bool said;	       /* that chunks cannot be had; until they can */
	int64_t rest_until_ns; /* background work is put off after a failure */
	struct lazy_stats stats;
};

TAILQ_HEAD(lazy_trees, lazy_tree);

/* An open sparse pack, shared by all trees that have chunks in it. */
struct lazy_file {
	struct dmap_node node; /* first; files_lock, as the next */
	unsigned users;
	struct sparse *sparse; /* constant */

	/* More than one tree has had it. They may disagree on where frames are,
	 * and write over each other's. Set before the second puts any there. */
	atomic_bool shared;
};

/* What somebody said of a pack that is not here. */
struct lazy_hint {
	struct dmap_node node; /* first */
	uint64_t bytes;
	uint8_t tail[PACK_TAIL_BYTES];
};

/* A chunk that has come and was compared with its digest, as it was decoded for
 * that, until it is read. */
struct lazy_kept {
	TAILQ_ENTRY(lazy_kept) by_age;
	struct lazy_kept *next; /* in its bucket */
	const struct lazy_tree *tree;
	uint32_t chunk;
	uint32_t size;
	uint8_t data[];
};

#define LAZY_KEPT_BUCKETS 4096u

struct lazy_shelf {
	TAILQ_HEAD(, lazy_kept) all; /* the oldest first */
	struct lazy_kept *buckets[LAZY_KEPT_BUCKETS];
	size_t bytes;
	int64_t touched_ns; /* when one was put there or taken last */
};

struct lazy {
	struct store *store; /* constant */

	pthread_mutex_t files_lock; /* outer: sparse files come and go */
	struct dmap files;	    /* files_lock: open ones */
	struct dmap hints;	    /* files_lock: struct lazy_hint */
	uint32_t n_hints;	    /* files_lock */

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t work;	/* for threads */
	pthread_cond_t changed; /* a pack's state, a job's end */
	struct lazy_jobs queues[LAZY_PRIORITIES];
	unsigned running[LAZY_PRIORITIES];
	pthread_t threads[LAZY_THREADS];
	unsigned n_threads, idle;
	bool stop;
	struct lazy_trees trees;
	struct lazy_stats closed; /* of the trees that are no more */
	struct lazy_shelf shelf;
};

/* What a thread has to decode with. */
struct lazy_room {
	struct codec_ctx *ctx;
	uint8_t *chunk; /* CHUNK_MAX bytes */
};

/* --- lazy.c --- */

/* The store's, made when it is first asked for. */
int lazy_get(struct store *s, struct lazy **ret_lazy);
void lazy_free(struct lazy *l); /* no tree is open; NULL is fine */

/* With the lock held. A new job, queued, its chunks PENDING. NULL: no memory. */
struct lazy_job *lazy_submit(struct lazy_tree *lt, enum lazy_kind kind,
			     enum lazy_priority prio, uint32_t pack,
			     uint32_t first, uint32_t end);
void lazy_promote(struct lazy_job *job, enum lazy_priority prio);

/* With the lock held: answers who waits, frees the job; one that is not running
 * leaves its queue. Chunks that did not come are ABSENT again. */
void lazy_job_end(struct lazy_job *job, int r);
void lazy_job_drop(struct lazy_job *job);

/* Bytes of a pack from the tree's source, counted. With `check` in one piece: 0,
 * or -EBADMSG where the next tier is to be asked. */
int lazy_stream(struct lazy_tree *lt, const struct tier_call *call,
		const struct digest *pack, uint64_t off, uint32_t len,
		const struct chain_want *want);
int lazy_load(struct lazy_tree *lt, const struct tier_call *call,
	      const struct digest *pack, uint64_t off, uint32_t len,
	      int (*check)(void *arg, const void *data, size_t len), void *arg);

/* With the lock held: a tree has work that it was not asked for. */
void lazy_kick(struct lazy *l);

unsigned lazy_default_deadline(void);

/* What the calling thread's reads are ended by, or NULL. */
const atomic_bool *lazy_interrupt(void);

/* Waits on `cond` until `deadline_ns` (monotonic) or a tenth of a second,
 * whichever is first. */
void lazy_wait(struct lazy *l, pthread_cond_t *cond, int64_t deadline_ns);
void lazy_wait_until(struct lazy *l, pthread_cond_t *cond, int64_t until_ns);

/* --- lazy_totals.c --- */

/* With the lock held: what a tree has counted, that is being closed. */
void lazy_totals_keep(struct lazy_tree *lt);

/* --- lazy_tree.c --- */

int lazy_tree_new(struct store_tree *t, struct lazy_source *src,
		  struct lazy_tree **ret_tree);

/* Ends its jobs. Nobody reads it any more. */
void lazy_tree_free(struct lazy_tree *lt);
int lazy_tree_prepare(struct lazy_tree *lt);

/* Where the chunk at a position lies. */
int lazy_loc(const struct lazy_tree *lt, uint32_t pos,
	     struct placement_loc *ret_loc);

/* --- lazy_ahead.c --- */

/* A chunk was read for the first time; without the lock. _early: by who waited
 * for it. */
void lazy_touch(struct lazy_tree *lt, uint32_t chunk);
void lazy_touch_early(struct lazy_tree *lt, uint32_t chunk);
void lazy_touch_locked(struct lazy_tree *lt, uint32_t chunk); /* the same */

/* With the lock held: the end of the positions from `first` on that are ABSENT,
 * of one pack, near each other, `bytes` in all (one frame at least). `wanted`
 * NULL, or a predicate of what is to be in it. */
uint32_t lazy_run(const struct lazy_tree *lt, uint32_t first, uint32_t bytes,
		  bool (*wanted)(const struct lazy_tree *lt, uint32_t pos));

/* With the lock held: the same for a run that may begin before `pos`, which is
 * in it; up to LAZY_BACK_MAX before its end. */
uint32_t lazy_run_around(const struct lazy_tree *lt, uint32_t pos,
			 uint32_t bytes, uint32_t *ret_first);

/* With the lock held: how many bytes are asked for where a read of this
 * position has to wait, in the request that brings it. */
uint32_t lazy_window(const struct lazy_tree *lt, uint32_t pos);

/* With the lock held: asks for more of what is around the position, for which a
 * read waits now. */
void lazy_spread(struct lazy_tree *lt, uint32_t pos);

/* --- lazy_pack.c --- */

/*
 * Finds out what is here of a pack; with a `call`, begins a sparse one from the
 * source where there is nothing. Waits for another thread that does so. 0:
 * SPARSE or WHOLE, and *ret_sparse is a reference or NULL. -ENOENT: nothing.
 */
int lazy_pack_open(struct lazy_tree *lt, uint32_t n,
		   const struct tier_call *call, struct sparse **ret_sparse);

/* lazy_finish.c: makes the pack whole where most of it is here. */
int lazy_pack_finish(struct lazy_tree *lt, uint32_t n, struct lazy_room *room,
		     const struct tier_call *call);

/* The whole pack that is here has given wrong bytes; a sparse one is to be made
 * beside it. */
void lazy_pack_distrust(struct lazy_tree *lt, uint32_t n);

/* With the lock held: whether a frame of the tree is known to be here. */
bool lazy_pack_has(const struct lazy_tree *lt, uint32_t n, uint32_t off);

/* Closes what the tree has open. */
void lazy_pack_release(struct lazy_tree *lt, uint32_t n);

void lazy_hints_release(struct lazy *l);

/* --- lazy_read.c --- */

/* As store_chunk_read(). */
int lazy_chunk_read(struct lazy_tree *lt, struct codec_ctx *ctx, uint32_t chunk,
		    unsigned flags, void *out);

/* --- lazy_kept.c --- */

/* Room for a chunk of the tree. NULL: no memory, so it is not kept. */
struct lazy_kept *lazy_kept_new(const struct lazy_tree *lt, uint32_t chunk,
				uint32_t size);

/* With the lock held: takes it over, until a reader takes it, or it is among
 * the oldest of too many. */
void lazy_kept_put(struct lazy *l, struct lazy_kept *k);

/* With the lock held. The caller's to free, or NULL. */
struct lazy_kept *lazy_kept_take(struct lazy *l, const struct lazy_tree *lt,
				 uint32_t chunk);

/* With the lock held: all of a tree's; NULL: of all trees. */
void lazy_kept_drop(struct lazy *l, const struct lazy_tree *lt);

/* With the lock held: when they are to go, since nobody will read them; 0: there
 * are none. _expire: frees them, and gives the lock back for a moment. */
int64_t lazy_kept_until(const struct lazy *l);
void lazy_kept_expire(struct lazy *l);

/* --- lazy_job.c --- */

/* On a thread of the store's, without the lock. */
int lazy_job_run(struct lazy_job *job, struct lazy_room *room);

/* Whether `data` is the chunk. */
int lazy_check_chunk(const struct lazy_tree *lt, uint32_t chunk,
		     const void *data, uint32_t size);

/* With the lock held: asks for what makes a pack whole, once all of the tree's
 * frames are there. */
void lazy_submit_finish(struct lazy_tree *lt, uint32_t n);

/* --- lazy_learn.c --- */

/* With the lock held: submits the tree's next request of that priority, unless
 * there is none. */
bool lazy_next_learnt(struct lazy_tree *lt);
bool lazy_next_fill(struct lazy_tree *lt);

int lazy_record_run(struct lazy_tree *lt, const struct tier_call *call);
void lazy_record_save(struct lazy_tree *lt);

#endif
