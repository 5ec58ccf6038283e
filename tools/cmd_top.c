/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder top: what the mounts and tiers do, a round a second: drawn on the
 * terminal, or, where there is none, printed one behind the other.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "format.h"
#include "interrupt.h"
#include "out.h"
#include "rates.h"
#include "sample.h"
#include "screen.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "top_text.h"

#define NS_PER_MS INT64_C(1000000)
#define PAUSE_NS (200 * NS_PER_MS) /* where the answer takes a whole round */

struct top {
	const struct args *args;
	unsigned order;
	int64_t interval_ns;
	struct sample before, now; /* the latest two */
	struct rates rates;	   /* of them */
	struct failure failure;	   /* why there is no newer one */
	bool failed;
};

static void top_release(struct top *t)
{
	rates_release(&t->rates);
	sample_release(&t->before);
	sample_release(&t->now);
}

/* A worker that is being replaced ends the connection; the next one takes it. */
static int take_sample(struct top *t)
{
	struct sample s;
	int r = sample_take(&s, &t->failure);

	if (r == -EPIPE && !interrupt_signal())
		r = sample_take(&s, &t->failure);
	t->failed = r < 0;
	if (r < 0)
		return r;
	sample_release(&t->before);
	t->before = t->now;
	t->now = s;
	rates_release(&t->rates);
	r = rates_make(t->before.at_ns ? &t->before : NULL, &t->now, &t->rates);
	if (r < 0)
		return failure_set(&t->failure, r, EXIT_ERROR, "out of memory");
	return 0;
}

static const char *order_name(const struct top *t)
{
	return rates_orders[t->order];
}

/* --- one behind the other --- */

static int print_round(struct top *t)
{
	json_t *j;

	rates_sort(&t->rates, t->order);
	if (t->args->json) {
		j = top_json(&t->now, &t->rates);
		json_object_set_new(j, "schema", json_string(OUT_SCHEMA));
		json_dumpf(j, stdout, JSON_COMPACT | JSON_SORT_KEYS);
		putchar('\n');
		json_decref(j);
	} else {
		top_print(&t->now, &t->rates, order_name(t), stdout);
	}
	return fflush(stdout) == 0 ? 0 : EXIT_ERROR;
}

static int run_rounds(struct top *t)
{
	unsigned rounds = t->args->once ? 1 : t->args->rounds;
	int r = take_sample(t);

	for (unsigned i = 0; r == 0 && (rounds == 0 || i < rounds); i++) {
		poll(NULL, 0, (int)(t->interval_ns / NS_PER_MS));
		r = take_sample(t);
		if (r == 0 && i > 0 && !t->args->json)
			putchar('\n');
		if (r == 0 && print_round(t) != 0)
			return EXIT_ERROR;
	}
	return r < 0 ? out_failure(&t->failure) : 0;
}

/* --- on a terminal --- */

static void draw(struct top *t)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	rates_sort(&t->rates, t->order);
	if (t->now.at_ns)
		top_print(&t->now, &t->rates, order_name(t), f);
	if (t->failed)
		fprintf(f, "\n%s\n", t->failure.message);
	fputs("\nq quit   < > sort by another column\n", f);
	if (fclose(f) == 0)
		screen_draw(text, len);
}

static void next_order(struct top *t, bool back)
{
	unsigned n = 0;

	while (rates_orders[n])
		n++;
	t->order = (t->order + (back ? n - 1 : 1)) % n;
}

/* Until the next round is due; true where it is to end. What has come while
 * the daemon was asked is looked at in any case. */
static bool wait_round(struct top *t, int64_t until_ns)
{
	int64_t left;
	int key;

	do {
		left = until_ns - clock_mono_ns();
		key = screen_wait(left > 0 ? (int)(left / NS_PER_MS) + 1 : 0);
		if (key == SCREEN_ENDED || key == 'q' || key == 'Q')
			return true;
		if (key == '<' || key == '>')
			next_order(t, key == '<');
		if (key != SCREEN_TIME)
			draw(t);
	} while (key != SCREEN_TIME);
	return false;
}

