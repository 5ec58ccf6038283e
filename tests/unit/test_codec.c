/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression: round trips with and without dictionaries, and everything
 * that must not decode. Frames and outputs lie on the heap in their exact
 * sizes, so that a sanitizer sees a step outside.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "store/base/cleanup.h"
#include "store/codec.h"

#define NSAMPLES 400

static struct codec_ctx *ctx;
static uint8_t *trained; /* a dictionary of make_samples() */
static size_t trained_len;
static struct codec_dict *dict;

static uint64_t random_next(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *x >> 33;
}

/* Text as of small source files: the words of a small vocabulary, in an
 * order that each seed makes its own. */
static size_t make_sample(uint64_t seed, char *text, size_t room)
{
	size_t len = 0;
	uint64_t x = seed * 977 + 5;

	while (len + 64 < room)
		len += snprintf(
			text + len, room - len,
			"export const item%d = require('./module-%d');\n",
			(int)(random_next(&x) % 500),
			(int)(random_next(&x) % 300));
	return len;
}

static char *make_samples(unsigned n, size_t each, size_t *ret_sizes)
{
	char *all = malloc(n * each);
	size_t len = 0;
	unsigned i;

	assert_non_null(all);
	for (i = 0; i < n; i++) {
		ret_sizes[i] = make_sample(i, all + len, each);
		len += ret_sizes[i];
	}
	return all;
}

static int setup(void **state)
{
	size_t sizes[NSAMPLES];
	char *samples = make_samples(NSAMPLES, 1500, sizes);

	(void)state;
	if (codec_ctx_new(&ctx) < 0 ||
	    codec_dict_train(samples, sizes, NSAMPLES, 16 << 10, &trained,
			     &trained_len) < 0 ||
	    codec_dict_new(trained, trained_len, CODEC_LEVEL_DEFAULT, &dict) <
		    0)
		return -1;
	free(samples);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	codec_dict_free(dict);
	codec_dict_free(NULL);
	codec_ctx_free(ctx);
	codec_ctx_free(NULL);
	free(trained);
	return 0;
}

/* Damaged frames are logged one by one; the lines are not for the reader of
 * a test. */
static int quiet(void **state)
{
	int null = open("/dev/null", O_WRONLY);

	*state = (void *)(intptr_t)dup(STDERR_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
	return 0;
}

static int loud(void **state)
{
	int saved = (int)(intptr_t)*state;

	dup2(saved, STDERR_FILENO);
	close(saved);
	return 0;
}

/* A frame of exactly its length on the heap. */
static uint8_t *frame_of(const struct codec_dict *with, const void *data,
			 size_t len, size_t *ret_len)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	uint8_t *frame;

	assert_int_equal(codec_compress(ctx, with, CODEC_LEVEL_DEFAULT, data,
					len, &out),
			 0);
	assert_true(out.len > 0);
	frame = malloc(out.len);
	assert_non_null(frame);
	memcpy(frame, out.data, out.len);
	*ret_len = out.len;
	return frame;
}

static int decode(const struct codec_dict *with, const void *frame,
		  size_t frame_len, size_t size)
{
	_cleanup_free_ void *copy = malloc(frame_len ? frame_len : 1);
	_cleanup_free_ void *out = malloc(size ? size : 1);

	assert_non_null(copy);
	assert_non_null(out);
	if (frame_len > 0)
		memcpy(copy, frame, frame_len);
	return codec_decompress(ctx, with, copy, frame_len, out, size);
}

static void assert_round_trip(const struct codec_dict *with, const void *data,
			      size_t len)
{
	size_t frame_len;
	_cleanup_free_ uint8_t *frame = frame_of(with, data, len, &frame_len);
	_cleanup_free_ uint8_t *out = malloc(len ? len : 1);

	assert_non_null(out);
	assert_int_equal(
		codec_decompress(ctx, with, frame, frame_len, out, len), 0);
	if (len > 0)
		assert_memory_equal(out, data, len);
}

