/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function for each shell. bash gets lists of words by command; zsh and fish
 * get a description for each option.
 */
#include "completion.h"

#include <errno.h>
#include <string.h>

const char *const completion_shells[] = { "bash", "zsh", "fish", NULL };

#define MADE_BY "# Made by larder completion from the table of its options.\n"

/* Calls `each` for every option of a command. */
static void each_option(FILE *f, const struct command *cmd,
			void (*each)(FILE *f, const struct command *cmd,
				     const struct option_def *def))
{
	const struct option_def *table;
	const char *title;

	for (unsigned t = 0; (table = options_table(cmd, t, &title)); t++)
		for (; table->name; table++)
			each(f, cmd, table);
}

static bool is_valued(const struct option_def *def)
{
	return def->kind != OPTION_FLAG;
}

/* Text between single quotes; `quote` is what a quote becomes, and what is in
 * `special` gets a backslash. */
static void quoted(FILE *f, const char *text, const char *quote,
		   const char *special)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(quote, f);
		else if (strchr(special, *text))
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

static void command_names(FILE *f, const struct command *const *commands)
{
	for (; *commands; commands++)
		fprintf(f, "%s ", (*commands)->name);
	fputs("help", f);
}

static void words(FILE *f, const char *const *list)
{
	for (unsigned i = 0; list && list[i]; i++)
		fprintf(f, "%s%s", i ? " " : "", list[i]);
}

/* ---- bash */

static void bash_option(FILE *f, const struct command *cmd,
			const struct option_def *def)
{
	(void)cmd;
	fprintf(f, " --%s", def->name);
	if (def->letter)
		fprintf(f, " -%c", def->letter);
}

static void bash_valued(FILE *f, const struct command *cmd,
			const struct option_def *def)
{
	(void)cmd;
	if (!is_valued(def))
		return;
	fprintf(f, " --%s", def->name);
	if (def->letter)
		fprintf(f, " -%c", def->letter);
}

static void bash_command(FILE *f, const struct command *cmd)
{
	fprintf(f, "\t%s)\n\t\toptions='", cmd->name);
	each_option(f, cmd, bash_option);
	fputs("'\n\t\tvalued='", f);
	each_option(f, cmd, bash_valued);
	fputs("'\n\t\toperands='", f);
	words(f, cmd->words);
	fputs("' ;;\n", f);
}

static void bash(FILE *f, const struct command *const *commands)
{
	fputs("# bash completion for larder\n" MADE_BY "_larder() {\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} word at\n"
	      "\tlocal previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal options= valued= operands=\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      f);
	command_names(f, commands);
	fputs(" --help --version' -- \"$current\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\t# What stands behind -- is a command of its own.\n"
	      "\tfor ((at = 2; at < COMP_CWORD; at++)); do\n"
	      "\t\t[ \"${COMP_WORDS[at]}\" != -- ] || return\n"
	      "\tdone\n"
	      "\tcase ${COMP_WORDS[1]} in\n",
	      f);
	for (const struct command *const *c = commands; *c; c++)
		bash_command(f, *c);
	fputs("\thelp)\n\t\toperands='", f);
	command_names(f, commands);
	fputs("' ;;\n"
	      "\tesac\n"
	      "\tfor word in $valued; do\n"
	      "\t\t[ \"$previous\" != \"$word\" ] || return\n"
	      "\tdone\n"
	      "\tcase $current in\n"
	      "\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")) ;;\n"
	      "\t*) COMPREPLY=($(compgen -W \"$operands\" -- \"$current\")) ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -o bashdefault -o default -F _larder larder\n",
	      f);
}

/* ---- zsh */

