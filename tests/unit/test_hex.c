/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text: both ways, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "store/base/hex.h"

static void test_round_trip(void **state)
{
	uint8_t data[256], back[256];
	char text[513];
	int i;

	(void)state;
	for (i = 0; i < 256; i++)
		data[i] = i;
	hex_encode(data, sizeof(data), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
	assert_string_equal(text + 506, "fdfeff");
	assert_int_equal(hex_decode(text, sizeof(back), back), 0);
	assert_memory_equal(back, data, sizeof(data));
}

static void test_empty(void **state)
{
	char text[1] = "x";

	(void)state;
	hex_encode("", 0, text);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode("", 0, text), 0);
	assert_int_equal(hex_decode("0", 0, text), -EINVAL);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",	  "0",	   "01",   "012",     "01234",
		"012345", "AB12",  "abcG", "0x12",    " 012",
		"012 ",	  "abc\n", "ab/:", "01\x80z", "`123",
	};
	uint8_t out[2] = { 0x55, 0x55 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(hex_decode(bad[i], 2, out), -EINVAL);
		assert_int_equal(out[0], 0x55);
		assert_int_equal(out[1], 0x55);
	}
}

static void assert_unescaped(const char *text, bool fold, const char *want)
{
	char room[32];

	strcpy(room, text);
	if (!want) {
		assert_int_equal(hex_unescape(room, fold), -EINVAL);
		return;
	}
	assert_int_equal(hex_unescape(room, fold), 0);
	assert_string_equal(room, want);
}

static void test_unescape(void **state)
{
	(void)state;
	assert_unescaped("", false, "");
	assert_unescaped("plain", false, "plain");
	assert_unescaped("a%20b%25%ff", false, "a b%\xff");
	assert_unescaped("%2F%2f", true, "//");
	assert_unescaped("%2F", false, NULL);
	assert_unescaped("%", true, NULL);
	assert_unescaped("%4", true, NULL);
	assert_unescaped("%4g", true, NULL);
	assert_unescaped("a%00b", true, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unescape),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