static void test_round_trip(void **state)
{
	static const size_t lens[] = { 0,     1,     2,	    255,    256,
				       65791, 65792, 65793, 131072, 2 << 20 };
	uint8_t *data = malloc(2 << 20);
	uint64_t x = 3;
	size_t i;

	(void)state;
	assert_non_null(data);
	for (i = 0; i < 2 << 20; i++)
		data[i] = i % 3 ? i >> 8 : random_next(&x);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		assert_round_trip(NULL, data, lens[i]);
		assert_round_trip(dict, data, lens[i]);
	}
	for (i = 0; i < 2 << 20; i++)
		data[i] = random_next(&x); /* does not compress */
	assert_round_trip(NULL, data, 2 << 20);
	assert_round_trip(dict, data, 100000);
	free(data);
}

/* Frames are appended; what is in the buffer stays. Levels and dictionaries
 * of one call leave no trace in the next. */
static void test_calls_are_independent(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	char text[1500];
	size_t len = make_sample(9999, text, sizeof(text));
	size_t plain_len, with_len, n;
	_cleanup_free_ uint8_t *plain = frame_of(NULL, text, len, &plain_len);
	_cleanup_free_ uint8_t *with = frame_of(dict, text, len, &with_len);

	(void)state;
	assert_true(with_len < plain_len);
	buf_put(&out, "head", 4);
	assert_int_equal(codec_compress(ctx, dict, 3, text, len, &out), 0);
	assert_int_equal(codec_compress(ctx, NULL, 19, text, len, &out), 0);
	n = out.len;
	assert_int_equal(codec_compress(ctx, NULL, 3, text, len, &out), 0);
	assert_memory_equal(out.data, "head", 4);
	assert_memory_equal(out.data + 4, with, with_len);
	assert_int_equal(out.len - n, plain_len);
	assert_memory_equal(out.data + n, plain, plain_len);
}

static void assert_damage_is_seen(const struct codec_dict *with)
{
	char text[700];
	size_t len = make_sample(7, text, sizeof(text));
	size_t frame_len, bit, cut, refused = 0;
	_cleanup_free_ uint8_t *frame = frame_of(with, text, len, &frame_len);
	_cleanup_free_ uint8_t *more = calloc(1, 2 * frame_len);

	assert_non_null(more);
	assert_int_equal(decode(with, frame, frame_len, len), 0);
	for (bit = 0; bit < 8 * frame_len; bit++) {
		_cleanup_free_ char *out = malloc(len);
		int r;

		assert_non_null(out);
		frame[bit / 8] ^= 1 << bit % 8;
		r = codec_decompress(ctx, with, frame, frame_len, out, len);
		/* A few bits carry nothing, such as an unused one of the
		 * header or the name of a table; then the content must be
		 * right. */
		if (r == 0)
			assert_memory_equal(out, text, len);
		else
			assert_int_equal(r, -EBADMSG);
		if (bit / 8 >= frame_len - 4) /* the checksum */
			assert_int_equal(r, -EBADMSG);
		refused += r < 0;
		frame[bit / 8] ^= 1 << bit % 8;
	}
	assert_true(refused > 8 * frame_len * 9 / 10);
	for (cut = 0; cut < frame_len; cut++)
		assert_int_equal(decode(with, frame, cut, len), -EBADMSG);
	assert_int_equal(decode(with, frame, frame_len, len + 1), -EBADMSG);
	assert_int_equal(decode(with, frame, frame_len, len - 1), -EBADMSG);
	assert_int_equal(decode(with, frame, frame_len, 0), -EBADMSG);
	memcpy(more, frame, frame_len);
	assert_int_equal(decode(with, more, frame_len + 1, len), -EBADMSG);
	memcpy(more + frame_len, frame, frame_len);
	assert_int_equal(decode(with, more, 2 * frame_len, len), -EBADMSG);
	assert_int_equal(decode(with, more, 2 * frame_len, 2 * len), -EBADMSG);
}

