/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper log (fs/log.h) without damage: what is appended comes back, in
 * order, after closing, checkpoints, new segments and giving space back; and
 * threads that read and sync while the owner appends.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "upper_log_fixture.h"

static void test_empty(void **state)
{
	struct log *l = fixture_open_good();

	(void)state;
	assert_int_equal(fx.count, 0);
	assert_int_equal(log_sync(l), 0);
	log_close(l);
	l = fixture_open_good();
	assert_int_equal(fx.count, 0);
	log_close(l);
	/* A segment is begun with its first record. */
	assert_false(fixture_exists("log-00000001"));
	log_close(NULL);
}

static void test_round_trip(void **state)
{
	static const size_t lens[] = { 0, 1, 7, 8, 9, 4096, 6000, 8191, 262144 };
	enum { N = sizeof(lens) / sizeof(lens[0]) };
	struct log_pos pos[N];
	struct log *l = fixture_open_good();

	(void)state;
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(fixture_append(l, i + 1, lens[i], &pos[i]), 0);
	for (unsigned i = 0; i < N; i++)
		fixture_assert_data(l, i + 1, pos[i], lens[i]);
	log_close(l);

	l = fixture_open_good();
	fixture_assert_seen(1, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(fx.seen[i].data_len, lens[i]);
		assert_int_equal(fx.seen[i].pos.segment, pos[i].segment);
		assert_int_equal(fx.seen[i].pos.off, pos[i].off);
		fixture_assert_data(l, i + 1, fx.seen[i].pos, lens[i]);
	}
	assert_int_equal(log_records_since_checkpoint(l), N);
	assert_int_equal(log_bytes_since_checkpoint(l),
			 fixture_size("log-00000001") - LOG_SEGMENT_HEADER);
	assert_int_equal(fixture_append(l, N + 1, 10, &pos[0]), 0);
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(1, N + 1);
}

static int big_replay(void *arg, const struct log_replayed *rec)
{
	struct seen *s = arg;

	*s = (struct seen){ crc32c(0, rec->items, rec->items_len), rec->data,
			    rec->data_len };
	return 0;
}

static void test_limits(void **state)
{
	_cleanup_free_ uint8_t *items = malloc(LOG_ITEMS_MAX + 1);
	_cleanup_free_ uint8_t *data = malloc(LOG_DATA_MAX + 1);
	_cleanup_free_ uint8_t *got = malloc(LOG_DATA_MAX);
	struct log *l = fixture_open_good();
	struct seen seen = { 0 };
	struct log_pos pos;
	bool damaged;

	(void)state;
	assert_true(items && data && got);
	fixture_data(1, items, LOG_ITEMS_MAX + 1);
	fixture_data(2, data, LOG_DATA_MAX + 1);
	assert_int_equal(log_append(l, items, 0, NULL, 0, NULL), -EINVAL);
	assert_int_equal(log_append(l, items, LOG_ITEMS_MAX + 1, NULL, 0, NULL),
			 -EINVAL);
	assert_int_equal(log_append(l, items, 1, data, LOG_DATA_MAX + 1, NULL),
			 -EINVAL);
	assert_int_equal(log_append(l, items, LOG_ITEMS_MAX, data, LOG_DATA_MAX,
				    &pos),
			 0);
	log_close(l);
	assert_int_equal(log_open(fx.dirfd, big_replay, &seen, &l, &damaged),
			 0);
	assert_false(damaged);
	assert_int_equal(seen.number, crc32c(0, items, LOG_ITEMS_MAX));
	assert_int_equal(seen.data_len, LOG_DATA_MAX);
	assert_int_equal(seen.pos.off, pos.off);
	assert_int_equal(log_read(l, pos, got, LOG_DATA_MAX), 0);
	assert_memory_equal(got, data, LOG_DATA_MAX);
	assert_int_equal(log_read(l, pos, got, LOG_DATA_MAX) |
				 log_read(l, (struct log_pos){ 1, 1u << 30 },
					  got, 1),
			 -ENODATA);
	assert_int_equal(log_read(l, (struct log_pos){ 9, 48 }, got, 1), -EIO);
	log_close(l);
}

static void test_segments(void **state)
{
	struct log *l = fixture_open_good();
	struct log_pos pos[100];

	(void)state;
	log_set_segment_bytes(l, 4000);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(fixture_append(l, i + 1, 500, &pos[i]), 0);
	assert_true(pos[99].segment > 10);
	assert_int_equal(log_sync(l), 0);
	assert_int_equal(log_sync(l), 0);
	log_close(l);
	l = fixture_open_good();
	fixture_assert_seen(1, 100);
	for (unsigned i = 0; i < 100; i++)
		fixture_assert_data(l, i + 1, pos[i], 500);
	log_close(l);
}

