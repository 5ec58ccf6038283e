/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's command, and what it finds in its environment: what was found in the
 * cache, as a whole and for each of the caches that are set up around it, and
 * what their plans add.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "cmd.h"
#include "run_internal.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"

/* Variables for a command; the texts are owned, and the last is empty. */
struct variables {
	struct variable *items;
	size_t count;
	bool failed; /* memory was short */
};

static void variables_release(struct variables *v)
{
	for (size_t i = 0; i < v->count; i++) {
		free((char *)v->items[i].name);
		free((char *)v->items[i].value);
	}
	free(v->items);
}

static void add(struct variables *v, const char *name, size_t len,
		const char *value)
{
	struct variable *items =
		reallocarray(v->items, v->count + 2, sizeof(*items));

	if (!items) {
		v->failed = true;
		return;
	}
	v->items = items;
	items[v->count] =
		(struct variable){ strndup(name, len), strdup(value) };
	v->failed |= !items[v->count].name || !items[v->count].value;
	items[++v->count] = (struct variable){ NULL, NULL };
}

/* ---- what was found */

static const char *outcome_of(const struct run *run)
{
	return field_text(run->report, "outcome");
}

/* exact or miss where all of them are. */
static const char *outcome_of_all(const struct run *runs, size_t count)
{
	const char *first = outcome_of(&runs[0]);

	for (size_t i = 1; i < count; i++)
		if (strcmp(outcome_of(&runs[i]), first) != 0)
			return "partial";
	return first;
}

/* NAME@KEY of the base, where there is one. */
static void print_matched(const struct run *run, const char *before, FILE *f)
{
	const json_t *entry = json_object_get(run->base, "entry");

	if (json_is_object(entry))
		fprintf(f, "%s%s@%s", before, field_text(entry, "name"),
			field_text(entry, "key"));
}

static void print_key(const struct run *run, const char *before, FILE *f)
{
	fprintf(f, "%s%s", before, run->wanted.key);
}

/* Those of all runs, divided by blanks. */
static void add_all(struct variables *v, const char *name,
		    const struct run *runs, size_t count,
		    void (*print)(const struct run *run, const char *before,
				  FILE *f))
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; f && i < count; i++)
		print(&runs[i], " ", f);
	if (f && fclose(f) == 0)
		add(v, name, strlen(name), text + (*text == ' '));
	else
		v->failed = true;
}

/* LARDER_OUTCOME_<LABEL>, in capitals. */
static void add_outcome(struct variables *v, const struct run *run)
{
	_cleanup_free_ char *name =
		io_path("LARDER_OUTCOME_%s", run->plan->label);

	for (char *c = name; c && *c; c++)
		*c = isalnum((unsigned char)*c) ?
			     (char)toupper((unsigned char)*c) :
			     '_';
	if (name)
		add(v, name, strlen(name), outcome_of(run));
	else
		v->failed = true;
}

static void fill(struct variables *v, const struct run *runs, size_t count)
{
	_cleanup_free_ char *locks = run_locks_text(runs, count);

	if (locks)
		add(v, RUN_LOCKS_VARIABLE, strlen(RUN_LOCKS_VARIABLE), locks);
	else
		v->failed = true;
	add(v, "LARDER_OUTCOME", strlen("LARDER_OUTCOME"),
	    outcome_of_all(runs, count));
	add_all(v, "LARDER_MATCHED", runs, count, print_matched);
	add_all(v, "LARDER_KEY", runs, count, print_key);
	for (size_t i = 0; i < count; i++) {
		const struct strings *environment = &runs[i].plan->environment;

		if (runs[i].plan->label)
			add_outcome(v, &runs[i]);
		for (size_t j = 0; j < environment->count; j++) {
			const char *text = environment->items[j];
			size_t len = strcspn(text, "=");

			add(v, text, len, text + len + 1);
		}
	}
}

/* ---- the command */

int run_command(struct run *runs, size_t count)
{
	const struct run_plan *plan = runs[0].plan;
	_cleanup_(variables_release) struct variables v = { NULL, 0, false };
	int64_t start = clock_mono_ns(), ms;
	int code;

	fill(&v, runs, count);
	if (v.failed)
		return out_error(EXIT_ERROR, "out of memory");
	code = child_run(plan->command, plan->dir, v.items, plan->json);
	ms = (clock_mono_ns() - start) / 1000000;
	for (size_t i = 0; i < count; i++) {
		json_object_set_new(runs[i].report, "ran", json_true());
		json_object_set_new(runs[i].report, "command_ms",
				    json_integer(ms));
	}
	return code;
}
