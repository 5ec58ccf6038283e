/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the table of mounts share: the table in mounts.c, and the
 * life of one mount in mount_check.c, mount_start.c, mount_tiers.c,
 * mount_resume.c and mount_end.c. Private to these.
 *
 * A mount is in the table from the moment on that it claims its directory
 * and id until its upper is closed, so that none of them is ever used twice:
 *
 *	STARTING -> SERVED [-> DETACHED] -> ENDING -> ENDED
 *
 * The table owns one reference from SERVED until ENDED; commands take theirs
 * from it by mounts_find() and mounts_each(), which give SERVED mounts (the
 * latter DETACHED ones, too) and no others. Who drops the last one closes.
 */
#ifndef LARDER_FS_MOUNTS_INTERNAL_H
#define LARDER_FS_MOUNTS_INTERNAL_H

#include <pthread.h>

#include "mounts.h"

enum mount_phase {
	MOUNT_STARTING, /* nobody but who starts it may touch it */
	MOUNT_SERVED,
	MOUNT_DETACHED, /* at no directory, served to those who still use it */
	MOUNT_ENDING,	/* its session has ended, a command may still run */
	MOUNT_ENDED,	/* `kept` and `drop` are valid */
};

struct mount {
	struct mounts *mounts; /* constant, as the next */
	uint64_t serial;       /* no other mount of this process has it */

	/* Guarded by mounts.lock: */
	struct mount *next;
	unsigned refs;
	enum mount_phase phase;
	const char *busy; /* what a command is doing, or NULL */
	bool unmounting;  /* that is an umount, which waits for the end */
	bool discard;	  /* the changes are to be dropped */
	bool kept;	  /* the changes were kept */
	bool drop;	  /* the state directory goes with the mount */

	/* Constant once served, but for the entry (mounts.lock). `id` and
	 * `dir` are once it is in the table. */
	struct mount_state state;
	int dirfd;  /* the state directory */
	bool fresh; /* ... was made for this mount */
	struct view *view;
	struct view_all *all; /* NULL: the view is what is shown */
	struct session *session;
};

struct mounts {
	struct mounts_config config; /* constant, as the next */
	int dirfd;		     /* <state>/mounts */

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t changed; /* a phase, `busy`, or the list; monotonic */
	struct mount *list;
	uint64_t serial;
	bool handing_over; /* mounts end without being unmounted */
	bool keeping;	   /* those that end are to be resumed */
};

/* --- mounts.c --- */

/* Not in the table yet; one reference. */
struct mount *mount_alloc(struct mounts *m);

/* Puts it into the table, as STARTING. -EBUSY where another mount has its
 * directory or its id; one that is just going is waited for. */
int mounts_reserve(struct mount *mnt, struct mounts_error *err);

/* As mounts_reserve(), with no question asked: for one that is mounted. */
void mounts_insert(struct mount *mnt);

/* With the lock held: waits for a change; false when `deadline_ns`
 * (monotonic) has passed. */
bool mounts_wait(struct mounts *m, int64_t deadline_ns);

/* Whether the mount is served and its session has not ended. */
bool mount_is_there(struct mount *mnt);

/* Whether a mount that has not ended has the id. */
bool mounts_uses_id(struct mounts *m, const char *id);

/* --- mount_check.c --- */

/* False where `dir` is surely no mount point. */
bool mount_check_taken(const char *dir);

/* --- mount_start.c --- */

/* Opens the upper of a mount whose state is filled in, mounts and serves it.
 * It is in the table; the caller keeps its reference. After an error it is still
 * STARTING. */
int mount_start(struct mount *mnt, struct mounts_error *err);

/* --- mount_tiers.c --- */

/* Says where chunks of an entry's tree may be had, unless that is known. */
void mount_offer_tiers(const struct mount *mnt, const struct entry *e);

/* The mount is closed. */
void mount_forget_secrets(const struct mount *mnt);

/* --- mount_end.c --- */

/* The thread that waits for the session's end and then takes the mount
 * apart. Has the table's reference. */
void *mount_reaper_main(void *arg);

#endif
