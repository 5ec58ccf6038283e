/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sample of the daemon's numbers: the results of `status` and `stats` at
 * one moment (fs/PROTOCOL.md), which all that shows numbers is made of. Owns
 * the two objects. No daemon is started to be measured.
 */
#ifndef LARDER_TOOLS_SAMPLE_H
#define LARDER_TOOLS_SAMPLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "out.h"

struct sample {
	int64_t at_ns;		/* monotonic */
	json_t *status, *stats; /* both NULL: no daemon is running */
};

/* *ret_sample is to be released where this is 0. */
int sample_take(struct sample *ret_sample, struct failure *ret_failure);
void sample_release(struct sample *s);

static inline bool sample_is_running(const struct sample *s)
{
	return s->status != NULL;
}

/* The bound that `percent` of what a histogram counts are below. */
uint64_t sample_percentile(const json_t *histogram, unsigned percent);

/* Of the objects in a list: the sum of a field; how many have a flag set, or a
 * field of this text. */
json_int_t sample_sum(const json_t *list, const char *field);
json_int_t sample_count_flag(const json_t *list, const char *flag);
json_int_t sample_count_text(const json_t *list, const char *field,
			     const char *text);

#define _cleanup_sample_ __attribute__((cleanup(sample_release)))

#endif
