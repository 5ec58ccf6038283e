/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random tester: random operations on a directory and on a model of it
 * in memory, compared step by step, and the whole trees now and then. See
 * tests/random/README.md. It is linked with nothing of Larder's, so that it
 * sees a mount as any program does.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"

#include "run.h"
#include "shrink.h"

static const char usage_text[] =
	"usage: random [OPTION]... DIR\n"
	"\n"
	"Does random operations below DIR, which it empties and fills, and to a\n"
	"model in memory, and compares. Exit code 1: they differ; 2: it could not\n"
	"run. A failing sequence is made short and printed.\n"
	"\n"
	"      --kind KIND        tree (default) or files\n"
	"      --seed N           default: any; it is printed\n"
	"      --steps N          of all trees together (default: 10000)\n"
	"      --tree-steps N     then a fresh tree and the next seed (20000)\n"
	"      --compare-every N  steps between whole comparisons (5000)\n"
	"      --max-file BYTES   default: by the seed\n"
	"      --base DIR         what a fresh tree holds\n"
	"      --replay FILE      play this script instead\n"
	"      --save FILE        where a failing script goes\n"
	"      --shrink-seconds N how long that may take (300); 0: not at all\n"
	"      --mistake NAME     do punch or exchange wrongly, as a test of this\n"
	"                         program\n"
	"\n"
	"Hooks, shell commands with DIR as $1:\n"
	"      --fresh COMMAND    leaves a fresh tree in DIR\n"
	"      --remount COMMAND  leaves the same tree, maybe in another mount\n"
	"      --reopen COMMAND   leaves the same mount; run with no file open\n"
	"      --disturb COMMAND  changes nothing; run with files open\n"
	"      --remount-every N  steps between them (5000), and so on\n";

/* --- mistakes: a file system that is wrong, to see it found --- */

static struct tree_ops wrong_ops;

/* Leaves the last byte of a hole as it was. */
static int wrong_fallocate(void *fs, const char *path, int mode, uint64_t off,
			   uint64_t len)
{
	if ((mode & FALLOC_FL_PUNCH_HOLE) && len > 1)
		len--;
	return mount_ops.fallocate(fs, path, mode, off, len);
}

/* Takes a permission from what it moves. */
static int wrong_rename(void *fs, const char *from, const char *to,
			unsigned flags)
{
	struct tree_stat st;
	int r = mount_ops.rename(fs, from, to, flags);

	if (r == 0 && (flags & RENAME_EXCHANGE) &&
	    mount_ops.stat(fs, to, &st) == 0 && S_ISREG(st.mode))
		mount_ops.chmod(fs, to, st.mode & 07377);
	return r;
}

static const struct tree_ops *ops_with(const char *mistake)
{
	wrong_ops = mount_ops;
	if (!mistake)
		return &mount_ops;
	if (strcmp(mistake, "punch") == 0)
		wrong_ops.fallocate = wrong_fallocate;
	else if (strcmp(mistake, "exchange") == 0)
		wrong_ops.rename = wrong_rename;
	else
		return NULL;
	return &wrong_ops;
}

/* --- options --- */

struct options {
	struct run_options run;
	const char *replay, *save;
	unsigned shrink_seconds;
};

enum {
	OPT_KIND = 256,
	OPT_SEED,
	OPT_STEPS,
	OPT_TREE_STEPS,
	OPT_COMPARE_EVERY,
	OPT_MAX_FILE,
	OPT_BASE,
	OPT_REPLAY,
	OPT_SAVE,
	OPT_SHRINK_SECONDS,
	OPT_MISTAKE,
	OPT_FRESH,
	OPT_REMOUNT,
	OPT_REMOUNT_EVERY,
	OPT_REOPEN,
	OPT_REOPEN_EVERY,
	OPT_DISTURB,
	OPT_DISTURB_EVERY,
};

static const struct option long_options[] = {
	{ "kind", required_argument, NULL, OPT_KIND },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "steps", required_argument, NULL, OPT_STEPS },
	{ "tree-steps", required_argument, NULL, OPT_TREE_STEPS },
	{ "compare-every", required_argument, NULL, OPT_COMPARE_EVERY },
	{ "max-file", required_argument, NULL, OPT_MAX_FILE },
	{ "base", required_argument, NULL, OPT_BASE },
	{ "replay", required_argument, NULL, OPT_REPLAY },
	{ "save", required_argument, NULL, OPT_SAVE },
	{ "shrink-seconds", required_argument, NULL, OPT_SHRINK_SECONDS },
	{ "mistake", required_argument, NULL, OPT_MISTAKE },
	{ "fresh", required_argument, NULL, OPT_FRESH },
	{ "remount", required_argument, NULL, OPT_REMOUNT },
	{ "remount-every", required_argument, NULL, OPT_REMOUNT_EVERY },
	{ "reopen", required_argument, NULL, OPT_REOPEN },
	{ "reopen-every", required_argument, NULL, OPT_REOPEN_EVERY },
	{ "disturb", required_argument, NULL, OPT_DISTURB },
	{ "disturb-every", required_argument, NULL, OPT_DISTURB_EVERY },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static bool add_hook(struct run_hooks *hooks)
{
	if (hooks->n == RUN_HOOKS)
		return false;
	hooks->commands[hooks->n++] = optarg;
	return true;
}

