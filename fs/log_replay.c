/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay of the upper log: checkpoint, then segments, record by record. What
 * the end of the log is, log_tail.c decides. Runs once, in log_open(), before
 * any other thread knows the log. Nothing is written but the cut of a torn
 * tail.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "log_replay.h"

/* Why replaying a file stopped. */
enum stop { STOP_END, STOP_BAD, STOP_REFUSED };

static void replay_release(struct replay *rp)
{
	free(rp->heads);
}

static bool is_this_boot(const struct log *l, const struct head *head)
{
	return head->state == HEAD_GOOD && boot_id_is_known(l->boot_id) &&
	       memcmp(l->boot_id, head->header.boot_id, LOG_BOOT_ID) == 0;
}

static int head_read(struct log_segment *seg, struct head *head)
{
	static const uint8_t zeros[LOG_SEGMENT_HEADER];
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	const uint8_t *h;
	int r;

	r = log_reader_init(&rd, seg->file->fd);
	if (r < 0)
		return r;
	head->size = rd.size;
	head->state = HEAD_UNWRITTEN;
	r = log_reader_get(&rd, 0, LOG_SEGMENT_HEADER, &h);
	if (r == -ENODATA)
		return 0;
	if (r == -EIO)
		head->state = HEAD_BAD;
	if (r < 0)
		return r == -EIO ? 0 : r;
	r = log_segment_header_check(h, &head->header);
	if (r == -ESTALE)
		return log_error(r,
				 "upper log: segment %08" PRIx32
				 " was written by another version of Larder",
				 seg->number);
	if (r == 0 && head->header.number == seg->number) {
		head->state = HEAD_GOOD;
		seg->seed = head->header.seed;
	} else if (memcmp(h, zeros, sizeof(zeros)) != 0) {
		head->state = HEAD_BAD;
	}
	return 0;
}

static int heads_read(struct replay *rp)
{
	struct log *l = rp->log;
	int r = 0;

	rp->heads = calloc(l->nsegments + 1, sizeof(*rp->heads));
	if (!rp->heads)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < l->nsegments; i++) {
		if (l->segments[i].number < l->replay_from)
			continue;
		r = head_read(&l->segments[i], &rp->heads[i]);
		rp->this_boot |= is_this_boot(l, &rp->heads[i]);
	}
	return r;
}

/* What is known to have been durable, where a power cut may have taken what
 * is not: then what records refer to has to be looked at. */
static int durable_find(struct replay *rp)
{
	struct log *l = rp->log;
	struct log_scan scan = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && !rp->this_boot && i < l->nsegments; i++) {
		_cleanup_(log_reader_release) struct log_reader rd = { 0 };

		if (rp->heads[i].state != HEAD_GOOD)
			continue;
		rp->last = &rp->heads[i].header;
		r = log_reader_init(&rd, l->segments[i].file->fd);
		rd.seed = l->segments[i].seed;
		if (r == 0)
			r = log_reader_scan(&rd, LOG_SEGMENT_HEADER, 0, &scan);
		if (r == -EIO)
			r = 0;
	}
	rp->durable = scan.durable;
	return r;
}

/* A segment that another one followed in a later boot was replayed whole when
 * that began. */
static bool is_unsure(const struct replay *rp, const struct log_header *header,
		      uint64_t seq)
{
	return rp->last && seq > rp->durable &&
	       !log_boots_differ(header, rp->last);
}

/* Delivers records from `off` on. *ret_off, *ret_bad: where it stopped. A
 * sector that cannot be read is a bad record. */
static int replay_records(struct replay *rp, struct log_reader *rd,
			  const struct log_header *header, uint64_t *ret_off,
			  struct log_record *ret_bad)
{
	struct log *l = rp->log;
	uint64_t off = LOG_SEGMENT_HEADER;
	struct log_replayed replayed;
	struct log_record rec;
	int r;

	for (;;) {
		r = log_reader_record(rd, off, &rec);
		*ret_off = off;
		*ret_bad = rec;
		if (r == -ENODATA)
			return STOP_END;
		if (r == -EBADMSG || r == -EIO)
			return STOP_BAD;
		if (r < 0)
			return r;
		if (rec.seq != l->next_seq || rec.items_len == 0)
			return STOP_BAD;
		replayed = (struct log_replayed){
			.items = rec.items,
			.items_len = rec.items_len,
			.data = { header->number,
				  off + LOG_RECORD_HEADER + rec.items_len },
			.data_len = rec.data_len,
			.unsure = is_unsure(rp, header, rec.seq),
		};
		r = rp->fn(rp->arg, &replayed);
		if (r == -EBADMSG || r > 0)
			return STOP_REFUSED;
		if (r < 0)
			return r;
		if (rec.synced_seq > l->synced_seq && rec.synced_seq < rec.seq)
			l->synced_seq = rec.synced_seq;
		l->next_seq++;
		l->records_since++;
		l->bytes_since += rec.bytes;
		off += rec.bytes;
	}
}

/* 0; 1: damage. The table may have lost this segment and those behind. */
static int replay_segment(struct replay *rp, size_t index)
{
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	struct log *l = rp->log;
	struct log_segment *seg = &l->segments[index];
	const struct log_header *header = &rp->heads[index].header;
	struct log_header here = { 0 };
	struct log_record bad;
	uint64_t off;
	int r;

	if (rp->heads[index].state != HEAD_GOOD)
		return log_tail_header(rp, index);
	r = log_reader_init(&rd, seg->file->fd);
	if (r < 0)
		return r;
	rd.seed = seg->seed;
	r = replay_records(rp, &rd, header, &off, &bad);
	if (r < 0)
		return r;
	if (r == STOP_REFUSED)
		return log_tail_refused(rp, index, &rd, off);
	if (r == STOP_BAD) {
		r = log_tail_record(rp, index, &rd, off, &bad);
		if (r != 0)
			return r;
	}
	l->segments[index].end = off;
	/* What a machine finds after it has restarted was on its disk. */
	memcpy(here.boot_id, l->boot_id, LOG_BOOT_ID);
	if (log_boots_differ(header, &here))
		l->synced_seq = l->next_seq - 1;
	return 0;
}

