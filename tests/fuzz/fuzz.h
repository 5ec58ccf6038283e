/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share: the entry point, an assertion that stays in every
 * build, a copy of an input whose trailing checksum is right, and a catalog
 * with so many chunks for formats that belong to one. No state.
 */
#ifndef LARDER_TESTS_FUZZ_H
#define LARDER_TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/crc32c.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/catalog.h"
#include "store/catalog_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CRC_BYTES 4u

static inline void must(bool holds)
{
	if (!holds)
		abort();
}

static inline void fuzz_quiet(void)
{
	log_set_level((enum log_level)0);
}

/* A copy, the caller's, whose last four bytes are the CRC32C of the others;
 * NULL where it is shorter. */
static inline uint8_t *fuzz_sealed(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < FUZZ_CRC_BYTES)
		return NULL;
	copy = malloc(size);
	must(copy);
	memcpy(copy, data, size);
	le32_put(copy + size - FUZZ_CRC_BYTES,
		 crc32c(0, copy, size - FUZZ_CRC_BYTES));
	return copy;
}

/* A directory of its own for the whole run; the path is for removing it. */
static inline int fuzz_make_dir(char *path, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(path, size, "%s/larder-fuzz.XXXXXX",
			 tmp ? tmp : "/tmp");

	must(n > 0 && (size_t)n < size && mkdtemp(path));
	return n;
}

/* One file of `chunks` chunks, each of other bytes; the caller's. */
static inline struct catalog *
fuzz_catalog(uint32_t chunks, struct buf *ret_blob, struct digest *ret_digest)
{
	struct catalog_meta root = { .mode = S_IFDIR | 0755 };
	struct catalog_meta file = { .mode = S_IFREG | 0644 };
	struct catalog_build *b;
	const uint32_t *files;
	struct catalog *c;
	uint32_t node;
	size_t n;

	must(catalog_build_new(&root, &b) == 0);
	must(catalog_build_node(b, &file, &node) == 0);
	must(catalog_build_link(b, 0, "file", 4, node) == 0);
	must(catalog_build_order(b, &files, &n) == 0);
	for (uint32_t i = 0; i < chunks; i++) {
		struct digest d = { .bytes = { (uint8_t)i, (uint8_t)(i >> 8),
					       1 } };

		must(catalog_build_piece(b, node, &d, 1 + i) == 0);
	}
	must(catalog_build_finish(b, ret_blob, ret_digest) == 0);
	catalog_build_free(b);
	must(catalog_open_mem(ret_blob->data, ret_blob->len, CATALOG_CHECK_FULL,
			      &c) == 0);
	return c;
}

#endif
