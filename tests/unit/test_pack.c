/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: round trips, the golden file, and damage. Every byte of a small pack
 * is flipped in turn; what was read from it must be right or refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/pack.h"
#include "store/pack_format.h"

#define CHUNKS 3

struct fixture {
	char dir[4096];
	int dirfd;
	struct codec_ctx *ctx;
};

/* A pack in memory, with what is in it. */
struct sample {
	struct digest name;
	uint64_t bytes;
	uint8_t *file;
	size_t file_len;
	uint32_t offs[CHUNKS];
};

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "%s/test_pack.XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->dirfd >= 0);
	assert_int_equal(codec_ctx_new(&f->ctx), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_set_level(LOG_LEVEL_INFO);
	codec_ctx_free(f->ctx);
	close(f->dirfd);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

/* Damage on purpose is said a thousand times. */
static void hush(void)
{
	log_set_level(0);
}

static const char *chunk_text(int n)
{
	static const char *const texts[CHUNKS] = {
		"module.exports = require('./lib/index');\n",
		"{\"name\": \"left-pad\", \"version\": \"1.3.0\"}\n",
		"The quick brown fox jumps over the lazy dog.\n",
	};

	return texts[n];
}

/* 1000 like texts, and a small dictionary of them. */
static void make_dict(uint8_t **ret_dict, size_t *ret_len)
{
	_cleanup_buf_ struct buf samples = BUF_INIT;
	static size_t sizes[4000];
	unsigned i;

	for (i = 0; i < 4000; i++) {
		size_t before = samples.len;

		buf_printf(
			&samples,
			"{\"name\": \"package-%u\", \"version\": \"%u.%u.0\","
			" \"main\": \"lib/index.js\", \"license\": \"%s\"}\n",
			i * 7919, i % 13, i % 7, i % 3 ? "MIT" : "ISC");
		sizes[i] = samples.len - before;
	}
	assert_int_equal(buf_error(&samples), 0);
	assert_int_equal(codec_dict_train(samples.data, sizes, 4000, 1024,
					  ret_dict, ret_len),
			 0);
}

static void add_chunk(struct fixture *f, struct pack_writer *w,
		      const struct codec_dict *dict, const void *data,
		      size_t len, uint32_t *ret_off)
{
	_cleanup_buf_ struct buf frame = BUF_INIT;
	struct digest digest;

	assert_int_equal(digest_of(data, len, &digest), 0);
	assert_int_equal(codec_compress(f->ctx, dict, 3, data, len, &frame), 0);
	assert_int_equal(pack_writer_add(w, &digest, len, dict != NULL,
					 frame.data, frame.len, ret_off),
			 0);
}

static void read_file(struct fixture *f, struct sample *s)
{
	char path[PACK_PATH_LEN + 1];

	pack_path(&s->name, path);
	assert_int_equal(io_read_file(f->dirfd, path, PACK_MAX_BYTES, &s->file,
				      &s->file_len),
			 0);
}

/* CHUNKS texts; those with an odd number with the dictionary, if any. */
static void make_sample(struct fixture *f, bool with_dict, struct sample *s)
{
	struct codec_dict *dict = NULL;
	_cleanup_free_ uint8_t *bytes = NULL;
	struct pack_writer *w;
	size_t len = 0;
	int i;

	if (with_dict) {
		make_dict(&bytes, &len);
		assert_int_equal(codec_dict_new(bytes, len, 3, &dict), 0);
	}
	assert_int_equal(pack_writer_new(f->dirfd, bytes, len, &w), 0);
	for (i = 0; i < CHUNKS; i++)
		add_chunk(f, w, i % 2 ? dict : NULL, chunk_text(i),
			  strlen(chunk_text(i)), &s->offs[i]);
	assert_int_equal(pack_writer_chunks(w), CHUNKS);
	assert_int_equal(pack_writer_commit(w, &s->name, &s->bytes), 0);
	pack_writer_free(w);
	codec_dict_free(dict);
	read_file(f, s);
}

/* Puts bytes into the place of pack `name`. */
static void put_file(struct fixture *f, const struct digest *name,
		     const void *data, size_t len)
{
	char path[PACK_PATH_LEN + 1];
	int fd;

	pack_path(name, path);
	path[2] = '\0';
	assert_true(mkdirat(f->dirfd, path, 0700) == 0 || errno == EEXIST);
	path[2] = '/';
	fd = openat(f->dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, data, len), 0);
	close(fd);
}

