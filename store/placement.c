/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placements. Owns the mapping of an open one; immutable, any thread. All
 * integers are little-endian:
 *
 *	magic		8 bytes, "LARDPLC" and a NUL
 *	version		u32
 *	packs, chunks	u32 each
 *	zero		u32
 *	catalog		digest
 *	zero		u64
 *	names of packs	32 bytes each, in the order of first use
 *	records		12 bytes a chunk: u32 number of the pack, in its
 *			highest bit whether the frame wants the pack's
 *			dictionary; u32 offset; u32 length
 *	CRC32C		u32, of all that precedes
 *
 * As with catalogs, a file that is mapped must not shrink. Does not know
 * whether the packs are there.
 */
#include "placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/le.h"
#include "base/log.h"
#include "base/map.h"
#include "intern.h"

#define MAGIC "LARDPLC"
#define VERSION 1u
#define HEADER_BYTES 64u
#define RECORD_BYTES 12u
#define CRC_BYTES 4u
#define DICT_BIT (UINT32_C(1) << 31)
#define FRAME_MAX (4u << 20) /* more than any frame of a chunk can have */

struct placement { /* constant after open */
	void *data;
	size_t len;
	uint32_t packs, chunks;
	const struct digest *names;
	const uint8_t *records;
};

static uint64_t placement_bytes(uint32_t packs, uint32_t chunks)
{
	return HEADER_BYTES + (uint64_t)packs * DIGEST_LEN +
	       (uint64_t)chunks * RECORD_BYTES + CRC_BYTES;
}

/* The limits of pack_read(). */
static bool range_valid(uint32_t off, uint32_t len)
{
	return len > 0 && len <= FRAME_MAX && off <= PACK_MAX_BYTES - len;
}

/* Encoding: the packs that were met, and the records, side by side. */
struct encoder {
	struct buf packs, records;
	struct intern ids;
	uint32_t n_packs;
};

static void encoder_release(struct encoder *e)
{
	buf_release(&e->packs);
	buf_release(&e->records);
	intern_release(&e->ids);
}

static bool pack_same(const void *arg, uint32_t id, const void *data,
		      size_t len)
{
	const struct encoder *e = arg;

	return memcmp(e->packs.data + (size_t)id * DIGEST_LEN, data, len) == 0;
}

static int encode_pack(struct encoder *e, const struct digest *pack,
		       uint32_t *ret_id)
{
	uint64_t hash = map_hash_bytes(pack, sizeof(*pack), 0);

	if (intern_find(&e->ids, hash, pack_same, e, pack, sizeof(*pack),
			ret_id) == 0)
		return 0;
	if (intern_add(&e->ids, hash, e->n_packs))
		return -ENOMEM;
	buf_put(&e->packs, pack, sizeof(*pack));
	*ret_id = e->n_packs++;
	return buf_error(&e->packs);
}

static int encode_record(struct encoder *e, const struct pack_loc *loc)
{
	uint32_t pack;
	int err;

	if (!range_valid(loc->off, loc->len))
		return log_error(-EINVAL, "placement: %u bytes at %u", loc->len,
				 loc->off);
	err = encode_pack(e, &loc->pack, &pack);
	if (err)
		return err;
	buf_put_u32(&e->records, pack | (loc->has_dict ? DICT_BIT : 0));
	buf_put_u32(&e->records, loc->off);
	buf_put_u32(&e->records, loc->len);
	return buf_error(&e->records);
}

static int encode_join(const struct encoder *e, const struct digest *catalog,
		       uint32_t chunks, struct buf *ret_blob)
{
	_cleanup_buf_ struct buf blob = BUF_INIT;

	buf_put(&blob, MAGIC, sizeof(MAGIC));
	buf_put_u32(&blob, VERSION);
	buf_put_u32(&blob, e->n_packs);
	buf_put_u32(&blob, chunks);
	buf_put_u32(&blob, 0);
	buf_put(&blob, catalog, sizeof(*catalog));
	buf_put_u64(&blob, 0);
	buf_put(&blob, e->packs.data, e->packs.len);
	buf_put(&blob, e->records.data, e->records.len);
	if (!buf_error(&blob))
		buf_put_u32(&blob, crc32c(0, blob.data, blob.len));
	if (buf_error(&blob))
		return buf_error(&blob);
	*ret_blob = blob;
	blob = (struct buf)BUF_INIT;
	return 0;
}

