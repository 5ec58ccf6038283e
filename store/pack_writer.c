/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing packs. Bytes are collected in a buffer of 1 MiB and hashed and
 * written when it is full, so that the file is written forwards in large
 * pieces and read by nobody to learn its name. Owns the temporary file until
 * commit gives it its name. One thread. Does not compress, and does not know
 * whether the store has a chunk already: the caller does.
 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"
#include "base/publish.h"
#include "pack_format.h"

#define WRITE_BUFFER_BYTES (1u << 20)

struct pack_writer {
	struct publish file;
	struct digest_ctx *hash; /* of all that left the buffer */
	uint8_t *buffer;	 /* WRITE_BUFFER_BYTES */
	size_t buffered;
	uint64_t bytes; /* written and buffered */
	struct buf index;
	uint32_t chunks;
	uint32_t dict_len;
	uint32_t dict_crc;
	bool sealed; /* all is written, and `name` is valid */
	struct digest name;
	int err; /* sticky: what follows a failed write is no pack */
};

static int writer_emit(struct pack_writer *w, const void *data, size_t len)
{
	int r = digest_ctx_update(w->hash, data, len);

	if (r < 0)
		return r;
	r = fault_check("pack.write");
	if (r == 0)
		r = io_write(w->file.fd, data, len);
	if (r < 0)
		return log_error(r, "cannot write a pack");
	return 0;
}

static int writer_flush(struct pack_writer *w)
{
	int r = writer_emit(w, w->buffer, w->buffered);

	if (r < 0)
		return r;
	w->buffered = 0;
	return 0;
}

static int writer_put_bytes(struct pack_writer *w, const void *data, size_t len)
{
	int r;

	if (len > WRITE_BUFFER_BYTES - w->buffered) {
		r = writer_flush(w);
		if (r < 0)
			return r;
	}
	if (len > WRITE_BUFFER_BYTES) {
		r = writer_emit(w, data, len);
		if (r < 0)
			return r;
	} else if (len > 0) {
		memcpy(w->buffer + w->buffered, data, len);
		w->buffered += len;
	}
	w->bytes += len;
	return 0;
}

static int writer_put(struct pack_writer *w, const void *data, size_t len)
{
	if (!w->err)
		w->err = writer_put_bytes(w, data, len);
	return w->err;
}

static int writer_start(struct pack_writer *w, const void *dict)
{
	struct pack_header header = { 0 };
	int r;

	memcpy(header.magic, PACK_MAGIC, PACK_MAGIC_LEN);
	le32_put(header.version, PACK_VERSION);
	r = writer_put(w, &header, sizeof(header));
	if (r < 0)
		return r;
	w->dict_crc = crc32c(0, dict, w->dict_len);
	return writer_put(w, dict, w->dict_len);
}

static int writer_open(struct pack_writer *w, int packs_dirfd)
{
	int r = digest_ctx_new(&w->hash);

	if (r < 0)
		return r;
	r = publish_open(&w->file, packs_dirfd, 0600);
	if (r < 0)
		return log_error(r, "cannot create a pack");
	return 0;
}

static void cleanup_writer(struct pack_writer **w)
{
	pack_writer_free(*w);
}

int pack_writer_new(int packs_dirfd, const void *dict, size_t dict_len,
		    struct pack_writer **ret_writer)
{
	_cleanup_(cleanup_writer) struct pack_writer *w = NULL;
	int r;

	if (dict_len > CODEC_DICT_MAX)
		return -EFBIG;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->file = (struct publish)PUBLISH_INIT;
	w->dict_len = dict_len;
	w->buffer = malloc(WRITE_BUFFER_BYTES);
	if (!w->buffer)
		return -ENOMEM;
	r = writer_open(w, packs_dirfd);
	if (r < 0)
		return r;
	r = writer_start(w, dict ? dict : "");
	if (r < 0)
		return r;
	*ret_writer = steal_ptr(&w);
	return 0;
}

/* What the file will have in all when one more frame of `len` is in it. */
static uint64_t writer_total(const struct pack_writer *w, size_t len)
{
	return w->bytes + len + w->index.len + sizeof(struct pack_record) +
	       sizeof(struct pack_footer);
}

static int writer_check(const struct pack_writer *w, uint32_t size,
			bool has_dict, size_t frame_len)
{
	if (w->err)
		return w->err;
	if (size == 0 || frame_len == 0 || (has_dict && w->dict_len == 0))
		return -EINVAL;
	if (size > CHUNK_MAX || frame_len > PACK_FRAME_MAX ||
	    writer_total(w, frame_len) > PACK_MAX_BYTES)
		return -EFBIG;
	return 0;
}

