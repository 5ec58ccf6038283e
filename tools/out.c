/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of the command. Control bytes in messages are replaced, since names
 * from outside are in them. Anything drawn by progress.c is wiped before a
 * line is written over it.
 */
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "progress.h"

static bool as_json, quiet, colours; /* since out_init() */

void out_init(const struct args *args)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	as_json = args->json;
	quiet = args->quiet;
	colours = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term &&
		  strcmp(term, "dumb") != 0;
	progress_init(!quiet && !as_json);
}

bool out_is_json(void)
{
	return as_json;
}

const char *out_colour(enum out_colour colour)
{
	static const char *const codes[] = { "\033[0m", "\033[31m", "\033[32m",
					     "\033[33m", "\033[34m" };

	return colours ? codes[colour] : "";
}

/* ---- messages */

static void write_line(const char *kind, const char *text)
{
	char line[1200];
	int n = snprintf(line, sizeof(line) - 1, "larder: %s%s", kind, text);
	size_t len = (size_t)n < sizeof(line) - 1 ? (size_t)n :
						    sizeof(line) - 2;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	progress_clear();
	fflush(stdout); /* keeps the order where both go to one file */
	fwrite(line, 1, len, stderr);
}

int failure_set(struct failure *ret_failure, int code, int exit_code,
		const char *fmt, ...)
{
	va_list ap;

	ret_failure->code = code;
	ret_failure->exit = exit_code;
	va_start(ap, fmt);
	vsnprintf(ret_failure->message, sizeof(ret_failure->message), fmt, ap);
	va_end(ap);
	return code;
}

static void print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2));
	fputc('\n', stdout);
}

/* A sentence cut off in the middle of a character is no JSON string. */
static json_t *message_json(const char *text)
{
	size_t len = strlen(text);
	json_t *s = NULL;

	for (unsigned i = 0; !s && i < 4 && i <= len; i++)
		s = json_stringn(text, len - i);
	return s ? s : json_string("the message is no text");
}

json_t *out_failure_json(const struct failure *f)
{
	return json_pack("{s:i, s:o, s:i}", "code", f->code, "message",
			 message_json(f->message), "exit", f->exit);
}

int out_failure_line(const struct failure *f)
{
	write_line("", f->message);
	return f->exit;
}

int out_failure(const struct failure *f)
{
	if (as_json) {
		_cleanup_json_ json_t *o = json_pack("{s:s, s:o}", "schema",
						     OUT_SCHEMA, "error",
						     out_failure_json(f));

		print_json(o);
	}
	return out_failure_line(f);
}

int out_error(int exit_code, const char *fmt, ...)
{
	struct failure f = { .code = -EINVAL, .exit = exit_code };
	va_list ap;

	if (exit_code != EXIT_USAGE)
		f.code = -EIO;
	va_start(ap, fmt);
	vsnprintf(f.message, sizeof(f.message), fmt, ap);
	va_end(ap);
	return out_failure(&f);
}

void out_warning(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	write_line("warning: ", text);
}

void out_note(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	write_line("", text);
}

/* ---- results */

int out_json(json_t *object)
{
	_cleanup_json_ json_t *o = json_pack("{s:s}", "schema", OUT_SCHEMA);
	_cleanup_json_ json_t *taken = object;

	if (!o || !taken || json_object_update(o, taken) < 0)
		return out_error(EXIT_ERROR, "out of memory");
	print_json(o);
	return 0;
}

int out_finish(int exit_code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return exit_code;
	if (errno != EPIPE)
		fprintf(stderr, "larder: cannot write to standard output: %s\n",
			strerror(errno));
	return exit_code ? exit_code : EXIT_ERROR;
}

/* ---- fields */

const char *field_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

json_int_t field_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

bool field_flag(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}
