/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch: reads at any offset give the bytes that were stored, large chunks are
 * decoded once whoever asks, and the loop is told before a read may block. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fetch.h"
#include "store/base/io.h"
#include "store/ingest.h"

#define MIB (1u << 20)
#define NFILES 7
#define BIG 5	 /* 5 MiB: several large chunks */
#define MIDDLE 4 /* 1 MiB: one large chunk */

/* Sizes around the limits: of a chunk, of what the cache takes. */
static const size_t sizes[NFILES] = {
	0, 5, 100 << 10, (128 << 10) + 1, MIB, 5 * MIB + 123, 3 * MIB,
};
#define HOLE_FROM 4096 /* of the last file, whose middle is a hole */
#define HOLE_TO (3 * MIB - 4096)

struct fixture {
	char dir[PATH_MAX];
	uint8_t *content[NFILES];
	struct store *store;
	struct store_tree *tree;
	uint32_t ino[NFILES];
	struct fetch *fetch;
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return *state >> 33;
}

static void fill(uint8_t *buf, size_t len, uint64_t seed)
{
	size_t i;

	/* Two values a byte in turn, so that it compresses a little. */
	for (i = 0; i < len; i++)
		buf[i] = i % 4 ? next_random(&seed) : 'x';
}

static void write_source(struct fixture *f, const char *src)
{
	unsigned i;

	for (i = 0; i < NFILES; i++) {
		char *path = io_path("%s/%u", src, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

		assert_true(fd >= 0);
		f->content[i] = calloc(1, sizes[i] + 1);
		assert_non_null(f->content[i]);
		fill(f->content[i], sizes[i], i);
		if (i == NFILES - 1)
			memset(f->content[i] + HOLE_FROM, 0,
			       HOLE_TO - HOLE_FROM);
		if (i < NFILES - 1)
			assert_int_equal(
				io_pwrite(fd, f->content[i], sizes[i], 0), 0);
		else
			assert_true(io_pwrite(fd, f->content[i], HOLE_FROM,
					      0) == 0 &&
				    io_pwrite(fd, f->content[i] + HOLE_TO,
					      sizes[i] - HOLE_TO,
					      HOLE_TO) == 0);
		close(fd);
		free(path);
	}
}

static void import(struct fixture *f, const char *src)
{
	static const struct ingest_owner self;
	struct entry e = {
		.tenant = strdup(ENTRY_TENANT_LOCAL),
		.namespace = strdup(ENTRY_NAMESPACE_DEFAULT),
		.name = strdup("fetch"),
		.key = strdup("1"),
		.branch = strdup(""),
		.creator = strdup("test@host"),
		.parent = strdup(""),
	};
	struct ingest_result result;
	int fd = open(src, O_RDONLY | O_DIRECTORY);
	unsigned i;

	assert_true(fd >= 0);
	assert_int_equal(ingest_dir(f->store, fd, src, &self, false, NULL, &e,
				    &result),
			 0);
	close(fd);
	assert_int_equal(store_tree_open(f->store, &result.catalog, &f->tree),
			 0);
	for (i = 0; i < NFILES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(catalog_resolve(store_tree_catalog(f->tree),
						 name, &f->ino[i]),
				 0);
	}
	entry_release(&e);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	char *src, *store;

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%s/larder-fetch-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	src = io_path("%s/src", f->dir);
	store = io_path("%s/store", f->dir);
	assert_int_equal(mkdir(src, 0755), 0);
	write_source(f, src);
	assert_int_equal(store_open(store, &f->store), 0);
	import(f, src);
	assert_int_equal(fetch_new(8 * MIB, &f->fetch), 0);
	free(src);
	free(store);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	fetch_set_blocking_hook(NULL, NULL);
	fetch_free(f->fetch);
	store_tree_unref(f->tree);
	store_close(f->store);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	for (i = 0; i < NFILES; i++)
		free(f->content[i]);
	free(f);
	return 0;
}

/* Reads a range and compares it; the read ends with the file. */
static int check_read(struct fixture *f, struct fetch *fetch, unsigned n,
		      size_t off, size_t len)
{
	size_t left = off < sizes[n] ? sizes[n] - off : 0;
	uint8_t *buf = malloc(len + 1);
	ssize_t got;
	int same;

	assert_non_null(buf);
	got = fetch_read(fetch, f->tree, f->ino[n], buf, len, off);
	same = got == (ssize_t)(len < left ? len : left) &&
	       memcmp(buf, f->content[n] + (left ? off : 0), got) == 0;
	free(buf);
	return same;
}

static void test_whole_files(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < NFILES; i++) {
		assert_true(check_read(f, f->fetch, i, 0, sizes[i] + 100));
		assert_true(check_read(f, f->fetch, i, sizes[i], 10));
		assert_true(check_read(f, f->fetch, i, sizes[i] + 9, 10));
		assert_true(check_read(f, f->fetch, i, 0, 0));
	}
}

static void check_random(struct fixture *f, struct fetch *fetch, uint64_t seed,
			 unsigned count)
{
	while (count-- > 0) {
		unsigned n = next_random(&seed) % NFILES;
		size_t off = next_random(&seed) % (sizes[n] + 10);
		size_t len = next_random(&seed) % (300 << 10);

		assert_true(check_read(f, fetch, n, off, len));
	}
}

