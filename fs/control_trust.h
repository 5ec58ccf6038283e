/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signs and who is trusted, as a call has it: `sign_key`, a secret key,
 * which is in memory for as long as the call is; and `trusted_keys`, the public
 * ones that count for its tenant and namespace. Private to control*.c.
 */
#ifndef LARDER_FS_CONTROL_TRUST_H
#define LARDER_FS_CONTROL_TRUST_H

#include "store/trust.h"

#include "control_internal.h"

/* NULL where the call names no key. -EINVAL (exit 2). */
int control_trust_open(struct control_call *call, struct trust **ret_trust);

/* Signs an entry of the store with the call's key, if it names one, and keeps it
 * so; *e becomes what is stored. One that was replaced meanwhile stays as it
 * is. */
int control_sign(struct control_call *call, struct entry *e);

/* Adds "trusted" to an entry object: whether a key that the call trusts has
 * signed the entry; null where it trusts all. */
int control_add_trusted(struct control_call *call, const struct entry *e,
			json_t *object);

/* The error of a call that needs an entry which is refused (chain_is_refused();
 * exit 7). */
int control_fail_refused(struct control_call *call, const char *entry, int err);

#endif