static void check_chunks(struct fixture *f, struct pack *p, bool with_dict)
{
	uint8_t out[256];
	int i;

	assert_int_equal(pack_chunks(p), CHUNKS);
	for (i = 0; i < CHUNKS; i++) {
		const char *want = chunk_text(i);
		struct pack_chunk c;
		struct digest digest;

		assert_int_equal(pack_chunk_at(p, i, &c), 0);
		assert_int_equal(c.size, strlen(want));
		assert_int_equal(c.has_dict, with_dict && i % 2);
		assert_int_equal(digest_of(want, c.size, &digest), 0);
		assert_memory_equal(&c.digest, &digest, sizeof(digest));
		assert_int_equal(pack_read(p, f->ctx, c.off, c.len, c.has_dict,
					   0, out, c.size),
				 0);
		assert_memory_equal(out, want, c.size);
	}
	assert_int_equal(pack_chunk_at(p, CHUNKS, &(struct pack_chunk){ 0 }),
			 -ENOENT);
}

static void round_trip(struct fixture *f, bool with_dict)
{
	struct sample s;
	struct digest digest;
	struct pack *p;

	make_sample(f, with_dict, &s);
	assert_int_equal(s.bytes, s.file_len);
	assert_int_equal(digest_of(s.file, s.file_len, &digest), 0);
	assert_memory_equal(&s.name, &digest, sizeof(digest));
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	assert_int_equal(pack_bytes(p), s.bytes);
	assert_memory_equal(pack_name(p), &s.name, sizeof(s.name));
	check_chunks(f, p, with_dict);
	assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), 0);
	pack_unref(p);
	free(s.file);
}

static void test_round_trip(void **state)
{
	round_trip(*state, false);
}

static void test_round_trip_with_dictionary(void **state)
{
	round_trip(*state, true);
}

static void test_empty_pack(void **state)
{
	struct fixture *f = *state;
	struct pack_writer *w;
	struct pack_chunk c;
	struct digest name;
	struct pack *p;
	uint64_t bytes;

	assert_int_equal(pack_writer_new(f->dirfd, NULL, 0, &w), 0);
	assert_int_equal(pack_writer_commit(w, &name, &bytes), 0);
	pack_writer_free(w);
	assert_int_equal(bytes, sizeof(struct pack_header) +
					sizeof(struct pack_footer));
	assert_int_equal(pack_open(f->dirfd, &name, &p), 0);
	assert_int_equal(pack_chunks(p), 0);
	assert_int_equal(pack_chunk_at(p, 0, &c), -ENOENT);
	assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), 0);
	pack_unref(p);
}

/* xorshift64: incompressible, the same each time. */
static void fill_noise(uint8_t *data, size_t len, uint64_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		data[i] = seed;
	}
}

/* Frames of many sizes around the buffer's and the stack's limits. */
static void test_large_chunks(void **state)
{
	static const uint32_t sizes[] = { 1,	     65000,
					  65536,     66000,
					  1 << 20,   (1 << 20) + 1,
					  CHUNK_MAX, CHUNK_MAX - 1 };
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *data = malloc(CHUNK_MAX);
	_cleanup_free_ uint8_t *out = malloc(CHUNK_MAX);
	struct pack_writer *w;
	struct digest name;
	struct pack *p;
	uint64_t bytes;
	uint32_t off;
	size_t i;

	assert_int_equal(pack_writer_new(f->dirfd, NULL, 0, &w), 0);
	for (i = 0; i < 8; i++) {
		fill_noise(data, sizes[i], i + 1);
		add_chunk(f, w, NULL, data, sizes[i], &off);
	}
	off = pack_writer_bytes(w);
	assert_int_equal(pack_writer_commit(w, &name, &bytes), 0);
	assert_int_equal(bytes, off);
	pack_writer_free(w);
	assert_int_equal(pack_open(f->dirfd, &name, &p), 0);
	for (i = 0; i < 8; i++) {
		struct pack_chunk c;

		assert_int_equal(pack_chunk_at(p, i, &c), 0);
		assert_int_equal(c.size, sizes[i]);
		assert_int_equal(pack_read(p, f->ctx, c.off, c.len, false, 0,
					   out, c.size),
				 0);
		fill_noise(data, sizes[i], i + 1);
		assert_memory_equal(out, data, sizes[i]);
	}
	assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), 0);
	pack_unref(p);
}

