/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a pack, for pack.c (reader) and pack_writer.c only. All
 * integers are little-endian.
 *
 *	header		magic, version, zero			16 bytes
 *	dictionary	zstd's own format, or nothing
 *	frames		one zstd frame a chunk, back to back
 *	index		one record a chunk, in the order of frames
 *	footer						40 bytes
 *
 * Every byte belongs to exactly one part: the dictionary begins behind the
 * header, the index ends where the footer begins. The dictionary, the index
 * and the footer have a CRC32C each, frames have zstd's checksum, and the
 * file's name is the SHA-256 of all of it. The header's 16 bytes and the last
 * 12 of the footer (version and magic) stay where they are in later versions,
 * so that "newer" can be told from "damaged": both copies of the version must
 * agree.
 */
#ifndef LARDER_PACK_FORMAT_H
#define LARDER_PACK_FORMAT_H

#include <assert.h>
#include <stdint.h>

#include "chunker.h"
#include "codec.h"
#include "digest.h"
#include "pack.h"

#define PACK_MAGIC "LARDPACK"
#define PACK_MAGIC_LEN 8
#define PACK_VERSION 1u

/* zstd's bound for incompressible input is below size + size/128 + 512. */
#define PACK_FRAME_MAX (CHUNK_MAX + CHUNK_MAX / 128 + 512)

#define PACK_CHUNK_DICT (1u << 0) /* the frame wants the dictionary */
#define PACK_CHUNK_FLAGS PACK_CHUNK_DICT

struct pack_header {
	uint8_t magic[PACK_MAGIC_LEN];
	uint8_t version[4];
	uint8_t zero[4];
};

struct pack_record {
	uint8_t digest[DIGEST_LEN];
	uint8_t off[4]; /* of the frame, from the start of the file */
	uint8_t len[4];
	uint8_t size[4]; /* of the chunk */
	uint8_t flags[4];
};

struct pack_footer {
	uint8_t index_off[4];
	uint8_t chunks[4]; /* number of records */
	uint8_t dict_off[4];
	uint8_t dict_len[4];
	uint8_t dict_crc[4];
	uint8_t index_crc[4];
	uint8_t footer_crc[4]; /* of the bytes before */
	uint8_t version[4];
	uint8_t magic[PACK_MAGIC_LEN];
};

static_assert(sizeof(struct pack_header) == 16, "pack header");
static_assert(sizeof(struct pack_record) == 48, "pack record");
static_assert(sizeof(struct pack_footer) == PACK_TAIL_BYTES, "pack footer");

#define PACK_PATH_LEN (2 + 1 + DIGEST_HEX_LEN)

/* "<hh>/<hex>", below the directory of packs. */
static inline void pack_path(const struct digest *name,
			     char ret_path[PACK_PATH_LEN + 1])
{
	digest_hex(name, ret_path + 3);
	ret_path[0] = ret_path[3];
	ret_path[1] = ret_path[4];
	ret_path[2] = '/';
}

#endif
