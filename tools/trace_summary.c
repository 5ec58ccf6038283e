/* SPDX-License-Identifier: Apache-2.0 */
/* Sums by file and by where bytes came from. */
#include "trace_summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "out.h"
#include "store/base/cleanup.h"

enum { UPPER, MEMORY, LOCAL, REMOTE, SOURCES };

static const char *const sources[SOURCES] = { "upper", "memory", "local",
					      "remote" };

enum order { WAITED, TOOK, BYTES, READS, ORDERS };

const char *const trace_summary_orders[] = { "waited", "time", "bytes", "reads",
					     NULL };

struct sums {
	uint64_t reads, failed, bytes, took_us, waited_us;
	uint64_t from[SOURCES];
};

struct file {
	json_t *path; /* a reference; null: it had no name any more */
	json_int_t inode;
	json_t *tiers; /* a reference to an array of names */
	struct sums sums;
};

struct trace_summary {
	struct file *files;
	size_t count, cap;
	json_t *places; /* of a path, or of an inode without one: in `files` */
	struct sums all;
	uint64_t lost;
};

struct trace_summary *trace_summary_new(void)
{
	struct trace_summary *s = calloc(1, sizeof(*s));

	if (s)
		s->places = json_object();
	if (s && !s->places) {
		free(s);
		return NULL;
	}
	return s;
}

void trace_summary_free(struct trace_summary *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		json_decref(s->files[i].path);
		json_decref(s->files[i].tiers);
	}
	free(s->files);
	json_decref(s->places);
	free(s);
}

/* --- what goes in --- */

static struct file *add_file(struct trace_summary *s, const json_t *read,
			     const char *place)
{
	struct file *f;

	if (s->count == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct file *files =
			reallocarray(s->files, cap, sizeof(*files));

		if (!files)
			return NULL;
		s->files = files;
		s->cap = cap;
	}
	f = &s->files[s->count];
	*f = (struct file){ .path = json_incref(json_object_get(read, "path")),
			    .inode = field_number(read, "inode"),
			    .tiers = json_array() };
	if (!f->tiers ||
	    json_object_set_new(s->places, place,
				json_integer((json_int_t)s->count)) < 0) {
		json_decref(f->path);
		json_decref(f->tiers);
		return NULL;
	}
	s->count++;
	return f;
}

/* A file without a name is told apart by its number; no path begins with a
 * slash. */
static struct file *file_of(struct trace_summary *s, const json_t *read)
{
	const char *place = json_string_value(json_object_get(read, "path"));
	char number[32];
	json_t *at;

	if (!place) {
		snprintf(number, sizeof(number), "/%" JSON_INTEGER_FORMAT,
			 field_number(read, "inode"));
		place = number;
	}
	at = json_object_get(s->places, place);
	return at ? &s->files[json_integer_value(at)] :
		    add_file(s, read, place);
}

static void add_sums(struct sums *sums, const json_t *read)
{
	const json_t *from = json_object_get(read, "from");

	sums->reads++;
	sums->failed += json_object_get(read, "error") != NULL;
	sums->bytes += (uint64_t)field_number(read, "bytes");
	sums->took_us += (uint64_t)field_number(read, "took_us");
	sums->waited_us += (uint64_t)field_number(read, "waited_us");
	for (unsigned i = 0; i < SOURCES; i++)
		sums->from[i] += (uint64_t)field_number(from, sources[i]);
}

static bool has_tier(const json_t *tiers, const char *name)
{
	json_t *tier;
	size_t i;

	json_array_foreach(tiers, i, tier) if (strcmp(json_string_value(tier),
						      name) == 0) return true;
	return false;
}

int trace_summary_add(struct trace_summary *s, const json_t *read)
{
	const char *tier = field_text(read, "tier");
	struct file *f = file_of(s, read);

	if (!f)
		return -ENOMEM;
	if (*tier && !has_tier(f->tiers, tier))
		json_array_append_new(f->tiers, json_string(tier));
	add_sums(&f->sums, read);
	add_sums(&s->all, read);
	return 0;
}

void trace_summary_lost(struct trace_summary *s, uint64_t lost)
{
	s->lost += lost;
}

uint64_t trace_summary_reads(const struct trace_summary *s)
{
	return s->all.reads;
}

uint64_t trace_summary_all_lost(const struct trace_summary *s)
{
	return s->lost;
}

const char *trace_from(const json_t *read)
{
	const json_t *from = json_object_get(read, "from");
	const char *tier = field_text(read, "tier");

	if (json_object_get(read, "error"))
		return "error";
	for (unsigned i = SOURCES; i-- > 0;)
		if (field_number(from, sources[i]) > 0)
			return i == REMOTE && *tier ? tier : sources[i];
	return "-";
}

/* --- what comes out --- */

static uint64_t rank(const struct file *f, enum order order)
{
	switch (order) {
	case WAITED:
		return f->sums.waited_us;
	case TOOK:
		return f->sums.took_us;
	case BYTES:
		return f->sums.bytes;
	default:
		return f->sums.reads;
	}
}

