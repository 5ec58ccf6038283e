/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's list of mounts, newest first. There are few, so a list
 * will do.
 */
#include "supervisor_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "supervisor_msg.h"

static void kept_mount_free(struct kept_mount *m)
{
	free(m->id);
	free(m->dir);
	free(m->desc);
	free(m->path);
	free(m->dev);
	free(m->init);
	cleanup_close(&m->fd);
	free(m);
}

int kept_mounts_add(struct kept_mounts *t, const json_t *call,
		    const json_t *answer, int fd)
{
	const char *id = json_string_value(json_object_get(call, "id"));
	struct kept_mount *m = NULL;
	int r = -EBADMSG;

	if (id && kept_mounts_find(t, id))
		r = -EEXIST;
	else if (id && fd >= 0)
		m = calloc(1, sizeof(*m));
	if (!m) {
		cleanup_close(&fd);
		return r;
	}
	m->fd = fd;
	m->id = strdup(id);
	m->dir = supervisor_msg_get_bytes(call, "dir");
	m->desc = supervisor_msg_get_bytes(call, "desc");
	m->path = supervisor_msg_get_bytes(answer, "path");
	m->dev = supervisor_msg_get_bytes(answer, "dev");
	if (!m->id || !m->dir || !m->desc || !m->path || !m->dev) {
		kept_mount_free(m);
		return -EBADMSG;
	}
	m->next = t->newest;
	t->newest = m;
	return 0;
}

struct kept_mount *kept_mounts_find(const struct kept_mounts *t, const char *id)
{
	struct kept_mount *m = t->newest;

	while (m && strcmp(m->id, id) != 0)
		m = m->next;
	return m;
}

struct kept_mount *kept_mounts_after(const struct kept_mounts *t,
				     const char *after)
{
	struct kept_mount *m, *best = NULL;

	for (m = t->newest; m; m = m->next)
		if (strcmp(m->id, after) > 0 &&
		    (!best || strcmp(m->id, best->id) < 0))
			best = m;
	return best;
}

void kept_mounts_remove(struct kept_mounts *t, const char *id)
{
	struct kept_mount *m, **link = &t->newest;

	while ((m = *link) && strcmp(m->id, id) != 0)
		link = &m->next;
	if (!m)
		return;
	*link = m->next;
	kept_mount_free(m);
}

void kept_mounts_close_fds(struct kept_mounts *t)
{
	struct kept_mount *m;

	for (m = t->newest; m; m = m->next) {
		cleanup_close(&m->fd);
		m->fd = -1;
	}
}

void kept_mounts_release(struct kept_mounts *t)
{
	while (t->newest)
		kept_mounts_remove(t, t->newest->id);
}

int kept_mount_set(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}
