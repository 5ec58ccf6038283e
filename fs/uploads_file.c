/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upload queue's files, one JSON object each: {"tenant","namespace","name",
 * "key","tier":{...},"tiers":[...],"force"}; without "tiers", as earlier versions
 * wrote it, the tier is alone in its chain. The number in the name gives the order.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/publish.h"

#include "json_scope.h"
#include "uploads_internal.h"

#define NAME_MAX_LEN 32
#define FILE_MAX (64u << 10)
#define SUFFIX ".json"

static void file_name(uint64_t id, char ret_name[NAME_MAX_LEN])
{
	snprintf(ret_name, NAME_MAX_LEN, "%010" PRIu64 SUFFIX, id);
}

static uint64_t take_id(struct uploads *u)
{
	LOCK_SCOPE(&u->lock);

	return u->next_id++;
}

bool upload_same_place(const json_t *a, const json_t *b)
{
	_cleanup_json_ json_t *one = json_copy((json_t *)a);
	_cleanup_json_ json_t *two = json_copy((json_t *)b);

	json_object_del(one, "name");
	json_object_del(two, "name");
	json_object_del(one, "access");
	json_object_del(two, "access");
	return json_equal(one, two);
}

int upload_new(struct uploads *u, const struct entry *e, const json_t *tiers,
	       unsigned i, bool force, struct upload **ret_upload)
{
	struct upload *up = calloc(1, sizeof(*up));

	if (!up)
		return -ENOMEM;
	up->uploads = u;
	up->force = force;
	up->index = i;
	up->tiers = tiers_public(tiers);
	up->tier = json_incref(json_array_get(up->tiers, i));
	up->entry.tenant = strdup(e->tenant);
	up->entry.namespace = strdup(e->namespace);
	up->entry.name = strdup(e->name);
	up->entry.key = strdup(e->key);
	if (!up->tiers || !up->tier || !up->entry.tenant ||
	    !up->entry.namespace || !up->entry.name || !up->entry.key) {
		upload_free(up);
		return -ENOMEM;
	}
	up->id = take_id(u);
	*ret_upload = up;
	return 0;
}

int upload_file_write(struct uploads *u, const struct upload *up)
{
	_cleanup_json_ json_t *j =
		json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:b}", "tenant",
			  up->entry.tenant, "namespace", up->entry.namespace,
			  "name", up->entry.name, "key", up->entry.key, "tier",
			  up->tier, "tiers", up->tiers, "force", up->force);
	_cleanup_free_ char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	char name[NAME_MAX_LEN];

	if (!text)
		return -ENOMEM;
	file_name(up->id, name);
	return publish_file(u->dirfd, name, text, strlen(text), 0600);
}

void upload_file_remove(struct uploads *u, uint64_t id)
{
	char name[NAME_MAX_LEN];

	file_name(id, name);
	if (unlinkat(u->dirfd, name, 0) < 0 && errno != ENOENT)
		log_warn(-errno, "removing %s from the upload queue", name);
}

void upload_file_move(struct uploads *u, uint64_t from, uint64_t to)
{
	char name[NAME_MAX_LEN], other[NAME_MAX_LEN];

	file_name(from, name);
	file_name(to, other);
	if (renameat(u->dirfd, name, u->dirfd, other) < 0)
		log_warn(-errno, "renaming %s in the upload queue", name);
}

/* --- reading --- */

static const char *word(const json_t *j, const char *name)
{
	const char *text = json_string_value(json_object_get(j, name));

	return text && key_is_valid(text) ? text : NULL;
}

/* Where the tier is among the tiers of its chain. */
static bool find_tier(const json_t *tiers, const json_t *tier, unsigned *ret_i)
{
	json_t *other;
	size_t i;

	json_array_foreach(tiers, i, other)
	{
		*ret_i = (unsigned)i;
		if (json_equal(other, tier))
			return true;
	}
	return false;
}

/* -EBADMSG for what no version has written. */
static int read_item(struct uploads *u, const char *name,
		     struct upload **ret_upload)
{
	_cleanup_json_ json_t *j = NULL, *tiers = NULL;
	_cleanup_free_ uint8_t *text = NULL;
	struct entry e = ENTRY_INIT;
	json_t *tier;
	unsigned i = 0;
	size_t len;
	int r = io_read_file(u->dirfd, name, FILE_MAX, &text, &len);

	if (r < 0)
		return r;
	j = json_loadb((char *)text, len, JSON_REJECT_DUPLICATES, NULL);
	tier = json_object_get(j, "tier");
	e.tenant = (char *)word(j, "tenant");
	e.namespace = (char *)word(j, "namespace");
	e.name = (char *)word(j, "name");
	e.key = (char *)word(j, "key");
	if (!e.tenant || !e.namespace || !e.name || !e.key ||
	    !json_is_object(tier))
		return -EBADMSG;
	tiers = json_incref(json_object_get(j, "tiers"));
	if (!tiers)
		tiers = json_pack("[O]", tier);
	if (!find_tier(tiers, tier, &i))
		return -EBADMSG;
	return upload_new(u, &e, tiers, i,
			  json_is_true(json_object_get(j, "force")),
			  ret_upload);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct file_names {
	char **items;
	size_t count, room;
};

static void file_names_release(struct file_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static int add_file_name(struct file_names *n, const char *name)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);

	if (len != 10 + suffix || strcmp(name + 10, SUFFIX) != 0 ||
	    strspn(name, "0123456789") != 10)
		return 0;
	if (n->count == n->room) {
		size_t room = n->room ? n->room * 2 : 64;
		char **more = realloc(n->items, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		n->items = more;
		n->room = room;
	}
	n->items[n->count] = strdup(name);
	return n->items[n->count] ? (n->count++, 0) : -ENOMEM;
}

static int list_files(int dirfd, struct file_names *n)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	int r = io_opendir_at(dirfd, ".", &dir);

	while (r == 0 && (errno = 0, de = readdir(dir)))
		r = add_file_name(n, de->d_name);
	if (r == 0 && errno)
		r = -errno;
	if (r == 0 && n->count > 1)
		qsort(n->items, n->count, sizeof(*n->items), by_name);
	return r;
}

/* An item keeps its number, and with it its file. */
static void queue_item(struct uploads *u, const char *name)
{
	uint64_t id = strtoull(name, NULL, 10);
	struct upload *up;
	int r;

	if (id >= u->next_id)
		u->next_id = id;
	else
		return;
	r = read_item(u, name, &up);
	if (r < 0) {
		u->next_id++;
		log_warn(r, "upload queue: %s is left alone", name);
		return;
	}
	TAILQ_INSERT_TAIL(&u->queue, up, all);
}

int upload_files_read(struct uploads *u, const char *state_dir)
{
	_cleanup_(file_names_release) struct file_names n = { NULL, 0, 0 };
	_cleanup_free_ char *path = io_path("%s/uploads", state_dir);
	int r = path ? io_mkdir_p(path, 0700) : -ENOMEM;

	if (r < 0)
		return r;
	u->next_id = 1;
	u->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->dirfd < 0)
		return -errno;
	r = publish_sweep(u->dirfd);
	if (r == 0)
		r = list_files(u->dirfd, &n);
	for (size_t i = 0; r == 0 && i < n.count; i++)
		queue_item(u, n.items[i]);
	return r;
}
