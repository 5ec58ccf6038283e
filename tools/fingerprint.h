/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key that KEY OPTIONS ask for: a fingerprint with its parts, or a key of
 * the user's own.
 */
#ifndef LARDER_TOOLS_FINGERPRINT_H
#define LARDER_TOOLS_FINGERPRINT_H

#include <jansson.h>

#include "key_options.h"
#include "out.h"
#include "store/key.h"

struct wanted {
	char key[KEY_MAX + 1];
	struct key_parts parts; /* sorted; none for a key of the user's own */
};

#define WANTED_INIT                \
	{                          \
		"", KEY_PARTS_INIT \
	}

/* 0, or a negative errno with the sentence. `o` is as key_options_check()
 * wants it, and a key in it is valid. */
int wanted_compute(const struct key_options *o, struct wanted *ret_wanted,
		   struct failure *ret_failure);
void wanted_release(struct wanted *w);

/* [{"kind","name","digest"}], as fs/PROTOCOL.md has it. */
json_t *wanted_parts(const struct wanted *w);

/* The names of parts that are not in both, ["kind name"], at most `max`. */
json_t *wanted_changes(const struct wanted *a, const struct wanted *b,
		       size_t max);

/* Adds "key" and "parts" to a request. */
void wanted_add(const struct wanted *w, json_t *params);

#define _cleanup_wanted_ __attribute__((cleanup(wanted_release)))

#endif
