/* SPDX-License-Identifier: Apache-2.0 */
/* larder stats: what was fetched for the mounts, and what the tiers did. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "prometheus.h"
#include "sample.h"
#include "store/base/cleanup.h"
#include "store/base/publish.h"

static uint64_t number(const json_t *object, const char *name)
{
	return (uint64_t)field_number(object, name);
}

static void print_latency(const json_t *histogram)
{
	char half[FORMAT_MAX], most[FORMAT_MAX];

	if (json_array_size(histogram) == 0)
		return;
	printf(", half of them below %s, 99 %% below %s",
	       format_ms((sample_percentile(histogram, 50) + 999) / 1000, half),
	       format_ms((sample_percentile(histogram, 99) + 999) / 1000,
			 most));
}

static void print_remote(const json_t *remote)
{
	const json_t *fetches = json_object_get(remote, "fetches");
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	printf("         here: %s of %s stored, %s of %s chunks%s\n",
	       format_bytes(number(remote, "here_bytes"), a),
	       format_bytes(number(remote, "stored_bytes"), b),
	       format_count(number(remote, "chunks_here"), c),
	       format_count(number(remote, "chunks"), d),
	       field_flag(remote, "filling") ? ", filling" : "");
	printf("         fetched: %s in %s requests of readers, %s ahead, "
	       "%s learnt, ",
	       format_bytes(number(remote, "fetched_bytes"), a),
	       format_count(number(fetches, "wanted"), b),
	       format_count(number(fetches, "ahead"), c),
	       format_count(number(fetches, "learnt"), d));
	printf("%s fill; %s failed\n", format_count(number(fetches, "fill"), a),
	       format_count(number(fetches, "failed"), b));
	printf("         reads: %s chunks, %s waited",
	       format_count(number(remote, "reads"), a),
	       format_count(number(remote, "reads_waited"), b));
	print_latency(json_object_get(remote, "waits_us"));
	putchar('\n');
}

/* Of all entries: what of them is in use. */
static void print_all(const json_t *all)
{
	char entries[FORMAT_MAX], files[FORMAT_MAX];

	printf("\n         all entries, %s in use, with %s files\n",
	       format_count(number(all, "entries"), entries),
	       format_count(number(all, "files"), files));
}

static void print_mount(const json_t *mount)
{
	const json_t *all = json_object_get(mount, "all");
	const json_t *remote = json_object_get(mount, "remote");
	const char *entry = field_text(mount, "entry");
	char bytes[FORMAT_MAX], text[FORMAT_MAX];

	fputs("mount    ", stdout);
	format_name(stdout, json_object_get(mount, "dir"));
	if (json_is_object(all)) {
		print_all(all);
		return;
	}
	printf("\n         %s, a tree of %s\n",
	       *entry ? format_entry(entry, text) : "empty tree",
	       format_bytes(number(mount, "bytes"), bytes));
	if (json_is_object(remote))
		print_remote(remote);
	else
		printf("         all of it is on this machine\n");
}

static void print_tier(const json_t *tier)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	printf("tier     %s%s\n", field_text(tier, "name"),
	       field_flag(tier, "up") ? "" : ", left alone after failures");
	printf("         %s requests: %s hits, %s misses, %s failures, ",
	       format_count(number(tier, "requests"), a),
	       format_count(number(tier, "hits"), b),
	       format_count(number(tier, "misses"), c),
	       format_count(number(tier, "failures"), d));
	printf("%s damaged, %s not trusted\n",
	       format_count(number(tier, "damaged"), a),
	       format_count(number(tier, "untrusted"), b));
	printf("         %s read, %s written",
	       format_bytes(number(tier, "bytes_in"), a),
	       format_bytes(number(tier, "bytes_out"), b));
	print_latency(json_object_get(tier, "latency_us"));
	putchar('\n');
}

