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
	struct uploads *uploads; /* constant, as the next three */
	uint64_t id;
	struct entry entry; /* tenant, namespace, name and key only */
	bool force;

	/* Constant while `running`, else the lock; all are of one list. */
	json_t *tier;  /* without its secrets */
	json_t *tiers; /* likewise; all of its chain, itself among them */
	/* The thread's while `running`, else the lock: its own (NULL: not yet
	 * made), and one that another of the same tiers has lent it for the next
	 * attempt. */
	struct chain *chain, *lent;
	unsigned index; /* of the tier in them, and in `tiers` */

	/* The lock, all below. */
	bool running;
	bool hopeless; /* the thread's, while `running` */
	unsigned attempts;
	int64_t due_ns, own_due_ns; /* the second while there is `lent` */
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
	struct upload_done *done; /* a ring of UPLOADS_DONE_MAX, by done_count */
	unsigned done_count;
	bool started;
	pthread_t thread;
	uint64_t next_id;
};

#define UPLOADS_DONE_MAX 256 /* results kept for those who wait */

static inline struct timespec uploads_time(int64_t ns)
{
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

/* The name of the tier that it is for. */
static inline const char *chain_name_of(const struct upload *up)
{
	const char *name = json_string_value(json_object_get(up->tier, "name"));

	return name ? name : "?";
}

void upload_free(struct upload *up); /* NULL is fine */

/* What the secrets of an upload are kept as (tiers_keep()). */
const char *upload_owner(uint64_t id, char ret_owner[TIERS_OWNER_MAX]);

/* --- uploads_run.c --- */

/* Lends the chain of `up`, of whose tiers some have secrets of their own in
 * `tiers`, to those that failed on their way to these. Under the lock. */
void uploads_lend(struct uploads *u, const struct upload *up,
		  const json_t *tiers);

/* Takes back what was lent; whether something was. Under the lock. */
bool upload_give_back(struct upload *up);

/* The thread that uploads; `arg`: the struct uploads. */
void *uploads_main(void *arg);

/* --- uploads_file.c --- */

/* An item with a number of its own, that is in no list. */
int upload_new(struct uploads *u, const struct entry *e, const json_t *tiers,
	       unsigned i, bool force, struct upload **ret_upload);

/* Whether two descriptions mean the same tier, whatever it is called. */
bool upload_same_place(const json_t *a, const json_t *b);
int upload_file_write(struct uploads *u, const struct upload *up);
void upload_file_remove(struct uploads *u, uint64_t id);

/* The file of one becomes another's; where it cannot, that keeps its own. */
void upload_file_move(struct uploads *u, uint64_t from, uint64_t to);

/* Fills the queue, before there is a thread. */
int upload_files_read(struct uploads *u, const char *state_dir);

#endif