struct state_job {
	unsigned first, last;
	int err;
};

static int write_state(void *arg, struct log_checkpoint *c)
{
	const struct state_job *job = arg;
	uint8_t items[64];
	int r = 0;

	for (unsigned n = job->first; r == 0 && n <= job->last; n++)
		r = log_checkpoint_put(c, items, fixture_items(n, items));
	return job->err ? job->err : r;
}

static void test_checkpoint(void **state)
{
	struct log *l = fixture_open_good();
	struct state_job job = { 1001, 1300, 0 };
	struct log_pos pos[20];

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(fixture_append(l, i + 1, 6000, &pos[i]), 0);
	assert_int_equal(log_checkpoint(l, write_state, &job), 0);
	assert_int_equal(log_records_since_checkpoint(l), 0);
	assert_int_equal(log_bytes_since_checkpoint(l), 0);
	for (unsigned i = 10; i < 20; i++)
		assert_int_equal(fixture_append(l, 1291 + i, 6000, &pos[i]), 0);
	log_close(l);

	l = fixture_open_good();
	fixture_assert_seen(1001, 1310);
	assert_int_equal(fx.seen[0].pos.segment, 0);
	assert_int_equal(fx.seen[300].pos.segment, 2);
	assert_int_equal(log_records_since_checkpoint(l), 10);
	for (unsigned i = 0; i < 10; i++)
		fixture_assert_data(l, i + 1, pos[i], 6000);

	/* One that fails changes nothing; an empty segment is used again. */
	job = (struct state_job){ 1, 5, -ENOSPC };
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(log_checkpoint(l, write_state, &job), -ENOSPC);
	assert_true(fixture_exists("log-00000003"));
	assert_false(fixture_exists("log-00000004"));
	log_close(l);
	l = fixture_open_good();
	fixture_assert_seen(1001, 1310);
	job = (struct state_job){ 2001, 2002, 0 };
	assert_int_equal(log_checkpoint(l, write_state, &job), 0);
	assert_int_equal(fixture_append(l, 2003, 1, NULL), 0);
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(2001, 2003);
}

static void test_checkpoint_record_limits(void **state)
{
	(void)state;
	assert_int_equal(log_checkpoint_put(NULL, "x", 0), -EINVAL);
	assert_int_equal(log_checkpoint_put(NULL, "x", LOG_ITEMS_MAX + 1),
			 -EINVAL);
}

static void test_refused_record(void **state)
{
	struct log *l = fixture_open_good();
	uint64_t size;
	bool damaged;

	(void)state;
	for (unsigned n = 1; n <= 5; n++)
		assert_int_equal(fixture_append(l, n, 100, NULL), 0);
	log_close(l);
	size = fixture_size("log-00000001");

	/* A whole record is never cut off, even the last. */
	for (fx.refuse = 4; fx.refuse <= 5; fx.refuse++) {
		fx.refusal = -EBADMSG;
		l = fixture_open(&damaged);
		assert_true(damaged);
		fixture_assert_seen(1, fx.refuse - 1);
		assert_int_equal(fixture_append(l, 9, 1, NULL), -EROFS);
		assert_int_equal(log_checkpoint(l, NULL, NULL), -EROFS);
		assert_int_equal(log_clear(l), -EROFS);
		assert_int_equal(log_reclaim(l), -EROFS);
		assert_int_equal(log_own_write(l, 5, "x", 1, 0), -EROFS);
		assert_int_equal(log_own_sweep(l, NULL, NULL), -EROFS);
		assert_int_equal(log_sync(l), 0);
		log_close(l);
		assert_int_equal(fixture_size("log-00000001"), size);
	}
	fx.refuse = 3;
	fx.refusal = -ENOMEM;
	assert_int_equal(log_open(fx.dirfd, fixture_replay, NULL, &l, &damaged),
			 -ENOMEM);
	fx.refuse = 0;
	log_close(fixture_open_good());
	fixture_assert_seen(1, 5);
}

static void test_clear(void **state)
{
	struct log *l = fixture_open_good();

	(void)state;
	log_set_segment_bytes(l, 4000);
	for (unsigned n = 1; n <= 30; n++) {
		struct log_pos pos;

		assert_int_equal(fixture_append(l, n, 500, &pos), 0);
		log_retain(l, pos, 500);
	}
	assert_int_equal(log_own_write(l, 7, "abc", 3, 0), 0);
	assert_int_equal(log_clear(l), 0);
	assert_false(fixture_exists("log-00000001"));
	assert_false(fixture_exists("data/0000000000000007"));
	assert_int_equal(log_own_read(l, 7, (char[3]){ 0 }, 3, 0), -ENOENT);
	assert_int_equal(log_dead_bytes(l), 0);
	assert_int_equal(fixture_append(l, 77, 10, NULL), 0);
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(77, 77);
}

