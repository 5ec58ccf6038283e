/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all tiers have in common: paths are checked before, and lengths while
 * a tier answers. Owns the count of references; no other state.
 */
#include "tier.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct tier {
	const struct tier_ops *ops; /* constant, as the next */
	void *self;
	atomic_uint refs;
};

int tier_new(const struct tier_ops *ops, void *self, struct tier **ret_tier)
{
	struct tier *t = calloc(1, sizeof(*t));

	if (!t) {
		ops->free(self);
		return -ENOMEM;
	}
	t->ops = ops;
	t->self = self;
	atomic_init(&t->refs, 1);
	*ret_tier = t;
	return 0;
}

struct tier *tier_ref(struct tier *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void tier_unref(struct tier *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	t->ops->free(t->self);
	free(t);
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool is_of_segment(char c)
{
	return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
}

bool tier_path_is_valid(const char *path)
{
	bool begins = true;
	size_t i;

	for (i = 0; path[i]; i++) {
		if (path[i] == '/' ? begins :
		    begins	   ? !is_letter_or_digit(path[i]) :
				     !is_of_segment(path[i]))
			return false;
		begins = path[i] == '/';
	}
	return i > 0 && i <= TIER_PATH_MAX && !begins;
}

int tier_why(const struct tier_call *c, int err, const char *fmt, ...)
{
	va_list ap;

	if (c->why[0])
		return err;
	va_start(ap, fmt);
	vsnprintf(c->why, TIER_WHY_MAX, fmt, ap);
	va_end(ap);
	return err;
}

int tier_call_check(const struct tier_call *c)
{
	if (c->cancelled && atomic_load(c->cancelled))
		return tier_why(c, -ECANCELED, "given up");
	if (c->deadline_ns && clock_mono_ns() >= c->deadline_ns)
		return tier_why(c, -ETIMEDOUT, "no answer in time");
	return 0;
}

/* A call whose `why` can be written to, whatever the caller gave. */
struct prepared {
	struct tier_call call;
	char why[TIER_WHY_MAX];
};

static const struct tier_call *prepare(struct prepared *p,
				       const struct tier_call *c)
{
	p->call = c ? *c : (struct tier_call){ 0 };
	if (!p->call.why)
		p->call.why = p->why;
	p->call.why[0] = '\0';
	return &p->call;
}

static int check(const struct tier_call *c, const char *path)
{
	if (!tier_path_is_valid(path))
		return tier_why(c, -EINVAL, "not the path of an object");
	return tier_call_check(c);
}

struct counted {
	const struct tier_call *call;
	uint64_t want, got; /* want 0: whatever comes */
	tier_sink sink;
	void *arg;
};

static int take_counted(void *arg, const void *data, size_t len)
{
	struct counted *n = arg;

	if (n->want && len > n->want - n->got)
		return tier_why(n->call, -EFBIG,
				"more than the %llu bytes asked for",
				(unsigned long long)n->want);
	n->got += len;
	return n->sink(n->arg, data, len);
}

int tier_get(struct tier *t, const struct tier_call *c, const char *path,
	     uint64_t off, uint64_t len, tier_sink sink, void *arg)
{
	struct prepared p;
	struct counted n = { prepare(&p, c), len, 0, sink, arg };
	int r = check(n.call, path);

	if (r == 0)
		r = t->ops->get(t->self, n.call, path, off, len, take_counted,
				&n);
	if (r == 0 && n.got < len)
		return tier_why(n.call, -EIO, "%llu of %llu bytes",
				(unsigned long long)n.got,
				(unsigned long long)len);
	return r;
}

struct reading {
	struct buf data;
	size_t max;
};

static int take_data(void *arg, const void *data, size_t len)
{
	struct reading *r = arg;

	if (len > r->max - r->data.len)
		return -EFBIG;
	buf_put(&r->data, data, len);
	return buf_error(&r->data);
}

int tier_read(struct tier *t, const struct tier_call *c, const char *path,
	      size_t max, struct buf *ret_data)
{
	struct reading rd = { BUF_INIT, max };
	int r = tier_get(t, c, path, 0, 0, take_data, &rd);

	if (r == 0 && rd.data.len > 0) {
		buf_put(ret_data, rd.data.data, rd.data.len);
		r = buf_error(ret_data);
	}
	buf_release(&rd.data);
	return r;
}

int tier_put(struct tier *t, const struct tier_call *c, const char *path,
	     uint64_t size, tier_source source, void *arg)
{
	struct prepared p;
	const struct tier_call *call = prepare(&p, c);
	int r = check(call, path);

	return r < 0 ? r : t->ops->put(t->self, call, path, size, source, arg);
}

struct memory {
	const uint8_t *data;
	size_t len;
};

static ssize_t read_memory(void *arg, void *buf, size_t cap, uint64_t off)
{
	const struct memory *m = arg;
	size_t n;

	if (off >= m->len)
		return 0;
	n = m->len - off < cap ? m->len - off : cap;
	memcpy(buf, m->data + off, n);
	return n;
}

int tier_put_data(struct tier *t, const struct tier_call *c, const char *path,
		  const void *data, size_t len)
{
	struct memory m = { data, len };

	return tier_put(t, c, path, len, read_memory, &m);
}

int tier_head(struct tier *t, const struct tier_call *c, const char *path,
	      uint64_t *ret_size)
{
	struct prepared p;
	const struct tier_call *call = prepare(&p, c);
	int r = check(call, path);

	return r < 0 ? r : t->ops->head(t->self, call, path, ret_size);
}

int tier_list(struct tier *t, const struct tier_call *c, const char *prefix,
	      tier_each each, void *arg)
{
	struct prepared p;
	const struct tier_call *call = prepare(&p, c);
	int r = *prefix ? check(call, prefix) : tier_call_check(call);

	return r < 0 ? r : t->ops->list(t->self, call, prefix, each, arg);
}

int tier_delete(struct tier *t, const struct tier_call *c, const char *path)
{
	struct prepared p;
	const struct tier_call *call = prepare(&p, c);
	int r = check(call, path);

	return r < 0 ? r : t->ops->delete (t->self, call, path);
}
