/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access trace of a mount: what each READ that reached the daemon asked
 * for, where its bytes came from and how long it took. A ring of fixed size
 * has the latest; it is there while somebody reads it. Each reader has a
 * position of its own, and is told how many reads it missed.
 *
 * While nobody reads, a READ costs one branch. Else the thread that answers it
 * notes what it does in a span of its own, without a lock, and adds it to the
 * ring at the end. What the kernel answers from its own pages is not seen.
 *
 * Any thread. The lock is a leaf.
 */
#ifndef LARDER_FS_TRACE_H
#define LARDER_FS_TRACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/lazy.h"

#define TRACE_READS 8192u   /* in the ring */
#define TRACE_TIERS_MAX 64u /* names that are kept; more have none */

enum trace_source {
	TRACE_UPPER,
	TRACE_MEMORY, /* a chunk that was decoded before */
	TRACE_LOCAL,  /* a pack on this machine */
	TRACE_REMOTE, /* a tier that was waited for */
	TRACE_SOURCES,
};

struct trace_read {
	uint64_t node; /* the kernel's number of the file */
	uint64_t off;
	int64_t begun_ns; /* since 1970 */
	uint32_t took_us;
	uint32_t waited_us; /* of that, for a tier or for who reads the same */
	int32_t result;	    /* bytes, or a negative errno */
	uint32_t bytes[TRACE_SOURCES]; /* holes are in none */
	const char *tier; /* of TRACE_REMOTE, the last of several; or NULL */
};

struct trace {
	atomic_uint readers; /* reads are noted for them */

	pthread_mutex_t lock;	 /* guards the rest */
	pthread_cond_t changed;	 /* `ended`; monotonic */
	struct trace_read *ring; /* NULL: nobody reads */
	uint64_t next;		 /* number of the next read */
	char **tiers;		 /* names in the ring; with it */
	unsigned n_tiers;
	bool ended;
};

int trace_new(struct trace **ret_trace);
void trace_free(struct trace *t); /* nobody reads it; NULL is fine */

/* There are no more reads: the mount has ended. */
void trace_end(struct trace *t);

/* --- who reads --- */

/* From now on; *ret_pos is the reader's position. -ENOMEM */
int trace_attach(struct trace *t, uint64_t *ret_pos);
void trace_detach(struct trace *t);

/* At most `max` reads from *pos on, which moves on; *ret_lost of them were
 * overwritten before. Names of tiers live until trace_detach(). */
size_t trace_take(struct trace *t, uint64_t *pos, struct trace_read *ret_reads,
		  size_t max, uint64_t *ret_lost);

/* How many a reader at `pos` has not taken, lost ones among them. */
uint64_t trace_left(struct trace *t, uint64_t pos);

/* Waits that long. False at once when there are no more reads. */
bool trace_wait(struct trace *t, unsigned ms);

/* --- who is read --- */

/* A READ that is being answered, on the stack of its thread. */
struct trace_span {
	struct trace *trace;
	struct trace_read read;
	struct lazy_served served;
	int64_t begun_mono_ns;
};

/* What the calling thread notes in; NULL: nothing. */
extern _Thread_local struct trace_span *trace_span_now;

void trace_span_begin(struct trace *t, struct trace_span *span, uint64_t node,
		      uint64_t off);

/* `result` as of the READ. */
void trace_span_end(struct trace_span *span, ssize_t result);

/* Whether the READ is traced: then its end is to be told. */
static inline bool trace_begin(struct trace *t, struct trace_span *span,
			       uint64_t node, uint64_t off)
{
	if (atomic_load_explicit(&t->readers, memory_order_relaxed) == 0)
		return false;
	trace_span_begin(t, span, node, off);
	return true;
}

/* Bytes from somewhere that needs no waiting. */
static inline void trace_note(enum trace_source source, size_t len)
{
	if (trace_span_now)
		trace_span_now->read.bytes[source] += (uint32_t)len;
}

/* Bytes of a chunk that was read from the store just now, wherever it came from. */
void trace_note_chunk(size_t len);

/* When the thread begins to wait for another one's read, and that it has ended.
 * 0: it is not traced. */
int64_t trace_wait_begin(void);
void trace_wait_end(int64_t begun_ns);

#endif