/* The largest first; where they are equal, by the next order, and last by
 * path. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct file *x = a, *y = b;
	enum order order = *(const enum order *)arg;
	const char *px, *py;

	for (unsigned i = 0; i < ORDERS; i++) {
		uint64_t m = rank(x, (order + i) % ORDERS);
		uint64_t n = rank(y, (order + i) % ORDERS);

		if (m != n)
			return m > n ? -1 : 1;
	}
	px = json_string_value(x->path);
	py = json_string_value(y->path);
	return strcmp(px ? px : "", py ? py : "");
}

/* What is in `places` is wrong from here on, so nothing is added any more. */
static void sort(struct trace_summary *s, const char *name)
{
	enum order order = WAITED;

	for (unsigned i = 0; name && i < ORDERS; i++)
		if (strcmp(trace_summary_orders[i], name) == 0)
			order = i;
	if (s->count > 1)
		qsort_r(s->files, s->count, sizeof(*s->files), compare, &order);
}

static void add_time(struct table *t, uint64_t us)
{
	char text[FORMAT_MAX];

	table_add(t, format_us(us, text));
}

/* upper, memory, local, and the tiers by their names. */
static void add_sources(struct table *t, const struct file *f)
{
	char text[FORMAT_MAX] = "";
	const char *between = "";
	json_t *tier;
	size_t i;

	for (i = 0; i < REMOTE; i++) {
		size_t used = strlen(text);

		if (f->sums.from[i] == 0)
			continue;
		snprintf(text + used, sizeof(text) - used, "%s%s", between,
			 sources[i]);
		between = "+";
	}
	json_array_foreach(f->tiers, i, tier)
	{
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%s", between,
			 json_string_value(tier));
		between = "+";
	}
	table_add(t, *text ? text : f->sums.failed ? "error" : "-");
}

static void add_name(struct table *t, const struct file *f)
{
	_cleanup_free_ char *name = format_name_text(f->path);
	char number[64];

	if (name) {
		table_add(t, name);
		return;
	}
	snprintf(number, sizeof(number),
		 "(removed, inode %" JSON_INTEGER_FORMAT ")", f->inode);
	table_add(t, number);
}

static void print_files(struct trace_summary *s, size_t max, FILE *out)
{
	static const char *const heads[] = { "WAITED", "TIME", "READS",
					     "BYTES",  "FROM", "PATH" };
	_cleanup_table_ struct table *t = table_new("rrrrll");
	char text[FORMAT_MAX];

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		table_add(t, heads[i]);
	for (size_t i = 0; i < s->count && (max == 0 || i < max); i++) {
		const struct file *f = &s->files[i];

		add_time(t, f->sums.waited_us);
		add_time(t, f->sums.took_us);
		table_add(t, format_count(f->sums.reads, text));
		table_add(t, format_bytes(f->sums.bytes, text));
		add_sources(t, f);
		add_name(t, f);
	}
	table_print(t, out);
	if (max > 0 && s->count > max)
		fprintf(out, "... and %s more (-v shows all)\n",
			format_files(s->count - max, text));
}

static void print_totals(const struct trace_summary *s, FILE *out)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	fprintf(out, "%s, %s reads, %s", format_files(s->count, a),
		format_count(s->all.reads, b), format_bytes(s->all.bytes, c));
	for (unsigned i = 0; i < SOURCES; i++)
		if (s->all.from[i] > 0)
			fprintf(out, ", %s from %s%s",
				format_bytes(s->all.from[i], a),
				i == UPPER ? "the " : "",
				i == REMOTE ? "remote tiers" : sources[i]);
	fprintf(out, "; waited %s of %s\n", format_us(s->all.waited_us, a),
		format_us(s->all.took_us, b));
	if (s->all.failed > 0)
		fprintf(out, "%s reads failed\n",
			format_count(s->all.failed, a));
	if (s->lost > 0)
		fprintf(out,
			"%s more reads were lost, since they came too "
			"fast\n",
			format_count(s->lost, a));
}

void trace_summary_print(struct trace_summary *s, const char *order, size_t max,
			 FILE *f)
{
	sort(s, order);
	if (s->count > 0)
		print_files(s, max, f);
	print_totals(s, f);
}

static json_t *sums_json(const struct sums *sums)
{
	json_t *from = json_object();

	for (unsigned i = 0; i < SOURCES; i++)
		json_object_set_new(from, sources[i],
				    json_integer((json_int_t)sums->from[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "reads",
			 (json_int_t)sums->reads, "failed",
			 (json_int_t)sums->failed, "bytes",
			 (json_int_t)sums->bytes, "took_us",
			 (json_int_t)sums->took_us, "waited_us",
			 (json_int_t)sums->waited_us, "from", from);
}

json_t *trace_summary_json(struct trace_summary *s, const char *order)
{
	json_t *all = sums_json(&s->all), *files = json_array();

	sort(s, order);
	for (size_t i = 0; i < s->count; i++) {
		const struct file *f = &s->files[i];
		json_t *j = sums_json(&f->sums);

		json_object_set(j, "path", f->path);
		json_object_set_new(j, "inode", json_integer(f->inode));
		json_object_set(j, "tiers", f->tiers);
		json_array_append_new(files, j);
	}
	json_object_set_new(all, "lost", json_integer((json_int_t)s->lost));
	json_object_set_new(all, "files", files);
	return all;
}