/* When the round that was begun ends. */
static int64_t round_end(const struct top *t, int64_t begun_ns)
{
	int64_t due = begun_ns + t->interval_ns;
	int64_t soonest = clock_mono_ns() + PAUSE_NS;

	return due > soonest ? due : soonest;
}

static int run_screen(struct top *t)
{
	unsigned rounds = t->args->rounds;
	bool end = false;
	int r = screen_open(), signo;

	if (r < 0)
		return out_error(EXIT_ERROR, "the terminal: %s", strerror(-r));
	for (unsigned i = 0; !end && (rounds == 0 || i < rounds); i++) {
		int64_t begun_ns = clock_mono_ns();

		(void)take_sample(t); /* what fails is drawn */
		if (interrupt_signal())
			break;
		draw(t);
		end = wait_round(t, round_end(t, begun_ns));
	}
	screen_close();
	signo = screen_signal() ? screen_signal() : interrupt_signal();
	return signo && signo != SIGINT ? EXIT_SIGNAL + signo : 0;
}

/* --- the command --- */

static int find_order(const char *name, unsigned *ret_order)
{
	*ret_order = 0;
	if (!name)
		return 0;
	for (unsigned i = 0; rates_orders[i]; i++)
		if (strcmp(rates_orders[i], name) == 0) {
			*ret_order = i;
			return 0;
		}
	return out_error(EXIT_USAGE,
			 "top --sort %s: there are requests, read, written, "
			 "fetched, waits, upper and mount",
			 name);
}

static int run(const struct args *args)
{
	_cleanup_(top_release) struct top t = { .args = args };
	int r = find_order(args->sort, &t.order);

	if (r)
		return r;
	t.interval_ns =
		(args->interval_s ? args->interval_s : 1) * 1000 * NS_PER_MS;
	return args->json || args->once || !screen_is_possible() ?
		       run_rounds(&t) :
		       run_screen(&t);
}

static const struct option_def options[] = {
	{ "once", 0, OPTION_FLAG, NULL, offsetof(struct args, once),
	  "Measure for one interval, print it and end." },
	{ "rounds", 'n', OPTION_COUNT, "N", offsetof(struct args, rounds),
	  "End after so many rounds." },
	{ "interval", 0, OPTION_SECONDS, "SECONDS",
	  offsetof(struct args, interval_s),
	  "How long a round takes, in place of one second." },
	{ "sort", 0, OPTION_VALUE, "COLUMN", offsetof(struct args, sort),
	  "Order of the mounts: requests (default), read, written, fetched, "
	  "waits, upper or mount." },
	OPTION_END
};

const struct command cmd_top = {
	.name = "top",
	.summary = "watch what the mounts and the remote tiers do",
	.synopsis = "[--sort COLUMN] [--interval SECONDS] [-n N]\n--once",
	.description =
		"Shows, and each second again, what the kernel asked of each "
		"mount (requests, bytes read and written), what was fetched "
		"for it, how many reads had to wait for a tier and how long "
		"they did on average, and what its changes take on disk; of "
		"each remote tier requests, hits, misses, failures, bytes and "
		"mean latency; and the worker's memory and the uploads. All "
		"rates are of the last round.\n"
		"\n"
		"q ends it, < and > sort by another column. Where standard "
		"output is no terminal, rounds are printed one behind the "
		"other; with --json, each is an object on a line.",
	.manual =
		"It starts no daemon: where none is running, it says so and "
		"goes on. Counters that begin anew with another worker are "
		"counted from there. What the kernel has in memory is read "
		"without a request, and is in none of the numbers.\n"
		"\n"
		"The object of a round has running, seconds (between its two "
		"samples), worker_pid, memory_bytes, uploads (queued, running, "
		"bytes), per_second (of all mounts, also those that ended), "
		"mounts (dir, entry, mode, upper_bytes and per_second: "
		"requests, read_bytes, written_bytes, fetched_bytes, waits, "
		"waited_us) and tiers (name, up, latency_us and per_second: "
		"requests, hits, misses, failures, bytes_in, bytes_out).",
	.options = options,
	.run = run,
};