static void test_same_content_is_the_same_pack(void **state)
{
	struct fixture *f = *state;
	struct sample a, b;

	make_sample(f, false, &a);
	make_sample(f, false, &b);
	assert_memory_equal(&a.name, &b.name, sizeof(a.name));
	assert_int_equal(a.file_len, b.file_len);
	assert_memory_equal(a.file, b.file, a.file_len);
	free(a.file);
	free(b.file);
}

static void test_uncommitted_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct pack_writer *w;
	uint32_t off;

	assert_int_equal(pack_writer_new(f->dirfd, NULL, 0, &w), 0);
	add_chunk(f, w, NULL, "abc", 3, &off);
	pack_writer_free(w);
	pack_writer_free(NULL);
	assert_int_equal(rmdir(f->dir), 0); /* it is empty */
	assert_int_equal(mkdir(f->dir, 0700), 0);
}

static void test_writer_limits(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ uint8_t *big = calloc(1, PACK_FRAME_MAX + 1);
	struct digest d = { { 1 } };
	struct pack_writer *w;
	uint32_t off, n = 0;
	int r;

	assert_int_equal(pack_writer_new(f->dirfd, big, CODEC_DICT_MAX + 1, &w),
			 -EFBIG);
	assert_int_equal(pack_writer_new(f->dirfd, NULL, 0, &w), 0);
	assert_int_equal(pack_writer_add(w, &d, 0, false, big, 9, &off),
			 -EINVAL);
	assert_int_equal(pack_writer_add(w, &d, 9, false, big, 0, &off),
			 -EINVAL);
	assert_int_equal(pack_writer_add(w, &d, 9, true, big, 9, &off),
			 -EINVAL);
	assert_int_equal(pack_writer_add(w, &d, CHUNK_MAX + 1, false, big, 9,
					 &off),
			 -EFBIG);
	assert_int_equal(pack_writer_add(w, &d, 9, false, big,
					 PACK_FRAME_MAX + 1, &off),
			 -EFBIG);
	/* Refusals leave the writer usable; what it takes has an end. */
	do
		r = pack_writer_add(w, &d, 9, false, big, PACK_FRAME_MAX, &off);
	while (r == 0 && ++n < 1000);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(n,
			 (PACK_MAX_BYTES - sizeof(struct pack_header) -
			  sizeof(struct pack_footer)) /
				 (PACK_FRAME_MAX + sizeof(struct pack_record)));
	assert_true(pack_writer_bytes(w) <= PACK_MAX_BYTES);
	pack_writer_free(w);
}

static void test_absent(void **state)
{
	struct fixture *f = *state;
	struct digest name = { { 0xab } };
	struct pack *p;

	assert_int_equal(pack_open(f->dirfd, &name, &p), -ENOENT);
}

