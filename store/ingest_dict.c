/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dictionary of an ingest: when there is enough that is new and small,
 * one is trained, from the source's samples where it gave any, else from the
 * chunks that were held back. All here is the driving thread's; what others
 * read is constant once dict_decided is set.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ingest_internal.h"

#define DICT_BYTES_MAX (110u << 10)
#define SAMPLE_BYTES_MAX (16u << 10)

/* Less new content than this does not pay for a dictionary. */
#define HOLD_MIN (UINT64_C(1) << 20)
/* What is held back where it also has to serve as samples. */
#define HOLD_FOR_SAMPLES (UINT64_C(4) << 20)
/* What is held back at most, large chunks between the small ones included. */
#define HOLD_MAX (UINT64_C(64) << 20)

/* The length first: large chunks are compressed while there may yet be a
 * dictionary to come, and `dict` may not be looked at then. */
bool ingest_wants_dict(const struct ingest *in, size_t len)
{
	return len <= CODEC_DICT_CHUNK_MAX && in->dict;
}

int ingest_compress(struct ingest *in, struct codec_ctx *ctx, const void *data,
		    size_t len, struct buf *out)
{
	return codec_compress(ctx, ingest_wants_dict(in, len) ? in->dict : NULL,
			      CODEC_LEVEL_DEFAULT, data, len, out);
}

static int held_grow(struct ingest *in)
{
	size_t cap = in->held_cap ? in->held_cap * 2 : 256;
	struct ingest_held *held;

	if (in->held_count < in->held_cap)
		return 0;
	held = realloc(in->held, cap * sizeof(*held));
	if (!held)
		return -ENOMEM;
	in->held = held;
	in->held_cap = cap;
	return 0;
}

int ingest_hold(struct ingest *in, struct ingest_chunk *c, const void *data,
		size_t len, bool is_frame)
{
	_cleanup_free_ uint8_t *copy = malloc(len);
	int r = held_grow(in);

	if (r < 0 || !copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	in->held[in->held_count++] = (struct ingest_held){
		.chunk = c,
		.data = steal_ptr(&copy),
		.len = len,
		.is_frame = is_frame,
	};
	in->held_bytes += len;
	if (!is_frame)
		in->held_small += len;
	return 0;
}

/* What is held is as good as samples of a stream get. */
static int samples_from_held(struct ingest *in)
{
	size_t i, off = 0;

	in->samples = malloc(in->held_small + 1);
	in->sample_sizes =
		calloc(in->held_count + 1, sizeof(*in->sample_sizes));
	if (!in->samples || !in->sample_sizes)
		return -ENOMEM;
	for (i = 0; i < in->held_count; i++) {
		const struct ingest_held *h = &in->held[i];
		size_t n = h->len < SAMPLE_BYTES_MAX ? h->len :
						       SAMPLE_BYTES_MAX;

		if (h->is_frame)
			continue;
		memcpy(in->samples + off, h->data, n);
		off += n;
		in->sample_sizes[in->sample_count++] = n;
	}
	return 0;
}

static int dict_train(struct ingest *in)
{
	int r;

	if (!in->samples) {
		r = samples_from_held(in);
		if (r < 0)
			return r;
	}
	r = codec_dict_train(in->samples, in->sample_sizes, in->sample_count,
			     DICT_BYTES_MAX, &in->dict_bytes, &in->dict_len);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return codec_dict_new(in->dict_bytes, in->dict_len, CODEC_LEVEL_DEFAULT,
			      &in->dict);
}

static int held_write(struct ingest *in, const struct ingest_held *h,
		      struct codec_ctx *ctx, struct buf *frame)
{
	int r;

	if (h->is_frame)
		return ingest_pack_add(in, h->chunk, h->data, h->len);
	buf_reset(frame);
	r = ingest_compress(in, ctx, h->data, h->len, frame);
	if (r < 0)
		return r;
	return ingest_pack_add(in, h->chunk, frame->data, frame->len);
}

static void cleanup_codec_ctx(struct codec_ctx **ctx)
{
	codec_ctx_free(*ctx);
}

static int held_flush(struct ingest *in)
{
	_cleanup_(cleanup_codec_ctx) struct codec_ctx *ctx = NULL;
	_cleanup_buf_ struct buf frame = BUF_INIT;
	size_t i;
	int r;

	if (in->held_count == 0)
		return 0;
	r = codec_ctx_new(&ctx);
	for (i = 0; r == 0 && i < in->held_count; i++) {
		r = held_write(in, &in->held[i], ctx, &frame);
		free(steal_ptr(&in->held[i].data));
	}
	return r;
}

static bool dict_due(const struct ingest *in, bool last)
{
	uint64_t enough = in->samples ? HOLD_MIN : HOLD_FOR_SAMPLES;

	return last || in->held_small >= enough || in->held_bytes >= HOLD_MAX;
}

static void held_free(struct ingest *in)
{
	size_t i;

	for (i = 0; i < in->held_count; i++)
		free(in->held[i].data);
	free(steal_ptr(&in->held));
	free(steal_ptr(&in->samples));
	free(steal_ptr(&in->sample_sizes));
	in->held_count = in->held_cap = in->sample_count = 0;
}

int ingest_decide(struct ingest *in, bool last)
{
	int r = 0;

	if (atomic_load(&in->dict_decided) || !dict_due(in, last))
		return 0;
	if (in->held_small >= HOLD_MIN)
		r = dict_train(in);
	if (r < 0)
		return r;
	atomic_store(&in->dict_decided, true);
	r = held_flush(in);
	held_free(in);
	return r;
}

int ingest_train(struct ingest *in, const void *samples, const size_t *sizes,
		 unsigned n)
{
	size_t total = 0;
	unsigned i;

	if (in->samples || in->held_count > 0 || n == 0)
		return -EINVAL;
	for (i = 0; i < n; i++)
		total += sizes[i];
	in->samples = malloc(total + 1);
	in->sample_sizes = calloc(n, sizeof(*sizes));
	if (!in->samples || !in->sample_sizes)
		return -ENOMEM;
	memcpy(in->samples, samples, total);
	memcpy(in->sample_sizes, sizes, n * sizeof(*sizes));
	in->sample_count = n;
	return 0;
}

void ingest_dict_free(struct ingest *in)
{
	held_free(in);
	codec_dict_free(in->dict);
	free(in->dict_bytes);
}
