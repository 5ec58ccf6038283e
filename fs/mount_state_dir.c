/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of mounts: <state>/mounts/<id>/. One comes into being, and
 * goes, by a rename between its id and a temporary name, so that under an id
 * there is always a whole one, and whatever a killed process left half made or
 * half removed has a name that tells it.
 *
 * Daemons of several stores may share the state directory. Who works under a
 * temporary name has a shared lock on the directory of mounts; who sweeps
 * such names away has it alone, or leaves them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/publish.h"

#include "mount_state.h"

#define STATE_FILE "mount.json"
/* Both are empty; what they mean is their being there. */
#define UNMOUNT_FILE "unmount"
#define DISCARD_FILE "discard"
#define STATE_MAX (1u << 20)

/* --- temporary names --- */

#define TMP_NAME_LEN (sizeof(PUBLISH_TMP_PREFIX) + MOUNT_ID_LEN)

static void tmp_name(const char *id, char ret_name[TMP_NAME_LEN])
{
	snprintf(ret_name, TMP_NAME_LEN, PUBLISH_TMP_PREFIX "%s", id);
}

static bool is_tmp_name(const char *name)
{
	return strncmp(name, PUBLISH_TMP_PREFIX, strlen(PUBLISH_TMP_PREFIX)) ==
	       0;
}

/* Held until `ret_fd` is closed. A descriptor of its own, for a lock belongs
 * to the open file. */
