/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading through a chain: the tiers in order, until one has the object whole
 * and right. No state but the chain's; any thread.
 */
#include <errno.h>

#include "base/clock.h"
#include "chain_internal.h"

/* The part of the time that one of `left` tiers may use. */
static int64_t share(int64_t deadline_ns, unsigned left)
{
	int64_t now = clock_mono_ns();

	if (!deadline_ns || left < 2 || now >= deadline_ns)
		return deadline_ns;
	return now + (deadline_ns - now) / left;
}

static unsigned count_readable(const struct chain *c, unsigned from)
{
	unsigned n = 0;

	for (unsigned i = from; i < c->count; i++)
		n += (c->tiers[i].access & CHAIN_READ) && chain_is_up(c, i);
	return n;
}

/* A sink that tells the caller's failures from the tier's. */
struct taking {
	const struct chain_want *want;
	int own;
};

static int take(void *arg, const void *data, size_t len)
{
	struct taking *t = arg;
	int r = t->want->data(t->want->arg, data, len);

	if (r < 0 && r != -EBADMSG)
		t->own = r;
	return r;
}

/* What is wrong with the tier's copy, so that another's may be right. */
static bool is_of_copy(int err)
{
	return err == -EBADMSG || chain_is_refused(err);
}

/* -EBADMSG also where the sink found it out before the end. */
static int get_one(struct chain *c, unsigned i, const struct tier_call *call,
		   const char *path, uint64_t off, uint64_t len,
		   const struct chain_want *want, int *ret_own)
{
	struct taking t = { .want = want };
	int r = want->begin ? want->begin(want->arg) : 0;

	*ret_own = r;
	if (r < 0)
		return r;
	r = chain_get_from(c, i, call, path, off, len, take, &t);
	*ret_own = t.own;
	if (r == 0 && want->check) {
		r = want->check(want->arg);
		if (r < 0 && !is_of_copy(r))
			*ret_own = r;
	}
	if (r == -EBADMSG)
		chain_damaged(c, i, path);
	if (chain_is_refused(r))
		chain_untrusted(c, i, path, r);
	return r;
}

/* What the whole call fails with: that somebody is not trusted, else the first
 * failure, else damage, else absence. */
static int worse(int before, int now)
{
	if (chain_is_refused(now))
		return now;
	if (before == -ENOENT || (before == -EBADMSG && now != -ENOENT))
		return now;
	return before;
}

int chain_get(struct chain *c, const struct tier_call *call, const char *path,
	      uint64_t off, uint64_t len, const struct chain_want *want,
	      unsigned *ret_from)
{
	struct tier_call part = call ? *call : (struct tier_call){ 0 };
	int64_t deadline_ns = part.deadline_ns;
	int all = -ENOENT;

	for (unsigned i = 0; i < c->count; i++) {
		int r, own;

		if (!(c->tiers[i].access & CHAIN_READ))
			continue;
		part.deadline_ns = share(deadline_ns, count_readable(c, i));
		if (part.asked)
			*part.asked = chain_name(c, i);
		r = get_one(c, i, &part, path, off, len, want, &own);
		if (r == 0 && ret_from)
			*ret_from = i;
		if (r == 0 || own || r == -ECANCELED || r == -ENOMEM ||
		    r == -EINVAL)
			return r;
		all = worse(all, r);
	}
	return all;
}

struct reading {
	struct buf data;
	size_t max;
	int (*check)(void *arg, const void *data, size_t len);
	void *arg;
};

static int reading_begin(void *arg)
{
	struct reading *r = arg;

	buf_reset(&r->data);
	return 0;
}

/* More than any right object could have: the tier's fault. */
static int reading_data(void *arg, const void *data, size_t len)
{
	struct reading *r = arg;

	if (len > r->max - r->data.len)
		return -EBADMSG;
	buf_put(&r->data, data, len);
	return buf_error(&r->data);
}

static int reading_check(void *arg)
{
	struct reading *r = arg;

	return r->check ? r->check(r->arg, r->data.data, r->data.len) : 0;
}

int chain_read(struct chain *c, const struct tier_call *call, const char *path,
	       size_t max,
	       int (*check)(void *arg, const void *data, size_t len), void *arg,
	       struct buf *ret_data, unsigned *ret_from)
{
	struct reading rd = { BUF_INIT, max, check, arg };
	struct chain_want want = { reading_begin, reading_data, reading_check,
				   &rd };
	int r = chain_get(c, call, path, 0, 0, &want, ret_from);

	if (r == 0 && rd.data.len > 0) {
		buf_put(ret_data, rd.data.data, rd.data.len);
		r = buf_error(ret_data);
	}
	buf_release(&rd.data);
	return r;
}
