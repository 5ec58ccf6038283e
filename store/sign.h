/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 keys and signatures (RFC 8032), by libcrypto. A key has a name, in
 * the alphabet of keys, by which a signature says who made it. Keys as text, a
 * line each:
 *
 *	public	NAME:BASE64			of 32 bytes
 *	secret	larder-secret-key:NAME:BASE64	of the 32 bytes that the public
 *						one is derived from
 *
 * Base64 is canonical, with its padding. Constant once made: any thread.
 */
#ifndef LARDER_SIGN_H
#define LARDER_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "key.h"

#define SIGN_LEN 64
#define SIGN_KEY_LEN 32
#define SIGN_BASE64_LEN 44 /* of a key */
#define SIGN_SECRET_PREFIX "larder-secret-key:"
#define SIGN_TEXT_MAX \
	(sizeof(SIGN_SECRET_PREFIX) + KEY_MAX + 1 + SIGN_BASE64_LEN)

struct sign_public {
	char name[KEY_MAX + 1];
	uint8_t bytes[SIGN_KEY_LEN];
};

struct sign_key; /* secret; wiped when it is freed */

/* A new key. -EINVAL for a name that is none. */
int sign_key_new(const char *name, struct sign_key **ret_key);
void sign_key_free(struct sign_key *key); /* NULL is fine */

/* `text`: a secret key, and white space behind it. -EINVAL. */
int sign_key_parse(const char *text, struct sign_key **ret_key);

/* The line, without its end. The caller wipes it. */
void sign_key_text(const struct sign_key *key, char ret_text[SIGN_TEXT_MAX]);
const struct sign_public *sign_key_public(const struct sign_key *key);

/* Whether a text means to be a secret key, which no message may show. */
bool sign_text_is_secret(const char *text);

int sign_public_parse(const char *text, struct sign_public *ret_key);
void sign_public_text(const struct sign_public *key,
		      char ret_text[SIGN_TEXT_MAX]);

/* 0, -ENOMEM, or -EIO when libcrypto fails. */
int sign_make(const struct sign_key *key, const void *data, size_t len,
	      uint8_t ret_signature[SIGN_LEN]);

/* -EKEYREJECTED where it is not this key's signature of these bytes. */
int sign_check(const struct sign_public *key, const void *data, size_t len,
	       const uint8_t signature[SIGN_LEN]);

static inline void cleanup_sign_key(struct sign_key **key)
{
	sign_key_free(*key);
}

#define _cleanup_sign_key_ __attribute__((cleanup(cleanup_sign_key)))

#endif
