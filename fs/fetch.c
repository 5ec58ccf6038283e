/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: reads files of a tree piece by piece. A small chunk is decoded into
 * the reader's buffer where the read covers it whole, else into scratch of the
 * thread, which remembers the chunk it holds. A large chunk is decoded once
 * into a cache shared by all threads and mounts; a second thread that wants
 * it meanwhile waits for the first one. The cache is keyed by digest, so equal
 * chunks of two trees are one.
 *
 * Owns the cache (guarded by one mutex, which is not held while a chunk is
 * read or copied) and per-thread state: scratch, codec and the hook of
 * fetch_may_block(). Asks no remote tier by itself; store_chunk_read() finds the bytes.
 */
#include "fetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/lazy.h"
#include "trace.h"

#define SMALL_MAX (128u << 10)	/* chunks above go through the cache */
#define DECODE_MAX (256u << 10) /* decoding more counts as blocking */
#define BUCKETS 1024u
#define WAIT_NS INT64_C(100000000) /* before a waiter looks around again */

enum cached_state {
	CACHED_LOADING,
	CACHED_READY,
	CACHED_FAILED, /* no longer in the table */
};

/* A decoded chunk. `data` is written by the loading thread alone, and
 * constant once the state is CACHED_READY. */
struct cached {
	struct digest digest; /* constant, as the next two */
	uint32_t size;
	uint8_t *data;
	enum cached_state state; /* guarded by the lock, as all below */
	int err;		 /* of CACHED_FAILED */
	unsigned refs;		 /* readers; evicted only at 0 */
	struct cached *next;	 /* in its bucket */
	struct cached *newer, *older;
};

struct fetch {
	uint64_t cache_bytes; /* constant */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t loaded;
	struct cached *buckets[BUCKETS];
	struct cached *newest, *oldest;
	uint64_t bytes;
};

/* --- what each thread has --- */

struct thread_state {
	struct codec_ctx *ctx;
	uint8_t *scratch;     /* SMALL_MAX bytes */
	struct digest digest; /* of the chunk in it */
	uint32_t size;	      /* 0: none */
};

static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; /* constant after thread_once, as the next */
static int thread_key_err;

static _Thread_local void (*blocking_hook)(void *arg);
static _Thread_local void *blocking_arg;
static _Thread_local const atomic_bool *interrupt_flag;

static void thread_state_free(void *arg)
{
	struct thread_state *t = arg;

	if (!t)
		return;
	codec_ctx_free(t->ctx);
	free(t->scratch);
	free(t);
}

static void thread_init_key(void)
{
	thread_key_err = pthread_key_create(&thread_key, thread_state_free);
}

static struct thread_state *thread_state_new(void)
{
	struct thread_state *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->scratch = malloc(SMALL_MAX);
	if (!t->scratch || codec_ctx_new(&t->ctx) < 0 ||
	    pthread_setspecific(thread_key, t) != 0) {
		thread_state_free(t);
		return NULL;
	}
	return t;
}

static struct thread_state *thread_state_get(void)
{
	struct thread_state *t;

	pthread_once(&thread_once, thread_init_key);
	if (thread_key_err)
		return NULL;
	t = pthread_getspecific(thread_key);
	return t ? t : thread_state_new();
}

void fetch_set_blocking_hook(void (*hook)(void *arg), void *arg)
{
	blocking_hook = hook;
	blocking_arg = arg;
}

void fetch_set_interrupt(const atomic_bool *flag)
{
	interrupt_flag = flag;
	lazy_set_interrupt(flag);
}

void fetch_may_block(void)
{
	if (blocking_hook)
		blocking_hook(blocking_arg);
}

/* --- chunks --- */

/* One chunk of the tree, wanted by the calling thread. */
struct want {
	struct store_tree *tree;
	const struct digest *digest;
	uint32_t chunk;
	uint32_t size;
};

/* What went wrong is in the log already; the reader gets EIO. */
static int want_error(int r)
{
	return r == -ENOMEM || r == -EINTR ? r : -EIO;
}

