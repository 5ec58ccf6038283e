/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head of the daemon and the sums, a table of mounts, one of tiers. Rates of
 * a first sample, which has none before it, are dashes.
 */
#include "top_text.h"

#include <string.h>
#include <time.h>

#include "format.h"
#include "store/base/cleanup.h"

static uint64_t whole(double n)
{
	return n > 0 ? (uint64_t)(n + 0.5) : 0;
}

static const char *count_text(const struct rates *r, double n, char *ret_text)
{
	return r->seconds > 0 ? format_count(whole(n), ret_text) : "-";
}

static const char *bytes_text(const struct rates *r, double n, char *ret_text)
{
	return r->seconds > 0 ? format_bytes(whole(n), ret_text) : "-";
}

static void add_count(struct table *t, const struct rates *r, double n)
{
	char text[FORMAT_MAX];

	table_add(t, count_text(r, n, text));
}

static void add_bytes(struct table *t, const struct rates *r, double n)
{
	char text[FORMAT_MAX];

	table_add(t, bytes_text(r, n, text));
}

static void add_heads(struct table *t, const char *const *heads)
{
	for (; *heads; heads++)
		table_add(t, *heads);
}

/* --- the head --- */

static void print_time(FILE *f)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	if (localtime_r(&now, &tm) &&
	    strftime(text, sizeof(text), "%H:%M:%S", &tm) > 0)
		fprintf(f, "larder %s, ", text);
}

static void print_daemon(const struct sample *now, FILE *f)
{
	const json_t *uploads = json_object_get(now->status, "uploads");
	const json_t *mounts = json_object_get(now->stats, "mounts");
	size_t n_mounts = json_array_size(mounts);
	char text[FORMAT_MAX];

	print_time(f);
	fprintf(f, "worker %lld, %s of memory, %zu mount%s, ",
		(long long)field_number(now->status, "worker_pid"),
		format_bytes((uint64_t)field_number(now->status,
						    "memory_bytes"),
			     text),
		n_mounts, n_mounts == 1 ? "" : "s");
	fprintf(f, "uppers of %s",
		format_bytes((uint64_t)sample_sum(mounts, "upper_bytes"),
			     text));
	if (json_array_size(uploads) == 0)
		fputs(", no uploads\n", f);
	else
		fprintf(f, ", %zu uploads, %lld of them running, %s sent\n",
			json_array_size(uploads),
			(long long)sample_count_flag(uploads, "running"),
			format_bytes((uint64_t)sample_sum(uploads, "bytes"),
				     text));
}

static void print_sums(const struct rates *r, const char *order, FILE *f)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	fprintf(f, "a second: %s requests, %s read, %s written, %s fetched, ",
		count_text(r, r->all.requests, a),
		bytes_text(r, r->all.read_bytes, b),
		bytes_text(r, r->all.written_bytes, c),
		bytes_text(r, r->all.fetched_bytes, d));
	fprintf(f, "%s waits; by %s\n", count_text(r, r->all.waits, a), order);
}

/* --- tables --- */

/* How long a reader had to wait, of those that had to. */
static void add_wait(struct table *t, const struct rates_mount *m)
{
	char text[FORMAT_MAX];

	table_add(t, m->waits > 0 ?
			     format_us(whole(m->waited_us / m->waits), text) :
			     "-");
}

static void add_mount(struct table *t, const struct rates *r,
		      const struct rates_mount *m)
{
	_cleanup_free_ char *dir =
		format_name_text(json_object_get(m->mount, "dir"));
	char text[FORMAT_MAX];

	add_count(t, r, m->requests);
	add_bytes(t, r, m->read_bytes);
	add_bytes(t, r, m->written_bytes);
	add_bytes(t, r, m->fetched_bytes);
	add_count(t, r, m->waits);
	add_wait(t, m);
	table_add(t,
		  format_bytes((uint64_t)field_number(m->mount, "upper_bytes"),
			       text));
	table_add(t, field_text(m->mount, "mode"));
	table_add(t, dir ? dir : "?");
}

static void print_mounts(const struct rates *r, FILE *f)
{
	static const char *const heads[] = { "REQ/S",	"READ/S", "WRITE/S",
					     "FETCH/S", "WAIT/S", "WAIT",
					     "UPPER",	"MODE",	  "MOUNT",
					     NULL };
	_cleanup_table_ struct table *t = table_new("rrrrrrrll");

	add_heads(t, heads);
	for (size_t i = 0; i < r->n_mounts; i++)
		add_mount(t, r, &r->mounts[i]);
	fputc('\n', f);
	table_print(t, f);
}

