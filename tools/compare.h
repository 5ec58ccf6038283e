/* SPDX-License-Identifier: Apache-2.0 */
/* What makes two keys differ, part by part. No state. */
#ifndef LARDER_TOOLS_COMPARE_H
#define LARDER_TOOLS_COMPARE_H

#include <jansson.h>

#include "store/key.h"

/*
 * The parts that are not in both, in the order of their kinds and names:
 * [{"change": "changed" | "added" | "removed", "kind", "name",
 * "was_kind" (where it is another), "was", "is" (hex, or null)}]. A file that
 * is another kind of file now has changed, and so has the platform. NULL where
 * memory is short.
 */
json_t *compare_parts(const struct key_parts *was, const struct key_parts *is);

#endif
