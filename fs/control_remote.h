/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The remote tiers that a call names (`tiers`), and what other methods do with
 * them. Private to control*.c.
 */
#ifndef LARDER_FS_CONTROL_REMOTE_H
#define LARDER_FS_CONTROL_REMOTE_H

#include "store/remote.h"

#include "control_internal.h"

struct control_remote {
	struct remote remote; /* of the call's tenant and namespace */
	struct chain *chain;  /* NULL: no tier was named */
	struct trust *trust;  /* NULL: entries need no signature */
	const json_t *tiers;  /* what it was made from; borrowed */
};

/* -EINVAL (exit 2) where `tiers` is not right. The caller releases it. */
int control_remote_open(struct control_call *call,
			struct control_remote *ret_remote);
void control_remote_release(struct control_remote *cr);

/* Whether a tier may be read, or written to. */
bool control_remote_can(const struct control_remote *cr, unsigned access);

/*
 * What is left to do for an entry that was published: it is signed, where the
 * call has a key, which changes "entry" of `result`; and it is put into the
 * upload queue for each tier that may be written to; with the parameter `wait`,
 * waits for them. Adds "uploads" to `result`. A failure is told there, as
 * "sign_error" where it is the signature's and "upload_error" where the tiers
 * could not be opened, and is none of the call.
 */
void control_upload(struct control_call *call, struct entry *e, json_t *result);

/* An entry that tier `from` had is put, in the background, into those before it
 * that are read and written to: they have not got it. */
void control_fill_above(struct control_call *call,
			const struct control_remote *cr, unsigned from,
			const struct entry *e);

/* What is absent of an entry's tree may be had from the tiers of the call. */
int control_offer(const struct control_remote *cr, const struct entry *e);

/* The tiers of the call as a mount keeps them: allocated JSON without secrets,
 * or NULL where there are none to be read. */
char *control_tiers_text(struct control_call *call);

#define _cleanup_control_remote_ \
	__attribute__((cleanup(control_remote_release)))

#endif
