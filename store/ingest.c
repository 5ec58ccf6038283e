/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ingest from outside: making and freeing one, and cutting content into
 * the items that go through the pipeline. One thread drives an ingest.
 */
#include "ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ingest_job.h"
#include "lazy.h"

/* Room for what the chunker needs to see, twice, so that reading is not cut
 * small and little is moved. */
#define CUT_BYTES (2 * (size_t)CHUNK_MAX)

int ingest_threads = -1;

static int piece_to_build(void *ctx, uint32_t node, const struct digest *chunk,
			  uint64_t len)
{
	struct ingest *in = ctx;

	return catalog_build_piece(in->build, node, chunk, len);
}

static int ingest_start(struct ingest *in, const struct catalog_meta *root)
{
	struct index_stats stats;
	int r = index_stats(in->store->index, &stats);

	if (r < 0)
		return r;
	in->store_has_chunks = stats.packs > 0;
	r = catalog_build_new(root, &in->build);
	if (r < 0)
		return r;
	return ingest_pipeline_start(in);
}

int ingest_new_sink(struct store *s, const struct catalog_meta *root,
		    struct progress *progress, ingest_piece_fn piece, void *ctx,
		    struct ingest **ret_ingest)
{
	struct ingest *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	in->store = s;
	in->holds.store = s;
	in->progress = progress;
	in->piece = piece ? piece : piece_to_build;
	in->piece_ctx = piece ? ctx : in;
	pthread_mutex_init(&in->lock, NULL);
	r = ingest_start(in, root);
	if (r < 0) {
		ingest_free(in);
		return r;
	}
	*ret_ingest = in;
	return 0;
}

int ingest_new(struct store *s, const struct catalog_meta *root,
	       struct progress *progress, struct ingest **ret_ingest)
{
	return ingest_new_sink(s, root, progress, NULL, NULL, ret_ingest);
}

void ingest_free(struct ingest *in)
{
	if (!in)
		return;
	ingest_pipeline_free(in);
	store_holds_release(&in->holds);
	ingest_dict_free(in);
	catalog_build_free(in->build);
	free(in->cut_buf);
	lazy_source_unref(in->source);
	pthread_mutex_destroy(&in->lock);
	free(in);
}

struct catalog_build *ingest_build(struct ingest *in)
{
	return in->build;
}

int ingest_set_root(struct ingest *in, const struct catalog_meta *root)
{
	catalog_build_free(steal_ptr(&in->build));
	return catalog_build_new(root, &in->build);
}

void ingest_expect(struct ingest *in, uint64_t files, uint64_t bytes)
{
	in->want_files = files;
	in->want_bytes = bytes;
}

/* The window that the cutter reads into, and where its chunks go. */
struct cutter {
	struct chunker chunker;
	const struct ingest_source *src;
	struct ingest *in;
	uint32_t node;
	ingest_emit_fn emit;
	uint8_t *buf;
	size_t len;
	uint64_t read; /* in all */
	uint64_t cut;  /* bytes in chunks so far */
	size_t zeros;  /* length of a chunk of zeros; 0: not known yet */
	bool at_end;
};

static int cutter_fill(struct cutter *c)
{
	while (!c->at_end && c->len < CUT_BYTES) {
		ssize_t n = c->src->read(c->src->ctx, c->buf + c->len,
					 CUT_BYTES - c->len, c->read);

		if (n < 0)
			return n;
		c->at_end = n == 0;
		c->len += n;
		c->read += n;
	}
	return 0;
}

/* Length of the next chunk at `pos`; 0 where more must be read first. */
static size_t cutter_next(const struct cutter *c, size_t pos)
{
	size_t left = c->len - pos;

	if (!c->at_end && left < CHUNK_MAX)
		return 0;
	if (c->cut == 0 && c->at_end && left <= CHUNK_MAX)
		return left; /* a small file */
	return chunker_cut(&c->chunker, c->buf + pos, left);
}

/* All chunks that the window has; what is left of it moves to its front. */
static int cutter_drain(struct cutter *c)
{
	size_t pos, n;
	int r;

	for (pos = 0; (n = cutter_next(c, pos)) > 0; pos += n) {
		r = c->emit(c->in, c->node, c->buf + pos, n);
		if (r < 0)
			return r;
		c->cut += n;
	}
	memmove(c->buf, c->buf + pos, c->len - pos);
	c->len -= pos;
	return 0;
}

/* How long a run of zeros begins with the window, as far as is known without
 * reading; 0 where it has none. */
static uint64_t cutter_zeros(const struct cutter *c)
{
	uint64_t hole = 0;

	if (!c->at_end && c->src->hole)
		hole = c->src->hole(c->src->ctx, c->read);
	return hole > 0 && ingest_is_zero(c->buf, c->len) ? c->len + hole : 0;
}

/* Where a run of zeros begins a chunk, it is cut into chunks of one length
 * as long as the chunker would look at nothing else. They are all holes, and
 * neighbours become one, so they go as one, unread. */
