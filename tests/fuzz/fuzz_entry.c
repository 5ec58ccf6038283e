/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as an entry, as they are and with a checksum made
 * right. What decodes must encode to the same bytes again. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/entry.h"

#define CRC_LEN 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT, copy = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;

	if (entry_decode(data, size, &e) < 0)
		return;
	if (entry_copy(&e, &copy) < 0 || entry_encode(&copy, &blob) < 0)
		abort();
	if (blob.len != size || memcmp(blob.data, data, size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = NULL;

	log_set_level((enum log_level)0);
	check(data, size);
	if (size < CRC_LEN)
		return 0;
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	le32_put(copy + size - CRC_LEN, crc32c(0, copy, size - CRC_LEN));
	check(copy, size);
	return 0;
}