static void print_tiers(const struct rates *r, FILE *f)
{
	static const char *const heads[] = { "REQ/S",	"HIT/S",  "MISS/S",
					     "FAIL/S",	"READ/S", "WRITE/S",
					     "LATENCY", "TIER",	  NULL };
	_cleanup_table_ struct table *t = table_new("rrrrrrrl");
	char text[FORMAT_MAX];

	if (r->n_tiers == 0)
		return;
	add_heads(t, heads);
	for (size_t i = 0; i < r->n_tiers; i++) {
		const struct rates_tier *tier = &r->tiers[i];

		add_count(t, r, tier->requests);
		add_count(t, r, tier->hits);
		add_count(t, r, tier->misses);
		add_count(t, r, tier->failures);
		add_bytes(t, r, tier->read_bytes);
		add_bytes(t, r, tier->written_bytes);
		table_add(t, tier->latency_us > 0 ?
				     format_us(whole(tier->latency_us), text) :
				     "-");
		snprintf(text, sizeof(text), "%.200s%s",
			 field_text(tier->tier, "name"),
			 field_flag(tier->tier, "up") ? "" : " (left alone)");
		table_add(t, text);
	}
	fputc('\n', f);
	table_print(t, f);
}

void top_print(const struct sample *now, const struct rates *r,
	       const char *order, FILE *f)
{
	if (!sample_is_running(now)) {
		print_time(f);
		fputs("no daemon is running for this store\n", f);
		return;
	}
	print_daemon(now, f);
	print_sums(r, order, f);
	print_mounts(r, f);
	print_tiers(r, f);
}

/* --- JSON --- */

/* Each of them is of a second. */
static json_t *mount_rates(const struct rates_mount *m)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "requests",
			 m->requests, "read_bytes", m->read_bytes,
			 "written_bytes", m->written_bytes, "fetched_bytes",
			 m->fetched_bytes, "waits", m->waits, "waited_us",
			 m->waited_us);
}

static json_t *mounts_json(const struct rates *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_mounts; i++) {
		const struct rates_mount *m = &r->mounts[i];
		json_t *j = json_pack("{s:O, s:O, s:O, s:O, s:o}", "dir",
				      json_object_get(m->mount, "dir"), "entry",
				      json_object_get(m->mount, "entry"),
				      "mode", json_object_get(m->mount, "mode"),
				      "upper_bytes",
				      json_object_get(m->mount, "upper_bytes"),
				      "per_second", mount_rates(m));

		json_array_append_new(list, j);
	}
	return list;
}

static json_t *tiers_json(const struct rates *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_tiers; i++) {
		const struct rates_tier *t = &r->tiers[i];

		json_array_append_new(
			list,
			json_pack("{s:O, s:O, s:f, s:{s:f, s:f, s:f, s:f, s:f, "
				  "s:f}}",
				  "name", json_object_get(t->tier, "name"),
				  "up", json_object_get(t->tier, "up"),
				  "latency_us", t->latency_us, "per_second",
				  "requests", t->requests, "hits", t->hits,
				  "misses", t->misses, "failures", t->failures,
				  "bytes_in", t->read_bytes, "bytes_out",
				  t->written_bytes));
	}
	return list;
}

json_t *top_json(const struct sample *now, const struct rates *r)
{
	const json_t *uploads = json_object_get(now->status, "uploads");

	if (!sample_is_running(now))
		return json_pack("{s:b}", "running", 0);
	return json_pack(
		"{s:b, s:f, s:O, s:O, s:{s:I, s:I, s:I}, s:o, s:o, s:o}",
		"running", 1, "seconds", r->seconds, "worker_pid",
		json_object_get(now->status, "worker_pid"), "memory_bytes",
		json_object_get(now->status, "memory_bytes"), "uploads",
		"queued", (json_int_t)json_array_size(uploads), "running",
		sample_count_flag(uploads, "running"), "bytes",
		sample_sum(uploads, "bytes"), "per_second",
		mount_rates(&r->all), "mounts", mounts_json(r), "tiers",
		tiers_json(r));
}