static void test_read_outside_the_frames(void **state)
{
	struct fixture *f = *state;
	uint8_t out[256];
	struct sample s;
	struct pack *p;
	uint32_t end;

	hush();
	make_sample(f, false, &s);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	end = s.bytes - sizeof(struct pack_footer) -
	      CHUNKS * sizeof(struct pack_record);
	assert_int_equal(pack_read(p, f->ctx, 0, 20, false, 0, out, 41),
			 -EBADMSG);
	assert_int_equal(pack_read(p, f->ctx, 16, 0, false, 0, out, 41),
			 -EBADMSG);
	assert_int_equal(pack_read(p, f->ctx, 16, end - 16 + 1, false, 0, out,
				   41),
			 -EBADMSG);
	assert_int_equal(pack_read(p, f->ctx, end, 1, false, 0, out, 41),
			 -EBADMSG);
	assert_int_equal(pack_read(p, f->ctx, UINT32_MAX, UINT32_MAX, false, 0,
				   out, 41),
			 -EBADMSG);
	assert_int_equal(pack_read(p, f->ctx, 17, UINT32_MAX, false, 0, out,
				   41),
			 -EBADMSG);
	assert_int_equal(pack_read(p, f->ctx, 16, 20, false, 0, out, 0),
			 -EBADMSG);
	/* No dictionary is there to be wanted. */
	assert_int_equal(pack_read(p, f->ctx, 16, s.offs[1] - 16, true, 0, out,
				   strlen(chunk_text(0))),
			 -EBADMSG);
	pack_unref(p);
	free(s.file);
}

/* What it may answer depends on the file system; what it may read does not. */
static void test_nowait(void **state)
{
	struct fixture *f = *state;
	struct pack_chunk c;
	uint8_t out[256];
	struct sample s;
	struct pack *p;
	int r;

	make_sample(f, true, &s);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	assert_int_equal(pack_chunk_at(p, 1, &c), 0);
	r = pack_read(p, f->ctx, c.off, c.len, c.has_dict, PACK_READ_NOWAIT,
		      out, c.size);
	assert_true(r == 0 || r == -EAGAIN);
	if (r == 0)
		assert_memory_equal(out, chunk_text(1), c.size);
	assert_int_equal(pack_read(p, f->ctx, c.off, c.len, c.has_dict, 0, out,
				   c.size),
			 0);
	assert_memory_equal(out, chunk_text(1), c.size);
	pack_unref(p);
	free(s.file);
}

/* Bytes that are gone come as -EAGAIN first and as damage then. */
static void test_truncated_while_open(void **state)
{
	struct fixture *f = *state;
	char path[PACK_PATH_LEN + 1];
	struct pack_chunk c;
	uint8_t out[256];
	struct sample s;
	struct pack *p;
	int fd;

	hush();
	make_sample(f, false, &s);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	assert_int_equal(pack_chunk_at(p, 2, &c), 0);
	pack_path(&s.name, path);
	fd = openat(f->dirfd, path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, c.off + 1), 0);
	close(fd);
	assert_int_not_equal(pack_read(p, f->ctx, c.off, c.len, false,
				       PACK_READ_NOWAIT, out, c.size),
			     0);
	assert_int_equal(pack_read(p, f->ctx, c.off, c.len, false, 0, out,
				   c.size),
			 -EBADMSG);
	assert_int_equal(pack_chunk_at(p, 2, &c), -EBADMSG);
	assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), -EBADMSG);
	pack_unref(p);
	free(s.file);
}

static void count_damaged(void *arg, const struct pack_chunk *chunk)
{
	uint32_t *at = arg;

	*at = chunk->off;
}

/* Reads everything through the index; counts what was refused. Nothing that
 * was not refused may be wrong. */
static int read_all(struct fixture *f, struct pack *p)
{
	int i, refused = 0;

	for (i = 0; i < CHUNKS; i++) {
		const char *want = chunk_text(i);
		struct pack_chunk c;
		uint8_t out[256];
		int r;

		r = pack_chunk_at(p, i, &c);
		if (r == 0)
			r = pack_read(p, f->ctx, c.off, c.len, c.has_dict, 0,
				      out, c.size);
		assert_true(r == 0 || r == -EBADMSG);
		refused += r < 0;
		if (r == 0) {
			assert_int_equal(c.size, strlen(want));
			assert_memory_equal(out, want, c.size);
		}
	}
	return refused;
}

static bool all_known(void *arg, const struct pack_chunk *c)
{
	(void)arg;
	(void)c;
	return true;
}

