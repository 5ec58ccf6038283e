/* SPDX-License-Identifier: Apache-2.0 */
/* larder doctor: what of this machine keeps Larder from working well. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "doctor.h"
#include "out.h"
#include "store/base/log.h"

static const struct {
	const char *name;
	enum out_colour colour;
} levels[] = {
	[DOCTOR_OK] = { "ok", OUT_GREEN },
	[DOCTOR_FIXED] = { "fixed", OUT_GREEN },
	[DOCTOR_WARNING] = { "warning", OUT_YELLOW },
	[DOCTOR_PROBLEM] = { "problem", OUT_RED },
};

/* Paths from outside are in the sentences. */
static void print_line(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' :
								       *text);
	putchar('\n');
}

static json_t *text_json(const char *text)
{
	json_t *s = text ? json_string(text) : json_null();

	return s ? s : json_string("the text is no UTF-8");
}

void doctor_say(struct doctor *d, enum doctor_level level, const char *check,
		const char *advice, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->counts[level]++;
	json_array_append_new(d->checks,
			      json_pack("{s:s, s:s, s:o, s:o}", "check", check,
					"level", levels[level].name, "what",
					text_json(text), "advice",
					text_json(advice)));
	if (out_is_json() || (d->args->quiet && level == DOCTOR_OK))
		return;
	printf("%s%-8s%s %-9s ", out_colour(levels[level].colour),
	       levels[level].name, out_colour(OUT_PLAIN), check);
	print_line(text);
	if (advice) {
		printf("%19s", "");
		print_line(advice);
	}
}

static int conclude(struct doctor *d)
{
	unsigned problems = d->counts[DOCTOR_PROBLEM];
	unsigned warnings = d->counts[DOCTOR_WARNING];
	int r;

	if (!out_is_json()) {
		out_note("%u problem%s, %u warning%s", problems,
			 problems == 1 ? "" : "s", warnings,
			 warnings == 1 ? "" : "s");
		return problems > 0 ? EXIT_ERROR : 0;
	}
	r = out_json(json_pack("{s:O, s:i, s:i, s:i}", "checks", d->checks,
			       "problems", (int)problems, "warnings",
			       (int)warnings, "fixed",
			       (int)d->counts[DOCTOR_FIXED]));
	return r ? r : problems > 0 ? EXIT_ERROR : 0;
}

static int run(const struct args *args)
{
	struct doctor d = { .args = args,
			    .fix = args->fix,
			    .checks = json_array() };
	int r;

	/* What goes wrong on the way is a check's result. */
	log_set_level(LOG_LEVEL_ERROR);
	doctor_system(&d);
	doctor_limits(&d);
	doctor_places(&d);
	doctor_daemon(&d);
	doctor_sockets(&d);
	doctor_mounts(&d);
	doctor_uppers(&d);
	doctor_tiers(&d);
	r = conclude(&d);
	json_decref(d.checks);
	json_decref(d.status);
	return r;
}

static const struct option_def options[] = {
	{ "fix", 0, OPTION_FLAG, NULL, offsetof(struct args, fix),
	  "Remove what dead processes left: mounts, sockets and locks. Changes "
	  "in mounts are never removed." },
	OPTION_END
};

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "look for what keeps Larder from working",
	.synopsis = "[--fix]",
	.description =
		"Looks at the kernel and FUSE, limits, directories, the clock, "
		"the daemon, what dead processes left behind, and each remote "
		"tier, and prints a line for each: ok, warning or problem, "
		"and what to do about it. Into a tier that may be written to, "
		"an object of a few bytes is put, read and removed.\n"
		"\n"
		"It starts no daemon and waits for no mount that hangs. The "
		"exit code is 1 where there is a problem.",
	.manual =
		"It looks at the kernel's version, /dev/fuse, fusermount3(1), "
		"/etc/fuse.conf, limits, whose the directories are, what they "
		"lie on and how much room there is, the clock, the daemon and "
		"its supervisor, and of each tier whether it answers, takes "
		"the credentials and gives parts of objects.\n"
		"\n"
		"With --fix, what was removed is a line that begins with "
		"fixed. Changes that no mount shows are only reported, with "
		"the command that brings them back.",
	.options = options,
	.run = run,
};
