/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of the upper log: their names and headers, the headers of records,
 * and the table of open segments. The table is changed by the log's owner
 * alone, under log.lock; log_file_get() may be called by any thread. What is
 * in a segment is the business of log.c and log_replay.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/crc32c.h"
#include "store/base/fault.h"
#include "store/base/hex.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"

#include "log_format.h"

void log_segment_name(uint32_t number, char ret_name[16])
{
	snprintf(ret_name, 16, "log-%08" PRIx32, number);
}

/* Where the kernel has none to give, it only has to differ from the salts of
 * segments before. */
static void salt_make(uint8_t ret_salt[LOG_SALT])
{
	if (getrandom(ret_salt, LOG_SALT, GRND_NONBLOCK) != LOG_SALT)
		le64_put(ret_salt, map_hash_u64(clock_wall_ns()));
}

uint32_t log_segment_seed(const uint8_t header[LOG_SEGMENT_HEADER])
{
	return crc32c(0, header + 32, LOG_SALT);
}

void log_segment_header_make(const struct log *l, uint32_t number,
			     uint8_t ret_header[LOG_SEGMENT_HEADER])
{
	memset(ret_header, 0, LOG_SEGMENT_HEADER);
	memcpy(ret_header, LOG_SEGMENT_MAGIC, 8);
	le32_put(ret_header + 8, LOG_FORMAT);
	le32_put(ret_header + 12, number);
	memcpy(ret_header + 16, l->boot_id, LOG_BOOT_ID);
	salt_make(ret_header + 32);
	le32_put(ret_header + 40, crc32c(0, ret_header, 40));
}

int log_segment_header_check(const uint8_t header[LOG_SEGMENT_HEADER],
			     struct log_header *ret_header)
{
	if (memcmp(header, LOG_SEGMENT_MAGIC, 8) != 0 ||
	    le32_get(header + 40) != crc32c(0, header, 40))
		return -EBADMSG;
	if (le32_get(header + 8) != LOG_FORMAT)
		return le32_get(header + 8) ? -ESTALE : -EBADMSG;
	if (le32_get(header + 44) != 0 || le32_get(header + 12) == 0 ||
	    le32_get(header + 12) > LOG_SEGMENT_LAST)
		return -EBADMSG;
	ret_header->number = le32_get(header + 12);
	memcpy(ret_header->boot_id, header + 16, LOG_BOOT_ID);
	ret_header->seed = log_segment_seed(header);
	return 0;
}

void log_record_header_make(uint32_t seed, uint64_t seq, uint64_t synced_seq,
			    const void *items, size_t items_len,
			    uint64_t data_len,
			    uint8_t ret_header[LOG_RECORD_HEADER])
{
	uint32_t crc;

	le32_put(ret_header, LOG_RECORD_MAGIC);
	le32_put(ret_header + 4, (uint32_t)items_len);
	le64_put(ret_header + 8, data_len);
	le64_put(ret_header + 16, seq);
	le64_put(ret_header + 24, synced_seq);
	crc = crc32c(crc32c(seed, ret_header, 32), items, items_len);
	le32_put(ret_header + 32, crc);
	le32_put(ret_header + 36, 0);
}

static struct log_file *file_new(int fd)
{
	struct log_file *f = malloc(sizeof(*f));

	if (!f)
		return NULL;
	f->fd = fd;
	atomic_init(&f->refs, 1);
	return f;
}

void log_file_put(struct log_file *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	close(f->fd);
	free(f);
}