/* Segments that were begun and never used, at the end: their file stays, to
 * be begun anew. */
static void forget_unwritten(struct replay *rp)
{
	struct log *l = rp->log;
	size_t last;

	for (; l->nsegments > 0; log_segment_forget(l, last)) {
		last = l->nsegments - 1;
		if (rp->heads[last].state != HEAD_UNWRITTEN ||
		    rp->heads[last].size > LOG_SEGMENT_HEADER)
			return;
		rp->have_first |= l->segments[last].number == l->replay_from;
	}
}

static int replay_segments(struct replay *rp)
{
	struct log *l = rp->log;
	uint32_t expected = l->replay_from;
	int r;

	forget_unwritten(rp);
	for (size_t i = 0; i < l->nsegments; i++) {
		uint32_t number = l->segments[i].number;

		if (number < l->replay_from)
			continue;
		if (number != expected)
			return log_tail_missing(rp, i, expected);
		r = replay_segment(rp, i);
		if (r != 0)
			return r;
		expected++;
	}
	/* A checkpoint is published behind the segment that follows it. */
	if (rp->have_checkpoint && !rp->have_first &&
	    expected == l->replay_from)
		return log_tail_missing(rp, l->nsegments, expected);
	return 0;
}

/* One record of the checkpoint at *off: 1, 0 at the end record. */
static int checkpoint_record(struct replay *rp, struct log_reader *rd,
			     uint64_t *off)
{
	struct log_replayed replayed = { 0 };
	struct log_record rec;
	int r;

	r = log_reader_record(rd, *off, &rec);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	if (rec.data_len)
		return -EBADMSG;
	if (rec.items_len == 0) {
		if (*off + rec.bytes != rd->size || rec.seq == UINT64_MAX)
			return -EBADMSG;
		rp->log->next_seq = rec.seq + 1;
		rp->log->synced_seq = rec.seq;
		return 0;
	}
	if (rec.seq != 0)
		return -EBADMSG;
	replayed.items = rec.items;
	replayed.items_len = rec.items_len;
	r = rp->fn(rp->arg, &replayed);
	if (r != 0)
		return r > 0 ? -EBADMSG : r;
	*off += rec.bytes;
	return 1;
}

static int checkpoint_replay(struct replay *rp, int fd, uint64_t *ret_off)
{
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	struct log_header header;
	const uint8_t *h;
	int r;

	r = log_reader_init(&rd, fd);
	if (r == 0)
		r = log_reader_get(&rd, 0, LOG_SEGMENT_HEADER, &h);
	if (r == 0)
		r = log_segment_header_check(h, &header);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	rd.seed = header.seed;
	rp->log->replay_from = header.number;
	*ret_off = LOG_SEGMENT_HEADER;
	do
		r = checkpoint_record(rp, &rd, ret_off);
	while (r > 0);
	return r;
}

/* 0; 1: it is damaged. It was published whole, so anything wrong is damage. */
static int replay_checkpoint(struct replay *rp)
{
	_cleanup_close_ int fd = -1;
	uint64_t off = 0;
	int r;

	fd = openat(rp->log->dirfd, LOG_CHECKPOINT_NAME,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rp->have_checkpoint = true;
	r = checkpoint_replay(rp, fd, &off);
	if (r == -ESTALE)
		return log_error(r, "upper log: the checkpoint was written by "
				    "another version of Larder");
	if (r != -EBADMSG && r != -EIO)
		return r;
	rp->log->damage = (struct log_damage){ .off = off };
	log_error(r,
		  "upper log: the checkpoint is damaged at byte %" PRIu64
		  "; what it holds behind that and all later changes are lost, "
		  "and the mount is read-only",
		  off);
	return 1;
}

/* Whether the last segment can be gone on with: it is of this boot. An
 * empty one of another boot is forgotten, to be begun anew. */
static bool last_is_current(const struct replay *rp)
{
	struct log *l = rp->log;
	size_t last = l->nsegments - 1;

	if (l->nsegments == 0)
		return false;
	if (is_this_boot(l, &rp->heads[last]))
		return true;
	if (l->segments[last].number >= l->replay_from &&
	    l->segments[last].end == LOG_SEGMENT_HEADER)
		log_segment_forget(l, last);
	return false;
}

int log_replay(struct log *l, log_replay_fn replay, void *arg,
	       bool *ret_damaged, bool *ret_current)
{
	_cleanup_(replay_release) struct replay rp = {
		.log = l,
		.fn = replay,
		.arg = arg,
	};
	int r;

	l->next_seq = 1;
	l->replay_from = 1;
	r = replay_checkpoint(&rp);
	if (r == 0)
		r = heads_read(&rp);
	if (r == 0)
		r = durable_find(&rp);
	if (r == 0)
		r = replay_segments(&rp);
	if (r < 0)
		return r;
	l->open_seq = l->next_seq - 1;
	if (r > 0 && (rp.heads || heads_read(&rp) == 0))
		log_lost_tell(&rp);
	*ret_damaged = r > 0;
	*ret_current = r == 0 && last_is_current(&rp);
	return 0;
}
