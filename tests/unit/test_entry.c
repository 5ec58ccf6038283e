/* SPDX-License-Identifier: Apache-2.0 */
/* Entries: encoding, the golden file, damage, limits; ENTRY references. */
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

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/entry.h"

static int hush(void **state)
{
	(void)state;
	log_set_level(0);
	return 0;
}

static int unhush(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

/* The key of entry-2.bin: that of the first vector in RFC 8032, 7.1. */
#define SECRET \
	"larder-secret-key:ci:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

/* The entry in tests/golden/entry-1.bin; and, signed, in entry-2.bin. */
static struct entry make_entry(void)
{
	struct entry e = {
		.tenant = strdup("local"),
		.namespace = strdup("default"),
		.name = strdup("web-app_1.0"),
		.key = strdup("0123456789abcdef"),
		.branch = strdup("feature/\xc3\xa9t\xc3\xa9@2"),
		.creator = strdup("me@here"),
		.parent = strdup("v1"),
		.parent_catalog = { { 1, 2, 3 } },
		.catalog = { { 0xff, 0xfe, [31] = 0x80 } },
		.files = 62285,
		.dirs = 3561,
		.bytes = UINT64_C(379000000),
		.new_files = 17,
		.new_bytes = UINT64_C(1) << 40,
		.stored_bytes = UINT64_MAX,
		.created_ns = INT64_C(1700000000123456789),
	};
	const struct digest a = { { 0xaa } }, b = { { 0xbb } };

	assert_int_equal(
		key_parts_add(&e.parts, "file", "package-lock.json", &a), 0);
	assert_int_equal(key_parts_add(&e.parts, "salt", "", &b), 0);
	return e;
}

static void check_same(const struct entry *a, const struct entry *b)
{
	size_t i;

	assert_string_equal(a->tenant, b->tenant);
	assert_string_equal(a->namespace, b->namespace);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->key, b->key);
	assert_string_equal(a->branch, b->branch);
	assert_string_equal(a->creator, b->creator);
	assert_string_equal(a->parent, b->parent);
	assert_memory_equal(&a->parent_catalog, &b->parent_catalog, DIGEST_LEN);
	assert_memory_equal(&a->catalog, &b->catalog, DIGEST_LEN);
	assert_true(a->files == b->files && a->dirs == b->dirs);
	assert_true(a->bytes == b->bytes);
	assert_true(a->new_files == b->new_files);
	assert_true(a->new_bytes == b->new_bytes);
	assert_true(a->stored_bytes == b->stored_bytes);
	assert_true(a->created_ns == b->created_ns);
	assert_int_equal(a->signature_count, b->signature_count);
	for (i = 0; i < a->signature_count; i++) {
		assert_string_equal(a->signatures[i].key, b->signatures[i].key);
		assert_memory_equal(a->signatures[i].bytes,
				    b->signatures[i].bytes, SIGN_LEN);
	}
	assert_int_equal(a->parts.count, b->parts.count);
	for (i = 0; i < a->parts.count; i++) {
		const struct key_part *x = &a->parts.items[i];
		const struct key_part *y = &b->parts.items[i];

		assert_string_equal(x->kind, y->kind);
		assert_string_equal(x->name, y->name);
		assert_memory_equal(&x->digest, &y->digest, DIGEST_LEN);
	}
}

static struct entry make_signed(void)
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	struct entry e = make_entry();

	assert_int_equal(sign_key_parse(SECRET, &key), 0);
	assert_int_equal(entry_sign(&e, key), 0);
	return e;
}

static void test_round_trip(void **state)
{
	_cleanup_entry_ struct entry e = make_entry(), got = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;

	(void)state;
	assert_int_equal(entry_encode(&e, &blob), 0);
	assert_int_equal(entry_decode(blob.data, blob.len, &got), 0);
	check_same(&e, &got);
}

static void test_empty_fields(void **state)
{
	struct entry e = {
		.tenant = (char *)"t",
		.namespace = (char *)"n",
		.name = (char *)"a",
		.key = (char *)"k",
	};
	_cleanup_entry_ struct entry got = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;

	(void)state;
	assert_int_equal(entry_encode(&e, &blob), 0);
	assert_int_equal(entry_decode(blob.data, blob.len, &got), 0);
	assert_string_equal(got.branch, "");
	assert_string_equal(got.creator, "");
	assert_string_equal(got.parent, "");
	assert_int_equal(got.parts.count, 0);
	assert_true(digest_is_zero(&got.parent_catalog));
}