/* '(-o --output)'{-o,--output}'[help]:FILE:_files' */
static void zsh_option(FILE *f, const struct command *cmd,
		       const struct option_def *def)
{
	bool again = def->kind == OPTION_LIST;

	(void)cmd;
	fputs(" \\\n\t\t\t", f);
	if (def->letter)
		fprintf(f, "'%s'{-%c,--%s}'", again ? "*" : "", def->letter,
			def->name);
	else
		fprintf(f, "'%s--%s", again ? "*" : "", def->name);
	fputc('[', f);
	quoted(f, def->help, "'\\''", "[]\\");
	fputc(']', f);
	if (is_valued(def)) {
		fputc(':', f);
		quoted(f, def->value, "'\\''", ":\\");
		fputs(":_files", f);
	}
	fputc('\'', f);
}

static void zsh_operands(FILE *f, const struct command *cmd)
{
	if (cmd->words) {
		fputs(" \\\n\t\t\t'1:what:(", f);
		words(f, cmd->words);
		fputs(")'", f);
	}
	fputs(" \\\n\t\t\t'*:file:_files'", f);
}

static void zsh(FILE *f, const struct command *const *commands)
{
	fputs("#compdef larder\n" MADE_BY "_larder() {\n"
	      "\tlocal context state line\n"
	      "\tlocal -a commands\n"
	      "\tcommands=(\n",
	      f);
	for (const struct command *const *c = commands; *c; c++) {
		fprintf(f, "\t\t'%s:", (*c)->name);
		quoted(f, (*c)->summary, "'\\''", ":\\");
		fputs("'\n", f);
	}
	fputs("\t\t'help:explain a command'\n"
	      "\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe command commands\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $words[1] in\n",
	      f);
	for (const struct command *const *c = commands; *c; c++) {
		fprintf(f, "\t%s)\n\t\t_arguments -S", (*c)->name);
		each_option(f, *c, zsh_option);
		zsh_operands(f, *c);
		fputs(" ;;\n", f);
	}
	fputs("\thelp)\n\t\t_describe command commands ;;\n"
	      "\tesac\n"
	      "}\n"
	      "_larder \"$@\"\n",
	      f);
}

/* ---- fish */

static void fish_option(FILE *f, const struct command *cmd,
			const struct option_def *def)
{
	fprintf(f,
		"complete -c larder -n '__fish_seen_subcommand_from %s' "
		"-l %s",
		cmd->name, def->name);
	if (def->letter)
		fprintf(f, " -s %c", def->letter);
	if (is_valued(def))
		fputs(" -r", f);
	fputs(" -d '", f);
	quoted(f, def->help, "\\'", "\\");
	fputs("'\n", f);
}

static void fish(FILE *f, const struct command *const *commands)
{
	fputs("# fish completion for larder\n" MADE_BY, f);
	for (const struct command *const *c = commands; *c; c++) {
		fprintf(f,
			"complete -c larder -f -n __fish_use_subcommand "
			"-a %s -d '",
			(*c)->name);
		quoted(f, (*c)->summary, "\\'", "\\");
		fputs("'\n", f);
	}
	fputs("complete -c larder -f -n __fish_use_subcommand -a help "
	      "-d 'explain a command'\n"
	      "complete -c larder -f -n '__fish_seen_subcommand_from help' "
	      "-a '",
	      f);
	command_names(f, commands);
	fputs("'\n", f);
	for (const struct command *const *c = commands; *c; c++) {
		if ((*c)->words) {
			fprintf(f,
				"complete -c larder -f -n "
				"'__fish_seen_subcommand_from %s' -a '",
				(*c)->name);
			words(f, (*c)->words);
			fputs("'\n", f);
		}
		each_option(f, *c, fish_option);
	}
}

int completion_print(FILE *f, const char *shell,
		     const struct command *const *commands)
{
	static void (*const print[])(
		FILE * f, const struct command *const *commands) = { bash, zsh,
								     fish };

	for (unsigned i = 0; completion_shells[i]; i++)
		if (strcmp(shell, completion_shells[i]) == 0) {
			print[i](f, commands);
			return 0;
		}
	return -EINVAL;
}
