/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd frames. A frame is checked before it is decoded: that it has a
 * checksum, that it declares the size that the caller expects, that it ends
 * where the bytes end. So decoding writes into a buffer of known size and
 * allocates nothing that a frame asks for.
 *
 * Dictionaries are prepared ones only (with zstd's magic number and an
 * identifier that is not 0). zstd would take any other bytes as plain
 * content, under identifier 0, and a frame could then not tell that it was
 * given the wrong one.
 */
#include "codec.h"

#include <errno.h>
#include <stdlib.h>

#define ZDICT_STATIC_LINKING_ONLY /* the trainer with fixed parameters */
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/cleanup.h"
#include "base/le.h"
#include "base/log.h"

/* Of frames with a prefix: all of it is within reach. */
#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 27

/* Fewer or smaller samples do not make a dictionary that pays. */
#define TRAIN_SAMPLES_MIN 64
#define TRAIN_BYTES_MIN (256u << 10)

/* The frame header descriptor, RFC 8878 section 3.1.1.1.1. */
#define FRAME_DESCRIPTOR_POS 4
#define FRAME_CHECKSUM_FLAG 0x04

struct codec_ctx {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

struct codec_dict {
	ZSTD_CDict *c; /* NULL: decoding only */
	ZSTD_DDict *d;
};

int codec_ctx_new(struct codec_ctx **ret_ctx)
{
	struct codec_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return -ENOMEM;
	ctx->c = ZSTD_createCCtx();
	ctx->d = ZSTD_createDCtx();
	if (!ctx->c || !ctx->d) {
		codec_ctx_free(ctx);
		return -ENOMEM;
	}
	*ret_ctx = ctx;
	return 0;
}

void codec_ctx_free(struct codec_ctx *ctx)
{
	if (!ctx)
		return;
	ZSTD_freeCCtx(ctx->c);
	ZSTD_freeDCtx(ctx->d);
	free(ctx);
}

static int samples_suffice(const size_t *sizes, unsigned n)
{
	size_t total = 0;
	unsigned i;

	if (n < TRAIN_SAMPLES_MIN)
		return 0;
	for (i = 0; i < n && total < TRAIN_BYTES_MIN; i++)
		total += sizes[i];
	return total >= TRAIN_BYTES_MIN;
}

static int train(ZDICT_fastCover_params_t params, const void *samples,
		 const size_t *sizes, unsigned n, size_t max,
		 uint8_t **ret_dict, size_t *ret_len)
{
	_cleanup_free_ uint8_t *dict = NULL;
	size_t len;

	if (!samples_suffice(sizes, n) || max < ZDICT_DICTSIZE_MIN)
		return -ENOENT;
	if (max > CODEC_DICT_MAX)
		max = CODEC_DICT_MAX;
	dict = malloc(max);
	if (!dict)
		return -ENOMEM;
	len = ZDICT_trainFromBuffer_fastCover(dict, max, samples, sizes, n,
					      params);
	if (ZDICT_isError(len)) {
		log_debug("no dictionary of %u samples: %s", n,
			  ZDICT_getErrorName(len));
		return -ENOENT;
	}
	*ret_dict = steal_ptr(&dict);
	*ret_len = len;
	return 0;
}

int codec_dict_train(const void *samples, const size_t *sizes, unsigned n,
		     size_t max, uint8_t **ret_dict, size_t *ret_len)
{
	/* Fixed, since searching for the best takes tens of seconds; these
	 * came out best on a node_modules of those that train on 8 MiB in
	 * about 100 ms. */
	const ZDICT_fastCover_params_t params = {
		.k = 512,
		.d = 8,
		.f = 20,
		.accel = 8,
		.zParams.compressionLevel = CODEC_LEVEL_DEFAULT,
	};

	return train(params, samples, sizes, n, max, ret_dict, ret_len);
}

int codec_dict_train_well(const void *samples, const size_t *sizes, unsigned n,
			  int level, size_t max, uint8_t **ret_dict,
			  size_t *ret_len)
{
	const ZDICT_fastCover_params_t params = {
		.k = 200,
		.d = 8,
		.f = 20,
		.accel = 1,
		.splitPoint = 1.0, /* nothing is tried, so all may be used */
		.zParams.compressionLevel = level,
	};

	return train(params, samples, sizes, n, max, ret_dict, ret_len);
}

int codec_dict_new(const void *data, size_t len, int level,
		   struct codec_dict **ret_dict)
{
	struct codec_dict *dict;

