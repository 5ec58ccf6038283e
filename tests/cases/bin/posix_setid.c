/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix setid: what remains of suid and sgid after each operation, done by root, by the
 * owner, and by the owner as a member of the file's group or not; sgid of
 * directories and what they give to the new; sticky directories. As root.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "posix.h"

#define USER 2001
#define OTHER_USER 2002
#define GROUP 3001 /* of the files */
#define OTHER_GROUP 3002

struct actor {
	const char *name;
	uid_t uid;
	gid_t gid, more;
};

static const struct actor actors[] = {
	{ "root", 0, 0, 0 },
	{ "owner in the group", USER, GROUP, GROUP },
	{ "owner with it among others", USER, OTHER_GROUP, GROUP },
	{ "owner outside the group", USER, OTHER_GROUP, OTHER_GROUP },
};

static int to_close(int fd, int r)
{
	must("close", close(fd));
	return r;
}

static int open_f(int flags)
{
	return (int)must("open", open("f", flags));
}

static int op_write(void)
{
	int fd = open_f(O_WRONLY);

	return to_close(fd, (int)write(fd, "x", 1));
}

static int op_direct_write(void)
{
	int fd = open_f(O_WRONLY | O_APPEND | O_SYNC);

	return to_close(fd, (int)write(fd, "x", 1));
}

static int op_write_nothing(void)
{
	int fd = open_f(O_WRONLY);

	return to_close(fd, (int)write(fd, "", 0));
}

static int op_truncate(void)
{
	return truncate("f", 1);
}

static int op_truncate_same(void)
{
	return truncate("f", 4);
}

static int op_open_trunc(void)
{
	return to_close(open_f(O_WRONLY | O_TRUNC), 0);
}

static int op_reserve(void)
{
	int fd = open_f(O_WRONLY);

	return to_close(fd, fallocate(fd, 0, 0, 100));
}

static int op_punch(void)
{
	int fd = open_f(O_WRONLY);

	return to_close(
		fd, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      2));
}

static int op_copy(void)
{
	int in = (int)must("open", open("source", O_RDONLY));
	int fd = open_f(O_WRONLY);
	ssize_t n = copy_file_range(in, NULL, fd, NULL, 4, 0);

	close(in);
	return to_close(fd, n == 4 ? 0 : -1);
}

static int op_map(void)
{
	int fd = open_f(O_RDWR);
	char *p = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	p[0] = 'm';
	return to_close(fd, msync(p, 4, MS_SYNC) | munmap(p, 4));
}

static int op_chown_nothing(void)
{
	return chown("f", (uid_t)-1, (gid_t)-1);
}

static int op_chown_same(void)
{
	return chown("f", USER, GROUP);
}

static int op_chgrp(void)
{
	return chown("f", (uid_t)-1, OTHER_GROUP);
}

static int op_chmod(void)
{
	return chmod("f", 06755);
}

static int op_chmod_sgid(void)
{
	return chmod("f", 02644);
}

static int op_link(void)
{
	return link("f", "g") | unlink("g");
}

static int op_rename(void)
{
	return rename("f", "g") | rename("g", "f");
}

static int op_touch(void)
{
	return utimensat(AT_FDCWD, "f", NULL, 0);
}

static int op_setxattr(void)
{
	return setxattr("f", "user.x", "1", 1, 0);
}

static int op_setacl(void)
{
	const struct acl_bits bits = { 7, 5, 5, 5, 5, 2009 };
	uint8_t acl[64];
	size_t len = make_acl(&bits, acl);

	return setxattr("f", "system.posix_acl_access", acl, len, 0);
}

#define OP(name)                 \
	{                        \
#name, op_##name \
	}

static const struct {
	const char *name;
	int (*run)(void);
} ops[] = {
	OP(write),	   OP(direct_write), OP(write_nothing), OP(truncate),
	OP(truncate_same), OP(open_trunc),   OP(reserve),	OP(punch),
	OP(copy),	   OP(map),	     OP(chown_nothing), OP(chown_same),
	OP(chgrp),	   OP(chmod),	     OP(chmod_sgid),	OP(link),
	OP(rename),	   OP(touch),	     OP(setxattr),	OP(setacl),
};

static const mode_t modes[] = { 06755, 04755, 02755, 02745, 02644, 06666, 0644 };

static void become(const struct actor *a)
{
	must("setgroups", setgroups(1, &a->more));
	must("setgid", setresgid(a->gid, a->gid, a->gid));
	must("setuid", setresuid(a->uid, a->uid, a->uid));
}

