/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix data: what is read of a file after each way to write it: with holes, beyond
 * 4 GiB, through mappings, appended by two processes, copied in the kernel.
 * Where holes are is left to a file system; that none hides data is not.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "posix.h"

#define KIB 1024L
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static int open_new(const char *path, int flags)
{
	return (int)must(path,
			 open(path, O_RDWR | O_CREAT | O_TRUNC | flags, 0644));
}

static void fill(int fd, int c, size_t len, off_t off)
{
	char *buf = malloc(len);

	if (!buf)
		die("malloc");
	memset(buf, c, len);
	if (pwrite(fd, buf, len, off) != (ssize_t)len)
		die("pwrite");
	free(buf);
}

/* ---- holes */

static int is_zero(const char *buf, size_t len)
{
	return len == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0);
}

/* Whether all of [from, to) reads as zeros. */
static int zeros(int fd, off_t from, off_t to)
{
	static char buf[64 * KIB];

	while (from < to) {
		size_t len = to - from < (off_t)sizeof(buf) ?
				     (size_t)(to - from) :
				     sizeof(buf);

		if (pread(fd, buf, len, from) != (ssize_t)len)
			die("pread");
		if (!is_zero(buf, len))
			return 0;
		from += (off_t)len;
	}
	return 1;
}

/* The 64 KiB blocks with something in them. */
static void show_content(int fd, off_t size)
{
	off_t at;

	printf("  of %jd:", (intmax_t)size);
	for (at = 0; at < size; at += 64 * KIB) {
		off_t end = at + 64 * KIB < size ? at + 64 * KIB : size;

		if (!zeros(fd, at, end))
			printf(" %jd", (intmax_t)(at / (64 * KIB)));
	}
	putchar('\n');
}

/* Goes through the file from hole to data: they take turns, and holes are zeros. */
static void show_holes(const char *what, int fd)
{
	const off_t size = must("SEEK_END", lseek(fd, 0, SEEK_END));
	int hidden = 0, backwards = 0;
	off_t at = 0;

	printf("%s\n", what);
	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA);
		off_t hole;

		if (data < 0)
			data = size;
		backwards |= data < at;
		hidden |= !zeros(fd, at, data);
		if (data == size)
			break;
		hole = must("SEEK_HOLE", lseek(fd, data, SEEK_HOLE));
		backwards |= hole <= data;
		at = hole;
	}
	printf("  hidden %d, backwards %d\n", hidden, backwards);
	show_content(fd, size);
}

