/* SPDX-License-Identifier: Apache-2.0 */
/* Hashing the files of a key; see key_content.h. */
#include "key_content.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#define READ_BYTES (128u << 10)

struct key_content {
	struct stat_cache *cache;
	struct digest_ctx *hash;
	uint8_t *scratch; /* READ_BYTES */
};

int key_content_new(struct stat_cache *cache, struct key_content **ret_content)
{
	_cleanup_key_content_ struct key_content *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->cache = cache;
	c->scratch = malloc(READ_BYTES);
	if (!c->scratch)
		return -ENOMEM;
	r = digest_ctx_new(&c->hash);
	if (r < 0)
		return r;
	*ret_content = steal_ptr(&c);
	return 0;
}

void key_content_free(struct key_content *c)
{
	if (!c)
		return;
	digest_ctx_free(c->hash);
	free(c->scratch);
	free(c);
}

static int hash_link(int dirfd, const char *name, struct digest *ret_digest)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target));

	return len < 0 ? -errno : digest_of(target, (size_t)len, ret_digest);
}

static int hash_fd(struct key_content *c, int fd, struct digest *ret_digest)
{
	int r = digest_ctx_reset(c->hash);
	ssize_t n = 0;

	while (r == 0 && (n = io_read_upto(fd, c->scratch, READ_BYTES)) > 0)
		r = digest_ctx_update(c->hash, c->scratch, (size_t)n);
	if (r == 0 && n < 0)
		r = (int)n;
	return r < 0 ? r : digest_ctx_final(c->hash, ret_digest);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* O_NONBLOCK, so that a pipe that came meanwhile does not stop us. What
 * changes while it is read is not remembered. */
static int hash_file(struct key_content *c, int dirfd, const char *name,
		     const char *path, struct stat *ret_st,
		     struct digest *ret_digest)
{
	int64_t now = clock_wall_ns();
	_cleanup_close_ int fd = -1;
	struct stat after;
	int r;

	fd = openat(dirfd, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return 0;
	r = hash_fd(c, fd, ret_digest);
	if (r < 0)
		return r;
	if (fstat(fd, &after) == 0 && same_file(ret_st, &after))
		stat_cache_put(c->cache, path, ret_st, now, ret_digest);
	return 1;
}

int key_content_digest(struct key_content *c, int dirfd, const char *name,
		       const char *path, struct stat *ret_st,
		       struct digest *ret_digest)
{
	int r;

	if (fstatat(dirfd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(ret_st->st_mode)) {
		r = hash_link(dirfd, name, ret_digest);
		return r < 0 ? r : 1;
	}
	if (!S_ISREG(ret_st->st_mode))
		return 0;
	if (stat_cache_find(c->cache, path, ret_st, ret_digest))
		return 1;
	return hash_file(c, dirfd, name, path, ret_st, ret_digest);
}