static void test_copy(void **state)
{
	_cleanup_entry_ struct entry e = make_entry(), copy = ENTRY_INIT;
	_cleanup_entry_ struct entry again = make_entry(), empty = ENTRY_INIT;

	(void)state;
	assert_int_equal(entry_copy(&e, &copy), 0);
	entry_release(&e);
	check_same(&copy, &again);
	assert_int_equal(entry_copy(&e, &empty), 0);
	assert_null(empty.name);
}

static uint8_t *read_version(int version, size_t *ret_len)
{
	const char *srcdir = getenv("LARDER_SRCDIR");
	_cleanup_free_ char *path = io_path("%s/tests/golden/entry-%d.bin",
					    srcdir ? srcdir : ".", version);
	uint8_t *data;

	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &data, ret_len),
			 0);
	return data;
}

static uint8_t *read_golden(size_t *ret_len)
{
	return read_version(1, ret_len);
}

static void check_golden(const struct entry *e, int version)
{
	_cleanup_entry_ struct entry got = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	data = read_version(version, &len);
	assert_int_equal(entry_decode(data, len, &got), 0);
	check_same(e, &got);
	assert_int_equal(entry_encode(e, &blob), 0);
	assert_int_equal(blob.len, len);
	assert_memory_equal(blob.data, data, len);
}

/* What has no signature is written as it always was. */
static void test_golden(void **state)
{
	_cleanup_entry_ struct entry e = make_entry(), s = make_signed();

	(void)state;
	check_golden(&e, 1);
	check_golden(&s, 2);
}

static void check_refused(const void *data, size_t len, int want)
{
	/* A copy of its own, so that a sanitizer sees a read behind it. */
	_cleanup_free_ uint8_t *copy = malloc(len + !len);
	struct entry e = ENTRY_INIT;

	memcpy(copy, data, len);
	assert_int_equal(entry_decode(copy, len, &e), want);
	assert_null(e.tenant);
}

static void test_flipped_bits(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len, i;

	(void)state;
	data = read_golden(&len);
	for (i = 0; i < 8 * len; i++) {
		bool version = i / 8 >= 8 && i / 8 < 12;

		data[i / 8] ^= 1 << i % 8;
		/* Version 1 becomes 0 by one bit, and newer by all others. */
		check_refused(data, len,
			      version && i != 64 ? -ESTALE : -EBADMSG);
		data[i / 8] ^= 1 << i % 8;
	}
}

/* No bit of a signed one but those of the version leaves it what it is, and
 * those leave it nothing. */
static void test_flipped_bits_signed(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len, i;

	(void)state;
	data = read_version(2, &len);
	for (i = 0; i < 8 * len; i++) {
		bool newer = i / 8 >= 8 && i / 8 < 12 && i != 65;

		data[i / 8] ^= 1 << i % 8;
		check_refused(data, len, newer ? -ESTALE : -EBADMSG);
		data[i / 8] ^= 1 << i % 8;
	}
}

static void resign(uint8_t *data, size_t len)
{
	le32_put(data + len - 4, crc32c(0, data, len - 4));
}

static void test_truncated_and_trailing(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t longer[1024] = { 0 };
	size_t len, i;

	(void)state;
	data = read_golden(&len);
	for (i = 0; i < len; i++)
		check_refused(data, i, -EBADMSG);
	/* And with a checksum that fits. */
	for (i = len - 1; i >= 16; i--) {
		memcpy(longer, data, i);
		resign(longer, i);
		check_refused(longer, i, -EBADMSG);
	}
	memcpy(longer, data, len);
	resign(longer, len + 1);
	check_refused(longer, len + 1, -EBADMSG);
}

/* Puts `len` bytes at `off` of the golden file, with a checksum that fits. */
static void check_patched(size_t off, const void *bytes, size_t n)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	data = read_golden(&len);
	memcpy(data + off, bytes, n);
	resign(data, len);
	check_refused(data, len, -EBADMSG);
}