	if (len > CODEC_DICT_MAX)
		return log_error(-EFBIG, "dictionary of %zu bytes", len);
	if (len < sizeof(uint32_t) || le32_get(data) != ZSTD_MAGIC_DICTIONARY ||
	    ZSTD_getDictID_fromDict(data, len) == 0)
		return log_error(-EBADMSG, "not a dictionary");
	dict = calloc(1, sizeof(*dict));
	if (!dict)
		return -ENOMEM;
	dict->d = ZSTD_createDDict(data, len);
	if (level > 0)
		dict->c = ZSTD_createCDict(data, len, level);
	if (!dict->d || (level > 0 && !dict->c)) {
		codec_dict_free(dict);
		return log_error(-EBADMSG, "damaged dictionary");
	}
	*ret_dict = dict;
	return 0;
}

void codec_dict_free(struct codec_dict *dict)
{
	if (!dict)
		return;
	ZSTD_freeCDict(dict->c);
	ZSTD_freeDDict(dict->d);
	free(dict);
}

static int compress_failed(size_t code)
{
	if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
		return -ENOMEM;
	return log_error(-EINVAL, "zstd: %s", ZSTD_getErrorName(code));
}

/* All parameters of one frame. The context forgets what it had before. */
static int compress_setup(struct codec_ctx *ctx, const struct codec_dict *dict,
			  int level)
{
	size_t r;

	if (dict && !dict->c)
		return log_error(-EINVAL, "dictionary is for decoding only");
	r = ZSTD_CCtx_reset(ctx->c, ZSTD_reset_session_and_parameters);
	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_setParameter(ctx->c, ZSTD_c_compressionLevel,
					   level);
	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_setParameter(ctx->c, ZSTD_c_checksumFlag, 1);
	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_setParameter(ctx->c, ZSTD_c_contentSizeFlag, 1);
	if (!ZSTD_isError(r))
		r = ZSTD_CCtx_refCDict(ctx->c, dict ? dict->c : NULL);
	return ZSTD_isError(r) ? compress_failed(r) : 0;
}

/* With a context that is set up. */
static int compress(ZSTD_CCtx *c, const void *data, size_t len, struct buf *out)
{
	size_t bound = ZSTD_compressBound(len), n;
	void *room;

	if (ZSTD_isError(bound))
		return -EFBIG;
	room = buf_reserve(out, bound);
	if (!room)
		return buf_error(out);
	n = ZSTD_compress2(c, room, bound, data, len);
	if (ZSTD_isError(n))
		return compress_failed(n);
	buf_added(out, n);
	return 0;
}

int codec_compress(struct codec_ctx *ctx, const struct codec_dict *dict,
		   int level, const void *data, size_t len, struct buf *out)
{
	int r = compress_setup(ctx, dict, level);

	return r < 0 ? r : compress(ctx->c, data, len, out);
}

/* Names what is wrong with a frame for `size` bytes; NULL: nothing that
 * shows without decoding it. */
static const char *frame_fault(const uint8_t *frame, size_t frame_len,
			       size_t size)
{
	if (frame_len <= FRAME_DESCRIPTOR_POS ||
	    le32_get(frame) != ZSTD_MAGICNUMBER)
		return "not a frame";
	if (!(frame[FRAME_DESCRIPTOR_POS] & FRAME_CHECKSUM_FLAG))
		return "no checksum";
	if (ZSTD_getFrameContentSize(frame, frame_len) != size)
		return "another content size";
	/* zstd would go on with a second frame behind the first. */
	if (ZSTD_findFrameCompressedSize(frame, frame_len) != frame_len)
		return "truncated, or trailing bytes";
	return NULL;
}

/* What a decoder said of `size` bytes. */
static int decompress_result(size_t n, size_t size)
{
	if (ZSTD_isError(n)) {
		if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
			return -ENOMEM;
		return log_error(-EBADMSG, "zstd frame: %s",
				 ZSTD_getErrorName(n));
	}
	if (n != size)
		return log_error(-EBADMSG, "zstd frame: content is short");
	return 0;
}

int codec_decompress(struct codec_ctx *ctx, const struct codec_dict *dict,
		     const void *frame, size_t frame_len, void *out,
		     size_t size)
{
	const char *fault = frame_fault(frame, frame_len, size);
	size_t n;

	if (fault)
		return log_error(-EBADMSG, "zstd frame: %s", fault);
	n = ZSTD_decompress_usingDDict(ctx->d, out, size, frame, frame_len,
				       dict ? dict->d : NULL);
	return decompress_result(n, size);
}

/* ---- with a prefix */

static int window_log(size_t bytes)
{
	int log = WINDOW_LOG_MIN;

	while (log < WINDOW_LOG_MAX && ((size_t)1 << log) < bytes)
		log++;
	return log;
}

static int set(ZSTD_CCtx *c, ZSTD_cParameter what, int value)
{
	size_t r = ZSTD_CCtx_setParameter(c, what, value);

	return ZSTD_isError(r) ? compress_failed(r) : 0;
}

/* The parameters of `zstd --patch-from`. */
static int prefix_setup(ZSTD_CCtx *c, const void *prefix, size_t prefix_len,
			int level, size_t len)
{
	size_t n;
	int r = set(c, ZSTD_c_compressionLevel, level);

	if (r == 0)
		r = set(c, ZSTD_c_checksumFlag, 1);
	if (r < 0 || prefix_len == 0)
		return r;
	r = set(c, ZSTD_c_windowLog, window_log(prefix_len + len));
	if (r == 0)
		r = set(c, ZSTD_c_enableLongDistanceMatching, 1);
	if (r < 0)
		return r;
	n = ZSTD_CCtx_refPrefix(c, prefix, prefix_len);
	return ZSTD_isError(n) ? compress_failed(n) : 0;
}

static void cleanup_cctx(ZSTD_CCtx **c)
{
	ZSTD_freeCCtx(*c);
}

static void cleanup_dctx(ZSTD_DCtx **d)
{
	ZSTD_freeDCtx(*d);
}

int codec_compress_against(const void *prefix, size_t prefix_len, int level,
			   const void *data, size_t len, struct buf *out)
{
	_cleanup_(cleanup_cctx) ZSTD_CCtx *c = ZSTD_createCCtx();
	int r = c ? prefix_setup(c, prefix, prefix_len, level, len) : -ENOMEM;

	return r < 0 ? r : compress(c, data, len, out);
}

int codec_decompress_against(const void *prefix, size_t prefix_len,
			     const void *frame, size_t frame_len, void *out,
			     size_t size)
{
	_cleanup_(cleanup_dctx) ZSTD_DCtx *d = ZSTD_createDCtx();
	const char *fault = frame_fault(frame, frame_len, size);
	size_t n = 0;

	if (!d)
		return -ENOMEM;
	if (fault)
		return log_error(-EBADMSG, "zstd frame: %s", fault);
	if (prefix_len > 0)
		n = ZSTD_DCtx_refPrefix(d, prefix, prefix_len);
	if (!ZSTD_isError(n))
		n = ZSTD_decompressDCtx(d, out, size, frame, frame_len);
	return decompress_result(n, size);
}
