/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus's text format: for each metric a HELP and a TYPE line, then its
 * samples. Histograms have all their buckets, also those that are 0 and so not
 * in the daemon's answer; its bounds are microseconds, here they are seconds.
 */
#include "prometheus.h"

#include <inttypes.h>
#include <string.h>

#include "out.h"
#include "store/chain.h"
#include "store/lazy.h"

static void put_head(struct buf *out, const char *name, const char *type,
		     const char *help)
{
	buf_printf(out, "# HELP larder_%s %s\n# TYPE larder_%s %s\n", name,
		   help, name, type);
}

static void put_label(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			buf_printf(out, "\\n");
		else if (*text == '"' || *text == '\\')
			buf_printf(out, "\\%c", *text);
		else
			buf_printf(out, "%c", *text);
	}
}

/* `label` NULL: none. */
static void put_sample(struct buf *out, const char *name, const char *label,
		       const char *value, json_int_t n)
{
	buf_printf(out, "larder_%s", name);
	if (label) {
		buf_printf(out, "{%s=\"", label);
		put_label(out, value);
		buf_printf(out, "\"}");
	}
	buf_printf(out, " %" JSON_INTEGER_FORMAT "\n", n);
}

static void put_one(struct buf *out, const char *name, const char *type,
		    const char *help, json_int_t n)
{
	put_head(out, name, type, help);
	put_sample(out, name, NULL, NULL, n);
}

/* --- histograms --- */

static uint64_t wait_bound_us(unsigned bucket)
{
	return UINT64_C(1) << bucket;
}

static json_int_t bucket_count(const json_t *histogram, uint64_t bound_us,
			       bool last)
{
	json_t *bucket;
	size_t i;

	json_array_foreach(histogram, i, bucket)
	{
		const json_t *bound = json_array_get(bucket, 0);

		if (last ? json_is_null(bound) :
			   json_is_integer(bound) &&
				    json_integer_value(bound) ==
					    (json_int_t)bound_us)
			return json_integer_value(json_array_get(bucket, 1));
	}
	return 0;
}

/* `n` buckets, the last without a bound; `label` of the tier, or NULL. */
static void put_histogram(struct buf *out, const char *name, const char *tier,
			  const json_t *histogram, json_int_t sum_us,
			  unsigned n, uint64_t (*bound_us)(unsigned bucket))
{
	json_int_t count = 0;

	for (unsigned i = 0; i < n; i++) {
		bool last = i + 1 == n;

		count += bucket_count(histogram, last ? 0 : bound_us(i), last);
		buf_printf(out, "larder_%s_bucket{", name);
		if (tier) {
			buf_printf(out, "tier=\"");
			put_label(out, tier);
			buf_printf(out, "\",");
		}
		if (last)
			buf_printf(out, "le=\"+Inf\"} ");
		else
			buf_printf(out, "le=\"%.9g\"} ",
				   (double)bound_us(i) / 1e6);
		buf_printf(out, "%" JSON_INTEGER_FORMAT "\n", count);
	}
	for (int i = 0; i < 2; i++) {
		buf_printf(out, "larder_%s_%s", name, i ? "count" : "sum");
		if (tier) {
			buf_printf(out, "{tier=\"");
			put_label(out, tier);
			buf_printf(out, "\"}");
		}
		if (i)
			buf_printf(out, " %" JSON_INTEGER_FORMAT "\n", count);
		else
			buf_printf(out, " %.6f\n", (double)sum_us / 1e6);
	}
}

/* --- the daemon, the store --- */

static const struct {
	const char *name, *field, *help;
} gauges[] = {
	{ "daemon_memory_bytes", "memory_bytes",
	  "Resident memory of the daemon's worker." },
	{ "store_bytes", "bytes", "Bytes on disk of the whole store." },
	{ "store_objects", "objects", "Files of the store." },
	{ "store_entries", "entries", "Entries of the store." },
	{ "store_packs", "packs", "Packs of the store." },
	{ "store_pack_bytes", "pack_bytes", "Bytes of the packs." },
};

static void put_daemon(struct buf *out, const json_t *status)
{
	put_head(out, "build_info", "gauge",
		 "The daemon's version, as a label.");
	put_sample(out, "build_info", "version", field_text(status, "version"),
		   1);
	for (size_t i = 0; i < sizeof(gauges) / sizeof(*gauges); i++)
		put_one(out, gauges[i].name, "gauge", gauges[i].help,
			field_number(status, gauges[i].field));
	if (json_is_integer(json_object_get(status, "limit_bytes")))
		put_one(out, "store_limit_bytes", "gauge",
			"Bytes that the store may have.",
			field_number(status, "limit_bytes"));
}

/* --- mounts --- */

static void put_mounts(struct buf *out, const json_t *status)
{
	const json_t *mounts = json_object_get(status, "mounts");
	const json_t *kept = json_object_get(status, "kept");

	put_head(out, "mounts", "gauge", "Mounts that are served.");
	put_sample(out, "mounts", "mode", "ro",
		   sample_count_text(mounts, "mode", "ro"));
	put_sample(out, "mounts", "mode", "rw",
		   sample_count_text(mounts, "mode", "rw"));
	put_one(out, "mounts_dirty", "gauge",
		"Mounts with changes that are not committed.",
		sample_count_flag(mounts, "dirty"));
	put_one(out, "mounts_damaged", "gauge",
		"Mounts that lost changes to damage.",
		sample_count_flag(mounts, "damaged"));
	put_one(out, "upper_bytes", "gauge",
		"Bytes on disk of the changes of all mounts.",
		sample_sum(mounts, "upper_bytes"));
	put_one(out, "kept_uppers", "gauge",
		"Sets of changes that are kept without a mount.",
		(json_int_t)json_array_size(kept));
	put_one(out, "kept_upper_bytes", "gauge",
		"Bytes on disk of these changes.",
		sample_sum(kept, "upper_bytes"));
}