static void test_crafted(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len, name, parts;

	(void)state;
	data = read_golden(&len);
	name = (uint8_t *)memmem(data, len, "web-app", 7) - data;
	parts = (uint8_t *)memmem(data, len, "\2\0\0\0\4\0file", 10) - data;
	check_patched(14, "loc/l", 5);
	check_patched(14, "loc\0l", 5);
	check_patched(14, "\nocal", 5);
	check_patched(12, "\xff\xff", 2);
	check_patched(name, "-eb", 3);
	check_patched(name, "w\xc3\xa9", 3);
	check_patched(parts - 1, "\x80", 1); /* before 1970 */
	check_patched(parts, "\3", 1);
	check_patched(parts, "\1", 1);
	check_patched(parts, "\xff\xff\xff\xff", 4);
	check_patched(parts, "\x40\x42\x0f", 3); /* ENTRY_PARTS_MAX */
	check_patched(parts + 6, "FILE", 4);
	check_patched(parts + 6, "fi e", 4);
	check_patched(parts + 6, "fi\0e", 4);
}

/* The signed golden file: count, "ci" and 64 bytes, at its end. */
static void test_crafted_signatures(void **state)
{
	static const struct {
		size_t off; /* of the count */
		const char *bytes;
		size_t n;
	} bad[] = {
		{ 0, "\0", 1 },	  { 0, "\2", 1 },  { 0, "\xff\xff", 2 },
		{ 0, "\x09", 1 }, { 2, "\0", 1 },  { 2, "\3", 1 },
		{ 2, "\x81", 1 }, { 4, "c\n", 2 }, { 4, "c\0", 2 },
		{ 4, "-i", 2 },
	};
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t copy[1024];
	size_t len, count;

	(void)state;
	data = read_version(2, &len);
	count = len - 4 - SIGN_LEN - 2 - 2 - 2;
	assert_memory_equal(data + count, "\1\0\2\0ci", 6);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(copy, data, len);
		memcpy(copy + count + bad[i].off, bad[i].bytes, bad[i].n);
		resign(copy, len);
		check_refused(copy, len, -EBADMSG);
	}
	/* Two of one name, and two in the wrong order. */
	memcpy(copy, data, len);
	memcpy(copy + count, "\2", 1);
	memcpy(copy + len - 4, data + count + 2, 4 + SIGN_LEN);
	resign(copy, len + 4 + SIGN_LEN);
	check_refused(copy, len + 4 + SIGN_LEN, -EBADMSG);
	copy[len - 4 + 3] = 'h';
	resign(copy, len + 4 + SIGN_LEN);
	check_refused(copy, len + 4 + SIGN_LEN, -EBADMSG);
	/* Version 1 has none, and version 2 some. */
	memcpy(copy, data, len);
	copy[8] = 1;
	resign(copy, len);
	check_refused(copy, len, -EBADMSG);
	free(data);
	data = read_golden(&len);
	data[8] = 2;
	resign(data, len);
	check_refused(data, len, -EBADMSG);
}

static void check_encode(const struct entry *e, int want)
{
	_cleanup_buf_ struct buf blob = BUF_INIT;

	assert_int_equal(entry_encode(e, &blob), want);
	if (want < 0)
		assert_int_equal(blob.len, 0);
}

static void check_string(struct entry *e, char **field, const char *value,
			 int want)
{
	char *before = *field;

	*field = (char *)value;
	check_encode(e, want);
	*field = before;
}

