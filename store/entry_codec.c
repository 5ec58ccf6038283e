/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries as bytes. The blob, little-endian:
 *
 *	magic "LARDENTR", version u32
 *	tenant, namespace, name, key, branch, creator, parent	u16 and bytes
 *	parent catalog, catalog					digests
 *	files, dirs, bytes, new files, new bytes, stored bytes,
 *	created_ns						u64 each
 *	number of parts u32; each: kind, name (u16 and bytes), digest
 *	number of signatures u16; each: key (u16 and bytes), 64 bytes
 *	CRC32C of all before					u32
 *
 * Signatures, by key and each key once, are in version 2 only, and version 1
 * is an entry that has none. One entry has one encoding: decoding refuses what
 * encoding would not write, and bytes behind the end. Magic and version stay
 * where they are in later versions. No state.
 */
#include "entry_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/le.h"
#include "base/log.h"

#define ENTRY_MAGIC "LARDENTR"
#define ENTRY_MAGIC_LEN 8
#define ENTRY_VERSION 2u
#define ENTRY_UNSIGNED 1u /* the version of what has no signature */
#define ENTRY_CRC_LEN 4
#define ENTRY_PART_MIN (2 + 2 + DIGEST_LEN) /* encoded, with empty strings */

/* Encoding */

static int encode_parts(struct buf *b, const struct key_parts *parts)
{
	size_t i;

	buf_put_u32(b, parts->count);
	for (i = 0; i < parts->count; i++) {
		const struct key_part *part = &parts->items[i];

		if (!key_part_is_valid(part->kind, part->name))
			return log_error(-EINVAL, "entry: bad part of the key");
		buf_put_str16(b, part->kind);
		buf_put_str16(b, part->name);
		buf_put(b, part->digest.bytes, DIGEST_LEN);
	}
	return 0;
}

static void encode_fields(struct buf *b, const struct entry *e)
{
	buf_put_str16(b, e->tenant);
	buf_put_str16(b, e->namespace);
	buf_put_str16(b, e->name);
	buf_put_str16(b, e->key);
	buf_put_str16(b, entry_text(e->branch));
	buf_put_str16(b, entry_text(e->creator));
	buf_put_str16(b, entry_text(e->parent));
	buf_put(b, e->parent_catalog.bytes, DIGEST_LEN);
	buf_put(b, e->catalog.bytes, DIGEST_LEN);
	buf_put_u64(b, e->files);
	buf_put_u64(b, e->dirs);
	buf_put_u64(b, e->bytes);
	buf_put_u64(b, e->new_files);
	buf_put_u64(b, e->new_bytes);
	buf_put_u64(b, e->stored_bytes);
	buf_put_u64(b, e->created_ns);
}

static void encode_signatures(struct buf *b, const struct entry *e)
{
	if (e->signature_count == 0)
		return;
	buf_put_u16(b, e->signature_count);
	for (unsigned i = 0; i < e->signature_count; i++) {
		buf_put_str16(b, e->signatures[i].key);
		buf_put(b, e->signatures[i].bytes, SIGN_LEN);
	}
}

int entry_encode_fields(const struct entry *e, struct buf *b)
{
	const char *fault = entry_fault(e);

	if (fault)
		return log_error(-EINVAL, "entry: bad %s", fault);
	encode_fields(b, e);
	return encode_parts(b, &e->parts);
}

int entry_encode(const struct entry *e, struct buf *ret_blob)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int r;

	buf_put(&b, ENTRY_MAGIC, ENTRY_MAGIC_LEN);
	buf_put_u32(&b, e->signature_count ? ENTRY_VERSION : ENTRY_UNSIGNED);
	r = entry_encode_fields(e, &b);
	if (r < 0)
		return r;
	encode_signatures(&b, e);
	if (buf_error(&b))
		return buf_error(&b);
	buf_put_u32(&b, crc32c(0, b.data, b.len));
	if (buf_error(&b))
		return buf_error(&b);
	buf_put(ret_blob, b.data, b.len);
	return buf_error(ret_blob);
}

/* Decoding */

static int decode_part(struct cursor *c, struct key_parts *parts)
{
	_cleanup_free_ char *kind = cursor_str16(c, KEY_KIND_MAX);
	_cleanup_free_ char *name = cursor_str16(c, KEY_PART_NAME_MAX);
	const void *bytes = cursor_bytes(c, DIGEST_LEN);
	struct digest digest;
	int r;

	if (!bytes)
		return cursor_error(c);
	memcpy(digest.bytes, bytes, DIGEST_LEN);
	r = key_parts_add(parts, kind, name, &digest);
	return r == -EINVAL ? -EBADMSG : r;
}

