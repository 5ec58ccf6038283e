/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures by libcrypto. A secret key is kept as its 32 bytes and becomes
 * libcrypto's only for a call, so that one place wipes it. What libcrypto says of
 * a signature that is wrong is no error and is dropped from its queue.
 */
#include "sign.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "crypto_error.h"

struct sign_key {
	uint8_t seed[SIGN_KEY_LEN];
	struct sign_public public;
};

static void cleanup_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void cleanup_md_ctx(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

#define _cleanup_pkey_ __attribute__((cleanup(cleanup_pkey)))
#define _cleanup_md_ctx_ __attribute__((cleanup(cleanup_md_ctx)))

/* --- text --- */

/* `text` is all of it. libcrypto skips white space and takes any padding, so
 * only what it would write itself counts. */
static int decode_base64(const char *text, uint8_t ret_bytes[SIGN_KEY_LEN])
{
	unsigned char bytes[SIGN_BASE64_LEN], again[SIGN_BASE64_LEN + 1];
	int r = -EINVAL;

	if (strlen(text) == SIGN_BASE64_LEN &&
	    EVP_DecodeBlock(bytes, (const unsigned char *)text,
			    SIGN_BASE64_LEN) == SIGN_KEY_LEN + 1 &&
	    EVP_EncodeBlock(again, bytes, SIGN_KEY_LEN) == SIGN_BASE64_LEN &&
	    CRYPTO_memcmp(again, text, SIGN_BASE64_LEN) == 0) {
		memcpy(ret_bytes, bytes, SIGN_KEY_LEN);
		r = 0;
	}
	ERR_clear_error();
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(again, sizeof(again));
	return r;
}

static void print(const char *prefix, const char *name, const uint8_t *bytes,
		  char ret_text[SIGN_TEXT_MAX])
{
	unsigned char base64[SIGN_BASE64_LEN + 1];

	EVP_EncodeBlock(base64, bytes, SIGN_KEY_LEN);
	snprintf(ret_text, SIGN_TEXT_MAX, "%s%s:%s", prefix, name,
		 (char *)base64);
	OPENSSL_cleanse(base64, sizeof(base64));
}

static int parse(const char *text, char ret_name[KEY_MAX + 1],
		 uint8_t ret_bytes[SIGN_KEY_LEN])
{
	size_t len = strcspn(text, ":");
	char name[KEY_MAX + 1];
	int r;

	if (len > KEY_MAX || text[len] != ':')
		return -EINVAL;
	memcpy(name, text, len);
	name[len] = '\0';
	if (!key_is_valid(name))
		return -EINVAL;
	r = decode_base64(text + len + 1, ret_bytes);
	if (r == 0)
		memcpy(ret_name, name, len + 1);
	return r;
}

bool sign_text_is_secret(const char *text)
{
	return strstr(text, SIGN_SECRET_PREFIX) != NULL;
}

int sign_public_parse(const char *text, struct sign_public *ret_key)
{
	return parse(text, ret_key->name, ret_key->bytes);
}

void sign_public_text(const struct sign_public *key,
		      char ret_text[SIGN_TEXT_MAX])
{
	print("", key->name, key->bytes, ret_text);
}

/* --- secret keys --- */

static EVP_PKEY *open_secret(const struct sign_key *key)
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed,
					    SIGN_KEY_LEN);
}

static int derive_public(struct sign_key *key)
{
	_cleanup_pkey_ EVP_PKEY *secret = open_secret(key);
	size_t len = SIGN_KEY_LEN;

	if (!secret ||
	    !EVP_PKEY_get_raw_public_key(secret, key->public.bytes, &len) ||
	    len != SIGN_KEY_LEN)
		return crypto_failed("Ed25519", "the public key");
	return 0;
}

static int generate(struct sign_key *key)
{
	_cleanup_pkey_ EVP_PKEY *secret =
		EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	size_t len = SIGN_KEY_LEN;

	if (!secret || !EVP_PKEY_get_raw_private_key(secret, key->seed, &len) ||
	    len != SIGN_KEY_LEN)
		return crypto_failed("Ed25519", "a new key");
	return 0;
}

int sign_key_new(const char *name, struct sign_key **ret_key)
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	int r;

	if (!key_is_valid(name))
		return -EINVAL;
	key = calloc(1, sizeof(*key));
	if (!key)
		return -ENOMEM;
	memcpy(key->public.name, name, strlen(name) + 1);
	r = generate(key);
	if (r == 0)
		r = derive_public(key);
	if (r == 0)
		*ret_key = steal_ptr(&key);
	return r;
}

int sign_key_parse(const char *text, struct sign_key **ret_key)
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	size_t prefix = strlen(SIGN_SECRET_PREFIX), len = strlen(text);
	char line[SIGN_TEXT_MAX];
	int r;

	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (len >= sizeof(line) || len < prefix ||
	    memcmp(text, SIGN_SECRET_PREFIX, prefix) != 0)
		return -EINVAL;
	key = calloc(1, sizeof(*key));
	if (!key)
		return -ENOMEM;
	memcpy(line, text, len);
	line[len] = '\0';
	r = parse(line + prefix, key->public.name, key->seed);
	OPENSSL_cleanse(line, sizeof(line));
	if (r == 0)
		r = derive_public(key);
	if (r == 0)
		*ret_key = steal_ptr(&key);
	return r;
}

void sign_key_free(struct sign_key *key)
{
	if (key)
		OPENSSL_cleanse(key, sizeof(*key));
	free(key);
}

void sign_key_text(const struct sign_key *key, char ret_text[SIGN_TEXT_MAX])
{
	print(SIGN_SECRET_PREFIX, key->public.name, key->seed, ret_text);
}

const struct sign_public *sign_key_public(const struct sign_key *key)
{
	return &key->public;
}

/* --- signatures --- */

int sign_make(const struct sign_key *key, const void *data, size_t len,
	      uint8_t ret_signature[SIGN_LEN])
{
	_cleanup_pkey_ EVP_PKEY *secret = open_secret(key);
	_cleanup_md_ctx_ EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t got = SIGN_LEN;

	if (!ctx)
		return -ENOMEM;
	if (!secret || !EVP_DigestSignInit(ctx, NULL, NULL, NULL, secret) ||
	    !EVP_DigestSign(ctx, ret_signature, &got, data, len) ||
	    got != SIGN_LEN)
		return crypto_failed("Ed25519", "a signature");
	return 0;
}

int sign_check(const struct sign_public *key, const void *data, size_t len,
	       const uint8_t signature[SIGN_LEN])
{
	_cleanup_pkey_ EVP_PKEY *public = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, key->bytes, SIGN_KEY_LEN);
	_cleanup_md_ctx_ EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r;

	if (!ctx)
		return -ENOMEM;
	if (!public || !EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public))
		return crypto_failed("Ed25519", "a check");
	r = EVP_DigestVerify(ctx, signature, SIGN_LEN, data, len);
	ERR_clear_error();
	return r == 1 ? 0 : -EKEYREJECTED;
}
