/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting and unmounting for the supervisor, each in a helper process of its
 * own: a path may lead through a mount whose worker has died, and then whoever
 * walks it waits until the supervisor has started another worker. Private to
 * fs/supervisor*. The supervisor's only thread.
 */
#ifndef LARDER_FS_SUPERVISOR_MOUNT_H
#define LARDER_FS_SUPERVISOR_MOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct mount_job {
	const char *dir;
	const char *fsname; /* NULL: unmount `dir` */
	bool read_only, allow_other, suid_dev;

	/* To unmount: `dir` is the "path" and `dev` the "dev" of the answer
	 * to the mount. */
	const char *dev;
	bool lazy;
};

/*
 * Starts the helper. *ret_sock gives one message of supervisor_msg.h, or the
 * end where the helper failed: "result" (0 or a negative errno), "error" (a
 * sentence, may be missing), and after mounting "path" (the directory as
 * /proc/self/mountinfo has it), "dev" (the mount's device number) and the
 * /dev/fuse descriptor. Unmounting what is not mounted any more is a success.
 */
int mount_job_start(const struct mount_job *job, pid_t *ret_pid, int *ret_sock);

#endif