static void test_limits(void **state)
{
	_cleanup_entry_ struct entry e = make_entry();
	char text[ENTRY_BRANCH_MAX + 2];

	(void)state;
	check_string(&e, &e.tenant, NULL, -EINVAL);
	check_string(&e, &e.tenant, "", -EINVAL);
	check_string(&e, &e.namespace, "a/b", -EINVAL);
	check_string(&e, &e.name, ".", -EINVAL);
	check_string(&e, &e.key, "a@b", -EINVAL);
	check_string(&e, &e.parent, "-", -EINVAL);
	check_string(&e, &e.parent, "", 0);
	check_string(&e, &e.branch, NULL, 0);
	check_string(&e, &e.branch, "a\nb", -EINVAL);
	check_string(&e, &e.creator, "a\nb", -EINVAL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	check_string(&e, &e.branch, text, -EINVAL);
	check_string(&e, &e.creator, text, -EINVAL);
	check_string(&e, &e.branch, text + 1, 0);
	text[KEY_MAX + 1] = '\0';
	check_string(&e, &e.key, text, -EINVAL);
	check_string(&e, &e.key, text + 1, 0);
	e.created_ns = -1;
	check_encode(&e, -EINVAL);
}

static void test_bad_parts(void **state)
{
	_cleanup_entry_ struct entry e = make_entry();
	const struct digest d = { { 0 } };
	size_t count = e.parts.count;

	(void)state;
	assert_int_equal(key_parts_add(&e.parts, "", "x", &d), -EINVAL);
	assert_int_equal(key_parts_add(&e.parts, "a b", "x", &d), -EINVAL);
	assert_int_equal(key_parts_add(&e.parts, "Env", "x", &d), -EINVAL);
	assert_int_equal(e.parts.count, count);
	e.parts.items[0].kind[0] = '\n';
	check_encode(&e, -EINVAL);
	e.parts.items[0].kind[0] = 'f';
	e.parts.count = ENTRY_PARTS_MAX + 1;
	check_encode(&e, -EINVAL);
	e.parts.count = count;
}

static void test_many_parts(void **state)
{
	_cleanup_entry_ struct entry e = make_entry(), got = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;
	int i;

	(void)state;
	for (i = 0; i < 50000; i++) {
		struct digest d = { { i, i >> 8 } };
		char name[64];

		snprintf(name, sizeof(name), "src/%d\n", i);
		assert_int_equal(key_parts_add(&e.parts, "file", name, &d), 0);
	}
	assert_int_equal(entry_encode(&e, &blob), 0);
	assert_int_equal(entry_decode(blob.data, blob.len, &got), 0);
	check_same(&e, &got);
}

static void check_ref(const char *text, enum entry_ref_kind kind,
		      const char *name, const char *arg)
{
	struct entry_ref ref;

	assert_int_equal(entry_ref_parse(text, &ref), 0);
	assert_int_equal(ref.kind, kind);
	assert_string_equal(ref.name, name);
	assert_string_equal(ref.arg, arg);
}

static void check_bad_ref(const char *text)
{
	struct entry_ref ref;

	assert_int_equal(entry_ref_parse(text, &ref), -EINVAL);
}

static void test_ref(void **state)
{
	(void)state;
	check_ref("app@0123ab", ENTRY_REF_KEY, "app", "0123ab");
	check_ref("app@v1", ENTRY_REF_KEY, "app", "v1");
	check_ref("app@latest", ENTRY_REF_LATEST, "app", "");
	check_ref("app@latest2", ENTRY_REF_KEY, "app", "latest2");
	check_ref("app@branch:main", ENTRY_REF_BRANCH, "app", "main");
	check_ref("app@branch:a@b:c/d e", ENTRY_REF_BRANCH, "app", "a@b:c/d e");
	check_ref("app@branch", ENTRY_REF_KEY, "app", "branch");
	check_bad_ref("");
	check_bad_ref("app");
	check_bad_ref("@latest");
	check_bad_ref("app@");
	check_bad_ref("a/b@latest");
	check_bad_ref("app@branch:");
	check_bad_ref("app@branch:a\nb");
	check_bad_ref("app@a@b");
	check_bad_ref("app@-x");
	check_bad_ref("app@a b");
}

static void test_ref_lengths(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[KEY_MAX + 1] = '@';
	text[KEY_MAX + 10] = '\0';
	check_bad_ref(text);
	assert_int_equal(entry_ref_parse(text + 1, &(struct entry_ref){ 0 }),
			 0);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	check_bad_ref(text);
	memcpy(text, "a@", 2);
	text[2 + KEY_MAX + 1] = '\0';
	check_bad_ref(text);
	text[2 + KEY_MAX] = '\0';
	assert_int_equal(entry_ref_parse(text, &(struct entry_ref){ 0 }), 0);
	memset(text, 'x', sizeof(text));
	memcpy(text, "a@branch:", 9);
	text[9 + ENTRY_BRANCH_MAX + 1] = '\0';
	check_bad_ref(text);
	text[9 + ENTRY_BRANCH_MAX] = '\0';
	assert_int_equal(entry_ref_parse(text, &(struct entry_ref){ 0 }), 0);
}

#define T(test) cmocka_unit_test(test)
#define QUIET(test) cmocka_unit_test_setup_teardown(test, hush, unhush)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_empty_fields),
		T(test_copy),
		T(test_golden),
		QUIET(test_flipped_bits),
		QUIET(test_flipped_bits_signed),
		QUIET(test_truncated_and_trailing),
		QUIET(test_crafted),
		QUIET(test_crafted_signatures),
		QUIET(test_limits),
		QUIET(test_bad_parts),
		T(test_many_parts),
		T(test_ref),
		T(test_ref_lengths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
