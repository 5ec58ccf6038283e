/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the kernel what it holds: the notifications. */
#include "session_ask.h"

#include <errno.h>
#include <linux/fuse.h>

#include "messenger.h"
#include "store/base/buf.h"

/* Not in the headers of the oldest kernel supported; 6.18 has it, and older
 * ones refuse it. */
#define NOTIFY_PRUNE 9

struct prune_out {
	uint32_t count, padding;
	uint64_t spare;
};

static void put_head(struct buf *b, size_t body, int code)
{
	const struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + body),
		.error = code,
	};

	buf_put(b, &head, sizeof(head));
}

/* What is not there goes for everybody. The name's NUL goes with it. */
static void put_drop(struct buf *b, const struct view_all_name *n)
{
	const struct fuse_notify_inval_entry_out out = {
		.parent = n->parent,
		.namelen = (uint32_t)n->len,
	};

	put_head(b, sizeof(out) + n->len + 1, FUSE_NOTIFY_INVAL_ENTRY);
	buf_put(b, &out, sizeof(out));
	buf_put(b, n->name, n->len);
	buf_put_u8(b, 0);
}

/* What it does not know, it need not drop. */
static int first_error(const int *results, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (results[n] < 0 && results[n] != -ENOENT)
			return results[n];
	return 0;
}

static int tell(struct session_ask *ask, const struct buf *b, int *ret_results,
		size_t count)
{
	if (!ask->messenger)
		return -ENOSYS;
	return buf_error(b) ? buf_error(b) :
			      messenger_tell(ask->messenger, ask->fd, b->data,
					     b->len, ret_results, count);
}

static int drop(void *arg, const struct view_all_name *names, size_t count)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int results[MESSENGER_COUNT_MAX];
	int r;

	if (count > MESSENGER_COUNT_MAX)
		return -EINVAL;
	for (size_t n = 0; n < count; n++)
		put_drop(&b, &names[n]);
	r = tell(arg, &b, results, count);
	return r < 0 ? r : first_error(results, count);
}

static int prune(void *arg, const uint64_t *nodes, size_t count)
{
	const struct prune_out out = { .count = (uint32_t)count };
	_cleanup_buf_ struct buf b = BUF_INIT;
	int result, r;

	put_head(&b, sizeof(out) + count * sizeof(*nodes), NOTIFY_PRUNE);
	buf_put(&b, &out, sizeof(out));
	buf_put(&b, nodes, count * sizeof(*nodes));
	r = tell(arg, &b, &result, 1);
	return r < 0 ? r : result;
}

/* That its attributes changed, but not its data. */
static int has(void *arg, uint64_t node)
{
	const struct fuse_notify_inval_inode_out out = { .ino = node,
							 .off = -1 };
	_cleanup_buf_ struct buf b = BUF_INIT;
	int result, r;

	put_head(&b, sizeof(out), FUSE_NOTIFY_INVAL_INODE);
	buf_put(&b, &out, sizeof(out));
	r = tell(arg, &b, &result, 1);
	if (r == 0 && result < 0 && result != -ENOENT)
		r = result;
	return r < 0 ? r : result == 0;
}

void session_ask_kernel(struct session_ask *ask,
			struct view_all_kernel *ret_kernel)
{
	*ret_kernel = (struct view_all_kernel){ drop, prune, has, ask };
}
