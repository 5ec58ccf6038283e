/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper log: opening, appending, reading and syncing. The format and the
 * reasons for it are in log_format.h; replay is in log_replay.c, checkpoints
 * and giving space back in log_checkpoint.c, own files in log_own.c.
 *
 * What log_sync() claims is durable is written into later records and decides
 * what a replay may cut off, so it claims nothing that a failed sync covered:
 * the kernel reports such a failure once and calls the pages clean afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/fault.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/publish.h"

#include "boot.h"
#include "log_format.h"

static int dirs_open(struct log *l, int dirfd)
{
	l->dirfd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dirfd < 0)
		return -errno;
	if (mkdirat(l->dirfd, LOG_DATA_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	l->datafd = openat(l->dirfd, LOG_DATA_DIR,
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (l->datafd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return log_error(-EBADMSG, "upper log: %s is no directory",
				 LOG_DATA_DIR);
	return l->datafd < 0 ? -errno : publish_sweep(l->dirfd);
}

/* What was reserved behind a segment that is written to no longer. Its file
 * is only cut where it ends. */
static void reserve_drop(const struct log_segment *seg)
{
	if (seg->reserved > seg->end &&
	    ftruncate(seg->file->fd, (off_t)seg->end) < 0)
		log_warn(-errno, "upper log: giving back what was reserved");
}

int log_switch(struct log *l)
{
	const struct log_segment *last =
		l->nsegments ? &l->segments[l->nsegments - 1] : NULL;
	uint32_t next = l->replay_from;
	int r;

	if (last && last->number >= l->replay_from) {
		if (last->end == LOG_SEGMENT_HEADER && !l->tail_dirty)
			return 0;
		next = last->number + 1;
	}
	if (next > LOG_SEGMENT_LAST)
		return log_error(-EFBIG, "upper log: out of segment numbers");
	r = log_segment_new(l, next);
	if (r == 0 && l->nsegments > 1)
		reserve_drop(&l->segments[l->nsegments - 2]);
	return r;
}

static struct log *log_new(void)
{
	struct log *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->dirfd = l->datafd = -1;
	l->segment_bytes = LOG_SEGMENT_BYTES;
	/* Names that a process before this one made, LOG_DATA_DIR too. */
	l->dir_changes = 1;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->sync_lock, NULL);
	pthread_mutex_init(&l->own_lock, NULL);
	boot_id_read(l->boot_id);
	return l;
}

static void log_close_ptr(struct log **l)
{
	log_close(*l);
}

int log_open(int dirfd, log_replay_fn replay, void *arg, struct log **ret_log,
	     bool *ret_damaged)
{
	_cleanup_(log_close_ptr) struct log *l = log_new();
	int r;

	if (!l)
		return -ENOMEM;
	r = dirs_open(l, dirfd);
	if (r == 0)
		r = log_own_init(l);
	if (r == 0)
		r = log_segments_load(l);
	if (r == 0)
		r = log_replay(l, replay, arg, &l->read_only, &l->current);
	if (r < 0)
		return r;
	*ret_damaged = l->read_only;
	*ret_log = steal_ptr(&l);
	return 0;
}

void log_close(struct log *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->nsegments; i++)
		log_file_put(l->segments[i].file);
	log_own_release(l);
	cleanup_close(&l->dirfd);
	cleanup_close(&l->datafd);
	free(l->segments);
	free(l->dead);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->sync_lock);
	pthread_mutex_destroy(&l->own_lock);
	free(l);
}

void log_damage_file(const struct log_damage *d, char ret_name[16])
{
	if (d->segment)
		log_segment_name(d->segment, ret_name);
	else
		snprintf(ret_name, 16, "%s", LOG_CHECKPOINT_NAME);
}

const struct log_damage *log_get_damage(const struct log *l)
{
	return l->read_only ? &l->damage : NULL;
}

void log_set_segment_bytes(struct log *l, uint64_t bytes)
{
	l->segment_bytes = bytes;
}

/* The segment that is written to is one of this boot, begun with the first
 * record: while there is none, a log that was closed without a word is known
 * to be the one that an earlier boot left. */
static int segment_ready(struct log *l)
{
	int r;

	if (l->current && l->segments[l->nsegments - 1].end < l->segment_bytes)
		return 0;
	r = log_switch(l);
	if ((r == -ENOSPC || r == -EDQUOT) && l->use_reserve && l->current)
		return 0; /* where the reserve is */
	l->current |= r == 0;
	return r;
}

/* Blocks behind the segment's end, beyond its size. */
static int reserve_upto(struct log_segment *seg, uint64_t upto)
{
	int r;

	do
		r = fallocate(seg->file->fd, FALLOC_FL_KEEP_SIZE,
			      (off_t)seg->end, (off_t)(upto - seg->end));
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	seg->reserved = r < 0 ? UINT64_MAX : upto;
	return 0;
}

/* A record of `len` bytes leaves the reserve behind it, or is not written. */
static int reserve_keep(struct log *l, size_t len)
{
	struct log_segment *seg = &l->segments[l->nsegments - 1];
	uint64_t upto = seg->end + len + LOG_RESERVE_BYTES;
	int r;

	if (upto <= seg->reserved)
		return 0;
	r = reserve_upto(seg, upto + LOG_RESERVE_STEP_BYTES);
	if (r == -ENOSPC || r == -EDQUOT)
		r = reserve_upto(seg, upto);
	return l->use_reserve ? 0 : r;
}

/* Cuts off what a failed append left, or a shorter record written there next
 * would have the rest of it behind it. Until that succeeds nothing is
 * written. */
