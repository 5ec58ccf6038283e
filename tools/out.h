/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command says: results on standard output, as text or as one JSON
 * object, and errors, warnings and notes on standard error. Owns the choice
 * between text and JSON, quiet and verbose, colours or none. One thread.
 */
#ifndef LARDER_TOOLS_OUT_H
#define LARDER_TOOLS_OUT_H

#include <jansson.h>
#include <stdbool.h>

#include "options.h"

#define OUT_SCHEMA "larder/1"

/* Why something did not work, not yet told. */
struct failure {
	int code;	    /* negative errno */
	int exit;	    /* the command's exit code for it */
	char message[1024]; /* one sentence */
};

void out_init(const struct args *args);
bool out_is_json(void);

/* One line on standard error, and with --json an object on standard output.
 * Returns the exit code. */
int out_error(int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int out_failure(const struct failure *f);

/* Only the line; the object is the caller's matter. */
int out_failure_line(const struct failure *f);
json_t *out_failure_json(const struct failure *f);

/* Fills a failure and returns its code, for `return failure_set(...)`. */
int failure_set(struct failure *ret_failure, int code, int exit_code,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void out_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Not with -q. */
void out_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Adds the schema and prints `object`, which is taken. 0 or EXIT_ERROR. */
int out_json(json_t *object);

/* Whether standard output took everything: the exit code, or EXIT_ERROR. */
int out_finish(int exit_code);

/* Escape sequences, or "" where no colours are wanted. */
enum out_colour { OUT_PLAIN, OUT_RED, OUT_GREEN, OUT_YELLOW, OUT_BLUE };
const char *out_colour(enum out_colour colour);

/* A field of an object, with a default for what is absent or null. */
const char *field_text(const json_t *object, const char *name);
json_int_t field_number(const json_t *object, const char *name);
bool field_flag(const json_t *object, const char *name);

static inline void cleanup_json(json_t **object)
{
	json_decref(*object);
}

#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

#endif
