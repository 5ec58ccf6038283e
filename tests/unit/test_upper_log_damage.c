/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper log (fs/log_format.h) when its files are not what was written:
 * cut at every length, changed at every byte, with writes missing as after a
 * power cut. Each time: all records before the place come back, no other
 * ever does, torn tail and damage are told apart, and a log that was cut can
 * be used again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "upper_log_fixture.h"

#define FIRST "log-00000001"
#define SECOND "log-00000002"
#define THIRD "log-00000003"
#define RECORDS 6
#define SYNCED 3 /* in the logs that power is cut from */

/* A small log as it was written, to be put back for each experiment. */
struct image {
	uint8_t *bytes; /* owned */
	size_t len;
	uint64_t off[RECORDS + 1]; /* of each record, and the end */
	uint64_t data_off[RECORDS];
};

static void image_release(struct image *im)
{
	free(im->bytes);
}

static void image_take(struct image *im, const char *name)
{
	free(im->bytes);
	assert_int_equal(io_read_file(fx.dirfd, name, 1u << 20, &im->bytes,
				      &im->len),
			 0);
}

static void put_file(const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd =
		openat(fx.dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite(fd, data, len, 0), 0);
}

static void remove_file(const char *name)
{
	assert_true(unlinkat(fx.dirfd, name, 0) == 0 || errno == ENOENT);
}

static size_t data_len_of(unsigned n)
{
	return n % 3 == 0 ? 0 : 10 + n * 9;
}

/* RECORDS records in one segment; a sync behind number `synced`. */
static void image_make(struct image *im, unsigned synced)
{
	struct log *l = fixture_open_good();

	im->off[0] = LOG_SEGMENT_HEADER;
	for (unsigned n = 1; n <= RECORDS; n++) {
		struct log_pos pos;

		assert_int_equal(fixture_append(l, n, data_len_of(n), &pos), 0);
		im->data_off[n - 1] = pos.off;
		im->off[n] = fixture_size(FIRST);
		if (n == synced)
			assert_int_equal(log_sync(l), 0);
	}
	log_close(l);
	image_take(im, FIRST);
}

static void image_put(const struct image *im)
{
	remove_file(SECOND);
	remove_file(THIRD);
	put_file(FIRST, im->bytes, im->len);
}

static void header_seal(uint8_t *header)
{
	le32_put(header + 40, crc32c(0, header, 40));
}

/* As if the segment were begun before the machine's last start. */
static void other_boot(uint8_t *header, uint8_t boot)
{
	memset(header + 16, boot, LOG_BOOT_ID);
	header_seal(header);
}

/* The log is open, not damaged, and holds 1 .. last; it takes more. */
static void assert_usable(struct log *l, unsigned last)
{
	fixture_assert_seen(1, last); /* 1 .. 0: none */
	assert_int_equal(fixture_append(l, last + 1, 50, NULL), 0);
	assert_int_equal(fixture_append(l, last + 2, 0, NULL), 0);
	log_close(l);
	l = fixture_open_good();
	fixture_assert_seen(1, last + 2);
	log_close(l);
}

static void assert_damaged(unsigned last)
{
	bool damaged = false;
	struct log *l = fixture_open(&damaged);

	assert_true(damaged);
	fixture_assert_seen(1, last);
	assert_int_equal(fixture_append(l, last + 1, 0, NULL), -EROFS);
	log_close(l);
}

static void assert_torn(unsigned last)
{
	assert_usable(fixture_open_good(), last);
}

/* Whole records within the first `len` bytes. */
static unsigned whole_records(const struct image *im, uint64_t len)
{
	unsigned n = 0;

	while (n < RECORDS && im->off[n + 1] <= len)
		n++;
	return n;
}

static void test_every_length(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };
	size_t whole;

	(void)state;
	image_make(&im, 0);
	whole = im.len;
	for (unsigned boot = 0; boot < 2; boot++) {
		if (boot)
			other_boot(im.bytes, 0xb0);
		for (im.len = 0; im.len <= whole; im.len++) {
			image_put(&im);
			assert_torn(whole_records(&im, im.len));
		}
	}
}

/* How many records still come back when the byte at `at` is changed. */
static unsigned records_before(const struct image *im, uint64_t at)
{
	unsigned n = whole_records(im, at);

	if (at < LOG_SEGMENT_HEADER)
		return 0;
	/* Data and padding are their reader's business. */
	return at < im->data_off[n] ? n : RECORDS;
}

/* What is behind the damage is told of, but where the segment's header, which
 * all records need, is what is damaged. */