static void test_random_ranges(void **state)
{
	check_random(*state, ((struct fixture *)*state)->fetch, 1, 500);
}

/* A cache that holds nothing gives the same bytes. */
static void test_no_cache(void **state)
{
	struct fixture *f = *state;
	struct fetch *none;

	assert_int_equal(fetch_new(0, &none), 0);
	check_random(f, none, 2, 100);
	fetch_free(none);
}

static void count_hook(void *arg)
{
	++*(unsigned *)arg;
}

/* The first reader of a large chunk decodes it, which may take long; those
 * after it find it in memory. */
static void test_large_chunk_once(void **state)
{
	struct fixture *f = *state;
	struct fetch *fresh;
	unsigned blocked = 0;
	size_t off;

	assert_int_equal(fetch_new(8 * MIB, &fresh), 0);
	fetch_set_blocking_hook(count_hook, &blocked);
	assert_true(check_read(f, fresh, MIDDLE, 0, 128 << 10));
	assert_int_not_equal(blocked, 0);
	blocked = 0;
	for (off = 0; off < MIB; off += 128 << 10)
		assert_true(check_read(f, fresh, MIDDLE, off, 128 << 10));
	assert_int_equal(blocked, 0);
	fetch_set_blocking_hook(NULL, NULL);
	fetch_free(fresh);
}

/* Small chunks that the page cache holds never count as blocking. */
static void test_small_does_not_block(void **state)
{
	struct fixture *f = *state;
	unsigned blocked = 0, i;

	assert_true(check_read(f, f->fetch, 2, 0, sizes[2]));
	fetch_set_blocking_hook(count_hook, &blocked);
	for (i = 0; i < 25; i++)
		assert_true(check_read(f, f->fetch, 2, i * 4096, 4096));
	assert_true(check_read(f, f->fetch, 2, 0, sizes[2]));
	assert_int_equal(blocked, 0);
	fetch_set_blocking_hook(NULL, NULL);
}

struct reader {
	struct fixture *f;
	struct fetch *fetch;
	pthread_t thread;
	pthread_barrier_t *start;
	uint64_t seed;
	int ok;
};

/* All threads want the same chunks at the same time. */
static void *read_together(void *arg)
{
	struct reader *r = arg;
	unsigned i;

	pthread_barrier_wait(r->start);
	r->ok = 1;
	for (i = 0; r->ok && i < 80; i++) {
		size_t off = i * (64 << 10);

		r->ok = check_read(r->f, r->fetch, BIG, off, 64 << 10) &&
			check_read(r->f, r->fetch, MIDDLE,
				   next_random(&r->seed) % MIB, 1000);
	}
	return NULL;
}

static void run_together(struct fixture *f, struct fetch *fetch)
{
	struct reader readers[8];
	pthread_barrier_t start;
	unsigned i;

	pthread_barrier_init(&start, NULL, 8);
	for (i = 0; i < 8; i++) {
		readers[i] = (struct reader){ .f = f,
					      .fetch = fetch,
					      .start = &start,
					      .seed = i };
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
						read_together, &readers[i]),
				 0);
	}
	for (i = 0; i < 8; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_true(readers[i].ok);
	}
	pthread_barrier_destroy(&start);
}

static void test_threads_join(void **state)
{
	struct fixture *f = *state;
	struct fetch *fresh;

	assert_int_equal(fetch_new(64 * MIB, &fresh), 0);
	run_together(f, fresh);
	fetch_free(fresh);
}

/* The cache holds one chunk of many, so they push each other out. */
static void test_threads_evict(void **state)
{
	struct fixture *f = *state;
	struct fetch *small;

	assert_int_equal(fetch_new(MIB, &small), 0);
	run_together(f, small);
	fetch_free(small);
}

static void damage_packs(struct fixture *f)
{
	char *packs = io_path("%s/store/v1/packs", f->dir);
	char *command = io_path("find '%s' -type f -exec chmod u+w {} + "
				"-exec dd if=/dev/zero of={} bs=1M count=9 "
				"conv=notrunc status=none ';'",
				packs);

	assert_int_equal(system(command), 0);
	free(command);
	free(packs);
}

/* Runs last. The chunk is gone for a small file and a large one; what is a
 * hole needs no chunk. */
static void test_damage_is_eio(void **state)
{
	struct fixture *f = *state;
	struct fetch *fresh;
	uint8_t buf[64];

	damage_packs(f);
	assert_int_equal(fetch_new(8 * MIB, &fresh), 0);
	assert_int_equal(fetch_read(fresh, f->tree, f->ino[3], buf, 64, 7),
			 -EIO);
	assert_int_equal(fetch_read(fresh, f->tree, f->ino[BIG], buf, 64, 0),
			 -EIO);
	assert_int_equal(fetch_read(fresh, f->tree, f->ino[BIG], buf, 64, 0),
			 -EIO);
	assert_int_equal(fetch_read(fresh, f->tree, f->ino[0], buf, 64, 0), 0);
	fetch_free(fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_files),
		cmocka_unit_test(test_random_ranges),
		cmocka_unit_test(test_no_cache),
		cmocka_unit_test(test_large_chunk_once),
		cmocka_unit_test(test_small_does_not_block),
		cmocka_unit_test(test_threads_join),
		cmocka_unit_test(test_threads_evict),
		cmocka_unit_test(test_damage_is_eio),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
