/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items of one root, in a map by their paths' hash; two paths of the same
 * hash displace each other. Loaded when first asked, so that a key that reads
 * no file costs nothing. Saving writes a new file under the final name: of
 * two processes the later one wins, and each file is whole.
 */
#include "stat_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/hex.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"
#include "base/map.h"
#include "base/publish.h"

#define MAGIC "LARDSTAT"
#define MAGIC_LEN 8
#define VERSION 1u
#define FILE_MAX (512u << 20)
#define NAME_LEN 32 /* hex digits of the root's digest */
#define DAY_NS (INT64_C(86400) * 1000000000)

#ifndef ZFS_SUPER_MAGIC
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#endif

struct item {
	uint64_t size, ino;
	int64_t mtime_ns, ctime_ns;
	uint32_t day; /* when it was last of use, since 1970 */
	struct digest digest;
	char path[];
};

struct stat_cache {
	char *dir;
	char name[NAME_LEN + 1];
	bool usable; /* the file system's stat data can be relied upon */
	bool loaded;
	bool changed;
	uint32_t today;
	struct map items;
};

/* Others may be shared with machines whose clock differs, or, as a view of a
 * cache entry, show another file with all the same stat data. */
static bool is_local(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case ZFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

int stat_cache_open(const char *dir, const char *root, int rootfd,
		    struct stat_cache **ret_cache)
{
	struct stat_cache *c = calloc(1, sizeof(*c));
	struct digest d;

	if (c)
		c->dir = strdup(dir);
	if (!c || !c->dir) {
		free(c);
		return -ENOMEM;
	}
	c->usable = is_local(rootfd) && digest_of(root, strlen(root), &d) == 0;
	if (c->usable)
		hex_encode(d.bytes, NAME_LEN / 2, c->name);
	c->today = (uint32_t)(clock_wall_ns() / DAY_NS);
	*ret_cache = c;
	return 0;
}

void stat_cache_free(struct stat_cache *c)
{
	struct item *item;
	size_t pos = 0;
	uint64_t key;

	if (!c)
		return;
	while ((item = map_next(&c->items, &pos, &key)))
		free(item);
	map_release(&c->items);
	free(c->dir);
	free(c);
}

/* ---- items */

static uint64_t hash_of(const char *path)
{
	return map_hash_bytes(path, strlen(path), 0);
}

/* Takes `item`. */
static int put_item(struct stat_cache *c, struct item *item)
{
	uint64_t key = hash_of(item->path);
	struct item *before = map_get(&c->items, key);
	int r = map_put(&c->items, key, item);

	free(r < 0 ? item : before);
	return r;
}

static struct item *new_item(const char *path, size_t len)
{
	struct item *item = malloc(sizeof(*item) + len + 1);

	if (!item)
		return NULL;
	memcpy(item->path, path, len);
	item->path[len] = '\0';
	return item;
}

/* ---- reading */

static int read_item(struct stat_cache *c, struct cursor *cur)
{
	uint64_t size = cursor_u64(cur), ino = cursor_u64(cur);
	int64_t mtime_ns = (int64_t)cursor_u64(cur);
	int64_t ctime_ns = (int64_t)cursor_u64(cur);
	uint32_t day = cursor_u32(cur);
	const void *digest = cursor_bytes(cur, DIGEST_LEN);
	uint16_t len = cursor_u16(cur);
	const char *path = cursor_bytes(cur, len);
	struct item *item;

	if (cursor_error(cur) || memchr(path, '\0', len))
		return -EBADMSG;
	item = new_item(path, len);
	if (!item)
		return -ENOMEM;
	item->size = size;
	item->ino = ino;
	item->mtime_ns = mtime_ns;
	item->ctime_ns = ctime_ns;
	item->day = day;
	memcpy(item->digest.bytes, digest, DIGEST_LEN);
	return put_item(c, item);
}

static int read_items(struct stat_cache *c, const uint8_t *data, size_t len)
{
	struct cursor cur;
	uint32_t count;
	int r = 0;

	if (len < MAGIC_LEN + 12 || memcmp(data, MAGIC, MAGIC_LEN) != 0 ||
	    crc32c(0, data, len - 4) != le32_get(data + len - 4))
		return -EBADMSG;
	cursor_init(&cur, data + MAGIC_LEN, len - MAGIC_LEN - 4);
	if (cursor_u32(&cur) != VERSION)
		return -ESTALE;
	count = cursor_u32(&cur);
	if (count > STAT_CACHE_ITEMS_MAX)
		return -EBADMSG;
	while (r == 0 && count-- > 0)
		r = read_item(c, &cur);
	return r == 0 && cursor_left(&cur) > 0 ? -EBADMSG : r;
}

static int open_dir(const struct stat_cache *c)
{
	int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void load(struct stat_cache *c)
{
	_cleanup_close_ int dirfd = open_dir(c);
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;
	int r;

	c->loaded = true;
	if (dirfd < 0)
		return;
	r = io_read_file(dirfd, c->name, FILE_MAX, &data, &len);
	if (r == 0)
		r = read_items(c, data, len);
	if (r < 0 && r != -ENOENT)
		log_debug("stat cache %s/%s is not used: %s", c->dir, c->name,
			  strerror(-r));
}

/* ---- use */

static struct item *item_at(struct stat_cache *c, const char *path)
{
	struct item *item;

	if (!c || !c->usable)
		return NULL;
	if (!c->loaded)
		load(c);
	item = map_get(&c->items, hash_of(path));
	return item && strcmp(item->path, path) == 0 ? item : NULL;
}

bool stat_cache_find(struct stat_cache *c, const char *path,
		     const struct stat *st, struct digest *ret_digest)
{
	struct item *item = item_at(c, path);

	if (!item || item->size != (uint64_t)st->st_size ||
	    item->ino != (uint64_t)st->st_ino ||
	    item->mtime_ns != clock_timespec_ns(&st->st_mtim) ||
	    item->ctime_ns != clock_timespec_ns(&st->st_ctim))
		return false;
	if (item->day != c->today) {
		item->day = c->today;
		c->changed = true;
	}
	*ret_digest = item->digest;
	return true;
}

static void forget(struct stat_cache *c, const char *path)
{
	struct item *item = item_at(c, path);

	if (!item)
		return;
	map_remove(&c->items, hash_of(path));
	free(item);
	c->changed = true;
}

void stat_cache_put(struct stat_cache *c, const char *path,
		    const struct stat *st, int64_t now_ns,
		    const struct digest *digest)
{
	struct item *item;

	if (!c || !c->usable || strlen(path) > UINT16_MAX)
		return;
	forget(c, path);
	if (clock_timespec_ns(&st->st_ctim) > now_ns - STAT_CACHE_RACY_NS ||
	    c->items.count >= STAT_CACHE_ITEMS_MAX)
		return;
	item = new_item(path, strlen(path));
	if (!item)
		return;
	item->size = (uint64_t)st->st_size;
	item->ino = (uint64_t)st->st_ino;
	item->mtime_ns = clock_timespec_ns(&st->st_mtim);
	item->ctime_ns = clock_timespec_ns(&st->st_ctim);
	item->day = c->today;
	item->digest = *digest;
	if (put_item(c, item) == 0)
		c->changed = true;
}

/* ---- writing */

/* A day in the future is of a clock that was wrong. */
static bool is_current(const struct stat_cache *c, const struct item *item)
{
	return item->day <= c->today && c->today - item->day <= STAT_CACHE_DAYS;
}

static void put_encoded(struct buf *b, const struct item *item)
{
	buf_put_u64(b, item->size);
	buf_put_u64(b, item->ino);
	buf_put_u64(b, (uint64_t)item->mtime_ns);
	buf_put_u64(b, (uint64_t)item->ctime_ns);
	buf_put_u32(b, item->day);
	buf_put(b, item->digest.bytes, DIGEST_LEN);
	buf_put_str16(b, item->path);
}

static int encode(const struct stat_cache *c, struct buf *b)
{
	const struct item *item;
	uint32_t count = 0;
	size_t pos = 0;
	uint64_t key;

	buf_put(b, MAGIC, MAGIC_LEN);
	buf_put_u32(b, VERSION);
	buf_put_u32(b, 0);
	while ((item = map_next(&c->items, &pos, &key))) {
		if (!is_current(c, item))
			continue;
		put_encoded(b, item);
		count++;
	}
	if (buf_error(b))
		return buf_error(b);
	le32_put(b->data + MAGIC_LEN + 4, count);
	buf_put_u32(b, crc32c(0, b->data, b->len));
	return buf_error(b);
}

static bool is_cache_name(const char *name)
{
	return strlen(name) == NAME_LEN &&
	       strspn(name, "0123456789abcdef") == NAME_LEN;
}

/* Removes the oldest file where there are too many, and what a crash left. A
 * step at each save keeps the number where it is. */
static void sweep(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int64_t now = clock_wall_ns(), oldest_ns = INT64_MAX;
	char oldest[NAME_LEN + 1] = "";
	struct dirent *de;
	struct stat st;
	int count = 0;

	if (io_opendir_at(dirfd, ".", &dir) < 0)
		return;
	while ((de = readdir(dir))) {
		if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (!is_cache_name(de->d_name)) {
			if (clock_timespec_ns(&st.st_mtim) < now - DAY_NS)
				unlinkat(dirfd, de->d_name, 0);
			continue;
		}
		count++;
		if (clock_timespec_ns(&st.st_mtim) < oldest_ns) {
			oldest_ns = clock_timespec_ns(&st.st_mtim);
			memcpy(oldest, de->d_name, NAME_LEN + 1);
		}
	}
	if (count > STAT_CACHE_FILES ||
	    oldest_ns < now - (int64_t)STAT_CACHE_DAYS * DAY_NS)
		unlinkat(dirfd, oldest, 0);
}

static int publish(int dirfd, const char *name, const struct buf *b)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	int r = publish_open(&p, dirfd, 0600);

	if (r == 0)
		r = io_write(p.fd, b->data, b->len);
	return r < 0 ? r : publish_commit_unsynced(&p, name);
}

int stat_cache_save(struct stat_cache *c)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	_cleanup_close_ int dirfd = -1;
	int r;

	if (!c->changed)
		return 0;
	r = encode(c, &b);
	if (r == 0)
		r = io_mkdir_p(c->dir, 0700);
	if (r < 0)
		return r;
	dirfd = open_dir(c);
	if (dirfd < 0)
		return dirfd;
	r = publish(dirfd, c->name, &b);
	if (r < 0)
		return r;
	c->changed = false;
	sweep(dirfd);
	return 0;
}
