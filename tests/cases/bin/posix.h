/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix: what a program of the cases needs to write transcripts of system
 * calls. A transcript says what the calls returned and what changed, and nothing that
 * may differ between two local file systems, so that the one made in a mount
 * can be compared with the one made beside it. It is linked with nothing of Larder.
 */
#ifndef LARDER_TESTS_POSIX_H
#define LARDER_TESTS_POSIX_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Ends the program: the ground that a transcript stands on is not there. */
void die(const char *what) __attribute__((noreturn));

/* Prints "what: ok" or the name of errno, and gives `r` back. */
long said(const char *what, long r);

/* Prints "what: r", or the name of errno, and gives `r` back. */
long told(const char *what, long r);

/* Fails where `r` is negative. */
long must(const char *what, long r);

/* Waits until the clock of file times has moved. */
void next_tick(void);

void put_file(const char *path, const char *text, mode_t mode);

/* An ACL of the caller's mode bits with an entry for a user and a mask, or without
 * them (uid UINT32_MAX): its length. */
struct acl_bits {
	unsigned owner, user, group, mask, other;
	uint32_t uid;
};
size_t make_acl(const struct acl_bits *bits, uint8_t *buf);

/* What `call` makes of `arg` in a new process: the process exits with errno, or 0,
 * which is printed. */
void said_by_other(const char *what, long (*call)(void *arg), void *arg);

/* The areas. */
int data_main(void);
int dir_main(void);
int errors_main(void);
int events_main(void);
int locks_main(void);
int setid_main(void);
int times_main(void);
int unlinked_main(void);
int xattrs_main(void);

#endif
