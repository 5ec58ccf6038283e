/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space of the upper: what died is collected, and goes back once the records
 * that say so are durable. Of the log whole segments or blocks go, of an own
 * file its blocks, or all of it. State is in struct upper, under the view's
 * lock; nothing here decides what is dead (upper_apply.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "upper.h"

#define TRIM_SLACK (UINT64_C(1) << 20)

/* The log could not be told during the replay. */
static void retain_all(struct upper *u)
{
	const struct extents *e;
	const struct inode *i;
	uint32_t k, j;
	size_t pos = 0;

	while ((i = inodes_next(&u->inodes, &pos))) {
		if (!S_ISREG(i->m.mode))
			continue;
		e = &i->extents;
		for (k = 0; k < e->count; k++) {
			const struct extent *x = &e->list[k];

			if (extent_kind(x) != EXTENT_LOG)
				continue;
			for (j = 0; j < k; j++)
				if (e->list[j].src == x->src &&
				    e->list[j].src_off == x->src_off)
					break;
			if (j == k)
				log_retain(u->log, extent_pos(x), x->src_len);
		}
	}
}

static const struct inode *own_owner(const struct upper *u, uint64_t ino)
{
	const struct inode *i = inodes_get(&u->inodes, ino);

	return i && S_ISREG(i->m.mode) &&
			       extents_have(&i->extents, EXTENT_OWN) ?
		       i :
		       NULL;
}

static bool own_is_used(void *arg, uint64_t ino)
{
	return own_owner(arg, ino) != NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->src_off > y->src_off) - (x->src_off < y->src_off);
}

/* Punches what lies between the sources of `list`, sorted by place. */
static int punch_gaps(struct upper *u, uint64_t ino, const struct extent *list,
		      uint32_t n)
{
	uint64_t end = 0, start;
	uint32_t k;
	int r = 0;

	for (k = 0; r == 0 && k < n; k++) {
		start = log_own_block(list[k].src_off);
		if (start > end)
			r = log_own_punch(u->log, ino, end, start - end);
		end = log_own_block(list[k].src_off + list[k].src_len +
				    LOG_OWN_BLOCK - 1);
	}
	return r < 0 ? r : log_own_punch(u->log, ino, end, INT64_MAX);
}

/* An own file that takes much more than what is used of it: what died in it
 * before the last end was not noted anywhere. */
static int own_trim(struct upper *u, const struct inode *i)
{
	_cleanup_free_ struct extent *list = NULL;
	uint64_t end, disk, used = 0;
	uint32_t k, n = 0;
	int r;

	r = log_own_size(u->log, i->m.ino, false, &end, &disk);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	list = reallocarray(NULL, i->extents.count, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (k = 0; k < i->extents.count; k++) {
		const struct extent *x = &i->extents.list[k];

		if (extent_kind(x) != EXTENT_OWN)
			continue;
		used += x->len;
		list[n++] = *x;
	}
	if (disk <= used + used / 4 + TRIM_SLACK)
		return 0;
	qsort(list, n, sizeof(*list), by_place);
	r = log_sync(u->log);
	return r < 0 ? r : punch_gaps(u, i->m.ino, list, n);
}

void upper_space_begin(struct upper *u)
{
	const struct inode *i;
	size_t pos = 0;
	int r;

	retain_all(u);
	r = log_own_sweep(u->log, own_is_used, u);
	while (r == 0 && (i = inodes_next(&u->inodes, &pos)))
		if (S_ISREG(i->m.mode) && extents_have(&i->extents, EXTENT_OWN))
			r = own_trim(u, i);
	if (r < 0)
		log_warn(r, "upper: giving back space of own files");
	r = log_reclaim(u->log);
	if (r < 0)
		log_warn(r, "upper: giving space back");
}

void upper_note_dead(struct upper *u, uint64_t ino, struct log_pos pos,
		     uint64_t len)
{
	struct upper_range *grown;
	size_t cap;

	if (!u->log)
		return; /* a replay; the log's books are made after it */
	if (u->ndead == u->cap_dead) {
		cap = u->cap_dead ? u->cap_dead * 2 : 64;
		grown = reallocarray(u->dead, cap, sizeof(*grown));
		if (!grown)
			return; /* comes back when the log is opened again */
		u->dead = grown;
		u->cap_dead = cap;
	}
	u->dead[u->ndead++] = (struct upper_range){ ino, pos, len };
	u->dead_bytes += len;
}

int upper_reclaim_begin(struct upper *u, struct upper_reclaim *ret_job)
{
	if (u->pins > 0 || !u->log ||
	    (u->ndead == 0 && log_dead_bytes(u->log) == 0))
		return 0;
	*ret_job = (struct upper_reclaim){ .dead = steal_ptr(&u->dead),
					   .ndead = u->ndead };
	u->ndead = 0;
	u->cap_dead = 0;
	u->dead_bytes = 0;
	return 1;
}

/* No two sources share a block. */
static int own_release(struct upper *u, uint64_t ino, uint64_t place,
		       uint64_t len)
{
	uint64_t start = log_own_block(place);

	if (!own_owner(u, ino))
		return log_own_remove(u->log, ino);
	return log_own_punch(u->log, ino, start,
			     log_own_block(place + len + LOG_OWN_BLOCK - 1) -
				     start);
}

/* How many of the ranges from `d` on are one after the other in one own file;
 * *ret_len: their length together. */
static size_t own_run(const struct upper_range *d, size_t n, uint64_t *ret_len)
{
	uint64_t end = d[0].pos.off + d[0].len;
	size_t k;

	for (k = 1; k < n && d[k].pos.segment == 0 && d[k].ino == d[0].ino &&
		    d[k].pos.off == end;
	     k++)
		end += d[k].len;
	*ret_len = end - d[0].pos.off;
	return k;
}

static void release_all(struct upper *u, const struct upper_range *d, size_t n)
{
	uint64_t len;
	size_t k, run;
	int r;

	for (k = 0; k < n; k += run) {
		run = 1;
		if (d[k].pos.segment) {
			log_release(u->log, d[k].pos, d[k].len);
			continue;
		}
		run = own_run(d + k, n - k, &len);
		r = own_release(u, d[k].ino, d[k].pos.off, len);
		if (r == 0)
			continue;
		log_warn(r, "upper: giving back space of inode %" PRIu64,
			 d[k].ino);
		upper_note_dead(u, d[k].ino, d[k].pos, len);
	}
	r = log_reclaim(u->log);
	if (r < 0)
		log_warn(r, "upper: giving space back");
}

void upper_reclaim_end(struct upper *u, struct upper_reclaim *job, bool synced)
{
	size_t k;

	if (synced && u->pins == 0)
		release_all(u, job->dead, job->ndead);
	else
		for (k = 0; k < job->ndead; k++)
			upper_note_dead(u, job->dead[k].ino, job->dead[k].pos,
					job->dead[k].len);
	free(job->dead);
}
