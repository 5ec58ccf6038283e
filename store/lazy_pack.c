/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packs of a lazy tree: whole ones of the store, sparse ones, and how one
 * begins: with its head, for which its length and its tail must be known. Whoever
 * put the tree has mostly said them (hints); else they are asked for. Frames
 * come later.
 *
 * An open sparse pack is one object for all trees, so that one map says what
 * is in a file.
 */
#include "lazy_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "pack_format.h"

/* --- files --- */

static struct lazy_file *file_use(struct lazy *l, const struct digest *name)
{
	struct lazy_file *f = (struct lazy_file *)dmap_find(&l->files, name);

	if (!f)
		return NULL;
	f->users++;
	atomic_store(&f->shared, true);
	return f;
}

/* With files_lock held. Takes `sp` over. */
static int file_add(struct lazy *l, const struct digest *name,
		    struct sparse *sp, struct lazy_file **ret_file)
{
	struct lazy_file *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		f->node.digest = *name;
		f->users = 1;
		f->sparse = sp;
		r = dmap_add(&l->files, &f->node);
	}
	if (r < 0) {
		sparse_unref(sp);
		free(f);
		return r;
	}
	*ret_file = f;
	return 0;
}

static int file_open(struct lazy *l, const struct digest *name,
		     struct lazy_file **ret_file)
{
	LOCK_SCOPE(&l->files_lock);
	struct lazy_file *f = file_use(l, name);
	struct sparse *sp;
	int r;

	if (f) {
		*ret_file = f;
		return 0;
	}
	r = sparse_open(l->store->sparse_fd, name, &sp);
	return r < 0 ? r : file_add(l, name, sp, ret_file);
}

static void file_put(struct lazy *l, struct lazy_file *f)
{
	LOCK_SCOPE(&l->files_lock);

	if (--f->users > 0)
		return;
	dmap_remove(&l->files, &f->node);
	sparse_unref(f->sparse);
	free(f);
}

/* --- hints --- */

#define HINTS_MAX 65536u

void store_hint_pack(struct store *s, const struct digest *pack, uint64_t bytes,
		     const void *tail)
{
	struct lazy_hint *h;
	struct lazy *l;

	if (lazy_get(s, &l) < 0)
		return;
	LOCK_SCOPE(&l->files_lock);
	h = (struct lazy_hint *)dmap_find(&l->hints, pack);
	if (!h && l->n_hints < HINTS_MAX) {
		h = calloc(1, sizeof(*h));
		if (!h)
			return;
		h->node.digest = *pack;
		if (dmap_add(&l->hints, &h->node) < 0) {
			free(h);
			return;
		}
		l->n_hints++;
	}
	if (!h)
		return;
	h->bytes = bytes;
	memcpy(h->tail, tail, sizeof(h->tail));
}

static void hint_free(struct dmap_node *n)
{
	free(n);
}

void lazy_hints_release(struct lazy *l)
{
	dmap_release(&l->hints, hint_free);
}

/* --- the beginning of a sparse pack --- */

struct skeleton {
	struct digest name;
	uint64_t bytes;
	uint8_t tail[PACK_TAIL_BYTES];
	uint8_t *head;
	uint32_t head_len;
};

static void skeleton_release(struct skeleton *sk)
{
	free(sk->head);
}

static int take_tail(void *arg, const void *data, size_t len)
{
	struct skeleton *sk = arg;
	int r;

	if (len != sizeof(sk->tail))
		return -EBADMSG;
	r = pack_head_bytes(&sk->name, sk->bytes, data, &sk->head_len);
	if (r == 0)
		memcpy(sk->tail, data, len);
	return r;
}

static int take_head(void *arg, const void *data, size_t len)
{
	struct skeleton *sk = arg;
	int r;

	if (len != sk->head_len)
		return -EBADMSG;
	r = pack_check_head(&sk->name, sk->bytes, sk->tail, data);
	if (r == 0)
		memcpy(sk->head, data, len);
	return r;
}

static int skeleton_head(struct lazy_tree *lt, const struct tier_call *call,
			 struct skeleton *sk)
{
	free(sk->head);
	sk->head = malloc(sk->head_len);
	if (!sk->head)
		return -ENOMEM;
	return lazy_load(lt, call, &sk->name, 0, sk->head_len, take_head, sk);
}