static int cutter_skip(struct cutter *c)
{
	uint64_t run = cutter_zeros(c), n;

	if (run < CHUNK_MAX)
		return 0;
	if (c->zeros == 0) {
		memset(c->buf, 0, CHUNK_MAX);
		c->zeros = chunker_cut(&c->chunker, c->buf, CHUNK_MAX);
	}
	n = ((run - CHUNK_MAX) / c->zeros + 1) * c->zeros;
	if (n <= c->len)
		return 0;
	c->in->skipped_bytes += n - c->len;
	c->read += n - c->len;
	c->cut += n;
	c->len = 0;
	return c->emit(c->in, c->node, NULL, n);
}

static int cutter_run(struct cutter *c)
{
	int r;

	do {
		r = cutter_skip(c);
		if (r == 0)
			r = cutter_fill(c);
		if (r == 0)
			r = cutter_drain(c);
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
	r = cutter_run(&c);
	free(in->cut_buf);
	in->cut_buf = c.buf;
	if (r < 0)
		return r;
	*ret_bytes = c.read;
	return 0;
}

struct loader_source {
	const struct ingest_loader *loader;
	void *handle;
};

static ssize_t loader_read(void *ctx, void *buf, size_t len, uint64_t off)
{
	struct loader_source *s = ctx;

	return s->loader->read(s->handle, buf, len, off);
}

static uint64_t loader_hole(void *ctx, uint64_t off)
{
	struct loader_source *s = ctx;

	return s->loader->hole ? s->loader->hole(s->handle, off) : 0;
}

int ingest_cut_file(struct ingest *in, uint32_t node,
		    const struct ingest_loader *loader, void *ctx,
		    uint64_t cookie, ingest_emit_fn emit)
{
	struct loader_source ls = { .loader = loader };
	struct ingest_source src = { .read = loader_read,
				     .hole = loader_hole,
				     .ctx = &ls };
	uint64_t bytes = 0;
	int r, closed;

	r = loader->open(ctx, cookie, &ls.handle);
	if (r < 0)
		return r;
	r = ingest_cut(in, node, &src, emit, &bytes);
	closed = loader->close(ctx, cookie, ls.handle, bytes);
	return r < 0 ? r : closed;
}

/* An ingest that lacks something may not be committed, whatever its driver
 * makes of the error. */
static int keep_error(struct ingest *in, int r)
{
	if (r < 0 && !in->err)
		in->err = r;
	return r;
}

int ingest_load(struct ingest *in, uint32_t node,
		const struct ingest_loader *loader, void *ctx, uint64_t cookie,
		uint64_t size)
{
	int r;

	if (size <= CHUNK_MAX)
		return keep_error(in, ingest_add_file(in, node, loader, ctx,
						      cookie, size));
	r = ingest_cut_file(in, node, loader, ctx, cookie, ingest_add_data);
	if (r < 0)
		return keep_error(in, r);
	in->result.files++;
	return 0;
}

int ingest_stream(struct ingest *in, uint32_t node,
		  const struct ingest_source *src)
{
	uint64_t bytes;
	int r = ingest_cut(in, node, src, ingest_add_data, &bytes);

	if (r < 0)
		return keep_error(in, r);
	in->result.files++;
	return 0;
}

int ingest_known(struct ingest *in, uint32_t node, const struct digest *chunk,
		 uint64_t len, const struct pack_loc *loc)
{
	if (len == 0 || (chunk && (!loc || len > CHUNK_MAX)))
		return -EINVAL;
	return keep_error(in, ingest_add_known(in, node, chunk, len, loc));
}

static int known_piece(struct ingest *in, uint32_t node,
		       const struct store_tree *tree,
		       const struct catalog_piece *p)
{
	const struct digest *digest;
	struct pack_loc loc;
	uint32_t size;
	int r;

	if (p->chunk == CATALOG_HOLE)
		return ingest_known(in, node, NULL, p->len, NULL);
	r = catalog_chunk(store_tree_catalog(tree), p->chunk, &digest, &size);
	if (r == 0)
		r = store_tree_locate(tree, p->chunk, &loc);
	in->foreign |= store_tree_is_foreign(tree);
	if (!in->source && store_tree_source(tree))
		in->source = lazy_source_ref(store_tree_source(tree));
	return r < 0 ? r : ingest_known(in, node, digest, p->len, &loc);
}

int ingest_known_file(struct ingest *in, uint32_t node,
		      const struct store_tree *tree, uint32_t ino)
{
	struct catalog_piece p;
	int r;

	for (uint32_t n = 0;; n++) {
		r = catalog_piece(store_tree_catalog(tree), ino, n, &p);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = known_piece(in, node, tree, &p);
		if (r < 0)
			return r;
	}
}

void ingest_added(struct ingest *in, const struct ingest_result *added)
{
	in->result.read_bytes += added->read_bytes;
	in->result.new_chunks += added->new_chunks;
	in->result.new_bytes += added->new_bytes;
	in->result.stored_bytes += added->stored_bytes;
	in->result.new_files += added->new_files;
}
