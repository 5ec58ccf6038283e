/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix times: which times each operation changes, of the file and of the
 * directories "d" and "e". Access times are left out: a mount has none but those that
 * are set.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "posix.h"

#define FILES 4

static const char *const watched[FILES] = { "d", "e", "d/f", "d/g" };

static int open_f(int flags)
{
	return (int)must("open d/f", open("d/f", flags | O_CLOEXEC, 0644));
}

static int closing(int fd, int r)
{
	close(fd);
	return r;
}

static int op_create(void)
{
	return closing(open("d/new", O_CREAT | O_EXCL | O_WRONLY, 0644), 0);
}

static int op_create_there(void)
{
	return open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0644);
}

static int op_open_create_there(void)
{
	return closing(open("d/f", O_CREAT | O_WRONLY, 0644), 0);
}

static int op_write(void)
{
	int fd = open_f(O_WRONLY);

	return closing(fd, (int)write(fd, "x", 1));
}

static int op_write_nothing(void)
{
	int fd = open_f(O_WRONLY);

	return closing(fd, (int)write(fd, "", 0));
}

static int op_append(void)
{
	int fd = open_f(O_WRONLY | O_APPEND);

	return closing(fd, (int)write(fd, "x", 1));
}

static int op_read(void)
{
	int fd = open_f(O_RDONLY);
	char c;

	return closing(fd, (int)read(fd, &c, 1));
}

static int op_grow(void)
{
	return truncate("d/f", 100);
}

static int op_shrink(void)
{
	return truncate("d/f", 2);
}

static int op_truncate_same(void)
{
	return truncate("d/f", 10);
}

static int op_ftruncate_same(void)
{
	int fd = open_f(O_WRONLY);

	return closing(fd, ftruncate(fd, 10));
}

static int op_open_trunc(void)
{
	return closing(open_f(O_WRONLY | O_TRUNC), 0);
}

static int op_open_trunc_empty(void)
{
	return closing((int)must("open", open("d/g", O_WRONLY | O_TRUNC)), 0);
}

static int op_chmod(void)
{
	return chmod("d/f", 0600);
}

static int op_chmod_same(void)
{
	return chmod("d/f", 0644);
}

static int op_chown_nothing(void)
{
	return chown("d/f", (uid_t)-1, (gid_t)-1);
}

static int op_chown_same(void)
{
	return chown("d/f", getuid(), getgid());
}

static int op_link(void)
{
	return link("d/f", "e/l");
}

static int op_link_there(void)
{
	return link("d/f", "d/g");
}

static int op_unlink(void)
{
	return unlink("d/u");
}

static int op_unlink_missing(void)
{
	return unlink("d/missing");
}

static int op_rename(void)
{
	return rename("d/f", "d/r");
}

static int op_rename_back(void)
{
	return rename("d/r", "d/f");
}

static int op_rename_away(void)
{
	return rename("d/f", "e/f");
}

static int op_rename_home(void)
{
	return rename("e/f", "d/f");
}

static int op_rename_over(void)
{
	put_file("e/o", "over", 0644);
	next_tick();
	return rename("e/o", "d/u");
}

static int op_rename_self(void)
{
	return rename("d/f", "d/f");
}

static int op_rename_link(void)
{
	must("link", link("d/f", "d/l"));
	next_tick();
	return rename("d/f", "d/l");
}

static int op_exchange(void)
{
	return renameat2(AT_FDCWD, "d/f", AT_FDCWD, "e/x", RENAME_EXCHANGE);
}

static int op_mkdir(void)
{
	return mkdir("d/dir", 0755);
}

static int op_mkdir_there(void)
{
	return mkdir("d/f", 0755);
}

static int op_mkdir_below(void)
{
	return mkdir("d/dir/below", 0755);
}

static int op_rename_dir(void)
{
	return rename("d/dir", "e/dir");
}

static int op_rmdir_full(void)
{
	return rmdir("e/dir");
}

static int op_rmdir(void)
{
	must("rmdir", rmdir("e/dir/below"));
	return rmdir("e/dir");
}

static int op_symlink(void)
{
	return symlink("f", "d/s");
}

static int op_readlink(void)
{
	char buf[8];

	return (int)readlink("d/s", buf, sizeof(buf));
}

static int op_mkfifo(void)
{
	return mkfifo("d/fifo", 0644);
}

static int op_setxattr(void)
{
	return setxattr("d/f", "user.x", "1", 1, 0);
}

static int op_setxattr_fails(void)
{
	return setxattr("d/f", "user.x", "1", 1, XATTR_CREATE);
}

static int op_setxattr_dir(void)
{
	return setxattr("d", "user.x", "1", 1, 0);
}

static int op_removexattr(void)
{
	return removexattr("d/f", "user.x");
}

static int op_fallocate(int mode, off_t off, off_t len)
{
	int fd = open_f(O_WRONLY);

	return closing(fd, fallocate(fd, mode, off, len));
}

