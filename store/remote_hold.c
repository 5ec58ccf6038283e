/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking, keeping and dropping a hold; waiting for a notice. Ages are told by
 * CLOCK_BOOTTIME, which goes on while the machine sleeps.
 */
#include "remote_hold.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "remote_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define PUT_TIMEOUT_NS (60 * SECOND_NS)
#define REFRESH_PART 24
#define LAPSE_PART 2

static const struct remote_pace usual = {
	.hold_ns = 24 * 3600 * SECOND_NS,
	.notice_ns = 300 * SECOND_NS,
	.sweep_ns = 120 * SECOND_NS,
	.collector_ns = 1200 * SECOND_NS,
	.poll_ns = SECOND_NS / 5,
};

const struct remote_pace *remote_pace(const struct remote *r)
{
	return r->pace ? r->pace : &usual;
}

int remote_id_path(const struct remote *r, const char *folder,
		   char ret_path[TIER_PATH_MAX + 1])
{
	uint8_t bytes[REMOTE_ID_LEN / 2];
	char id[REMOTE_ID_LEN + 1];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	hex_encode(bytes, sizeof(bytes), id);
	snprintf(ret_path, TIER_PATH_MAX + 1, "v1/%s/%s/%s/%s", r->tenant,
		 r->namespace, folder, id);
	return 0;
}

int hold_add(struct hold *h, const struct digest *digest)
{
	buf_put(&h->digests, digest, sizeof(*digest));
	return buf_error(&h->digests);
}

int hold_add_path(struct hold *h, const char *path)
{
	struct digest digest;
	int r = digest_of(path, strlen(path), &digest);

	return r < 0 ? r : hold_add(h, &digest);
}

static int put(struct hold *h)
{
	struct tier_call call = remote_call(h->remote, PUT_TIMEOUT_NS);
	_cleanup_buf_ struct buf data = BUF_INIT;
	int r = remote_hold_encode((const struct digest *)h->digests.data,
				   h->digests.len / sizeof(struct digest),
				   &data);

	if (r < 0)
		return r;
	h->put_ns = clock_boot_ns();
	return chain_put_data_to(h->remote->chain, h->tier, &call, h->path,
				 data.data, data.len);
}

/* ---- waiting for a notice to go */

static int read_notice(struct hold *h, struct buf *ret_data,
		       struct tier_seen *seen)
{
	struct tier_call call = remote_call(h->remote, REMOTE_FIND_TIMEOUT_NS);
	char path[TIER_PATH_MAX + 1];
	int r;

	remote_notice_path(h->remote, path);
	call.seen = seen;
	r = chain_read_from(h->remote->chain, h->tier, &call, path,
			    REMOTE_NOTICE_MAX, ret_data);
	/* S3 says so also of what is absent, to who may not list; and who may
	 * not read has put all that he relies on. */
	return r == -EACCES ? -ENOENT : r;
}

struct mine {
	const char *path;
	int64_t mtime_ns;
};

static int find_mine(void *arg, const struct tier_object *o)
{
	struct mine *m = arg;

	if (strcmp(o->path, m->path) == 0)
		m->mtime_ns = o->mtime_ns;
	return 0;
}

/* The tier's clock: it has just put the hold. 0: it cannot be told. */
static int64_t tier_clock(struct hold *h, const struct tier_seen *seen)
{
	struct tier_call call = remote_call(h->remote, REMOTE_FIND_TIMEOUT_NS);
	char prefix[TIER_PATH_MAX + 1];
	struct mine mine = { h->path, 0 };

	snprintf(prefix, sizeof(prefix), "v1/%s/%s/holds", h->remote->tenant,
		 h->remote->namespace);
	if (chain_list_at(h->remote->chain, h->tier, &call, prefix, find_mine,
			  &mine) == 0 &&
	    mine.mtime_ns > 0)
		return mine.mtime_ns;
	return seen->date_s * SECOND_NS;
}

/* Whether the collection that put it must have stopped removing by now. */
static bool is_old(struct hold *h, const struct buf *data,
		   const struct tier_seen *seen)
{
	struct remote_notice n;
	int64_t now;

	if (remote_notice_decode(data->data, data->len, &n) < 0)
		return false;
	now = tier_clock(h, seen);
	return now > 0 && now - n.tier_ns > remote_pace(h->remote)->notice_ns;
}

static int pause_for(const struct remote *r, int64_t ns)
{
	const struct timespec ts = { ns / SECOND_NS, ns % SECOND_NS };

	if (r->cancelled && atomic_load(r->cancelled))
		return -ECANCELED;
	nanosleep(&ts, NULL);
	return progress_tick(r->progress, "wait", 0, 0, 0, 0);
}

static bool is_same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	       (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* A notice that comes later is of a collection that looks at the holds after
 * this one was put. */
static int wait_until_gone(struct hold *h, const struct buf *first)
{
	const struct remote_pace *pace = remote_pace(h->remote);
	int64_t until = clock_boot_ns() + pace->notice_ns;
	bool same = true;
	int r = 0;

	while (r == 0 && same && clock_boot_ns() < until) {
		_cleanup_buf_ struct buf now = BUF_INIT;
		struct tier_seen seen = { 0 };

		r = pause_for(h->remote, pace->poll_ns);
		if (r == 0)
			r = read_notice(h, &now, &seen);
		same = r == 0 && is_same(first, &now);
	}
	return r == -ENOENT ? 0 : r;
}

static int wait_for_collection(struct hold *h)
{
	_cleanup_buf_ struct buf first = BUF_INIT;
	struct tier_seen seen = { 0 };
	int r = read_notice(h, &first, &seen);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || is_old(h, &first, &seen))
		return r;
	return wait_until_gone(h, &first);
}

/* ---- all */

static bool has_lapsed(const struct hold *h)
{
	return clock_boot_ns() - h->put_ns >
	       remote_pace(h->remote)->hold_ns / LAPSE_PART;
}

static int put_and_wait(struct hold *h)
{
	int r = put(h);

	return r < 0 ? r : wait_for_collection(h);
}

int hold_take(struct hold *h)
{
	int r = remote_id_path(h->remote, "holds", h->path);

	return r < 0 ? r : put_and_wait(h);
}

/* To put it again would not bring back what was removed meanwhile. */
int hold_extend(struct hold *h)
{
	return has_lapsed(h) ? -ESTALE : put_and_wait(h);
}

int hold_keep(struct hold *h)
{
	if (has_lapsed(h))
		return -ESTALE;
	return clock_boot_ns() - h->put_ns >
			       remote_pace(h->remote)->hold_ns / REFRESH_PART ?
		       put(h) :
		       0;
}

void hold_drop(struct hold *h)
{
	struct tier_call call = remote_call(h->remote, REMOTE_FIND_TIMEOUT_NS);
	char why[TIER_WHY_MAX];

	/* The cause of what failed before is the one to be told. */
	call.why = why;
	if (h->path[0] && chain_is_up(h->remote->chain, h->tier))
		(void)chain_delete_at(h->remote->chain, h->tier, &call,
				      h->path);
	h->path[0] = '\0';
	buf_release(&h->digests);
}