/* With what was said of the pack, which is as good as what it leads to. */
static int skeleton_hinted(struct lazy_tree *lt, const struct tier_call *call,
			   struct skeleton *sk)
{
	const struct lazy_hint *h;
	int r = -EBADMSG;

	{
		LOCK_SCOPE(&lt->lazy->files_lock);

		h = (const struct lazy_hint *)dmap_find(&lt->lazy->hints,
							&sk->name);
		if (h) {
			sk->bytes = h->bytes;
			r = take_tail(sk, h->tail, sizeof(h->tail));
		}
	}
	return r < 0 ? r : skeleton_head(lt, call, sk);
}

/* By the length that one tier has said. */
static int skeleton_try(struct lazy_tree *lt, const struct tier_call *call,
			struct skeleton *sk)
{
	int r;

	if (sk->bytes < PACK_TAIL_BYTES || sk->bytes > PACK_MAX_BYTES)
		return -EBADMSG;
	r = lazy_load(lt, call, &sk->name, sk->bytes - PACK_TAIL_BYTES,
		      PACK_TAIL_BYTES, take_tail, sk);
	return r < 0 ? r : skeleton_head(lt, call, sk);
}

/* A tier that lies about the length must not hide the others. */
static int skeleton_fetch(struct lazy_tree *lt, const struct tier_call *call,
			  struct skeleton *sk)
{
	struct lazy_source *src = lt->source;
	uint64_t before = 0;
	unsigned nth;
	int found, r = skeleton_hinted(lt, call, sk);

	if (r == 0 || r == -ECANCELED || r == -ENOMEM)
		return r;
	r = -ENOENT;
	for (nth = 0;; nth++) {
		found = src->ops->size(src, call, &sk->name, nth, &sk->bytes);
		if (found == -ENOENT)
			return r;
		if (found == 0 && sk->bytes != before) {
			before = sk->bytes;
			found = skeleton_try(lt, call, sk);
		}
		if (found == 0 && sk->bytes == before)
			return 0;
		if (found == -ECANCELED || found == -ENOMEM)
			return found;
		r = found;
	}
}

static int file_create(struct lazy *l, const struct skeleton *sk,
		       struct lazy_file **ret_file)
{
	LOCK_SCOPE(&l->files_lock);
	struct lazy_file *f = file_use(l, &sk->name);
	struct sparse *sp;
	int r;

	if (f) { /* another tree was faster */
		*ret_file = f;
		return 0;
	}
	r = sparse_create(l->store->sparse_fd, &sk->name, sk->bytes, sk->head,
			  sk->head_len, sk->tail, &sp);
	if (r < 0)
		return log_error(r, "a sparse pack cannot be made");
	return file_add(l, &sk->name, sp, ret_file);
}

static int file_begin(struct lazy_tree *lt, const struct digest *name,
		      const struct tier_call *call, struct lazy_file **ret_file)
{
	_cleanup_(skeleton_release) struct skeleton sk = { .name = *name };
	int r = skeleton_fetch(lt, call, &sk);

	return r < 0 ? r : file_create(lt->lazy, &sk, ret_file);
}

/* --- a tree's pack --- */

/* Opens without the lock. *ret_file is NULL for a whole pack. */
static int pack_look(struct lazy_tree *lt, uint32_t n, bool whole,
		     const struct tier_call *call, struct lazy_file **ret_file)
{
	const struct digest *name = placement_pack(lt->tree->placement, n);
	struct pack *p;
	int r;

	*ret_file = NULL;
	if (whole && store_tree_open_pack(lt->tree, n, &p) == 0) {
		/* It came another way. */
		(void)sparse_remove(lt->tree->store->sparse_fd, name);
		return 0;
	}
	r = file_open(lt->lazy, name, ret_file);
	if (r == -ENOENT && call)
		r = file_begin(lt, name, call, ret_file);
	return r;
}

