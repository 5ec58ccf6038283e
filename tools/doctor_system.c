/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel, FUSE and its tools, and the limits of processes. Reads /proc,
 * /sys and /etc only. No state.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "format.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "stuck.h"

#define FUSE_DEVICE "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
#define NOFILE_FEW 1024u

/* --- kernel --- */

static void check_kernel(struct doctor *d)
{
	struct utsname u;
	unsigned major = 0, minor = 0, version;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		doctor_say(d, DOCTOR_WARNING, "kernel", NULL,
			   "its version cannot be read");
		return;
	}
	version = major * 1000 + minor;
	if (version < 5004)
		doctor_say(d, DOCTOR_PROBLEM, "kernel",
			   "use 5.4 or later, better 6.9",
			   "Linux %s is too old for what mounts rely on",
			   u.release);
	else if (version < 6009)
		doctor_say(d, DOCTOR_WARNING, "kernel",
			   "with 6.9 or later they are sent again",
			   "Linux %s: when the daemon is killed, requests that "
			   "it was working on fail",
			   u.release);
	else
		doctor_say(d, DOCTOR_OK, "kernel", NULL,
			   "Linux %s sends requests again to a new daemon",
			   u.release);
}

static bool has_line_word(const char *path, const char *word)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		char *last, *text = line;

		line[strcspn(line, "\n")] = '\0';
		while (isspace((unsigned char)*text))
			text++;
		last = strrchr(text, '\t');
		if (strcmp(last ? last + 1 : text, word) == 0)
			return true;
	}
	return false;
}

static void check_device(struct doctor *d)
{
	struct stat st;
	int fd, err;

	if (stat(FUSE_DEVICE, &st) < 0) {
		doctor_say(d, DOCTOR_PROBLEM, "fuse",
			   has_line_word("/proc/filesystems", "fuse") ?
				   "give the container the device, as with "
				   "--device /dev/fuse" :
				   "load the kernel's module: modprobe fuse",
			   FUSE_DEVICE " is not there: nothing can be mounted "
				       "(run --materialize works without)");
		return;
	}
	fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	err = errno;
	if (fd < 0) {
		doctor_say(d, DOCTOR_PROBLEM, "fuse",
			   err == EPERM ? "the container forbids the device: "
					  "give it --device /dev/fuse" :
					  "it is usually of mode 666: chmod it",
			   FUSE_DEVICE " (mode %03o) cannot be opened: %s",
			   st.st_mode & 0777, strerror(err));
		return;
	}
	close(fd);
	doctor_say(d, DOCTOR_OK, "fuse", NULL, FUSE_DEVICE " can be opened");
}

/* --- its tools --- */

static bool find_program(const char *name, struct stat *ret_st)
{
	_cleanup_free_ char *dirs = io_path(
		"%s:/usr/bin:/bin", getenv("PATH") ? getenv("PATH") : "");
	char *rest = dirs, *dir;

	while (dirs && (dir = strsep(&rest, ":"))) {
		_cleanup_free_ char *path = io_path("%s/%s", dir, name);

		if (*dir == '/' && path && access(path, X_OK) == 0 &&
		    stat(path, ret_st) == 0)
			return true;
	}
	return false;
}

static void check_helper(struct doctor *d)
{
	struct stat st;

	if (geteuid() == 0) {
		doctor_say(d, DOCTOR_OK, "helper", NULL,
			   "root mounts by itself; fusermount3 is not needed");
		return;
	}
	if (!find_program("fusermount3", &st))
		doctor_say(d, DOCTOR_PROBLEM, "helper",
			   "install the package fuse3",
			   "fusermount3 is not there, and only root can mount "
			   "without it");
	else if (st.st_uid != 0 || !(st.st_mode & S_ISUID))
		doctor_say(d, DOCTOR_WARNING, "helper",
			   "chown root and chmod u+s it, or install fuse3 "
			   "again",
			   "fusermount3 is not set-user-ID root, so it can "
			   "hardly mount");
	else
		doctor_say(d, DOCTOR_OK, "helper", NULL,
			   "fusermount3 is there, set-user-ID root");
}

static void check_conf(struct doctor *d)
{
	if (geteuid() == 0)
		doctor_say(d, DOCTOR_OK, "fuse.conf", NULL,
			   "root's mounts may be for everybody without "
			   "user_allow_other");
	else if (has_line_word(FUSE_CONF, "user_allow_other"))
		doctor_say(d, DOCTOR_OK, "fuse.conf", NULL,
			   "user_allow_other is set: mount -o allow_other "
			   "works");
	else
		doctor_say(d, DOCTOR_OK, "fuse.conf", NULL,
			   "user_allow_other is not set in " FUSE_CONF
			   ": mount -o allow_other is root's alone");
}

static void check_abort(struct doctor *d)
{
	if (access(STUCK_CONNECTIONS, R_OK | X_OK) == 0)
		doctor_say(d, DOCTOR_OK, "fusectl", NULL,
			   "umount --force can abort mounts that hang");
	else
		doctor_say(d, DOCTOR_WARNING, "fusectl",
			   "mount -t fusectl fusectl " STUCK_CONNECTIONS,
			   STUCK_CONNECTIONS
			   " is not there: umount --force can "
			   "detach a mount that hangs, but not "
			   "free who waits in it");
}

void doctor_system(struct doctor *d)
{
	check_kernel(d);
	check_device(d);
	check_helper(d);
	check_conf(d);
	check_abort(d);
}

/* --- limits --- */

static void check_nofile(struct doctor *d)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	/* The daemon takes all that it may have. */
	if (l.rlim_max < NOFILE_FEW)
		doctor_say(d, DOCTOR_WARNING, "limits",
			   "raise the hard limit: "
			   "/etc/security/limits.conf",
			   "%llu open files are few for a daemon with many "
			   "packs",
			   (unsigned long long)l.rlim_max);
	else
		doctor_say(d, DOCTOR_OK, "limits", NULL,
			   "%llu files may be open",
			   (unsigned long long)l.rlim_max);
}

static void check_fsize(struct doctor *d)
{
	struct rlimit l;
	char text[FORMAT_MAX];

	if (getrlimit(RLIMIT_FSIZE, &l) < 0 || l.rlim_cur == RLIM_INFINITY)
		return;
	doctor_say(d, DOCTOR_WARNING, "limits", "ulimit -f unlimited",
		   "files may not be larger than %s, and so no large file in a "
		   "mount either, where this shell starts the daemon",
		   format_bytes(l.rlim_cur, text));
}

static void check_memlock(struct doctor *d)
{
	struct rlimit l;
	char text[FORMAT_MAX];

	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		return;
	if (l.rlim_cur == RLIM_INFINITY)
		doctor_say(d, DOCTOR_OK, "limits", NULL,
			   "any memory may be locked; Larder locks none");
	else
		doctor_say(d, DOCTOR_OK, "limits", NULL,
			   "%s of memory may be locked; Larder locks none",
			   format_bytes(l.rlim_cur, text));
}

void doctor_limits(struct doctor *d)
{
	check_nofile(d);
	check_fsize(d);
	check_memlock(d);
}
