/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the upper log share: a temporary directory, numbered
 * records whose bytes follow from their number, and a replay that remembers
 * what it was given. One thread; included by one file a program, behind
 * cmocka.h.
 */
#ifndef LARDER_TESTS_UPPER_LOG_FIXTURE_H
#define LARDER_TESTS_UPPER_LOG_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/log_format.h"
#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"

#define FIXTURE_MAX 4096

struct seen {
	unsigned number; /* of the record, from its items */
	struct log_pos pos;
	uint64_t data_len;
};

struct fixture {
	char path[PATH_MAX];
	int dirfd;
	struct seen seen[FIXTURE_MAX];
	unsigned count;
	unsigned lost;	 /* records that the replay told of as lost */
	unsigned refuse; /* the replay refuses this number; 0: none */
	int refusal;
};

static struct fixture fx;

static int fixture_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	memset(&fx, 0, sizeof(fx));
	snprintf(fx.path, sizeof(fx.path), "%s/larder-upper-log-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(fx.path))
		return -1;
	fx.dirfd = open(fx.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fx.dirfd < 0 ? -1 : 0;
}

static int fixture_teardown(void **state)
{
	(void)state;
	close(fx.dirfd);
	return io_remove_tree(AT_FDCWD, fx.path);
}

/* Items of record `n`: its number and filling, 5 to 60 bytes. */
static inline size_t fixture_items(unsigned n, uint8_t ret_items[64])
{
	size_t len = 5 + n % 56;

	le32_put(ret_items, n);
	for (size_t i = 4; i < len; i++)
		ret_items[i] = (uint8_t)(n * 7 + i);
	return len;
}

static inline void fixture_data(unsigned n, uint8_t *ret_data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ret_data[i] = (uint8_t)(n * 31 + i + (i >> 8));
}

static inline int fixture_append(struct log *l, unsigned n, size_t data_len,
				 struct log_pos *ret_pos)
{
	_cleanup_free_ uint8_t *data = malloc(data_len + 1);
	uint8_t items[64];
	size_t len = fixture_items(n, items);

	if (!data)
		return -ENOMEM;
	fixture_data(n, data, data_len);
	return log_append(l, items, len, data, data_len, ret_pos);
}

static int fixture_replay(void *arg, const struct log_replayed *rec)
{
	uint8_t want[64];
	unsigned n;

	(void)arg;
	if (rec->items_len < 5 || rec->items_len > 64 ||
	    fx.count == FIXTURE_MAX)
		return -EINVAL;
	n = le32_get(rec->items);
	/* The strongest claim of all: nothing else is ever delivered. */
	if (fixture_items(n, want) != rec->items_len ||
	    memcmp(want, rec->items, rec->items_len) != 0)
		return -EINVAL;
	if (rec->lost) {
		fx.lost++;
		return 0;
	}
	if (fx.refuse && n == fx.refuse)
		return fx.refusal;
	fx.seen[fx.count++] = (struct seen){ n, rec->data, rec->data_len };
	return 0;
}

static inline struct log *fixture_open(bool *ret_damaged)
{
	struct log *l = NULL;

	fx.count = 0;
	fx.lost = 0;
	assert_int_equal(
		log_open(fx.dirfd, fixture_replay, NULL, &l, ret_damaged), 0);
	return l;
}

static inline struct log *fixture_open_good(void)
{
	bool damaged = true;
	struct log *l = fixture_open(&damaged);

	assert_false(damaged);
	return l;
}

/* The replay gave the records first .. last, and those alone. */
static inline void fixture_assert_seen(unsigned first, unsigned last)
{
	assert_int_equal(fx.count, last + 1 - first);
	for (unsigned i = 0; i < fx.count; i++)
		assert_int_equal(fx.seen[i].number, first + i);
}

static inline void fixture_assert_data(struct log *l, unsigned n,
				       struct log_pos pos, size_t len)
{
	_cleanup_free_ uint8_t *want = malloc(len + 1);
	_cleanup_free_ uint8_t *got = malloc(len + 1);

	assert_non_null(want);
	assert_non_null(got);
	fixture_data(n, want, len);
	assert_int_equal(log_read(l, pos, got, len), 0);
	assert_memory_equal(want, got, len);
}

static inline uint64_t fixture_size(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(fx.dirfd, name, &st, 0), 0);
	return (uint64_t)st.st_size;
}

static inline bool fixture_exists(const char *name)
{
	struct stat st;

	return fstatat(fx.dirfd, name, &st, 0) == 0;
}

#endif