static void test_damage_without_dictionary(void **state)
{
	(void)state;
	assert_damage_is_seen(NULL);
}

static void test_damage_with_dictionary(void **state)
{
	(void)state;
	assert_damage_is_seen(dict);
}

/* A sum that is missing or a size that is not given: zstd takes them. */
static void test_foreign_frames_are_refused(void **state)
{
	static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 4,	  0,
					     0,	   0,	 'd',  'a',  't', 'a' };
	ZSTD_CCtx *c = ZSTD_createCCtx();
	uint8_t frame[256];
	size_t n;

	(void)state;
	assert_non_null(c);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 0);
	n = ZSTD_compress2(c, frame, sizeof(frame), "content", 7);
	assert_false(ZSTD_isError(n));
	assert_int_equal(decode(NULL, frame, n, 7), -EBADMSG);

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(c, frame, sizeof(frame), "content", 7);
	assert_false(ZSTD_isError(n));
	assert_int_equal(decode(NULL, frame, n, 7), 0);

	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	n = ZSTD_compress2(c, frame, sizeof(frame), "content", 7);
	assert_false(ZSTD_isError(n));
	assert_int_equal(decode(NULL, frame, n, 7), -EBADMSG);
	ZSTD_freeCCtx(c);

	assert_int_equal(decode(NULL, skippable, sizeof(skippable), 0),
			 -EBADMSG);
	assert_int_equal(decode(NULL, "content", 7, 7), -EBADMSG);
	assert_int_equal(decode(NULL, NULL, 0, 0), -EBADMSG);
}

/* A header that promises more than any memory holds costs nothing. */
static void test_huge_content_size(void **state)
{
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe4,
					 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0x0f, 0x01, 0x00,
					 0x00, 0,    0,	   0,	 0 };

	(void)state;
	assert_int_equal(decode(NULL, frame, sizeof(frame), 100), -EBADMSG);
}

static void test_wrong_dictionary(void **state)
{
	size_t sizes[NSAMPLES], len, frame_len, other_len;
	_cleanup_free_ char *samples = make_samples(NSAMPLES, 900, sizes);
	_cleanup_free_ uint8_t *other_bytes = NULL;
	_cleanup_free_ uint8_t *frame = NULL;
	struct codec_dict *other;
	char text[1500];

	(void)state;
	len = make_sample(12345, text, sizeof(text));
	frame = frame_of(dict, text, len, &frame_len);
	assert_int_equal(codec_dict_train(samples, sizes, NSAMPLES, 8 << 10,
					  &other_bytes, &other_len),
			 0);
	assert_int_equal(codec_dict_new(other_bytes, other_len, 0, &other), 0);
	assert_int_equal(decode(dict, frame, frame_len, len), 0);
	assert_int_equal(decode(other, frame, frame_len, len), -EBADMSG);
	assert_int_equal(decode(NULL, frame, frame_len, len), -EBADMSG);
	codec_dict_free(other);
}

static void test_decoding_only_dictionary(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	struct codec_dict *reader;
	char text[1500];
	size_t len = make_sample(1, text, sizeof(text)), frame_len;
	_cleanup_free_ uint8_t *frame = frame_of(dict, text, len, &frame_len);

	(void)state;
	assert_int_equal(codec_dict_new(trained, trained_len, 0, &reader), 0);
	assert_int_equal(decode(reader, frame, frame_len, len), 0);
	assert_int_equal(codec_compress(ctx, reader, 3, text, len, &out),
			 -EINVAL);
	assert_int_equal(out.len, 0);
	codec_dict_free(reader);
}

