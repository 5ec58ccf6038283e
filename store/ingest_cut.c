/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting content, read in order, into holes (hole.h) and the chunks of what
 * is between them: each stretch of data is cut as if it were a file, so one
 * of up to CHUNK_MAX is one chunk. What the source knows to be zeros is not
 * read, and gives the same pieces. The thread that drives the ingest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "hole.h"
#include "ingest_internal.h"

/* Room for what has to be seen to cut a chunk, about twice, so that reading
 * is not cut small and little is moved. */
#define CUT_BYTES (2 * (size_t)CHUNK_MAX)
#define CUT_SEEN ((size_t)CHUNK_MAX + HOLE_MIN)

_Static_assert(CUT_SEEN < CUT_BYTES, "a full window can be cut");

/* A window of the source, and where its parts go. */
struct cutter {
	struct chunker chunker;
	const struct ingest_source *src;
	struct ingest *in;
	uint32_t node;
	ingest_emit_fn emit;
	uint8_t *buf;
	size_t len;
	uint64_t off; /* of the window, in the file */
	size_t pos;   /* in the window: what is before it is cut */
	size_t data;  /* no hole begins between `pos` and here */
	bool in_hole; /* one ends at `pos`, unless it goes on */
	bool in_data; /* at `pos` a stretch goes on that has been cut */
	bool at_end;
};

static int fill(struct cutter *c)
{
	while (!c->at_end && c->len < CUT_BYTES) {
		ssize_t n = c->src->read(c->src->ctx, c->buf + c->len,
					 CUT_BYTES - c->len, c->off + c->len);

		if (n < 0)
			return (int)n;
		c->at_end = n == 0;
		c->len += (size_t)n;
	}
	return 0;
}

/* --- cutting what is in the window --- */

/* Where the data from `pos` on end, as far as the window shows it. */
static size_t data_end(struct cutter *c)
{
	size_t from = c->data > c->pos ? c->data : c->pos;
	size_t end =
		from + hole_find(c->buf + from, c->len - from, c->off + from);

	/* One that begins in its last bytes is too short to be seen. */
	c->data = end;
	if (end == c->len && end - from > HOLE_MIN)
		c->data = end - HOLE_MIN;
	else if (end == c->len)
		c->data = from;
	return end;
}

/* Length of the chunk at `pos`; 0 where more must be read first. */
static size_t next_chunk(struct cutter *c)
{
	size_t end = data_end(c), left = end - c->pos;

	if (end == c->len && !c->at_end && left < CUT_SEEN)
		return 0;
	if (!c->in_data && left <= CHUNK_MAX)
		return left;
	return chunker_cut(&c->chunker, c->buf + c->pos, left);
}

/* Length of the hole at `pos`. */
static size_t next_hole(const struct cutter *c)
{
	const uint8_t *at = c->buf + c->pos;
	size_t left = c->len - c->pos;

	if (!c->in_hole && hole_find(at, left < HOLE_MIN ? left : HOLE_MIN,
				     c->off + c->pos) > 0)
		return 0;
	return hole_length(at, left, c->at_end);
}

static int emit_hole(struct cutter *c, uint64_t n)
{
	c->in_hole = true;
	c->in_data = false;
	return c->emit(c->in, c->node, NULL, n);
}

/* 1; 0 where more must be read first. */
static int cut_one(struct cutter *c)
{
	size_t n = next_hole(c);
	int r;

	if (n > 0) {
		c->in->result.read_bytes += n;
		r = emit_hole(c, n);
	} else {
		/* It may go on behind the part of a block that is here. */
		if (c->in_hole && !c->at_end && c->len - c->pos < HOLE_BLOCK)
			return 0;
		n = next_chunk(c);
		if (n == 0)
			return 0;
		c->in_hole = false;
		c->in_data = true;
		r = c->emit(c->in, c->node, c->buf + c->pos, n);
	}
	c->pos += n;
	return r < 0 ? r : 1;
}

/* What is left of the window moves to its front. */
static int drain(struct cutter *c)
{
	int r = 1;

	while (r > 0 && c->pos < c->len)
		r = cut_one(c);
	memmove(c->buf, c->buf + c->pos, c->len - c->pos);
	c->len -= c->pos;
	c->off += c->pos;
	c->data -= c->data < c->pos ? c->data : c->pos;
	c->pos = 0;
	return r < 0 ? r : 0;
}

/* --- what need not be read --- */

/* How long a run of zeros begins with the window, as far as is known without
 * reading; 0 where it has none. */
static uint64_t known_zeros(const struct cutter *c)
{
	uint64_t n = 0;

	if (!c->at_end && c->src->hole)
		n = c->src->hole(c->src->ctx, c->off + c->len);
	return n > 0 && hole_is_zero(c->buf, c->len) ? c->len + n : 0;
}

static int skip(struct cutter *c)
{
	uint64_t run = known_zeros(c), n = run - run % HOLE_BLOCK;
	size_t read = c->len;

	if (n <= read || c->off % HOLE_BLOCK != 0 ||
	    (!c->in_hole && run < HOLE_MIN))
		return 0;
	c->in->result.read_bytes += read;
	c->in->skipped_bytes += n - read;
	c->off += n;
	c->len = c->data = 0;
	return emit_hole(c, n);
}

static int cut_all(struct cutter *c)
{
	int r;

	do {
		r = skip(c);
		if (r == 0)
			r = fill(c);
		if (r == 0)
			r = drain(c);
	} while (r == 0 && (!c->at_end || c->len > 0));
	return r;
}

/* The buffer is kept between files. It may be in use already: results of
 * earlier files come back while a large one is being cut, and one of them
 * may have to be cut as well. */
int ingest_cut(struct ingest *in, uint32_t node,
	       const struct ingest_source *src, ingest_emit_fn emit,
	       uint64_t *ret_bytes)
{
	struct cutter c = { .src = src,
			    .in = in,
			    .node = node,
			    .emit = emit,
			    .buf = steal_ptr(&in->cut_buf) };
	int r;

	if (!c.buf)
		c.buf = malloc(CUT_BYTES);
	if (!c.buf)
		return -ENOMEM;
	chunker_init(&c.chunker, CHUNK_AVG);
	r = cut_all(&c);
	free(in->cut_buf);
	in->cut_buf = c.buf;
	if (r < 0)
		return r;
	*ret_bytes = c.off;
	return 0;
}
