/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placements: what was encoded is found again, packs are named once, and
 * damage, other catalogs and records outside their limits are refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/placement.h"
#include "tests/unit/catalog_model.h"

#define CHUNKS 50
#define PACKS 3
#define RECORDS_AT (64 + PACKS * 32)

struct fixture {
	struct catalog *c;
	struct digest digest;
	struct buf blob;
	int fd;
};

static int find_chunk(void *arg, uint32_t chunk, const struct digest *digest,
		      struct pack_loc *ret_loc)
{
	struct digest want = model_digest(1000 + chunk);

	(void)arg;
	assert_true(digest_equal(digest, &want));
	ret_loc->pack = model_digest(chunk * PACKS / CHUNKS);
	ret_loc->off = chunk == CHUNKS - 1 ? PACK_MAX_BYTES - 3 : chunk * 100;
	ret_loc->len = chunk == CHUNKS - 1 ? 3 : 4u << 20;
	ret_loc->has_dict = chunk % 2;
	return 0;
}

static struct catalog *chunky_catalog(uint32_t chunks,
				      struct digest *ret_digest)
{
	struct catalog_meta root = { .mode = S_IFDIR | 0755 };
	struct catalog_meta meta = { .mode = S_IFREG | 0644 };
	struct buf blob = BUF_INIT;
	struct catalog_build *b;
	const uint32_t *files;
	struct catalog *c;
	uint32_t node, i;
	size_t n;

	assert_int_equal(catalog_build_new(&root, &b), 0);
	assert_int_equal(catalog_build_node(b, &meta, &node), 0);
	assert_int_equal(catalog_build_link(b, 0, "file", 4, node), 0);
	assert_int_equal(catalog_build_order(b, &files, &n), 0);
	for (i = 0; i < chunks; i++) {
		struct digest d = model_digest(1000 + i);

		assert_int_equal(catalog_build_piece(b, node, &d, 1 + i), 0);
	}
	assert_int_equal(catalog_build_finish(b, &blob, ret_digest), 0);
	assert_int_equal(catalog_open_mem(blob.data, blob.len,
					  CATALOG_CHECK_FULL, &c),
			 0);
	buf_release(&blob);
	catalog_build_free(b);
	return c;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level((enum log_level)0);
	f->c = chunky_catalog(CHUNKS, &f->digest);
	assert_int_equal(placement_encode(f->c, &f->digest, find_chunk, NULL,
					  &f->blob),
			 0);
	f->fd = memfd_create("test_placement", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	catalog_unref(f->c);
	buf_release(&f->blob);
	close(f->fd);
	free(f);
	return 0;
}

static int open_len(struct fixture *f, size_t len, bool full,
		    struct placement **ret)
{
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(io_pwrite(f->fd, f->blob.data, len, 0), 0);
	return placement_open_fd(f->fd, f->c, &f->digest, full, ret);
}

static int open_blob(struct fixture *f, bool full, struct placement **ret)
{
	return open_len(f, f->blob.len, full, ret);
}

/* Makes the checksum right again, so that other checks are reached. */
static void seal(struct fixture *f)
{
	size_t body = f->blob.len - 4;

	le32_put(f->blob.data + body, crc32c(0, f->blob.data, body));
}

static void test_encoded_is_found(void **state)
{
	struct fixture *f = *state;
	struct placement *p;
	uint32_t i;

	assert_int_equal(open_blob(f, true, &p), 0);
	assert_int_equal(f->blob.len, RECORDS_AT + CHUNKS * 12 + 4);
	assert_int_equal(placement_packs(p), PACKS);
	for (i = 0; i < CHUNKS; i++) {
		struct digest d = model_digest(1000 + i);
		struct placement_loc loc;
		struct pack_loc want;

		find_chunk(NULL, i, &d, &want);
		assert_int_equal(placement_find(p, i, &loc), 0);
		assert_true(
			digest_equal(placement_pack(p, loc.pack), &want.pack));
		assert_int_equal(loc.off, want.off);
		assert_int_equal(loc.len, want.len);
		assert_int_equal(loc.has_dict, want.has_dict);
	}
	assert_null(placement_pack(p, PACKS));
	placement_free(p);
	placement_free(NULL);
}

static void test_no_chunks_is_a_placement(void **state)
{
	struct fixture *f = *state;
	struct placement_loc loc;
	struct placement *p;

	catalog_unref(f->c);
	buf_release(&f->blob);
	f->c = chunky_catalog(0, &f->digest);
	assert_int_equal(placement_encode(f->c, &f->digest, find_chunk, NULL,
					  &f->blob),
			 0);
	assert_int_equal(open_blob(f, true, &p), 0);
	assert_int_equal(placement_packs(p), 0);
	assert_int_equal(placement_find(p, 0, &loc), -EBADMSG);
	placement_free(p);
}

static int find_none(void *arg, uint32_t chunk, const struct digest *digest,
		     struct pack_loc *ret_loc)
{
	(void)digest;
	*ret_loc = *(struct pack_loc *)arg;
	return chunk < 7 ? 0 : -ENOENT;
}

static void test_encode_passes_errors_on(void **state)
{
	struct fixture *f = *state;
	struct pack_loc loc = { .off = 1, .len = 1 };
	struct buf blob = BUF_INIT;

	assert_int_equal(placement_encode(f->c, &f->digest, find_none, &loc,
					  &blob),
			 -ENOENT);
	loc.len = 0;
	assert_int_equal(placement_encode(f->c, &f->digest, find_none, &loc,
					  &blob),
			 -EINVAL);
	assert_null(blob.data);
}

static void test_any_damage_is_found(void **state)
{
	struct fixture *f = *state;
	struct placement *p = NULL;
	size_t i;

	for (i = 0; i < f->blob.len; i++) {
		int err;

		f->blob.data[i] ^= 0x10;
		err = open_blob(f, true, &p);
		assert_int_equal(err, i >= 8 && i < 12 ? -ESTALE : -EBADMSG);
		f->blob.data[i] ^= 0x10;
	}
	for (i = 0; i < f->blob.len; i += 7)
		assert_int_equal(open_len(f, i, false, &p), -EBADMSG);
	assert_null(p);
}

static void test_unchecked_damage_is_contained(void **state)
{
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < f->blob.len; i++) {
		struct placement *p;
		uint32_t k;

		f->blob.data[i] ^= 0xff;
		if (open_blob(f, false, &p) == 0) {
			for (k = 0; k <= CHUNKS; k++) {
				struct placement_loc loc;
				int err = placement_find(p, k, &loc);

				assert_true(err == 0 || err == -EBADMSG);
				if (!err)
					assert_non_null(
						placement_pack(p, loc.pack));
			}
			placement_free(p);
		}
		f->blob.data[i] ^= 0xff;
	}
}