static int set_dir(json_t *params, const char *dir)
{
	_cleanup_free_ char *path = NULL;
	struct failure f;

	if (place_absolute(dir, &path, &f) < 0)
		return out_failure(&f);
	json_object_set_new(params, "dir", rpc_string(path, strlen(path)));
	return 0;
}

/* ---- for machines */

static int measure(struct buf *out, struct failure *f)
{
	_cleanup_sample_ struct sample s = { .at_ns = 0 };
	int r = sample_take(&s, f);

	if (r < 0)
		return r;
	if (prometheus_put(&s, out) < 0)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	return 0;
}

/* Whole or not at all, for whoever reads it at any moment. */
static int write_textfile(const char *path, const struct buf *text,
			  struct failure *f)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_close_ int dirfd = -1;
	char *slash = copy ? strrchr(copy, '/') : NULL;
	const char *name = slash ? slash + 1 : copy;
	int r = -ENOMEM;

	if (slash)
		*slash = '\0';
	if (copy)
		dirfd = open(!slash ? "." :
			     *copy  ? copy :
				      "/",
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy && dirfd < 0)
		r = -errno;
	if (dirfd >= 0)
		r = *name ? publish_file(dirfd, name, text->data, text->len,
					 0644) :
			    -EISDIR;
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR, "cannot write %s: %s",
				   path, strerror(-r));
	return 0;
}

static int run_machine(const struct args *args)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct failure f;
	int r;

	if (args->json || args->count > 0)
		return out_error(EXIT_USAGE,
				 "--prometheus and --textfile go with neither "
				 "--json nor a directory");
	r = measure(&text, &f);
	if (r == 0 && args->textfile)
		r = write_textfile(args->textfile, &text, &f);
	else if (r == 0)
		fwrite(text.data, 1, text.len, stdout);
	return r < 0 ? out_failure(&f) : 0;
}

/* ---- the command */

static int run(const struct args *args)
{
	_cleanup_json_ json_t *params = client_params(args);
	_cleanup_json_ json_t *result = NULL;
	json_t *item;
	size_t i;
	int r;

	if (args->prometheus || args->textfile)
		return run_machine(args);
	r = args->count > 0 ? set_dir(params, args->operands[0]) : 0;
	if (r == 0)
		r = client_request("stats", json_incref(params), NULL, 0,
				   &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	json_array_foreach(json_object_get(result, "mounts"), i, item)
		print_mount(item);
	json_array_foreach(json_object_get(result, "tiers"), i, item)
		print_tier(item);
	return 0;
}

static const struct option_def options[] = {
	{ "prometheus", 0, OPTION_FLAG, NULL, offsetof(struct args, prometheus),
	  "Print counters and gauges in Prometheus's text format; starts no "
	  "daemon." },
	{ "textfile", 0, OPTION_VALUE, "FILE", offsetof(struct args, textfile),
	  "Write them to FILE instead, whole or not at all, as for the "
	  "textfile collector of node_exporter." },
	OPTION_END
};

const struct command cmd_stats = {
	.name = "stats",
	.summary = "show what was fetched, and how the remote tiers do",
	.synopsis = "[DIR]\n--prometheus\n--textfile FILE",
	.description =
		"For each mount, or that at DIR: how much of the tree is on "
		"this machine, what was fetched and why, and how long reads "
		"had to wait. For each remote tier: hits, misses, failures, "
		"damaged objects, bytes and latency, since the daemon's "
		"worker began.",
	.manual =
		"--prometheus gives counters, gauges and histograms. Counters "
		"are the daemon's worker's, and do not fall when a mount "
		"ends; they begin anew with another worker. Labels are "
		"opcodes, reasons, and names of tiers. Where no daemon is "
		"running, larder_up is 0 and there is nothing else. The "
		"systemd unit larder-stats.timer writes a textfile twice a "
		"minute.\n"
		"\n"
		"larder top shows the same as rates, and larder trace each "
		"read.",
	.options = options,
	.operands_max = 1,
	.run = run,
};
