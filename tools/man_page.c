/* SPDX-License-Identifier: Apache-2.0 */
/* Pages in man(7)'s macros, which every formatter knows. */
#include "man_page.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* A line of text; none may look like a macro. */
static void put_text(FILE *f, const char *text, size_t len)
{
	if (len > 0 && (*text == '.' || *text == '\''))
		fputs("\\&", f);
	for (; len > 0; text++, len--) {
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else
			fputc(*text, f);
	}
}

static void put_upper(FILE *f, const char *text)
{
	for (; *text; text++)
		fputc(toupper((unsigned char)*text), f);
}

static void put_synopsis(FILE *f, const struct command *cmd)
{
	const char *text = cmd->synopsis;

	fputs(".SH SYNOPSIS\n.nh\n", f);
	do {
		size_t len = strcspn(text, "\n");

		fprintf(f, ".B larder %s\n", cmd->name);
		if (len > 0) {
			put_text(f, text, len);
			fputs("\n", f);
		}
		text += len + (text[len] == '\n');
		if (*text)
			fputs(".br\n", f);
	} while (*text);
	fputs(".hy\n", f);
}

/* Lines that begin with a blank stay as they are, as in the help. */
static void put_paragraphs(FILE *f, const char *text)
{
	bool literal = false;

	while (*text) {
		size_t len = strcspn(text, "\n");

		if ((*text == ' ') != literal && len > 0) {
			literal = !literal;
			fputs(literal ? ".nf\n" : ".fi\n", f);
		}
		if (len == 0)
			fputs(".PP", f);
		put_text(f, text, len);
		fputc('\n', f);
		text += len + (text[len] == '\n');
	}
	if (literal)
		fputs(".fi\n", f);
}

static void put_option(FILE *f, const struct option_def *def)
{
	fputs(".TP\n", f);
	if (def->letter)
		fprintf(f, "\\fB\\-%c\\fR, ", def->letter);
	fputs("\\fB\\-\\-", f);
	put_text(f, def->name, strlen(def->name));
	fputs("\\fR", f);
	if (def->value) {
		fputs(" \\fI", f);
		put_text(f, def->value, strlen(def->value));
		fputs("\\fR", f);
	}
	fputc('\n', f);
	put_text(f, def->help, strlen(def->help));
	fputc('\n', f);
}

void man_page_print(FILE *f, const struct command *cmd)
{
	const struct option_def *table;
	const char *title;

	fputs(".\\\" Made by larder help --man from the table of its options.\n"
	      ".TH LARDER\\-",
	      f);
	put_upper(f, cmd->name);
	fprintf(f,
		" 1 \"\" \"larder " PACKAGE_VERSION "\"\n"
		".SH NAME\nlarder\\-%s \\- ",
		cmd->name);
	put_text(f, cmd->summary, strlen(cmd->summary));
	fputc('\n', f);
	put_synopsis(f, cmd);
	fputs(".SH DESCRIPTION\n", f);
	put_paragraphs(f, cmd->description);
	if (cmd->manual) {
		fputs(".PP\n", f);
		put_paragraphs(f, cmd->manual);
	}
	for (unsigned t = 0; (table = options_table(cmd, t, &title)); t++) {
		if (!table->name)
			continue;
		fputs(".SH ", f);
		fputc('"', f);
		put_upper(f, title);
		fputs("\"\n", f);
		for (; table->name; table++)
			put_option(f, table);
	}
	fputs(".SH \"EXIT STATUS\"\nAs of\n.BR larder (1).\n"
	      ".SH \"SEE ALSO\"\n.BR larder (1),\n.BR larder\\-config (5),\n"
	      ".BR larder (7)\n",
	      f);
}