static void test_reclaim_segments(void **state)
{
	struct log *l = fixture_open_good();
	struct state_job job = { 100, 110, 0 };
	struct log_pos pos[60];
	unsigned live;

	(void)state;
	log_set_segment_bytes(l, 20000);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(fixture_append(l, i + 1, 6000, &pos[i]), 0);
		log_retain(l, pos[i], 6000);
	}
	assert_int_equal(log_checkpoint(l, write_state, &job), 0);
	for (live = 0; pos[live].segment < 3; live++)
		;
	for (unsigned i = 0; i < 60; i++)
		if (i != live && pos[i].segment != pos[live + 1].segment + 1)
			log_release(l, pos[i], 6000);
	assert_true(log_dead_bytes(l) >= 50 * 6000);
	assert_int_equal(log_reclaim(l), 0);
	assert_int_equal(log_dead_bytes(l), 0);
	assert_false(fixture_exists("log-00000001"));
	assert_false(fixture_exists("log-00000002"));
	assert_true(fixture_exists("log-00000003"));
	assert_true(fixture_exists("log-00000004"));
	assert_false(fixture_exists("log-00000005"));
	fixture_assert_data(l, live + 1, pos[live], 6000);
	assert_int_equal(log_sync(l), 0);
	log_close(l);

	l = fixture_open_good();
	fixture_assert_seen(100, 110);
	fixture_assert_data(l, live + 1, pos[live], 6000);
	log_retain(l, pos[live], 6000);
	assert_int_equal(log_reclaim(l), 0);
	assert_true(fixture_exists("log-00000003"));
	assert_false(fixture_exists("log-00000004"));
	fixture_assert_data(l, live + 1, pos[live], 6000);
	log_close(l);
}

/* A process that was killed leaves records that are not durable: what only
 * they made dead must stay until they are. */
static void test_reclaim_waits_for_sync(void **state)
{
	struct log *l = fixture_open_good();
	struct state_job job = { 100, 110, 0 };

	(void)state;
	assert_int_equal(fixture_append(l, 1, 6000, NULL), 0);
	assert_int_equal(log_checkpoint(l, write_state, &job), 0);
	assert_int_equal(fixture_append(l, 111, 0, NULL), 0);
	log_close(l);
	l = fixture_open_good();
	assert_int_equal(log_reclaim(l), 0);
	assert_true(fixture_exists("log-00000001"));
	assert_int_equal(log_sync(l), 0);
	assert_int_equal(log_reclaim(l), 0);
	assert_false(fixture_exists("log-00000001"));
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(100, 111);
}

static void test_reclaim_punches(void **state)
{
	enum { N = 40, LEN = 50000 };
	struct log *l = fixture_open_good();
	struct log_pos pos[N];
	uint64_t before;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(fixture_append(l, i + 1, LEN, &pos[i]), 0);
		log_retain(l, pos[i], LEN);
	}
	assert_int_equal(log_sync(l), 0);
	before = log_disk_bytes(l);
	assert_true(before >= N * LEN);
	for (unsigned i = 0; i < N; i += 2)
		log_release(l, pos[i], LEN);
	assert_int_equal(log_dead_bytes(l), N / 2 * LEN);
	assert_int_equal(log_reclaim(l), 0);
	/* Not on a file system that cannot punch. */
	if (log_disk_bytes(l) == before)
		print_message("# no holes on this file system\n");
	else
		assert_true(log_disk_bytes(l) <=
			    before - (uint64_t)N / 2 * (LEN - 3 * 4096));
	for (unsigned i = 1; i < N; i += 2)
		fixture_assert_data(l, i + 1, pos[i], LEN);
	log_close(l);
	l = fixture_open_good();
	fixture_assert_seen(1, N);
	for (unsigned i = 1; i < N; i += 2)
		fixture_assert_data(l, i + 1, pos[i], LEN);
	log_close(l);
}

