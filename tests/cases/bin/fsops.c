/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsops: the system calls that the cases need and no common command makes.
 * Each subcommand checks what it can see itself and says on standard error
 * what was wrong; exit code 0 means that all of it held. It is linked with
 * nothing of Larder, so that it sees a mount as any program does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what, const char *path)
{
	fprintf(stderr, "fsops: %s %s: %s\n", what, path, strerror(errno));
	return 1;
}

static int wrong(const char *what)
{
	fprintf(stderr, "fsops: %s\n", what);
	return 1;
}

/* Tells the case that a state is reached, and waits until it closes the
 * other end. */
static void hold(void)
{
	char c;

	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* ---- names */

static int rename_flags(char **argv, unsigned flags)
{
	if (renameat2(AT_FDCWD, argv[0], AT_FDCWD, argv[1], flags) < 0)
		return fail("rename", argv[0]);
	return 0;
}

static int op_exchange(char **argv)
{
	return rename_flags(argv, RENAME_EXCHANGE);
}

static int op_noreplace(char **argv)
{
	return rename_flags(argv, RENAME_NOREPLACE);
}

static int op_socket(char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(argv[0]) >= sizeof(addr.sun_path))
		return wrong("the socket's path is too long");
	strcpy(addr.sun_path, argv[0]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail("bind", argv[0]);
	close(fd);
	return 0;
}

/* Makes empty files 0, 1, ... */
static int op_make_many(char **argv)
{
	int dir = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned n, all = (unsigned)atoi(argv[1]);
	char name[16];

	if (dir < 0)
		return fail("open", argv[0]);
	for (n = 0; n < all; n++) {
		snprintf(name, sizeof(name), "%u", n);
		if (mknodat(dir, name, S_IFREG | 0600, 0) < 0)
			return fail("mknod", name);
	}
	close(dir);
	return 0;
}

/* Removes every second name while it reads the directory, then lists what is
 * left; fails when a name that was never removed was missed or came twice. */
static int op_remove_half(char **argv)
{
	unsigned all = (unsigned)atoi(argv[1]), seen = 0;
	DIR *d = opendir(argv[0]);
	struct dirent *de;
	char *found;

	if (!d)
		return fail("opendir", argv[0]);
	found = calloc(all, 1);
	while ((de = readdir(d)) != NULL) {
		unsigned n = (unsigned)atoi(de->d_name);

		if (de->d_name[0] == '.')
			continue;
		if (n >= all || found[n]++)
			return wrong("a name came twice or from nowhere");
		seen++;
		if (n % 2 && unlinkat(dirfd(d), de->d_name, 0) < 0)
			return fail("unlink", de->d_name);
	}
	closedir(d);
	free(found);
	return seen == all ? 0 : wrong("readdir left names out");
}

/* ---- mappings */

static char *map_file(const char *path, int flags, size_t *ret_len)
{
	int fd = open(path, flags == MAP_SHARED ? O_RDWR : O_RDONLY);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, flags, fd,
		 0);
	close(fd);
	*ret_len = (size_t)st.st_size;
	return p == MAP_FAILED ? NULL : p;
}

static int map_store(char **argv, int flags, char **ret_map, size_t *ret_len)
{
	size_t off = (size_t)atol(argv[1]), len = strlen(argv[2]);

	*ret_map = map_file(argv[0], flags, ret_len);
	if (!*ret_map)
		return fail("mmap", argv[0]);
	if (off + len > *ret_len)
		return wrong("the file is too short");
	memcpy(*ret_map + off, argv[2], len);
	return 0;
}

/* FILE OFFSET TEXT, through a shared mapping and with no msync. */
static int op_mmap_shared(char **argv)
{
	size_t len;
	char *p;

	if (map_store(argv, MAP_SHARED, &p, &len))
		return 1;
	return munmap(p, len) < 0 ? fail("munmap", argv[0]) : 0;
}

/* The same, and the mapping stays while the case goes on. */
static int op_mmap_hold(char **argv)
{
	size_t len;
	char *p;

	if (map_store(argv, MAP_SHARED, &p, &len))
		return 1;
	hold();
	return 0;
}