/* In a process of its own, since nobody comes back from it. */
static void as(const struct actor *a, const char *name, int (*op)(void))
{
	pid_t pid = (pid_t)must("fork", fork());
	int status;

	if (pid == 0) {
		become(a);
		said(name, op());
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die(name);
}

static void show(const char *path)
{
	struct stat st;

	must(path, lstat(path, &st));
	printf("\t%s: %04o %u:%u\n", path, st.st_mode & 07777, st.st_uid,
	       st.st_gid);
}

static void file_with(mode_t mode)
{
	unlink("f");
	put_file("f", "0123", 0600);
	must("chown", chown("f", USER, GROUP));
	must("chmod", chmod("f", mode));
}

static void files(void)
{
	size_t a, m, o;

	put_file("source", "copy", 0644);
	for (a = 0; a < sizeof(actors) / sizeof(*actors); a++)
		for (m = 0; m < sizeof(modes) / sizeof(*modes); m++) {
			printf("%s, %04o\n", actors[a].name, modes[m]);
			for (o = 0; o < sizeof(ops) / sizeof(*ops); o++) {
				file_with(modes[m]);
				fflush(stdout);
				as(&actors[a], ops[o].name, ops[o].run);
				show("f");
			}
		}
}

/* ---- directories that give their group */

static int op_make_all(void)
{
	umask(0);
	must("mkdir", mkdir("sgid/dir", 0777));
	must("mknod", mknod("sgid/file", S_IFREG | 02777, 0));
	must("mkfifo", mkfifo("sgid/fifo", 0666));
	must("symlink", symlink("x", "sgid/link"));
	must("mkdir", mkdir("sgid/dir/below", 0700));
	must("open", open("sgid/plain", O_CREAT | O_WRONLY, 02674));
	return 0;
}

static int op_clear(void)
{
	return unlink("sgid/file") | unlink("sgid/fifo") | unlink("sgid/link") |
	       unlink("sgid/plain") | rmdir("sgid/dir/below") |
	       rmdir("sgid/dir");
}

static void sgid_directories(void)
{
	size_t a;

	must("mkdir", mkdir("sgid", 0777));
	must("chown", chown("sgid", 0, GROUP));
	must("chmod", chmod("sgid", 02777));
	for (a = 0; a < sizeof(actors) / sizeof(*actors); a++) {
		printf("in an sgid directory: %s\n", actors[a].name);
		fflush(stdout);
		as(&actors[a], "make", op_make_all);
		show("sgid/dir");
		show("sgid/dir/below");
		show("sgid/file");
		show("sgid/fifo");
		show("sgid/link");
		show("sgid/plain");
		must("clear", op_clear());
	}
}

/* ---- directories that are sticky */

static int op_unlink(void)
{
	return unlink("sticky/f");
}

static int op_rename_out(void)
{
	return rename("sticky/f", "open/f");
}

static int op_rename_over(void)
{
	return rename("open/g", "sticky/f");
}

static int op_rmdir(void)
{
	return rmdir("sticky/d");
}

static const struct {
	const char *name;
	int (*run)(void);
} sticky_ops[] = { OP(unlink), OP(rename_out), OP(rename_over), OP(rmdir) };

static void sticky_directories(void)
{
	static const struct actor who[] = {
		{ "the file's owner", USER, USER, USER },
		{ "the directory's owner", OTHER_USER, OTHER_USER, OTHER_USER },
		{ "somebody else", 2003, 2003, 2003 },
	};
	size_t a, o;

	must("mkdir", mkdir("sticky", 01777) | mkdir("open", 0777));
	must("chmod", chmod("sticky", 01777) | chmod("open", 0777));
	must("chown", chown("sticky", OTHER_USER, OTHER_USER));
	for (a = 0; a < sizeof(who) / sizeof(*who); a++)
		for (o = 0; o < sizeof(sticky_ops) / sizeof(*sticky_ops); o++) {
			put_file("sticky/f", "f", 0666);
			put_file("open/g", "g", 0666);
			(void)!mkdir("sticky/d", 0777);
			must("chown", chown("sticky/f", USER, USER) |
					      chown("sticky/d", USER, USER));
			printf("sticky, %s: ", who[a].name);
			fflush(stdout);
			as(&who[a], sticky_ops[o].name, sticky_ops[o].run);
			unlink("open/f");
		}
}

int setid_main(void)
{
	must("root", getuid() == 0 ? 0 : -1);
	files();
	sgid_directories();
	sticky_directories();
	return 0;
}
