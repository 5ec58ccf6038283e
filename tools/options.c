/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of options. It is not getopt_long(), because that takes no
 * table with help texts, accepts abbreviations that a later version would
 * make ambiguous, and names no nearest option. Owns only the lists in struct
 * args.
 */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "out.h"
#include "store/base/log.h"
#include "store/entry.h"

#define ARG(field) offsetof(struct args, field)

const struct option_def options_common[] = {
	{ "namespace", 0, OPTION_VALUE, "NAME", ARG(namespace),
	  "Entries of this namespace (default: default)." },
	{ "tenant", 0, OPTION_VALUE, "NAME", ARG(tenant),
	  "Entries of this tenant (default: local)." },
	{ "tiers", 0, OPTION_VALUE, "TIER:ACCESS,...", ARG(tiers),
	  "The tiers to use: names of the configuration, local, or URLs; "
	  "ACCESS is r, w or rw." },
	{ "log-level", 0, OPTION_VALUE, "LEVEL", ARG(log_level),
	  "What is logged by this command, and by a daemon that it starts: "
	  "error, warning, info or debug." },
	{ "json", 0, OPTION_FLAG, NULL, ARG(json),
	  "Print one JSON object; numbers are exact, sizes are bytes." },
	{ "quiet", 'q', OPTION_FLAG, NULL, ARG(quiet),
	  "Print no progress and no notes, only results, warnings and "
	  "errors." },
	{ "verbose", 'v', OPTION_FLAG, NULL, ARG(verbose), "Print more." },
	{ "help", 'h', OPTION_FLAG, NULL, ARG(help), "Print this help." },
	OPTION_END
};

const struct option_def *options_table(const struct command *cmd,
				       unsigned index, const char **ret_title)
{
	if (index == 0) {
		*ret_title = "Options";
		return cmd->options;
	}
	if (index == 1 && cmd->key_options) {
		*ret_title = "Key options (all but --key make a fingerprint, "
			     "and can be repeated)";
		return options_key;
	}
	if (index == (cmd->key_options ? 2 : 1)) {
		*ret_title = "Options of all commands";
		return options_common;
	}
	return NULL;
}

/* ---- nearest names */

#define WORD_MAX 32

/* Levenshtein's distance of words shorter than WORD_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], len = strlen(b);

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t best = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[len];
}

const char *options_nearest(const char *word,
			    const char *(*next)(const void *arg, size_t index),
			    const void *arg)
{
	size_t best = strlen(word) / 3 + 2; /* more is another word */
	const char *found = NULL, *name;

	if (strlen(word) >= WORD_MAX)
		return NULL;
	for (size_t i = 0; (name = next(arg, i)); i++) {
		size_t d = strlen(name) < WORD_MAX ? distance(word, name) :
						     best;

		if (d < best && d < strlen(name)) {
			best = d;
			found = name;
		}
	}
	return found;
}

static const char *option_name(const void *arg, size_t index)
{
	const struct option_def *table;
	const char *title;

	for (unsigned t = 0; (table = options_table(arg, t, &title)); t++)
		for (; table->name; table++)
			if (index-- == 0)
				return table->name;
	return NULL;
}

static int unknown_option(const struct command *cmd, const char *name)
{
	const char *nearest = options_nearest(name, option_name, cmd);

	if (nearest)
		return out_error(EXIT_USAGE,
				 "%s has no option --%s; did you mean --%s?",
				 cmd->name, name, nearest);
	return out_error(EXIT_USAGE,
			 "%s has no option --%s; see `larder %s --help`",
			 cmd->name, name, cmd->name);
}

/* ---- parsing */

struct parser {
	const struct command *cmd;
	int argc, pos;
	char **argv;
	struct args *args;
};

static const struct option_def *find_option(const struct command *cmd,
					    const char *name, size_t len,
					    char letter)
{
	const struct option_def *table;
	const char *title;

	for (unsigned t = 0; (table = options_table(cmd, t, &title)); t++)
		for (; table->name; table++)
			if (letter ? table->letter == letter :
				     strlen(table->name) == len &&
					     !memcmp(table->name, name, len))
				return table;
	return NULL;
}

static int set_number(const struct option_def *def, const char *value,
		      unsigned *ret_number)
{
	bool seconds = def->kind == OPTION_SECONDS;
	unsigned max = seconds ? KEY_TIMEOUT_MAX_S : OPTION_COUNT_MAX;
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n < 1 || n > max)
		return out_error(EXIT_USAGE,
				 "--%s %s: give a number %sfrom 1 to %u",
				 def->name, value, seconds ? "of seconds " : "",
				 max);
	*ret_number = (unsigned)n;
	return 0;
}

static int set_option(struct parser *p, const struct option_def *def,
		      const char *value)
{
	void *field = (char *)p->args + def->offset;
	const char **text = field;

	switch (def->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_VALUE:
		if (*text && strcmp(*text, value) != 0)
			return out_error(EXIT_USAGE,
					 "--%s is given twice: %s and %s",
					 def->name, *text, value);
		*text = value;
		return 0;
	case OPTION_LIST:
		return strings_add(field, value) < 0 ?
			       out_error(EXIT_ERROR, "out of memory") :
			       0;
	case OPTION_SECONDS:
	case OPTION_COUNT:
		return set_number(def, value, field);
	}
	return 0;
}