/* FILE OFFSET TEXT: the mapping has it and the file has not. */
static int op_mmap_private(char **argv)
{
	size_t len, off = (size_t)atol(argv[1]), n = strlen(argv[2]);
	char *p, *file;

	if (map_store(argv, MAP_PRIVATE, &p, &len))
		return 1;
	file = map_file(argv[0], MAP_PRIVATE, &len);
	if (!file)
		return fail("mmap", argv[0]);
	if (memcmp(p + off, argv[2], n) != 0)
		return wrong("the mapping lost what was written");
	if (memcmp(file + off, argv[2], n) == 0)
		return wrong("a private mapping wrote to the file");
	return 0;
}

/* ---- open files */

/* FILE: removed while it is open, it can be written, read and grown. */
static int op_unlinked(char **argv)
{
	char buf[16] = "";
	struct stat st;
	int fd = open(argv[0], O_RDWR);

	if (fd < 0 || unlink(argv[0]) < 0)
		return fail("open and unlink", argv[0]);
	if (fstat(fd, &st) < 0 || st.st_nlink != 0)
		return wrong("an unlinked file still counts links");
	if (ftruncate(fd, 50000) < 0)
		return fail("ftruncate", argv[0]);
	if (pwrite(fd, "unlinked", 8, 100000) != 8 || fsync(fd) < 0)
		return fail("write", argv[0]);
	if (pread(fd, buf, 8, 100000) != 8 || strcmp(buf, "unlinked") != 0)
		return wrong("an unlinked file lost what was written");
	if (fstat(fd, &st) < 0 || st.st_size != 100008)
		return wrong("an unlinked file has another size");
	if (access(argv[0], F_OK) == 0)
		return wrong("the name is still there");
	return close(fd) < 0 ? fail("close", argv[0]) : 0;
}

/* FILE TEXT COUNT: two descriptors append in turn. */
static int op_append(char **argv)
{
	size_t len = strlen(argv[1]);
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = open(argv[0], O_WRONLY | O_APPEND);
		if (fds[i] < 0)
			return fail("open", argv[0]);
	}
	for (int i = 0; i < atoi(argv[2]); i++)
		if (write(fds[i % 2], argv[1], len) != (ssize_t)len)
			return fail("append", argv[0]);
	return 0;
}

/* FILE: opened, then held, then read to its end on standard output. */
static int op_hold_read(char **argv)
{
	int fd = open(argv[0], O_RDONLY);
	char buf[4096];
	ssize_t n;

	if (fd < 0)
		return fail("open", argv[0]);
	hold();
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return fail("write", "standard output");
	return n < 0 ? fail("read", argv[0]) : 0;
}

/* Grows a file without a name by `more` and reads all of it. */
static int use_nameless(int fd, const char *before, const char *more)
{
	char buf[64] = "", all[64];
	struct stat st;

	snprintf(all, sizeof(all), "%s%s", before, more);
	if (fstat(fd, &st) < 0 || st.st_nlink != 0)
		return wrong("a file without a name counts links");
	if (pwrite(fd, more, strlen(more), st.st_size) != (ssize_t)strlen(more))
		return fail("write", more);
	if (pread(fd, buf, sizeof(buf) - 1, 0) < 0 || strcmp(buf, all) != 0)
		return wrong("a file without a name lost what was written");
	return fchmod(fd, 0640) < 0 ? fail("fchmod", more) : 0;
}

/* FILE DIR: the one is removed and written, another made in DIR without a name; both
 * are used again after the wait, and the other then gets the name FILE. */
static int op_hold_nameless(char **argv)
{
	int removed = open(argv[0], O_RDWR | O_CREAT | O_TRUNC, 0600);
	int fd = open(argv[1], O_TMPFILE | O_RDWR, 0600);
	char path[64];

	if (removed < 0 || fd < 0 || unlink(argv[0]) < 0)
		return fail("open and unlink", argv[0]);
	if (use_nameless(removed, "", "removed") ||
	    use_nameless(fd, "", "nameless"))
		return 1;
	hold();
	if (use_nameless(removed, "removed", ", later") ||
	    use_nameless(fd, "nameless", ", later"))
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, AT_FDCWD, argv[0], AT_SYMLINK_FOLLOW) < 0)
		return fail("link", argv[0]);
	return close(removed) < 0 || close(fd) < 0 ? fail("close", argv[0]) : 0;
}