/* The index of the first segment whose number is not below `number`. */
static size_t segment_index(const struct log *l, uint32_t number)
{
	size_t lo = 0, hi = l->nsegments;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->segments[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct log_segment *log_segment_find(struct log *l, uint32_t number)
{
	size_t i = segment_index(l, number);

	if (i == l->nsegments || l->segments[i].number != number)
		return NULL;
	return &l->segments[i];
}

struct log_file *log_file_get(struct log *l, uint32_t from, uint32_t to,
			      uint32_t *ret_number)
{
	struct log_file *f;
	size_t i;

	LOCK_SCOPE(&l->lock);
	i = segment_index(l, from);
	if (i == l->nsegments || l->segments[i].number > to)
		return NULL;
	f = l->segments[i].file;
	atomic_fetch_add(&f->refs, 1);
	if (ret_number)
		*ret_number = l->segments[i].number;
	return f;
}

/* Takes `fd` over when it succeeds. Called under the lock, or by the replay. */
static int segments_push(struct log *l, uint32_t number, int fd, uint64_t end,
			 uint32_t seed)
{
	struct log_file *file;

	if (l->nsegments == l->cap_segments) {
		size_t cap = l->cap_segments ? 2 * l->cap_segments : 16;
		struct log_segment *grown =
			reallocarray(l->segments, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->segments = grown;
		l->cap_segments = cap;
	}
	file = file_new(fd);
	if (!file)
		return -ENOMEM;
	l->segments[l->nsegments++] = (struct log_segment){
		.number = number,
		.seed = seed,
		.file = file,
		.end = end,
	};
	return 0;
}

int log_segment_new(struct log *l, uint32_t number)
{
	uint8_t header[LOG_SEGMENT_HEADER];
	_cleanup_close_ int fd = -1;
	char name[16];
	int r;

	log_segment_name(number, name);
	/* A file of this name is one whose creation was cut short. */
	fd = openat(l->dirfd, name,
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	log_segment_header_make(l, number, header);
	(void)fault_check("log.segment.made");
	r = io_pwrite(fd, header, sizeof(header), 0);
	(void)fault_check("log.segment.begun");
	if (r == 0) {
		LOCK_SCOPE(&l->lock);
		r = segments_push(l, number, fd, LOG_SEGMENT_HEADER,
				  log_segment_seed(header));
		if (r == 0) {
			steal_fd(&fd);
			l->dir_changes++;
		}
	}
	/* The checkpoint counts on the segment that follows it; a file that
	 * is too short is an empty one. */
	if (r < 0 && number != l->replay_from)
		unlinkat(l->dirfd, name, 0);
	return r;
}

void log_segment_forget(struct log *l, size_t index)
{
	struct log_file *file = l->segments[index].file;

	pthread_mutex_lock(&l->lock);
	memmove(&l->segments[index], &l->segments[index + 1],
		(l->nsegments - index - 1) * sizeof(l->segments[0]));
	l->nsegments--;
	pthread_mutex_unlock(&l->lock);
	log_file_put(file);
}

int log_segment_drop(struct log *l, size_t index)
{
	char name[16];

	log_segment_name(l->segments[index].number, name);
	if (unlinkat(l->dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	log_segment_forget(l, index);
	(void)fault_check("log.segment.dropped");
	return 0;
}

static int segment_compare(const void *a, const void *b)
{
	const struct log_segment *sa = a, *sb = b;

	return (sa->number > sb->number) - (sa->number < sb->number);
}

static int segment_load(struct log *l, const char *name, uint32_t number)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	fd = openat(l->dirfd, name,
		    O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno != EISDIR && errno != ELOOP && errno != ENXIO)
		return log_error(-errno, "upper log: %s", name);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return -errno;
	if (fd < 0 || !S_ISREG(st.st_mode))
		return log_error(-EBADMSG, "upper log: %s is no regular file",
				 name);
	r = segments_push(l, number, fd, (uint64_t)st.st_size, 0);
	if (r == 0)
		steal_fd(&fd);
	return r;
}

/* The number in a segment's name; 0 for other names. */
static uint32_t segment_number(const char *name)
{
	uint8_t be[4];

	if (strncmp(name, "log-", 4) != 0 || strlen(name) != 12 ||
	    hex_decode(name + 4, 4, be) < 0)
		return 0;
	return (uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 |
	       (uint32_t)be[2] << 8 | be[3];
}

int log_segments_load(struct log *l)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	uint32_t number;
	int r;

	r = io_opendir_at(l->dirfd, ".", &dir);
	if (r < 0)
		return r;
	while ((errno = 0, de = readdir(dir))) {
		number = segment_number(de->d_name);
		if (number == 0)
			continue;
		r = segment_load(l, de->d_name, number);
		if (r < 0)
			return r;
	}
	if (errno)
		return -errno;
	if (l->nsegments > 1)
		qsort(l->segments, l->nsegments, sizeof(l->segments[0]),
		      segment_compare);
	return 0;
}
