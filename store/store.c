/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's directory: making and opening it, the lock that keeps a second
 * process out, publishing and setting aside of blob files, and the claims on
 * packs that are not indexed yet. Trees are in store_tree.c, chunk reads in
 * store_read.c. Any thread; store_open() and store_close() one.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/publish.h"
#include "lazy_internal.h"
#include "tree_blobs.h"

/* https://bford.info/cachedir/ */
#define CACHEDIR_TAG                                         \
	"Signature: 8a477f597d28d172789f06886806bc55\n"      \
	"# This directory is a cache of Larder; backups may" \
	" leave it out.\n"

#define OWNER_MAX 32 /* bytes of v1/owner that are looked at */
#define OWNER_WAIT_NS 3000000000
#define OWNER_POLL_NS 20000000

void store_path(const struct digest *digest, char ret_path[STORE_PATH_LEN + 1])
{
	digest_hex(digest, ret_path + 3);
	ret_path[0] = ret_path[3];
	ret_path[1] = ret_path[4];
	ret_path[2] = '/';
}

void store_stamp(const struct stat *st, struct index_stamp *ret_stamp)
{
	*ret_stamp = (struct index_stamp){
		.bytes = st->st_size,
		.ino = st->st_ino,
		.mtime_ns = clock_timespec_ns(&st->st_mtim),
		.ctime_ns = clock_timespec_ns(&st->st_ctim),
	};
}

