/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on disk about a mount: <state>/mounts/<id>/mount.json beside the
 * upper log. The same text is the description that the supervisor keeps, so
 * that a new worker, or a resume after a reboot, knows all it needs.
 * Functions over a text or a directory; any thread.
 */
#ifndef LARDER_FS_MOUNT_STATE_H
#define LARDER_FS_MOUNT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/digest.h"
#include "store/entry.h"

#define MOUNT_ID_LEN 16 /* hex digits */

struct mount_state {
	char id[MOUNT_ID_LEN + 1];
	char *dir;	    /* absolute */
	bool has_base;	    /* false: an empty base */
	struct digest base; /* catalog that the upper lies on */
	bool has_entry;
	struct entry entry; /* what the mount stands for; no parts */
	bool read_only, allow_other, suid_dev, stateful_open, writeback;
	bool over_files; /* its directory holds files, beneath it */
	char *all;	 /* the tenant all of whose entries it shows; or NULL */
	uint32_t uid, gid;
	char *tiers; /* JSON: where chunks may be had, no secrets; or NULL */
	int64_t mounted_ns;
	int64_t kept_ns; /* 0: not set aside */
};

void mount_state_release(struct mount_state *s);

/* An entry as a state holds it: without parts. */
int mount_state_copy_entry(const struct entry *e, struct entry *ret_entry);
int mount_state_new_id(char ret_id[MOUNT_ID_LEN + 1]);

/* JSON text, allocated; NULL when memory is short. */
char *mount_state_text(const struct mount_state *s);

/* -EBADMSG; -ESTALE: of a later version of Larder. */
int mount_state_parse(const char *text, struct mount_state *ret);

/* A string that can be an id, and so the name of a directory. */
bool mount_state_id_is_valid(const char *id);

/*
 * Makes <id>/ with its mount.json, removes it with all that is in it, writes
 * mount.json again, opens <id>. A process that is killed leaves <id>/ as it was
 * or not there at all; mount_state_sweep() removes what is left beside, unless
 * another process is making or removing a directory right now. -EEXIST.
 */
int mount_state_create(int mountsfd, const struct mount_state *s, int *ret_fd);
int mount_state_remove(int mountsfd, const char *id);
int mount_state_sweep(int mountsfd);
int mount_state_save(int mountsfd, const struct mount_state *s);
int mount_state_open(int mountsfd, const char *id, int *ret_fd);

/* What mount.json of <id>/ says; -EBADMSG also where it is another's. -ESTALE. */
int mount_state_load(int mountsfd, const char *id, struct mount_state *ret);

/*
 * What is to become of the upper of <id>/ by an umount, whatever becomes of the
 * process: set before the kernel is told to unmount. _sweep_marked() removes
 * those whose process died before it could, for which `needed` says no; any
 * that is mounted again loses its mark first.
 */
enum mount_mark {
	MOUNT_MARK_NONE,
	MOUNT_MARK_UNMOUNT, /* it goes if nothing was changed */
	MOUNT_MARK_DISCARD, /* it goes */
};
int mount_state_mark(int mountsfd, const char *id, enum mount_mark mark);
enum mount_mark mount_state_get_mark(int mountsfd, const char *id);
void mount_state_sweep_marked(int mountsfd,
			      bool (*needed)(void *arg,
					     const struct mount_state *s,
					     enum mount_mark mark),
			      void *arg);

/* All states on disk; those that cannot be read are said and passed over. */
int mount_state_each(int mountsfd,
		     int (*each)(void *arg, const struct mount_state *s),
		     void *arg);

/* Bytes on disk of a mount's upper. */
uint64_t mount_state_bytes(int mountsfd, const char *id);

#endif
