/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a catalog. Bytes that pass the full check must
 * have everything that they promise, and bytes of which only the header was
 * checked must at least never lead an accessor astray. One thread.
 */
#include <stdint.h>
#include <stdlib.h>

#include "store/base/log.h"
#include "store/catalog.h"
#include "tests/unit/catalog_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct catalog *c;

	log_set_level((enum log_level)0);
	if (catalog_open_mem(data, size, CATALOG_CHECK_FULL, &c) == 0) {
		if (catalog_walk(c))
			abort();
		catalog_unref(c);
	}
	if (catalog_open_mem(data, size, CATALOG_CHECK_HEADER, &c) == 0) {
		catalog_walk(c);
		catalog_unref(c);
	}
	return 0;
}