static void check_flip(struct fixture *f, const struct sample *s, size_t at,
		       uint8_t bits)
{
	size_t first = s->offs[0];
	size_t index = s->file_len - sizeof(struct pack_footer) -
		       CHUNKS * sizeof(struct pack_record);
	uint32_t damaged = 0;
	struct pack *p;
	int r;

	s->file[at] ^= bits;
	put_file(f, &s->name, s->file, s->file_len);
	r = pack_open(f->dirfd, &s->name, &p);
	if (at < sizeof(struct pack_header) ||
	    at >= s->file_len - sizeof(struct pack_footer)) {
		assert_int_equal(r, -EBADMSG);
	} else {
		assert_int_equal(r, 0);
		r = read_all(f, p);
		if (at < first) /* the dictionary, of the one in the middle */
			assert_int_equal(r, 1);
		if (at >= index)
			assert_int_equal(r, CHUNKS);
		assert_int_equal(pack_verify(p, f->ctx, count_damaged,
					     &damaged),
				 -EBADMSG);
		assert_int_equal(pack_verify_rest(p, f->ctx, all_known, NULL),
				 -EBADMSG);
		/* One chunk's frame, and it is the one that is named. */
		if (at >= first && at < index && r == 1) {
			assert_true(damaged <= at);
			assert_true(damaged >= first);
		}
		pack_unref(p);
	}
	s->file[at] ^= bits;
}

static void test_flipped_bits(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	size_t at;

	hush();
	make_sample(f, true, &s);
	for (at = 0; at < s.file_len; at++) {
		check_flip(f, &s, at, 1 << (at % 8));
		check_flip(f, &s, at, 0xff);
	}
	free(s.file);
}

static void test_truncated(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	struct pack *p;
	size_t len;

	hush();
	make_sample(f, true, &s);
	for (len = 0; len < s.file_len; len++) {
		put_file(f, &s.name, s.file, len);
		assert_int_equal(pack_open(f->dirfd, &s.name, &p), -EBADMSG);
	}
	free(s.file);
}

/* Checksums keep out accidents; what is made with right checksums must be
 * refused by the checks behind them. */
static void resign(struct sample *s)
{
	struct pack_footer *footer =
		(void *)(s->file + s->file_len - sizeof(*footer));
	size_t index = s->file_len - sizeof(*footer) -
		       CHUNKS * sizeof(struct pack_record);

	le32_put(footer->index_crc,
		 crc32c(0, s->file + index,
			CHUNKS * sizeof(struct pack_record)));
	le32_put(footer->footer_crc,
		 crc32c(0, footer, offsetof(struct pack_footer, footer_crc)));
}

static void check_resigned(struct fixture *f, struct sample *s, void *field,
			   uint32_t value, int want_open, int want_chunk)
{
	uint32_t before = le32_get(field);
	struct pack_chunk c;
	struct pack *p;

	le32_put(field, value);
	resign(s);
	put_file(f, &s->name, s->file, s->file_len);
	assert_int_equal(pack_open(f->dirfd, &s->name, &p), want_open);
	if (want_open == 0) {
		assert_int_equal(pack_chunk_at(p, 0, &c), want_chunk);
		assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), -EBADMSG);
		pack_unref(p);
	}
	le32_put(field, before);
	resign(s);
}