/* A write that fails half-way, by the limit on a file's size. */
static void test_append_fails_half_way(void **state)
{
	struct log *l = fixture_open_good();
	struct rlimit old, limit;
	struct log_pos pos;

	(void)state;
	assert_int_equal(fixture_append(l, 1, 100, NULL), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = fixture_size("log-00000001") + 30000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(fixture_append(l, 2, 100000, NULL), -EFBIG);
	assert_int_equal(fixture_size("log-00000001"), limit.rlim_cur - 30000);
	assert_int_equal(fixture_append(l, 3, 1000, &pos), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(fixture_append(l, 4, 100000, NULL), 0);
	fixture_assert_data(l, 3, pos, 1000);
	log_close(l);
	log_close(fixture_open_good());
	assert_int_equal(fx.count, 3);
	assert_int_equal(fx.seen[0].number, 1);
	assert_int_equal(fx.seen[1].number, 3);
	assert_int_equal(fx.seen[2].number, 4);
}

/* No descriptor for a new segment: that append fails, later ones do not. */
static void test_no_descriptors(void **state)
{
	struct log *l = fixture_open_good();
	struct rlimit old, limit;
	unsigned n = 0;
	int fd, r = 0;

	(void)state;
	log_set_segment_bytes(l, 1000);
	fd = dup(0);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (r == 0 && n < 100)
		r = fixture_append(l, ++n, 100, NULL);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(fixture_append(l, n, 100, NULL), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(fixture_append(l, n, 100, NULL), 0);
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(1, n);
}

/* --- threads --- */

struct shared {
	struct log *log;
	pthread_rwlock_t lock; /* as the view's: readers keep what they read */
	struct log_pos pos[FIXTURE_MAX];
	bool live[FIXTURE_MAX];
	unsigned count;
	atomic_bool done;
	atomic_uint bad, reads;
};

static void *reader_main(void *arg)
{
	struct shared *sh = arg;
	uint8_t got[900], want[900];

	for (unsigned i = 0; !atomic_load(&sh->done); i++) {
		pthread_rwlock_rdlock(&sh->lock);
		if (sh->count > 0 && sh->live[i % sh->count]) {
			unsigned n = i % sh->count;

			fixture_data(n + 1, want, sizeof(want));
			if (log_read(sh->log, sh->pos[n], got, sizeof(got)) ||
			    memcmp(got, want, sizeof(got)) != 0)
				atomic_fetch_add(&sh->bad, 1);
			atomic_fetch_add(&sh->reads, 1);
		}
		pthread_rwlock_unlock(&sh->lock);
	}
	return NULL;
}

static void *syncer_main(void *arg)
{
	struct shared *sh = arg;

	while (!atomic_load(&sh->done))
		if (log_sync(sh->log) || log_own_sync(sh->log, 0))
			atomic_fetch_add(&sh->bad, 1);
	return NULL;
}

static void owner_step(struct shared *sh, unsigned n)
{
	struct state_job job = { 1, n + 1, 0 };
	int r;

	pthread_rwlock_wrlock(&sh->lock);
	r = fixture_append(sh->log, n + 1, 900, &sh->pos[n]);
	log_retain(sh->log, sh->pos[n], 900);
	sh->live[n] = true;
	sh->count = n + 1;
	if (r == 0)
		r = log_own_write(sh->log, n % 200 + 1, &n, sizeof(n), n);
	if (r == 0 && n % 100 == 99)
		r = log_checkpoint(sh->log, write_state, &job);
	for (unsigned i = n > 200 ? n - 200 : n; n % 50 == 49 && i < n; i++) {
		if (!sh->live[i] || i % 20 == 0)
			continue;
		sh->live[i] = false;
		log_release(sh->log, sh->pos[i], 900);
	}
	if (r == 0 && n % 50 == 49)
		r = log_reclaim(sh->log);
	pthread_rwlock_unlock(&sh->lock);
	if (r)
		atomic_fetch_add(&sh->bad, 1);
}

static void test_threads(void **state)
{
	static struct shared sh;
	enum { STEPS = 300 };
	pthread_t readers[2], syncers[2];

	(void)state;
	memset(&sh, 0, sizeof(sh));
	pthread_rwlock_init(&sh.lock, NULL);
	sh.log = fixture_open_good();
	log_set_segment_bytes(sh.log, 20000);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			pthread_create(&readers[i], NULL, reader_main, &sh), 0);
		assert_int_equal(
			pthread_create(&syncers[i], NULL, syncer_main, &sh), 0);
	}
	for (unsigned n = 0; n < STEPS; n++)
		owner_step(&sh, n);
	atomic_store(&sh.done, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(readers[i], NULL);
		pthread_join(syncers[i], NULL);
	}
	assert_int_equal(atomic_load(&sh.bad), 0);
	assert_int_equal(log_sync(sh.log), 0);
	log_close(sh.log);
	pthread_rwlock_destroy(&sh.lock);
	log_close(fixture_open_good());
	fixture_assert_seen(1, STEPS);
}

#define LOG_TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_empty),
		LOG_TEST(test_round_trip),
		LOG_TEST(test_limits),
		LOG_TEST(test_segments),
		LOG_TEST(test_checkpoint),
		LOG_TEST(test_checkpoint_record_limits),
		LOG_TEST(test_refused_record),
		LOG_TEST(test_clear),
		LOG_TEST(test_reclaim_segments),
		LOG_TEST(test_reclaim_waits_for_sync),
		LOG_TEST(test_reclaim_punches),
		LOG_TEST(test_append_fails_half_way),
		LOG_TEST(test_no_descriptors),
		LOG_TEST(test_threads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
