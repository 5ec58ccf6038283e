/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values that a scope owns. No state. */
#ifndef LARDER_FS_JSON_SCOPE_H
#define LARDER_FS_JSON_SCOPE_H

#include <jansson.h>

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}

#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

#endif