int placement_encode(const struct catalog *c, const struct digest *catalog,
		     int (*find)(void *arg, uint32_t chunk,
				 const struct digest *digest,
				 struct pack_loc *ret_loc),
		     void *arg, struct buf *ret_blob)
{
	_cleanup_(encoder_release) struct encoder e = { .packs = BUF_INIT,
							.records = BUF_INIT,
							.ids = INTERN_INIT };
	struct catalog_info info;
	uint32_t i;

	catalog_info(c, &info);
	for (i = 0; i < info.chunks; i++) {
		const struct digest *digest;
		struct pack_loc loc;
		uint32_t size;
		int err = catalog_chunk(c, i, &digest, &size);

		if (!err)
			err = find(arg, i, digest, &loc);
		if (!err)
			err = encode_record(&e, &loc);
		if (err)
			return err;
	}
	return encode_join(&e, catalog, info.chunks, ret_blob);
}

/* Reads the header; everything else lies where it says. */
static int header_decode(struct placement *p, const struct digest *catalog)
{
	const void *magic, *digest;
	uint32_t version, zero;
	struct cursor cur;
	uint64_t zero_end;

	cursor_init(&cur, p->data, p->len);
	magic = cursor_bytes(&cur, sizeof(MAGIC));
	version = cursor_u32(&cur);
	p->packs = cursor_u32(&cur);
	p->chunks = cursor_u32(&cur);
	zero = cursor_u32(&cur);
	digest = cursor_bytes(&cur, sizeof(*catalog));
	zero_end = cursor_u64(&cur);

	if (cursor_error(&cur) || memcmp(magic, MAGIC, sizeof(MAGIC)))
		return log_error(-EBADMSG, "placement: not one");
	if (version > VERSION)
		return log_error(-ESTALE,
				 "placement: format %u is newer than %u",
				 version, VERSION);
	if (version == 0 || zero || zero_end || p->packs > p->chunks ||
	    p->packs >= DICT_BIT ||
	    p->len != placement_bytes(p->packs, p->chunks))
		return log_error(-EBADMSG, "placement: bad header");
	if (memcmp(digest, catalog, sizeof(*catalog)))
		return log_error(-EBADMSG, "placement: of another catalog");
	p->names = (const void *)((uint8_t *)p->data + HEADER_BYTES);
	p->records = (const uint8_t *)(p->names + p->packs);
	return 0;
}

static int placement_check(const struct placement *p)
{
	size_t body = p->len - CRC_BYTES;
	struct placement_loc loc;
	uint32_t i;

	if (crc32c(0, p->data, body) != le32_get((uint8_t *)p->data + body))
		return log_error(-EBADMSG, "placement: bad checksum");
	for (i = 0; i < p->chunks; i++)
		if (placement_find(p, i, &loc))
			return log_error(-EBADMSG, "placement: bad record %u",
					 i);
	return 0;
}

static void cleanup_placement(struct placement **p)
{
	placement_free(*p);
}

int placement_open_fd(int fd, const struct catalog *c,
		      const struct digest *catalog, bool full,
		      struct placement **ret_placement)
{
	_cleanup_(cleanup_placement) struct placement *p = NULL;
	struct catalog_info info;
	struct stat st;
	void *data;
	int err;

	if (fstat(fd, &st) < 0)
		return log_error(-errno, "placement: fstat");
	if ((uint64_t)st.st_size < placement_bytes(0, 0) ||
	    (uint64_t)st.st_size > placement_bytes(UINT32_MAX, UINT32_MAX))
		return log_error(-EBADMSG, "placement: a size of %lld bytes",
				 (long long)st.st_size);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return log_error(-errno, "placement: mmap");
	p->data = data;
	p->len = st.st_size;

	err = header_decode(p, catalog);
	if (err)
		return err;
	catalog_info(c, &info);
	if (p->chunks != info.chunks)
		return log_error(-EBADMSG,
				 "placement: %u chunks where there are %u",
				 p->chunks, info.chunks);
	err = full ? placement_check(p) : 0;
	if (err)
		return err;
	*ret_placement = steal_ptr(&p);
	return 0;
}

void placement_free(struct placement *p)
{
	if (!p)
		return;
	if (p->data)
		munmap(p->data, p->len);
	free(p);
}

uint32_t placement_packs(const struct placement *p)
{
	return p->packs;
}

const struct digest *placement_pack(const struct placement *p, uint32_t n)
{
	return n < p->packs ? &p->names[n] : NULL;
}

int placement_find(const struct placement *p, uint32_t chunk,
		   struct placement_loc *ret_loc)
{
	struct placement_loc loc;
	const uint8_t *r;

	if (chunk >= p->chunks)
		return -EBADMSG;
	r = p->records + (size_t)chunk * RECORD_BYTES;
	loc.pack = le32_get(r) & ~DICT_BIT;
	loc.has_dict = (le32_get(r) & DICT_BIT) != 0;
	loc.off = le32_get(r + 4);
	loc.len = le32_get(r + 8);
	if (loc.pack >= p->packs || !range_valid(loc.off, loc.len))
		return -EBADMSG;
	*ret_loc = loc;
	return 0;
}