static bool take_number(uint64_t *ret_number)
{
	char *end;

	*ret_number = strtoull(optarg, &end, 10);
	return end != optarg && *end == '\0';
}

static bool take_kind(enum choose_kind *ret_kind)
{
	*ret_kind = strcmp(optarg, "files") == 0 ? CHOOSE_FILES : CHOOSE_TREE;
	return *ret_kind == CHOOSE_FILES || strcmp(optarg, "tree") == 0;
}

static bool take_hook(struct run_options *run, int option)
{
	switch (option) {
	case OPT_FRESH:
		run->fresh = optarg;
		return true;
	case OPT_REMOUNT:
		return add_hook(&run->remount);
	case OPT_REMOUNT_EVERY:
		return take_number(&run->remount.every);
	case OPT_REOPEN:
		return add_hook(&run->reopen);
	case OPT_REOPEN_EVERY:
		return take_number(&run->reopen.every);
	case OPT_DISTURB:
		return add_hook(&run->disturb);
	case OPT_DISTURB_EVERY:
		return take_number(&run->disturb.every);
	default:
		return false;
	}
}

static bool take_option(struct options *o, int option)
{
	uint64_t seconds;

	switch (option) {
	case OPT_KIND:
		return take_kind(&o->run.kind);
	case OPT_SEED:
		return take_number(&o->run.seed);
	case OPT_STEPS:
		return take_number(&o->run.steps);
	case OPT_TREE_STEPS:
		return take_number(&o->run.tree_steps) && o->run.tree_steps;
	case OPT_COMPARE_EVERY:
		return take_number(&o->run.compare_every);
	case OPT_MAX_FILE:
		return take_number(&o->run.max_file);
	case OPT_BASE:
		o->run.base = optarg;
		return true;
	case OPT_REPLAY:
		o->replay = optarg;
		return true;
	case OPT_SAVE:
		o->save = optarg;
		return true;
	case OPT_SHRINK_SECONDS:
		if (!take_number(&seconds) || seconds > 1000000)
			return false;
		o->shrink_seconds = (unsigned)seconds;
		return true;
	case OPT_MISTAKE:
		o->run.ops = ops_with(optarg);
		return o->run.ops;
	default:
		return take_hook(&o->run, option);
	}
}

/* 0, or the exit code. */
static int take_options(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >=
	       0) {
		if (option == 'h') {
			fputs(usage_text, stdout);
			exit(0);
		}
		if (!take_option(o, option)) {
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind != argc - 1) {
		fputs(usage_text, stderr);
		return 2;
	}
	o->run.dir = argv[optind];
	return 0;
}

/* --- running --- */

static void print_failure(const struct run *r, const struct step *s)
{
	char line[4096];

	step_format(s, line, sizeof(line));
	fprintf(stderr, "random: %s: %s\n", line,
		r->play.failed ? r->play.failure : "no difference");
}

static void print_script(const struct options *o, const struct script *script)
{
	_cleanup_fclose_ FILE *f = NULL;

	if (o->save)
		f = fopen(o->save, "we");
	if (o->save && !f)
		fprintf(stderr, "random: %s: %s\n", o->save, strerror(errno));
	if (f)
		script_write(script, f);
	if (!f || script->n <= 100)
		script_write(script, stdout);
	fflush(stdout);
}

static int replay(const struct options *o, struct run *r)
{
	struct script script = { 0 };
	enum run_found found;
	size_t at = 0;

	if (script_read(o->replay, &script) < 0)
		return 2;
	found = run_replay(r, &script, &at);
	if (found == RUN_DIFFERENT && script.n > 0)
		print_failure(r, &script.steps[at]);
	script_release(&script);
	return (int)found;
}

static int run_and_shrink(const struct options *o, struct run *r)
{
	const struct script *script = &r->script;
	uint64_t seed = 0;
	enum run_found found = run_random(r, &seed);

	if (found != RUN_DIFFERENT)
		return (int)found;
	fprintf(stderr, "random: seed %" PRIu64 ", step %zu\n", seed,
		script->n);
	if (script->n == 0) {
		fprintf(stderr, "random: fresh tree: %s\n", r->play.failure);
		return 1;
	}
	print_failure(r, &script->steps[script->n - 1]);
	if (o->run.fresh && o->shrink_seconds) {
		if (shrink(r, &r->script, o->shrink_seconds))
			print_failure(r, &script->steps[script->n - 1]);
		else
			fprintf(stderr, "random: a replay does not fail\n");
	}
	print_script(o, script);
	return 1;
}

int main(int argc, char **argv)
{
	struct options o = { .run = { .steps = 10000,
				      .tree_steps = 20000,
				      .compare_every = 5000,
				      .remount = { .every = 5000 },
				      .reopen = { .every = 5000 },
				      .disturb = { .every = 1000 },
				      .ops = &mount_ops },
			     .shrink_seconds = 300 };
	struct run r;
	int code;

	if (getrandom(&o.run.seed, 4, 0) != 4)
		o.run.seed = 1;
	code = take_options(&o, argc, argv);
	if (code)
		return code;
	umask(0);
	run_init(&r, &o.run);
	code = o.replay ? replay(&o, &r) : run_and_shrink(&o, &r);
	run_release(&r);
	if (code == 0)
		printf("random: no difference\n");
	return code;
}