static void assert_lost(const struct image *im, const struct log *l, size_t at,
			unsigned kept)
{
	const struct log_damage *damage = log_get_damage(l);
	bool header = at < LOG_SEGMENT_HEADER;

	assert_non_null(damage);
	assert_int_equal(damage->segment, 1);
	assert_int_equal(damage->off, header ? 0 : im->off[kept]);
	assert_int_equal(fx.lost, header ? 0 : RECORDS - kept - 1);
	assert_int_equal(damage->changes, fx.lost);
}

static void flip_at(const struct image *im, size_t at, uint8_t mask)
{
	_cleanup_free_ uint8_t *after = NULL;
	unsigned want = records_before(im, at);
	bool damaged = false;
	struct log *l;
	size_t len;

	im->bytes[at] ^= mask;
	image_put(im);
	l = fixture_open(&damaged);
	fixture_assert_seen(1, want);
	/* Only the last record can be taken for one that is cut off. */
	if (want == RECORDS) {
		assert_false(damaged);
		assert_null(log_get_damage(l));
	} else if (want < RECORDS - 1) {
		assert_true(damaged);
	}
	if (damaged) {
		assert_lost(im, l, at, want);
		assert_int_equal(fixture_append(l, 99, 0, NULL), -EROFS);
		log_close(l);
		assert_int_equal(io_read_file(fx.dirfd, FIRST, 1u << 20, &after,
					      &len),
				 0);
		assert_int_equal(len, im->len);
		assert_memory_equal(after, im->bytes, len);
	} else {
		assert_usable(l, want);
	}
	im->bytes[at] ^= mask;
}

static void test_every_flip(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };

	(void)state;
	image_make(&im, 0);
	for (size_t at = 0; at < im.len; at++) {
		flip_at(&im, at, 0xff);
		flip_at(&im, at, (uint8_t)(1u << at % 8));
	}
}

/* The last record, whole in length and wrong: in this boot no killed writer
 * leaves that. Before the last start, a power cut does. */
static void test_flip_in_last_record(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };

	(void)state;
	image_make(&im, SYNCED);
	im.bytes[im.off[RECORDS - 1] + LOG_RECORD_HEADER] ^= 1;
	image_put(&im);
	assert_damaged(RECORDS - 1);
	other_boot(im.bytes, 1);
	image_put(&im);
	assert_torn(RECORDS - 1);
}

static int write_state(void *arg, struct log_checkpoint *c)
{
	uint8_t items[64];
	int r = 0;

	(void)arg;
	for (unsigned n = 1; r == 0 && n <= 4; n++)
		r = log_checkpoint_put(c, items, fixture_items(n, items));
	return r;
}

/* Offsets in the checkpoint that write_state() makes: true for the padding,
 * which means nothing. */
static bool in_padding(size_t at, unsigned *ret_before)
{
	size_t off = LOG_SEGMENT_HEADER;
	uint8_t items[64];

	for (unsigned n = 1; n <= 4; n++) {
		size_t len = LOG_RECORD_HEADER + fixture_items(n, items);

		*ret_before = at < LOG_SEGMENT_HEADER ? 0 : n - 1;
		if (at < off + len)
			return false;
		off += (len + 7) & ~(size_t)7;
		if (at < off)
			return true;
	}
	*ret_before = 4;
	return false;
}

static void test_checkpoint_damage(void **state)
{
	_cleanup_(image_release) struct image cp = { 0 };
	struct log *l = fixture_open_good();

	(void)state;
	assert_int_equal(log_checkpoint(l, write_state, NULL), 0);
	assert_int_equal(fixture_append(l, 5, 9, NULL), 0);
	log_close(l);
	log_close(fixture_open_good());
	fixture_assert_seen(1, 5);
	image_take(&cp, LOG_CHECKPOINT_NAME);
	for (size_t at = 0; at < cp.len; at++) {
		unsigned before;
		bool harmless = in_padding(at, &before);

		cp.bytes[at] ^= (uint8_t)(1u << at % 8);
		put_file(LOG_CHECKPOINT_NAME, cp.bytes, cp.len);
		if (harmless) {
			log_close(fixture_open_good());
			fixture_assert_seen(1, 5);
		} else {
			assert_damaged(before);
		}
		cp.bytes[at] ^= (uint8_t)(1u << at % 8);
	}
	for (size_t len = 0; len < cp.len; len++) {
		unsigned before;

		put_file(LOG_CHECKPOINT_NAME, cp.bytes, len);
		(void)in_padding(len, &before);
		assert_damaged(before);
	}
	/* Nothing may follow its end. */
	cp.bytes = realloc(cp.bytes, cp.len + 8);
	assert_non_null(cp.bytes);
	memset(cp.bytes + cp.len, 0, 8);
	put_file(LOG_CHECKPOINT_NAME, cp.bytes, cp.len + 8);
	assert_damaged(4);
	put_file(LOG_CHECKPOINT_NAME, cp.bytes, cp.len);
	/* The segment behind it is gone. */
	remove_file(SECOND);
	remove_file(FIRST);
	assert_damaged(4);
	/* It was not written yet. */
	put_file(FIRST, "", 0);
	assert_usable(fixture_open_good(), 4);
}

