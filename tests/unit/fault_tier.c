/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in a list, behind one lock, and the fault. */
#include "fault_tier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"

#define ENDLESS_BYTES (UINT64_C(1) << 32) /* whoever takes it all is wrong */
#define STEP 65536

struct object {
	struct object *next;
	char *path;
	struct buf data;
	int64_t mtime_ns;
};

struct fault_tier {
	pthread_mutex_t lock; /* guards the list */
	struct object *objects;

	atomic_int kind; /* enum fault_kind */
	atomic_uint at, calls;
	atomic_bool always;

	void (*hook)(void *arg); /* constant while there are calls */
	void *hook_arg;
};

void fault_tier_age(struct fault_tier *f, int64_t ns)
{
	LOCK_SCOPE(&f->lock);

	for (struct object *o = f->objects; o; o = o->next)
		o->mtime_ns -= ns;
}

void fault_tier_set_hook(struct fault_tier *f, void (*hook)(void *arg),
			 void *arg)
{
	f->hook = hook;
	f->hook_arg = arg;
}

void fault_tier_set(struct fault_tier *f, enum fault_kind kind, unsigned at,
		    bool always)
{
	f->kind = kind;
	f->at = at;
	f->always = always;
	f->calls = 0;
}

unsigned fault_tier_calls(const struct fault_tier *f)
{
	return f->calls;
}

static enum fault_kind next_fault(struct fault_tier *f)
{
	unsigned n = atomic_fetch_add(&f->calls, 1) + 1;

	if (f->hook)
		f->hook(f->hook_arg);

	return n == f->at || (f->always && n > f->at) ?
		       (enum fault_kind)f->kind :
		       FAULT_NONE;
}

/* The faults that are errors at once, whatever the call. */
static int plain_error(const struct tier_call *c, enum fault_kind kind)
{
	switch (kind) {
	case FAULT_ERROR:
		return tier_why(c, -EIO, "500 Internal Server Error");
	case FAULT_REFUSED:
		return tier_why(c, -EACCES, "403 Forbidden");
	case FAULT_TIMEOUT:
		return tier_why(c, -ETIMEDOUT, "no answer in time");
	case FAULT_LOST:
		return -ENOENT;
	default:
		return 0;
	}
}

static struct object *find(struct fault_tier *f, const char *path)
{
	struct object *o = f->objects;

	while (o && strcmp(o->path, path) != 0)
		o = o->next;
	return o;
}

/* A copy of the part of an object that is asked for. */
static int copy_range(struct fault_tier *f, const char *path, uint64_t off,
		      uint64_t len, struct buf *ret_data)
{
	LOCK_SCOPE(&f->lock);
	struct object *o = find(f, path);

	if (!o)
		return -ENOENT;
	if (off > o->data.len || len > o->data.len - off)
		return -EIO;
	if (!len)
		len = o->data.len - off;
	if (len > 0)
		buf_put(ret_data, o->data.data + off, len);
	return buf_error(ret_data);
}

static int give_endless(tier_sink sink, void *arg)
{
	static const uint8_t bytes[STEP];
	uint64_t given;
	int r = 0;

	for (given = 0; r == 0 && given < ENDLESS_BYTES; given += STEP)
		r = sink(arg, bytes, STEP);
	return r;
}

static int fault_get(void *self, const struct tier_call *c, const char *path,
		     uint64_t off, uint64_t len, tier_sink sink, void *arg)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	enum fault_kind kind = next_fault(self);
	int r = plain_error(c, kind);

	if (r == 0 && kind == FAULT_FULL)
		r = tier_why(c, -EIO, "507 Insufficient Storage");
	if (r == 0)
		r = copy_range(self, path, off, len, &b);
	if (r < 0)
		return r;
	if (kind == FAULT_WRONG && b.len > 0)
		b.data[b.len / 2] ^= 0x40;
	if (kind == FAULT_TRUNCATED)
		b.len /= 2;
	if (kind == FAULT_LONG)
		buf_put_u8(&b, 'x');
	r = b.len > 0 ? sink(arg, b.data, b.len) : 0;
	return r == 0 && kind == FAULT_ENDLESS ? give_endless(sink, arg) : r;
}

