/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a folded blob, as they are and with the header's
 * checksum made right, so that the checks behind it are reached. Whatever the
 * header says, unfolding stays inside the buffer that its size asks for. One
 * thread.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/fold.h"

#define ANCHOR_BYTES 4096u
#define OUT_MAX (1u << 20) /* more only takes time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t anchor[ANCHOR_BYTES];

static void decode(const struct fold_header *h, const uint8_t *data,
		   size_t size, size_t prefix_len)
{
	/* Of exactly this size, so that a sanitizer sees a byte more. */
	_cleanup_free_ uint8_t *out = malloc(h->bytes);
	int r;

	if (!out)
		abort();
	r = fold_decode(h, anchor, prefix_len, data, size, out);
	if (r != 0 && r != -EBADMSG)
		abort();
}

static void read_file(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("fold", MFD_CLOEXEC);
	struct fold_header h;
	int r;

	if (fd < 0 || io_pwrite(fd, data, size, 0) < 0)
		abort();
	r = fold_read_header(fd, &h);
	if (r <= 0) {
		if (r != 0 && r != -EBADMSG && r != -ESTALE)
			abort();
		return;
	}
	if (h.bytes == 0 || h.bytes > FOLD_BYTES_MAX)
		abort();
	if (h.bytes > OUT_MAX)
		return;
	decode(&h, data, size, 0);
	decode(&h, data, size, ANCHOR_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = NULL;
	size_t i;

	for (i = 0; i < ANCHOR_BYTES; i++)
		anchor[i] = (uint8_t)(i * i >> 4);
	log_set_level((enum log_level)0);
	read_file(data, size);
	if (size < FOLD_HEADER_BYTES)
		return 0;
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	le32_put(copy + FOLD_HEADER_BYTES - 4,
		 crc32c(0, copy, FOLD_HEADER_BYTES - 4));
	read_file(copy, size);
	return 0;
}