static void test_crafted(void **state)
{
	struct fixture *f = *state;
	struct pack_footer *footer;
	struct pack_record *rec;
	struct sample s;
	uint32_t index;

	hush();
	make_sample(f, false, &s);
	footer = (void *)(s.file + s.file_len - sizeof(*footer));
	rec = (struct pack_record *)footer - CHUNKS;
	index = le32_get(footer->index_off);
	check_resigned(f, &s, footer->index_off, index + 48, -EBADMSG, 0);
	check_resigned(f, &s, footer->index_off, 0, -EBADMSG, 0);
	check_resigned(f, &s, footer->chunks, UINT32_MAX, -EBADMSG, 0);
	check_resigned(f, &s, footer->chunks, 0x05555558, -EBADMSG, 0);
	check_resigned(f, &s, footer->dict_off, 0, -EBADMSG, 0);
	check_resigned(f, &s, footer->dict_len, index - 15, -EBADMSG, 0);
	check_resigned(f, &s, footer->dict_len, UINT32_MAX, -EBADMSG, 0);
	check_resigned(f, &s, footer->version, 0, -EBADMSG, 0);
	check_resigned(f, &s, rec->off, 15, 0, -EBADMSG);
	check_resigned(f, &s, rec->off, index, 0, -EBADMSG);
	check_resigned(f, &s, rec->off, UINT32_MAX, 0, -EBADMSG);
	check_resigned(f, &s, rec->len, 0, 0, -EBADMSG);
	check_resigned(f, &s, rec->len, UINT32_MAX, 0, -EBADMSG);
	check_resigned(f, &s, rec->size, 0, 0, -EBADMSG);
	check_resigned(f, &s, rec->size, CHUNK_MAX + 1, 0, -EBADMSG);
	check_resigned(f, &s, rec->flags, PACK_CHUNK_DICT, 0, -EBADMSG);
	check_resigned(f, &s, rec->flags, 2, 0, -EBADMSG);
	check_resigned(f, &s, rec->digest, 7, 0, 0);
	free(s.file);
}

static void test_newer_format(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	struct pack *p;

	hush();
	make_sample(f, false, &s);
	le32_put(s.file + 8, PACK_VERSION + 1);
	le32_put(s.file + s.file_len - 12, PACK_VERSION + 1);
	put_file(f, &s.name, s.file, s.file_len);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), -ESTALE);
	free(s.file);
}

static void test_not_a_file(void **state)
{
	struct fixture *f = *state;
	char path[PACK_PATH_LEN + 1];
	struct digest name = { { 0x12 } };
	struct pack *p;

	hush();
	pack_path(&name, path);
	path[2] = '\0';
	assert_int_equal(mkdirat(f->dirfd, path, 0700), 0);
	path[2] = '/';
	assert_int_equal(mkdirat(f->dirfd, path, 0700), 0);
	assert_int_equal(pack_open(f->dirfd, &name, &p), -EBADMSG);
	assert_int_equal(unlinkat(f->dirfd, path, AT_REMOVEDIR), 0);
	assert_int_equal(mkfifoat(f->dirfd, path, 0600), 0);
	assert_int_equal(pack_open(f->dirfd, &name, &p), -EBADMSG);
}

static void *read_in_thread(void *arg)
{
	struct pack *p = arg;
	struct codec_ctx *ctx;
	struct pack_chunk c;
	uint8_t out[256];
	long bad = 0;
	int i;

	bad += codec_ctx_new(&ctx) < 0;
	for (i = 0; i < 100; i++) {
		bad += pack_chunk_at(p, i % CHUNKS, &c) < 0;
		bad += pack_read(p, ctx, c.off, c.len, c.has_dict, 0, out,
				 c.size) < 0;
		bad += memcmp(out, chunk_text(i % CHUNKS), c.size) != 0;
	}
	codec_ctx_free(ctx);
	pack_unref(p);
	return (void *)bad;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];
	struct sample s;
	struct pack *p;
	int i;

	make_sample(f, true, &s);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						read_in_thread, pack_ref(p)),
				 0);
	pack_unref(p);
	for (i = 0; i < 4; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	free(s.file);
}

static void read_golden(struct sample *s)
{
	const char *srcdir = getenv("LARDER_SRCDIR");
	_cleanup_free_ char *path =
		io_path("%s/tests/golden/pack-1.bin", srcdir ? srcdir : ".");

	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &s->file,
				      &s->file_len),
			 0);
	assert_int_equal(digest_of(s->file, s->file_len, &s->name), 0);
}

/* The file was made by this writer, at version 1, as make_sample() does. */
static void test_golden_is_read(void **state)
{
	struct fixture *f = *state;
	char hex[DIGEST_HEX_LEN + 1];
	struct sample s;
	struct pack *p;

	read_golden(&s);
	digest_hex(&s.name, hex);
	assert_string_equal(hex, "62565e22f05a89750b36fdc992fd461a"
				 "0ab0eef710cbd73a3fc5bd4f954842cc");
	put_file(f, &s.name, s.file, s.file_len);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	check_chunks(f, p, true);
	assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), 0);
	pack_unref(p);
	free(s.file);
}

