/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tier shows a server: given, or read from a file or a command's output
 * each time, so that it may change. Neither logged nor kept on disk. Any
 * thread.
 */
#ifndef LARDER_CREDENTIALS_H
#define LARDER_CREDENTIALS_H

#include "tier_open.h"

struct credentials;

/* Up to three lines: a bearer token; or an access key, its secret, and maybe a
 * session token. */
struct credential {
	char *lines[3]; /* NULL where there are fewer */
};

int credentials_new(const struct tier_options *options, bool is_token,
		    struct credentials **ret_credentials);
void credentials_free(struct credentials *c); /* NULL is fine */

/* The caller releases it; no lines where nothing was configured. -EACCES where
 * they cannot be read, with call->why. */
int credentials_get(struct credentials *c, const struct tier_call *call,
		    struct credential *ret_credential);

/* What was got last has been refused: a command is asked again. */
void credentials_refused(struct credentials *c);
void credential_release(struct credential *c);

#define _cleanup_credential_ __attribute__((cleanup(credential_release)))

#endif
