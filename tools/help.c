/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints help: synopsis, description and options of a command, wrapped at
 * word boundaries. No state.
 */
#include "help.h"

#include <string.h>

#define WIDTH 79
#define OPTION_COLUMN 24

/* Prints `text` from column `column` on, later lines indented by `indent`. */
static void wrap(FILE *f, const char *text, size_t column, size_t indent)
{
	while (*text) {
		size_t word = strcspn(text, " ");

		if (column > indent && column + word > WIDTH) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		}
		fprintf(f, "%.*s", (int)word, text);
		column += word;
		text += word;
		if (*text == ' ' && column < WIDTH && text[1]) {
			/* A blank that would end a line is left out. */
			size_t next = strcspn(text + 1, " ");

			if (column + 1 + next <= WIDTH) {
				fputc(' ', f);
				column++;
			} else {
				column = WIDTH;
			}
		}
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

/* Lines that begin with a blank are printed as they are. */
static void paragraphs(FILE *f, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		char line[1024];

		if (*text == ' ' || len == 0 || len >= sizeof(line)) {
			fprintf(f, "%.*s\n", (int)len, text);
		} else {
			memcpy(line, text, len);
			line[len] = '\0';
			wrap(f, line, 0, 0);
		}
		text += len + (text[len] == '\n');
	}
}

static void synopsis(FILE *f, const struct command *cmd)
{
	const char *text = cmd->synopsis, *lead = "usage:";

	do {
		size_t len = strcspn(text, "\n");
		char line[512];
		int n = fprintf(f, "%-6s larder %s ", lead, cmd->name);

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		wrap(f, line, (size_t)n, (size_t)n);
		lead = "";
		text += len + (text[len] == '\n');
	} while (*text);
}

static void option(FILE *f, const struct option_def *def)
{
	char letter[8] = "    ";
	int n;

	if (def->letter)
		snprintf(letter, sizeof(letter), "-%c, ", def->letter);
	n = fprintf(f, "  %s--%s%s%s", letter, def->name, def->value ? " " : "",
		    def->value ? def->value : "");
	if (n >= OPTION_COLUMN - 1) {
		fputc('\n', f);
		n = 0;
	}
	fprintf(f, "%*s", OPTION_COLUMN - n, "");
	wrap(f, def->help, OPTION_COLUMN, OPTION_COLUMN);
}

void help_command(FILE *f, const struct command *cmd)
{
	const struct option_def *table;
	const char *title;

	synopsis(f, cmd);
	fputc('\n', f);
	paragraphs(f, cmd->description);
	for (unsigned t = 0; (table = options_table(cmd, t, &title)); t++) {
		if (!table->name)
			continue;
		fprintf(f, "\n%s:\n", title);
		for (; table->name; table++)
			option(f, table);
	}
}

void help_overview(FILE *f, const struct command *const *commands)
{
	fputs("usage: larder COMMAND [OPTION]... [ARGUMENT]...\n"
	      "       larder help COMMAND\n"
	      "       larder --version\n"
	      "\n"
	      "Larder keeps build outputs as cache entries and mounts them "
	      "instead of\n"
	      "copying them. The usual way in:\n"
	      "\n"
	      "  larder run --path node_modules --key-file package-lock.json "
	      "-- npm ci\n"
	      "\n"
	      "Commands:\n",
	      f);
	for (; *commands; commands++)
		fprintf(f, "  %-12s %s\n", (*commands)->name,
			(*commands)->summary);
	fputs("\n"
	      "ENTRY is NAME@KEY (six or more characters of the key will do "
	      "where they are\n"
	      "unambiguous), NAME@latest, or NAME@branch:BRANCH.\n"
	      "\n"
	      "Exit codes: 0 done, 1 error, 2 usage, 3 no such entry, 5 "
	      "refused by the mode,\n"
	      "7 verification failed, 8 busy, 9 inputs changed during the "
	      "build. run passes\n"
	      "its command's own code on.\n",
	      f);
}
