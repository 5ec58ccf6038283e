/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index's records of signed entries that were here: see seen.h. Their keys
 * are "seen", its NUL, the kind (u8), tenant, namespace, name and the key or
 * the branch (NUL-terminated), ~created_ns (u64, big-endian) and the 32 bytes of
 * the key that signed; their values seen_ns (u64, little-endian) and the entry's
 * key (NUL-terminated). The newest comes first, and those who write one at the
 * same time leave two of which it does. They lie in the default family, where
 * earlier versions do not look. Any thread; no state.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/log.h"
#include "index_db.h"
#include "index_keys.h"

static const char family[] = "seen"; /* with its NUL */

static void put_prefix(struct buf *key, const struct index_seen_of *of)
{
	buf_put(key, family, sizeof(family));
	buf_put_u8(key, of->kind);
	index_key_strings(key, of->tenant, of->namespace, of->name, of->what,
			  NULL);
}

/* Behind the first `prefix_len` bytes of the key; the rest is borrowed from key
 * and value. */
static int decode(const struct index_bytes *key, size_t prefix_len,
		  const struct index_bytes *value, struct index_seen *ret_seen)
{
	struct cursor k, v;
	const void *order, *signer;
	const char *text;
	uint64_t created, seen;
	size_t len;

	cursor_init(&k, key->data, key->len);
	cursor_bytes(&k, prefix_len);
	order = cursor_bytes(&k, sizeof(created));
	signer = cursor_bytes(&k, SIGN_KEY_LEN);
	cursor_init(&v, value->data, value->len);
	seen = cursor_u64(&v);
	len = cursor_left(&v);
	text = cursor_bytes(&v, len);
	if (cursor_error(&k) || cursor_left(&k) || cursor_error(&v) ||
	    len == 0 || memchr(text, '\0', len) != text + len - 1 ||
	    seen > INT64_MAX)
		return -EBADMSG;
	memcpy(&created, order, sizeof(created));
	ret_seen->created_ns = (int64_t)~be64toh(created);
	ret_seen->seen_ns = (int64_t)seen;
	ret_seen->key = text;
	memcpy(ret_seen->signer, signer, SIGN_KEY_LEN);
	return ret_seen->created_ns < 0 ? -EBADMSG : 0;
}

struct each_seen {
	size_t prefix_len;
	int (*each)(void *arg, const struct index_seen *seen);
	void *arg;
};

/* One that is damaged says nothing. */
static int each_seen(void *arg, const struct index_bytes *key,
		     const struct index_bytes *value)
{
	const struct each_seen *each = arg;
	struct index_seen seen;

	if (decode(key, each->prefix_len, value, &seen) < 0) {
		log_warn(0, "index: a record of what was seen is damaged");
		return 0;
	}
	return each->each(each->arg, &seen);
}

int index_each_seen(struct index *ix, const struct index_seen_of *of,
		    int (*each)(void *arg, const struct index_seen *seen),
		    void *arg)
{
	_cleanup_buf_ struct buf k = BUF_INIT;
	struct each_seen ctx = { .each = each, .arg = arg };
	struct index_bytes prefix;

	put_prefix(&k, of);
	if (buf_error(&k))
		return buf_error(&k);
	prefix = index_bytes_of(&k);
	ctx.prefix_len = prefix.len;
	return index_db_each(ix, INDEX_CF_DEFAULT, &prefix, each_seen, &ctx);
}

struct putting {
	struct index_batch *batch;
	size_t prefix_len;
	const struct index_seen *seen;
	bool newer; /* there is one of the same signer */
};

static int replace(void *arg, const struct index_bytes *key,
		   const struct index_bytes *value)
{
	struct putting *p = arg;
	struct index_seen old;

	if (decode(key, p->prefix_len, value, &old) == 0) {
		if (memcmp(old.signer, p->seen->signer, SIGN_KEY_LEN) != 0)
			return 0;
		p->newer |= old.created_ns > p->seen->created_ns;
		if (old.created_ns >= p->seen->created_ns)
			return 0;
	}
	index_db_delete(p->batch, INDEX_CF_DEFAULT, key);
	return 0;
}

int index_put_seen(struct index_batch *b, const struct index_seen_of *of,
		   const struct index_seen *seen)
{
	uint64_t order = htobe64(~(uint64_t)seen->created_ns);
	_cleanup_buf_ struct buf k = BUF_INIT, v = BUF_INIT;
	struct putting p = { .batch = b, .seen = seen };
	struct index_bytes key, value;
	int r;

	put_prefix(&k, of);
	if (buf_error(&k))
		return buf_error(&k);
	key = index_bytes_of(&k);
	p.prefix_len = key.len;
	r = index_db_each(index_batch_index(b), INDEX_CF_DEFAULT, &key, replace,
			  &p);
	if (r < 0 || p.newer)
		return r;
	buf_put(&k, &order, sizeof(order));
	buf_put(&k, seen->signer, SIGN_KEY_LEN);
	buf_put_u64(&v, (uint64_t)seen->seen_ns);
	index_key_strings(&v, seen->key, NULL);
	if (buf_error(&k) || buf_error(&v))
		return -ENOMEM;
	key = index_bytes_of(&k);
	value = index_bytes_of(&v);
	index_db_put(b, INDEX_CF_DEFAULT, &key, &value);
	return 0;
}

struct pruning {
	struct index_batch *batch;
	int64_t before_ns;
};

static int prune(void *arg, const struct index_bytes *key,
		 const struct index_bytes *value)
{
	const struct pruning *p = arg;
	struct cursor c;
	uint64_t seen;

	cursor_init(&c, value->data, value->len);
	seen = cursor_u64(&c);
	if (cursor_error(&c) || seen < (uint64_t)p->before_ns)
		index_db_delete(p->batch, INDEX_CF_DEFAULT, key);
	return 0;
}

int index_prune_seen(struct index *ix, int64_t before_ns)
{
	const struct index_bytes prefix = { family, sizeof(family) };
	struct pruning p = { .before_ns = before_ns };
	int r;

	if (before_ns < 0)
		return 0;
	r = index_batch_begin(ix, &p.batch);
	if (r < 0)
		return r;
	r = index_db_each(ix, INDEX_CF_DEFAULT, &prefix, prune, &p);
	if (r < 0) {
		index_batch_abort(p.batch);
		return r;
	}
	return index_batch_commit(p.batch, false);
}