/* --- power cuts: the segment is of another boot --- */

static void drop_write(struct image *im, unsigned n)
{
	memset(im->bytes + im->off[n - 1], 0, im->off[n] - im->off[n - 1]);
}

/* Every set of writes behind the last sync that did not reach the disk: the
 * log ends before the first of them, and none of what was synced is lost. */
static void test_power_cut_any_writes(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };
	_cleanup_free_ uint8_t *whole = NULL;

	(void)state;
	image_make(&im, SYNCED);
	other_boot(im.bytes, 1);
	whole = malloc(im.len);
	assert_non_null(whole);
	memcpy(whole, im.bytes, im.len);
	for (unsigned set = 0; set < 1u << (RECORDS - SYNCED); set++) {
		unsigned first = RECORDS + 1;

		memcpy(im.bytes, whole, im.len);
		for (unsigned n = RECORDS; n > SYNCED; n--) {
			if (!(set & 1u << (n - SYNCED - 1)))
				continue;
			drop_write(&im, n);
			first = n;
		}
		image_put(&im);
		assert_torn(first - 1);
	}
}

/* The same writes missing without a restart: nothing explains that. */
static void test_hole_in_this_boot(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };

	(void)state;
	image_make(&im, SYNCED);
	drop_write(&im, RECORDS - 1);
	image_put(&im);
	assert_damaged(RECORDS - 2);
}

/* A record that was synced is missing, and a later one knows that it was. */
static void test_hole_in_synced(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };

	(void)state;
	image_make(&im, SYNCED);
	other_boot(im.bytes, 1);
	drop_write(&im, SYNCED);
	image_put(&im);
	assert_damaged(SYNCED - 1);
}

/* Two segments: RECORDS records, then as many. */
static void two_segments(struct image *one, struct image *two, unsigned synced)
{
	struct log *l;

	image_make(one, 0);
	l = fixture_open_good();
	log_set_segment_bytes(l, 1);
	for (unsigned n = RECORDS + 1; n <= 2 * RECORDS; n++) {
		assert_int_equal(fixture_append(l, n, 20, NULL), 0);
		log_set_segment_bytes(l, LOG_SEGMENT_BYTES);
		if (n == synced)
			assert_int_equal(log_sync(l), 0);
	}
	log_close(l);
	image_take(two, SECOND);
}

static void put_two(const struct image *one, const struct image *two)
{
	image_put(one);
	put_file(SECOND, two->bytes, two->len);
}

static void test_hole_before_a_segment(void **state)
{
	_cleanup_(image_release) struct image one = { 0 }, two = { 0 };

	(void)state;
	two_segments(&one, &two, 0);
	put_two(&one, &two);
	log_close(fixture_open_good());
	fixture_assert_seen(1, 2 * RECORDS);
	drop_write(&one, 4);
	put_two(&one, &two);
	assert_damaged(3); /* one boot */

	other_boot(one.bytes, 1);
	put_two(&one, &two);
	assert_damaged(3); /* replayed whole when this boot began */

	other_boot(two.bytes, 2);
	put_two(&one, &two);
	assert_damaged(3); /* ... when the boot before began */

	other_boot(two.bytes, 1);
	put_two(&one, &two);
	assert_torn(3);
	assert_false(fixture_exists(THIRD));
}

static void test_hole_known_from_next_segment(void **state)
{
	_cleanup_(image_release) struct image one = { 0 }, two = { 0 };

	(void)state;
	two_segments(&one, &two, RECORDS + 2);
	other_boot(one.bytes, 1);
	other_boot(two.bytes, 1);
	drop_write(&one, 4);
	put_two(&one, &two);
	assert_damaged(3);
}

/* The first segment ends early, between two records. */
static void test_short_segment(void **state)
{
	_cleanup_(image_release) struct image one = { 0 }, two = { 0 };

	(void)state;
	two_segments(&one, &two, 0);
	two.len = LOG_SEGMENT_HEADER + 96; /* one record and no more */
	one.len = one.off[4];
	put_two(&one, &two);
	assert_damaged(4);
	other_boot(one.bytes, 1);
	other_boot(two.bytes, 1);
	put_two(&one, &two);
	assert_torn(4);
}

static void test_missing_segment(void **state)
{
	_cleanup_(image_release) struct image one = { 0 }, two = { 0 };

	(void)state;
	two_segments(&one, &two, 0);
	put_two(&one, &two);
	remove_file(FIRST);
	assert_damaged(0);
	other_boot(two.bytes, 1);
	put_file(SECOND, two.bytes, two.len);
	assert_damaged(0); /* the first one is never lost by a power cut */
}

