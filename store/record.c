/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learned records: their bytes, their files, and carrying one over to the tree
 * that a commit made. Files are not synced: a record that a power cut took or
 * damaged is as good as none. Any thread; no state.
 */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/publish.h"
#include "lazy_internal.h"

#define MAGIC "LARDREC"
#define HEADER_BYTES (sizeof(MAGIC) + 8 + DIGEST_LEN)
#define CRC_BYTES 4u
#define RECORD_MAX (64u << 20) /* bytes of a file that is looked at */

size_t record_bytes_max(uint32_t chunks)
{
	return HEADER_BYTES + (size_t)chunks * sizeof(uint32_t) + CRC_BYTES;
}

int record_encode(const struct digest *catalog, const uint32_t *chunks,
		  uint32_t n, struct buf *ret_data)
{
	size_t begin = ret_data->len;
	uint32_t i;

	buf_put(ret_data, MAGIC, sizeof(MAGIC));
	buf_put_u32(ret_data, RECORD_VERSION);
	buf_put_u32(ret_data, n);
	buf_put(ret_data, catalog, sizeof(*catalog));
	for (i = 0; i < n; i++)
		buf_put_u32(ret_data, chunks[i]);
	if (!buf_error(ret_data))
		buf_put_u32(ret_data, crc32c(0, ret_data->data + begin,
					     ret_data->len - begin));
	return buf_error(ret_data);
}

static int take_chunks(struct cursor *cur, uint32_t n, uint32_t catalog_chunks,
		       uint32_t *chunks, uint32_t *ret_n)
{
	_cleanup_free_ uint8_t *seen = calloc(catalog_chunks + 1, 1);
	uint32_t i, kept = 0;

	if (!seen)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		uint32_t c = cursor_u32(cur);

		if (c >= catalog_chunks || seen[c])
			return -EBADMSG;
		seen[c] = 1;
		chunks[kept++] = c;
	}
	*ret_n = kept;
	return 0;
}

int record_decode(const void *data, size_t len, const struct digest *catalog,
		  uint32_t catalog_chunks, uint32_t **ret_chunks,
		  uint32_t *ret_n)
{
	_cleanup_free_ uint32_t *chunks = NULL;
	const void *magic, *of;
	uint32_t version, n;
	struct cursor cur;
	int r;

	cursor_init(&cur, data, len);
	magic = cursor_bytes(&cur, sizeof(MAGIC));
	version = cursor_u32(&cur);
	n = cursor_u32(&cur);
	of = cursor_bytes(&cur, sizeof(*catalog));
	if (cursor_error(&cur) || memcmp(magic, MAGIC, sizeof(MAGIC)) != 0)
		return -EBADMSG;
	if (version > RECORD_VERSION)
		return -ESTALE;
	if (version == 0 || n > catalog_chunks || len != record_bytes_max(n) ||
	    memcmp(of, catalog, sizeof(*catalog)) != 0)
		return -EBADMSG;
	chunks = calloc((size_t)n + 1, sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	r = take_chunks(&cur, n, catalog_chunks, chunks, ret_n);
	if (r < 0)
		return r;
	if (crc32c(0, data, len - CRC_BYTES) != cursor_u32(&cur))
		return -EBADMSG;
	*ret_chunks = steal_ptr(&chunks);
	return 0;
}

/* --- files --- */

int store_record_get(struct store *s, const struct digest *catalog,
		     struct buf *ret_data)
{
	_cleanup_free_ uint8_t *data = NULL;
	char path[STORE_PATH_LEN + 1];
	size_t len;
	int r;

	store_path(catalog, path);
	r = io_read_file(s->records_fd, path, RECORD_MAX, &data, &len);
	if (r < 0)
		return r;
	buf_put(ret_data, data, len);
	return buf_error(ret_data);
}

int store_record_put(struct store *s, const struct digest *catalog,
		     const void *data, size_t len)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	char path[STORE_PATH_LEN + 1];
	int r;

	store_path(catalog, path);
	path[2] = '\0';
	if (mkdirat(s->records_fd, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	path[2] = '/';
	r = publish_open(&p, s->records_fd, 0600);
	if (r == 0)
		r = io_write(p.fd, data, len);
	if (r == 0)
		r = publish_commit_unsynced(&p, path);
	return r;
}

/* --- carrying over --- */

struct carried {
	struct dmap_node node; /* first */
	uint32_t chunk;
};

static int carry_map(const struct catalog *to, struct carried *items,
		     struct dmap *map)
{
	const struct digest *digest;
	struct catalog_info info;
	uint32_t c, size;
	int r;

	catalog_info(to, &info);
	for (c = 0; c < info.chunks; c++) {
		r = catalog_chunk(to, c, &digest, &size);
		if (r < 0)
			return r;
		items[c].node.digest = *digest;
		items[c].chunk = c;
		r = dmap_add(map, &items[c].node);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Those of `chunks` that `to` has, by its numbers, in their place. */
static int carry_chunks(const struct catalog *from, const struct catalog *to,
			uint32_t *chunks, uint32_t *n)
{
	_cleanup_free_ struct carried *items = NULL;
	struct dmap map = { MAP_INIT };
	struct catalog_info info;
	uint32_t i, kept = 0, size;
	int r;

	catalog_info(to, &info);
	items = calloc((size_t)info.chunks + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	r = carry_map(to, items, &map);
	for (i = 0; r == 0 && i < *n; i++) {
		const struct digest *digest;
		const struct carried *found;

		r = catalog_chunk(from, chunks[i], &digest, &size);
		found = r == 0 ? (void *)dmap_find(&map, digest) : NULL;
		if (found)
			chunks[kept++] = found->chunk;
	}
	map_release(&map.heads);
	*n = kept;
	return r;
}

static int carry(struct store *s, struct store_tree *from,
		 struct store_tree *to)
{
	_cleanup_buf_ struct buf data = BUF_INIT, out = BUF_INIT;
	_cleanup_free_ uint32_t *chunks = NULL;
	struct catalog_info info;
	uint32_t n;
	int r;

	r = store_record_get(s, store_tree_digest(from), &data);
	if (r < 0)
		return r;
	catalog_info(from->catalog, &info);
	r = record_decode(data.data, data.len, store_tree_digest(from),
			  info.chunks, &chunks, &n);
	if (r == 0)
		r = carry_chunks(from->catalog, to->catalog, chunks, &n);
	if (r == 0 && n > 0)
		r = record_encode(store_tree_digest(to), chunks, n, &out);
	if (r < 0 || n == 0)
		return r;
	return store_record_put(s, store_tree_digest(to), out.data, out.len);
}

void store_record_carry(struct store *s, const struct digest *from,
			const struct digest *to)
{
	_cleanup_tree_ struct store_tree *a = NULL, *b = NULL;

	if (digest_equal(from, to))
		return;
	store_record_flush(s, from);
	if (store_tree_open(s, from, &a) == 0 &&
	    store_tree_open(s, to, &b) == 0)
		(void)carry(s, a, b);
}