static int tmp_lock(int mountsfd, int operation, int *ret_fd)
{
	_cleanup_close_ int fd =
		openat(mountsfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, operation) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int mount_state_sweep(int mountsfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int lock = -1;
	struct dirent *de;
	int r;

	r = tmp_lock(mountsfd, LOCK_EX | LOCK_NB, &lock);
	if (r < 0)
		return r == -EWOULDBLOCK ? 0 : r;
	r = io_opendir_at(mountsfd, ".", &dir);
	while (r == 0 && (de = readdir(dir)) != NULL)
		if (is_tmp_name(de->d_name))
			r = io_remove_tree(mountsfd, de->d_name);
	return r;
}

/* --- one directory --- */

int mount_state_open(int mountsfd, const char *id, int *ret_fd)
{
	int fd = openat(mountsfd, id,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int state_write(int fd, const struct mount_state *s)
{
	_cleanup_free_ char *text = mount_state_text(s);

	return text ? publish_file(fd, STATE_FILE, text, strlen(text), 0600) :
		      -ENOMEM;
}

int mount_state_create(int mountsfd, const struct mount_state *s, int *ret_fd)
{
	_cleanup_close_ int fd = -1, lock = -1;
	char tmp[TMP_NAME_LEN];
	int r;

	tmp_name(s->id, tmp);
	r = tmp_lock(mountsfd, LOCK_SH, &lock);
	if (r < 0)
		return r;
	if (mkdirat(mountsfd, tmp, 0700) < 0)
		return -errno;
	r = mount_state_open(mountsfd, tmp, &fd);
	if (r == 0)
		r = state_write(fd, s);
	if (r == 0 &&
	    renameat2(mountsfd, tmp, mountsfd, s->id, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r < 0) {
		io_remove_tree(mountsfd, tmp);
		return r;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

int mount_state_remove(int mountsfd, const char *id)
{
	_cleanup_close_ int lock = -1;
	char tmp[TMP_NAME_LEN];
	int r;

	tmp_name(id, tmp);
	r = tmp_lock(mountsfd, LOCK_SH, &lock);
	if (r < 0)
		return r;
	if (renameat(mountsfd, id, mountsfd, tmp) < 0)
		return errno == ENOENT ? 0 : -errno;
	return io_remove_tree(mountsfd, tmp);
}

int mount_state_save(int mountsfd, const struct mount_state *s)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = mount_state_open(mountsfd, s->id, &fd);
	if (r == 0)
		r = state_write(fd, s);
	return r < 0 ? log_error(r, "saving the state of the mount %s",
				 s->dir) :
		       0;
}

int mount_state_load(int mountsfd, const char *id, struct mount_state *ret)
{
	_cleanup_free_ uint8_t *text = NULL;
	_cleanup_close_ int fd = -1;
	struct mount_state s;
	size_t len;
	int r;

	r = mount_state_open(mountsfd, id, &fd);
	if (r == 0)
		r = io_read_file(fd, STATE_FILE, STATE_MAX, &text, &len);
	if (r < 0)
		return r;
	if (strlen((char *)text) != len)
		return -EBADMSG;
	r = mount_state_parse((char *)text, &s);
	if (r < 0)
		return r;
	if (strcmp(s.id, id) != 0) {
		mount_state_release(&s);
		return -EBADMSG;
	}
	*ret = s;
	return 0;
}

/* --- marks --- */

static int mark_set(int fd, const char *name, bool set)
{
	_cleanup_close_ int mark = -1;

	if (!set)
		return unlinkat(fd, name, 0) < 0 && errno != ENOENT ? -errno :
								      0;
	mark = openat(fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		      0600);
	return mark < 0 ? -errno : 0;
}

static bool mark_is_set(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int mount_state_mark(int mountsfd, const char *id, enum mount_mark mark)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = mount_state_open(mountsfd, id, &fd);
	if (r == 0)
		r = mark_set(fd, DISCARD_FILE, mark == MOUNT_MARK_DISCARD);
	if (r == 0)
		r = mark_set(fd, UNMOUNT_FILE, mark == MOUNT_MARK_UNMOUNT);
	return r;
}

enum mount_mark mount_state_get_mark(int mountsfd, const char *id)
{
	_cleanup_close_ int fd = -1;

	if (mount_state_open(mountsfd, id, &fd) < 0)
		return MOUNT_MARK_NONE;
	if (mark_is_set(fd, DISCARD_FILE))
		return MOUNT_MARK_DISCARD;
	return mark_is_set(fd, UNMOUNT_FILE) ? MOUNT_MARK_UNMOUNT :
					       MOUNT_MARK_NONE;
}

/* --- all of them --- */

int mount_state_each(int mountsfd,
		     int (*each)(void *arg, const struct mount_state *s),
		     void *arg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	int r;

	r = io_opendir_at(mountsfd, ".", &dir);
	while (r == 0 && (de = readdir(dir)) != NULL) {
		struct mount_state s;

		if (!mount_state_id_is_valid(de->d_name))
			continue;
		r = mount_state_load(mountsfd, de->d_name, &s);
		if (r < 0) {
			/* A mount may be ending, or beginning, meanwhile. */
			if (r != -ENOENT)
				log_warn(r, "the kept mount %s cannot be read",
					 de->d_name);
			r = 0;
			continue;
		}
		r = each(arg, &s);
		mount_state_release(&s);
	}
	return r;
}

struct marked {
	int mountsfd;
	bool (*needed)(void *arg, const struct mount_state *s,
		       enum mount_mark mark);
	void *arg;
};

static int marked_remove(void *arg, const struct mount_state *s)
{
	const struct marked *m = arg;
	enum mount_mark mark = mount_state_get_mark(m->mountsfd, s->id);
	int r;

	if (mark == MOUNT_MARK_NONE || m->needed(m->arg, s, mark))
		return 0;
	r = mount_state_remove(m->mountsfd, s->id);
	if (r < 0)
		log_warn(r, "removing what %s has left", s->dir);
	else
		log_info("removed what %s has left, which was being unmounted "
			 "when the daemon died",
			 s->dir);
	return 0;
}

void mount_state_sweep_marked(int mountsfd,
			      bool (*needed)(void *arg,
					     const struct mount_state *s,
					     enum mount_mark mark),
			      void *arg)
{
	struct marked m = { mountsfd, needed, arg };
	int r = mount_state_each(mountsfd, marked_remove, &m);

	if (r < 0)
		log_warn(r, "looking for what umounts have left");
}

static uint64_t dir_bytes(int atfd, const char *name)
{
	_cleanup_closedir_ DIR *dir = NULL;
	uint64_t sum = 0;
	struct dirent *de;

	if (io_opendir_at(atfd, name, &dir) < 0)
		return 0;
	while ((de = readdir(dir)) != NULL) {
		struct stat st;

		if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			    0 &&
		    S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * 512;
	}
	return sum;
}

uint64_t mount_state_bytes(int mountsfd, const char *id)
{
	_cleanup_close_ int fd = -1;

	if (mount_state_open(mountsfd, id, &fd) < 0)
		return 0;
	return dir_bytes(mountsfd, id) + dir_bytes(fd, "data");
}
