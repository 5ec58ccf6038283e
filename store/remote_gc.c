/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a tier's collection, in their order, and keeping others out.
 * See remote_gc.h. Any thread.
 */
#include "remote_gc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/hex.h"
#include "remote_gc_internal.h"

#define COLLECTORS "gc/collectors"
#define REFRESH_PART 20
#define LAPSE_PART 2

void rgc_path(const struct rgc *g, const char *rest,
	      char ret_path[TIER_PATH_MAX + 1])
{
	snprintf(ret_path, TIER_PATH_MAX + 1, "v1/%s/%s/%s", g->remote->tenant,
		 g->remote->namespace, rest);
}

struct tier_call rgc_call(const struct rgc *g)
{
	return remote_call(g->remote, REMOTE_FIND_TIMEOUT_NS);
}

int rgc_fail(const struct rgc *g, int err, const char *why)
{
	if (g->remote->why)
		snprintf(g->remote->why, TIER_WHY_MAX, "%s", why);
	return err;
}

/* ---- other collections */

static int put_own(struct rgc *g)
{
	struct tier_call call = rgc_call(g);

	g->own_put_ns = clock_boot_ns();
	return chain_put_data_to(g->remote->chain, g->tier, &call, g->own_path,
				 "", 0);
}

static int64_t age_of_own(const struct rgc *g)
{
	return clock_boot_ns() - g->own_put_ns;
}

bool rgc_is_alive(const struct rgc *g)
{
	return g->own_path[0] &&
	       age_of_own(g) <= g->pace->collector_ns / LAPSE_PART;
}

int rgc_tick(struct rgc *g, const char *phase, uint64_t done, uint64_t all)
{
	int r = progress_tick(g->remote->progress, phase, done, all, 0, 0);

	if (r < 0 || !g->own_path[0])
		return r;
	if (!rgc_is_alive(g))
		return rgc_fail(g, -ETIMEDOUT,
				"the collection stood still for too long");
	return age_of_own(g) > g->pace->collector_ns / REFRESH_PART ?
		       put_own(g) :
		       0;
}

/* A newer one may stand beside one that has died. */
struct others {
	struct rgc *g;
	int64_t newest_ns; /* 0: there is none */
	bool untold;	   /* when one was put */
	struct buf paths;  /* of all, each with its NUL */
};

/* What a server tells of may be anything, and what is noted is removed. */
static bool is_collector(const struct rgc *g, const char *path)
{
	char folder[TIER_PATH_MAX + 1];
	uint8_t id[REMOTE_ID_LEN / 2];
	size_t len;

	rgc_path(g, COLLECTORS "/", folder);
	len = strlen(folder);
	return strncmp(path, folder, len) == 0 &&
	       hex_decode(path + len, sizeof(id), id) == 0;
}

static int note_other(void *arg, const struct tier_object *o)
{
	struct others *os = arg;

	if (!is_collector(os->g, o->path))
		return 0;
	if (strcmp(o->path, os->g->own_path) == 0) {
		os->g->now_ns = o->mtime_ns;
		return 0;
	}
	os->untold |= o->mtime_ns <= 0;
	if (o->mtime_ns > os->newest_ns)
		os->newest_ns = o->mtime_ns;
	buf_put(&os->paths, o->path, strlen(o->path) + 1);
	return buf_error(&os->paths);
}

static int list_others(struct rgc *g, struct others *os)
{
	struct tier_call call = rgc_call(g);
	char path[TIER_PATH_MAX + 1];
	int r;

	rgc_path(g, COLLECTORS, path);
	r = chain_list_at(g->remote->chain, g->tier, &call, path, note_other,
			  os);
	return r == -EOPNOTSUPP ?
		       rgc_fail(g, r,
				"it cannot be listed, as most web servers, so "
				"it cannot be collected from here; collect the "
				"directory that it serves, as file://, or let "
				"the server remove what is old") :
		       r;
}

/* Those that have died. */
static int remove_others(struct rgc *g, const struct others *os)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < os->paths.len;) {
		const char *path = (const char *)os->paths.data + at;
		struct tier_call call = rgc_call(g);

		r = chain_delete_at(g->remote->chain, g->tier, &call, path);
		r = r == -ENOENT ? 0 : r;
		at += strlen(path) + 1;
	}
	return r;
}

/* What one that ended badly asked for may still be carried out for a while;
 * then its notice is of no use. */
