/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as the files of an upper log. The first byte chooses
 * what the rest is: bit 0 a checkpoint, else a segment; bit 1: checksums are
 * made right first, so that the fuzzer gets behind them. A log that opens
 * undamaged must take a record and give it back; one that is damaged must
 * take none. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/log.h"
#include "fs/log_format.h"
#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t records, bytes;
};

static int replay(void *arg, const struct log_replayed *rec)
{
	struct sum *sum = arg;

	if (!rec->lost)
		sum->records++;
	sum->bytes += crc32c(0, rec->items, rec->items_len) + rec->data_len +
		      rec->data.off;
	return 0;
}

/* Makes the checksums of the header, and of records that follow each other
 * from it, what they should be. */
static void seal(uint8_t *file, size_t size)
{
	size_t off = LOG_SEGMENT_HEADER;
	uint32_t seed;

	if (size < LOG_SEGMENT_HEADER)
		return;
	le32_put(file + 40, crc32c(0, file, 40));
	seed = log_segment_seed(file);
	while (size - off >= LOG_RECORD_HEADER) {
		uint8_t *h = file + off;
		uint64_t items_len = le32_get(h + 4),
			 data_len = le64_get(h + 8);
		uint64_t len;

		if (items_len > size || data_len > size)
			return;
		len = LOG_RECORD_HEADER + items_len;
		if (len > size - off)
			return;
		le32_put(h + 32, crc32c(crc32c(seed, h, 32),
					h + LOG_RECORD_HEADER, items_len));
		len = (len + data_len + 7) & ~UINT64_C(7);
		if (len > size - off)
			return;
		off += len;
	}
}

static int make_dir(char path[PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(path, PATH_MAX, "%s/fuzz-log-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		abort();
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void put_file(int dirfd, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT, 0600);

	if (fd < 0 || io_pwrite(fd, data, len, 0) < 0)
		abort();
}

static void check(int dirfd)
{
	struct sum before = { 0 }, after = { 0 };
	struct log_pos pos;
	struct log *l;
	bool damaged;
	char got[3];
	int r;

	r = log_open(dirfd, replay, &before, &l, &damaged);
	if (r == -ESTALE || r == -EFBIG)
		return; /* of a newer version; out of segment numbers */
	if (r < 0)
		abort();
	r = log_append(l, "items", 5, "abc", 3, &pos);
	if (r != (damaged ? -EROFS : 0))
		abort();
	if (!damaged && (log_read(l, pos, got, 3) || memcmp(got, "abc", 3)))
		abort();
	log_close(l);
	if (log_open(dirfd, replay, &after, &l, &damaged) < 0 ||
	    damaged != (r < 0) || after.records != before.records + (r == 0))
		abort();
	log_close(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = malloc(size + 1);
	char path[PATH_MAX];
	int dirfd;

	log_set_level((enum log_level)0);
	if (size == 0 || !copy)
		return 0;
	memcpy(copy, data, size);
	if (data[0] & 2)
		seal(copy + 1, size - 1);
	dirfd = make_dir(path);
	if (dirfd < 0)
		abort();
	if (data[0] & 1) {
		put_file(dirfd, LOG_CHECKPOINT_NAME, copy + 1, size - 1);
		put_file(dirfd, "log-00000001", "", 0);
	} else {
		put_file(dirfd, "log-00000001", copy + 1, size - 1);
	}
	check(dirfd);
	close(dirfd);
	if (io_remove_tree(AT_FDCWD, path) < 0)
		abort();
	return 0;
}