void pack_record_put(struct buf *index, const struct pack_chunk *chunk)
{
	struct pack_record rec = { 0 };

	memcpy(rec.digest, chunk->digest.bytes, DIGEST_LEN);
	le32_put(rec.off, chunk->off);
	le32_put(rec.len, chunk->len);
	le32_put(rec.size, chunk->size);
	le32_put(rec.flags, chunk->has_dict ? PACK_CHUNK_DICT : 0);
	buf_put(index, &rec, sizeof(rec));
}

int pack_writer_add(struct pack_writer *w, const struct digest *chunk,
		    uint32_t size, bool has_dict, const void *frame,
		    size_t frame_len, uint32_t *ret_off)
{
	struct pack_chunk record = { *chunk, w->bytes, frame_len, size,
				     has_dict };
	int r;

	r = writer_check(w, size, has_dict, frame_len);
	if (r < 0)
		return r;
	pack_record_put(&w->index, &record);
	if (buf_error(&w->index))
		return w->err = buf_error(&w->index);
	r = writer_put(w, frame, frame_len);
	if (r < 0)
		return r;
	w->chunks++;
	*ret_off = record.off;
	return 0;
}

uint64_t pack_writer_bytes(const struct pack_writer *w)
{
	return w->bytes + w->index.len + sizeof(struct pack_footer);
}

uint32_t pack_writer_chunks(const struct pack_writer *w)
{
	return w->chunks;
}

static int writer_finish(struct pack_writer *w, struct digest *ret_name)
{
	uint32_t index_off = w->bytes;
	struct pack_footer footer = { 0 };
	const void *index = w->index.data ? (const void *)w->index.data : "";
	int r;

	le32_put(footer.index_off, index_off);
	le32_put(footer.chunks, w->chunks);
	le32_put(footer.dict_off, sizeof(struct pack_header));
	le32_put(footer.dict_len, w->dict_len);
	le32_put(footer.dict_crc, w->dict_crc);
	le32_put(footer.index_crc, crc32c(0, index, w->index.len));
	le32_put(footer.footer_crc,
		 crc32c(0, &footer, offsetof(struct pack_footer, footer_crc)));
	le32_put(footer.version, PACK_VERSION);
	memcpy(footer.magic, PACK_MAGIC, PACK_MAGIC_LEN);

	r = writer_put(w, index, w->index.len);
	if (r < 0)
		return r;
	r = writer_put(w, &footer, sizeof(footer));
	if (r < 0)
		return r;
	w->err = writer_flush(w);
	if (w->err)
		return w->err;
	return digest_ctx_final(w->hash, ret_name);
}

/* Opens <hh>/, made where it is missing. The name in the parent is synced
 * here; publishing syncs what is in <hh>/. */
static int writer_open_dir(struct pack_writer *w, const char *name, int *ret_fd)
{
	int fd;

	if (mkdirat(w->file.dirfd, name, 0700) < 0 && errno != EEXIST)
		return log_error(-errno, "cannot make packs/%s", name);
	fd = openat(w->file.dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return log_error(-errno, "cannot open packs/%s", name);
	if (fsync(w->file.dirfd) < 0) {
		int r = log_error(-errno, "cannot sync packs/");

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int writer_publish(struct pack_writer *w, const struct digest *name)
{
	_cleanup_close_ int dirfd = -1;
	char path[PACK_PATH_LEN + 1];
	int r;

	pack_path(name, path);
	path[2] = '\0';
	r = writer_open_dir(w, path, &dirfd);
	if (r < 0)
		return r;
	r = publish_commit_at(&w->file, dirfd, path + 3);
	if (r < 0)
		return log_error(r, "cannot publish pack %s", path + 3);
	return 0;
}

int pack_writer_seal(struct pack_writer *w, struct digest *ret_name)
{
	int r = w->err;

	if (r == 0 && !w->sealed)
		r = writer_finish(w, &w->name);
	if (r < 0)
		return w->err = r;
	w->sealed = true;
	*ret_name = w->name;
	return 0;
}

int pack_writer_commit(struct pack_writer *w, struct digest *ret_name,
		       uint64_t *ret_bytes)
{
	struct digest name;
	int r = pack_writer_seal(w, &name);

	if (r < 0)
		return r;
	r = writer_publish(w, &name);
	if (r < 0)
		return r;
	*ret_name = name;
	*ret_bytes = w->bytes;
	return 0;
}

void pack_writer_free(struct pack_writer *w)
{
	if (!w)
		return;
	publish_release(&w->file);
	digest_ctx_free(w->hash);
	buf_release(&w->index);
	free(w->buffer);
	free(w);
}
