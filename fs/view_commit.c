/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committing a view: a snapshot of the tree, its content into the store, the
 * entry, and then the upper's memory of it: each file that did not change
 * meanwhile is now a file of the new tree, and its bytes in the upper die.
 *
 * A commit that dies has published the entry or not; the upper is right in
 * both cases, since it learns of the tree only afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/fault.h"
#include "store/base/log.h"

#include "view_snapshot.h"

#define RECORD_BYTES (1u << 20)
#define SHRINK_BYTES (1u << 20) /* dead */
#define SHRINK_RECORDS 1000u

struct commit {
	struct view *view;
	struct store *store;
	struct progress *progress;
	struct ingest *ingest;
	struct snapshot snapshot;
	uint32_t epoch; /* what changed up to it is in the snapshot */
	bool recorded;	/* the view can remember the commit */
};

static void commit_release(struct commit *c)
{
	ingest_free(c->ingest);
	snapshot_release(&c->snapshot);
}

/* Begins an epoch, so that what is changed from now on is known. */
static int begin(struct commit *c)
{
	struct view *v = c->view;
	struct item item = { .type = ITEM_EPOCH };
	int r;

	WRITE_SCOPE(v);
	c->epoch = v->upper.epoch;
	c->recorded = view_writable(v) == 0;
	if (c->recorded) {
		item.epoch = c->epoch + 1;
		item_put(&v->upper.items, &item);
		r = upper_append(&v->upper, NULL, 0);
		if (r < 0)
			return r;
	}
	v->upper.pins++;
	return 0;
}

static void end(struct view *v)
{
	WRITE_SCOPE(v);
	v->upper.pins--;
}

static int take(struct commit *c)
{
	struct view *v = c->view;
	struct catalog_meta root;
	int r;

	READ_SCOPE(v);
	if (v->upper.broken)
		return -EIO;
	r = snapshot_root(v, &root);
	if (r == 0)
		r = ingest_new(c->store, &root, c->progress, &c->ingest);
	if (r == 0)
		r = snapshot_take(&c->snapshot, v, ingest_build(c->ingest));
	return r;
}

/* --- content --- */

/* Trees of the snapshot stay open while it is pinned, but their table may be
 * moved by another commit's; there is none (commit_lock). */
static int feed_file(struct commit *c, uint32_t node)
{
	const struct snapshot_file *f = snapshot_file_of(&c->snapshot, node);

	if (!f)
		return -EIO;
	if (f->size == 0)
		return 0;
	if (f->in_tree)
		return ingest_known_file(c->ingest, node,
					 c->view->upper.trees[f->tree].tree,
					 f->number);
	if (f->count == 0)
		return ingest_known(c->ingest, node, NULL, f->size, NULL);
	return ingest_load(c->ingest, node, &snapshot_loader, &c->snapshot,
			   node, f->size);
}

static int feed(struct commit *c)
{
	const uint32_t *files;
	size_t k, n;
	int r;

	r = catalog_build_order(ingest_build(c->ingest), &files, &n);
	if (r < 0)
		return log_error(r, "commit: the names of the tree");
	ingest_expect(c->ingest, c->snapshot.load_files,
		      c->snapshot.load_bytes);
	for (k = 0; r == 0 && k < n; k++)
		r = feed_file(c, files[k]);
	return r;
}

/* --- what the upper learns --- */

static int flush(struct upper *u)
{
	return u->items.len == 0 ? 0 : upper_append(u, NULL, 0);
}

/* Files that are as they were in the snapshot. */
static int put_contents(struct commit *c, uint32_t tree)
{
	const struct catalog_build *b = ingest_build(c->ingest);
	struct upper *u = &c->view->upper;
	struct item item = { .type = ITEM_CONTENT };
	const struct snapshot_file *f;
	const struct inode *i;
	uint32_t node;
	int r = 0;

	for (node = 0; r == 0 && node < c->snapshot.nodes; node++) {
		f = snapshot_file_of(&c->snapshot, node);
		if (!f || f->in_tree)
			continue;
		i = inodes_get(&u->inodes, f->ino);
		if (!i || i->m.epoch > c->epoch || i->extents.count == 0)
			continue;
		item.content =
			(struct item_content){ f->ino, tree,
					       catalog_build_ino(b, node) };
		item_put(&u->items, &item);
		if (u->items.len >= RECORD_BYTES)
			r = flush(u);
	}
	return r < 0 ? r : flush(u);
}

static int put_tree(struct upper *u, uint32_t tree)
{
	struct item item = { .type = ITEM_TREE };

	if (tree == 0)
		return 0;
	item.tree = (struct item_tree){ tree, u->trees[tree].digest };
	item_put(&u->items, &item);
	return flush(u);
}

