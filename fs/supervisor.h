/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: the process that `larder` starts. It forks the worker before
 * RocksDB or a thread exists, mounts and unmounts for it, holds a duplicate of
 * every /dev/fuse descriptor with the INIT request and the description of its
 * mount, holds the control socket's listening descriptor and a file of the worker's
 * secrets (vault.h), and starts the worker again when it dies. It opens no store
 * and serves no request.
 *
 * Supervisor and worker talk over a SOCK_SEQPACKET pair; messages are JSON
 * objects of at most SUPERVISOR_MSG_MAX bytes, descriptors travel beside
 * them. The worker's half is in this header, too.
 */
#ifndef LARDER_FS_SUPERVISOR_H
#define LARDER_FS_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that the kernel is to read ahead, where root mounts: one request. */
#define SUPERVISOR_READ_AHEAD (1u << 20)

#define SUPERVISOR_MSG_MAX (64u << 10)
#define SUPERVISOR_RESTARTS_MAX 10 /* in ten seconds */

/* --- the supervisor --- */

struct blame;

struct supervisor_config {
	int listen_fd; /* control socket, bound and listening */
	int ready_fd;  /* gets "ok\n", or one sentence, at start; -1: none */
	/* Runs in the forked worker; returns its exit status. */
	int (*worker)(int channel_fd, int listen_fd, void *arg);
	void *arg;
	struct blame *blame; /* borrowed; is told of deaths (blame.h) */
};

/* Runs until the worker ends by itself (exit status 0: idle or stopped).
 * A worker that dies otherwise is started again, at most
 * SUPERVISOR_RESTARTS_MAX times in 10 seconds. Returns the process's exit status. */
int supervisor_run(const struct supervisor_config *config);

/* --- the worker's side; any thread (calls are serialised inside) --- */

struct supervisor_link;

int supervisor_link_new(int channel_fd, struct supervisor_link **ret_link);
void supervisor_link_free(struct supervisor_link *l);

/* Mounts at `dir` (an existing directory, absolute, no symlink at its end):
 * directly as root, else through fusermount3. `desc` is the worker's own
 * description (JSON text), kept and given back by _adopt. *ret_fd is the
 * worker's. `id` names the mount. *ret_error gets a sentence for the user where one is
 * better than the errno's (caller frees; may be NULL). -EBUSY, -EACCES,
 * -ENODEV (no /dev/fuse), -ENOENT (no fusermount3). */
struct supervisor_mount {
	const char *id; /* 16 hex digits */
	const char *dir;
	const char *fsname; /* shown in /proc/mounts, e.g. larder:NAME@KEY */
	const char *desc;
	bool read_only;
	bool allow_other; /* root only, or where fuse.conf allows it */
	bool suid_dev;	  /* root only: neither nosuid nor nodev */
};
int supervisor_mount(struct supervisor_link *l,
		     const struct supervisor_mount *m, int *ret_fd,
		     char **ret_error);

/* Unmounts; -EBUSY when in use (unless `lazy`). The supervisor then drops its
 * descriptor. */
int supervisor_umount(struct supervisor_link *l, const char *id, bool lazy,
		      char **ret_error);

/* Keeps the INIT request of a mount for a later worker. */
int supervisor_save_init(struct supervisor_link *l, const char *id,
			 const void *init, size_t len);
/* Replaces the description. */
int supervisor_save_desc(struct supervisor_link *l, const char *id,
			 const char *desc);
/* Drops a mount that the kernel ended (umount(8) by someone). */
int supervisor_forget(struct supervisor_link *l, const char *id);

/* Has the supervisor hold a file for the next worker, in place of the one
 * before; `fd` is borrowed, -1: none. It is not read there. */
int supervisor_save_secrets(struct supervisor_link *l, int fd);

/* The file, whose content anybody may have written. -ENOENT. */
int supervisor_take_secrets(struct supervisor_link *l, int *ret_fd);

/* The mounts of a worker that died: `each` takes `fd` over. */
int supervisor_adopt(struct supervisor_link *l,
		     int (*each)(void *arg, const char *id, const char *dir,
				 const char *desc, const void *init,
				 size_t init_len, int fd),
		     void *arg);

#endif
