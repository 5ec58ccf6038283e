/* SPDX-License-Identifier: Apache-2.0 */
/* A sample, and the sums over it that several places show. */
#include "sample.h"

#include <string.h>

void sample_release(struct sample *s)
{
	json_decref(s->status);
	json_decref(s->stats);
	*s = (struct sample){ .at_ns = 0 };
}

uint64_t sample_percentile(const json_t *histogram, unsigned percent)
{
	json_int_t all = 0, seen = 0, bound = 0;
	json_t *bucket;
	size_t i;

	json_array_foreach(histogram, i, bucket)
		all += json_integer_value(json_array_get(bucket, 1));
	json_array_foreach(histogram, i, bucket)
	{
		if (json_is_integer(json_array_get(bucket, 0)))
			bound = json_integer_value(json_array_get(bucket, 0));
		seen += json_integer_value(json_array_get(bucket, 1));
		if (seen * 100 >= all * percent)
			break;
	}
	return (uint64_t)bound;
}

/* --- sums --- */

static json_int_t number_of(const json_t *item, const char *field,
			    const char *text)
{
	(void)text;
	return field_number(item, field);
}

static json_int_t flag_of(const json_t *item, const char *field,
			  const char *text)
{
	(void)text;
	return field_flag(item, field);
}

static json_int_t text_of(const json_t *item, const char *field,
			  const char *text)
{
	return strcmp(field_text(item, field), text) == 0;
}

static json_int_t
add_up(const json_t *list, const char *field, const char *text,
       json_int_t (*value)(const json_t *item, const char *field,
			   const char *text))
{
	json_int_t n = 0;
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) n += value(item, field, text);
	return n;
}

json_int_t sample_sum(const json_t *list, const char *field)
{
	return add_up(list, field, NULL, number_of);
}

json_int_t sample_count_flag(const json_t *list, const char *flag)
{
	return add_up(list, flag, NULL, flag_of);
}

json_int_t sample_count_text(const json_t *list, const char *field,
			     const char *text)
{
	return add_up(list, field, text, text_of);
}
