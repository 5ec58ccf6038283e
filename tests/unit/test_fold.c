/* SPDX-License-Identifier: Apache-2.0 */
/* Folded blobs as bytes: what goes in comes out, and nothing else does. */
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
#include <sys/mman.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/fold.h"

#define BYTES 50000u

/* An anchor and what is much like it. */
static uint8_t anchor[BYTES], data[BYTES];

static int setup(void **state)
{
	uint64_t seed = 1;
	size_t i;

	(void)state;
	log_set_level(0);
	for (i = 0; i < BYTES; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		anchor[i] = (uint8_t)(seed >> 56);
	}
	memcpy(data, anchor, BYTES);
	for (i = 100; i < BYTES; i += 5000)
		data[i] ^= 0x5a;
	return 0;
}

static struct fold_header header(bool anchored)
{
	struct fold_header h = { .kind = FOLD_CATALOG, .bytes = BYTES };

	assert_int_equal(digest_of(data, BYTES, &h.name), 0);
	if (anchored)
		assert_int_equal(digest_of(anchor, BYTES, &h.anchor), 0);
	return h;
}

static struct buf folded(bool anchored)
{
	const struct fold_header h = header(anchored);
	struct buf file = BUF_INIT;

	assert_int_equal(fold_encode(&h, anchored ? anchor : NULL,
				     anchored ? BYTES : 0, data, &file),
			 0);
	return file;
}

/* What fold_read_header() says of a file with these bytes. */
static int read_header(const void *bytes, size_t len, struct fold_header *h)
{
	_cleanup_close_ int fd = memfd_create("fold", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, 0), len);
	return fold_read_header(fd, h);
}

/* The whole way back: 0, or what it fails with. */
static int unfold(const uint8_t *file, size_t len, bool anchored, uint8_t *out)
{
	struct fold_header h;
	int r = read_header(file, len, &h);

	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	if (h.bytes != BYTES)
		return -EBADMSG;
	return fold_decode(&h, anchored ? anchor : NULL, anchored ? BYTES : 0,
			   file, len, out);
}

static void comes_back(bool anchored)
{
	_cleanup_buf_ struct buf file = folded(anchored);
	const struct fold_header want = header(anchored);
	static uint8_t out[BYTES];
	struct fold_header h;

	assert_int_equal(read_header(file.data, file.len, &h), 1);
	assert_int_equal(h.kind, FOLD_CATALOG);
	assert_int_equal(h.bytes, BYTES);
	assert_true(digest_equal(&h.name, &want.name));
	assert_true(digest_equal(&h.anchor, &want.anchor));
	memset(out, 0, BYTES);
	assert_int_equal(unfold(file.data, file.len, anchored, out), 0);
	assert_memory_equal(out, data, BYTES);
	/* Noise that is there already takes next to nothing. */
	assert_true(anchored ? file.len < 1000 : file.len > BYTES);
}

static void what_goes_in_comes_out(void **state)
{
	(void)state;
	comes_back(false);
	comes_back(true);
}

/* Every byte of the header and of the anchored frame, and some of a long one. */
static void any_damage_is_seen(void **state)
{
	static uint8_t out[BYTES];
	int anchored;
	size_t i;

	(void)state;
	for (anchored = 0; anchored <= 1; anchored++) {
		_cleanup_buf_ struct buf file = folded(anchored);

		for (i = 0; i < file.len; i += i < 1000 ? 1 : 977) {
			file.data[i] ^= 0x10;
			if (unfold(file.data, file.len, anchored, out) == 0 &&
			    memcmp(out, data, BYTES) != 0)
				fail_msg("byte %zu", i);
			/* zstd does not look at all bits of its header. */
			if (i < FOLD_HEADER_BYTES)
				assert_int_equal(unfold(file.data, file.len,
							anchored, out),
						 -EBADMSG);
			file.data[i] ^= 0x10;
		}
		for (i = 0; i < file.len; i += i < 200 ? 1 : 977)
			assert_int_equal(unfold(file.data, i, anchored, out),
					 -EBADMSG);
		buf_put_u8(&file, 0);
		assert_int_equal(unfold(file.data, file.len, anchored, out),
				 -EBADMSG);
	}
}

static void another_anchor_is_seen(void **state)
{
	_cleanup_buf_ struct buf file = folded(true);
	static uint8_t out[BYTES];

	(void)state;
	assert_int_equal(unfold(file.data, file.len, false, out), -EBADMSG);
	anchor[BYTES / 2] ^= 1;
	assert_int_equal(unfold(file.data, file.len, true, out), -EBADMSG);
	anchor[BYTES / 2] ^= 1;
	assert_int_equal(unfold(file.data, file.len, true, out), 0);
}

static void put_crc(struct buf *file)
{
	le32_put(file->data + FOLD_HEADER_BYTES - 4,
		 crc32c(0, file->data, FOLD_HEADER_BYTES - 4));
}

/* A header that is whole and says what no header may. */
static void header_limits(void **state)
{
	_cleanup_buf_ struct buf file = folded(false);
	struct fold_header h = header(false);
	struct buf none = BUF_INIT;

	(void)state;
	le32_put(file.data + 8, 2); /* version */
	put_crc(&file);
	assert_int_equal(read_header(file.data, file.len, &h), -ESTALE);
	le32_put(file.data + 8, 0);
	put_crc(&file);
	assert_int_equal(read_header(file.data, file.len, &h), -EBADMSG);
	le32_put(file.data + 8, 1);
	le32_put(file.data + 12, 3); /* kind */
	put_crc(&file);
	assert_int_equal(read_header(file.data, file.len, &h), -EBADMSG);
	le32_put(file.data + 12, FOLD_PLACEMENT);
	le64_put(file.data + 80, FOLD_BYTES_MAX + 1);
	put_crc(&file);
	assert_int_equal(read_header(file.data, file.len, &h), -EBADMSG);
	le64_put(file.data + 80, FOLD_BYTES_MAX);
	put_crc(&file);
	assert_int_equal(read_header(file.data, file.len, &h), 1);
	assert_int_equal(h.kind, FOLD_PLACEMENT);
	h.bytes = FOLD_BYTES_MAX + 1;
	assert_int_equal(fold_encode(&h, NULL, 0, data, &none), -EFBIG);
	h.bytes = 0;
	assert_int_equal(fold_encode(&h, NULL, 0, data, &none), -EFBIG);
}

static void other_files_are_no_folded_ones(void **state)
{
	struct fold_header h;

	(void)state;
	assert_int_equal(read_header(anchor, BYTES, &h), 0);
	assert_int_equal(read_header("LARDFLD", 7, &h), 0);
	assert_int_equal(read_header("LARDFLD", 8, &h), -EBADMSG);
	assert_int_equal(read_header("", 0, &h), 0);
}

/* What was folded once can be unfolded for ever. */
static void the_golden_file_is_unfolded(void **state)
{
	const char *top = getenv("LARDER_SRCDIR");
	_cleanup_free_ uint8_t *file = NULL;
	static uint8_t out[BYTES];
	char path[400];
	size_t len;

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/golden/fold-1.bin",
		 top ? top : ".");
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &file, &len), 0);
	memset(out, 0, BYTES);
	assert_int_equal(unfold(file, len, true, out), 0);
	assert_memory_equal(out, data, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(any_damage_is_seen),
		cmocka_unit_test(another_anchor_is_seen),
		cmocka_unit_test(header_limits),
		cmocka_unit_test(the_golden_file_is_unfolded),
		cmocka_unit_test(other_files_are_no_folded_ones),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, NULL);
}