static int tail_clean(struct log *l)
{
	struct log_segment *seg;

	if (!l->tail_dirty)
		return 0;
	seg = &l->segments[l->nsegments - 1];
	if (ftruncate(seg->file->fd, (off_t)seg->end) < 0)
		return log_error(-errno, "upper log: cutting a failed write");
	l->tail_dirty = false;
	seg->reserved = 0;
	return 0;
}

static int append_at_end(struct log *l, const void *items, size_t items_len,
			 const void *data, size_t data_len)
{
	static const uint8_t padding[8];
	struct log_segment *seg = &l->segments[l->nsegments - 1];
	size_t len = LOG_RECORD_HEADER + items_len + data_len;
	size_t pad = (8 - len % 8) % 8;
	uint8_t header[LOG_RECORD_HEADER];
	struct iovec iov[] = {
		{ header, sizeof(header) },
		{ (void *)items, items_len },
		{ (void *)data, data_len },
		{ (void *)padding, pad },
	};
	int r;

	log_record_header_make(seg->seed, l->next_seq,
			       __atomic_load_n(&l->synced_seq,
					       __ATOMIC_RELAXED),
			       items, items_len, data_len, header);
	r = io_pwritev(seg->file->fd, iov, 4, seg->end);
	if (r < 0) {
		l->tail_dirty = true;
		(void)tail_clean(l);
		return r;
	}
	pthread_mutex_lock(&l->lock);
	seg->end += len + pad;
	l->next_seq++;
	pthread_mutex_unlock(&l->lock);
	l->bytes_since += len + pad;
	l->records_since++;
	return 0;
}

void log_use_reserve(struct log *l)
{
	l->use_reserve = true;
}

static int append(struct log *l, const void *items, size_t items_len,
		  const void *data, size_t data_len, struct log_pos *ret_data)
{
	struct log_pos pos;
	int r;

	if (l->read_only)
		return -EROFS;
	if (items_len == 0 || items_len > LOG_ITEMS_MAX ||
	    data_len > LOG_DATA_MAX)
		return -EINVAL;
	r = fault_check("log.append");
	if (r == 0)
		r = tail_clean(l);
	if (r == 0)
		r = segment_ready(l);
	if (r == 0)
		r = reserve_keep(l, LOG_RECORD_HEADER + items_len + data_len);
	if (r < 0)
		return r;
	pos.segment = l->segments[l->nsegments - 1].number;
	pos.off = l->segments[l->nsegments - 1].end + LOG_RECORD_HEADER +
		  items_len;
	r = append_at_end(l, items, items_len, data, data_len);
	if (r < 0)
		return r;
	if (ret_data)
		*ret_data = pos;
	/* A point to die at: what is in the log has happened. */
	(void)fault_check("log.appended");
	return 0;
}

int log_append(struct log *l, const void *items, size_t items_len,
	       const void *data, size_t data_len, struct log_pos *ret_data)
{
	int r = append(l, items, items_len, data, data_len, ret_data);

	l->use_reserve = false;
	return r;
}

int log_read(struct log *l, struct log_pos pos, void *buf, size_t len)
{
	struct log_file *f = log_file_get(l, pos.segment, pos.segment, NULL);
	int r;

	if (!f)
		return log_error(-EIO,
				 "upper log: segment %08" PRIx32 " is gone",
				 pos.segment);
	r = io_pread(f->fd, buf, len, pos.off);
	log_file_put(f);
	return r;
}

/* Everything that log_sync() is about to make durable. */
struct sync_job {
	uint64_t seq, dir_changes; /* up to which */
	uint64_t dir_synced;
	uint32_t first, last; /* segments */
};

static void sync_take(struct log *l, struct sync_job *job)
{
	LOCK_SCOPE(&l->lock);
	job->seq = l->next_seq - 1;
	job->dir_changes = l->dir_changes;
}

/* 1: something is to be done. */
static int sync_begin(struct log *l, struct sync_job *job)
{
	LOCK_SCOPE(&l->lock);
	if (l->sync_error)
		return l->sync_error;
	job->dir_synced = l->dir_synced;
	job->first = l->first_unsynced;
	job->last = l->nsegments ? l->segments[l->nsegments - 1].number : 0;
	return job->seq > l->synced_seq || job->dir_changes > l->dir_synced;
}

static int sync_run(struct log *l, const struct sync_job *job)
{
	uint32_t number = job->first;
	struct log_file *f;
	int r = 0;

	while (r == 0 && (f = log_file_get(l, number, job->last, &number))) {
		if (fdatasync(f->fd) < 0)
			r = -errno;
		log_file_put(f);
		number++;
	}
	if (r == 0 && job->dir_changes > job->dir_synced && fsync(l->dirfd) < 0)
		r = -errno;
	return r;
}

static void sync_end(struct log *l, const struct sync_job *job, int r)
{
	LOCK_SCOPE(&l->lock);
	if (r < 0) {
		l->sync_error = r;
		return;
	}
	if (job->seq > l->synced_seq)
		__atomic_store_n(&l->synced_seq, job->seq, __ATOMIC_RELAXED);
	if (job->dir_changes > l->dir_synced)
		l->dir_synced = job->dir_changes;
	l->first_unsynced = job->last;
}

int log_sync(struct log *l)
{
	struct sync_job job = { 0 };
	int r;

	r = fault_check("log.sync");
	if (r < 0)
		return r;
	/* What is recorded was written to its own file before. */
	sync_take(l, &job);
	r = log_own_sync(l, 0);
	if (r < 0)
		return r;
	/* One at a time: the kernel tells only one of two about a failure,
	 * and who waited here mostly finds the work done. */
	LOCK_SCOPE(&l->sync_lock);
	r = sync_begin(l, &job);
	if (r <= 0)
		return r;
	r = sync_run(l, &job);
	sync_end(l, &job, r);
	return r < 0 ? log_error(r, "upper log: sync") : 0;
}
