/* SPDX-License-Identifier: Apache-2.0 */
/* What `commit`, `import` and `run` share: the request and its report. */
#ifndef LARDER_TOOLS_COMMIT_H
#define LARDER_TOOLS_COMMIT_H

#include <jansson.h>

#include "client.h"
#include "fingerprint.h"

/* Writes back what programs have written and the daemon does not know of yet
 * (writers.h). */
int commit_flush(const char *dir, struct failure *ret_failure);

/* `params` with name, key, branch (may be NULL), parts; progress on. */
void commit_describe(json_t *params, const char *name, const char *branch,
		     const struct wanted *wanted);

/*
 * What `commit` and `import` end with: the request `method` for the entry of
 * args->name and `wanted`, and its report. `params` (taken) have what only
 * this method asks for; `fds` are borrowed. 0 or the exit code.
 */
int commit_request(const struct args *args, const char *method, json_t *params,
		   const int *fds, unsigned nfds, const struct wanted *wanted);

/* Prints what was committed, in text. `what`: "committed", "imported". */
void commit_report(const char *what, const json_t *result);

#endif
