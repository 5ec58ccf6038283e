/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix events: what inotify tells of a directory and of a file in it after each
 * operation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "posix.h"

static int closing(int fd)
{
	return fd < 0 ? -1 : close(fd);
}

static int op_create(void)
{
	return closing(open("d/new", O_CREAT | O_WRONLY, 0644));
}

static int op_write(void)
{
	int fd = open("d/f", O_WRONLY);

	return write(fd, "x", 1) != 1 ? -1 : closing(fd);
}

static int op_read(void)
{
	int fd = open("d/f", O_RDONLY);
	char c;

	return read(fd, &c, 1) != 1 ? -1 : closing(fd);
}

static int op_truncate(void)
{
	return truncate("d/f", 3);
}

static int op_open_trunc(void)
{
	return closing(open("d/f", O_WRONLY | O_TRUNC));
}

static int op_fallocate(void)
{
	int fd = open("d/f", O_WRONLY);

	return fallocate(fd, 0, 0, 100) < 0 ? -1 : closing(fd);
}

static int op_copy(void)
{
	int in = open("d/new", O_RDWR), out = open("d/f", O_WRONLY);

	if (write(in, "abc", 3) != 3 || lseek(in, 0, SEEK_SET) != 0 ||
	    copy_file_range(in, NULL, out, NULL, 3, 0) != 3)
		return -1;
	return closing(in) | closing(out);
}

static int op_map(void)
{
	int fd = open("d/f", O_RDWR);
	char *p = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	p[0] = 'm';
	return munmap(p, 3) < 0 ? -1 : closing(fd);
}

static int op_chmod(void)
{
	return chmod("d/f", 0600);
}

static int op_utimes(void)
{
	return utimensat(AT_FDCWD, "d/f", NULL, 0);
}

static int op_setxattr(void)
{
	return setxattr("d/f", "user.a", "b", 1, 0);
}

static int op_removexattr(void)
{
	return removexattr("d/f", "user.a");
}

static int op_chmod_dir(void)
{
	return chmod("d", 0700);
}

static int op_link(void)
{
	return link("d/f", "d/hard");
}

static int op_unlink_link(void)
{
	return unlink("d/hard");
}

static int op_rename(void)
{
	return rename("d/new", "d/renamed");
}

static int op_rename_over(void)
{
	return closing(open("d/over", O_CREAT | O_WRONLY, 0644)) < 0 ?
		       -1 :
		       rename("d/renamed", "d/over");
}

static int op_rename_out(void)
{
	return rename("d/over", "out");
}

static int op_rename_in(void)
{
	return rename("out", "d/in");
}

static int op_exchange(void)
{
	return renameat2(AT_FDCWD, "d/in", AT_FDCWD, "d/f", RENAME_EXCHANGE);
}

static int op_mkdir(void)
{
	return mkdir("d/sub", 0755);
}

static int op_symlink(void)
{
	return symlink("f", "d/link");
}

static int op_mkfifo(void)
{
	return mkfifo("d/fifo", 0644);
}

static int op_rmdir(void)
{
	return rmdir("d/sub");
}

static int op_tmpfile(void)
{
	return closing(open("d", O_TMPFILE | O_WRONLY, 0644));
}

static int op_failed(void)
{
	return mkdir("d/f", 0755);
}

static int op_unlink_open(void)
{
	int fd = open("d/in", O_WRONLY);

	return unlink("d/in") < 0 || write(fd, "x", 1) != 1 ? -1 : closing(fd);
}

static int op_unlink_all(void)
{
	return unlink("d/f") | unlink("d/link") | unlink("d/fifo");
}

static int op_rmdir_watched(void)
{
	return rmdir("d");
}

static const struct {
	const char *name;
	int (*run)(void);
} ops[] = {
	{ "create", op_create },
	{ "write", op_write },
	{ "read", op_read },
	{ "truncate", op_truncate },
	{ "open O_TRUNC", op_open_trunc },
	{ "fallocate", op_fallocate },
	{ "copy_file_range", op_copy },
	{ "mmap", op_map },
	{ "chmod", op_chmod },
	{ "utimensat", op_utimes },
	{ "setxattr", op_setxattr },
	{ "removexattr", op_removexattr },
	{ "chmod of the directory", op_chmod_dir },
	{ "link", op_link },
	{ "unlink of one of two", op_unlink_link },
	{ "rename", op_rename },
	{ "rename over another", op_rename_over },
	{ "rename out", op_rename_out },
	{ "rename in", op_rename_in },
	{ "exchange", op_exchange },
	{ "mkdir", op_mkdir },
	{ "symlink", op_symlink },
	{ "mkfifo", op_mkfifo },
	{ "rmdir", op_rmdir },
	{ "O_TMPFILE", op_tmpfile },
	{ "failed mkdir", op_failed },
	{ "unlink of an open file", op_unlink_open },
	{ "unlink", op_unlink_all },
	{ "rmdir of the directory", op_rmdir_watched },
};

static const struct {
	uint32_t bit;
	const char *name;
} bits[] = {
	{ IN_ACCESS, "access" },	   { IN_MODIFY, "modify" },
	{ IN_ATTRIB, "attrib" },	   { IN_CLOSE_WRITE, "close-write" },
	{ IN_CLOSE_NOWRITE, "close" },	   { IN_OPEN, "open" },
	{ IN_MOVED_FROM, "moved-from" },   { IN_MOVED_TO, "moved-to" },
	{ IN_CREATE, "create" },	   { IN_DELETE, "delete" },
	{ IN_DELETE_SELF, "delete-self" }, { IN_MOVE_SELF, "move-self" },
	{ IN_IGNORED, "ignored" },	   { IN_ISDIR, "dir" },
};

/* A file without a name is told of all the same, by what the file system calls it
 * inside. */
static const char *event_name(const struct inotify_event *event)
{
	if (event->len == 0)
		return "itself";
	return strchr("/#", event->name[0]) ? "no name" : event->name;
}

static void show_event(const struct inotify_event *event, int file)
{
	size_t k;

	printf("  %s", event->wd == file ? "file" : "dir");
	for (k = 0; k < sizeof(bits) / sizeof(*bits); k++)
		if (event->mask & bits[k].bit)
			printf(" %s", bits[k].name);
	printf(": %s\n", event_name(event));
}

static void show_events(int fd, int file)
{
	_Alignas(struct inotify_event) char buf[16384];
	ssize_t n, at;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n;) {
			const struct inotify_event *event =
				(const void *)(buf + at);

			show_event(event, file);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	if (errno != EAGAIN)
		die("inotify");
}

int events_main(void)
{
	int fd = (int)must("inotify_init", inotify_init1(IN_NONBLOCK)), file;
	size_t k;

	must("mkdir", mkdir("d", 0755));
	put_file("d/f", "0123456789", 0644);
	must("watch", inotify_add_watch(fd, "d", IN_ALL_EVENTS));
	file = (int)must("watch", inotify_add_watch(fd, "d/f", IN_ALL_EVENTS));
	for (k = 0; k < sizeof(ops) / sizeof(*ops); k++) {
		said(ops[k].name, ops[k].run());
		show_events(fd, file);
	}
	return 0;
}
