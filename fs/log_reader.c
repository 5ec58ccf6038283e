/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads files of the upper log through a window, so that headers and items
 * are parsed from memory. See log_reader.h; one thread a reader.
 */
#include "log_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"

#define WINDOW_BYTES (256u << 10)

/* Bytes of failed candidates that a scan sums up at most. */
#define SCAN_BUDGET (UINT64_C(1) << 30)

void log_reader_release(struct log_reader *rd)
{
	free(rd->window);
}

int log_reader_init(struct log_reader *rd, int fd)
{
	struct stat st;

	*rd = (struct log_reader){ .fd = fd };
	if (fstat(fd, &st) < 0)
		return -errno;
	rd->size = (uint64_t)st.st_size;
	rd->cap = WINDOW_BYTES;
	rd->window = malloc(rd->cap);
	return rd->window ? 0 : -ENOMEM;
}

int log_reader_get(struct log_reader *rd, uint64_t off, size_t len,
		   const uint8_t **ret_data)
{
	size_t want;
	int r;

	if (off > rd->size || len > rd->size - off)
		return -ENODATA;
	if (off >= rd->start && off + len <= rd->start + rd->len) {
		*ret_data = rd->window + (off - rd->start);
		return 0;
	}
	if (len > rd->cap) {
		uint8_t *grown = realloc(rd->window, len);

		if (!grown)
			return -ENOMEM;
		rd->window = grown;
		rd->cap = len;
	}
	want = rd->size - off < rd->cap ? (size_t)(rd->size - off) : rd->cap;
	rd->len = 0;
	r = io_pread(rd->fd, rd->window, want, off);
	if (r < 0)
		return r;
	rd->start = off;
	rd->len = want;
	*ret_data = rd->window;
	return 0;
}

static void record_parse(const uint8_t *h, struct log_record *rec)
{
	rec->items_len = le32_get(h + 4);
	rec->data_len = le64_get(h + 8);
	rec->seq = le64_get(h + 16);
	rec->synced_seq = le64_get(h + 24);
	rec->bytes = 0;
	if (rec->items_len <= LOG_ITEMS_MAX && rec->data_len <= LOG_DATA_MAX)
		rec->bytes = (LOG_RECORD_HEADER + (uint64_t)rec->items_len +
			      rec->data_len + 7) &
			     ~UINT64_C(7);
}

/* Fewer bytes than a header are left. */
static int record_stub(struct log_reader *rd, uint64_t off,
		       struct log_record *rec)
{
	static const uint8_t magic[4] = { 0x4c, 0x44, 0x52, 0x43 };
	size_t len = (size_t)(rd->size - off);
	const uint8_t *h;
	int r;

	len = len < sizeof(magic) ? len : sizeof(magic);
	r = log_reader_get(rd, off, len, &h);
	if (r < 0)
		return r;
	rec->cut = memcmp(h, magic, len) == 0;
	return -EBADMSG;
}

int log_reader_record(struct log_reader *rd, uint64_t off,
		      struct log_record *ret_record)
{
	struct log_record *rec = ret_record;
	const uint8_t *h;
	uint32_t crc;
	int r;

	*rec = (struct log_record){ 0 };
	if (off >= rd->size)
		return off == rd->size ? -ENODATA : -EBADMSG;
	if (rd->size - off < LOG_RECORD_HEADER)
		return record_stub(rd, off, rec);
	r = log_reader_get(rd, off, LOG_RECORD_HEADER, &h);
	if (r < 0)
		return r;
	record_parse(h, rec);
	if (le32_get(h) != LOG_RECORD_MAGIC || le32_get(h + 36) != 0 ||
	    rec->bytes == 0)
		return -EBADMSG;
	if (rec->bytes > rd->size - off) {
		rec->cut = true;
		return -EBADMSG;
	}
	r = log_reader_get(rd, off, LOG_RECORD_HEADER + (size_t)rec->items_len,
			   &h);
	if (r < 0)
		return r;
	crc = le32_get(h + 32);
	rec->items = h + LOG_RECORD_HEADER;
	if (crc32c(crc32c(rd->seed, h, 32), rec->items, rec->items_len) != crc)
		return -EBADMSG;
	return 0;
}

int log_reader_scan(struct log_reader *rd, uint64_t off, uint64_t after,
		    struct log_scan *scan)
{
	uint64_t budget = SCAN_BUDGET;
	struct log_record rec;
	const uint8_t *h;
	int r;

	for (; off < rd->size && rd->size - off >= LOG_RECORD_HEADER;) {
		r = log_reader_get(rd, off, LOG_RECORD_HEADER, &h);
		if (r < 0)
			return r;
		if (le32_get(h) != LOG_RECORD_MAGIC) {
			off += 8;
			continue;
		}
		r = log_reader_record(rd, off, &rec);
		if (r < 0 && r != -EBADMSG)
			return r;
		if (r == 0 && rec.seq > after) {
			scan->count++;
			if (rec.synced_seq > scan->durable)
				scan->durable = rec.synced_seq;
		}
		if (r == 0 && scan->each)
			scan->each(scan->arg, &rec);
		off += r == 0 ? rec.bytes : 8;
		if (r == 0 || !rec.items)
			continue;
		if (rec.items_len > budget) {
			scan->count++;
			scan->durable = UINT64_MAX;
			return 0;
		}
		budget -= rec.items_len;
	}
	return 0;
}
