/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries: (tenant, namespace, name, key) -> catalog. Written last, after all
 * that they point to. Encoded with a magic, a version and a CRC32C, decoded
 * through the bounded cursor.
 */
#ifndef LARDER_ENTRY_H
#define LARDER_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "digest.h"
#include "key.h"
#include "sign.h"

#define ENTRY_TENANT_LOCAL "local"
#define ENTRY_NAMESPACE_DEFAULT "default"
#define ENTRY_BRANCH_MAX 255
#define ENTRY_CREATOR_MAX 255
#define ENTRY_PARTS_MAX 1000000
#define ENTRY_SIGNATURES_MAX 8

struct entry_signature {
	char key[KEY_MAX + 1]; /* the name of the key that made it */
	uint8_t bytes[SIGN_LEN];
};

struct entry {
	char *tenant; /* as all strings: owned, in the alphabet of keys */
	char *namespace;
	char *name;
	char *key;
	char *branch;  /* any bytes but NUL and '\n'; "" for none */
	char *creator; /* "user@host" */
	char *parent;  /* key of the entry it was built on; "" for none */
	struct digest parent_catalog; /* zero for none */
	struct digest catalog;
	struct key_parts parts;
	uint64_t files, dirs, bytes;	    /* of the tree */
	uint64_t new_files, new_bytes;	    /* that this commit added */
	uint64_t stored_bytes;		    /* compressed, that it added */
	int64_t created_ns;		    /* wall clock */
	struct entry_signature *signatures; /* owned; by key, each once */
	unsigned signature_count;
};

#define ENTRY_INIT \
	{          \
		0  \
	}

void entry_release(struct entry *e);
int entry_copy(const struct entry *e, struct entry *ret_entry);

/* -EINVAL when a field is outside its limits. */
int entry_encode(const struct entry *e, struct buf *ret_blob);

/* -EBADMSG (said), -ESTALE for a newer version (said). */
int entry_decode(const void *data, size_t len, struct entry *ret_entry);

/* --- entry_sign.c --- */

/*
 * What a signature of the key `key` is over: that name, the version of this
 * form, and all that the entry says but for its signatures, so that none of it
 * can be put together otherwise: not tenant, namespace, name, key or branch, not
 * the tree, the parent or the time. Appended. -EINVAL as of entry_encode().
 */
int entry_statement(const struct entry *e, const char *key,
		    struct buf *ret_bytes);

/* Signs, in place of a signature of the same name. With ENTRY_SIGNATURES_MAX
 * others, -EFBIG. */
int entry_sign(struct entry *e, const struct sign_key *key);

/* 0 where `key` has signed the entry as it is, else -EKEYREJECTED. */
int entry_verify(const struct entry *e, const struct sign_public *key);

/*
 * ENTRY as users write it: NAME@KEY, NAME@PREFIX, NAME@latest or
 * NAME@branch:BRANCH. A key that is called "latest" is reached by a prefix of
 * it only. Whether KEY is whole or a prefix shows when it is looked up; what
 * is shorter than KEY_PREFIX_MIN can only be whole.
 */
enum entry_ref_kind { ENTRY_REF_KEY, ENTRY_REF_LATEST, ENTRY_REF_BRANCH };

struct entry_ref {
	enum entry_ref_kind kind;
	char name[KEY_MAX + 1];
	char arg[ENTRY_BRANCH_MAX + 1]; /* key or prefix, or branch */
};

int entry_ref_parse(const char *text, struct entry_ref *ret_ref); /* -EINVAL */

#define _cleanup_entry_ __attribute__((cleanup(entry_release)))

#endif
