/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's table of mounts: each joins a state directory, a view, a
 * session and the supervisor's mount. Its description is in
 * <state>/mounts/<id>/mount.json (published whole), so that an upper can be
 * resumed after a reboot. Any thread; one mutex guards the table, and each
 * mount has a mark that keeps two commands from working on it at once (the
 * second gets -EBUSY).
 *
 * Errors come with a sentence for the user in a struct mounts_error.
 */
#ifndef LARDER_FS_MOUNTS_H
#define LARDER_FS_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/entry.h"
#include "store/store.h"

#include "fetch.h"
#include "mount_state.h"
#include "session.h"
#include "supervisor.h"
#include "tiers.h"
#include "view.h"

struct mounts;
struct mount;

struct mounts_config {
	struct store *store; /* borrowed, as the next three */
	struct fetch *fetch;
	struct tiers *tiers;
	struct supervisor_link *link;
	const char *state_dir;	     /* holds mounts/ */
	struct blame *blame;	     /* may be NULL (blame.h) */
	struct messenger *messenger; /* borrowed */
	int wake_fd; /* eventfd; gets 1 when the last mount has gone */
};

struct mounts_error {
	int code;	    /* negative errno */
	int exit;	    /* exit code of the command */
	char message[1024]; /* one sentence */
};

struct mounts_options {
	bool read_only;
	bool allow_other, suid_dev, stateful_open, writeback;
	uint32_t uid, gid; /* the peer */
	bool over_files;   /* that the directory holds, and that stay beneath */
	/* Without an entry: what it lies on (borrowed); NULL: an empty base. */
	const struct digest *base;
	const char *tiers; /* JSON (tiers.h), borrowed; NULL: none */
	/* The same with their secrets, borrowed; NULL: as they were kept. */
	const json_t *secrets;
	/* Without an entry: all entries of this tenant (view_all.h; borrowed).
	 * The mount's view is an empty one then. NULL: no such mount. */
	const char *all;
};

int mounts_new(const struct mounts_config *config, struct mounts **ret_mounts);
void mounts_free(struct mounts *m); /* none may be left (mounts_any()) */

/* Takes the mounts of an earlier worker over. */
int mounts_adopt(struct mounts *m);

/* Fills `err` and returns `code`. */
int mounts_fail(struct mounts_error *err, int code, int exit_code,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Whether a mount can be made at `dir`: a directory, no mount point, and empty
 * or, where `over_files`, not (then 1). */
int mount_check_dir(const char *dir, bool over_files, struct mounts_error *err);

/* Mounts `e` (NULL: opt->base) at `dir`. Gives a reference. */
int mounts_mount(struct mounts *m, const char *dir, const struct entry *e,
		 const struct mounts_options *opt, struct mount **ret_mount,
		 struct mounts_error *err);

/*
 * Takes the mount at `dir` away and waits until it is closed, with its last
 * reference: the caller must not hold one. Does not wait where `lazy`, or
 * where another mount namespace goes on using it: then it ends when they do.
 * -EBUSY.
 */
int mounts_umount(struct mounts *m, const char *dir, bool lazy, bool discard,
		  bool *ret_kept, struct mounts_error *err);

/* Whether any mount is there, or one with the id; also one that is only
 * beginning or ending. */
bool mounts_any(struct mounts *m);
bool mounts_has_id(struct mounts *m, const char *id);

/* At the end of the daemon: unmounts all, also what is in use. With `keep`, all
 * of them can be resumed, also those without changes. False where some could
 * not be closed in time; then the table cannot be freed. */
bool mounts_end_all(struct mounts *m, bool keep);

/* Before another worker takes over: the requests that have been read are
 * answered, and no more are read. The process must exit next. */
void mounts_hand_over(struct mounts *m);

/*
 * Mounts again what is kept, in the way it was mounted before: the newest of
 * a directory, the one of an id, or (NULL) the newest of each directory where
 * none of ours is mounted. One that fails keeps none of the others from being
 * resumed; the first failure is what is returned.
 */
int mounts_resume(struct mounts *m, const char *dir_or_id,
		  int (*each)(void *arg, struct mount *mnt), void *arg,
		  struct mounts_error *err);

/* The mount at `dir`; -ENOENT with a sentence. A reference. */
int mounts_find(struct mounts *m, const char *dir, struct mount **ret_mount,
		struct mounts_error *err);

/* All that are served, one after the other, each with a reference, which its
 * umount waits for, and without a lock. Mounts made meanwhile may be missed. */
int mounts_each(struct mounts *m, int (*each)(void *arg, struct mount *mnt),
		void *arg);

/* Has mounts of all entries close what the kernel only has in its caches
 * (view_all_tidy.c): of entries that are no more, and what nobody has asked for
 * for `idle_ns`; `urgent`: also what was in use just now. Ends when `stop` says
 * so, which is asked before each question to the kernel; one mount's part of
 * it, when that is unmounted. How many trees. */
size_t mounts_tidy(struct mounts *m, int64_t idle_ns, bool urgent,
		   bool (*stop)(void *arg), void *arg);

/* What is kept on disk and used by no mount. */
int mounts_each_kept(struct mounts *m,
		     int (*each)(void *arg, const char *id, const char *dir,
				 const char *entry, uint64_t upper_bytes,
				 int64_t kept_ns),
		     void *arg);

/* Every tree that a mount of this state directory or a kept one needs: its base,
 * and what commits left in its log; some more than once. -ESTALE where that
 * cannot be told, since another version of Larder wrote it. */
int mounts_each_tree(struct mounts *m,
		     int (*each)(void *arg, const struct digest *catalog),
		     void *arg);
void mount_unref(struct mount *mnt);
const char *mount_id(const struct mount *mnt);
const char *mount_dir(const struct mount *mnt);

/* What the mount stands for, a copy; -ENOENT: an empty mount, not committed. */
int mount_entry(struct mount *mnt, struct entry *ret_entry);

/* The catalog that the upper lies on; false: an empty base. */
bool mount_base(const struct mount *mnt, struct digest *ret_catalog);
struct view *mount_view(struct mount *mnt);
struct view_all *mount_all(struct mount *mnt); /* NULL: not of all */
struct session *mount_session(struct mount *mnt);
/* All but `base` and `secrets`; `tiers` is the mount's. */
void mount_get_options(const struct mount *mnt,
		       struct mounts_options *ret_options);
bool mount_read_only(const struct mount *mnt);
int64_t mount_time_ns(const struct mount *mnt);

/* Keeps the secrets of the mount's tiers that come with a request, where it names
 * just these; and gives what is kept, NULL where nothing is. */
void mount_keep_secrets(struct mount *mnt, const json_t *tiers);
json_t *mount_secrets(const struct mount *mnt);

/* Keeps other commands from this mount until mount_release(); -EBUSY. */
int mount_acquire(struct mount *mnt, const char *what,
		  struct mounts_error *err);
void mount_release(struct mount *mnt);

/* After a commit: the mount now stands for `e`. */
int mount_set_entry(struct mount *mnt, const struct entry *e);

#endif
