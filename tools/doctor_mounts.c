/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that nobody serves, and changes that nobody shows. No state.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "format.h"
#include "fs/mount_state.h"
#include "fs/rpc.h"
#include "fs/upper_trees.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "stuck.h"

/* --- mounts --- */

struct search {
	const char *dir;
	bool found;
};

static int compare_dir(void *arg, const struct mount_state *s)
{
	struct search *search = arg;

	search->found |= strcmp(s->dir, search->dir) == 0;
	return 0;
}

static int open_states(void)
{
	_cleanup_free_ char *state = rpc_state_dir();
	_cleanup_free_ char *path = state ? io_path("%s/mounts", state) : NULL;
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd < 0 ? -errno : fd;
}

/* A daemon with other directories has mounts, too, that are not for this
 * command to take away unasked. */
static bool is_of_this_state(const struct stuck_mount *m)
{
	_cleanup_close_ int fd = open_states();
	struct search search = { .dir = m->path };

	if (fd >= 0)
		(void)mount_state_each(fd, compare_dir, &search);
	return search.found;
}

static void free_dead(struct doctor *d, const struct stuck_mount *m)
{
	struct failure f;

	if (!is_of_this_state(m))
		doctor_say(d, DOCTOR_PROBLEM, "mounts",
			   "larder umount --force removes it",
			   "%s is dead: nobody serves it, and its changes are "
			   "in another state directory than this",
			   m->path);
	else if (!d->fix)
		doctor_say(d, DOCTOR_PROBLEM, "mounts",
			   "larder doctor --fix removes it; larder mount "
			   "--resume brings its changes back",
			   "%s is dead: nobody serves it any more", m->path);
	else if (stuck_detach(m, &f) < 0)
		doctor_say(d, DOCTOR_PROBLEM, "mounts",
			   "fusermount3 -uz it, or umount -l as root",
			   "%s is dead, and stays: %s", m->path, f.message);
	else
		doctor_say(d, DOCTOR_FIXED, "mounts",
			   "larder mount --resume brings changes back, if "
			   "there were any",
			   "%s was dead, and is a directory again", m->path);
}

static void judge(struct doctor *d, const struct stuck_mount *m,
		  unsigned *answering)
{
	switch (stuck_look(m)) {
	case STUCK_ANSWERS:
		++*answering;
		return;
	case STUCK_DEAD:
		free_dead(d, m);
		return;
	case STUCK_HANGS:
		doctor_say(d, DOCTOR_PROBLEM, "mounts",
			   "larder umount --force frees it; its changes are "
			   "kept",
			   "%s hangs: who reads it waits", m->path);
		return;
	}
}

void doctor_mounts(struct doctor *d)
{
	_cleanup_stuck_ struct stuck_mounts list;
	unsigned answering = 0;
	int r = stuck_list(&list);

	if (r < 0) {
		doctor_say(d, DOCTOR_WARNING, "mounts", NULL,
			   "what is mounted cannot be told: %s", strerror(-r));
		return;
	}
	for (size_t i = 0; i < list.count; i++)
		if (list.items[i].ours)
			judge(d, &list.items[i], &answering);
	if (answering > 0)
		doctor_say(d, DOCTOR_OK, "mounts", NULL, "%u answer%s",
			   answering, answering == 1 ? "s" : "");
}

/* --- uppers --- */

struct uppers {
	struct doctor *d;
	int mountsfd;
	unsigned found;
};

static bool is_mounted(const struct doctor *d, const char *id)
{
	json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(d->status, "mounts"), i, mount)
	{
		if (strcmp(field_text(mount, "id"), id) == 0)
			return true;
	}
	return false;
}

static bool has_changes(const struct uppers *u, const char *id)
{
	_cleanup_close_ int fd = -1;

	return mount_state_open(u->mountsfd, id, &fd) == 0 &&
	       !upper_is_clean(fd);
}

static int say_upper(void *arg, const struct mount_state *s)
{
	struct uppers *u = arg;
	char bytes[FORMAT_MAX], advice[256];

	if (s->read_only || is_mounted(u->d, s->id) || !has_changes(u, s->id))
		return 0;
	u->found++;
	snprintf(advice, sizeof(advice),
		 "larder mount --resume %s brings them back; larder umount "
		 "--discard drops them then",
		 s->id);
	doctor_say(u->d, DOCTOR_WARNING, "changes", advice,
		   "%s of changes in %.700s are not committed, and not mounted",
		   format_bytes(mount_state_bytes(u->mountsfd, s->id), bytes),
		   s->dir);
	return 0;
}

void doctor_uppers(struct doctor *d)
{
	_cleanup_close_ int fd = open_states();
	struct uppers u = { d, fd, 0 };
	int r;

	if (fd < 0 || d->silent) /* then it cannot be told what is mounted */
		return;
	r = mount_state_each(fd, say_upper, &u);
	if (r < 0)
		doctor_say(d, DOCTOR_PROBLEM, "changes", NULL,
			   "the states of mounts cannot be read: %s",
			   strerror(-r));
	else if (u.found == 0)
		doctor_say(d, DOCTOR_OK, "changes", NULL,
			   "none are left without a mount");
}
