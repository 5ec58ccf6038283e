/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded cursor: values, every end, the sticky error, strings. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cursor.h"

static void test_little_endian(void **state)
{
	static const uint8_t data[] = { 1, 2,  3,  4,  5,  6,  7, 8,
					9, 10, 11, 12, 13, 14, 15 };
	struct cursor c;

	(void)state;
	cursor_init(&c, data, sizeof(data));
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u16(&c), 0x0302);
	assert_int_equal(cursor_u32(&c), 0x07060504);
	assert_int_equal(cursor_left(&c), 8);
	assert_true(cursor_u64(&c) == UINT64_C(0x0f0e0d0c0b0a0908));
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_error(&c), 0);
}

/* Each reader on each length that is too short, the bytes on the heap so
 * that a sanitizer sees a read outside. */
static void test_reads_past_end(void **state)
{
	size_t len;

	(void)state;
	for (len = 0; len < 8; len++) {
		uint8_t *data = malloc(len ? len : 1);
		struct cursor c;

		assert_non_null(data);
		memset(data, 0xff, len ? len : 1);
		cursor_init(&c, data, len);
		assert_true(cursor_u64(&c) == 0);
		assert_int_equal(cursor_error(&c), -EBADMSG);
		cursor_init(&c, data, len);
		if (len < 4) {
			assert_int_equal(cursor_u32(&c), 0);
			assert_int_equal(cursor_error(&c), -EBADMSG);
		}
		cursor_init(&c, data, len);
		if (len < 2) {
			assert_int_equal(cursor_u16(&c), 0);
			assert_int_equal(cursor_error(&c), -EBADMSG);
		}
		cursor_init(&c, data, len);
		assert_null(cursor_bytes(&c, len + 1));
		assert_int_equal(cursor_error(&c), -EBADMSG);
		cursor_init(&c, data, len);
		assert_null(cursor_bytes(&c, SIZE_MAX));
		assert_int_equal(cursor_error(&c), -EBADMSG);
		free(data);
	}
}

static void test_error_is_sticky(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	struct cursor c;

	(void)state;
	cursor_init(&c, data, sizeof(data));
	assert_int_equal(cursor_u32(&c), 0);
	assert_int_equal(cursor_u8(&c), 0);
	assert_null(cursor_bytes(&c, 0));
	assert_null(cursor_str16(&c, 10));
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_error(&c), -EBADMSG);
}

static void test_empty(void **state)
{
	struct cursor c;

	(void)state;
	cursor_init(&c, NULL, 0);
	assert_non_null(cursor_bytes(&c, 0));
	assert_int_equal(cursor_error(&c), 0);
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_error(&c), -EBADMSG);
}

static void test_bytes_are_borrowed(void **state)
{
	static const uint8_t data[] = "abcdef";
	struct cursor c;

	(void)state;
	cursor_init(&c, data, 6);
	assert_ptr_equal(cursor_bytes(&c, 2), data);
	assert_ptr_equal(cursor_bytes(&c, 4), data + 2);
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_error(&c), 0);
}

static void test_string(void **state)
{
	static const uint8_t data[] = { 3, 0, 'a', 'b', 'c', 0, 0 };
	struct cursor c;
	char *s;

	(void)state;
	cursor_init(&c, data, sizeof(data));
	s = cursor_str16(&c, 3);
	assert_string_equal(s, "abc");
	free(s);
	s = cursor_str16(&c, 3);
	assert_string_equal(s, "");
	free(s);
	assert_int_equal(cursor_error(&c), 0);
}

static void test_bad_strings(void **state)
{
	static const uint8_t with_nul[] = { 3, 0, 'a', 0, 'c' };
	static const uint8_t truncated[] = { 4, 0, 'a', 'b', 'c' };
	static const uint8_t half_length[] = { 1 };
	static const uint8_t fine[] = { 3, 0, 'a', 'b', 'c' };
	struct cursor c;

	(void)state;
	cursor_init(&c, with_nul, sizeof(with_nul));
	assert_null(cursor_str16(&c, 10));
	assert_int_equal(cursor_error(&c), -EBADMSG);
	cursor_init(&c, truncated, sizeof(truncated));
	assert_null(cursor_str16(&c, 10));
	assert_int_equal(cursor_error(&c), -EBADMSG);
	cursor_init(&c, half_length, sizeof(half_length));
	assert_null(cursor_str16(&c, 10));
	assert_int_equal(cursor_error(&c), -EBADMSG);
	cursor_init(&c, fine, sizeof(fine));
	assert_null(cursor_str16(&c, 2));
	assert_int_equal(cursor_error(&c), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_little_endian),
		cmocka_unit_test(test_reads_past_end),
		cmocka_unit_test(test_error_is_sticky),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_bytes_are_borrowed),
		cmocka_unit_test(test_string),
		cmocka_unit_test(test_bad_strings),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
