/* SPDX-License-Identifier: Apache-2.0 */
/* A list of keys, and entries against it. */
#include "trust.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct trust {
	struct sign_public keys[TRUST_KEYS_MAX];
	unsigned count;
};

int trust_new(struct trust **ret_trust)
{
	struct trust *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret_trust = t;
	return 0;
}

void trust_free(struct trust *t)
{
	free(t);
}

int trust_add(struct trust *t, const char *public_key)
{
	int r;

	if (t->count == TRUST_KEYS_MAX)
		return -EFBIG;
	r = sign_public_parse(public_key, &t->keys[t->count]);
	if (r == 0)
		t->count++;
	return r;
}

bool trust_has(const struct trust *t, const uint8_t key[SIGN_KEY_LEN])
{
	for (unsigned i = 0; i < t->count; i++)
		if (memcmp(t->keys[i].bytes, key, SIGN_KEY_LEN) == 0)
			return true;
	return false;
}

int trust_check(const struct trust *t, const struct entry *e,
		const struct sign_public **ret_key)
{
	int r = t ? -EKEYREJECTED : 0;

	for (unsigned i = 0; t && i < t->count; i++) {
		r = entry_verify(e, &t->keys[i]);
		if (r == 0 && ret_key)
			*ret_key = &t->keys[i];
		if (r != -EKEYREJECTED)
			return r;
	}
	return r;
}
