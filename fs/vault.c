/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault: owners and their lists as two JSON values, and the file that the
 * supervisor gets anew with each change. Lists that are equal are one.
 */
#include "vault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "json_scope.h"
#include "supervisor.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct vault {
	struct supervisor_link *link; /* constant */

	/* Guards the next. Held while the supervisor is sent a descriptor, so
	 * that the last one that it gets is the newest; nothing is waited for. */
	pthread_mutex_t lock;
	json_t *owners; /* object: of each the list; equal ones are the same */
};

/* What was text of secrets is not left in freed memory. */
static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

/* --- the file --- */

/* Never to be run, which a system may demand; a kernel before 6.3 knows no such
 * file. */
static int new_file(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("tiers", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("tiers", flags);
	return fd < 0 ? -errno : fd;
}

static int write_file(const char *text, size_t len, int *ret_fd)
{
	_cleanup_close_ int fd = new_file();
	int r = fd < 0 ? fd : io_write(fd, text, len);

	if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

/* The number of a list among those of the file, to which it may be new. */
static int number_of(json_t *lists, json_t *list, json_int_t *ret_number)
{
	json_t *other;
	size_t i;

	json_array_foreach(lists, i, other)
	{
		*ret_number = (json_int_t)i;
		if (other == list)
			return 0;
	}
	*ret_number = (json_int_t)json_array_size(lists);
	return json_array_append(lists, list) < 0 ? -ENOMEM : 0;
}

static char *file_text(const struct vault *v)
{
	_cleanup_json_ json_t *lists = json_array(), *owners = json_object();
	_cleanup_json_ json_t *all =
		json_pack("{s:O, s:O}", "lists", lists, "owners", owners);
	const char *owner;
	json_int_t number;
	json_t *list;

	if (!all)
		return NULL;
	json_object_foreach(v->owners, owner, list)
	{
		if (number_of(lists, list, &number) < 0 ||
		    json_object_set_new(owners, owner, json_integer(number)) <
			    0)
			return NULL;
	}
	return json_dumps(all, JSON_COMPACT);
}

/* Under the lock. */
static int hand_over(struct vault *v)
{
	_cleanup_(wipe) char *text = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (!v->link)
		return 0;
	if (json_object_size(v->owners) == 0)
		return supervisor_save_secrets(v->link, -1);
	text = file_text(v);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > VAULT_BYTES_MAX)
		return -EFBIG;
	r = write_file(text, strlen(text), &fd);
	return r < 0 ? r : supervisor_save_secrets(v->link, fd);
}

static void hand_over_or_say(struct vault *v)
{
	int r = hand_over(v);

	if (r < 0)
		log_warn(r, "secrets of tiers would be lost with this worker");
}

/* Whoever wrote it may have died of anything, so what it has is looked at as
 * if it came from a stranger. */
static int read_text(int fd, char **ret_text)
{
	_cleanup_(wipe) char *text = NULL;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	int r;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
	    st.st_size <= 0 || st.st_size > VAULT_BYTES_MAX)
		return -EBADMSG;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	r = io_pread(fd, text, (size_t)st.st_size, 0);
	if (r == 0)
		*ret_text = steal_ptr(&text);
	return r;
}

static bool is_owner(const char *owner)
{
	return *owner && strlen(owner) < VAULT_OWNER_MAX;
}

static int take_owners(struct vault *v, const json_t *all)
{
	const json_t *lists = json_object_get(all, "lists");
	json_t *number, *list;
	const char *owner;

	json_object_foreach(json_object_get(all, "owners"), owner, number)
	{
		json_int_t i = json_integer_value(number);

		list = i < 0 ? NULL : json_array_get(lists, (size_t)i);
		if (!json_is_integer(number) || !json_is_array(list) ||
		    !is_owner(owner))
			return -EBADMSG;
		if (json_object_set(v->owners, owner, list) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int take_over(struct vault *v)
{
	_cleanup_(wipe) char *text = NULL;
	_cleanup_json_ json_t *all = NULL;
	_cleanup_close_ int fd = -1;
	int r = supervisor_take_secrets(v->link, &fd);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = read_text(fd, &text);
	if (r < 0)
		return r;
	all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	return all ? take_owners(v, all) : -EBADMSG;
}

/* --- owners --- */

/* The list that another owner has already, or a copy. */
static json_t *same_list(const struct vault *v, const json_t *tiers)
{
	const char *owner;
	json_t *list;

	json_object_foreach(v->owners, owner, list)
	{
		if (json_equal(list, tiers))
			return json_incref(list);
	}
	return json_deep_copy(tiers);
}

int vault_put(struct vault *v, const char *owner, const json_t *tiers)
{
	LOCK_SCOPE(&v->lock);
	json_t *list;

	if (!is_owner(owner))
		return -EINVAL;
	if (json_equal(json_object_get(v->owners, owner), tiers))
		return 0;
	list = same_list(v, tiers);
	if (!list || json_object_set_new(v->owners, owner, list) < 0)
		return -ENOMEM;
	hand_over_or_say(v);
	return 0;
}

json_t *vault_get(struct vault *v, const char *owner)
{
	LOCK_SCOPE(&v->lock);
	json_t *list = json_object_get(v->owners, owner);

	return list ? json_deep_copy(list) : NULL;
}

void vault_remove(struct vault *v, const char *owner)
{
	LOCK_SCOPE(&v->lock);

	if (json_object_del(v->owners, owner) == 0)
		hand_over_or_say(v);
}

/* NULL: out of memory. */
static json_t *owner_names(struct vault *v)
{
	LOCK_SCOPE(&v->lock);
	json_t *names = json_array(), *list;
	const char *owner;

	json_object_foreach(v->owners, owner, list)
	{
		if (json_array_append_new(names, json_string(owner)) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

static void remove_all(struct vault *v, const json_t *names)
{
	LOCK_SCOPE(&v->lock);
	bool any = false;
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		if (json_object_del(v->owners, json_string_value(name)) == 0)
			any = true;
	}
	if (any)
		hand_over_or_say(v);
}

/* lives() takes locks of its own, and so is asked under none. */
void vault_sweep(struct vault *v, bool (*lives)(void *arg, const char *owner),
		 void *arg)
{
	_cleanup_json_ json_t *names = owner_names(v);
	size_t i = json_array_size(names);

	while (i-- > 0)
		if (lives(arg, json_string_value(json_array_get(names, i))))
			json_array_remove(names, i);
	remove_all(v, names);
}

/* --- begin and end --- */

int vault_new(struct supervisor_link *link, struct vault **ret_vault)
{
	struct vault *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->link = link;
	pthread_mutex_init(&v->lock, NULL);
	v->owners = json_object();
	r = !v->owners ? -ENOMEM : link ? take_over(v) : 0;
	if (r == -ENOMEM) {
		vault_free(v);
		return r;
	}
	if (r < 0) {
		log_warn(r, "secrets of tiers are lost with the worker before");
		json_object_clear(v->owners);
	}
	*ret_vault = v;
	return 0;
}

void vault_free(struct vault *v)
{
	if (!v)
		return;
	json_decref(v->owners);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
