/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder trace: which files of a mount are read, from where and for how long;
 * each read as it comes, or the sums by file at the end. Where the daemon's
 * worker is replaced meanwhile, the next one is asked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "interrupt.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "trace_summary.h"

#define FILES_SHOWN 40
#define NS_PER_MS INT64_C(1000000)

struct tracing {
	const struct args *args;
	const char *dir; /* absolute */
	struct trace_summary *summary;
	int64_t until_ns; /* monotonic; 0: until somebody ends it */
	bool begun;
	json_int_t lost; /* that this worker told of */
	int err;
};

/* --- what is told --- */

static void print_line(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static void print_heads(void)
{
	puts("TIME             FROM             BYTES       TIME     WAITED  "
	     "PATH");
}

/* 12:34:56.789012 of 2026-01-02T12:34:56.789012345Z */
static void print_read(const json_t *read)
{
	_cleanup_free_ char *name =
		format_name_text(json_object_get(read, "path"));
	const char *time = field_text(read, "time");
	char bytes[FORMAT_MAX], took[FORMAT_MAX], waited[FORMAT_MAX];

	printf("%.15s  %-12s %9s %10s %10s  ",
	       strlen(time) > 11 ? time + 11 : time, trace_from(read),
	       format_bytes((uint64_t)field_number(read, "bytes"), bytes),
	       format_us((uint64_t)field_number(read, "took_us"), took),
	       format_us((uint64_t)field_number(read, "waited_us"), waited));
	if (name)
		puts(name);
	else
		printf("(removed, inode %" JSON_INTEGER_FORMAT ")\n",
		       field_number(read, "inode"));
}

static void tell_begun(struct tracing *t)
{
	bool again = t->begun;

	t->begun = true;
	if (again)
		return;
	if (!t->args->json && !t->args->summary)
		print_heads();
	else if (!t->args->summary)
		print_line(json_pack("{s:s, s:o}", "schema", OUT_SCHEMA,
				     "trace",
				     rpc_string(t->dir, strlen(t->dir))));
	fflush(stdout);
	out_note("tracing %s%s", t->dir, t->until_ns ? "" : "; Ctrl-C ends it");
}

static void tell_lost(struct tracing *t, json_int_t lost)
{
	if (lost <= 0)
		return;
	t->lost += lost;
	trace_summary_lost(t->summary, (uint64_t)lost);
	if (t->args->summary)
		return;
	if (t->args->json)
		print_line(json_pack("{s:I}", "lost", lost));
	else
		printf("(%" JSON_INTEGER_FORMAT " reads were lost, since they "
		       "came too fast)\n",
		       lost);
}

static void tell_read(struct tracing *t, json_t *read)
{
	int r = trace_summary_add(t->summary, read);

	if (r < 0)
		t->err = r;
	if (t->args->summary)
		return;
	if (t->args->json)
		print_line(json_incref(read));
	else
		print_read(read);
}

static void take_note(void *arg, const char *method, const json_t *params)
{
	struct tracing *t = arg;
	json_t *read;
	size_t i;

	if (strcmp(method, "trace") != 0)
		return;
	if (field_flag(params, "begun"))
		tell_begun(t);
	tell_lost(t, field_number(params, "lost"));
	json_array_foreach(json_object_get(params, "reads"), i, read)
		tell_read(t, read);
	fflush(stdout);
}

/* --- asking --- */

static json_t *trace_params(const struct tracing *t)
{
	json_t *params = json_object();
	int64_t left_ms;

	json_object_set_new(params, "dir", rpc_string(t->dir, strlen(t->dir)));
	if (t->until_ns) {
		left_ms = (t->until_ns - clock_mono_ns()) / NS_PER_MS;
		json_object_set_new(params, "for_ms",
				    json_integer(left_ms > 0 ? left_ms : 0));
	}
	return params;
}

/* Until one worker ends it, or ends; *ret_end says why it did, in the words of
 * the protocol. -EPIPE: the worker died. */
static int follow(struct tracing *t, char ret_end[32], struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ json_t *result = NULL;
	int r = client_open(false, &c, f);

	if (r < 0)
		return r;
	t->lost = 0;
	client_listen(c, take_note, t);
	r = client_call(c, "trace", trace_params(t), NULL, 0, &result, f);
	/* Also what could not be told any more. */
	tell_lost(t, field_number(result, "lost") - t->lost);
	snprintf(ret_end, 32, "%s", field_text(result, "end"));
	return r;
}

static bool nobody_answers(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

/* Why it has ended, or NULL where the next worker is to be asked. */
static const char *end_of(const struct tracing *t, int r, const char *end)
{
	if (interrupt_signal())
		return "asked";
	if (r == 0 && strcmp(end, "replaced") != 0)
		return strcmp(end, "time") == 0	 ? "time" :
		       strcmp(end, "asked") == 0 ? "asked" :
						   "unmounted";
	/* There is no daemon, or it has no such mount. */
	if (t->begun && nobody_answers(r))
		return "unmounted";
	return NULL;
}

/* 0 or the exit code; *ret_end: why it is over. */
static int follow_workers(struct tracing *t, const char **ret_end)
{
	struct failure f;
	char end[32];
	int r;

	for (;;) {
		end[0] = '\0';
		r = follow(t, end, &f);
		*ret_end = end_of(t, r, end);
		if (*ret_end)
			return 0;
		if (r < 0 && !(r == -EPIPE && t->begun))
			return out_failure(&f);
		out_note("the daemon's worker was replaced; the trace goes on, "
			 "without what was read in that moment");
	}
}

/* --- the command --- */

static int report(struct tracing *t, const char *end)
{
	const struct args *args = t->args;

	if (strcmp(end, "unmounted") == 0)
		out_note("%s was unmounted, which ends the trace", t->dir);
	if (args->summary && args->json)
		return out_json(trace_summary_json(t->summary, args->sort));
	if (args->summary)
		trace_summary_print(t->summary, args->sort,
				    args->verbose ? 0 : FILES_SHOWN, stdout);
	else if (args->json)
		print_line(json_pack(
			"{s:s, s:I, s:I}", "end", end, "reads",
			(json_int_t)trace_summary_reads(t->summary), "lost",
			(json_int_t)trace_summary_all_lost(t->summary)));
	return 0;
}

static bool is_order(const char *name)
{
	for (unsigned i = 0; trace_summary_orders[i]; i++)
		if (strcmp(trace_summary_orders[i], name) == 0)
			return true;
	return false;
}

static int check(const struct args *args)
{
	if (args->sort && !args->summary)
		return out_error(EXIT_USAGE,
				 "trace --sort goes with --summary");
	if (args->sort && !is_order(args->sort))
		return out_error(EXIT_USAGE,
				 "trace --sort %s: there are waited, time, "
				 "bytes and reads",
				 args->sort);
	return 0;
}

static int run(const struct args *args)
{
	_cleanup_trace_summary_ struct trace_summary *summary =
		trace_summary_new();
	_cleanup_free_ char *dir = NULL;
	struct tracing t = { .args = args, .summary = summary };
	const char *end = NULL;
	struct failure f;
	int r = check(args);

	if (r)
		return r;
	if (!summary)
		return out_error(EXIT_ERROR, "out of memory");
	if (place_absolute(args->operands[0], &dir, &f) < 0)
		return out_failure(&f);
	t.dir = dir;
	if (args->for_s)
		t.until_ns = clock_mono_ns() + args->for_s * 1000 * NS_PER_MS;
	r = follow_workers(&t, &end);
	if (r == 0 && t.err < 0)
		return out_error(EXIT_ERROR, "out of memory");
	return r ? r : report(&t, end);
}

static const struct option_def options[] = {
	{ "for", 0, OPTION_SECONDS, "SECONDS", offsetof(struct args, for_s),
	  "End the trace after that time; without it, when it is "
	  "interrupted." },
	{ "summary", 0, OPTION_FLAG, NULL, offsetof(struct args, summary),
	  "Print at the end what each file was read, and not each read." },
	{ "sort", 0, OPTION_VALUE, "COLUMN", offsetof(struct args, sort),
	  "Order of the summary: waited (default), time, bytes or reads." },
	OPTION_END
};

const struct command cmd_trace = {
	.name = "trace",
	.summary = "show which files of a mount are read, and from where",
	.synopsis = "[--for SECONDS] DIR\n"
		    "--summary [--sort COLUMN] [--for SECONDS] DIR",
	.description =
		"Prints each read of a file in the mount at DIR that reaches "
		"the daemon: when, where its bytes came from, how many they "
		"were, how long it took and how much of that it waited for "
		"them, and the file's path in the mount. The place is upper "
		"(what was written into the mount), memory (a part of a file "
		"that was unpacked before), local (the store of this machine) "
		"or the name of a remote tier; of several, the farthest.\n"
		"\n"
		"What the kernel has in memory it reads without asking, so a "
		"file that was just read does not show again. With --json, "
		"each read is an object on a line of its own.",
	.manual =
		"The trace ends with Ctrl-C, when its time is over and when "
		"the mount ends. Where the daemon's worker is replaced, it "
		"goes on with the next one, and says so. A mount is as fast as "
		"ever while nobody traces it. The daemon keeps the latest 8192 "
		"reads for those who trace; where a reader is slower than "
		"that, those that were lost are counted and said. Of a mount "
		"of all entries, paths are NAMESPACE/NAME/KEY/..., and of a "
		"file that several entries have, that of one of them.\n"
		"\n"
		"With --json, the first line is {\"schema\":\"larder/1\","
		"\"trace\":DIR}, printed when reads are seen from then on. "
		"Each read has time, path (null: the file has no name any "
		"more), inode, offset, bytes, from (the bytes of each of "
		"upper, memory, local and remote), tier (of remote), took_us, "
		"waited_us and, where it failed, error. {\"lost\":N} stands "
		"where reads are missing. The last line has end (asked, time "
		"or unmounted), reads and lost. With --summary, it is one "
		"object of the sums, with files.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