static void holes(void)
{
	int fd = open_new("holes", 0);
	struct stat st;

	said("SEEK_DATA of nothing", lseek(fd, 0, SEEK_DATA));
	said("SEEK_HOLE of nothing", lseek(fd, 0, SEEK_HOLE));
	must("ftruncate", ftruncate(fd, 8 * MIB));
	show_holes("only a hole", fd);
	said("SEEK_DATA of a hole", lseek(fd, 0, SEEK_DATA));
	fill(fd, 'a', 10, 0);
	fill(fd, 'b', 64 * KIB, 2 * MIB);
	fill(fd, 'c', 10, 6 * MIB - 5);
	show_holes("written", fd);
	told("the hole goes on", lseek(fd, 3 * MIB, SEEK_HOLE));
	said("SEEK_DATA behind the last", lseek(fd, 7 * MIB, SEEK_DATA));
	said("SEEK_DATA at the end", lseek(fd, 8 * MIB, SEEK_DATA));
	said("SEEK_HOLE at the end", lseek(fd, 8 * MIB, SEEK_HOLE));
	said("SEEK_DATA before the start", lseek(fd, -1, SEEK_DATA));
	must("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				2 * MIB + 100, 32 * KIB));
	show_holes("punched", fd);
	must("zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, 6 * MIB, 3 * MIB));
	show_holes("zeroed, and longer", fd);
	must("reserve", fallocate(fd, 0, 9 * MIB, MIB));
	show_holes("reserved", fd);
	must("shrink", ftruncate(fd, 2 * MIB + 50));
	must("grow", ftruncate(fd, 4 * MIB));
	show_holes("shorter and longer again", fd);
	must("fstat", fstat(fd, &st));
	printf("few blocks: %d\n", st.st_blocks < 1024);
	must("close", close(fd));
}

/* ---- beyond 4 GiB */

static void show_at(const char *what, int fd, off_t off)
{
	char buf[17] = "";
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, off), i;

	for (i = 0; i < n; i++)
		buf[i] = buf[i] ? buf[i] : '.';
	printf("%s: %zd '%s'\n", what, n, buf);
}

static void large(void)
{
	int fd = open_new("large", 0);
	struct stat st;
	char *p;

	fill(fd, 's', 8, 0);
	fill(fd, 'x', 8, 4 * GIB - 4);
	fill(fd, 'y', 8, 5 * GIB);
	told("size", lseek(fd, 0, SEEK_END));
	must("fstat", fstat(fd, &st));
	printf("few blocks: %d\n", st.st_blocks < 1024);
	show_at("at the start", fd, 0);
	show_at("around 4 GiB", fd, 4 * GIB - 8);
	show_at("at 1 GiB", fd, GIB);
	show_at("at 5 GiB", fd, 5 * GIB);
	said("data around 4 GiB",
	     lseek(fd, 3 * GIB, SEEK_DATA) > 4 * GIB - 4 ? -1 : 0);
	p = mmap(NULL, 4 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 5 * GIB);
	if (p == MAP_FAILED)
		die("mmap");
	memcpy(p, "map", 3);
	must("msync", msync(p, 4 * KIB, MS_SYNC));
	munmap(p, 4 * KIB);
	show_at("mapped", fd, 5 * GIB);
	must("shrink", ftruncate(fd, 4 * GIB + 1));
	show_at("shorter", fd, 4 * GIB - 8);
	show_at("shorter, behind", fd, 5 * GIB);
	must("grow", ftruncate(fd, 6 * GIB));
	show_at("longer", fd, 4 * GIB - 8);
	show_at("longer, at 5 GiB", fd, 5 * GIB);
	must("truncate", truncate("large", 8));
	told("size at the end", lseek(fd, 0, SEEK_END));
	must("close", close(fd));
}

/* ---- mappings */

static char *map(int fd, size_t len, int how)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, how, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static long touch(void *page)
{
	*(volatile char *)page = 'T';
	return 0;
}

static long map_and_write(void *text)
{
	int fd = open("mapped", O_RDWR);
	char *p = map(fd, 4 * KIB, MAP_SHARED);

	memcpy(p + 200, text, 4);
	return 0;
}

static void mappings(void)
{
	int fd = open_new("mapped", 0), second = open("mapped", O_RDWR);
	char *shared, *private;

	fill(fd, '-', 12 * KIB, 0);
	shared = map(fd, 12 * KIB, MAP_SHARED);
	private = map(fd, 12 * KIB, MAP_PRIVATE);
	memcpy(shared + 100, "stored", 6);
	show_at("stored, read by another descriptor", second, 98);
	fill(second, 'w', 4, 150);
	printf("written, in the mapping: %.8s\n", shared + 148);
	said_by_other("another process stores", map_and_write,
		      (char[]){ "else" });
	show_at("stored elsewhere", fd, 196);
	printf("... in the mapping: %.8s\n", shared + 198);
	memcpy(private + 300, "mine", 4);
	show_at("private", fd, 298);
	must("ftruncate", ftruncate(fd, 4 * KIB + 10));
	said_by_other("store in the last page", touch, shared + 4 * KIB);
	said_by_other("store behind the end", touch, shared + 8 * KIB);
	shared[4 * KIB + 20] = 'h';
	must("ftruncate", ftruncate(fd, 12 * KIB));
	show_at("stored behind the end, then longer", fd, 4 * KIB + 4);
	said_by_other("store in what came back", touch, shared + 8 * KIB);
	show_at("... it did", fd, 8 * KIB);
	must("close", close(fd));
	memcpy(shared + 400, "closed", 6);
	must("unlink", unlink("mapped"));
	memcpy(shared + 410, "removed", 7);
	show_at("stored after close and unlink", second, 400);
	munmap(shared, 12 * KIB);
	show_at("... and after munmap", second, 400);
	must("close", close(second));
}

/* ---- appending */

static void append_lines(char c)
{
	int fd = (int)must("open", open("log", O_WRONLY | O_APPEND)), i;
	char line[32];

	for (i = 0; i < 300; i++) {
		int len = snprintf(line, sizeof(line), "%c%0*d\n", c,
				   i % 17 + 3, i);

		if (write(fd, line, (size_t)len) != len)
			_exit(1);
	}
	_exit(0);
}

static void append(void)
{
	int fd = open_new("log", O_APPEND), status, good = 0, next[2] = { 0 };
	pid_t pids[2];
	char line[64];
	FILE *f;
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		pids[i] = (pid_t)must("fork", fork());
		if (pids[i] == 0)
			append_lines((char)('a' + i));
	}
	for (i = 0; i < 2; i++) {
		must("waitpid", waitpid(pids[i], &status, 0));
		told("appended", status);
	}
	f = fopen("log", "r");
	if (!f)
		die("log");
	while (fgets(line, sizeof(line), f))
		good += atoi(line + 1) == next[line[0] == 'b']++;
	fclose(f);
	told("lines in order", good);
	must("ftruncate", ftruncate(fd, 3));
	must("pwrite", pwrite(fd, "end", 3, 0));
	told("pwrite appends", lseek(fd, 0, SEEK_END));
	must("F_SETFL", fcntl(fd, F_SETFL, 0));
	must("pwrite", pwrite(fd, "end", 3, 0));
	told("no longer", lseek(fd, 0, SEEK_END));
	must("close", close(fd));
}

