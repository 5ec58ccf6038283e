/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix unlinked: what can be done with files and directories that have no name,
 * having lost it or never had one.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "posix.h"

static void show(const char *what, int fd)
{
	char buf[32] = "";
	struct stat st;

	must("fstat", fstat(fd, &st));
	must("pread", pread(fd, buf, sizeof(buf) - 1, 0));
	printf("%s: links %ju mode %o size %jd owner %u '%s'\n", what,
	       (uintmax_t)st.st_nlink, st.st_mode, (intmax_t)st.st_size,
	       st.st_uid, buf);
}

static const char *proc_path(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int link_fd(int fd, const char *to)
{
	return linkat(AT_FDCWD, proc_path(fd), AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

/* All that needs no name. */
static void use(int fd)
{
	char *p;
	int again;

	said("  write", pwrite(fd, "written", 7, 2));
	show("  written", fd);
	said("  ftruncate", ftruncate(fd, 5));
	said("  grow", ftruncate(fd, 100000));
	said("  fallocate", fallocate(fd, 0, 100000, 10));
	said("  fchmod", fchmod(fd, 0640));
	said("  fchown", fchown(fd, geteuid(), getegid()));
	said("  futimens", futimens(fd, NULL));
	said("  fsync", fsync(fd));
	said("  fdatasync", fdatasync(fd));
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	memcpy(p, "map", 3);
	munmap(p, 4096);
	show("  changed", fd);
	again = (int)said("  open again", open(proc_path(fd), O_RDWR));
	if (again < 0)
		return;
	said("  write there", pwrite(again, "again", 5, 0));
	close(again);
	show("  and there", fd);
	again = (int)said("  open to truncate",
			  open(proc_path(fd), O_RDWR | O_TRUNC));
	close(again);
	show("  truncated", fd);
	said("  truncate by path", truncate(proc_path(fd), 3));
	said("  chmod by path", chmod(proc_path(fd), 0600));
	show("  last", fd);
}

static void unlinked_files(void)
{
	int fd;

	put_file("f", "0123456789", 0644);
	fd = (int)must("open", open("f", O_RDWR));
	must("link", link("f", "g"));
	must("unlink", unlink("f"));
	show("one name left", fd);
	must("unlink", unlink("g"));
	puts("unlinked");
	use(fd);
	said("link it", link_fd(fd, "back"));
	said("link it, AT_EMPTY_PATH",
	     linkat(fd, "", AT_FDCWD, "back", AT_EMPTY_PATH));
	said("no name", access("f", F_OK));
	must("close", close(fd));

	put_file("f", "0123456789", 0644);
	put_file("over", "another", 0644);
	fd = (int)must("open", open("f", O_RDWR));
	must("rename", rename("over", "f"));
	puts("renamed over");
	use(fd);
	must("close", close(fd));
	fd = (int)must("open", open("f", O_RDWR));
	show("what came", fd);
	must("close", close(fd));
}

static void nameless_files(void)
{
	int fd = (int)said("O_TMPFILE", open(".", O_TMPFILE | O_RDWR, 0644));
	int reader, other;

	use(fd);
	said("link it", link_fd(fd, "named"));
	show("named", fd);
	said("link over", link_fd(fd, "named"));
	said("link again", link_fd(fd, "twice"));
	show("named twice", fd);
	must("unlink", unlink("named") | unlink("twice"));
	said("link when removed", link_fd(fd, "named"));
	must("close", close(fd));

	fd = (int)said("O_EXCL", open(".", O_TMPFILE | O_RDWR | O_EXCL, 0644));
	said("link it", link_fd(fd, "named"));
	must("close", close(fd));
	said("for reading", open(".", O_TMPFILE | O_RDONLY, 0644));
	said("in a file", open("f", O_TMPFILE | O_RDWR, 0644));
	said("in nothing", open("none", O_TMPFILE | O_RDWR, 0644));
	fd = (int)said("mode 0", open(".", O_TMPFILE | O_RDWR, 0));
	show("mode 0", fd);
	said("link by AT_EMPTY_PATH",
	     linkat(fd, "", AT_FDCWD, "empty-path", AT_EMPTY_PATH));
	show("linked", fd);
	must("close", close(fd));
	must("mkdir", mkdir("gone", 0755));
	fd = (int)must("O_TMPFILE", open("gone", O_TMPFILE | O_RDWR, 0600));
	said("rmdir of where it is", rmdir("gone"));
	use(fd);
	said("link it elsewhere", link_fd(fd, "elsewhere"));
	must("close", close(fd));
	reader = (int)must("open", open("elsewhere", O_RDONLY));
	show("elsewhere", reader);
	must("close", close(reader));
	fd = (int)must("O_TMPFILE", open(".", O_TMPFILE | O_RDWR, 0600));
	other = (int)must("O_TMPFILE", open(".", O_TMPFILE | O_RDWR, 0600));
	must("write", write(fd, "first", 5));
	must("write", write(other, "second", 6));
	show("two at a time, one", fd);
	show("two at a time, the other", other);
	must("close", close(fd) | close(other));
}

static void removed_directories(void)
{
	struct dirent *de;
	struct stat st;
	DIR *dir;
	int fd;

	must("mkdir", mkdir("d", 0755));
	put_file("f", "x", 0644);
	fd = (int)must("open", open("d", O_RDONLY | O_DIRECTORY));
	said("rmdir", rmdir("d"));
	must("fstat", fstat(fd, &st));
	told("links", (long)st.st_nlink);
	said("create in it", openat(fd, "x", O_CREAT | O_WRONLY, 0644));
	said("mkdir in it", mkdirat(fd, "x", 0755));
	said("symlink in it", symlinkat("x", fd, "x"));
	said("mknod in it", mknodat(fd, "x", S_IFIFO | 0644, 0));
	said("link into it", linkat(AT_FDCWD, "f", fd, "x", 0));
	said("rename into it", renameat(AT_FDCWD, "f", fd, "x"));
	said("look up in it", faccessat(fd, "x", F_OK, 0));
	said("its parent", faccessat(fd, "..", F_OK, 0));
	said("itself", faccessat(fd, ".", F_OK, 0));
	said("fchmod", fchmod(fd, 0700));
	said("futimens", futimens(fd, NULL));
	said("fsync", fsync(fd));
	dir = fdopendir(fd);
	if (!dir)
		die("fdopendir");
	while ((de = readdir(dir)))
		puts("an entry");
	said("made again", mkdir("d", 0755));
	said("... create in the old",
	     openat(fd, "x", O_CREAT | O_WRONLY, 0644));
	closedir(dir);
	said("... the new is empty", rmdir("d"));
}

int unlinked_main(void)
{
	unlinked_files();
	nameless_files();
	removed_directories();
	return 0;
}
