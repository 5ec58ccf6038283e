/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing a file: the only place where a file of the store or of a mount
 * comes into being under its final name. The bytes are written to a
 * temporary name in the same directory and synced, renamed, and the
 * directory is synced; a crash leaves either no file or a whole one.
 *
 *	struct publish p;
 *	r = publish_open(&p, dirfd, 0600);
 *	... io_write(p.fd, ...) ...
 *	r = publish_commit(&p, "final-name");
 *	publish_release(&p);		(always; removes what was not committed)
 *
 * Temporary names begin with PUBLISH_TMP_PREFIX; publish_sweep() removes
 * those that a crash left. `mode` is under the umask.
 *
 * Fault points: publish.open, publish.sync, publish.rename, publish.dirsync.
 */
#ifndef LARDER_BASE_PUBLISH_H
#define LARDER_BASE_PUBLISH_H

#include <stddef.h>
#include <sys/types.h>

#define PUBLISH_TMP_PREFIX ".tmp-"

struct publish {
	int fd;	       /* open for reading and writing */
	int dirfd;     /* own duplicate */
	char name[64]; /* temporary name; empty once committed */
};

#define PUBLISH_INIT       \
	{                  \
		-1, -1, "" \
	}

int publish_open(struct publish *p, int dirfd, mode_t mode);

/* fsync, rename over `final`, fsync of the directory. An existing `final`
 * is replaced. */
int publish_commit(struct publish *p, const char *final);

/* As publish_commit(), into another directory of the same file system. */
int publish_commit_at(struct publish *p, int dirfd, const char *final);

/* The three steps of publish_commit_at(), where something has to be looked at
 * between them: the bytes are durable, they have their name in `dirfd` (opened
 * for reading), the name is durable. */
int publish_sync(struct publish *p);
int publish_rename_at(struct publish *p, int dirfd, const char *final);
int publish_sync_dir(int dirfd);

/* Without the two fsyncs: after a crash of the machine the file may be gone
 * or damaged, which is fine for what carries a checksum and can be had
 * again. */
int publish_commit_unsynced(struct publish *p, const char *final);
void publish_release(struct publish *p);

/* A small file in one call. */
int publish_file(int dirfd, const char *final, const void *data, size_t len,
		 mode_t mode);

/* Removes temporary files in `dirfd`. The caller is the only writer. */
int publish_sweep(int dirfd);

#define _cleanup_publish_ __attribute__((cleanup(publish_release)))

#endif