static void test_other_catalogs_are_refused(void **state)
{
	struct fixture *f = *state;
	struct catalog *other;
	struct placement *p;
	struct digest digest;

	other = chunky_catalog(CHUNKS - 1, &digest);
	assert_int_equal(open_blob(f, true, &p), 0);
	placement_free(p);
	assert_int_equal(placement_open_fd(f->fd, f->c, &digest, false, &p),
			 -EBADMSG);
	assert_int_equal(placement_open_fd(f->fd, other, &f->digest, false, &p),
			 -EBADMSG);
	catalog_unref(other);
}

static void refuse_record(struct fixture *f, uint32_t pack, uint32_t off,
			  uint32_t len)
{
	uint8_t *r = f->blob.data + RECORDS_AT + 5 * 12;
	struct placement_loc loc;
	struct placement *p;

	le32_put(r, pack);
	le32_put(r + 4, off);
	le32_put(r + 8, len);
	seal(f);
	assert_int_equal(open_blob(f, true, &p), -EBADMSG);
	assert_int_equal(open_blob(f, false, &p), 0);
	assert_int_equal(placement_find(p, 5, &loc), -EBADMSG);
	assert_int_equal(placement_find(p, 6, &loc), 0);
	placement_free(p);
}

static void test_records_outside_limits_are_refused(void **state)
{
	struct fixture *f = *state;

	refuse_record(f, PACKS, 0, 1);
	refuse_record(f, UINT32_MAX, 0, 1);
	refuse_record(f, 0, 0, 0);
	refuse_record(f, 0, 0, (4u << 20) + 1);
	refuse_record(f, 0, PACK_MAX_BYTES, 1);
	refuse_record(f, 0, PACK_MAX_BYTES - 1, 2);
	refuse_record(f, 0, UINT32_MAX, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_encoded_is_found),
		TEST(test_no_chunks_is_a_placement),
		TEST(test_encode_passes_errors_on),
		TEST(test_any_damage_is_found),
		TEST(test_unchecked_damage_is_contained),
		TEST(test_other_catalogs_are_refused),
		TEST(test_records_outside_limits_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
