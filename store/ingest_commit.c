/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of an ingest: packs are synced, then catalog and placement are
 * published as files, then one batch makes chunks, packs, stamps and entry
 * visible together. The driving thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "ingest_internal.h"
#include "lazy.h"

/* After so many new records the memtables are written out, so that the next
 * start has little to replay. */
#define FLUSH_CHUNKS 1000

/* What is published. */
struct publication {
	struct buf catalog_blob, placement_blob;
	struct digest digest;
	struct catalog *catalog;
	struct index_stamp catalog_stamp, placement_stamp;
};

static void publication_release(struct publication *p)
{
	buf_release(&p->catalog_blob);
	buf_release(&p->placement_blob);
	catalog_unref(p->catalog);
}

static int find_chunk(void *arg, uint32_t chunk, const struct digest *digest,
		      struct pack_loc *ret_loc)
{
	const struct ingest *in = arg;
	const struct ingest_chunk *c =
		(const struct ingest_chunk *)dmap_find(&in->chunks, digest);

	(void)chunk;
	if (!c)
		return -ENOENT;
	*ret_loc = c->loc;
	return 0;
}

/* The catalog is read back with all checks: what would be refused later is
 * not published. */
static int publication_encode(struct ingest *in, struct publication *p)
{
	int r;

	r = catalog_build_finish(in->build, &p->catalog_blob, &p->digest);
	if (r < 0)
		return r;
	r = catalog_take_buf(&p->catalog_blob, CATALOG_CHECK_FULL, &p->catalog);
	if (r < 0)
		return r;
	return placement_encode(p->catalog, &p->digest, find_chunk, in,
				&p->placement_blob);
}

static int publication_put(struct ingest *in, struct publication *p)
{
	const void *catalog;
	size_t len;
	int r;

	/* Before the files are there: what nobody holds and no entry names is
	 * garbage. */
	r = store_holds_add(&in->holds, &p->digest);
	if (r < 0)
		return r;
	catalog = catalog_bytes(p->catalog, &len);
	r = store_put_catalog(in->store, &p->digest, catalog, len,
			      &p->catalog_stamp);
	if (r < 0)
		return r;
	return store_put_placement(in->store, &p->digest,
				   p->placement_blob.data,
				   p->placement_blob.len, &p->placement_stamp);
}

static void fill_result(struct ingest *in, const struct publication *p)
{
	struct catalog_info info;

	catalog_info(p->catalog, &info);
	in->result.catalog = p->digest;
	in->result.files = info.files;
	in->result.dirs = info.dirs;
	in->result.bytes = info.bytes;
}

static void fill_entry(const struct ingest *in, struct entry *e)
{
	const struct ingest_result *res = &in->result;

	e->catalog = res->catalog;
	e->files = res->files;
	e->dirs = res->dirs;
	e->bytes = res->bytes;
	e->new_files = res->new_files;
	e->new_bytes = res->new_bytes;
	e->stored_bytes = res->stored_bytes;
	e->created_ns = clock_wall_ns();
}

/* Where the key has an entry of this very tree, that one stays, and *e becomes
 * it: it is no younger for having been found again. */
static bool is_stored(struct ingest *in, struct entry *e)
{
	struct entry stored = ENTRY_INIT;

	if (index_get_entry(in->store->index, e->tenant, e->namespace, e->name,
			    e->key, &stored) < 0)
		return false;
	if (!digest_equal(&stored.catalog, &e->catalog)) {
		entry_release(&stored);
		return false;
	}
	entry_release(e);
	*e = stored;
	return true;
}

static int batch_fill(struct ingest *in, const struct publication *p,
		      const struct entry *e, struct index_batch *b)
{
	const struct ingest_chunk *c;
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < in->pack_count; i++)
		r = index_put_pack(b, &in->packs[i].name, in->packs[i].bytes,
				   in->packs[i].chunks);
	for (c = in->fresh_first; r == 0 && c; c = c->next_fresh)
		r = index_put_chunk(b, &c->node.digest, &c->loc);
	if (r == 0)
		r = index_put_stamp(b, INDEX_BLOB_CATALOG, &p->digest,
				    &p->catalog_stamp);
	if (r == 0)
		r = index_put_stamp(b, INDEX_BLOB_PLACEMENT, &p->digest,
				    &p->placement_stamp);
	if (r == 0 && in->foreign)
		r = index_put_stamp(b, INDEX_BLOB_FOREIGN, &p->digest,
				    &p->placement_stamp);
	if (r == 0 && e)
		r = in->result.published ? index_put_entry(b, e) :
					   index_put_use(b, e, clock_wall_ns());
	return r;
}

static int index_publish(struct ingest *in, const struct publication *p,
			 const struct entry *e)
{
	struct index_batch *b;
	int r;

	r = fault_check("ingest.index");
	if (r < 0)
		return r;
	r = index_batch_begin(in->store->index, &b);
	if (r < 0)
		return r;
	r = batch_fill(in, p, e, b);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	/* A batch whose write fails may yet be found after a restart, so from
	 * here on the packs stay. */
	in->committed = true;
	r = index_batch_commit(b, true);
	if (r < 0)
		return r;
	if (in->result.new_chunks > FLUSH_CHUNKS)
		index_flush(in->store->index);
	return 0;
}

/* Someone waits and may have lost interest, so the report is made due. */
static int report_publish(struct ingest *in)
{
	if (in->progress)
		in->progress->last_ns = 0;
	return progress_tick(in->progress, "publish", in->result.files,
			     in->want_files, in->result.read_bytes,
			     in->want_bytes);
}

int ingest_commit(struct ingest *in, struct entry *e,
		  struct ingest_result *ret_result)
{
	_cleanup_(publication_release) struct publication p = {
		.catalog_blob = BUF_INIT,
		.placement_blob = BUF_INIT,
	};
	int r;

	r = ingest_pipeline_finish(in);
	if (r < 0)
		return r;
	r = report_publish(in);
	if (r < 0)
		return r;
	r = publication_encode(in, &p);
	if (r < 0)
		return r;
	r = publication_put(in, &p);
	if (r < 0)
		return r;
	fill_result(in, &p);
	store_publish_begin(in->store);
	if (e) {
		fill_entry(in, e);
		in->result.published = !is_stored(in, e);
	}
	r = index_publish(in, &p, e);
	store_publish_end(in->store);
	if (r == 0 && in->source)
		r = store_offer_source(in->store, &p.digest, in->source);
	if (r < 0)
		return r;
	*ret_result = in->result;
	return 0;
}
