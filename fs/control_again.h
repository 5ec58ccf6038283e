/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with "again": the client sent the same one to a worker that died
 * before it answered, so what it asks for may have been done. Most methods give
 * the same when they are called twice; these are for the others. Each does
 * nothing where the request has no "again".
 */
#ifndef LARDER_FS_CONTROL_AGAIN_H
#define LARDER_FS_CONTROL_AGAIN_H

#include "control_internal.h"

/* Whether `dir`, which is no mount, was unmounted by that request, and whether
 * changes of it are kept. */
bool control_again_umount(struct control_call *call, const char *dir,
			  bool *ret_kept);

/* The mount without an entry that that request made, where nothing has been
 * changed in it; a reference. */
bool control_again_mount(struct control_call *call, const char *dir,
			 const struct mounts_options *opt,
			 struct mount **ret_mount);

/* Adds the mount that that request resumed, by its directory or id, to the
 * JSON array. */
bool control_again_resume(struct control_call *call, const char *dir_or_id,
			  json_t *list);

/* -EPIPE with a sentence where `found`, which the request's "entry" names now,
 * may be another one than it named before. */
int control_again_rm(struct control_call *call, const struct entry *found);

/* Whether the entry that is not there was removed by that request; then its
 * name and key. */
bool control_again_removed(struct control_call *call, json_t **ret_entry);

#endif
