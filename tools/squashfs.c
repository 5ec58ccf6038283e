/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqfs2tar and tar2sqfs as children, a pipe's length from the daemon. The
 * first has a guard between us and it: the end of a pipe says nothing of how
 * its writer ended, and the daemon publishes an entry at the end of the tar.
 */
#include "squashfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cmd.h"
#include "spawn.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define IMAGE_FD 3
#define DAMAGE_BYTES 1024 /* more than a header of a tar */

bool squashfs_is_image(int fd)
{
	static const char magic[4] = { 'h', 's', 'q', 's' };
	char head[sizeof(magic)];
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       memcmp(head, magic, sizeof(magic)) == 0;
}

int squashfs_check(struct failure *ret_failure)
{
	static const char *const reader[] = { "sqfs2tar", "--version", NULL };
	static const char *const writer[] = { "tar2sqfs", "--version", NULL };
	_cleanup_free_ char *r = spawn_output(reader);
	_cleanup_free_ char *w = spawn_output(writer);

	if (r && w)
		return 0;
	return failure_set(ret_failure, -ENOENT, EXIT_ERROR,
			   "%s is not installed: SquashFS images need the "
			   "package squashfs-tools-ng",
			   (r ? writer : reader)[0]);
}

static void become(const char *const argv[])
{
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], (char *const *)argv);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* ---- image to tar */

/* In the guard, which has a copy of the tar's writing end until it ends. */
static void guard(const char *const argv[], int image, int tar)
{
	uint8_t damage[DAMAGE_BYTES];
	pid_t pid;
	int code;

	dup2(tar, STDOUT_FILENO);
	image = fcntl(image, F_DUPFD_CLOEXEC, IMAGE_FD);
	if (image == IMAGE_FD)
		fcntl(image, F_SETFD, 0);
	else
		dup2(image, IMAGE_FD);
	pid = fork();
	if (pid == 0)
		become(argv);
	code = pid < 0 ? EXIT_NOT_EXECUTABLE : child_wait(pid);
	if (code != 0) {
		memset(damage, 0xff, sizeof(damage));
		signal(SIGPIPE, SIG_IGN);
		(void)!io_write(STDOUT_FILENO, damage, sizeof(damage));
	}
	_exit(code);
}

static int pipe_failed(struct failure *f, int err)
{
	return failure_set(f, -err, EXIT_ERROR, "cannot start a process: %s",
			   strerror(err));
}

int squashfs_read(int image, struct squashfs *ret_s, int *ret_fd,
		  struct failure *ret_failure)
{
	static const char *const argv[] = {
		"sqfs2tar",  "--root-becomes", ".",
		"--no-skip", "/dev/fd/3",      NULL
	};
	struct squashfs s = { .program = argv[0] };
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return pipe_failed(ret_failure, errno);
	fflush(NULL);
	s.pid = fork();
	err = errno;
	if (s.pid == 0)
		guard(argv, image, ends[1]);
	close(ends[1]);
	if (s.pid < 0) {
		close(ends[0]);
		return pipe_failed(ret_failure, err);
	}
	*ret_s = s;
	*ret_fd = ends[0];
	return 0;
}

/* ---- tar to image */

int squashfs_write(const char *path, const char *compressor,
		   const char *block_size, struct squashfs *ret_s, int *ret_fd,
		   struct failure *ret_failure)
{
	_cleanup_free_ char *partial =
		io_path("%s.%d.partial", path, (int)getpid());
	const char *argv[] = { "tar2sqfs",
			       "--quiet",
			       "--force",
			       "--no-skip",
			       "--compressor",
			       compressor ? compressor : "zstd",
			       "--block-size",
			       block_size ? block_size : "131072",
			       "--",
			       partial,
			       NULL };
	struct squashfs s = { .program = argv[0] };
	int ends[2], err;

	if (!partial)
		return failure_set(ret_failure, -ENOMEM, EXIT_ERROR,
				   "out of memory");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return pipe_failed(ret_failure, errno);
	fflush(NULL);
	s.pid = fork();
	err = errno;
	if (s.pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		become(argv);
	}
	close(ends[0]);
	if (s.pid < 0) {
		close(ends[1]);
		return pipe_failed(ret_failure, err);
	}
	s.partial = steal_ptr(&partial);
	*ret_s = s;
	*ret_fd = ends[1];
	return 0;
}

/* ---- the end */

int squashfs_finish(struct squashfs *s, const char *path,
		    struct failure *ret_failure)
{
	int code = child_wait(s->pid);

	s->pid = 0;
	if (code != 0)
		return failure_set(ret_failure, -EIO, EXIT_ERROR,
				   "%s failed with code %d", s->program, code);
	if (!s->partial)
		return 0;
	if (rename(s->partial, path) < 0)
		return failure_set(ret_failure, -errno, EXIT_ERROR,
				   "cannot write %s: %s", path,
				   strerror(errno));
	free(steal_ptr(&s->partial));
	return 0;
}

void squashfs_release(struct squashfs *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGTERM);
		child_wait(s->pid);
	}
	if (s->partial)
		unlink(s->partial);
	free(s->partial);
	*s = (struct squashfs)SQUASHFS_INIT;
}
