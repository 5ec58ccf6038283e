/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of the upper log, and giving space back: what lets the log stay
 * short. Called by the log's owner, serialised with its appends.
 *
 * Order is all that matters here. A checkpoint gets its name when all that it
 * refers to is durable, and before anything that only the log before it
 * needs is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/fault.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/publish.h"

#include "log_format.h"

#define BLOCK UINT64_C(4096)
#define CHECKPOINT_BUFFER (1u << 20)

struct log_checkpoint {
	struct log *log;
	int fd;		 /* borrowed */
	uint32_t seed;	 /* of record CRCs */
	uint8_t *buffer; /* borrowed: CHECKPOINT_BUFFER bytes, `used` filled */
	size_t used;
};

static int checkpoint_flush(struct log_checkpoint *c)
{
	int r = io_write(c->fd, c->buffer, c->used);

	c->used = 0;
	(void)fault_check("log.checkpoint.written");
	return r;
}

static int checkpoint_write(struct log_checkpoint *c, const void *data,
			    size_t len)
{
	int r;

	if (len > CHECKPOINT_BUFFER - c->used) {
		r = checkpoint_flush(c);
		if (r < 0)
			return r;
	}
	if (len > CHECKPOINT_BUFFER)
		return io_write(c->fd, data, len);
	if (len)
		memcpy(c->buffer + c->used, data, len);
	c->used += len;
	return 0;
}

static int checkpoint_record(struct log_checkpoint *c, uint64_t seq,
			     const void *items, size_t items_len)
{
	static const uint8_t padding[8];
	size_t pad = (8 - (LOG_RECORD_HEADER + items_len) % 8) % 8;
	uint8_t header[LOG_RECORD_HEADER];
	int r;

	log_record_header_make(c->seed, seq,
			       __atomic_load_n(&c->log->synced_seq,
					       __ATOMIC_RELAXED),
			       items, items_len, 0, header);
	r = checkpoint_write(c, header, sizeof(header));
	if (r == 0)
		r = checkpoint_write(c, items, items_len);
	if (r == 0)
		r = checkpoint_write(c, padding, pad);
	return r;
}

int log_checkpoint_put(struct log_checkpoint *c, const void *items,
		       size_t items_len)
{
	if (items_len == 0 || items_len > LOG_ITEMS_MAX)
		return -EINVAL;
	return checkpoint_record(c, 0, items, items_len);
}

typedef int (*write_fn)(void *arg, struct log_checkpoint *c);

static int checkpoint_fill(struct log_checkpoint *c, uint32_t from,
			   write_fn write, void *arg)
{
	uint8_t header[LOG_SEGMENT_HEADER];
	int r;

	log_segment_header_make(c->log, from, header);
	c->seed = log_segment_seed(header);
	r = checkpoint_write(c, header, sizeof(header));
	if (r == 0 && write)
		r = write(arg, c);
	if (r == 0)
		r = checkpoint_record(c, c->log->next_seq - 1, NULL, 0);
	if (r == 0)
		r = checkpoint_flush(c);
	return r == 0 ? fault_check("log.checkpoint") : r;
}

/* *ret_in_place: it has its name, though perhaps not durably (on failure). */
static int checkpoint_publish(struct log *l, uint32_t from, write_fn write,
			      void *arg, bool *ret_in_place)
{
	_cleanup_free_ uint8_t *buffer = malloc(CHECKPOINT_BUFFER);
	_cleanup_publish_ struct publish file = PUBLISH_INIT;
	struct log_checkpoint c = { .log = l, .buffer = buffer };
	int r;

	if (!buffer)
		return -ENOMEM;
	r = publish_open(&file, l->dirfd, 0600);
	if (r < 0)
		return r;
	c.fd = file.fd;
	r = checkpoint_fill(&c, from, write, arg);
	if (r < 0)
		return r;
	r = publish_commit(&file, LOG_CHECKPOINT_NAME);
	*ret_in_place = file.name[0] == '\0';
	return r;
}

static int checkpoint(struct log *l, write_fn write, void *arg,
		      bool *ret_in_place)
{
	uint32_t from;
	int r;

	if (l->read_only)
		return -EROFS;
	/* What the checkpoint refers to must not be less durable than it, the
	 * segment that it leaves to be replayed included. */
	r = log_switch(l);
	if (r < 0)
		return r;
	l->current = true;
	r = log_sync(l);
	if (r < 0)
		return r;
	from = l->segments[l->nsegments - 1].number;
	r = checkpoint_publish(l, from, write, arg, ret_in_place);
	if (r < 0 && *ret_in_place) {
		/* The next log_sync() sees to its name. Until a checkpoint
		 * succeeds the segments stay, in case the old one is found. */
		pthread_mutex_lock(&l->lock);
		l->dir_changes++;
		pthread_mutex_unlock(&l->lock);
	}
	if (r < 0)
		return r;
	(void)fault_check("log.checkpoint.done");
	l->replay_from = from;
	l->bytes_since = 0;
	l->records_since = 0;
	return 0;
}