static int read_source(uint64_t size, tier_source source, void *arg,
		       struct buf *b)
{
	while (b->len < size) {
		size_t n = size - b->len < STEP ? size - b->len : STEP;
		void *room = buf_reserve(b, n);
		ssize_t got = room ? source(arg, room, n, b->len) : -ENOMEM;

		if (got <= 0)
			return got < 0 ? (int)got : -EIO;
		buf_added(b, got);
	}
	return 0;
}

static int replace(struct fault_tier *f, const char *path, struct buf *data)
{
	LOCK_SCOPE(&f->lock);
	struct object *o = find(f, path);

	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->path = strdup(path);
		o->next = f->objects;
		f->objects = o;
	}
	buf_release(&o->data);
	o->data = *data;
	o->mtime_ns = clock_wall_ns();
	*data = (struct buf)BUF_INIT;
	return o->path ? 0 : -ENOMEM;
}

static int fault_put(void *self, const struct tier_call *c, const char *path,
		     uint64_t size, tier_source source, void *arg)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	enum fault_kind kind = next_fault(self);
	int r = plain_error(c, kind);

	if (kind == FAULT_FULL)
		r = tier_why(c, -ENOSPC, "507 Insufficient Storage");
	if (kind == FAULT_LOST)
		return 0; /* says that it was kept */
	if (r == 0)
		r = read_source(size, source, arg, &b);
	if (r < 0)
		return r;
	if (kind == FAULT_WRONG && b.len > 0)
		b.data[b.len / 2] ^= 0x40;
	if (kind == FAULT_TRUNCATED)
		b.len /= 2;
	return replace(self, path, &b);
}

static int fault_head(void *self, const struct tier_call *c, const char *path,
		      uint64_t *ret_size)
{
	struct fault_tier *f = self;
	enum fault_kind kind = next_fault(f);
	int r = plain_error(c, kind);
	struct object *o;

	if (r < 0)
		return r;
	LOCK_SCOPE(&f->lock);
	o = find(f, path);
	if (!o)
		return -ENOENT;
	*ret_size = o->data.len + (kind == FAULT_LONG);
	return 0;
}

static bool is_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	return len == 0 ||
	       (strncmp(path, prefix, len) == 0 && path[len] == '/');
}

/* `each` may not call the tier here. */
static int fault_list(void *self, const struct tier_call *c, const char *prefix,
		      tier_each each, void *arg)
{
	struct fault_tier *f = self;
	int r = plain_error(c, next_fault(f));

	LOCK_SCOPE(&f->lock);
	for (struct object *o = f->objects; r == 0 && o; o = o->next)
		if (is_below(o->path, prefix))
			r = each(arg,
				 &(struct tier_object){ o->path, o->data.len,
							o->mtime_ns });
	return r == -ENOENT ? 0 : r;
}

static int fault_delete(void *self, const struct tier_call *c, const char *path)
{
	struct fault_tier *f = self;
	int r = plain_error(c, next_fault(f));

	if (r < 0)
		return r;
	LOCK_SCOPE(&f->lock);
	for (struct object **at = &f->objects; *at; at = &(*at)->next) {
		struct object *o = *at;

		if (strcmp(o->path, path) != 0)
			continue;
		*at = o->next;
		free(o->path);
		buf_release(&o->data);
		free(o);
		return 0;
	}
	return -ENOENT;
}

static void fault_free(void *self)
{
	struct fault_tier *f = self;
	struct object *o;

	while ((o = f->objects)) {
		f->objects = o->next;
		free(o->path);
		buf_release(&o->data);
		free(o);
	}
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct tier_ops fault_ops = {
	.get = fault_get,
	.put = fault_put,
	.head = fault_head,
	.list = fault_list,
	.delete = fault_delete,
	.free = fault_free,
};

int fault_tier_new(struct fault_tier **ret_fault, struct tier **ret_tier)
{
	struct fault_tier *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	*ret_fault = f;
	return tier_new(&fault_ops, f, ret_tier);
}