/* Sets an option that needs a value: `value`, or else the next word. */
static int set_valued(struct parser *p, const struct option_def *def,
		      const char *value)
{
	if (!value) {
		if (p->pos >= p->argc)
			return out_error(EXIT_USAGE,
					 "--%s needs a value: --%s %s",
					 def->name, def->name, def->value);
		value = p->argv[p->pos++];
	}
	return set_option(p, def, value);
}

static int parse_long(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const char *value = word[len] ? word + len + 1 : NULL;
	const struct option_def *def = find_option(p->cmd, word, len, 0);
	char name[64];

	if (!def) {
		if (len >= sizeof(name))
			len = sizeof(name) - 1;
		memcpy(name, word, len);
		name[len] = '\0';
		return unknown_option(p->cmd, name);
	}
	if (def->kind != OPTION_FLAG)
		return set_valued(p, def, value);
	if (value)
		return out_error(EXIT_USAGE, "--%s takes no value", def->name);
	return set_option(p, def, NULL);
}

static int parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		const struct option_def *def =
			find_option(p->cmd, NULL, 0, *letters);
		int r;

		if (!def)
			return out_error(EXIT_USAGE,
					 "%s has no option -%c; see `larder %s "
					 "--help`",
					 p->cmd->name, *letters, p->cmd->name);
		if (def->kind != OPTION_FLAG)
			return set_valued(p, def,
					  letters[1] ? letters + 1 : NULL);
		r = set_option(p, def, NULL);
		if (r)
			return r;
	}
	return 0;
}

static int add_operand(struct parser *p, const char *word)
{
	p->args->operands[p->args->count++] = word;
	return 0;
}

static int parse_word(struct parser *p, const char *word)
{
	if (strncmp(word, "--", 2) == 0)
		return parse_long(p, word + 2);
	if (word[0] == '-' && word[1])
		return parse_letters(p, word + 1);
	if (p->cmd->takes_names)
		return strings_add(&p->args->names, word) < 0 ?
			       out_error(EXIT_ERROR, "out of memory") :
			       0;
	if (p->cmd->takes_command)
		return out_error(EXIT_USAGE,
				 "%s: put -- before the command: "
				 "larder %s ... -- %s ...",
				 word, p->cmd->name, word);
	return add_operand(p, word);
}

static int parse_words(struct parser *p)
{
	int r = 0;

	while (r == 0 && p->pos < p->argc && !p->args->help) {
		const char *word = p->argv[p->pos++];

		if (strcmp(word, "--") != 0) {
			r = parse_word(p, word);
			continue;
		}
		while (p->pos < p->argc)
			add_operand(p, p->argv[p->pos++]);
	}
	return r;
}

/* ---- what any command checks */

static int check_word(const char *option, const char *value)
{
	if (!value || key_is_valid(value))
		return 0;
	return out_error(EXIT_USAGE,
			 "%s %s: use at most %d of the characters A-Z a-z 0-9 "
			 ". _ -, the first of them a letter or a digit",
			 option, value, KEY_MAX);
}

static int check_level(const char *name)
{
	enum log_level level;

	if (!name || log_level_parse(name, &level) == 0)
		return 0;
	return out_error(EXIT_USAGE,
			 "--log-level %s: use error, warning, info or debug",
			 name);
}

static int check_branch(const char *branch)
{
	if (!branch ||
	    (strlen(branch) <= ENTRY_BRANCH_MAX && !strchr(branch, '\n')))
		return 0;
	return out_error(EXIT_USAGE,
			 "--branch: at most %d bytes and no newline, please",
			 ENTRY_BRANCH_MAX);
}

static int check_count(const struct command *cmd, const struct args *a)
{
	const char *what;

	if (a->count < cmd->operands_min)
		what = cmd->takes_command ? "the command is missing" :
					    "an argument is missing";
	else if (a->count > cmd->operands_max)
		what = "too many arguments";
	else
		return 0;
	return out_error(EXIT_USAGE, "%s: %s: larder %s %.*s", cmd->name, what,
			 cmd->name, (int)strcspn(cmd->synopsis, "\n"),
			 cmd->synopsis);
}

static int check_args(const struct command *cmd, const struct args *a)
{
	int r = check_word("--namespace", a->namespace);

	if (!r)
		r = check_word("--tenant", a->tenant);
	if (!r)
		r = check_word("--name", a->name);
	if (!r)
		r = check_word("--key", a->key.key);
	for (size_t i = 0; !r && i < a->restore_prefixes.count; i++)
		r = check_word("--restore-prefix",
			       a->restore_prefixes.items[i]);
	if (!r)
		r = check_level(a->log_level);
	if (!r)
		r = check_branch(a->branch);
	if (!r)
		r = key_options_check(&a->key);
	return r ? r : check_count(cmd, a);
}

/* Errors are to be told in JSON wherever --json stands. */
static bool asks_for_json(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

int options_parse(const struct command *cmd, int argc, char **argv,
		  struct args *ret_args)
{
	struct parser p = { cmd, argc, 0, argv, ret_args };
	int r;

	*ret_args = (struct args){ .json = asks_for_json(argc, argv) };
	out_init(ret_args);
	ret_args->operands =
		calloc((size_t)argc + 1, sizeof(*ret_args->operands));
	if (!ret_args->operands)
		return out_error(EXIT_ERROR, "out of memory");
	r = parse_words(&p);
	out_init(ret_args);
	if (r || ret_args->help)
		return r;
	return check_args(cmd, ret_args);
}

void args_release(struct args *args)
{
	key_options_release(&args->key);
	free(args->paths.items);
	free(args->files.items);
	free(args->restore_prefixes.items);
	free(args->presets.items);
	free(args->names.items);
	free(args->operands);
}
