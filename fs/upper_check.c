/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a power cut: records that no sync covered may be on disk while the
 * bytes they refer to are not, since what was not synced gets there in any
 * order. A replay collects the sources of such records; once the tables are
 * whole, those that are still used are read. Where one is not what was
 * written, the log ends before its record, and all is opened again: so what a
 * power cut leaves is the state after some change, no earlier than the last
 * sync. What died is not looked at: its blocks may have been given back.
 *
 * Part of opening an upper; one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "upper.h"

int upper_unsure_add(struct upper *u, uint64_t ino, const struct extent *x,
		     struct log_pos record)
{
	struct upper_unsure *grown;
	size_t cap;

	if (u->nunsure == u->cap_unsure) {
		cap = u->cap_unsure ? u->cap_unsure * 2 : 64;
		grown = reallocarray(u->unsure, cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		u->unsure = grown;
		u->cap_unsure = cap;
	}
	u->unsure[u->nunsure++] = (struct upper_unsure){ ino, *x, record };
	return 0;
}

/* 1: it is used and not there. */
static int source_lost(const struct upper *u, const struct upper_unsure *s)
{
	const struct inode *i = inodes_get(&u->inodes, s->ino);
	_cleanup_free_ void *buf = NULL;
	int r;

	/* One without a name may have been forgotten and its blocks given back:
	 * no record says so. */
	if (!i || !S_ISREG(i->m.mode) || i->m.nlink == 0 ||
	    !extents_have_source(&i->extents, &s->extent))
		return 0;
	buf = malloc(s->extent.src_len);
	if (!buf)
		return -ENOMEM;
	r = upper_read_source(u, s->ino, &s->extent, buf);
	/* What the device cannot read is no matter of order. */
	if (r == -EIO)
		return 0;
	return r == -EBADMSG ? 1 : r;
}

static int cut_before(struct upper *u, const struct upper_unsure *s)
{
	_cleanup_free_ char *path = upper_path(u, s->ino);
	int r;

	log_warn(0,
		 "upper: bytes written to %s before a power cut never reached "
		 "the disk",
		 path ? path : "a file without a name");
	r = log_cut(u->log, s->record);
	return r < 0 ? r : 1;
}

int upper_unsure_check(struct upper *u)
{
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < u->nunsure; k++)
		r = source_lost(u, &u->unsure[k]);
	if (r > 0)
		r = cut_before(u, &u->unsure[k - 1]);
	free(steal_ptr(&u->unsure));
	u->nunsure = 0;
	u->cap_unsure = 0;
	return r;
}
