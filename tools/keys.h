/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that a command works with: whom the configuration trusts, and what
 * signs the entries that it makes. Chosen once, when a command begins. A secret
 * key is read where it is needed, from LARDER_SIGN_KEY or the file that the
 * setting sign-key names, and goes nowhere but into the request. One thread.
 */
#ifndef LARDER_TOOLS_KEYS_H
#define LARDER_TOOLS_KEYS_H

#include <jansson.h>

#include "config.h"
#include "out.h"

/* The secret key itself, for machines that have no file for it. */
#define KEYS_SIGN_VARIABLE "LARDER_SIGN_KEY"

/* Borrows `config` until keys_release(). */
void keys_choose(const struct config *config);
void keys_release(void);

/* Adds "trusted_keys" to the parameters of a request: those that count for its
 * tenant and namespace, as it has them. */
void keys_add_trusted(json_t *params);

/* Adds "sign_key", where there is one. EXIT_VERIFY where it cannot be read, or
 * others may read it. */
int keys_add_signer(json_t *params, struct failure *ret_failure);

/* The same for a command that cannot stop for that: a warning, and the entry
 * goes without. */
void keys_try_signer(json_t *params);

/* Reads a file that nobody but its owner may read. `ret_text` has room for
 * SIGN_TEXT_MAX + 2 bytes, and is the caller's to wipe. */
int keys_read_file(const char *file, char *ret_text,
		   struct failure *ret_failure);

#endif