/* Reads the whole chunk into `out`. */
static int want_decode(const struct want *w, struct thread_state *t, void *out)
{
	int r;

	if (w->size > DECODE_MAX)
		fetch_may_block();
	r = store_chunk_read(w->tree, t->ctx, w->chunk, PACK_READ_NOWAIT, out);
	if (r == -EAGAIN) {
		fetch_may_block();
		r = store_chunk_read(w->tree, t->ctx, w->chunk, 0, out);
	}
	return r < 0 ? want_error(r) : 0;
}

/* --- the cache --- */

static struct cached **cache_bucket(struct fetch *f, const struct digest *d)
{
	uint32_t n;

	memcpy(&n, d->bytes, sizeof(n));
	return &f->buckets[n % BUCKETS];
}

static struct cached *cache_find(struct fetch *f, const struct want *w)
{
	struct cached *c = *cache_bucket(f, w->digest);

	while (c &&
	       (!digest_equal(&c->digest, w->digest) || c->size != w->size))
		c = c->next;
	return c;
}

static void lru_remove(struct fetch *f, struct cached *c)
{
	*(c->newer ? &c->newer->older : &f->newest) = c->older;
	*(c->older ? &c->older->newer : &f->oldest) = c->newer;
}

static void lru_add(struct fetch *f, struct cached *c)
{
	c->newer = NULL;
	c->older = f->newest;
	*(f->newest ? &f->newest->newer : &f->oldest) = c;
	f->newest = c;
}

static void cached_free(struct cached *c)
{
	free(c->data);
	free(c);
}

/* Takes the chunk out of the table; it lives while it has readers. */
static void cache_drop(struct fetch *f, struct cached *c)
{
	struct cached **link = cache_bucket(f, &c->digest);

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	lru_remove(f, c);
	f->bytes -= c->size;
}

static void cache_evict(struct fetch *f)
{
	struct cached *c = f->oldest;

	while (c && f->bytes > f->cache_bytes) {
		struct cached *newer = c->newer;

		if (c->refs == 0) {
			cache_drop(f, c);
			cached_free(c);
		}
		c = newer;
	}
}

static void cached_unref(struct fetch *f, struct cached *c)
{
	LOCK_SCOPE(&f->lock);

	c->refs--;
	if (c->refs > 0)
		return;
	if (c->state == CACHED_FAILED)
		cached_free(c);
	else
		cache_evict(f);
}

/* A new chunk in the table, which the caller has to load. */
static struct cached *cache_add(struct fetch *f, const struct want *w)
{
	struct cached **bucket = cache_bucket(f, w->digest);
	struct cached *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->data = malloc(w->size);
	if (!c->data) {
		free(c);
		return NULL;
	}
	c->digest = *w->digest;
	c->size = w->size;
	c->state = CACHED_LOADING;
	c->next = *bucket;
	*bucket = c;
	lru_add(f, c);
	f->bytes += c->size;
	return c;
}

/* A reference. *ret_load: it is new and the caller's to load. */
static struct cached *cache_get(struct fetch *f, const struct want *w,
				bool *ret_load)
{
	struct cached *c;
	LOCK_SCOPE(&f->lock);

	c = cache_find(f, w);
	*ret_load = !c;
	if (c) {
		lru_remove(f, c);
		lru_add(f, c);
	} else {
		c = cache_add(f, w);
	}
	if (c)
		c->refs++;
	return c;
}

static void cache_load(struct fetch *f, struct cached *c, const struct want *w,
		       struct thread_state *t)
{
	int r = want_decode(w, t, c->data);
	LOCK_SCOPE(&f->lock);

	c->state = r < 0 ? CACHED_FAILED : CACHED_READY;
	c->err = r;
	if (r < 0)
		cache_drop(f, c);
	pthread_cond_broadcast(&f->loaded);
}

static bool cached_loading(struct fetch *f, const struct cached *c)
{
	LOCK_SCOPE(&f->lock);

	return c->state == CACHED_LOADING;
}

static bool interrupted(void)
{
	return interrupt_flag && atomic_load(interrupt_flag);
}

/* With the lock held, until something was loaded or for a moment. */
static void cache_sleep(struct fetch *f)
{
	int64_t until = clock_mono_ns() + WAIT_NS;
	struct timespec ts = { until / 1000000000, until % 1000000000 };

	pthread_cond_timedwait(&f->loaded, &f->lock, &ts);
}