/* Its frames and dictionary, written again, give its bytes: whatever the
 * version of zstd would make of the texts. */
static void test_golden_is_written(void **state)
{
	struct fixture *f = *state;
	struct pack_footer *footer;
	struct pack_writer *w;
	struct sample s;
	struct digest name;
	struct pack *p;
	uint64_t bytes;
	uint32_t i, off;

	read_golden(&s);
	put_file(f, &s.name, s.file, s.file_len);
	assert_int_equal(pack_open(f->dirfd, &s.name, &p), 0);
	footer = (void *)(s.file + s.file_len - sizeof(*footer));
	assert_int_equal(pack_writer_new(f->dirfd, s.file + 16,
					 le32_get(footer->dict_len), &w),
			 0);
	for (i = 0; i < CHUNKS; i++) {
		struct pack_chunk c;

		assert_int_equal(pack_chunk_at(p, i, &c), 0);
		assert_int_equal(pack_writer_add(w, &c.digest, c.size,
						 c.has_dict, s.file + c.off,
						 c.len, &off),
				 0);
		assert_int_equal(off, c.off);
	}
	assert_int_equal(pack_writer_commit(w, &name, &bytes), 0);
	assert_memory_equal(&name, &s.name, sizeof(name));
	assert_int_equal(bytes, s.file_len);
	pack_writer_free(w);
	pack_unref(p);
	free(s.file);
}

/* Asked about each, in order; says that it knows all but one. */
struct asked {
	uint32_t n, unknown;
};

static bool known_but_one(void *arg, const struct pack_chunk *c)
{
	struct asked *a = arg;

	assert_true(c->size > 0);
	return a->n++ != a->unknown;
}

/* A pack that has its name rightly, and an index that says of the second chunk
 * that it is another one. */
static void test_verify_the_rest(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf frame = BUF_INIT;
	struct digest name, other;
	struct pack_writer *w;
	struct pack *p;
	uint64_t bytes;
	uint32_t i, off;

	hush();
	assert_int_equal(digest_of("other", 5, &other), 0);
	assert_int_equal(pack_writer_new(f->dirfd, NULL, 0, &w), 0);
	add_chunk(f, w, NULL, "first", 5, &off);
	assert_int_equal(codec_compress(f->ctx, NULL, 3, "fixed", 5, &frame),
			 0);
	assert_int_equal(pack_writer_add(w, &other, 5, false, frame.data,
					 frame.len, &off),
			 0);
	add_chunk(f, w, NULL, "third", 5, &off);
	assert_int_equal(pack_writer_commit(w, &name, &bytes), 0);
	pack_writer_free(w);
	assert_int_equal(pack_open(f->dirfd, &name, &p), 0);
	assert_int_equal(pack_check_name(p), 0);
	assert_int_equal(pack_verify(p, f->ctx, NULL, NULL), -EBADMSG);
	for (i = 0; i < 3; i++) {
		struct asked a = { .unknown = i };

		assert_int_equal(pack_verify_rest(p, f->ctx, known_but_one, &a),
				 i == 1 ? -EBADMSG : 0);
		assert_int_equal(a.n, i == 1 ? 2 : 3);
	}
	pack_unref(p);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_round_trip_with_dictionary),
		T(test_empty_pack),
		T(test_large_chunks),
		T(test_same_content_is_the_same_pack),
		T(test_uncommitted_leaves_nothing),
		T(test_writer_limits),
		T(test_absent),
		T(test_read_outside_the_frames),
		T(test_nowait),
		T(test_truncated_while_open),
		T(test_flipped_bits),
		T(test_truncated),
		T(test_crafted),
		T(test_newer_format),
		T(test_not_a_file),
		T(test_threads),
		T(test_golden_is_read),
		T(test_golden_is_written),
		T(test_verify_the_rest),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
