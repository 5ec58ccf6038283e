/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of the upper: the tables as items, inodes before the names that
 * need them. Applying them to empty tables gives the same state again.
 */
#include <errno.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "log_format.h"
#include "upper.h"
#include "view.h"

#define RECORD_BYTES (256u << 10)
#define DUE_BYTES (UINT64_C(256) << 20)
#define DUE_RECORDS 200000u
#define STALE_BYTES (UINT64_C(32) << 20)
#define STALE_INODE_BYTES UINT64_C(256) /* about what a checkpoint has of one */

struct writer {
	const struct upper *u;
	struct log_checkpoint *c;
	struct buf items;
	const bool *trees; /* those that something refers to */
	uint64_t ino;	   /* of the file that is being written; 0: none */
	bool parted;	   /* ... and some of it is in earlier records */
};

struct job {
	const struct upper *u;
	const bool *trees;
};

static int flush(struct writer *w)
{
	int r = buf_error(&w->items);

	if (r < 0 || w->items.len == 0)
		return r;
	r = log_checkpoint_put(w->c, w->items.data, w->items.len);
	buf_reset(&w->items);
	return r;
}

/* Between two records of one file stands that it goes on: what is read of a
 * damaged checkpoint must have no half of a file, which would show zeros for
 * the rest. */
static int put(struct writer *w, const struct item *item)
{
	const struct item part = { .type = ITEM_PART, .part = w->ino };
	int r = 0;

	if (w->items.len >= RECORD_BYTES) {
		w->parted = w->ino != 0;
		if (w->parted)
			item_put(&w->items, &part);
		r = flush(w);
	}
	item_put(&w->items, item);
	return r;
}

static int put_state(struct writer *w)
{
	const struct upper *u = w->u;
	struct item item = { .type = ITEM_STATE };

	item.state = (struct item_state){ .next_ino = u->next_ino,
					  .next_seq = u->next_seq,
					  .epoch = u->epoch,
					  .changed = u->changed };
	return put(w, &item);
}

static int put_trees(struct writer *w)
{
	const struct upper *u = w->u;
	struct item item = { .type = ITEM_TREE };
	uint32_t k;
	int r = 0;

	for (k = 1; r == 0 && k < u->ntrees; k++) {
		if (!w->trees[k])
			continue;
		item.tree.number = k;
		item.tree.digest = u->trees[k].digest;
		r = put(w, &item);
	}
	if (r < 0 || !u->committed)
		return r;
	item.type = ITEM_COMMITTED;
	item.committed = (struct item_committed){ u->committed_tree,
						  u->committed_epoch };
	return put(w, &item);
}

static int put_extents(struct writer *w, const struct inode *i)
{
	struct item item = { .type = ITEM_HOLE };
	uint32_t k;
	int r = 0;

	if (i->m.ino < VIEW_INO_FIRST) {
		item.range.ino = i->m.ino;
		item.range.len = UINT64_MAX;
		r = put(w, &item);
	}
	item.type = ITEM_EXTENT;
	item.extent.ino = i->m.ino;
	for (k = 0; r == 0 && k < i->extents.count; k++) {
		item.extent.extent = i->extents.list[k];
		r = put(w, &item);
	}
	return r;
}

static int put_blob(struct writer *w, enum item_type type, uint64_t ino,
		    const struct blob *b)
{
	struct item item = { .type = type };

	item.blob = (struct item_blob){ ino, b->len, b->data };
	return put(w, &item);
}

static int put_inode(struct writer *w, const struct inode *i)
{
	struct item item = { .type = ITEM_INODE };
	const struct item whole = { .type = ITEM_PART };
	int r;

	item.inode = i->m;
	r = put(w, &item);
	w->ino = i->m.ino;
	if (r == 0 && S_ISREG(i->m.mode))
		r = put_extents(w, i);
	if (r == 0 && S_ISLNK(i->m.mode) && i->target)
		r = put_blob(w, ITEM_TARGET, i->m.ino, i->target);
	if (r == 0 && i->xattrs)
		r = put_blob(w, ITEM_XATTRS, i->m.ino, i->xattrs);
	w->ino = 0;
	if (r == 0 && w->parted)
		r = put(w, &whole);
	w->parted = false;
	return r;
}

static int put_name(struct writer *w, const struct name *n)
{
	struct item item = { .type = ITEM_NAME };

	item.name = (struct item_name){ .parent = n->parent,
					.ino = n->ino,
					.seq = n->seq,
					.epoch = n->epoch,
					.len = n->len,
					.text = n->text };
	return put(w, &item);
}

static int put_all(struct writer *w)
{
	const struct inode *i;
	const struct name *n;
	size_t pos = 0;
	int r;

	r = put_trees(w);
	while (r == 0 && (i = inodes_next(&w->u->inodes, &pos)))
		r = put_inode(w, i);
	for (pos = 0; r == 0 && (n = names_next(&w->u->names, &pos));)
		r = put_name(w, n);
	/* Last, since applying the others counts numbers up. */
	if (r == 0)
		r = put_state(w);
	if (r == 0)
		upper_requests_put(w->u, &w->items);
	return r < 0 ? r : flush(w);
}

static int write_all(void *arg, struct log_checkpoint *c)
{
	const struct job *job = arg;
	struct writer w = { .u = job->u, .c = c, .trees = job->trees };
	int r = put_all(&w);

	buf_release(&w.items);
	return r;
}

int upper_checkpoint(struct upper *u)
{
	_cleanup_free_ bool *trees = upper_trees_used(u);
	struct job job = { u, trees };
	int r;

	if (!trees)
		return -ENOMEM;
	r = log_checkpoint(u->log, write_all, &job);
	if (r == 0 && u->pins == 0)
		upper_trees_trim(u, trees);
	u->checkpoint_after =
		r < 0 ? log_bytes_since_checkpoint(u->log) + DUE_BYTES : 0;
	return r < 0 ? log_error(r, "upper: checkpoint") : 0;
}

/* Space comes back by it, and more than it takes. */
static bool is_stale(const struct upper *u, uint64_t bytes)
{
	uint64_t limit = STALE_INODE_BYTES * u->inodes.count;

	if (limit < STALE_BYTES)
		limit = STALE_BYTES;
	return bytes > limit && log_stale_bytes(u->log) > limit;
}

void upper_checkpoint_if_due(struct upper *u)
{
	uint64_t bytes;

	if (!u->log)
		return;
	bytes = log_bytes_since_checkpoint(u->log);
	if (bytes < u->checkpoint_after ||
	    (bytes < DUE_BYTES && !is_stale(u, bytes) &&
	     log_records_since_checkpoint(u->log) < DUE_RECORDS))
		return;
	if (upper_checkpoint(u) == 0 && u->pins == 0)
		(void)log_reclaim(u->log);
}
