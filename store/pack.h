/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: immutable files of compressed chunks in tree order with an index at
 * the end, named by the SHA-256 of their bytes. A pack is self-contained: the
 * dictionary its chunks were made with, if any, is in it. The format is
 * described at the top of pack_format.h.
 */
#ifndef LARDER_PACK_H
#define LARDER_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "digest.h"

#define PACK_TARGET_BYTES (32u << 20) /* a writer is changed above this */
#define PACK_MAX_BYTES (256u << 20)   /* a reader refuses more */

/* Where a chunk lies. */
struct pack_loc {
	struct digest pack;
	uint32_t off;
	uint32_t len;  /* of the frame */
	bool has_dict; /* the frame wants the pack's dictionary */
};

/* Writing: one thread. The file appears in `packs_dirfd`/<hh>/<hex>. */
struct pack_writer;

/* `dict`/`dict_len`: the dictionary to embed, or NULL, 0. */
int pack_writer_new(int packs_dirfd, const void *dict, size_t dict_len,
		    struct pack_writer **ret_writer);

/* Appends one frame that codec_compress() made of a chunk of `size` bytes. */
int pack_writer_add(struct pack_writer *w, const struct digest *chunk,
		    uint32_t size, bool has_dict, const void *frame,
		    size_t frame_len, uint32_t *ret_off);
uint64_t pack_writer_bytes(const struct pack_writer *w);
uint32_t pack_writer_chunks(const struct pack_writer *w);

/* Writes the index: no more can be added, and the name is known. For who has
 * to know it before the pack is there. */
int pack_writer_seal(struct pack_writer *w, struct digest *ret_name);

/* Seals, where that was not done, syncs and publishes. */
int pack_writer_commit(struct pack_writer *w, struct digest *ret_name,
		       uint64_t *ret_bytes);
void pack_writer_free(struct pack_writer *w); /* drops what is uncommitted */

/* Reading: any thread. */
struct pack;

struct pack_chunk {
	struct digest digest;
	uint32_t off;
	uint32_t len;
	uint32_t size;
	bool has_dict;
};

/* Opens <hh>/<hex>: checks header, footer and layout, not the name's digest.
 * The dictionary is read and checked when a frame first wants it, the index at
 * the first pack_chunk_at(): opening costs two small reads. -ENOENT, -EBADMSG,
 * -ESTALE (newer format). */
int pack_open(int packs_dirfd, const struct digest *name,
	      struct pack **ret_pack);
struct pack *pack_ref(struct pack *p);
void pack_unref(struct pack *p);
const struct digest *pack_name(const struct pack *p);
uint64_t pack_bytes(const struct pack *p);

/* Index record `n`, -ENOENT behind the last, -EBADMSG (said). Reads from the
 * file. */
int pack_chunk_at(const struct pack *p, uint32_t n,
		  struct pack_chunk *ret_chunk);
uint32_t pack_chunks(const struct pack *p);

enum pack_read_flags {
	/* Do not wait for the disk: -EAGAIN where the bytes are not in the
	 * page cache (RWF_NOWAIT). */
	PACK_READ_NOWAIT = 1 << 0,
};

/* Reads and decodes one chunk into `out` of exactly `size` bytes, checking the
 * frame's checksum. -EBADMSG when the bytes are damaged, -EAGAIN, -EIO. */
int pack_read(struct pack *p, struct codec_ctx *ctx, uint32_t off, uint32_t len,
	      bool has_dict, unsigned flags, void *out, uint32_t size);

/* Decodes a frame of the pack that the caller has, as pack_read() does. */
int pack_decode(struct pack *p, struct codec_ctx *ctx, const void *frame,
		uint32_t len, bool has_dict, unsigned flags, void *out,
		uint32_t size);

/*
 * For a pack of `bytes` that is not here yet, and its last PACK_TAIL_BYTES:
 * how long its head is, all before the first frame; and whether a head of that
 * length goes with it. -EBADMSG (said), -ESTALE.
 */
#define PACK_TAIL_BYTES 40u
int pack_head_bytes(const struct digest *name, uint64_t bytes, const void *tail,
		    uint32_t *ret_bytes);
int pack_check_head(const struct digest *name, uint64_t bytes, const void *tail,
		    const void *head);

/* Where the index begins, behind the last frame, and whether `index`, all up to
 * the tail, is it: 0, -EBADMSG (said). */
uint32_t pack_index_off(const struct pack *p);
int pack_check_index(const struct pack *p, const void *index, size_t len);
bool pack_index_is(const struct pack *p, const void *index, size_t len);

/* Appends a record of an index. */
void pack_record_put(struct buf *index, const struct pack_chunk *chunk);

/* Whether a frame may lie there. */
bool pack_has_room(const struct pack *p, uint32_t off, uint32_t len);

/* The frame as it is, and the dictionary (checked; empty where there is none),
 * for who copies them. -EBADMSG, -EIO. */
int pack_read_frame(struct pack *p, uint32_t off, uint32_t len, void *out);
int pack_read_dict(struct pack *p, struct buf *ret_dict);
uint32_t pack_dict_bytes(const struct pack *p);

/* Reads the whole pack again and compares with its name and each chunk's
 * digest; `damaged` is called for each bad chunk. -EBADMSG if any. */
int pack_verify(struct pack *p, struct codec_ctx *ctx,
		void (*damaged)(void *arg, const struct pack_chunk *chunk),
		void *arg);

/* The same but for chunks of which the caller knows that they were compared
 * since their frames were written, and by this process. `known` is asked in the
 * order of the index. Ends at the first damage: -EBADMSG, -EIO. */
int pack_verify_rest(struct pack *p, struct codec_ctx *ctx,
		     bool (*known)(void *arg, const struct pack_chunk *chunk),
		     void *arg);

/* Reads the whole pack and compares it with its name. -EBADMSG, -EIO. */
int pack_check_name(const struct pack *p);

#endif
