/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 by libcrypto. The method is fetched once per process, since a
 * fetch takes a lock and a search through the providers; contexts are the
 * caller's and are reused through digest_ctx_reset(). libcrypto's errors are
 * translated here and its error queue is emptied, so nothing of it shows.
 */
#include "digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/log.h"
#include "crypto_error.h"

struct digest_ctx {
	EVP_MD_CTX *evp;
};

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static EVP_MD *method; /* constant after method_once; NULL: not available */

static void method_fetch(void)
{
	method = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!method)
		log_error(0, "libcrypto offers no SHA-256");
}

static const EVP_MD *method_get(void)
{
	pthread_once(&method_once, method_fetch);
	return method;
}

int digest_of(const void *data, size_t len, struct digest *ret_digest)
{
	const EVP_MD *md = method_get();
	struct digest d;

	if (!md)
		return -EIO;
	if (!EVP_Digest(data, len, d.bytes, NULL, md, NULL))
		return crypto_failed("SHA-256", "one call");
	*ret_digest = d;
	return 0;
}

int digest_ctx_new(struct digest_ctx **ret_ctx)
{
	struct digest_ctx *ctx = calloc(1, sizeof(*ctx));
	int r;

	if (!ctx)
		return -ENOMEM;
	ctx->evp = EVP_MD_CTX_new();
	r = ctx->evp ? digest_ctx_reset(ctx) : -ENOMEM;
	if (r < 0) {
		digest_ctx_free(ctx);
		return r;
	}
	*ret_ctx = ctx;
	return 0;
}

void digest_ctx_free(struct digest_ctx *ctx)
{
	if (!ctx)
		return;
	EVP_MD_CTX_free(ctx->evp);
	free(ctx);
}

int digest_ctx_reset(struct digest_ctx *ctx)
{
	const EVP_MD *md = method_get();

	if (!md)
		return -EIO;
	if (!EVP_DigestInit_ex2(ctx->evp, md, NULL))
		return crypto_failed("SHA-256", "start");
	return 0;
}

int digest_ctx_update(struct digest_ctx *ctx, const void *data, size_t len)
{
	if (!EVP_DigestUpdate(ctx->evp, data, len))
		return crypto_failed("SHA-256", "update");
	return 0;
}

int digest_ctx_final(struct digest_ctx *ctx, struct digest *ret_digest)
{
	struct digest d;

	if (!EVP_DigestFinal_ex(ctx->evp, d.bytes, NULL))
		return crypto_failed("SHA-256", "end");
	*ret_digest = d;
	return 0;
}

void digest_hex(const struct digest *d, char ret_hex[DIGEST_HEX_LEN + 1])
{
	hex_encode(d->bytes, DIGEST_LEN, ret_hex);
}

int digest_parse(const char *hex, struct digest *ret_digest)
{
	return hex_decode(hex, DIGEST_LEN, ret_digest->bytes);
}
