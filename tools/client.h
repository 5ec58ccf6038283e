/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's side of the control protocol (fs/PROTOCOL.md): a connection
 * to the store's daemon, which is started where none answers. One thread.
 */
#ifndef LARDER_TOOLS_CLIENT_H
#define LARDER_TOOLS_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "options.h"
#include "out.h"

struct client;

/* -ENOENT or -ECONNREFUSED when none answers and none is to be started. */
int client_open(bool start, struct client **ret_client,
		struct failure *ret_failure);
void client_free(struct client *c);

/* Gets what a daemon sends ahead of its answer, but for progress and parts;
 * with the parameters of a notification, borrowed. */
void client_listen(struct client *c,
		   void (*each)(void *arg, const char *method,
				const json_t *params),
		   void *arg);

/*
 * One request. `params` is taken; `fds` are borrowed. Shows progress where
 * `params` ask for it. Interruptible: then -ECANCELED, and the connection is
 * of no use any more. The result is the caller's.
 */
int client_call(struct client *c, const char *method, json_t *params,
		const int *fds, unsigned nfds, json_t **ret_result,
		struct failure *ret_failure);

/* An object with the namespace and tenant that were asked for (NULL: the
 * default), and the tiers. */
json_t *client_scope(const char *tenant, const char *namespace);
json_t *client_params(const struct args *args);

/* A list of strings in the alphabet of keys. */
json_t *client_strings(const struct strings *list);

/* Opens, calls, tells errors and closes: 0 or the exit code. */
int client_request(const char *method, json_t *params, const int *fds,
		   unsigned nfds, json_t **ret_result);

static inline void cleanup_client(struct client **c)
{
	client_free(*c);
}

#define _cleanup_client_ __attribute__((cleanup(cleanup_client)))

#endif