/* ---- copy_file_range */

static void copy(const char *what, int in, off_t from, int out, off_t to,
		 size_t len, unsigned flags)
{
	told(what, copy_file_range(in, &from, out, &to, len, flags));
}

static void copy_ranges(void)
{
	int in = open_new("in", 0), out = open_new("out", 0);
	int read_only = open("out", O_RDONLY);
	int appending = open("out", O_WRONLY | O_APPEND);
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	int fd;

	fill(in, 'i', 100 * KIB, 0);
	fill(in, 'j', 100 * KIB, 200 * KIB);
	copy("all", in, 0, out, 0, 300 * KIB, 0);
	show_content(out, lseek(out, 0, SEEK_END));
	copy("within", out, 0, out, 400 * KIB, 50 * KIB, 0);
	show_content(out, lseek(out, 0, SEEK_END));
	copy("over itself", out, 0, out, 10, 100, 0);
	copy("behind the end", in, 300 * KIB, out, 0, 10, 0);
	copy("across the end", in, 300 * KIB - 5, out, 0, 10, 0);
	show_at("across the end", out, 0);
	copy("nothing", in, 0, out, 0, 0, 0);
	copy("with a flag", in, 0, out, 0, 10, 1);
	copy("to a reader", in, 0, read_only, 0, 10, 0);
	copy("to an appender", in, 0, appending, 0, 10, 0);
	copy("from a directory", dir, 0, out, 0, 10, 0);
	copy("from before the start", in, -1, out, 0, 10, 0);
	copy("into a large hole", in, 0, out, 5 * GIB, 1000, 0);
	told("size", lseek(out, 0, SEEK_END));
	fd = open_new("mapped-in", 0);
	fill(fd, 'm', 4 * KIB, 0);
	memcpy(map(fd, 4 * KIB, MAP_SHARED), "dirty", 5);
	copy("what a mapping holds", fd, 0, out, 0, 4 * KIB, 0);
	show_at("what a mapping held", out, 0);
	close(fd);
	close(in);
	close(out);
	close(read_only);
	close(appending);
	close(dir);
}

int data_main(void)
{
	holes();
	large();
	mappings();
	append();
	copy_ranges();
	return 0;
}