static int judge_notice(struct rgc *g)
{
	struct tier_call call = rgc_call(g);
	_cleanup_buf_ struct buf data = BUF_INIT;
	char path[TIER_PATH_MAX + 1];
	struct remote_notice n;
	int r;

	remote_notice_path(g->remote, path);
	r = chain_read_from(g->remote->chain, g->tier, &call, path,
			    REMOTE_NOTICE_MAX, &data);
	if (r == 0)
		r = remote_notice_decode(data.data, data.len, &n);
	if (r == 0 && g->now_ns - n.tier_ns <= g->pace->notice_ns)
		return rgc_fail(g, -EBUSY,
				"a collection of it failed a few minutes ago, "
				"and the tier may not be done with it");
	if (r == 0 || r == -EBADMSG || r == -EFBIG || r == -ESTALE)
		r = chain_delete_at(g->remote->chain, g->tier, &call, path);
	return r == -ENOENT ? 0 : r;
}

static int judge_others(struct rgc *g, const struct others *os)
{
	if (g->now_ns <= 0 || os->untold)
		return rgc_fail(g, -EOPNOTSUPP,
				"it does not tell when objects were put, so it "
				"cannot be collected");
	if (os->newest_ns > g->now_ns - g->pace->collector_ns)
		return rgc_fail(g, -EBUSY,
				"another collection of it is under way, or was "
				"broken off less than 20 minutes ago");
	return remove_others(g, os);
}

static int put_and_look(struct rgc *g)
{
	struct others os = { .g = g, .paths = BUF_INIT };
	int r = remote_id_path(g->remote, COLLECTORS, g->own_path);

	if (r == 0)
		r = put_own(g);
	g->began_ns = g->own_put_ns;
	if (r == 0)
		r = fault_check("remote_gc.begin");
	if (r == 0)
		r = list_others(g, &os);
	if (r == 0)
		r = judge_others(g, &os);
	if (r == 0)
		r = judge_notice(g);
	buf_release(&os.paths);
	return r;
}

/* Keeps other collections out, and learns the tier's clock. */
static int begin(struct rgc *g)
{
	struct others os = { .g = g, .paths = BUF_INIT };
	int r;

	g->now_ns = clock_wall_ns(); /* close enough where nothing goes */
	r = list_others(g, &os);     /* before anything is put */
	buf_release(&os.paths);
	if (r < 0 || g->options->dry_run)
		return r;
	g->now_ns = 0;
	return put_and_look(g);
}

static void end(struct rgc *g)
{
	struct tier_call call = rgc_call(g);
	char why[TIER_WHY_MAX];

	call.why = why; /* what failed before is what counts */
	if (g->own_path[0] && chain_is_up(g->remote->chain, g->tier))
		(void)chain_delete_at(g->remote->chain, g->tier, &call,
				      g->own_path);
}

/* ---- what a dry run tells */

static int count_dead(void *arg, struct dmap_node *n)
{
	const struct rgc_object *o = (const struct rgc_object *)n;
	struct rgc *g = arg;

	if (!g->blocked && rgc_is_dead(g, o)) {
		g->result.removed[o->kind]++;
		g->result.removed_bytes += o->bytes;
	}
	return 0;
}

static void estimate(struct rgc *g)
{
	const struct remote_gc_options *o = g->options;

	for (size_t i = 0; i < g->n_entries; i++) {
		const struct rgc_entry *e = g->entries[i];

		if (!e->goes)
			continue;
		g->result.removed_entries++;
		if (o->removed)
			o->removed(o->arg, &e->entry, e->put_ns,
				   e->unreadable ? REMOTE_GC_UNREADABLE :
						   REMOTE_GC_OLD);
	}
	for (unsigned k = 0; k < REMOTE_KINDS; k++)
		(void)dmap_each(&g->objects[k], count_dead, g);
}

/* ---- all */

static int count_waiting(void *arg, struct dmap_node *n)
{
	const struct rgc_object *o = (const struct rgc_object *)n;
	struct rgc *g = arg;

	if (!o->needed && !rgc_is_dead(g, o)) {
		g->result.waiting++;
		g->result.waiting_bytes += o->bytes;
	}
	return 0;
}

static int run(struct rgc *g)
{
	int r = begin(g);

	if (r == 0)
		r = rgc_look(g);
	g->result.entries = g->n_entries;
	if (r == 0)
		r = rgc_plan(g);
	if (r == 0 && g->options->dry_run)
		estimate(g);
	else if (r == 0)
		r = rgc_sweep(g);
	for (unsigned k = 0; r == 0 && k < REMOTE_KINDS; k++)
		r = dmap_each(&g->objects[k], count_waiting, g);
	end(g);
	return r;
}

int remote_gc(const struct remote *r, unsigned i,
	      const struct remote_gc_options *options,
	      struct remote_gc_result *ret_result)
{
	struct rgc g = {
		.remote = r,
		.tier = i,
		.options = options,
		.pace = remote_pace(r),
	};
	int err = run(&g);

	rgc_look_release(&g);
	rgc_plan_release(&g);
	rgc_sweep_release(&g);
	if (err == 0)
		*ret_result = g.result;
	return err;
}