static int open_subdir(int fd, const char *name, int *ret_fd)
{
	int sub;

	if (mkdirat(fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return -errno;
	*ret_fd = sub;
	return 0;
}

/* Who has it, for the message; 0 where that cannot be read. */
static long owner_pid(int fd)
{
	char text[OWNER_MAX + 1] = "";

	if (pread(fd, text, OWNER_MAX, 0) <= 0)
		return 0;
	return strtol(text, NULL, 10);
}

/* A process that was killed keeps its locks until the kernel has taken it
 * down, after /proc has ceased to show what it was. */
static int owner_flock(int fd)
{
	const struct timespec pause = { .tv_nsec = OWNER_POLL_NS };
	int64_t end = clock_mono_ns() + OWNER_WAIT_NS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_mono_ns() >= end)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* The lock is the file's flock, which dies with the process; the pid in it
 * only serves the message. */
static int owner_lock(struct store *s)
{
	char text[OWNER_MAX];
	int len, r;

	s->owner_fd = openat(s->fd, "owner",
			     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->owner_fd < 0)
		return log_error(-errno, "store %s: cannot open owner", s->dir);
	r = owner_flock(s->owner_fd);
	if (r == -EBUSY)
		return log_error(r, "store %s is in use by process %ld", s->dir,
				 owner_pid(s->owner_fd));
	if (r < 0)
		return log_error(r, "store %s: cannot lock", s->dir);
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(s->owner_fd, 0) < 0)
		return log_error(-errno, "store %s: cannot write owner",
				 s->dir);
	return io_pwrite(s->owner_fd, text, len, 0);
}

static int write_tag(struct store *s)
{
	if (faccessat(s->fd, "CACHEDIR.TAG", F_OK, 0) == 0)
		return 0;
	return publish_file(s->fd, "CACHEDIR.TAG", CACHEDIR_TAG,
			    strlen(CACHEDIR_TAG), 0600);
}

/* What a crash left. Only the lock's holder may do this. */
static int sweep(struct store *s)
{
	const int roots[] = { s->fd,	      s->packs_fd,
			      s->catalogs_fd, s->placements_fd,
			      s->plain_fd,    s->sparse_fd,
			      s->records_fd };
	size_t i;
	int r;

	for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		r = publish_sweep(roots[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_layout(struct store *s)
{
	int r;

	r = open_subdir(s->fd, "packs", &s->packs_fd);
	if (r < 0)
		return r;
	r = open_subdir(s->fd, "catalogs", &s->catalogs_fd);
	if (r < 0)
		return r;
	r = open_subdir(s->fd, "placements", &s->placements_fd);
	if (r < 0)
		return r;
	r = open_subdir(s->fd, "plain", &s->plain_fd);
	if (r < 0)
		return r;
	r = open_subdir(s->fd, "sparse", &s->sparse_fd);
	if (r < 0)
		return r;
	r = open_subdir(s->fd, "records", &s->records_fd);
	if (r < 0)
		return r;
	r = sweep(s);
	if (r < 0)
		return r;
	return write_tag(s);
}

static int open_root(struct store *s)
{
	_cleanup_free_ char *v1 = io_path("%s/v1", s->dir);
	int r;

	if (!v1)
		return -ENOMEM;
	r = io_mkdir_p(v1, 0700);
	if (r < 0)
		return log_error(r, "store %s: cannot create", s->dir);
	s->fd = open(v1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return log_error(-errno, "store %s: cannot open", s->dir);
	return 0;
}

static int open_index(struct store *s)
{
	_cleanup_free_ char *db = io_path("%s/v1/db", s->dir);

	if (!db)
		return -ENOMEM;
	return index_open(db, &s->index);
}

static int store_start(struct store *s)
{
	int r = open_root(s);

	if (r < 0)
		return r;
	r = owner_lock(s);
	if (r < 0)
		return r;
	r = open_layout(s);
	if (r < 0)
		return log_error(r, "store %s: cannot open", s->dir);
	r = pack_cache_new(s->packs_fd, &s->packs);
	if (r < 0)
		return r;
	return open_index(s);
}

static void node_free(struct dmap_node *n)
{
	free(n);
}

/* The lock on `owner` goes last: from then on another process may open. */
void store_close(struct store *s)
{
	if (!s)
		return;
	lazy_free(s->lazy);
	store_release_sources(s);
	pack_cache_free(s->packs);
	unfolded_release(s);
	index_close(s->index);
	map_release(&s->trees.heads);
	dmap_release(&s->damaged, node_free);
	dmap_release(&s->held, store_hold_free);
	dmap_release(&s->condemned, store_hold_free);
	pthread_cond_destroy(&s->published);
	pthread_mutex_destroy(&s->lock);
	cleanup_close(&s->packs_fd);
	cleanup_close(&s->catalogs_fd);
	cleanup_close(&s->plain_fd);
	cleanup_close(&s->placements_fd);
	cleanup_close(&s->sparse_fd);
	cleanup_close(&s->records_fd);
	cleanup_close(&s->fd);
	cleanup_close(&s->owner_fd);
	free(s->dir);
	free(s);
}

int store_open(const char *dir, struct store **ret_store)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = s->owner_fd = -1;
	s->packs_fd = s->catalogs_fd = s->placements_fd = s->plain_fd = -1;
	s->sparse_fd = s->records_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->published, NULL);
	s->dir = strdup(dir);
	r = s->dir ? store_start(s) : -ENOMEM;
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret_store = s;
	return 0;
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

struct index *store_index(struct store *s)
{
	return s->index;
}

int store_packs_dirfd(const struct store *s)
{
	return s->packs_fd;
}

void store_put_stamp(struct store *s, enum index_blob kind,
		     const struct digest *blob, const struct index_stamp *stamp)
{
	struct index_batch *b;

	if (index_batch_begin(s->index, &b) < 0)
		return;
	if (index_put_stamp(b, kind, blob, stamp) < 0) {
		index_batch_abort(b);
		return;
	}
	index_batch_commit(b, false);
}

int store_quarantine(struct store *s, int rootfd, const char *kind,
		     const struct digest *digest)
{
	char path[STORE_PATH_LEN + 1];
	char name[sizeof("placement-") + DIGEST_HEX_LEN];
	_cleanup_close_ int dirfd = -1;

	store_path(digest, path);
	snprintf(name, sizeof(name), "%s-%s", kind, path + 3);
	if (open_subdir(s->fd, "quarantine", &dirfd) < 0 ||
	    renameat(rootfd, path, dirfd, name) < 0)
		return log_error(-EBADMSG,
				 "%s %s is damaged and cannot be set aside",
				 kind, path + 3);
	return log_error(-EBADMSG,
			 "%s %s is damaged; it is now %s/v1/"
			 "quarantine/%s",
			 kind, path + 3, s->dir, name);
}

static int blob_put(int rootfd, const struct digest *digest, const void *data,
		    size_t len, struct index_stamp *ret_stamp)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	_cleanup_close_ int dirfd = -1;
	char path[STORE_PATH_LEN + 1];
	struct stat st;
	int r;

	r = fault_check("store.blob");
	if (r < 0)
		return r;
	store_path(digest, path);
	r = publish_open(&p, rootfd, 0600);
	if (r < 0)
		return r;
	r = io_write(p.fd, data, len);
	if (r < 0)
		return r;
	path[2] = '\0';
	r = open_subdir(rootfd, path, &dirfd);
	if (r < 0)
		return r;
	if (fsync(rootfd) < 0) /* the name <hh> */
		return -errno;
	r = publish_commit_at(&p, dirfd, path + 3);
	if (r < 0)
		return r;
	/* After the rename, which changes the ctime. */
	if (fstat(p.fd, &st) < 0)
		return -errno;
	store_stamp(&st, ret_stamp);
	return 0;
}

int store_put_catalog(struct store *s, const struct digest *digest,
		      const void *data, size_t len,
		      struct index_stamp *ret_stamp)
{
	int r = blob_put(s->catalogs_fd, digest, data, len, ret_stamp);

	if (r < 0)
		return log_error(r, "store %s: cannot write a catalog", s->dir);
	return 0;
}

int store_put_placement(struct store *s, const struct digest *catalog,
			const void *data, size_t len,
			struct index_stamp *ret_stamp)
{
	int r = blob_put(s->placements_fd, catalog, data, len, ret_stamp);

	if (r < 0)
		return log_error(r, "store %s: cannot write a placement",
				 s->dir);
	return 0;
}

int store_put_pack(struct store *s, const struct digest *name,
		   struct publish *p)
{
	_cleanup_close_ int dirfd = -1;
	char path[STORE_PATH_LEN + 1];
	int r;

	store_path(name, path);
	path[2] = '\0';
	r = open_subdir(s->packs_fd, path, &dirfd);
	if (r < 0)
		return r;
	if (fsync(s->packs_fd) < 0) /* the name <hh> */
		return -errno;
	return publish_commit_at(p, dirfd, path + 3);
}

/* The mark comes first: a placement without it would be believed. */
int store_put_foreign_placement(struct store *s, const struct digest *catalog,
				const void *data, size_t len)
{
	struct index_stamp stamp = { 0 };
	struct index_batch *b;
	int r = index_batch_begin(s->index, &b);

	if (r < 0)
		return r;
	r = index_put_stamp(b, INDEX_BLOB_FOREIGN, catalog, &stamp);
	if (r < 0) {
		index_batch_abort(b);
		return r;
	}
	r = index_batch_commit(b, true);
	return r < 0 ? r : store_put_placement(s, catalog, data, len, &stamp);
}

int store_find_entry(struct store *s, const char *tenant, const char *namespace,
		     const struct entry_ref *ref, struct entry *ret_entry)
{
	switch (ref->kind) {
	case ENTRY_REF_KEY:
		return index_find_entry(s->index, tenant, namespace, ref->name,
					ref->arg, ret_entry);
	case ENTRY_REF_LATEST:
		return index_newest_entry(s->index, tenant, namespace,
					  ref->name, "", ret_entry);
	case ENTRY_REF_BRANCH:
		return index_newest_entry(s->index, tenant, namespace,
					  ref->name, ref->arg, ret_entry);
	}
	return -EINVAL;
}

bool store_damage_known(struct store *s, const struct digest *chunk)
{
	LOCK_SCOPE(&s->lock);
	struct dmap_node *n = dmap_find(&s->damaged, chunk);

	if (n)
		return true;
	n = calloc(1, sizeof(*n));
	if (!n)
		return false;
	n->digest = *chunk;
	if (dmap_add(&s->damaged, n) < 0)
		free(n);
	return false;
}
