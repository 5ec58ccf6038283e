/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of entries. A statement, which is what is signed, is the magic
 * "LARDSIGN", the version of its form (u32), the name of the key (u16 and
 * bytes), and the fields and parts of the entry as entry.c encodes them. A
 * statement is no prefix of another one, since every part of it has its length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "entry_internal.h"

#define STATEMENT_MAGIC "LARDSIGN"
#define STATEMENT_VERSION 1u

int entry_statement(const struct entry *e, const char *key,
		    struct buf *ret_bytes)
{
	int r;

	buf_put(ret_bytes, STATEMENT_MAGIC, strlen(STATEMENT_MAGIC));
	buf_put_u32(ret_bytes, STATEMENT_VERSION);
	buf_put_str16(ret_bytes, key);
	r = entry_encode_fields(e, ret_bytes);
	return r < 0 ? r : buf_error(ret_bytes);
}

/* Where the signature of `key` is or belongs. */
static unsigned find_place(const struct entry *e, const char *key,
			   bool *ret_found)
{
	unsigned i = 0;

	while (i < e->signature_count && strcmp(e->signatures[i].key, key) < 0)
		i++;
	*ret_found = i < e->signature_count &&
		     strcmp(e->signatures[i].key, key) == 0;
	return i;
}

static int make_room(struct entry *e, unsigned i)
{
	struct entry_signature *grown;

	if (e->signature_count == ENTRY_SIGNATURES_MAX)
		return -EFBIG;
	grown = reallocarray(e->signatures, e->signature_count + 1,
			     sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	e->signatures = grown;
	memmove(&grown[i + 1], &grown[i],
		(e->signature_count - i) * sizeof(*grown));
	e->signature_count++;
	return 0;
}

int entry_sign(struct entry *e, const struct sign_key *key)
{
	_cleanup_buf_ struct buf statement = BUF_INIT;
	struct entry_signature s = { .key = "" };
	unsigned i;
	bool found;
	int r;

	memcpy(s.key, sign_key_public(key)->name, sizeof(s.key));
	r = entry_statement(e, s.key, &statement);
	if (r == 0)
		r = sign_make(key, statement.data, statement.len, s.bytes);
	if (r < 0)
		return r;
	i = find_place(e, s.key, &found);
	if (!found)
		r = make_room(e, i);
	if (r == 0)
		e->signatures[i] = s;
	return r;
}

int entry_verify(const struct entry *e, const struct sign_public *key)
{
	_cleanup_buf_ struct buf statement = BUF_INIT;
	bool found;
	unsigned i = find_place(e, key->name, &found);
	int r;

	if (!found)
		return -EKEYREJECTED;
	r = entry_statement(e, key->name, &statement);
	return r < 0 ? r :
		       sign_check(key, statement.data, statement.len,
				  e->signatures[i].bytes);
}
