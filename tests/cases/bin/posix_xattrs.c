/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix xattrs: extended attributes by name space, kind of file and user; their
 * flags, limits and lists. As root. Values over some 3,000 bytes are left out, for
 * which file systems have room or not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "posix.h"

#define USER 2001

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names, in order: a file system's own order is its own. */
static void show_list(const char *path)
{
	static char list[65536];
	char *names[300], *at;
	ssize_t len = llistxattr(path, list, sizeof(list));
	size_t n = 0, k;

	told("list", len);
	for (at = list; at < list + len; at += strlen(at) + 1)
		names[n++] = at;
	qsort(names, n, sizeof(*names), compare);
	for (k = 0; k < n; k++)
		printf("  %.40s\n", names[k]);
}

static void set(const char *path, const char *name, const char *value,
		int flags)
{
	char what[400];

	snprintf(what, sizeof(what), "set %s %.40s flags %d", path, name,
		 flags);
	said(what, lsetxattr(path, name, value, strlen(value), flags));
}

static void show(const char *path, const char *name, size_t size)
{
	char buf[100] = "", what[400];
	ssize_t n;

	snprintf(what, sizeof(what), "get %s %.40s into %zu", path, name, size);
	n = told(what, lgetxattr(path, name, size ? buf : NULL, size));
	if (n > 0 && size)
		printf("  '%.*s'\n", (int)n, buf);
}

static void flags(void)
{
	set("f", "user.a", "one", XATTR_REPLACE);
	set("f", "user.a", "one", XATTR_CREATE);
	set("f", "user.a", "two", XATTR_CREATE);
	show("f", "user.a", 100);
	set("f", "user.a", "three", XATTR_REPLACE);
	set("f", "user.b", "x", XATTR_CREATE | XATTR_REPLACE);
	set("f", "user.a", "x", XATTR_CREATE | XATTR_REPLACE);
	set("f", "user.a", "x", 4);
	show("f", "user.a", 100);
	show("f", "user.a", 0);
	show("f", "user.a", 4);
	show("f", "user.a", 5);
	show("f", "user.none", 100);
	show("f", "user.none", 0);
	set("f", "user.empty", "", 0);
	show("f", "user.empty", 0);
	show("f", "user.empty", 100);
	said("remove", removexattr("f", "user.a"));
	said("remove again", removexattr("f", "user.a"));
	show_list("f");
	said("remove", removexattr("f", "user.empty"));
	show_list("f");
}

static void limits(void)
{
	static char name[300] = "user.", value[65537];

	memset(value, 'v', sizeof(value));
	memset(name + 5, 'n', 250);
	set("f", name, "of 255", 0);
	show("f", name, 100);
	name[255] = 'n';
	set("f", name, "of 256", 0);
	show("f", name, 100);
	set("f", "user.", "x", 0);
	set("f", "user", "x", 0);
	set("f", "", "x", 0);
	set("f", "other.a", "x", 0);
	show("f", "other.a", 100);
	show("f", "user.", 100);
	said("remove user.", removexattr("f", "user."));
	said("3,000 bytes", setxattr("f", "user.large", value, 3000, 0));
	told("... got", getxattr("f", "user.large", value, sizeof(value) - 1));
	said("65,537 bytes", setxattr("f", "user.large", value, 65537, 0));
	told("... got", getxattr("f", "user.large", NULL, 0));
	told("list into nothing", listxattr("f", NULL, 0));
	told("list into 10", listxattr("f", value, 10));
	told("list into one less", listxattr("f", value, 266));
	told("list into enough", listxattr("f", value, 267));
	told("list into more", listxattr("f", value, 1000));
	show_list("f");
}

static void spaces(void)
{
	static const char *const paths[] = { "f",    "d",    "link",
					     "fifo", "none", "f/x" };
	static const char *const names[] = {
		"user.a",
		"trusted.a",
		"security.a",
		"security.capability",
		"system.a",
		"system.posix_acl_access",
		"system.posix_acl_default",
	};
	size_t i, k;

	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		for (k = 0; k < sizeof(names) / sizeof(*names); k++) {
			set(paths[i], names[k], "value", 0);
			show(paths[i], names[k], 100);
		}
		show_list(paths[i]);
		for (k = 0; k < sizeof(names) / sizeof(*names); k++) {
			printf("%s %s ", paths[i], names[k]);
			said("remove", lremovexattr(paths[i], names[k]));
		}
	}
}

/* By somebody else, of the owner's and of open directories. */
static long as_user(void *arg)
{
	(void)arg;
	must("setgid", setgid(USER));
	must("setuid", setuid(USER));
	show("f", "user.a", 100);
	show("f", "trusted.a", 100);
	show("f", "security.a", 100);
	show("closed", "user.a", 100);
	show_list("f");
	show_list("closed");
	set("f", "user.a", "x", 0);
	set("f", "security.a", "x", 0);
	set("own", "user.a", "x", 0);
	set("own", "trusted.a", "x", 0);
	set("own", "security.a", "x", 0);
	set("open", "user.a", "x", 0);
	set("sticky", "user.a", "x", 0);
	show("own", "user.a", 100);
	said("remove", removexattr("own", "user.a"));
	said("remove of trusted", removexattr("f", "trusted.a"));
	said("remove of another's", removexattr("f", "user.a"));
	fflush(stdout);
	return 0;
}

static void users(void)
{
	set("f", "user.a", "1", 0);
	set("f", "trusted.a", "2", 0);
	set("f", "security.a", "3", 0);
	put_file("closed", "", 0600);
	set("closed", "user.a", "4", 0);
	put_file("own", "", 0644);
	must("chown", chown("own", USER, USER));
	must("mkdir", mkdir("open", 0755));
	must("mkdir", mkdir("sticky", 0755));
	must("chmod", chmod("open", 0777));
	must("chmod", chmod("sticky", 01777));
	said_by_other("as somebody else", as_user, NULL);
}

static void kept(void)
{
	int fd;

	must("rename", rename("f", "g"));
	must("link", link("g", "hard"));
	show("hard", "user.a", 100);
	fd = (int)must("open", open("g", O_RDWR));
	must("unlink", unlink("g") | unlink("hard"));
	said("fsetxattr when unlinked", fsetxattr(fd, "user.n", "v", 1, 0));
	told("fgetxattr when unlinked", fgetxattr(fd, "user.n", NULL, 0));
	told("flistxattr when unlinked", flistxattr(fd, NULL, 0));
	said("fremovexattr when unlinked", fremovexattr(fd, "user.a"));
	must("close", close(fd));
	fd = (int)must("open", open("own", O_RDONLY));
	said("fsetxattr of a reader", fsetxattr(fd, "user.n", "v", 1, 0));
	must("close", close(fd));
	fd = (int)must("open", open("own", O_PATH));
	said("fgetxattr of O_PATH", fgetxattr(fd, "user.n", NULL, 0));
	must("close", close(fd));
}

int xattrs_main(void)
{
	put_file("f", "0123456789", 0644);
	must("mkdir", mkdir("d", 0755));
	must("symlink", symlink("f", "link"));
	must("mkfifo", mkfifo("fifo", 0644));
	flags();
	limits();
	spaces();
	users();
	kept();
	return 0;
}
