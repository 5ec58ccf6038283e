/* SPDX-License-Identifier: Apache-2.0 */
/* Delta debugging of a script; see shrink.h. */
#include "shrink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct shrinker {
	struct run *run;
	struct script *script;
	char failed[128]; /* the property, or the step and its result */
	time_t end;
	unsigned replays;
};

static time_t seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void describe(const struct play *p, const struct step *s, char *buf,
		     size_t size)
{
	if (strcmp(p->failed, "result") == 0)
		snprintf(buf, size, "%s %" PRId64, step_name(s->kind), p->got);
	else
		snprintf(buf, size, "%s", p->failed);
}

/* Whether the candidate fails in the same way; *ret_n: where. */
static bool fails(struct shrinker *s, const struct script *candidate,
		  size_t *ret_n)
{
	char failed[sizeof(s->failed)];
	size_t at = 0;

	if (candidate->n == 0)
		return false;
	s->replays++;
	if (run_replay(s->run, candidate, &at) != RUN_DIFFERENT)
		return false;
	describe(&s->run->play, &candidate->steps[at], failed, sizeof(failed));
	*ret_n = at + 1;
	return strcmp(failed, s->failed) == 0;
}

static bool in_time(const struct shrinker *s)
{
	return seconds_now() < s->end;
}

/* Removes steps [at, at + n) for good. */
static void remove_steps(struct script *script, size_t at, size_t n)
{
	size_t i;

	for (i = at; i < at + n; i++)
		step_release(&script->steps[i]);
	memmove(&script->steps[at], &script->steps[at + n],
		(script->n - at - n) * sizeof(struct step));
	script->n -= n;
}

/* The script without [at, at + n), the steps being the script's own. */
static bool fails_without(struct shrinker *s, size_t at, size_t n,
			  size_t *ret_n)
{
	const struct script *all = s->script;
	struct script rest = { .n = all->n - n };
	bool same;

	rest.steps = calloc(rest.n + 1, sizeof(struct step));
	if (!rest.steps)
		abort();
	memcpy(rest.steps, all->steps, at * sizeof(struct step));
	memcpy(rest.steps + at, all->steps + at + n,
	       (rest.n - at) * sizeof(struct step));
	same = fails(s, &rest, ret_n);
	free(rest.steps);
	return same;
}

/* From the end, since what fails is there. True if anything went. */
static bool leave_out(struct shrinker *s, size_t chunk)
{
	size_t at = s->script->n, n, left;
	bool any = false;

	while (at > 0 && in_time(s)) {
		n = at < chunk ? at : chunk;
		at -= n;
		if (!fails_without(s, at, n, &left))
			continue;
		remove_steps(s->script, at, n);
		remove_steps(s->script, left, s->script->n - left);
		any = true;
		if (at > s->script->n)
			at = s->script->n;
	}
	return any;
}

/* Tries a simpler number. */
static bool simpler(struct shrinker *s, uint64_t *number, uint64_t value)
{
	uint64_t old = *number;
	size_t left;

	if (old <= value || !in_time(s))
		return false;
	*number = value;
	if (fails(s, s->script, &left) && left == s->script->n)
		return true;
	*number = old;
	return false;
}

static void simplify(struct shrinker *s)
{
	size_t i;

	for (i = 0; i < s->script->n && s->script->n < 100; i++) {
		struct step *step = &s->script->steps[i];
		uint64_t *const numbers[] = { &step->len, &step->off,
					      &step->off2 };
		unsigned k;

		if (step->kind == STEP_UTIMENS || step->kind == STEP_CHOWN)
			continue;
		for (k = 0; k < 3; k++) {
			if (simpler(s, numbers[k], k == 0 ? 1 : 0))
				continue;
			while (*numbers[k] > 1 &&
			       simpler(s, numbers[k], *numbers[k] / 2))
				;
			simpler(s, numbers[k], *numbers[k] & ~UINT64_C(4095));
		}
		simpler(s, &step->seed, 1);
	}
}

bool shrink(struct run *r, struct script *script, unsigned seconds)
{
	struct shrinker s = { .run = r,
			      .script = script,
			      .end = seconds_now() + seconds };
	size_t chunk, left;
	bool any;

	describe(&r->play, &script->steps[script->n - 1], s.failed,
		 sizeof(s.failed));
	if (!fails(&s, script, &left))
		return false;
	remove_steps(script, left, script->n - left);
	for (chunk = script->n / 2; chunk > 1; chunk /= 2)
		leave_out(&s, chunk);
	do {
		any = leave_out(&s, 1);
		simplify(&s);
	} while (any && in_time(&s));
	/* The last word on it. */
	any = fails(&s, script, &left);
	fprintf(stderr, "random: %u replays%s%s\n", s.replays,
		in_time(&s) ? "" : "; out of time",
		any ? "" : "; it does not always fail");
	return true;
}
