/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read of an answer to a request for all or for a part of an object:
 * its headers, whether it is what was asked for, and which of its bytes are. A
 * server may say what it likes. Functions over memory; one thread's.
 */
#ifndef LARDER_HTTP_ANSWER_H
#define LARDER_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_VALUE_MAX 128	     /* of a header that counts, with its end */
#define HTTP_IGNORED_MAX (64u << 10) /* of a body that is not used */

struct http_answer {
	/* What was asked for: `len` bytes at `off`, 0: to the end. */
	uint64_t off, len;
	bool wants_body;

	bool begun;    /* http_answer_begin() was called */
	bool is_body;  /* what comes is for the caller */
	bool is_whole; /* all of the object, in place of a part */
	bool enough;   /* the rest is not wanted */

	/* http_answer*'s: */
	bool has_range; /* and what it says */
	uint64_t range_first, range_last;
	uint64_t skip, given, ignored;
};

/* What stands behind `name` ("date:") where the line is that header, and is not
 * too long. */
bool http_header_value(const char *line, size_t len, const char *name,
		       char ret_text[HTTP_VALUE_MAX]);

/* A line of the head; a status line begins another answer, after a redirect. */
void http_answer_header(struct http_answer *a, const char *line, size_t len);

/* Once, behind the head. -EIO: another part than was asked for. */
int http_answer_begin(struct http_answer *a, long status);

/* Leaves those of the next bytes of the body that are for the caller. */
void http_answer_body(struct http_answer *a, const char **data, size_t *len);

#endif
