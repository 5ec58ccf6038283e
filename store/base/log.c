/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: formats one line into a buffer on the stack and gives it to the
 * kernel in one write(2), so that lines of several threads and processes do
 * not mix. Owns the level and what JOURNAL_STREAM said at the first line.
 * Control bytes are replaced, since names from outside go into messages and
 * must not forge a line of their own.
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log_file.h"
#include "log_limit.h"

#define LINE_MAX_BYTES 2048
#define DROPPED_MAX 4 /* that are said before one line */

struct line {
	char text[LINE_MAX_BYTES];
	size_t len; /* at most sizeof(text) - 1: room for the newline */
};

static atomic_int max_level = LOG_LEVEL_INFO;

static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static bool journal_named; /* these three: constant after journal_once */
static unsigned long long journal_dev, journal_ino;

static void journal_load(void)
{
	const char *stream = getenv("JOURNAL_STREAM");

	journal_named = stream && sscanf(stream, "%llu:%llu", &journal_dev,
					 &journal_ino) == 2;
}

/* A child of a service inherits the variable even where its standard error
 * goes elsewhere, so the stream is compared with the one named. */
static bool stderr_is_journal(void)
{
	struct stat st;

	pthread_once(&journal_once, journal_load);
	return journal_named && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == journal_dev && st.st_ino == journal_ino;
}

static void line_vadd(struct line *l, const char *fmt, va_list ap)
{
	size_t room = sizeof(l->text) - l->len;
	int n = vsnprintf(l->text + l->len, room, fmt, ap);

	if (n < 0)
		return;
	l->len += (size_t)n < room ? (size_t)n : room - 1;
}

__attribute__((format(printf, 2, 3))) static void line_add(struct line *l,
							   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line_vadd(l, fmt, ap);
	va_end(ap);
}

static void line_add_error(struct line *l, int err)
{
	char text[128];

	if (err)
		line_add(l, ": %s",
			 strerror_r(err < 0 ? -err : err, text, sizeof(text)));
}

static void line_write(struct line *l)
{
	ssize_t n;
	size_t i;

	for (i = 0; i < l->len; i++)
		if ((unsigned char)l->text[i] < 0x20 || l->text[i] == 0x7f)
			l->text[i] = '?';
	l->text[l->len++] = '\n';
	log_file_check();
	do
		n = write(STDERR_FILENO, l->text, l->len);
	while (n < 0 && errno == EINTR);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "error", LOG_LEVEL_ERROR },
		{ "warning", LOG_LEVEL_WARN },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (strcmp(levels[i].name, name) == 0) {
			*ret_level = levels[i].level;
			return 0;
		}
	return -EINVAL;
}

static void line_begin(struct line *l, int level)
{
	l->len = 0;
	if (stderr_is_journal())
		line_add(l, "<%d>", level);
	else
		line_add(l, "%s: ", program_invocation_short_name);
}

static void say_dropped(const struct log_dropped *dropped)
{
	struct line l;

	line_begin(&l, dropped->level);
	line_add(&l, "%u more times within a minute: %s", dropped->count,
		 dropped->text);
	line_write(&l);
}

/* `begin`: what of the line is no text. */
static void line_write_limited(struct line *l, int level, size_t begin)
{
	struct log_dropped said[DROPPED_MAX];
	unsigned nsaid = 0;
	bool pass = log_limit_pass(level, l->text + begin, l->len - begin,
				   clock_mono_ns(), said, DROPPED_MAX, &nsaid);

	for (unsigned i = 0; i < nsaid; i++)
		say_dropped(&said[i]);
	if (pass)
		line_write(l);
}

int log_at(enum log_level level, int err, const char *fmt, ...)
{
	int saved = errno;
	struct line l;
	size_t begin;
	va_list ap;

	if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
		return err;

	line_begin(&l, level);
	begin = l.len;
	va_start(ap, fmt);
	line_vadd(&l, fmt, ap);
	va_end(ap);
	line_add_error(&l, err);
	line_write_limited(&l, level, begin);
	errno = saved;
	return err;
}
