/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix errors: names of any bytes and of all lengths, and what is said of those
 * that are too long, loop, or are of the wrong kind.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "posix.h"

static int open_close(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	return fd < 0 ? -1 : close(fd);
}

static int list_length(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	if (!dir)
		die(path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- bytes and lengths */

/* Each byte as a name and within one; bytes that are no text among them. */
static void any_bytes(void)
{
	int made = 0, there = 0, c;
	char name[] = "bytes/?", within[] = "bytes/a?b";

	must("mkdir", mkdir("bytes", 0755));
	for (c = 1; c < 256; c++) {
		name[6] = within[7] = (char)c;
		made += open_close(name, O_CREAT | O_EXCL | O_WRONLY) == 0;
		made += open_close(within, O_CREAT | O_EXCL | O_WRONLY) == 0;
	}
	told("names made", made);
	for (c = 1; c < 256; c++) {
		name[6] = within[7] = (char)c;
		there +=
			(access(name, F_OK) == 0) + (access(within, F_OK) == 0);
	}
	told("names found", there);
	told("names listed", list_length("bytes"));
	put_file("bytes/\xc3\xa9", "composed", 0644);
	said("another form of a letter", access("bytes/e\xcc\x81", F_OK));
	said("another case", access("bytes/A\x41"
				    "B",
				    F_OK));
}

static void names_of(size_t len, int c)
{
	char name[300] = "", other[300] = "";

	memset(name, c, len);
	memcpy(other, name, len);
	other[len / 2] = 'o';
	printf("%zu times %02x\n", len, c);
	said("  lookup", access(name, F_OK));
	said("  create", open_close(name, O_CREAT | O_EXCL | O_WRONLY));
	said("  link", link(name, other));
	said("  link from short", link("file", other));
	said("  rename", rename(name, other));
	said("  rename to short", rename(other, "short"));
	said("  rename from short", rename("short", other));
	said("  unlink", unlink(other));
	said("  unlink", unlink(name));
	said("  mkdir", mkdir(name, 0755));
	said("  in it", access(strcat(name, "/x"), F_OK));
	name[len] = '\0';
	said("  rmdir", rmdir(name));
	said("  symlink", symlink("x", name));
	said("  unlink", unlink(name));
	said("  mkfifo", mkfifo(name, 0644));
	said("  truncate", truncate(name, 0));
	said("  unlink", unlink(name));
	unlink("short");
}

/* "/././…/file" or so, of `len` bytes. */
static const char *path_of(size_t len, const char *last)
{
	static char path[PATH_MAX + 10];
	size_t k, head = len - strlen(last);

	for (k = 0; k < head; k++)
		path[k] = k % 2 ? '/' : '.';
	if (head % 2)
		path[head - 1] = '/';
	strcpy(path + head, last);
	return path;
}

static void lengths(void)
{
	static char target[PATH_MAX + 1];
	static char back[PATH_MAX + 1];
	struct statvfs vfs;

	names_of(1, 'n');
	names_of(254, 'n');
	names_of(255, 'n');
	names_of(255, 0xff);
	names_of(256, 'n');
	said("a path of 4095 bytes", access(path_of(4095, "file"), F_OK));
	said("a path of 4096 bytes", access(path_of(4096, "file"), F_OK));
	memset(target, 't', PATH_MAX);
	said("a target of 4096 bytes", symlink(target, "target"));
	target[PATH_MAX - 1] = '\0';
	said("a target of 4095 bytes", symlink(target, "target"));
	told("... read", readlink("target", back, sizeof(back)));
	printf("... the same: %d\n", strcmp(back, target) == 0);
	told("... read in part", readlink("target", back, 10));
	said("an empty target", symlink("", "empty"));
	said("an empty name", open_close("", O_RDONLY));
	must("statvfs", statvfs(".", &vfs));
	told("NAME_MAX", (long)vfs.f_namemax);
	told("_PC_NAME_MAX", pathconf(".", _PC_NAME_MAX));
	told("_PC_LINK_MAX is large", pathconf(".", _PC_LINK_MAX) > 100);
	printf("statfs: size %d, blocks %d, free %d, available %d, "
	       "files %d, free %d, sane %d\n",
	       vfs.f_bsize > 0 && vfs.f_frsize > 0, vfs.f_blocks > 0,
	       vfs.f_bfree > 0, vfs.f_bavail > 0, vfs.f_files > 0,
	       vfs.f_ffree > 0,
	       vfs.f_bavail <= vfs.f_bfree && vfs.f_bfree <= vfs.f_blocks &&
		       vfs.f_ffree <= vfs.f_files);
}

/* ---- symbolic links that lead to others */

static void loops(void)
{
	char from[16], to[16];
	int k;

	must("symlink", symlink("self", "self"));
	must("symlink", symlink("tock", "tick"));
	must("symlink", symlink("tick", "tock"));
	said("open self", open_close("self", O_RDONLY));
	said("create self", open_close("self", O_CREAT | O_WRONLY));
	said("create self O_EXCL", open_close("self", O_CREAT | O_EXCL));
	said("open tick/x", open_close("tick/x", O_RDONLY));
	said("mkdir tick/x", mkdir("tick/x", 0755));
	said("mkdir tick", mkdir("tick", 0755));
	said("rename tick", rename("tick", "tack"));
	said("chmod tock", chmod("tock", 0644));
	said("link self", link("self", "self-2"));
	must("symlink", symlink("file", "link-0"));
	for (k = 1; k < 42; k++) {
		snprintf(from, sizeof(from), "link-%d", k);
		snprintf(to, sizeof(to), "link-%d", k - 1);
		must("symlink", symlink(to, from));
	}
	said("40 links", access("link-39", F_OK));
	said("41 links", access("link-40", F_OK));
	said("O_NOFOLLOW", open_close("link-0", O_RDONLY | O_NOFOLLOW));
	said("O_NOFOLLOW O_PATH", open_close("link-0", O_PATH | O_NOFOLLOW));
	said("O_NOFOLLOW O_DIRECTORY",
	     open_close("link-0", O_NOFOLLOW | O_DIRECTORY));
	must("symlink", symlink("nowhere", "dangling"));
	said("dangling", open_close("dangling", O_RDONLY));
	said("dangling O_CREAT|O_EXCL",
	     open_close("dangling", O_CREAT | O_EXCL));
	said("dangling/x", open_close("dangling/x", O_RDONLY));
	said("mkdir dangling", mkdir("dangling", 0755));
	said("dangling O_CREAT", open_close("dangling", O_CREAT | O_WRONLY));
	said("... is there", access("nowhere", F_OK));
}

/* ---- the wrong kind of thing */

static void make_ground(void)
{
	put_file("file", "0123456789", 0644);
	must("mkdir", mkdir("dir", 0755));
	must("mkdir", mkdir("empty", 0755));
	must("mkdir", mkdir("full", 0755));
	must("mkdir", mkdir("full/dir", 0755));
	must("symlink", symlink("dir", "to-dir"));
	must("symlink", symlink("file", "to-file"));
	must("mkfifo", mkfifo("fifo", 0644));
}

static int on_open_to_read(const char *p)
{
	return open_close(p, O_RDONLY | O_NONBLOCK);
}

static int on_open_to_write(const char *p)
{
	return open_close(p, O_WRONLY | O_NONBLOCK);
}

static int on_open_o_trunc(const char *p)
{
	return open_close(p, O_RDWR | O_TRUNC);
}

static int on_open_o_directory(const char *p)
{
	return open_close(p, O_DIRECTORY);
}

static int on_open_o_creat(const char *p)
{
	return open_close(p, O_CREAT | O_WRONLY | O_NONBLOCK);
}

static int on_open_o_creat_o_excl(const char *p)
{
	return open_close(p, O_CREAT | O_EXCL | O_WRONLY);
}

static int on_truncate(const char *p)
{
	return truncate(p, 5);
}

static int on_truncate_to_1(const char *p)
{
	return truncate(p, -1);
}

static int on_access(const char *p)
{
	return access(p, F_OK);
}

static int on_readlink(const char *p)
{
	return (int)readlink(p, (char[8]){ 0 }, 8);
}

static int on_link_from_it(const char *p)
{
	return link(p, "made");
}

static int on_link_to_it(const char *p)
{
	return link("file", p);
}

static int on_symlink(const char *p)
{
	return symlink("x", p);
}

static int on_mkfifo(const char *p)
{
	return mkfifo(p, 0644);
}

static int on_mkdir(const char *p)
{
	return mkdir(p, 0755);
}

static int on_unlink(const char *p)
{
	return unlink(p);
}

static int on_rmdir(const char *p)
{
	return rmdir(p);
}

static int on_rename_over_an_empty(const char *p)
{
	return rename(p, "empty");
}

static int on_rename_over_a_full(const char *p)
{
	return rename(p, "full");
}

static int on_rename_over_a_file(const char *p)
{
	return rename(p, "file");
}

static int on_rename_into_the_full(const char *p)
{
	return rename(p, "full/dir/into");
}

static int on_rename_an_empty_over(const char *p)
{
	return rename("empty", p);
}

static int on_rename_a_full_over(const char *p)
{
	return rename("full", p);
}

static int on_rename_a_file_over(const char *p)
{
	return rename("file", p);
}

static int on_chmod(const char *p)
{
	return chmod(p, 0755);
}

static int on_chdir(const char *p)
{
	return chdir(p);
}

static const struct {
	const char *name;
	int (*run)(const char *path);
} ops[] = {
	{ "open to read", on_open_to_read },
	{ "open to write", on_open_to_write },
	{ "open O_TRUNC", on_open_o_trunc },
	{ "open O_DIRECTORY", on_open_o_directory },
	{ "open O_CREAT", on_open_o_creat },
	{ "open O_CREAT|O_EXCL", on_open_o_creat_o_excl },
	{ "truncate", on_truncate },
	{ "truncate to -1", on_truncate_to_1 },
	{ "access", on_access },
	{ "readlink", on_readlink },
	{ "link from it", on_link_from_it },
	{ "link to it", on_link_to_it },
	{ "symlink", on_symlink },
	{ "mkfifo", on_mkfifo },
	{ "mkdir", on_mkdir },
	{ "unlink", on_unlink },
	{ "rmdir", on_rmdir },
	{ "rename over an empty", on_rename_over_an_empty },
	{ "rename over a full", on_rename_over_a_full },
	{ "rename over a file", on_rename_over_a_file },
	{ "rename into the full", on_rename_into_the_full },
	{ "rename an empty over", on_rename_an_empty_over },
	{ "rename a full over", on_rename_a_full_over },
	{ "rename a file over", on_rename_a_file_over },
	{ "chmod", on_chmod },
	{ "chdir", on_chdir },
};

/* What each operation says of each kind of thing, on a ground of its own. */
static void kinds(int here)
{
	static const char *const paths[] = {
		"file",	    "file/",  "file/x",	 "file/.",   "dir",
		"dir/",	    "dir/.",  "dir/..",	 "full",     "full/",
		"none",	    "none/",  "none/x",	 ".",	     "..",
		"",	    "to-dir", "to-dir/", "to-dir/.", "to-file",
		"to-file/", "fifo/x",
	};
	char ground[32];
	size_t i, k;

	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		for (k = 0; k < sizeof(ops) / sizeof(*ops); k++) {
			snprintf(ground, sizeof(ground), "g-%zu-%zu", i, k);
			must("mkdir", mkdir(ground, 0755));
			must("chdir", chdir(ground));
			make_ground();
			printf("'%s' ", paths[i]);
			said(ops[k].name, ops[k].run(paths[i]));
			must("fchdir", fchdir(here));
		}
	}
}

static void removals(void)
{
	said("unlink a directory", unlink("dir"));
	said("unlink dir/", unlink("dir/"));
	said("unlink file/", unlink("file/"));
	said("unlink to-dir/", unlink("to-dir/"));
	said("rmdir a file", rmdir("file"));
	said("rmdir file/", rmdir("file/"));
	said("rmdir a link", rmdir("to-dir"));
	said("rmdir to-dir/", rmdir("to-dir/"));
	said("rmdir full", rmdir("full"));
	said("rmdir full/.", rmdir("full/."));
	said("rmdir full/dir/..", rmdir("full/dir/.."));
	said("rmdir .", rmdir("."));
	said("rmdir none", rmdir("none"));
	said("rename into itself", rename("full", "full/dir/x"));
	said("rename below", rename("full", "full/full"));
	said("rename over its parent", rename("full/dir", "full"));
	said("rename to itself", rename("file", "file"));
	said("rename dir over file", rename("dir", "file"));
	said("rename file over dir", rename("file", "dir"));
	said("rename file to dir/", rename("file", "dir/"));
	said("rename file to new/", rename("file", "new/"));
	said("rename dir to new/", rename("dir", "new/"));
	said("rename to another file system", rename("file", "/proc/file"));
	said("link to another file system", link("file", "/dev/shm/file"));
	said("link from another file system", link("/proc/version", "version"));
	said("link a directory", link("full", "hard"));
	said("mknod of an unknown kind", mknod("odd", 0xb000, 0));
	said("mknod of a directory", mknod("odd", S_IFDIR | 0755, 0));
	said("mknod without a kind", mknod("plain", 0644, 0));
	said("mkdir again", mkdir("full", 0755));
	said("mkdir full/", mkdir("full/", 0755));
	said("mkdir with a slash", mkdir("slash/", 0755));
	said("create with a slash", open_close("slashed/", O_CREAT | O_WRONLY));
	said("rename unknown flag",
	     renameat2(AT_FDCWD, "file", AT_FDCWD, "x", 1u << 20));
	said("exchange with none",
	     renameat2(AT_FDCWD, "file", AT_FDCWD, "none", RENAME_EXCHANGE));
}

/* In a directory, so that ".." is of the same file system. */
int errors_main(void)
{
	int here;

	must("mkdir", mkdir("work", 0755));
	must("chdir", chdir("work"));
	here = (int)must("open", open(".", O_RDONLY | O_DIRECTORY));
	make_ground();
	any_bytes();
	lengths();
	loops();
	kinds(here);
	removals();
	return 0;
}
