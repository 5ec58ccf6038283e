/* SPDX-License-Identifier: Apache-2.0 */
/* What uploads*.c share. Not for others. */
#ifndef LARDER_FS_UPLOADS_INTERNAL_H
#define LARDER_FS_UPLOADS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "uploads.h"

struct upload {
	TAILQ_ENTRY(upload) all; /* the lock */
	struct uploads *uploads; /* constant, as the next five */
	uint64_t id;
	struct entry entry; /* tenant, namespace, name and key only */
	json_t *tier;	    /* without its secrets */
	json_t *tiers;	    /* likewise; all of its chain, itself among them */
	bool force;
	/* The thread's while `running`, else the lock: NULL: not yet made. */
	struct chain *chain;
	unsigned index; /* of the tier in it, and in `tiers` */

	/* The lock, all below. */
	bool running;
	bool hopeless; /* the thread's, while `running` */
	unsigned attempts;
	int64_t due_ns;
	uint64_t packs, all_packs, bytes;
	char why[TIER_WHY_MAX];
};

TAILQ_HEAD(upload_list, upload);

struct upload_done {
	uint64_t id;
	int err;
	struct upload_outcome outcome;
};

struct uploads {
	struct store *store; /* constant, as the next three */
	struct tiers *tiers;
	int dirfd, wake_fd;
	atomic_bool stop;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct upload_list queue;
	struct upload_done *done; /* a ring, by done_count */
	unsigned done_count;
	bool started;
	pthread_t thread;
	uint64_t next_id;
};

/* The name of the tier that it is for. */
static inline const char *chain_name_of(const struct upload *up)
{
	const char *name = json_string_value(json_object_get(up->tier, "name"));

	return name ? name : "?";
}

static inline void upload_json_unref(json_t **j)
{
	json_decref(*j);
}

void upload_free(struct upload *up); /* NULL is fine */

/* --- uploads_file.c --- */

/* An item with a number of its own, that is in no list. */
int upload_new(struct uploads *u, const struct entry *e, const json_t *tiers,
	       unsigned i, bool force, struct upload **ret_upload);

/* Whether two descriptions mean the same tier, whatever it is called. */
bool upload_same_place(const json_t *a, const json_t *b);
int upload_file_write(struct uploads *u, const struct upload *up);
void upload_file_remove(struct uploads *u, uint64_t id);

/* Fills the queue, before there is a thread. */
int upload_files_read(struct uploads *u, const char *state_dir);

#endif
