/* SPDX-License-Identifier: Apache-2.0 */
/* Steps and scripts as text; see step.h. */
#include "step.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"

struct kind {
	const char *text, *operands;
};

#define STEP_ROW(name, text, operands) { text, operands },
static const struct kind kinds[] = { STEP_KINDS(STEP_ROW) };
#undef STEP_ROW

const char *step_name(enum step_kind kind)
{
	return kinds[kind].text;
}

static uint64_t *number(struct step *s, char operand)
{
	switch (operand) {
	case 'o':
		return &s->off;
	case 'p':
		return &s->off2;
	case 'l':
		return &s->len;
	default:
		return &s->seed;
	}
}

/* --- writing --- */

static size_t put_path(const char *path, char *buf, size_t size)
{
	size_t len = 0;

	if (*path == '\0')
		return (size_t)snprintf(buf, size, ".");
	for (; *path && len + 5 < size; path++) {
		const unsigned char c = (unsigned char)*path;

		if (isalnum(c) || strchr("./_-@+,=~", c))
			buf[len++] = (char)c;
		else
			len += (size_t)snprintf(buf + len, size - len,
						"\\x%02x", c);
	}
	buf[len] = '\0';
	return len;
}

void step_format(const struct step *s, char *buf, size_t size)
{
	struct step copy = *s;
	const char *operand;
	size_t len = (size_t)snprintf(buf, size, "%s", kinds[s->kind].text);

	for (operand = kinds[s->kind].operands; *operand && len + 24 < size;
	     operand++) {
		buf[len++] = ' ';
		if (*operand == 'a' || *operand == 'b')
			len += put_path(*operand == 'a' ? s->a : s->b,
					buf + len, size - len);
		else if (*operand == 'm')
			len += (size_t)snprintf(buf + len, size - len, "%04o",
						s->mode);
		else
			len += (size_t)snprintf(buf + len, size - len,
						"%" PRIu64,
						*number(&copy, *operand));
	}
}

/* --- reading --- */

static char *take_path(const char *word)
{
	char *path = malloc(strlen(word) + 1), *to = path;
	char digits[3] = "";

	if (!path)
		abort();
	if (strcmp(word, ".") == 0)
		word++;
	while (*word) {
		if (word[0] == '\\' && word[1] == 'x' &&
		    isxdigit((unsigned char)word[2]) &&
		    isxdigit((unsigned char)word[3])) {
			memcpy(digits, word + 2, 2);
			*to++ = (char)strtoul(digits, NULL, 16);
			word += 4;
		} else {
			*to++ = *word++;
		}
	}
	*to = '\0';
	return path;
}

static int take_operand(struct step *s, char operand, const char *word)
{
	char *end = NULL;
	uint64_t value;

	if (!word)
		return -EINVAL;
	if (operand == 'a' || operand == 'b') {
		*(operand == 'a' ? &s->a : &s->b) = take_path(word);
		return 0;
	}
	value = strtoull(word, &end, operand == 'm' ? 8 : 10);
	if (*end)
		return -EINVAL;
	if (operand == 'm')
		s->mode = (uint32_t)value & 07777;
	else
		*number(s, operand) = value;
	return 0;
}

static int take_kind(const char *word, enum step_kind *ret_kind)
{
	unsigned k;

	for (k = 0; k < STEP_KIND_COUNT; k++)
		if (strcmp(word, kinds[k].text) == 0) {
			*ret_kind = k;
			return 0;
		}
	return -EINVAL;
}

int step_parse(const char *line, struct step *ret_step)
{
	_cleanup_free_ char *copy = strdup(line);
	struct step s = { .a = NULL };
	const char *operand, *word;
	char *rest = NULL;
	int r = 0;

	if (!copy)
		abort();
	word = strtok_r(copy, " \t\n", &rest);
	if (!word || *word == '#')
		return 1;
	if (take_kind(word, &s.kind) < 0)
		return -EINVAL;
	for (operand = kinds[s.kind].operands; *operand && r == 0; operand++)
		r = take_operand(&s, *operand, strtok_r(NULL, " \t\n", &rest));
	if (r == 0 && strtok_r(NULL, " \t\n", &rest))
		r = -EINVAL;
	if (r < 0) {
		step_release(&s);
		return r;
	}
	*ret_step = s;
	return 0;
}

void step_release(struct step *s)
{
	free(s->a);
	free(s->b);
	s->a = s->b = NULL;
}

/* --- scripts --- */

void script_release(struct script *s)
{
	while (s->n > 0)
		step_release(&s->steps[--s->n]);
	free(s->steps);
	*s = (struct script){ 0 };
}

void script_add(struct script *s, struct step *step)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->steps = reallocarray(s->steps, s->cap, sizeof(*step));
		if (!s->steps)
			abort();
	}
	s->steps[s->n++] = *step;
	*step = (struct step){ .a = NULL };
}

void script_write(const struct script *s, FILE *f)
{
	char line[4096];
	size_t i;

	for (i = 0; i < s->n; i++) {
		step_format(&s->steps[i], line, sizeof(line));
		fprintf(f, "%s\n", line);
	}
}

int script_read(const char *path, struct script *ret_script)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	struct script s = { 0 };
	size_t size = 0, n = 0;
	struct step step;
	int r = 0;

	if (!f) {
		fprintf(stderr, "random: %s: %s\n", path, strerror(errno));
		return -EIO;
	}
	while (r >= 0 && getline(&line, &size, f) >= 0) {
		n++;
		r = step_parse(line, &step);
		if (r == 0)
			script_add(&s, &step);
	}
	if (r < 0) {
		fprintf(stderr, "random: %s:%zu: no such step\n", path, n);
		script_release(&s);
		return r;
	}
	*ret_script = s;
	return 0;
}