int log_checkpoint(struct log *l,
		   int (*write)(void *arg, struct log_checkpoint *c), void *arg)
{
	bool in_place = false;

	return checkpoint(l, write, arg, &in_place);
}

uint64_t log_bytes_since_checkpoint(const struct log *l)
{
	return l->bytes_since;
}

uint64_t log_records_since_checkpoint(const struct log *l)
{
	return l->records_since;
}

uint64_t log_stale_bytes(const struct log *l)
{
	uint64_t stale = 0;

	for (size_t i = 0; i < l->nsegments; i++) {
		const struct log_segment *seg = &l->segments[i];

		if (seg->number >= l->replay_from &&
		    seg->end > seg->live + seg->punched)
			stale += seg->end - seg->live - seg->punched;
	}
	return stale;
}

void log_retain(struct log *l, struct log_pos pos, uint64_t len)
{
	struct log_segment *seg = log_segment_find(l, pos.segment);

	if (seg)
		seg->live += len;
}

void log_release(struct log *l, struct log_pos pos, uint64_t len)
{
	struct log_segment *seg = log_segment_find(l, pos.segment);
	struct log_range *grown;
	size_t cap;

	if (!seg)
		return;
	seg->live -= len < seg->live ? len : seg->live;
	l->dead_bytes += len;
	if (len < BLOCK)
		return; /* no whole block to punch */
	if (l->ndead == l->cap_dead) {
		cap = l->cap_dead ? 2 * l->cap_dead : 64;
		grown = reallocarray(l->dead, cap, sizeof(*grown));
		if (!grown)
			return; /* the space comes back with its segment */
		l->dead = grown;
		l->cap_dead = cap;
	}
	l->dead[l->ndead++] = (struct log_range){ pos, len };
}

/* Only blocks inside the data go: headers and items around them are still
 * replayed. */
static int punch(struct log *l, const struct log_range *range)
{
	struct log_segment *seg = log_segment_find(l, range->pos.segment);
	uint64_t start = (range->pos.off + BLOCK - 1) & ~(BLOCK - 1);
	uint64_t end = (range->pos.off + range->len) & ~(BLOCK - 1);

	if (!seg || end <= start)
		return 0;
	if (fallocate(seg->file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)start, (off_t)(end - start)) < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	seg->punched += end - start;
	return 0;
}

/* Segments that the checkpoint covers and nothing refers to. */
static int drop_dead_segments(struct log *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->nsegments;) {
		if (l->segments[i].number >= l->replay_from)
			break;
		if (l->segments[i].live)
			i++;
		else
			r = log_segment_drop(l, i);
	}
	return r;
}

int log_reclaim(struct log *l)
{
	size_t done = 0;
	int r = 0;

	if (l->read_only)
		return -EROFS;
	/* What the replay found to be dead is dead for good once the records
	 * that say so are durable; log_release() is told of no other. */
	if (__atomic_load_n(&l->synced_seq, __ATOMIC_RELAXED) >= l->open_seq)
		r = drop_dead_segments(l);
	while (r == 0 && done < l->ndead) {
		r = punch(l, &l->dead[done]);
		(void)fault_check("log.punched");
		if (r == 0)
			done++;
	}
	if (done > 0)
		memmove(l->dead, l->dead + done,
			(l->ndead - done) * sizeof(*l->dead));
	l->ndead -= done;
	if (r == 0)
		l->dead_bytes = 0;
	return r < 0 ? log_error(r, "upper log: giving space back") : 0;
}

uint64_t log_dead_bytes(const struct log *l)
{
	return l->dead_bytes;
}

uint64_t log_disk_bytes(const struct log *l)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < l->nsegments; i++) {
		struct stat st;

		if (fstat(l->segments[i].file->fd, &st) == 0)
			sum += (uint64_t)st.st_blocks * 512;
	}
	return sum;
}

int log_clear(struct log *l)
{
	bool in_place = false;
	int r;

	r = checkpoint(l, NULL, NULL, &in_place);
	if (r < 0 && !in_place)
		return r;
	/* From here on a replay finds the empty state, so this has happened;
	 * what stays on disk is only space. */
	for (size_t i = 0; i < l->nsegments; i++)
		l->segments[i].live = 0;
	l->ndead = 0;
	l->dead_bytes = 0;
	if (r < 0) {
		log_warn(r, "upper log: emptied, which may not be durable yet");
		return 0;
	}
	(void)log_reclaim(l);
	r = log_own_sweep(l, NULL, NULL);
	if (r < 0)
		log_warn(r, "upper log: removing own files");
	return 0;
}
