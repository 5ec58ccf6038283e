/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, times and names as people read them. Every function writes into
 * `ret_text`, which has room for FORMAT_MAX bytes, and returns it.
 */
#ifndef LARDER_TOOLS_FORMAT_H
#define LARDER_TOOLS_FORMAT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#define FORMAT_MAX 288 /* an entry: two keys and more */

const char *format_count(uint64_t n, char *ret_text); /* 62,285 */
const char *format_bytes(uint64_t n, char *ret_text); /* 12.3 MB (10^6) */
const char *format_ms(uint64_t ms, char *ret_text);   /* 12 ms, 1.2 s, 3 min */
const char *format_us(uint64_t us,
		      char *ret_text); /* 35 us, 1.2 ms, as above */
const char *format_ago(int64_t then_ns, int64_t now_ns, char *ret_text);

/* "1,234 files" and "1 file". */
const char *format_files(uint64_t n, char *ret_text);

/* A fingerprint's first twelve digits; a key of the user's own whole. */
const char *format_key(const char *key, char *ret_text);

/* NAME@KEY with the key as above. */
const char *format_entry(const char *entry, char *ret_text);

/* Prints a name given as JSON text with its own bytes; quoted as C strings
 * are where there is a control character, a quote or a backslash in it. */
void format_name(FILE *f, const json_t *name);

/* The same as a string, which the caller frees; NULL for what is no name, and
 * where memory is short. */
char *format_name_text(const json_t *name);

/* Text in columns. A cell is copied; `columns` letters say 'l' or 'r'. */
struct table;

struct table *table_new(const char *columns);
void table_add(struct table *t, const char *cell); /* left to right */
void table_print(struct table *t, FILE *f);
void table_free(struct table *t);

static inline void cleanup_table(struct table **t)
{
	table_free(*t);
}

#define _cleanup_table_ __attribute__((cleanup(cleanup_table)))

#endif
