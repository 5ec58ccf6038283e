/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is behind damage in the upper log: every record that is still whole is
 * given to the owner as lost, so that it can be named. Records are found as
 * log_reader_scan() finds them, at any multiple of 8 bytes. Runs at the end of
 * a replay; errors make the list shorter, and are nobody's.
 */
#include <fcntl.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#include "log_replay.h"

struct lost {
	struct replay *replay;
	bool in_checkpoint;
};

static void tell(void *arg, const struct log_record *rec)
{
	const struct lost *lost = arg;
	struct replay *rp = lost->replay;
	const struct log_replayed replayed = {
		.items = rec->items,
		.items_len = rec->items_len,
		.data_len = rec->data_len,
		.lost = true,
	};

	if (rec->items_len == 0)
		return;
	if (lost->in_checkpoint ? rec->seq != 0 : rec->seq < rp->log->next_seq)
		return;
	if (!lost->in_checkpoint)
		rp->log->damage.changes++;
	(void)rp->fn(rp->arg, &replayed);
}

static void tell_file(struct lost *lost, int fd, uint32_t seed, uint64_t off)
{
	_cleanup_(log_reader_release) struct log_reader rd = { 0 };
	struct log_scan scan = { .each = tell, .arg = lost };

	if (log_reader_init(&rd, fd) < 0)
		return;
	rd.seed = seed;
	(void)log_reader_scan(&rd, off, UINT64_MAX, &scan);
}

/* Nothing of it can be read where its header is what is damaged. */
static void tell_checkpoint(struct replay *rp)
{
	uint8_t bytes[LOG_SEGMENT_HEADER];
	struct lost lost = { rp, true };
	_cleanup_close_ int fd = -1;
	struct log_header header;

	fd = openat(rp->log->dirfd, LOG_CHECKPOINT_NAME,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 ||
	    pread(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes) ||
	    log_segment_header_check(bytes, &header) < 0)
		return;
	tell_file(&lost, fd, header.seed, rp->log->damage.off);
}

void log_lost_tell(struct replay *rp)
{
	struct log *l = rp->log;
	uint32_t from = l->damage.segment;
	struct lost lost = { rp, false };
	size_t i;

	if (from == 0)
		tell_checkpoint(rp);
	l->damage.changes = 0;
	for (i = 0; i < l->nsegments; i++) {
		const struct log_segment *seg = &l->segments[i];
		uint64_t off = LOG_SEGMENT_HEADER;

		if (seg->number < from || rp->heads[i].state != HEAD_GOOD)
			continue;
		if (seg->number == from && l->damage.off > off)
			off = l->damage.off;
		tell_file(&lost, seg->file->fd, seg->seed, off);
	}
}
