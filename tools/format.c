/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting for people. Sizes are decimal, as disks and networks are sold
 * and as ls --si prints them. The locale is not asked: scripts that parse
 * text anyway should not break by it. No state.
 */
#include "format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/rpc.h"
#include "store/base/cleanup.h"
#include "store/digest.h"
#include "store/key.h"

const char *format_count(uint64_t n, char *ret_text)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *out = ret_text;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return ret_text;
}

const char *format_files(uint64_t n, char *ret_text)
{
	format_count(n, ret_text);
	strcat(ret_text, n == 1 ? " file" : " files");
	return ret_text;
}

const char *format_bytes(uint64_t n, char *ret_text)
{
	static const char units[][3] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)n;
	size_t unit = 0;

	if (n < 1000) {
		snprintf(ret_text, FORMAT_MAX, "%" PRIu64 " B", n);
		return ret_text;
	}
	for (v /= 1000; v >= 999.5 && unit < 5; v /= 1000)
		unit++;
	/* Three digits that mean something. */
	snprintf(ret_text, FORMAT_MAX, "%.*f %s", v < 99.95, v, units[unit]);
	return ret_text;
}

const char *format_ms(uint64_t ms, char *ret_text)
{
	if (ms < 1000)
		snprintf(ret_text, FORMAT_MAX, "%" PRIu64 " ms", ms);
	else if (ms < 60000)
		snprintf(ret_text, FORMAT_MAX, "%.1f s", (double)ms / 1000);
	else
		snprintf(ret_text, FORMAT_MAX, "%" PRIu64 " min %" PRIu64 " s",
			 ms / 60000, ms / 1000 % 60);
	return ret_text;
}

const char *format_us(uint64_t us, char *ret_text)
{
	if (us >= 1000000)
		return format_ms(us / 1000, ret_text);
	if (us < 1000)
		snprintf(ret_text, FORMAT_MAX, "%" PRIu64 " us", us);
	else
		snprintf(ret_text, FORMAT_MAX, "%.*f ms", us < 99950,
			 (double)us / 1000);
	return ret_text;
}

const char *format_ago(int64_t then_ns, int64_t now_ns, char *ret_text)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "min" } };
	int64_t s = (now_ns - then_ns) / 1000000000;

	snprintf(ret_text, FORMAT_MAX, "just now");
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		int64_t n = s / units[i].seconds;

		if (n < 1)
			continue;
		snprintf(ret_text, FORMAT_MAX, "%" PRId64 " %s%s ago", n,
			 units[i].name,
			 n > 1 && units[i].seconds != 60 ? "s" : "");
		break;
	}
	return ret_text;
}

const char *format_key(const char *key, char *ret_text)
{
	struct digest d;
	int len = digest_parse(key, &d) == 0 ? 12 : FORMAT_MAX - 1;

	snprintf(ret_text, FORMAT_MAX, "%.*s", len, key);
	return ret_text;
}

const char *format_entry(const char *entry, char *ret_text)
{
	size_t name = strcspn(entry, "@");
	char key[FORMAT_MAX];

	if (entry[name])
		format_key(entry + name + 1, key);
	else
		key[0] = '\0';
	snprintf(ret_text, FORMAT_MAX, "%.*s%s%.*s",
		 name < KEY_MAX ? (int)name : KEY_MAX, entry,
		 entry[name] ? "@" : "", KEY_MAX, key);
	return ret_text;
}

/* ---- names */

static bool needs_quotes(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f || s[i] == '"' ||
		    s[i] == '\\')
			return true;
	return false;
}

static void print_quoted(FILE *f, const char *s, size_t len)
{
	fputc('"', f);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c == '\t')
			fputs("\\t", f);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\%03o", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

void format_name(FILE *f, const json_t *name)
{
	size_t len = 0;
	_cleanup_free_ char *bytes = rpc_bytes(name, &len);

	if (!bytes)
		return;
	if (needs_quotes(bytes, len))
		print_quoted(f, bytes, len);
	else
		fwrite(bytes, 1, len, f);
}

char *format_name_text(const json_t *name)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f;

	if (!json_is_string(name))
		return NULL;
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	format_name(f, name);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- tables */

struct table {
	const char *columns; /* borrowed */
	char **cells;
	size_t count, cap;
};

struct table *table_new(const char *columns)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t)
		t->columns = columns;
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void table_add(struct table *t, const char *cell)
{
	if (!t)
		return;
	if (t->count == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		char **cells = reallocarray(t->cells, cap, sizeof(*cells));

		if (!cells)
			return;
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->count++] = strdup(cell);
}

/* Characters, not bytes. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xC0) != 0x80;
	return n;
}

static void print_cell(FILE *f, const char *cell, char align, size_t width,
		       bool last)
{
	int pad = (int)(width - text_width(cell));

	if (align == 'r')
		fprintf(f, "%*s%s", pad, "", cell);
	else
		fprintf(f, "%s%*s", cell, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", f);
}

void table_print(struct table *t, FILE *f)
{
	size_t columns = t ? strlen(t->columns) : 0;
	size_t width[16] = { 0 };

	if (columns == 0 || columns > 16)
		return;
	for (size_t i = 0; i < t->count; i++) {
		size_t w = t->cells[i] ? text_width(t->cells[i]) : 0;

		if (w > width[i % columns])
			width[i % columns] = w;
	}
	for (size_t i = 0; i < t->count; i++)
		print_cell(f, t->cells[i] ? t->cells[i] : "",
			   t->columns[i % columns], width[i % columns],
			   i % columns == columns - 1);
}
