/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom to believe: the public keys that may sign entries of one tenant and
 * namespace. Where there are some, an entry from a remote tier counts with the
 * signature of one of them only. Content needs none, it has its digest; and
 * pointers to the newest, placements and learned records are hints, which can
 * at most lead to another entry that was signed.
 *
 * Made by one thread, then constant: any thread.
 */
#ifndef LARDER_TRUST_H
#define LARDER_TRUST_H

#include "entry.h"

#define TRUST_KEYS_MAX 64

struct trust;

int trust_new(struct trust **ret_trust);
void trust_free(struct trust *t); /* NULL is fine */

/* A key, as sign_public_parse() takes it: -EINVAL; -EFBIG. Several may have one
 * name. */
int trust_add(struct trust *t, const char *public_key);

/* 0 where a key of `t` has signed the entry, which is *ret_key then (borrowed
 * from `t`; NULL: not asked for), or where `t` is NULL; else -EKEYREJECTED. */
int trust_check(const struct trust *t, const struct entry *e,
		const struct sign_public **ret_key);

/* Whether a key is among those of `t`, by its bytes. */
bool trust_has(const struct trust *t, const uint8_t key[SIGN_KEY_LEN]);

static inline void cleanup_trust(struct trust **t)
{
	trust_free(*t);
}

#define _cleanup_trust_ __attribute__((cleanup(cleanup_trust)))

#endif