static int decode_parts(struct cursor *c, struct key_parts *parts)
{
	uint32_t i, count = cursor_u32(c);
	int r;

	if (cursor_error(c))
		return cursor_error(c);
	if (count > ENTRY_PARTS_MAX || count > cursor_left(c) / ENTRY_PART_MIN)
		return -EBADMSG;
	for (i = 0; i < count; i++) {
		r = decode_part(c, parts);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_signature(struct cursor *c, struct entry_signature *s)
{
	_cleanup_free_ char *key = cursor_str16(c, KEY_MAX);
	const void *bytes = cursor_bytes(c, SIGN_LEN);

	if (!bytes)
		return cursor_error(c);
	memcpy(s->key, key, strlen(key) + 1);
	memcpy(s->bytes, bytes, SIGN_LEN);
	return 0;
}

static int decode_signatures(struct cursor *c, struct entry *e)
{
	uint16_t count = cursor_u16(c);
	int r = cursor_error(c);

	if (r < 0)
		return r;
	if (count == 0 || count > ENTRY_SIGNATURES_MAX)
		return -EBADMSG;
	e->signatures = calloc(count, sizeof(*e->signatures));
	if (!e->signatures)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = decode_signature(c, &e->signatures[i]);
	e->signature_count = count;
	return r;
}

static void decode_digest(struct cursor *c, struct digest *ret_digest)
{
	const void *bytes = cursor_bytes(c, DIGEST_LEN);

	if (bytes)
		memcpy(ret_digest->bytes, bytes, DIGEST_LEN);
}

static int decode_fields(struct cursor *c, struct entry *e)
{
	e->tenant = cursor_str16(c, KEY_MAX);
	e->namespace = cursor_str16(c, KEY_MAX);
	e->name = cursor_str16(c, KEY_MAX);
	e->key = cursor_str16(c, KEY_MAX);
	e->branch = cursor_str16(c, ENTRY_BRANCH_MAX);
	e->creator = cursor_str16(c, ENTRY_CREATOR_MAX);
	e->parent = cursor_str16(c, KEY_MAX);
	decode_digest(c, &e->parent_catalog);
	decode_digest(c, &e->catalog);
	e->files = cursor_u64(c);
	e->dirs = cursor_u64(c);
	e->bytes = cursor_u64(c);
	e->new_files = cursor_u64(c);
	e->new_bytes = cursor_u64(c);
	e->stored_bytes = cursor_u64(c);
	e->created_ns = cursor_u64(c);
	if (cursor_error(c))
		return cursor_error(c);
	return decode_parts(c, &e->parts);
}

/* Magic and version, then the checksum; leaves `c` at the fields. */
static int decode_frame(const void *data, size_t len, struct cursor *c,
			uint32_t *ret_version)
{
	const uint8_t *bytes = data;
	const void *magic;
	uint32_t version;

	cursor_init(c, data, len);
	magic = cursor_bytes(c, ENTRY_MAGIC_LEN);
	version = cursor_u32(c);
	if (cursor_error(c) || cursor_left(c) < ENTRY_CRC_LEN)
		return log_error(-EBADMSG, "entry: too short");
	if (memcmp(magic, ENTRY_MAGIC, ENTRY_MAGIC_LEN) != 0)
		return log_error(-EBADMSG, "entry: not an entry");
	if (version > ENTRY_VERSION)
		return log_error(-ESTALE, "entry: format %u, known up to %u",
				 version, ENTRY_VERSION);
	if (version == 0 || crc32c(0, data, len - ENTRY_CRC_LEN) !=
				    le32_get(bytes + len - ENTRY_CRC_LEN))
		return log_error(-EBADMSG, "entry: bad checksum");
	cursor_init(c, data, len - ENTRY_CRC_LEN);
	cursor_bytes(c, ENTRY_MAGIC_LEN + sizeof(version));
	*ret_version = version;
	return 0;
}

int entry_decode(const void *data, size_t len, struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	struct cursor c;
	const char *fault;
	uint32_t version = 0;
	int r;

	r = decode_frame(data, len, &c, &version);
	if (r < 0)
		return r;
	r = decode_fields(&c, &e);
	if (r == 0 && version != ENTRY_UNSIGNED)
		r = decode_signatures(&c, &e);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return log_error(r, "entry: bad fields");
	fault = entry_fault(&e);
	if (fault)
		return log_error(-EBADMSG, "entry: bad %s", fault);
	if (cursor_left(&c) > 0)
		return log_error(-EBADMSG, "entry: trailing bytes");
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}