static void put_uploads(struct buf *out, const json_t *status)
{
	const json_t *uploads = json_object_get(status, "uploads");
	json_int_t failing = 0;
	json_t *item;
	size_t i;

	json_array_foreach(uploads, i, item)
		failing += *field_text(item, "error") != '\0';
	put_one(out, "uploads_queued", "gauge",
		"Entries on their way to a remote tier.",
		(json_int_t)json_array_size(uploads));
	put_one(out, "uploads_failing", "gauge",
		"Entries of which the last upload failed.", failing);
}

/* --- what was done --- */

static void put_requests(struct buf *out, const json_t *totals)
{
	json_t *requests = json_object_get(totals, "requests"), *n;
	const char *opcode;

	put_head(out, "fuse_requests_total", "counter",
		 "Requests of the kernel that were answered.");
	json_object_foreach(requests, opcode, n)
		put_sample(out, "fuse_requests_total", "opcode", opcode,
			   json_integer_value(n));
}

static void put_fetches(struct buf *out, const json_t *totals)
{
	static const char *const reasons[] = { "wanted", "ahead", "learnt",
					       "fill" };
	const json_t *remote = json_object_get(totals, "remote");
	const json_t *fetches = json_object_get(remote, "fetches");

	put_one(out, "fetched_bytes_total", "counter",
		"Bytes of chunks that came from remote tiers for mounts.",
		field_number(remote, "fetched_bytes"));
	put_head(out, "fetches_total", "counter",
		 "Requests for chunks to remote tiers, by what they were for.");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		put_sample(out, "fetches_total", "reason", reasons[i],
			   field_number(fetches, reasons[i]));
	put_one(out, "fetch_failures_total", "counter",
		"Of these requests, those that failed.",
		field_number(fetches, "failed"));
	put_one(out, "chunk_reads_total", "counter",
		"First reads of a chunk that a remote tier has, too.",
		field_number(remote, "reads"));
	put_head(out, "chunk_read_wait_seconds", "histogram",
		 "How long those of them took that had to wait for a tier.");
	put_histogram(out, "chunk_read_wait_seconds", NULL,
		      json_object_get(remote, "waits_us"),
		      field_number(remote, "waits_sum_us"), LAZY_BUCKETS,
		      wait_bound_us);
}

/* --- tiers --- */

static const struct {
	const char *name, *field, *help;
} tier_counters[] = {
	{ "tier_requests_total", "requests", "Requests to a remote tier." },
	{ "tier_hits_total", "hits", "Objects that it had." },
	{ "tier_misses_total", "misses", "Objects that it did not have." },
	{ "tier_failures_total", "failures", "Requests that failed." },
	{ "tier_damaged_total", "damaged",
	  "Objects whose bytes did not match their digest." },
	{ "tier_untrusted_total", "untrusted",
	  "Entries that no trusted key has signed." },
	{ "tier_read_bytes_total", "bytes_in", "Bytes read from it." },
	{ "tier_written_bytes_total", "bytes_out", "Bytes written to it." },
};

static void put_tiers(struct buf *out, const json_t *tiers)
{
	json_t *tier;
	size_t i;

	put_head(out, "tier_up", "gauge",
		 "Whether it is in use, and not left alone after failures.");
	json_array_foreach(tiers, i, tier)
		put_sample(out, "tier_up", "tier", field_text(tier, "name"),
			   field_flag(tier, "up"));
	for (size_t c = 0; c < sizeof(tier_counters) / sizeof(*tier_counters);
	     c++) {
		put_head(out, tier_counters[c].name, "counter",
			 tier_counters[c].help);
		json_array_foreach(tiers, i, tier)
			put_sample(out, tier_counters[c].name, "tier",
				   field_text(tier, "name"),
				   field_number(tier, tier_counters[c].field));
	}
	put_head(out, "tier_request_seconds", "histogram",
		 "How long its requests took.");
	json_array_foreach(tiers, i, tier)
		put_histogram(out, "tier_request_seconds",
			      field_text(tier, "name"),
			      json_object_get(tier, "latency_us"),
			      field_number(tier, "latency_sum_us"),
			      CHAIN_LATENCY_BUCKETS, chain_latency_us);
}

int prometheus_put(const struct sample *s, struct buf *out)
{
	const json_t *totals = json_object_get(s->stats, "totals");
	const json_t *status = s->status;

	put_one(out, "up", "gauge", "Whether a daemon is running.",
		status != NULL);
	if (!status)
		return buf_error(out);
	put_daemon(out, status);
	put_mounts(out, status);
	put_uploads(out, status);
	put_requests(out, totals);
	put_one(out, "read_bytes_total", "counter",
		"Bytes that the kernel has read from mounts.",
		field_number(totals, "read_bytes"));
	put_one(out, "written_bytes_total", "counter",
		"Bytes that it has written to them.",
		field_number(totals, "written_bytes"));
	put_fetches(out, totals);
	put_tiers(out, json_object_get(totals, "tiers"));
	return buf_error(out);
}
