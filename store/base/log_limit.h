/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps one sentence from filling a log: of the same text, LOG_LIMIT_COUNT are
 * written in LOG_LIMIT_NS, the others are counted, and the count is said once the
 * time is over, with the next line whatever it is. A few dozen texts are watched
 * at a time; the one that came least recently makes room, and its count is said
 * then. Any thread; one lock inside, a leaf.
 */
#ifndef LARDER_BASE_LOG_LIMIT_H
#define LARDER_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LIMIT_COUNT 10u
#define LOG_LIMIT_NS INT64_C(60000000000)
#define LOG_LIMIT_TEXT_MAX 200 /* bytes that are said of a text */

struct log_dropped {
	unsigned count;
	int level;
	char text[LOG_LIMIT_TEXT_MAX + 1];
};

/*
 * Whether the line is to be written; `now_ns`: monotonic. What was dropped and
 * is to be said now is appended to `said`, at most `max`; the rest is said with
 * a later line.
 */
bool log_limit_pass(int level, const char *text, size_t len, int64_t now_ns,
		    struct log_dropped *said, unsigned max,
		    unsigned *ret_nsaid);

#endif