static void test_bad_dictionaries(void **state)
{
	_cleanup_free_ uint8_t *copy = malloc(trained_len);
	_cleanup_free_ uint8_t *large = calloc(1, CODEC_DICT_MAX + 1);
	struct codec_dict *d = NULL;
	size_t len;

	(void)state;
	assert_non_null(copy);
	assert_non_null(large);
	assert_int_equal(codec_dict_new(NULL, 0, 3, &d), -EBADMSG);
	assert_int_equal(codec_dict_new("plain content", 13, 3, &d), -EBADMSG);
	memcpy(large, trained, trained_len);
	assert_int_equal(codec_dict_new(large, CODEC_DICT_MAX + 1, 3, &d),
			 -EFBIG);
	memcpy(copy, trained, trained_len);
	memset(copy + 4, 0, 4); /* identifier 0 */
	assert_int_equal(codec_dict_new(copy, trained_len, 3, &d), -EBADMSG);
	memcpy(copy, trained, trained_len);
	memset(copy + 8, 0xff, 40); /* its entropy tables */
	assert_int_equal(codec_dict_new(copy, trained_len, 3, &d), -EBADMSG);
	for (len = 0; len < 64; len++) {
		_cleanup_free_ uint8_t *part = malloc(len + 1);

		assert_non_null(part);
		memcpy(part, trained, len);
		assert_int_equal(codec_dict_new(part, len, 3, &d), -EBADMSG);
	}
	assert_null(d);
}

static void test_training(void **state)
{
	size_t sizes[NSAMPLES], len = 0, again_len = 0;
	_cleanup_free_ char *samples = make_samples(NSAMPLES, 1500, sizes);
	_cleanup_free_ uint8_t *again = NULL;
	uint8_t *none = NULL;

	(void)state;
	assert_in_range(trained_len, 256, 16 << 10);
	assert_int_equal(codec_dict_train(samples, sizes, NSAMPLES, 16 << 10,
					  &again, &again_len),
			 0);
	assert_int_equal(again_len, trained_len); /* the same bytes each time */
	assert_memory_equal(again, trained, trained_len);

	/* Too few samples, too few bytes, no room for a dictionary. */
	assert_int_equal(codec_dict_train(samples, sizes, 63, 16 << 10, &none,
					  &len),
			 -ENOENT);
	assert_int_equal(codec_dict_train(samples, sizes, 150, 16 << 10, &none,
					  &len),
			 -ENOENT);
	assert_int_equal(codec_dict_train(samples, sizes, 0, 16 << 10, &none,
					  &len),
			 -ENOENT);
	assert_int_equal(codec_dict_train(samples, sizes, NSAMPLES, 100, &none,
					  &len),
			 -ENOENT);
	assert_null(none);
	assert_int_equal(len, 0);
}

/* All samples zero bytes: whatever comes out is an answer, not a crash, and
 * a dictionary that comes out is one that works. */
static void test_training_on_zeros(void **state)
{
	size_t sizes[NSAMPLES], len = 0, i;
	_cleanup_free_ char *samples = calloc(NSAMPLES, 1500);
	_cleanup_free_ uint8_t *bytes = NULL;
	struct codec_dict *d;
	int r;

	(void)state;
	assert_non_null(samples);
	for (i = 0; i < NSAMPLES; i++)
		sizes[i] = 1500;
	r = codec_dict_train(samples, sizes, NSAMPLES, 16 << 10, &bytes, &len);
	if (r < 0) {
		assert_int_equal(r, -ENOENT);
		assert_null(bytes);
		return;
	}
	assert_int_equal(codec_dict_new(bytes, len, 3, &d), 0);
	assert_round_trip(d, samples, 1500);
	codec_dict_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define QUIET(f) cmocka_unit_test_setup_teardown(f, quiet, loud)
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_calls_are_independent),
		QUIET(test_damage_without_dictionary),
		QUIET(test_damage_with_dictionary),
		QUIET(test_foreign_frames_are_refused),
		QUIET(test_huge_content_size),
		QUIET(test_wrong_dictionary),
		QUIET(test_decoding_only_dictionary),
		QUIET(test_bad_dictionaries),
		cmocka_unit_test(test_training),
		cmocka_unit_test(test_training_on_zeros),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
