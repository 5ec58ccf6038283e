/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted where, as /proc/self/mountinfo of this process's mount
 * namespace has it. Reading it touches no file system that is mounted. No
 * state; any thread.
 */
#ifndef LARDER_FS_MOUNTINFO_H
#define LARDER_FS_MOUNTINFO_H

#define MOUNTINFO_DEV_MAX 32 /* "4294967295:4294967295" */

/* Larder's mounts are of this type. */
#define MOUNTINFO_LARDER "fuse.larder"

struct mountinfo {
	const char *dev;     /* "major:minor" */
	const char *path;    /* the mount point */
	const char *type;    /* of the file system */
	const char *source;  /* as it was given */
	const char *options; /* of the file system, "a,b=c" */
};

/* Each mount, in the order of their making; of several at one path the last is
 * on top. What `each` gets is borrowed for the call; what it returns but 0
 * ends the reading, and is returned. */
int mountinfo_each(int (*each)(void *arg, const struct mountinfo *m),
		   void *arg);

#endif