static int put_committed(struct upper *u, uint32_t tree, uint32_t epoch)
{
	struct item item = { .type = ITEM_COMMITTED };

	item.committed = (struct item_committed){ tree, epoch };
	item_put(&u->items, &item);
	return flush(u);
}

static int remember_locked(struct commit *c, struct store_tree *tree)
{
	struct view *v = c->view;
	uint32_t number;
	int r;

	WRITE_SCOPE(v);
	r = upper_tree_add(&v->upper, tree, &number);
	if (r < 0) {
		store_tree_unref(tree);
		return r;
	}
	r = put_tree(&v->upper, number);
	if (r == 0)
		r = put_contents(c, number);
	if (r == 0)
		r = put_committed(&v->upper, number, c->epoch);
	return r;
}

/* The entry is published: failing here costs only work next time. */
static void remember(struct commit *c, const struct digest *catalog)
{
	struct store_tree *tree;
	int r;

	r = fault_check("commit.remember");
	if (r == 0)
		r = store_tree_open(c->store, catalog, &tree);
	if (r == 0)
		r = remember_locked(c, tree);
	if (r < 0)
		log_warn(r, "commit: the mount could not note it; the next "
			    "commit reads its changed files again");
}

/* The log shrinks to what a checkpoint holds, where that is worth one. */
static void shrink(struct view *v)
{
	struct upper *u = &v->upper;
	bool worth;

	{
		WRITE_SCOPE(v);
		worth = u->log && view_writable(v) == 0 &&
			(u->dead_bytes > SHRINK_BYTES ||
			 log_records_since_checkpoint(u->log) > SHRINK_RECORDS);
		if (worth)
			(void)upper_checkpoint(u);
	}
	if (worth)
		view_reclaim(v);
}

/* --- the whole --- */

static int ingest_view(struct commit *c, struct entry *e,
		       struct ingest_result *ret_result)
{
	int r;

	r = take(c);
	if (r == 0)
		r = feed(c);
	if (r == 0)
		r = ingest_commit(c->ingest, e, ret_result);
	return r;
}

static int commit_once(struct commit *c, struct entry *e,
		       struct ingest_result *ret_result)
{
	int r;

	r = begin(c);
	if (r < 0)
		return r;
	r = ingest_view(c, e, ret_result);
	if (r == 0 && c->snapshot.sockets > 0)
		log_warn(0, "commit: %u sockets were left out",
			 c->snapshot.sockets);
	if (r < 0)
		end(c->view);
	return r;
}

/* What was removed from the mount may take the room that the store lacks. */
static int commit(struct commit *c, struct entry *e,
		  struct ingest_result *ret_result)
{
	const struct commit fresh = { .view = c->view,
				      .store = c->store,
				      .progress = c->progress };
	int r = commit_once(c, e, ret_result);

	if (!view_make_room(c->view, r))
		return r;
	commit_release(c);
	*c = fresh;
	return commit_once(c, e, ret_result);
}

static void finish(struct commit *c, const struct digest *catalog)
{
	if (c->recorded)
		remember(c, catalog);
	end(c->view);
	shrink(c->view);
}

int view_commit(struct view *v, struct store *s, struct progress *progress,
		struct entry *e, struct ingest_result *ret_result)
{
	_cleanup_(commit_release) struct commit c = { .view = v,
						      .store = s,
						      .progress = progress };
	int r;

	pthread_mutex_lock(&v->commit_lock);
	r = commit(&c, e, ret_result);
	if (r == 0)
		finish(&c, &ret_result->catalog);
	pthread_mutex_unlock(&v->commit_lock);
	return r;
}

/* --- in two steps --- */

struct view_commit {
	struct commit commit;
	struct digest catalog;
};

int view_commit_begin(struct view *v, struct store *s,
		      struct progress *progress,
		      struct view_commit **ret_commit,
		      struct ingest_result *ret_result)
{
	struct view_commit *vc = calloc(1, sizeof(*vc));
	int r;

	if (!vc)
		return -ENOMEM;
	vc->commit =
		(struct commit){ .view = v, .store = s, .progress = progress };
	pthread_mutex_lock(&v->commit_lock);
	r = commit(&vc->commit, NULL, ret_result);
	if (r < 0) {
		pthread_mutex_unlock(&v->commit_lock);
		commit_release(&vc->commit);
		free(vc);
		return r;
	}
	vc->catalog = ret_result->catalog;
	*ret_commit = vc;
	return 0;
}

void view_commit_end(struct view_commit *vc, bool published)
{
	struct view *v = vc->commit.view;

	if (published)
		finish(&vc->commit, &vc->catalog);
	else
		end(v);
	pthread_mutex_unlock(&v->commit_lock);
	commit_release(&vc->commit);
	free(vc);
}
