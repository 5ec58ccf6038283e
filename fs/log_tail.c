/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the upper log does not go on: the decision between a torn tail and
 * damage, by the rules of log_format.h, and the cut. Runs within the replay;
 * see log_replay.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#include "log_replay.h"

bool log_boots_differ(const struct log_header *a, const struct log_header *b)
{
	return boot_id_is_known(a->boot_id) && boot_id_is_known(b->boot_id) &&
	       memcmp(a->boot_id, b->boot_id, LOG_BOOT_ID) != 0;
}

/* Scans the segments from `index` on for records that come after what was
 * replayed. *ret_other_boot: one of them was begun in another boot. */
static int scan_segments(struct replay *rp, size_t index,
			 const struct log_header *header, struct log_scan *scan,
			 bool *ret_other_boot)
{
	struct log *l = rp->log;
	int r = 0;

	for (size_t i = index; r == 0 && i < l->nsegments; i++) {
		_cleanup_(log_reader_release) struct log_reader rd = { 0 };

		if (rp->heads[i].state != HEAD_GOOD)
			continue;
		if (header && log_boots_differ(header, &rp->heads[i].header))
			*ret_other_boot = true;
		r = log_reader_init(&rd, l->segments[i].file->fd);
		rd.seed = l->segments[i].seed;
		if (r == 0)
			r = log_reader_scan(&rd, LOG_SEGMENT_HEADER,
					    l->next_seq - 1, scan);
		if (r == -EIO)
			r = 0;
	}
	return r;
}

/* Removes all segments from `index` on; the last first, so that what a crash
 * leaves of them is still a log with an end. */
static int segments_cut(struct log *l, size_t index)
{
	int r = 0;

	if (index >= l->nsegments)
		return 0;
	while (r == 0 && l->nsegments > index)
		r = log_segment_drop(l, l->nsegments - 1);
	if (r == 0 && fsync(l->dirfd) < 0)
		r = -errno;
	return r < 0 ? log_error(r,
				 "upper log: removing what follows its end") :
		       0;
}

/* Synced, because a power cut must not bring back what is cut off here beside
 * what will be written then. */
static int segment_cut(struct log *l, size_t index, uint64_t off)
{
	struct log_segment *seg = &l->segments[index];

	if (ftruncate(seg->file->fd, (off_t)off) < 0 ||
	    fdatasync(seg->file->fd) < 0)
		return log_error(-errno, "upper log: cutting its end");
	seg->end = off;
	return segments_cut(l, index + 1);
}

int log_cut(struct log *l, struct log_pos data)
{
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	struct log_segment *seg = log_segment_find(l, data.segment);
	uint64_t off = LOG_SEGMENT_HEADER;
	struct log_record rec;
	int r;

	if (!seg || l->read_only)
		return -EINVAL;
	r = log_reader_init(&rd, seg->file->fd);
	if (r < 0)
		return r;
	rd.seed = seg->seed;
	for (;; off += rec.bytes) {
		r = log_reader_record(&rd, off, &rec);
		if (r < 0)
			return r == -ENODATA ? -EINVAL : r;
		if (data.off < off + rec.bytes)
			break;
	}
	log_warn(0,
		 "upper log: change %" PRIu64 " to %" PRIu64 ", which no sync "
		 "covered, are cut off",
		 rec.seq, l->next_seq - 1);
	return segment_cut(l, (size_t)(seg - l->segments), off);
}

static int say_damage(struct log *l, uint32_t segment, uint64_t off,
		      uint64_t behind)
{
	l->damage = (struct log_damage){ segment, off, behind };
	log_error(-EBADMSG,
		  "upper log: segment %08" PRIx32 " is damaged at byte %" PRIu64
		  "; change %" PRIu64 " and at least %" PRIu64 " behind it are "
		  "lost, all before is kept, and the mount is read-only",
		  segment, off, l->next_seq, behind);
	return 1;
}

int log_tail_record(struct replay *rp, size_t index, struct log_reader *rd,
		    uint64_t off, const struct log_record *bad)
{
	const struct log_header *header = &rp->heads[index].header;
	struct log *l = rp->log;
	uint32_t number = l->segments[index].number;
	struct log_scan scan = { 0 };
	bool torn, other_boot = false;
	int r;

	r = log_reader_scan(rd, off, l->next_seq - 1, &scan);
	if (r == 0 || r == -EIO)
		r = scan_segments(rp, index + 1, header, &scan, &other_boot);
	if (r < 0)
		return r;
	if (rp->this_boot)
		torn = bad->cut && index + 1 == l->nsegments &&
		       scan.count == 0 &&
		       (bad->bytes == 0 || bad->seq == l->next_seq);
	else
		torn = !other_boot && scan.durable < l->next_seq;
	if (!torn)
		return say_damage(l, number, off, scan.count);
	log_warn(0,
		 "upper log: segment %08" PRIx32
		 " ends in the middle of change "
		 "%" PRIu64 "; %" PRIu64 " bytes at byte %" PRIu64 " are cut "
		 "off, %s",
		 number, l->next_seq, rd->size - off, off,
		 rp->this_boot ? "which no answer covered" :
				 "which no sync covered");
	return segment_cut(l, index, off);
}

int log_tail_header(struct replay *rp, size_t index)
{
	const struct head *head = &rp->heads[index];
	struct log *l = rp->log;
	uint32_t number = l->segments[index].number;
	struct log_scan scan = { 0 };
	bool none = false;
	int r;

	/* Nothing but a header, which is bad: nothing is lost. */
	if (index + 1 == l->nsegments && head->size <= LOG_SEGMENT_HEADER) {
		log_segment_forget(l, index);
		return 0;
	}
	r = scan_segments(rp, index + 1, NULL, &scan, &none);
	if (r < 0)
		return r;
	if (rp->this_boot || head->state == HEAD_BAD ||
	    scan.durable >= l->next_seq)
		return say_damage(l, number, 0, scan.count);
	log_warn(0,
		 "upper log: segment %08" PRIx32 " never reached the disk; "
		 "the log ends before it, which no sync covered",
		 number);
	r = segment_cut(l, index, 0);
	if (r == 0)
		log_segment_forget(l, index);
	return r;
}

int log_tail_missing(struct replay *rp, size_t index, uint32_t number)
{
	struct log *l = rp->log;
	struct log_scan scan = { 0 };
	bool none = false;
	int r;

	r = scan_segments(rp, index, NULL, &scan, &none);
	if (r < 0)
		return r;
	if (rp->this_boot || index == l->nsegments ||
	    number == l->replay_from || scan.durable >= l->next_seq) {
		l->damage = (struct log_damage){ number, 0, scan.count };
		log_error(-EBADMSG,
			  "upper log: segment %08" PRIx32 " is missing; at "
			  "least %" PRIu64 " changes are lost, all before are "
			  "kept, and the mount is read-only",
			  number, scan.count);
		return 1;
	}
	log_warn(0,
		 "upper log: segment %08" PRIx32 " never reached the disk; "
		 "the log ends before it, which no sync covered",
		 number);
	return segments_cut(l, index);
}

int log_tail_refused(struct replay *rp, size_t index, struct log_reader *rd,
		     uint64_t off)
{
	struct log *l = rp->log;
	struct log_scan scan = { 0 };
	bool other_boot;

	/* The count is for the message alone. */
	if (log_reader_scan(rd, off, l->next_seq, &scan) == 0)
		(void)scan_segments(rp, index + 1, NULL, &scan, &other_boot);
	return say_damage(l, l->segments[index].number, off, scan.count);
}
