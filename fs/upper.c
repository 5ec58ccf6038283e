/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper: opening with replay, appending, and reading. What items do to the
 * tables is in upper_apply.c, checkpoints in upper_checkpoint.c, giving space
 * back in upper_space.c.
 */
#include "upper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/log.h"

#include "view.h"

bool upper_is_base_dir(const struct upper *u, uint64_t ino)
{
	struct catalog_inode ci;

	return u->base && ino <= u->base_inodes &&
	       catalog_inode(u->base, (uint32_t)ino, &ci) == 0 &&
	       S_ISDIR(ci.mode);
}

uint32_t upper_base_child(const struct upper *u, uint64_t parent,
			  const char *text, size_t len)
{
	uint32_t ino;

	if (!u->base || parent > u->base_inodes ||
	    catalog_lookup(u->base, (uint32_t)parent, text, len, &ino, NULL) <
		    0)
		return 0;
	return ino;
}

bool upper_dirty(const struct upper *u)
{
	return u->changed > upper_baseline(u);
}

uint32_t upper_baseline(const struct upper *u)
{
	return u->committed ? u->committed_epoch : 0;
}

int upper_tree_set(struct upper *u, uint32_t number,
		   const struct digest *digest, struct store_tree *tree)
{
	struct upper_tree *grown;

	if (number > u->ntrees)
		return -EBADMSG;
	if (number == u->ntrees) {
		grown = reallocarray(u->trees, number + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		u->trees = grown;
		u->ntrees++;
		u->trees[number] = (struct upper_tree){ 0 };
	}
	u->trees[number].used = true;
	u->trees[number].digest = *digest;
	u->trees[number].tree = tree;
	return 0;
}

int upper_tree_add(struct upper *u, struct store_tree *tree,
		   uint32_t *ret_number)
{
	const struct digest *digest = store_tree_digest(tree);
	uint32_t i, number = u->ntrees;
	int r;

	for (i = 0; i < u->ntrees; i++) {
		if (i > 0 && !u->trees[i].used && number == u->ntrees)
			number = i;
		if (!u->trees[i].tree ||
		    !digest_equal(&u->trees[i].digest, digest))
			continue;
		store_tree_unref(tree);
		*ret_number = i;
		return 0;
	}
	r = upper_tree_set(u, number, digest, tree);
	if (r == 0)
		*ret_number = number;
	return r;
}

bool *upper_trees_used(const struct upper *u)
{
	bool *used = calloc(u->ntrees, sizeof(*used));
	const struct inode *i;
	size_t pos = 0;
	uint32_t k;

	if (!used)
		return NULL;
	used[0] = true;
	if (u->committed)
		used[u->committed_tree] = true;
	while ((i = inodes_next(&u->inodes, &pos)))
		for (k = 0; S_ISREG(i->m.mode) && k < i->extents.count; k++)
			if (extent_kind(&i->extents.list[k]) == EXTENT_BASE)
				used[extent_tree(&i->extents.list[k])] = true;
	return used;
}

/* Only when the log no longer names them, since their numbers are used
 * again. */
void upper_trees_trim(struct upper *u, const bool *used)
{
	uint32_t k;

	for (k = 0; k < u->ntrees; k++) {
		if (used[k])
			continue;
		store_tree_unref(u->trees[k].tree);
		u->trees[k] = (struct upper_tree){ 0 };
	}
}

/* --- opening --- */

static int replay(void *arg, const struct log_replayed *rec)
{
	struct upper *u = arg;

	if (rec->lost) {
		upper_loss_add(u, rec->items, rec->items_len);
		return 0;
	}
	u->is_unsure = rec->unsure;
	return upper_apply(u, rec->items, rec->items_len, rec->data,
			   rec->data_len);
}

static void drop_orphans(struct upper *u)
{
	struct inode *i;
	size_t pos = 0;

	/* A removal may move a record to a place that was passed already,
	 * so the walk begins again behind each. */
	while ((i = inodes_next(&u->inodes, &pos))) {
		if (i->m.nlink > 0)
			continue;
		upper_drop(u, i);
		pos = pos > 16 ? pos - 16 : 0;
	}
}

static int tables_init(struct upper *u, const struct upper_options *opt)
{
	static const struct digest none;
	struct catalog_info info = { 0 };
	int r;

	*u = (struct upper){ .store = opt->store,
			     .next_ino = VIEW_INO_FIRST,
			     .next_seq = 1,
			     .epoch = 1 };
	r = upper_tree_set(u, 0,
			   opt->tree ? store_tree_digest(opt->tree) : &none,
			   opt->tree);
	if (r < 0 || !opt->tree)
		return r;
	store_tree_ref(opt->tree);
	u->base = store_tree_catalog(opt->tree);
	catalog_info(u->base, &info);
	u->base_inodes = info.inodes;
	if (!u->store)
		u->store = store_tree_store(opt->tree);
	return 0;
}

/* Those of an earlier connection: a new one counts from the start again. */
static void forget_requests(struct upper *u)
{
	int r;

	if (u->nrequests == 0)
		return;
	u->nrequests = 0;
	upper_requests_put(u, &u->items);
	r = upper_append(u, NULL, 0);
	if (r < 0)
		log_warn(r, "upper: requests of an earlier mount are still in "
			    "the log");
}

/* Damage has taken the rest of a file: what there is of it would show zeros
 * where that was. */
static void drop_part(struct upper *u)
{
	struct inode *i = inodes_get(&u->inodes, u->part);

	if (i)
		upper_drop(u, i);
	u->part = 0;
}

/* 1: the log was cut off, and is to be opened again. */
static int open_once(struct upper *u, const struct upper_options *opt,
		     bool *ret_damaged)
{
	int r;

	r = tables_init(u, opt);
	if (r == 0 && opt->dirfd >= 0)
		r = log_open(opt->dirfd, replay, u, &u->log, ret_damaged);
	u->is_unsure = false;
	if (r == 0)
		drop_part(u);
	if (r == 0)
		r = *ret_damaged ? upper_loss_settle(u) : upper_unsure_check(u);
	if (r != 0)
		upper_close(u);
	return r;
}

int upper_open(struct upper *u, const struct upper_options *opt,
	       bool *ret_damaged)
{
	bool damaged = false;
	int r;

	do
		r = open_once(u, opt, &damaged);
	while (r > 0);
	if (r < 0)
		return r;
	if (!opt->adopt)
		drop_orphans(u);
	/* The log's books are made now; what died before is in none. */
	u->ndead = 0;
	u->dead_bytes = 0;
	if (u->log && !damaged)
		upper_space_begin(u);
	if (!opt->adopt && u->log && !damaged)
		forget_requests(u);
	*ret_damaged = damaged;
	return 0;
}

void upper_close(struct upper *u)
{
	uint32_t i;

	upper_drop_spares(u);
	upper_loss_release(u);
	inodes_release(&u->inodes);
	names_release(&u->names);
	for (i = 0; i < u->ntrees; i++)
		store_tree_unref(u->trees[i].tree);
	free(u->trees);
	free(u->dead);
	free(u->unsure);
	buf_release(&u->items);
	log_close(u->log);
	*u = (struct upper){ 0 };
}

/* --- changing --- */

static int append(struct upper *u, const void *data, size_t len)
{
	struct log_pos pos = { 0 };
	int r;

	if (u->broken)
		return -EIO;
	if (buf_error(&u->items))
		return buf_error(&u->items);
	r = upper_reserve(u, u->items.data, u->items.len);
	if (r == 0 && u->log && u->frees)
		log_use_reserve(u->log);
	if (r == 0 && u->log) {
		r = log_append(u->log, u->items.data, u->items.len, data, len,
			       &pos);
		u->full = r == -ENOSPC || r == -EDQUOT || (u->full && u->frees);
	}
	if (r < 0)
		return r;
	r = upper_apply(u, u->items.data, u->items.len, pos, len);
	if (r == 0)
		return 0;
	u->broken = true;
	return log_error(-EIO,
			 "upper: a change is in the log and not in "
			 "memory (%s); unmount and mount again",
			 strerror(-r));
}

int upper_append(struct upper *u, const void *data, size_t len)
{
	int r;

	upper_request_put(u);
	r = append(u, data, len);
	upper_request_put_done(u, r == 0);
	upper_drop_spares(u);
	buf_reset(&u->items);
	u->frees = false;
	return r;
}

int upper_clear(struct upper *u)
{
	struct item item = { .type = ITEM_STATE };
	_cleanup_free_ bool *used = NULL;
	int r;

	r = log_clear(u->log);
	if (r < 0)
		return r;
	inodes_release(&u->inodes);
	names_release(&u->names);
	u->ndead = 0;
	u->dead_bytes = 0;
	u->own_bytes = 0;
	u->committed = false;
	u->changed = 0;
	used = upper_trees_used(u);
	if (used)
		upper_trees_trim(u, used);

	item.state = (struct item_state){ .next_ino = u->next_ino,
					  .next_seq = u->next_seq,
					  .epoch = u->epoch };
	item_put(&u->items, &item);
	upper_requests_put(u, &u->items);
	r = upper_append(u, NULL, 0);
	if (r < 0)
		log_warn(r, "upper: inode numbers may be used again");
	return 0;
}

/* --- reading --- */

int upper_read_source(const struct upper *u, uint64_t ino,
		      const struct extent *x, void *buf)
{
	int r;

	if (extent_kind(x) == EXTENT_LOG)
		r = log_read(u->log, extent_pos(x), buf, x->src_len);
	else
		r = log_own_read(u->log, ino, buf, x->src_len, x->src_off);
	if (r == -ENODATA || r == -ENOENT)
		return -EBADMSG;
	if (r < 0)
		return r;
	return crc32c(0, buf, x->src_len) == x->crc ? 0 : -EBADMSG;
}

int upper_read(const struct upper *u, uint64_t ino, const struct extent *x,
	       uint64_t off, void *buf, size_t len)
{
	uint32_t from = x->slice + (uint32_t)(off - x->off);
	_cleanup_free_ uint8_t *whole = NULL;
	int r;

	if (len == x->src_len)
		return upper_read_source(u, ino, x, buf);
	whole = malloc(x->src_len);
	if (!whole)
		return -ENOMEM;
	r = upper_read_source(u, ino, x, whole);
	if (r < 0)
		return r;
	memcpy(buf, whole + from, len);
	return 0;
}
