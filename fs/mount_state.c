/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.json: written whole through publish, read back with every field
 * checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/publish.h"

#include "mount_state.h"
#include "rpc.h"

#define STATE_FILE "mount.json"
#define STATE_MAX (1u << 20)
#define STATE_FORMAT 1

static void cleanup_json(json_t **j)
{
	json_decref(*j);
}

#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

void mount_state_release(struct mount_state *s)
{
	free(s->dir);
	entry_release(&s->entry);
	memset(s, 0, sizeof(*s));
}

int mount_state_copy(const struct mount_state *s, struct mount_state *ret)
{
	struct mount_state copy = *s;
	int r = 0;

	copy.entry = (struct entry)ENTRY_INIT;
	copy.dir = strdup(s->dir);
	if (copy.dir && s->has_entry)
		r = entry_copy(&s->entry, &copy.entry);
	if (!copy.dir || r < 0) {
		free(copy.dir);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int mount_state_new_id(char ret_id[MOUNT_ID_LEN + 1])
{
	uint8_t bytes[MOUNT_ID_LEN / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	hex_encode(bytes, sizeof(bytes), ret_id);
	return 0;
}

static json_t *entry_json(const struct entry *e)
{
	char catalog[DIGEST_HEX_LEN + 1];

	digest_hex(&e->catalog, catalog);
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, "
			 "s:I, s:I, s:I, s:I}",
			 "tenant", e->tenant, "namespace", e->namespace, "name",
			 e->name, "key", e->key, "branch",
			 rpc_string(e->branch, strlen(e->branch)), "creator",
			 e->creator, "parent", e->parent, "catalog", catalog,
			 "files", (json_int_t)e->files, "dirs",
			 (json_int_t)e->dirs, "bytes", (json_int_t)e->bytes,
			 "created_ns", (json_int_t)e->created_ns);
}

char *mount_state_text(const struct mount_state *s)
{
	_cleanup_json_ json_t *j = NULL;
	char base[DIGEST_HEX_LEN + 1];

	digest_hex(&s->base, base);
	j = json_pack("{s:i, s:s, s:o, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I}",
		      "format", STATE_FORMAT, "id", s->id, "dir",
		      rpc_string(s->dir, strlen(s->dir)), "read_only",
		      s->read_only, "allow_other", s->allow_other, "suid_dev",
		      s->suid_dev, "stateful_open", s->stateful_open, "uid",
		      (json_int_t)s->uid, "gid", (json_int_t)s->gid,
		      "mounted_ns", (json_int_t)s->mounted_ns, "kept_ns",
		      (json_int_t)s->kept_ns);
	if (!j ||
	    json_object_set_new(j, "base", s->has_base ? json_string(base) :
							 json_null()) < 0 ||
	    json_object_set_new(j, "entry",
				s->has_entry ? entry_json(&s->entry) :
					       json_null()) < 0)
		return NULL;
	return json_dumps(j, JSON_COMPACT);
}

static char *dup_or_empty(const char *s)
{
	return strdup(s ? s : "");
}

static int entry_parse(json_t *j, struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	const char *tenant, *ns, *name, *key, *creator, *parent, *catalog;
	json_int_t files, dirs, bytes, created;
	json_t *branch;

	if (json_unpack(j, "{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, "
			"s:I, s:I, s:I, s:I}",
			"tenant", &tenant, "namespace", &ns, "name", &name,
			"key", &key, "branch", &branch, "creator", &creator,
			"parent", &parent, "catalog", &catalog, "files", &files,
			"dirs", &dirs, "bytes", &bytes, "created_ns",
			&created) < 0 ||
	    !key_is_valid(tenant) || !key_is_valid(ns) ||
	    !key_is_valid(name) || !key_is_valid(key) ||
	    digest_parse(catalog, &e.catalog) < 0)
		return -EBADMSG;
	e.tenant = strdup(tenant);
	e.namespace = strdup(ns);
	e.name = strdup(name);
	e.key = strdup(key);
	e.branch = rpc_bytes(branch, NULL);
	e.creator = dup_or_empty(creator);
	e.parent = dup_or_empty(parent);
	e.files = (uint64_t)files;
	e.dirs = (uint64_t)dirs;
	e.bytes = (uint64_t)bytes;
	e.created_ns = created;
	if (!e.tenant || !e.namespace || !e.name || !e.key || !e.branch ||
	    !e.creator || !e.parent)
		return -ENOMEM;
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

static int state_unpack(json_t *j, struct mount_state *s)
{
	int format, read_only, allow_other, suid_dev, stateful_open;
	json_int_t uid, gid, mounted, kept;
	json_t *dir, *base, *entry;
	const char *id;
	uint8_t raw[MOUNT_ID_LEN / 2];

	if (json_unpack(j, "{s:i, s:s, s:o, s:b, s:b, s:b, s:b, s:I, s:I, s:I, "
			"s:I, s:o, s:o}",
			"format", &format, "id", &id, "dir", &dir, "read_only",
			&read_only, "allow_other", &allow_other, "suid_dev",
			&suid_dev, "stateful_open", &stateful_open, "uid", &uid,
			"gid", &gid, "mounted_ns", &mounted, "kept_ns", &kept,
			"base", &base, "entry", &entry) < 0 ||
	    format != STATE_FORMAT || hex_decode(id, sizeof(raw), raw) < 0 ||
	    uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return -EBADMSG;
	memcpy(s->id, id, sizeof(s->id));
	s->dir = rpc_bytes(dir, NULL);
	if (!s->dir || s->dir[0] != '/')
		return -EBADMSG;
	s->read_only = read_only;
	s->allow_other = allow_other;
	s->suid_dev = suid_dev;
	s->stateful_open = stateful_open;
	s->uid = (uint32_t)uid;
	s->gid = (uint32_t)gid;
	s->mounted_ns = mounted;
	s->kept_ns = kept;
	s->has_base = json_is_string(base);
	if (s->has_base && digest_parse(json_string_value(base), &s->base) < 0)
		return -EBADMSG;
	s->has_entry = json_is_object(entry);
	return s->has_entry ? entry_parse(entry, &s->entry) : 0;
}

int mount_state_parse(const char *text, struct mount_state *ret)
{
	_cleanup_json_ json_t *j = json_loads(text, 0, NULL);
	struct mount_state s = { .dir = NULL };
	int r;

	if (!j)
		return -EBADMSG;
	r = state_unpack(j, &s);
	if (r < 0) {
		s.has_entry = false;
		mount_state_release(&s);
		return r;
	}
	*ret = s;
	return 0;
}

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
	_cleanup_close_ int fd = -1;
	int r;

	if (mkdirat(mountsfd, s->id, 0700) < 0)
		return -errno;
	r = mount_state_open(mountsfd, s->id, &fd);
	if (r == 0)
		r = state_write(fd, s);
	if (r < 0) {
		io_remove_tree(mountsfd, s->id);
		return r;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

int mount_state_save(int mountsfd, const struct mount_state *s)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = mount_state_open(mountsfd, s->id, &fd);
	if (r == 0)
		r = state_write(fd, s);
	return r < 0 ? log_error(r, "saving the state of the mount %s", s->dir) :
		       0;
}

static int state_load(int mountsfd, const char *id, struct mount_state *ret)
{
	_cleanup_free_ uint8_t *text = NULL;
	_cleanup_close_ int fd = -1;
	size_t len;
	int r;

	r = mount_state_open(mountsfd, id, &fd);
	if (r == 0)
		r = io_read_file(fd, STATE_FILE, STATE_MAX, &text, &len);
	if (r == 0)
		r = mount_state_parse((char *)text, ret);
	if (r == 0 && strcmp(ret->id, id) != 0) {
		mount_state_release(ret);
		r = -EBADMSG;
	}
	return r;
}

int mount_state_each(int mountsfd,
		     int (*each)(void *arg, const struct mount_state *s),
		     void *arg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	int fd, r = 0;

	fd = openat(mountsfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (de = readdir(dir)) != NULL) {
		struct mount_state s = { .dir = NULL };
		uint8_t raw[MOUNT_ID_LEN / 2];

		if (hex_decode(de->d_name, sizeof(raw), raw) < 0)
			continue;
		r = state_load(mountsfd, de->d_name, &s);
		if (r < 0) {
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

static uint64_t dir_bytes(int atfd, const char *name)
{
	_cleanup_closedir_ DIR *dir = NULL;
	uint64_t sum = 0;
	struct dirent *de;
	int fd;

	fd = openat(atfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return 0;
	}
	while ((de = readdir(dir)) != NULL) {
		struct stat st;

		if (fstatat(dirfd(dir), de->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
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