static uint32_t count_missing(const struct lazy_tree *lt,
			      const struct lazy_pack *lp,
			      const struct sparse *sp)
{
	struct placement_loc loc;
	uint32_t pos, n = 0;

	for (pos = lp->first; pos < lp->end; pos++)
		n += lazy_loc(lt, pos, &loc) < 0 || !sparse_has(sp, loc.off);
	return n;
}

/* With the lock held. */
static void pack_opened(struct lazy_tree *lt, uint32_t n, int r,
			struct lazy_file *f)
{
	struct lazy_pack *lp = &lt->packs[n];

	if (r < 0) {
		lp->state = LAZY_PACK_NONE;
	} else if (!f) {
		lp->state = LAZY_PACK_WHOLE;
	} else {
		lp->state = LAZY_PACK_SPARSE;
		lp->file = f;
		lp->missing = count_missing(lt, lp, f->sparse);
		atomic_store(&lp->reader, sparse_pack(f->sparse));
		if (lp->missing == 0)
			lazy_submit_finish(lt, n);
	}
	pthread_cond_broadcast(&lt->lazy->changed);
}

/* With the lock held. 0: open; -ENOENT: the caller may open it. Waits for
 * another thread only with a call, since that one may be waiting, too. */
static int pack_await(struct lazy_tree *lt, struct lazy_pack *lp,
		      const struct tier_call *call)
{
	int r = 0;

	while (lp->state == LAZY_PACK_OPENING && call && r == 0) {
		lazy_wait(lt->lazy, &lt->lazy->changed,
			  call->deadline_ns ? call->deadline_ns : INT64_MAX);
		r = tier_call_check(call);
	}
	if (r < 0)
		return r;
	if (lp->state == LAZY_PACK_OPENING)
		return -EAGAIN;
	return lp->state == LAZY_PACK_SPARSE || lp->state == LAZY_PACK_WHOLE ?
		       0 :
		       -ENOENT;
}

static int pack_open_locked(struct lazy_tree *lt, uint32_t n,
			    const struct tier_call *call)
{
	struct lazy_pack *lp = &lt->packs[n];
	struct lazy_file *f = NULL;
	int r = pack_await(lt, lp, call);
	bool whole;

	if (r != -ENOENT || (lp->state == LAZY_PACK_NONE && !call))
		return r;
	lp->state = LAZY_PACK_OPENING;
	whole = !lp->distrusted;
	pthread_mutex_unlock(&lt->lazy->lock);
	r = pack_look(lt, n, whole, call, &f);
	pthread_mutex_lock(&lt->lazy->lock);
	pack_opened(lt, n, r, f);
	return r;
}

int lazy_pack_open(struct lazy_tree *lt, uint32_t n,
		   const struct tier_call *call, struct sparse **ret_sparse)
{
	LOCK_SCOPE(&lt->lazy->lock);
	struct lazy_pack *lp = &lt->packs[n];
	int r = pack_open_locked(lt, n, call);

	if (r < 0)
		return r == -EAGAIN ? -ENOENT : r;
	*ret_sparse = lp->state == LAZY_PACK_SPARSE ?
			      sparse_ref(lp->file->sparse) :
			      NULL;
	return 0;
}

bool lazy_pack_has(const struct lazy_tree *lt, uint32_t n, uint32_t off)
{
	const struct lazy_pack *lp = &lt->packs[n];

	return lp->state == LAZY_PACK_WHOLE ||
	       (lp->state == LAZY_PACK_SPARSE &&
		sparse_has(lp->file->sparse, off));
}

void lazy_pack_distrust(struct lazy_tree *lt, uint32_t n)
{
	LOCK_SCOPE(&lt->lazy->lock);
	struct lazy_pack *lp = &lt->packs[n];

	if (lp->state != LAZY_PACK_WHOLE || lp->distrusted)
		return;
	/* One that became whole a moment ago is read through its old file. */
	if (lp->file)
		return;
	lp->distrusted = true;
	lp->state = LAZY_PACK_UNKNOWN;
}

void lazy_pack_release(struct lazy_tree *lt, uint32_t n)
{
	struct lazy_file *f = lt->packs[n].file;

	atomic_store(&lt->packs[n].reader, NULL);
	lt->packs[n].file = NULL;
	if (f)
		file_put(lt->lazy, f);
}
