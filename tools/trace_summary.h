/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a trace has told of each file, added up: the reads that the daemon
 * notifies of (fs/PROTOCOL.md, trace) go in, a table or an object comes out.
 * Owns the files. One thread.
 */
#ifndef LARDER_TOOLS_TRACE_SUMMARY_H
#define LARDER_TOOLS_TRACE_SUMMARY_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct trace_summary;

/* By what its files can be sorted. */
extern const char *const trace_summary_orders[];

struct trace_summary *trace_summary_new(void);	  /* NULL: out of memory */
void trace_summary_free(struct trace_summary *s); /* NULL is fine */

/* -ENOMEM */
int trace_summary_add(struct trace_summary *s, const json_t *read);
void trace_summary_lost(struct trace_summary *s, uint64_t lost);
uint64_t trace_summary_reads(const struct trace_summary *s);
uint64_t trace_summary_all_lost(const struct trace_summary *s);

/* Where the bytes of a read came from, as one word: the farthest place. */
const char *trace_from(const json_t *read);

/* `order`: one of trace_summary_orders; NULL is the first. The largest are at the
 * top, and of the text there are `max` files (0: all). */
void trace_summary_print(struct trace_summary *s, const char *order, size_t max,
			 FILE *f);
json_t *trace_summary_json(struct trace_summary *s, const char *order);

static inline void cleanup_trace_summary(struct trace_summary **s)
{
	trace_summary_free(*s);
}

#define _cleanup_trace_summary_ __attribute__((cleanup(cleanup_trace_summary)))

#endif