/* FILE TEXT: opened for writing, then held, then TEXT is appended. */
static int op_hold_write(char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_APPEND | O_CREAT, 0644);
	size_t len = strlen(argv[1]);

	if (fd < 0)
		return fail("open", argv[0]);
	hold();
	if (write(fd, argv[1], len) != (ssize_t)len || fsync(fd) < 0)
		return fail("write", argv[0]);
	return close(fd) < 0 ? fail("close", argv[0]) : 0;
}

static int posix_lock(int fd, int cmd, short type)
{
	struct flock lock = { .l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = 10,
			      .l_len = 10 };

	return fcntl(fd, cmd, &lock);
}

/* FILE: a record lock keeps another process out of its range, and only of
 * its range, until it is given back. */
static int op_record_lock(char **argv)
{
	int fd = open(argv[0], O_RDWR), status;
	pid_t pid;

	if (fd < 0 || posix_lock(fd, F_SETLK, F_WRLCK) < 0)
		return fail("lock", argv[0]);
	for (int locked = 1; locked >= 0; locked--) {
		pid = fork();
		if (pid == 0) {
			int other = open(argv[0], O_RDWR);
			int r = posix_lock(other, F_SETLK, F_WRLCK);

			_exit(locked ? r == 0 || errno != EAGAIN : r < 0);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			return wrong(locked ? "the lock did not hold" :
					      "the lock was not given back");
		if (posix_lock(fd, F_SETLK, F_UNLCK) < 0)
			return fail("unlock", argv[0]);
	}
	return 0;
}

/* FROM TO: all of FROM through copy_file_range. */
static int op_copy_range(char **argv)
{
	int in = open(argv[0], O_RDONLY);
	int out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t n;

	if (in < 0 || out < 0)
		return fail("open", argv[in < 0 ? 0 : 1]);
	while ((n = copy_file_range(in, NULL, out, NULL, 1 << 20, 0)) > 0)
		;
	return n < 0 ? fail("copy_file_range", argv[0]) : 0;
}

/* DIR: every name below it with its type, mode, size and times, and each
 * symlink's target. */
static int print_node(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	char target[4096];
	ssize_t n;

	(void)type;
	(void)ftw;
	printf("%s %o %lld %lld.%09ld %lu %u:%u", path, st->st_mode,
	       (long long)st->st_size, (long long)st->st_mtim.tv_sec,
	       st->st_mtim.tv_nsec, (unsigned long)st->st_nlink, st->st_uid,
	       st->st_gid);
	if (S_ISLNK(st->st_mode)) {
		n = readlink(path, target, sizeof(target));
		if (n < 0)
			return fail("readlink", path);
		printf(" -> %.*s", (int)n, target);
	}
	putchar('\n');
	return 0;
}

static int op_walk(char **argv)
{
	if (nftw(argv[0], print_node, 64, FTW_PHYS) < 0)
		return fail("nftw", argv[0]);
	return 0;
}

/* FILE prints the offset of its first hole and of the data behind it. */
static int op_hole(char **argv)
{
	int fd = open(argv[0], O_RDONLY);
	off_t hole, data;

	if (fd < 0)
		return fail("open", argv[0]);
	hole = lseek(fd, 0, SEEK_HOLE);
	data = lseek(fd, hole, SEEK_DATA);
	printf("%lld %lld\n", (long long)hole, (long long)data);
	return 0;
}

/* ---- the command */

static const struct op {
	const char *name;
	int args;
	int (*fn)(char **argv);
} ops[] = {
	{ "append", 3, op_append },
	{ "copy-range", 2, op_copy_range },
	{ "exchange", 2, op_exchange },
	{ "hold-nameless", 2, op_hold_nameless },
	{ "hold-read", 1, op_hold_read },
	{ "hold-write", 2, op_hold_write },
	{ "hole", 1, op_hole },
	{ "make-many", 2, op_make_many },
	{ "mmap-hold", 3, op_mmap_hold },
	{ "mmap-private", 3, op_mmap_private },
	{ "mmap-shared", 3, op_mmap_shared },
	{ "noreplace", 2, op_noreplace },
	{ "record-lock", 1, op_record_lock },
	{ "remove-half", 2, op_remove_half },
	{ "socket", 1, op_socket },
	{ "unlinked", 1, op_unlinked },
	{ "walk", 1, op_walk },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (argc > 1 && strcmp(argv[1], ops[i].name) == 0 &&
		    argc - 2 == ops[i].args)
			return ops[i].fn(argv + 2);
	fputs("usage: fsops OPERATION ARGUMENT...\n", stderr);
	return 2;
}
