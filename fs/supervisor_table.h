/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor keeps of each mount for the next worker. Private to
 * fs/supervisor*. The supervisor's only thread.
 */
#ifndef LARDER_FS_SUPERVISOR_TABLE_H
#define LARDER_FS_SUPERVISOR_TABLE_H

#include <jansson.h>
#include <stddef.h>

struct kept_mount {
	char *id, *dir, *desc;	 /* as the worker named them */
	char *path, *dev;	 /* see supervisor_mount.h */
	char *init;		 /* hexadecimal; NULL before INIT */
	int fd;			 /* /dev/fuse */
	struct kept_mount *next; /* the one mounted before */
};

struct kept_mounts {
	struct kept_mount *newest;
};

/* From the call to mount and its helper's answer; `fd` is taken over. -EEXIST,
 * -EBADMSG, -ENOMEM. */
int kept_mounts_add(struct kept_mounts *t, const json_t *call,
		    const json_t *answer, int fd);
struct kept_mount *kept_mounts_find(const struct kept_mounts *t,
				    const char *id); /* NULL: absent */
/* The one whose id follows `after` in byte order. */
struct kept_mount *kept_mounts_after(const struct kept_mounts *t,
				     const char *after);
void kept_mounts_remove(struct kept_mounts *t, const char *id);
void kept_mounts_close_fds(struct kept_mounts *t);
void kept_mounts_release(struct kept_mounts *t);

/* Replaces `init` or `desc`; -ENOMEM. */
int kept_mount_set(char **field, const char *value);

#endif
