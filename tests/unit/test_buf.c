/* SPDX-License-Identifier: Apache-2.0 */
/* The growable buffer: bytes written, growth, the sticky error, hand-over. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"

static void test_little_endian(void **state)
{
	static const uint8_t want[] = {
		0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
		0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x02, 0x00, 'h',
		'i',  0x00, 0x00, 'n',	'=',  '4',  '2',
	};
	_cleanup_buf_ struct buf b = BUF_INIT;

	(void)state;
	buf_put_u8(&b, 0x01);
	buf_put_u16(&b, 0x0203);
	buf_put_u32(&b, 0x04050607);
	buf_put_u64(&b, UINT64_C(0x08090a0b0c0d0e0f));
	buf_put_str16(&b, "hi");
	buf_put_zero(&b, 2);
	buf_printf(&b, "n=%d", 42);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
}

static void test_growth_keeps_content(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint32_t i;

	(void)state;
	for (i = 0; i < 100000; i++)
		buf_put(&b, &i, sizeof(i));
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, 400000);
	for (i = 0; i < 100000; i++)
		assert_memory_equal(b.data + 4 * i, &i, sizeof(i));
}

static void test_reserve_and_added(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char *room;

	(void)state;
	assert_non_null(buf_reserve(&b, 0));
	room = buf_reserve(&b, 1000);
	assert_non_null(room);
	assert_int_equal(b.len, 0);
	memset(room, 'r', 1000);
	buf_added(&b, 10);
	buf_put_u8(&b, 'e');
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "rrrrrrrrrre", 11);
}

static void test_error_is_sticky(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	(void)state;
	buf_put_u8(&b, 1);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_int_equal(buf_error(&b), -ENOMEM);
	buf_put_u8(&b, 2);
	buf_put_str16(&b, "x");
	buf_printf(&b, "y");
	assert_null(buf_reserve(&b, 1));
	assert_int_equal(b.len, 1);
	buf_reset(&b);
	assert_int_equal(buf_error(&b), 0);
	buf_put_u8(&b, 3);
	assert_int_equal(b.len, 1);
	assert_int_equal(b.data[0], 3);
}

static void test_long_string_is_refused(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char *s = calloc(1, 0x10001);

	(void)state;
	assert_non_null(s);
	memset(s, 'a', 0xffff);
	buf_put_str16(&b, s);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, 2 + 0xffff);
	s[0xffff] = 'a';
	buf_put_str16(&b, s);
	assert_int_equal(buf_error(&b), -EOVERFLOW);
	assert_int_equal(b.len, 2 + 0xffff);
	free(s);
}

static void test_take(void **state)
{
	struct buf b = BUF_INIT;
	uint8_t *data;
	size_t len = 9;

	(void)state;
	assert_null(buf_take(&b, &len));
	assert_int_equal(len, 0);
	buf_put(&b, "abc", 3);
	data = buf_take(&b, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(data, "abc", 3);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_little_endian),
		cmocka_unit_test(test_growth_keeps_content),
		cmocka_unit_test(test_reserve_and_added),
		cmocka_unit_test(test_error_is_sticky),
		cmocka_unit_test(test_long_string_is_refused),
		cmocka_unit_test(test_take),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