/* 0 once the chunk is there. -EAGAIN: whoever loaded it was interrupted. */
static int cache_wait(struct fetch *f, struct cached *c, bool mine)
{
	int64_t begun;

	if (cached_loading(f, c))
		fetch_may_block();
	begun = mine ? 0 : trace_wait_begin();
	LOCK_SCOPE(&f->lock);

	while (c->state == CACHED_LOADING) {
		if (interrupted())
			return -EINTR;
		cache_sleep(f);
	}
	trace_wait_end(begun);
	return c->err == -EINTR && !mine ? -EAGAIN : c->err;
}

static int read_large(struct fetch *f, const struct want *w,
		      struct thread_state *t, void *buf, size_t len,
		      uint32_t off)
{
	struct cached *c;
	bool load;
	int r;

	do {
		c = cache_get(f, w, &load);
		if (!c)
			return -ENOMEM;
		if (load)
			cache_load(f, c, w, t);
		r = cache_wait(f, c, load);
		if (r == 0)
			memcpy(buf, c->data + off, len);
		cached_unref(f, c);
	} while (r == -EAGAIN);
	if (r == 0 && load)
		trace_note_chunk(len);
	else if (r == 0)
		trace_note(TRACE_MEMORY, len);
	return r;
}

/* --- files --- */

static int read_small(const struct want *w, struct thread_state *t, void *buf,
		      size_t len, uint32_t off)
{
	bool whole = len == w->size;
	int r;

	if (!whole && t->size == w->size &&
	    digest_equal(&t->digest, w->digest)) {
		memcpy(buf, t->scratch + off, len);
		trace_note(TRACE_MEMORY, len);
		return 0;
	}
	if (!whole)
		t->size = 0;
	r = want_decode(w, t, whole ? buf : t->scratch);
	if (r < 0)
		return r;
	if (!whole) {
		t->digest = *w->digest;
		t->size = w->size;
		memcpy(buf, t->scratch + off, len);
	}
	trace_note_chunk(len);
	return 0;
}

static int read_chunk(struct fetch *f, struct store_tree *tree, uint32_t chunk,
		      uint64_t piece_len, void *buf, size_t len, uint64_t off)
{
	struct want w = { .tree = tree, .chunk = chunk };
	struct thread_state *t = thread_state_get();
	int r;

	if (!t)
		return -ENOMEM;
	r = catalog_chunk(store_tree_catalog(tree), chunk, &w.digest, &w.size);
	if (r < 0)
		return want_error(r);
	if (w.size != piece_len || off > w.size || len > w.size - off)
		return -EIO;
	if (w.size <= SMALL_MAX)
		return read_small(&w, t, buf, len, off);
	return read_large(f, &w, t, buf, len, off);
}

/* Bytes of the piece at `off`: at least 1, 0 at the end of the file. */
static ssize_t read_piece(struct fetch *f, struct store_tree *tree,
			  uint32_t ino, void *buf, size_t len, uint64_t off)
{
	struct catalog_piece p;
	int r;

	r = catalog_piece_at(store_tree_catalog(tree), ino, off, &p);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r == -EINVAL ? r : want_error(r);
	off -= p.off;
	if (len > p.len - off)
		len = p.len - off;
	if (p.chunk == CATALOG_HOLE)
		memset(buf, 0, len);
	else
		r = read_chunk(f, tree, p.chunk, p.len, buf, len, off);
	return r < 0 ? r : (ssize_t)len;
}

ssize_t fetch_read(struct fetch *f, struct store_tree *t, uint32_t ino,
		   void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read_piece(f, t, ino, (uint8_t *)buf + done,
				       len - done, off + done);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

int fetch_new(uint64_t cache_bytes, struct fetch **ret_fetch)
{
	struct fetch *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (!f)
		return -ENOMEM;
	f->cache_bytes = cache_bytes;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->loaded, &attr);
	pthread_condattr_destroy(&attr);
	*ret_fetch = f;
	return 0;
}

void fetch_free(struct fetch *f)
{
	struct cached *c, *newer;

	if (!f)
		return;
	for (c = f->oldest; c; c = newer) {
		newer = c->newer;
		cached_free(c);
	}
	pthread_cond_destroy(&f->loaded);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
