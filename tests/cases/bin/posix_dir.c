/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix dir: a directory of 20,000 names, read while it is left alone, while names
 * go, and while names come: each name that stays is seen once, with telldir and
 * seekdir as well.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix.h"

#define NAMES 20000
#define MARKS 40

static unsigned char seen[NAMES], gone[NAMES];

static const char *name_of(int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "name-%d", i);
	return name;
}

/* The number in a name; -1 for all others. */
static int number_of(const struct dirent *de)
{
	return strncmp(de->d_name, "name-", 5) == 0 ? atoi(de->d_name + 5) : -1;
}

static DIR *open_dir(void)
{
	DIR *dir = opendir(".");

	if (!dir)
		die("opendir");
	memset(seen, 0, sizeof(seen));
	return dir;
}

/* Those of [from, NAMES), each `step`, that were not seen once. */
static long wrong(int from, int step)
{
	long n = 0;

	for (; from < NAMES; from += step)
		n += seen[from] != 1;
	return n;
}

static void left_alone(void)
{
	DIR *dir = open_dir();
	struct dirent *de;
	long n = 0, dots = 0;

	while ((de = readdir(dir))) {
		n++;
		dots += de->d_name[0] == '.' && de->d_type == DT_DIR;
		if (number_of(de) >= 0 && de->d_type == DT_REG)
			seen[number_of(de)]++;
	}
	closedir(dir);
	told("entries", n);
	told("dots", dots);
	told("not seen once", wrong(0, 1));
}

static void marks(void)
{
	DIR *dir = open_dir();
	char names[MARKS][256];
	long at[MARKS], here, bad = 0;
	struct dirent *de;
	int i, k = 0;

	for (i = 0; here = telldir(dir), (de = readdir(dir)); i++)
		if (i % (NAMES / MARKS) == 7 && k < MARKS) {
			at[k] = here;
			snprintf(names[k++], sizeof(*names), "%s", de->d_name);
		}
	told("marks", k);
	while (k-- > 0) {
		seekdir(dir, at[k]);
		de = readdir(dir);
		bad += !de || strcmp(de->d_name, names[k]) != 0;
	}
	told("marks that led elsewhere", bad);
	rewinddir(dir);
	for (i = 0; readdir(dir); i++)
		;
	told("after rewinddir", i);
	closedir(dir);
}

static void remove_once(int i)
{
	if (!gone[i]++)
		must("unlink", unlink(name_of(i)));
}

/* Removes what it reads, where its number is odd, and an odd one far from it. */
static void names_go(void)
{
	DIR *dir = open_dir();
	struct dirent *de;

	while ((de = readdir(dir))) {
		int i = number_of(de);

		if (i < 0)
			continue;
		seen[i]++;
		if (i % 2 == 0)
			continue;
		remove_once(i);
		remove_once(NAMES - i);
	}
	closedir(dir);
	told("staying names not seen once", wrong(0, 2));
}

/* Each that comes has another name soon. */
static void names_come(void)
{
	DIR *dir = open_dir();
	char come[32], moved[32];
	struct dirent *de;
	int n = 0;

	while ((de = readdir(dir))) {
		int i = number_of(de);

		if (i >= 0)
			seen[i]++;
		if (i < 0 || i % 10 != 0)
			continue;
		snprintf(come, sizeof(come), "come-%d", n);
		must("mknod", mknod(come, S_IFREG | 0644, 0));
		snprintf(moved, sizeof(moved), "moved-%d", n++);
		must("rename", rename(come, moved));
	}
	closedir(dir);
	told("came", n);
	told("staying names not seen once", wrong(0, 2));
}

int dir_main(void)
{
	int i;

	must("mkdir", mkdir("many", 0755));
	must("chdir", chdir("many"));
	for (i = 0; i < NAMES; i++)
		must("mknod", mknod(name_of(i), S_IFREG | 0644, 0));
	left_alone();
	marks();
	names_go();
	names_come();
	return 0;
}
