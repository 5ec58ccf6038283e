/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a pack. They are read as they are, and again with
 * the checksums of footer and index made right, so that the checks behind
 * those are reached. Whatever an index record says, reading it stays inside
 * the buffer that its size asks for. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/pack.h"
#include "store/pack_format.h"

#define READS_MAX 64 /* index records tried of one input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct digest name; /* zeros */
static char dir[4096];
static int dirfd_of_packs = -1;
static struct codec_ctx *ctx;

static void tidy(void)
{
	codec_ctx_free(ctx);
	cleanup_close(&dirfd_of_packs);
	io_remove_tree(AT_FDCWD, dir);
}

/* A directory of packs for the whole run. */
static void prepare(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/fuzz_pack.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir) || codec_ctx_new(&ctx) < 0)
		abort();
	dirfd_of_packs = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd_of_packs < 0 || mkdirat(dirfd_of_packs, "00", 0700) < 0)
		abort();
	atexit(tidy);
}

static void put_file(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[PACK_PATH_LEN + 1];

	pack_path(&name, path);
	fd = openat(dirfd_of_packs, path,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || io_write(fd, data, size) < 0)
		abort();
}

static void read_chunk(struct pack *p, const struct pack_chunk *c)
{
	/* Of exactly this size, so that a sanitizer sees a byte more. */
	_cleanup_free_ uint8_t *out = malloc(c->size);
	int r;

	if (!out || c->size == 0 || c->size > CHUNK_MAX)
		abort();
	r = pack_read(p, ctx, c->off, c->len, c->has_dict, 0, out, c->size);
	if (r != 0 && r != -EBADMSG)
		abort();
}

static void read_pack(const uint8_t *data, size_t size)
{
	struct pack_chunk chunk;
	struct pack *p;
	uint32_t n;
	int r;

	put_file(data, size);
	r = pack_open(dirfd_of_packs, &name, &p);
	if (r == -EBADMSG || r == -ESTALE)
		return;
	if (r < 0)
		abort();
	for (n = 0; n < pack_chunks(p) && n < READS_MAX; n++)
		if (pack_chunk_at(p, n, &chunk) == 0)
			read_chunk(p, &chunk);
	/* No bytes are known whose SHA-256 is zero. */
	if (pack_verify(p, ctx, NULL, NULL) == 0)
		abort();
	pack_unref(p);
}

/* Makes the checksums right, as far as the layout allows. */
static void sign(uint8_t *data, size_t size)
{
	struct pack_footer *f = (void *)(data + size - sizeof(*f));
	uint64_t index = le32_get(f->index_off);
	uint64_t len = le32_get(f->chunks) * sizeof(struct pack_record);
	uint64_t dict = sizeof(struct pack_header) + le32_get(f->dict_len);

	if (index + len <= size)
		le32_put(f->index_crc, crc32c(0, data + index, len));
	if (dict <= size)
		le32_put(f->dict_crc,
			 crc32c(0, data + sizeof(struct pack_header),
				le32_get(f->dict_len)));
	le32_put(f->footer_crc,
		 crc32c(0, f, offsetof(struct pack_footer, footer_crc)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = NULL;

	if (dirfd_of_packs < 0)
		prepare();
	log_set_level((enum log_level)0);
	read_pack(data, size);
	if (size < sizeof(struct pack_header) + sizeof(struct pack_footer))
		return 0;
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	sign(copy, size);
	read_pack(copy, size);
	return 0;
}
