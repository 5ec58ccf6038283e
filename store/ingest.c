/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ingest from outside: making and freeing one, and content in all the forms
 * that it is given in. One thread drives an ingest.
 */
#include "ingest.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ingest_internal.h"
#include "lazy.h"

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
		return ingest_put_known(in, node, NULL, p->len, NULL);
	r = catalog_chunk(store_tree_catalog(tree), p->chunk, &digest, &size);
	if (r == 0)
		r = store_tree_locate(tree, p->chunk, &loc);
	in->foreign |= store_tree_is_foreign(tree);
	if (!in->source && store_tree_source(tree))
		in->source = lazy_source_ref(store_tree_source(tree));
	return r < 0 ? r : ingest_put_known(in, node, digest, p->len, &loc);
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
			return keep_error(in, r);
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
