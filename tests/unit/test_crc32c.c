/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C: the vectors of RFC 3720 and a bit-by-bit computation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/base/crc32c.h"

static void assert_crc(const void *data, size_t len, uint32_t want)
{
	assert_int_equal(crc32c(0, data, len), want);
	assert_int_equal(crc32c_by_table(0, data, len), want);
}

/* RFC 3720 appendix B.4; its bytes are in the order of transmission. */
static void test_rfc3720(void **state)
{
	static const uint8_t read_command[48] = {
		0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00,
		0x00, 0x18, 0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	};
	uint8_t data[32];
	int i;

	(void)state;
	memset(data, 0, sizeof(data));
	assert_crc(data, sizeof(data), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	assert_crc(data, sizeof(data), 0x62a8ab43);
	for (i = 0; i < 32; i++)
		data[i] = i;
	assert_crc(data, sizeof(data), 0x46dd794e);
	for (i = 0; i < 32; i++)
		data[i] = 31 - i;
	assert_crc(data, sizeof(data), 0x113fdb5c);
	assert_crc(read_command, sizeof(read_command), 0xd9963a56);
}

static void test_check_value(void **state)
{
	(void)state;
	assert_crc("123456789", 9, 0xe3069283);
	assert_crc("", 0, 0);
	assert_crc(NULL, 0, 0);
}

static uint32_t bit_by_bit(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;
	int k;

	while (len-- > 0) {
		crc ^= *p++;
		for (k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* All lengths and alignments round a step of eight bytes. */
static void test_lengths_and_alignments(void **state)
{
	uint8_t data[128];
	size_t from, len, i;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 37 + 11;
	for (from = 0; from < 9; from++)
		for (len = 0; len <= 100; len++)
			assert_crc(data + from, len,
				   bit_by_bit(data + from, len));
}

static void test_continued(void **state)
{
	uint8_t data[100];
	size_t cut, i;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 73;
	for (cut = 0; cut <= sizeof(data); cut++) {
		uint32_t want = crc32c(0, data, sizeof(data));

		assert_int_equal(crc32c(crc32c(0, data, cut), data + cut,
					sizeof(data) - cut),
				 want);
		assert_int_equal(crc32c_by_table(crc32c_by_table(0, data, cut),
						 data + cut,
						 sizeof(data) - cut),
				 want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc3720),
		cmocka_unit_test(test_check_value),
		cmocka_unit_test(test_lengths_and_alignments),
		cmocka_unit_test(test_continued),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
