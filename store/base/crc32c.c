/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32C, reflected polynomial 0x82f63b78. Which way to compute is chosen
 * once; the tables (8 bytes a step) are made only where they are used. Owns
 * that choice and the tables; any thread.
 */
#include "crc32c.h"

#include <pthread.h>

#include "le.h"

#define POLYNOMIAL 0x82f63b78u

static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static uint32_t table[8][256]; /* constant after table_once */

/* table[0] is the CRC of one byte; table[k] that byte followed by k zero
 * bytes, so that eight bytes are looked up independently of each other. */
static void table_make(void)
{
	unsigned i, k;

	for (i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][i] = crc;
	}
	for (i = 0; i < 256; i++)
		for (k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^
				      table[0][table[k - 1][i] & 0xff];
}

uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	pthread_once(&table_once, table_make);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v = le64_get(p) ^ crc;

		crc = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^
		      table[5][v >> 16 & 0xff] ^ table[4][v >> 24 & 0xff] ^
		      table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^
		      table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
	}
	while (len-- > 0)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
crc32c_by_instruction(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t wide = ~crc;

	for (; len >= 8; p += 8, len -= 8)
		wide = __builtin_ia32_crc32di(wide, le64_get(p));
	crc = wide;
	while (len-- > 0)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return ~crc;
}

static int have_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc32c_by_instruction(uint32_t crc, const void *data,
				      size_t len)
{
	return crc32c_by_table(crc, data, len);
}

static int have_instruction(void)
{
	return 0;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	/* Reads a word that libgcc fills before main(). */
	if (have_instruction())
		return crc32c_by_instruction(crc, data, len);
	return crc32c_by_table(crc, data, len);
}
