/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a learned record of a catalog of CHUNKS chunks, as
 * they are and with the checksum made right. What decodes names each chunk at
 * most once, none that the catalog has not, and encodes to the same bytes. One
 * thread.
 */
#include <errno.h>

#include "fuzz.h"
#include "store/base/cleanup.h"
#include "store/record.h"

#define CHUNKS 40u

static void check(const uint8_t *data, size_t size)
{
	static const struct digest zeros;
	_cleanup_free_ uint32_t *chunks = NULL;
	_cleanup_buf_ struct buf again = BUF_INIT;
	bool seen[CHUNKS] = { false };
	uint32_t n;
	int r = record_decode(data, size, &zeros, CHUNKS, &chunks, &n);

	must(r == 0 || r == -EBADMSG || r == -ESTALE);
	if (r < 0)
		return;
	must(n <= CHUNKS);
	for (uint32_t i = 0; i < n; i++) {
		must(chunks[i] < CHUNKS && !seen[chunks[i]]);
		seen[chunks[i]] = true;
	}
	must(record_encode(&zeros, chunks, n, &again) == 0);
	must(again.len == size && memcmp(again.data, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *sealed = fuzz_sealed(data, size);

	fuzz_quiet();
	check(data, size);
	if (sealed)
		check(sealed, size);
	return 0;
}
