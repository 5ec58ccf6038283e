/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests: SHA-256 of uncompressed content, by libcrypto, of which this module
 * and sign.h are the only owners (EVP; the method is fetched once). Thread-safe.
 */
#ifndef LARDER_DIGEST_H
#define LARDER_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGEST_LEN 32
#define DIGEST_HEX_LEN 64

struct digest {
	uint8_t bytes[DIGEST_LEN];
};

struct digest_ctx; /* one running hash */

/* 0, or -ENOMEM / -EIO when libcrypto fails. */
int digest_of(const void *data, size_t len, struct digest *ret_digest);

int digest_ctx_new(struct digest_ctx **ret_ctx);
void digest_ctx_free(struct digest_ctx *ctx);
int digest_ctx_reset(struct digest_ctx *ctx);
int digest_ctx_update(struct digest_ctx *ctx, const void *data, size_t len);
int digest_ctx_final(struct digest_ctx *ctx, struct digest *ret_digest);

static inline void cleanup_digest_ctx(struct digest_ctx **ctx)
{
	digest_ctx_free(*ctx);
}

#define _cleanup_digest_ctx_ __attribute__((cleanup(cleanup_digest_ctx)))

void digest_hex(const struct digest *d, char ret_hex[DIGEST_HEX_LEN + 1]);
int digest_parse(const char *hex, struct digest *ret_digest); /* -EINVAL */

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

static inline bool digest_is_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

#endif
