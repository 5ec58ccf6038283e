/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of the store, the state, the settings and the sockets: whose
 * they are, what they lie on and how much room there is; and the clock, which
 * must not be behind what was written. No state.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "doctor.h"
#include "format.h"
#include "fs/rpc.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/io.h"

#define ROOM_NONE (UINT64_C(100) << 20)
#define ROOM_LITTLE (UINT64_C(1) << 30)
#define CLOCK_SLACK_S 120

#define MAGIC_CIFS 0xff534d42u
#define MAGIC_SMB2 0xfe534d42u
#define MAGIC_FUSE 0x65735546u

/* --- whose they are --- */

/* The nearest directory above that is there; in place. */
static bool find_existing(char *path, struct stat *ret_st)
{
	char *slash;

	while (stat(path, ret_st) < 0) {
		slash = strrchr(path, '/');
		if (!slash || slash == path || errno != ENOENT)
			return false;
		*slash = '\0';
	}
	return true;
}

static void judge_owner(struct doctor *d, const char *what, const char *path,
			const char *there, const struct stat *st)
{
	bool made = strcmp(path, there) == 0;

	if (!S_ISDIR(st->st_mode))
		doctor_say(d, DOCTOR_PROBLEM, what, "move it away",
			   "%.400s is no directory", there);
	else if (made && st->st_uid != geteuid())
		doctor_say(d, DOCTOR_PROBLEM, what,
			   "chown it, or set the XDG_ variable of another one",
			   "%.400s belongs to user %u", path,
			   (unsigned)st->st_uid);
	else if (made && (st->st_mode & 022))
		doctor_say(d, DOCTOR_PROBLEM, what, "chmod go-w it",
			   "others can write to %.400s (mode %03o)", path,
			   st->st_mode & 0777);
	else if (access(there, W_OK | X_OK) < 0)
		doctor_say(
			d, DOCTOR_PROBLEM, what,
			"see its permissions, and whether its file system is "
			"read-only",
			"%.400s cannot be written to: %s", there,
			strerror(errno));
	else
		doctor_say(d, DOCTOR_OK, what, NULL, "%.400s%s", path,
			   made ? "" : " will be made");
}

/* --- what they lie on --- */

static const char *network_name(uint32_t type)
{
	switch (type) {
	case NFS_SUPER_MAGIC:
		return "NFS";
	case MAGIC_CIFS:
	case MAGIC_SMB2:
	case SMB_SUPER_MAGIC:
		return "SMB";
	case V9FS_MAGIC:
		return "9p";
	case MAGIC_FUSE:
		return "FUSE";
	default:
		return NULL;
	}
}

static void judge_type(struct doctor *d, const char *what, const char *there)
{
	struct statfs st;
	const char *network;

	if (statfs(there, &st) < 0)
		return;
	network = network_name((uint32_t)st.f_type);
	if (network)
		doctor_say(d, DOCTOR_WARNING, what,
			   "use a directory on a local disk",
			   "%.400s is on %s: locks and syncs may not hold, and "
			   "it is slow",
			   there, network);
	else if ((uint32_t)st.f_type == TMPFS_MAGIC)
		doctor_say(d, DOCTOR_WARNING, what,
			   "use a directory on a disk, unless that is meant",
			   "%.400s is in memory: a restart of the machine "
			   "empties it",
			   there);
}

static void judge_room(struct doctor *d, const char *what, const char *there)
{
	char text[FORMAT_MAX];
	struct statvfs st;
	uint64_t room;

	if (statvfs(there, &st) < 0)
		return;
	room = (uint64_t)st.f_bavail * st.f_frsize;
	format_bytes(room, text);
	if (room < ROOM_NONE)
		doctor_say(d, DOCTOR_PROBLEM, what,
			   "make room: larder gc, or a smaller store.max-size",
			   "only %s are free for %.400s", text, there);
	else if (room < ROOM_LITTLE || st.f_bavail < st.f_blocks / 50)
		doctor_say(d, DOCTOR_WARNING, what,
			   "make room: larder gc, or a smaller store.max-size",
			   "%s are free for %.400s", text, there);
	else
		doctor_say(d, DOCTOR_OK, what, NULL, "%s are free", text);
	if (st.f_files > 0 && st.f_favail < 1000)
		doctor_say(d, DOCTOR_PROBLEM, what,
			   "remove files there that nobody needs",
			   "no inodes are left for %.400s", there);
}

/* `path` is taken over. */
static void check_place(struct doctor *d, const char *what, char *path,
			bool large)
{
	_cleanup_free_ char *whole = path, *there = path ? strdup(path) : NULL;
	struct stat st;

	if (!there)
		return;
	if (!find_existing(there, &st)) {
		doctor_say(d, DOCTOR_PROBLEM, what,
			   "see the permissions of the directories above it",
			   "%.400s cannot be reached: %s", there,
			   strerror(errno));
		return;
	}
	judge_owner(d, what, whole, there, &st);
	if (!large)
		return;
	judge_type(d, what, there);
	judge_room(d, what, there);
}

/* Sockets are refused in one that others may enter. */
static void check_runtime(struct doctor *d)
{
	_cleanup_free_ char *path = rpc_runtime_dir();
	struct stat st;

	if (!path)
		return;
	if (lstat(path, &st) < 0)
		doctor_say(d, DOCTOR_OK, "runtime", NULL, "%.400s will be made",
			   path);
	else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		 (st.st_mode & 077))
		doctor_say(d, DOCTOR_PROBLEM, "runtime",
			   "chmod 700 it, or remove it",
			   "%.400s is not this user's alone, so no daemon can "
			   "be reached",
			   path);
	else
		doctor_say(d, DOCTOR_OK, "runtime", NULL, "%.400s", path);
}

static char *config_dir(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		return io_path("%s/larder", xdg);
	return home ? io_path("%s/.config/larder", home) : NULL;
}

/* --- the clock --- */

static void newest(const char *path, int64_t *newest_s)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_mtim.tv_sec > *newest_s)
		*newest_s = st.st_mtim.tv_sec;
}

static void check_clock(struct doctor *d)
{
	_cleanup_free_ char *store = rpc_store_dir(), *state = rpc_state_dir();
	const char *const names[] = { "v1/owner", "v1/db", "v1/db/CURRENT",
				      "v1/packs" };
	int64_t now_s = clock_wall_ns() / 1000000000, newest_s = 0;

	for (size_t i = 0; store && i < sizeof(names) / sizeof(*names); i++) {
		_cleanup_free_ char *path = io_path("%s/%s", store, names[i]);

		if (path)
			newest(path, &newest_s);
	}
	if (state)
		newest(state, &newest_s);
	if (newest_s > now_s + CLOCK_SLACK_S)
		doctor_say(d, DOCTOR_PROBLEM, "clock",
			   "set the clock: what is newest, and what may go, is "
			   "told by it",
			   "it is %lld s behind the newest files of the store",
			   (long long)(newest_s - now_s));
	else
		doctor_say(d, DOCTOR_OK, "clock", NULL,
			   newest_s ? "it is not behind the store" :
				      "there is no store yet to compare it "
				      "with");
}

void doctor_places(struct doctor *d)
{
	check_place(d, "store", rpc_store_dir(), true);
	check_place(d, "state", rpc_state_dir(), true);
	check_place(d, "config", config_dir(), false);
	check_runtime(d);
	check_clock(d);
}