/* The third follows the first, and what the second held was never synced. */
static void test_missing_in_between(void **state)
{
	_cleanup_(image_release) struct image one = { 0 }, two = { 0 };

	(void)state;
	two_segments(&one, &two, 0);
	le32_put(two.bytes + 12, 3);
	header_seal(two.bytes);
	image_put(&one);
	put_file(THIRD, two.bytes, two.len);
	assert_damaged(RECORDS);
	other_boot(one.bytes, 1);
	other_boot(two.bytes, 1);
	image_put(&one);
	put_file(THIRD, two.bytes, two.len);
	assert_torn(RECORDS);
}

static void test_segment_headers(void **state)
{
	_cleanup_(image_release) struct image one = { 0 }, two = { 0 };
	_cleanup_free_ uint8_t *zeros = NULL;
	struct log *l = NULL;
	bool damaged;

	(void)state;
	two_segments(&one, &two, 0);
	zeros = calloc(1, two.len);
	assert_non_null(zeros);
	image_put(&one);
	put_file(SECOND, zeros, two.len);
	assert_damaged(RECORDS); /* its blocks cannot be lost in this boot */
	other_boot(one.bytes, 1);
	image_put(&one);
	put_file(SECOND, zeros, two.len);
	assert_torn(RECORDS);
	/* Another number than its name's. */
	le32_put(two.bytes + 12, 3);
	header_seal(two.bytes);
	put_two(&one, &two);
	assert_damaged(RECORDS);
	/* A newer format is no damage: a newer version reads it. */
	le32_put(two.bytes + 12, 2);
	le32_put(two.bytes + 8, LOG_FORMAT + 1);
	header_seal(two.bytes);
	put_two(&one, &two);
	assert_int_equal(log_open(fx.dirfd, fixture_replay, NULL, &l, &damaged),
			 -ESTALE);
	le32_put(two.bytes + 8, 0);
	header_seal(two.bytes);
	put_two(&one, &two);
	assert_damaged(RECORDS);
}

/* Segment names that nothing of ours makes. */
static void test_strange_names(void **state)
{
	struct log *l = NULL;
	bool damaged;

	(void)state;
	put_file("log-00000000", "x", 1);
	put_file("log-0000000g", "x", 1);
	put_file("log-000000001", "x", 1);
	assert_usable(fixture_open_good(), 0);
	put_file("log-ffffffff", "x", 1);
	log_close(fixture_open_good());
	remove_file("log-ffffffff");
	assert_int_equal(mkdirat(fx.dirfd, SECOND, 0700), 0);
	assert_int_equal(log_open(fx.dirfd, fixture_replay, NULL, &l, &damaged),
			 -EBADMSG);
	assert_int_equal(unlinkat(fx.dirfd, SECOND, AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat(FIRST, fx.dirfd, SECOND), 0);
	assert_int_equal(log_open(fx.dirfd, fixture_replay, NULL, &l, &damaged),
			 -EBADMSG);
}

/* A user's file with the bytes of this very log, as the data of a record that
 * a killed daemon wrote half of: no record in it counts. */
static void test_log_inside_log(void **state)
{
	_cleanup_(image_release) struct image im = { 0 };
	uint8_t items[64];
	struct log *l;
	uint64_t size;
	int fd;

	(void)state;
	image_make(&im, 0);
	/* Another log, whose later records are in the data. */
	remove_file(FIRST);
	l = fixture_open_good();
	for (unsigned n = 1; n <= 3; n++)
		assert_int_equal(fixture_append(l, n, 0, NULL), 0);
	/* 8 bytes of items: the right alignment. */
	assert_int_equal(log_append(l, items, fixture_items(59, items),
				    im.bytes + im.off[0], im.len - im.off[0],
				    NULL),
			 0);
	log_close(l);
	size = fixture_size(FIRST) - 8;
	fd = openat(fx.dirfd, FIRST, O_WRONLY);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	assert_torn(3);
}

#define LOG_TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_every_length),
		LOG_TEST(test_every_flip),
		LOG_TEST(test_flip_in_last_record),
		LOG_TEST(test_checkpoint_damage),
		LOG_TEST(test_power_cut_any_writes),
		LOG_TEST(test_hole_in_this_boot),
		LOG_TEST(test_hole_in_synced),
		LOG_TEST(test_hole_before_a_segment),
		LOG_TEST(test_hole_known_from_next_segment),
		LOG_TEST(test_short_segment),
		LOG_TEST(test_missing_segment),
		LOG_TEST(test_missing_in_between),
		LOG_TEST(test_segment_headers),
		LOG_TEST(test_strange_names),
		LOG_TEST(test_log_inside_log),
	};

	/* Thousands of logs are damaged here; each would say so. */
	log_set_level((enum log_level)0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
