/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression: each chunk is one zstd frame with its content size and a
 * checksum, made with a dictionary where that pays. The only owner of zstd.
 *
 * A codec_ctx belongs to one thread at a time; a codec_dict is immutable and
 * may be shared by all threads.
 */
#ifndef LARDER_CODEC_H
#define LARDER_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct codec_ctx;
struct codec_dict;

#define CODEC_LEVEL_DEFAULT 3
#define CODEC_LEVEL_HIGH 19		  /* a hundred times slower to make */
#define CODEC_DICT_MAX (256u << 10)	  /* larger dictionaries are refused */
#define CODEC_DICT_CHUNK_MAX (128u << 10) /* larger chunks go without */

int codec_ctx_new(struct codec_ctx **ret_ctx);
void codec_ctx_free(struct codec_ctx *ctx);

/* Trains a dictionary of up to `max` bytes from `n` samples lying one after
 * another in `samples`. 0 and a dictionary (the caller frees *ret_dict), or
 * -ENOENT where the samples are too few or too alike for one to pay. */
int codec_dict_train(const void *samples, const size_t *sizes, unsigned n,
		     size_t max, uint8_t **ret_dict, size_t *ret_len);

/* The same for what is compressed once, at that level, and kept: looks at every
 * sample, which takes ten times as long and more. */
int codec_dict_train_well(const void *samples, const size_t *sizes, unsigned n,
			  int level, size_t max, uint8_t **ret_dict,
			  size_t *ret_len);

/* A dictionary ready for use; the bytes are copied. `level` 0: decoding
 * only. -EBADMSG when zstd does not take it. */
int codec_dict_new(const void *data, size_t len, int level,
		   struct codec_dict **ret_dict);
void codec_dict_free(struct codec_dict *dict);

/* Appends one frame to `out`. `dict` may be NULL. */
int codec_compress(struct codec_ctx *ctx, const struct codec_dict *dict,
		   int level, const void *data, size_t len, struct buf *out);

/* Decodes one frame into exactly `size` bytes; anything else (another
 * size, trailing bytes, a checksum that differs) is -EBADMSG. A frame
 * without a checksum is refused. */
int codec_decompress(struct codec_ctx *ctx, const struct codec_dict *dict,
		     const void *frame, size_t frame_len, void *out,
		     size_t size);

/*
 * The same for data that are much like `prefix`, which whoever decodes has to
 * have, too; `prefix_len` 0: none. Costs memory and time of a few times both,
 * so this is for what is written once. The contexts are made for one call.
 */
int codec_compress_against(const void *prefix, size_t prefix_len, int level,
			   const void *data, size_t len, struct buf *out);

/* -EBADMSG also where the prefix is another one. */
int codec_decompress_against(const void *prefix, size_t prefix_len,
			     const void *frame, size_t frame_len, void *out,
			     size_t size);

#endif