static int op_reserve(void)
{
	return op_fallocate(0, 0, 5);
}

static int op_reserve_more(void)
{
	return op_fallocate(0, 0, 5000);
}

static int op_reserve_behind(void)
{
	return op_fallocate(FALLOC_FL_KEEP_SIZE, 8192, 5000);
}

static int op_punch(void)
{
	return op_fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5);
}

static int op_zero(void)
{
	return op_fallocate(FALLOC_FL_ZERO_RANGE, 0, 5);
}

static int op_copy(void)
{
	int in = open_f(O_RDONLY);
	int out = (int)must("open d/g", open("d/g", O_WRONLY));
	ssize_t n = copy_file_range(in, NULL, out, NULL, 4, 0);

	close(in);
	return closing(out, n == 4 ? 0 : -1);
}

static int op_map(void)
{
	int fd = open_f(O_RDWR);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	p[0] = 'm';
	if (msync(p, 4096, MS_SYNC) < 0)
		return -1;
	munmap(p, 4096);
	return closing(fd, 0);
}

static int op_touch(void)
{
	return utimensat(AT_FDCWD, "d/f", NULL, 0);
}

static int op_set_times(void)
{
	const struct timespec t[] = { { 5, 5 }, { 6, 6 } };

	return utimensat(AT_FDCWD, "d/f", t, 0);
}

static int op_set_no_times(void)
{
	const struct timespec t[] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	return utimensat(AT_FDCWD, "d/f", t, 0);
}

static int op_set_atime(void)
{
	const struct timespec t[] = { { 7, 7 }, { 0, UTIME_OMIT } };

	return utimensat(AT_FDCWD, "d/f", t, 0);
}

static int op_fsync(void)
{
	int fd = open_f(O_WRONLY);

	return closing(fd, fsync(fd));
}

static int op_tmpfile(void)
{
	return closing(open("d", O_TMPFILE | O_WRONLY, 0644), 0);
}

#define OP(name)                 \
	{                        \
#name, op_##name \
	}

/* In this order; each finds what the ones before it left. */
static const struct {
	const char *name;
	int (*run)(void);
} ops[] = {
	OP(create),
	OP(create_there),
	OP(open_create_there),
	OP(write),
	OP(write_nothing),
	OP(append),
	OP(read),
	OP(shrink),
	OP(grow),
	OP(shrink),
	OP(write),
	OP(truncate_same),
	OP(ftruncate_same),
	OP(open_trunc),
	OP(open_trunc_empty),
	OP(write),
	OP(chmod),
	OP(chmod_same),
	OP(chown_nothing),
	OP(chown_same),
	OP(link),
	OP(link_there),
	OP(unlink),
	OP(unlink_missing),
	OP(rename),
	OP(rename_back),
	OP(rename_away),
	OP(rename_home),
	OP(rename_over),
	OP(rename_self),
	OP(rename_link),
	OP(exchange),
	OP(exchange),
	OP(mkdir),
	OP(mkdir_there),
	OP(mkdir_below),
	OP(rename_dir),
	OP(rmdir_full),
	OP(rmdir),
	OP(symlink),
	OP(readlink),
	OP(mkfifo),
	OP(setxattr),
	OP(setxattr_fails),
	OP(setxattr_dir),
	OP(removexattr),
	OP(reserve),
	OP(reserve_more),
	OP(reserve_behind),
	OP(punch),
	OP(zero),
	OP(copy),
	OP(map),
	OP(touch),
	OP(set_times),
	OP(set_no_times),
	OP(set_atime),
	OP(fsync),
	OP(tmpfile),
};

/* The same inode whatever its name is by then. */
static int fds[FILES];

static int differs(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

static void run(const char *name, int (*op)(void))
{
	struct stat before[FILES], after;
	int k;

	for (k = 0; k < FILES; k++)
		must("fstat", fstat(fds[k], &before[k]));
	next_tick();
	said(name, op());
	for (k = 0; k < FILES; k++) {
		int m, c;

		must("fstat", fstat(fds[k], &after));
		m = differs(before[k].st_mtim, after.st_mtim);
		c = differs(before[k].st_ctim, after.st_ctim);
		if (m || c)
			printf("\t%s:%s%s\n", watched[k], m ? " mtime" : "",
			       c ? " ctime" : "");
	}
}

/* Unless it is there: then it may belong to a base. */
static void make_ground(void)
{
	if (access("d", F_OK) == 0)
		return;
	must("mkdir", mkdir("d", 0755) | mkdir("e", 0755));
	put_file("d/f", "0123456789", 0644);
	put_file("d/g", "", 0644);
	put_file("d/u", "u", 0644);
	put_file("e/x", "x", 0644);
}

int times_main(void)
{
	size_t k;

	make_ground();
	for (k = 0; k < FILES; k++)
		fds[k] = (int)must("open", open(watched[k], O_RDONLY));
	for (k = 0; k < sizeof(ops) / sizeof(*ops); k++)
		run(ops[k].name, ops[k].run);
	return 0;
}
