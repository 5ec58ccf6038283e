/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: the FIPS 180-4 examples, running hashes, text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"

#define HEX_ABC \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEX_EMPTY \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEX_TWO_BLOCKS \
	"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
#define HEX_MILLION_A \
	"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void assert_digest(const struct digest *d, const char *want)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(d, hex);
	assert_string_equal(hex, want);
}

static void test_known_answers(void **state)
{
	static const char two[] =
		"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	struct digest d;

	(void)state;
	assert_int_equal(digest_of("abc", 3, &d), 0);
	assert_digest(&d, HEX_ABC);
	assert_int_equal(digest_of(NULL, 0, &d), 0);
	assert_digest(&d, HEX_EMPTY);
	assert_int_equal(digest_of(two, strlen(two), &d), 0);
	assert_digest(&d, HEX_TWO_BLOCKS);
}

/* One context for three hashes, in pieces of odd sizes. */
static void test_running_and_reset(void **state)
{
	struct digest_ctx *ctx;
	struct digest d;
	char piece[997];
	size_t left;

	(void)state;
	memset(piece, 'a', sizeof(piece));
	assert_int_equal(digest_ctx_new(&ctx), 0);
	for (left = 1000000; left > 0;) {
		size_t n = left < sizeof(piece) ? left : sizeof(piece);

		assert_int_equal(digest_ctx_update(ctx, piece, n), 0);
		left -= n;
	}
	assert_int_equal(digest_ctx_final(ctx, &d), 0);
	assert_digest(&d, HEX_MILLION_A);

	assert_int_equal(digest_ctx_reset(ctx), 0);
	assert_int_equal(digest_ctx_update(ctx, "discarded", 9), 0);
	assert_int_equal(digest_ctx_reset(ctx), 0);
	assert_int_equal(digest_ctx_update(ctx, "abc", 3), 0);
	assert_int_equal(digest_ctx_final(ctx, &d), 0);
	assert_digest(&d, HEX_ABC);

	assert_int_equal(digest_ctx_reset(ctx), 0);
	assert_int_equal(digest_ctx_final(ctx, &d), 0);
	assert_digest(&d, HEX_EMPTY);
	digest_ctx_free(ctx);
	digest_ctx_free(NULL);
}

static void test_parse(void **state)
{
	struct digest d, abc;

	(void)state;
	assert_int_equal(digest_of("abc", 3, &abc), 0);
	assert_int_equal(digest_parse(HEX_ABC, &d), 0);
	assert_true(digest_equal(&d, &abc));
	assert_int_equal(digest_parse(HEX_ABC "0", &d), -EINVAL);
	assert_int_equal(digest_parse(&HEX_ABC[1], &d), -EINVAL);
	assert_int_equal(digest_parse("", &d), -EINVAL);
	assert_int_equal(digest_parse("BA7816BF8F01CFEA414140DE5DAE2223"
				      "B00361A396177A9CB410FF61F20015AD",
				      &d),
			 -EINVAL);
	assert_true(digest_equal(&d, &abc));
}

static void test_equal_and_zero(void **state)
{
	struct digest a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	assert_true(digest_is_zero(&a));
	b = a;
	b.bytes[DIGEST_LEN - 1] = 1;
	assert_false(digest_is_zero(&b));
	assert_false(digest_equal(&a, &b));
	assert_true(digest_equal(&a, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_running_and_reset),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_equal_and_zero),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
