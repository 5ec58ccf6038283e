/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse packs. The map is held in memory as atomic words and written to its
 * file word by word; a word that cannot be written costs a fetch after the
 * next start, so that is no error. Owns both descriptors and the pack that
 * reads the file.
 */
#include "sparse.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"
#include "base/publish.h"
#include "pack_format.h"

#define MAP_MAGIC "LARDMAP"
#define MAP_VERSION 1u
#define MAP_HEADER_BYTES 16u
#define MAP_PATH_LEN (PACK_PATH_LEN + sizeof(".map"))
#define UNIT_BYTES 8u /* of the pack, a bit each */
#define WORD_BITS 64u
#define MAP_WRITE_WORDS 512u /* in one go */

struct sparse {
	struct digest name; /* constant, as the next six */
	int dirfd;	    /* own duplicate */
	int fd;
	int map_fd;
	uint32_t bytes;
	uint32_t words;
	struct pack *pack;
	atomic_uint refs;
	pthread_rwlock_t lock;	/* held shared while bytes are put */
	unsigned frozen;	/* the lock: by so many */
	_Atomic uint64_t map[]; /* in the order of the file's bytes */
};

static void map_path(const struct digest *name, char ret_path[MAP_PATH_LEN])
{
	pack_path(name, ret_path);
	strcpy(ret_path + PACK_PATH_LEN, ".map");
}

int sparse_remove(int dirfd, const struct digest *name)
{
	char path[MAP_PATH_LEN];

	map_path(name, path);
	if (unlinkat(dirfd, path, 0) < 0 && errno != ENOENT)
		return -errno;
	path[PACK_PATH_LEN] = '\0';
	return unlinkat(dirfd, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* --- the map --- */

static uint32_t map_words(uint64_t bytes)
{
	return (bytes / UNIT_BYTES + WORD_BITS) / WORD_BITS;
}

/* The bits of a word are in little-endian order in the file. */
static uint64_t map_bit(uint32_t off)
{
	return UINT64_C(1) << (off / UNIT_BYTES % WORD_BITS);
}

static uint32_t map_word(uint32_t off)
{
	return off / UNIT_BYTES / WORD_BITS;
}

static int map_write_header(int fd)
{
	uint8_t header[MAP_HEADER_BYTES] = MAP_MAGIC;

	le32_put(header + 8, MAP_VERSION);
	return io_pwrite(fd, header, sizeof(header), 0);
}

static bool map_header_valid(int fd)
{
	uint8_t header[MAP_HEADER_BYTES];

	return io_pread(fd, header, sizeof(header), 0) == 0 &&
	       memcmp(header, MAP_MAGIC, sizeof(MAP_MAGIC)) == 0 &&
	       le32_get(header + 8) == MAP_VERSION &&
	       le32_get(header + 12) == 0;
}

/* A file that ends early has no more bits. */
static int map_load(struct sparse *sp)
{
	_cleanup_free_ uint8_t *data = calloc(sp->words, sizeof(uint64_t));
	size_t want = sp->words * sizeof(uint64_t);
	ssize_t n;
	uint32_t i;

	if (!data)
		return -ENOMEM;
	if (!map_header_valid(sp->map_fd))
		return map_write_header(sp->map_fd);
	n = pread(sp->map_fd, data, want, MAP_HEADER_BYTES);
	if (n < 0)
		return -errno;
	for (i = 0; i < sp->words; i++)
		atomic_init(&sp->map[i], le64_get(data + i * sizeof(uint64_t)));
	return 0;
}

static int map_open(struct sparse *sp)
{
	char path[MAP_PATH_LEN];

	map_path(&sp->name, path);
	sp->map_fd = openat(sp->dirfd, path,
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return sp->map_fd < 0 ? -errno : map_load(sp);
}

/* Two threads may write one word in either order; a bit that the file lacks
 * thereby costs a fetch after the next start. */
static int map_write(struct sparse *sp, uint32_t first, uint32_t last)
{
	uint8_t text[MAP_WRITE_WORDS * sizeof(uint64_t)];
	uint32_t n;
	int r = 0;

	for (; r == 0 && first <= last; first += n) {
		for (n = 0; n < MAP_WRITE_WORDS && n <= last - first; n++)
			le64_put(text + n * sizeof(uint64_t),
				 atomic_load(&sp->map[first + n]));
		r = io_pwrite(sp->map_fd, text, n * sizeof(uint64_t),
			      MAP_HEADER_BYTES +
				      (uint64_t)first * sizeof(uint64_t));
	}
	return r;
}

/* --- opening --- */

static void cleanup_sparse(struct sparse **sp)
{
	sparse_unref(*sp);
}

static int sparse_new(int dirfd, const struct digest *name, uint64_t bytes,
		      struct sparse **ret_sparse)
{
	uint32_t words = map_words(bytes);
	struct sparse *sp = calloc(1, sizeof(*sp) + words * sizeof(sp->map[0]));

	if (!sp)
		return -ENOMEM;
	sp->name = *name;
	sp->fd = sp->map_fd = -1;
	sp->bytes = (uint32_t)bytes;
	sp->words = words;
	atomic_init(&sp->refs, 1);
	pthread_rwlock_init(&sp->lock, NULL);
	sp->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (sp->dirfd < 0) {
		int err = -errno;

		sparse_unref(sp);
		return err;
	}
	*ret_sparse = sp;
	return 0;
}

/* The file is there under its name. */
static int sparse_attach(int dirfd, struct pack **pack,
			 struct sparse **ret_sparse)
{
	_cleanup_(cleanup_sparse) struct sparse *sp = NULL;
	char path[PACK_PATH_LEN + 1];
	int r;

	r = sparse_new(dirfd, pack_name(*pack), pack_bytes(*pack), &sp);
	if (r < 0)
		return r;
	sp->pack = steal_ptr(pack);
	pack_path(&sp->name, path);
	sp->fd = openat(dirfd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (sp->fd < 0)
		return -errno;
	r = map_open(sp);
	if (r < 0)
		return r;
	*ret_sparse = steal_ptr(&sp);
	return 0;
}

static void cleanup_pack(struct pack **p)
{
	pack_unref(*p);
}

int sparse_open(int dirfd, const struct digest *name,
		struct sparse **ret_sparse)
{
	_cleanup_(cleanup_pack) struct pack *pack = NULL;
	int r = pack_open(dirfd, name, &pack);

	if (r == -EBADMSG) {
		sparse_remove(dirfd, name);
		return -ENOENT;
	}
	return r < 0 ? r : sparse_attach(dirfd, &pack, ret_sparse);
}

struct sparse *sparse_ref(struct sparse *sp)
{
	atomic_fetch_add_explicit(&sp->refs, 1, memory_order_relaxed);
	return sp;
}

void sparse_unref(struct sparse *sp)
{
	if (!sp || atomic_fetch_sub(&sp->refs, 1) > 1)
		return;
	pack_unref(sp->pack);
	cleanup_close(&sp->fd);
	cleanup_close(&sp->map_fd);
	cleanup_close(&sp->dirfd);
	pthread_rwlock_destroy(&sp->lock);
	free(sp);
}

/* --- making --- */

static int skeleton_write(int fd, uint64_t bytes, const void *head,
			  uint32_t head_len, const void *tail)
{
	int r;

	if (ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	r = io_pwrite(fd, head, head_len, 0);
	if (r < 0)
		return r;
	return io_pwrite(fd, tail, PACK_TAIL_BYTES, bytes - PACK_TAIL_BYTES);
}

/* An old map would tell of frames that are not in the new file. */
static int skeleton_publish(struct publish *p, int dirfd,
			    const struct digest *name)
{
	char path[MAP_PATH_LEN];

	map_path(name, path);
	if (unlinkat(dirfd, path, 0) < 0 && errno != ENOENT)
		return -errno;
	path[2] = '\0';
	if (mkdirat(dirfd, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	path[2] = '/';
	path[PACK_PATH_LEN] = '\0';
	return publish_commit_unsynced(p, path);
}

int sparse_create(int dirfd, const struct digest *name, uint64_t bytes,
		  const void *head, uint32_t head_len, const void *tail,
		  struct sparse **ret_sparse)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	int r;

	if (bytes > PACK_MAX_BYTES ||
	    bytes < (uint64_t)head_len + PACK_TAIL_BYTES)
		return -EBADMSG;
	r = publish_open(&p, dirfd, 0600);
	if (r < 0)
		return r;
	r = skeleton_write(p.fd, bytes, head, head_len, tail);
	if (r < 0)
		return r;
	r = skeleton_publish(&p, dirfd, name);
	if (r < 0)
		return r;
	r = fault_check("sparse.made");
	return r < 0 ? r : sparse_open(dirfd, name, ret_sparse);
}

/* --- frames --- */

struct pack *sparse_pack(const struct sparse *sp)
{
	return sp->pack;
}

bool sparse_has(const struct sparse *sp, uint32_t off)
{
	uint32_t word = map_word(off);

	return word < sp->words &&
	       (atomic_load_explicit(&((struct sparse *)sp)->map[word],
				     memory_order_acquire) &
		map_bit(off));
}

int sparse_put(struct sparse *sp, uint32_t off, const void *data, uint32_t len)
{
	int r = fault_check("sparse.write");

	if (r < 0)
		return r;
	if (off > sp->bytes || len > sp->bytes - off)
		return -EBADMSG;
	pthread_rwlock_rdlock(&sp->lock);
	r = sp->frozen ? -ESTALE : io_pwrite(sp->fd, data, len, off);
	pthread_rwlock_unlock(&sp->lock);
	return r;
}

int sparse_mark(struct sparse *sp, const uint32_t *offs, uint32_t n)
{
	uint32_t first = UINT32_MAX, last = 0, i;
	int r;

	for (i = 0; i < n; i++) {
		uint32_t word = map_word(offs[i]);

		if (word >= sp->words)
			return -EBADMSG;
		atomic_fetch_or(&sp->map[word], map_bit(offs[i]));
		first = word < first ? word : first;
		last = word > last ? word : last;
	}
	r = fault_check("sparse.map");
	if (r == 0 && n > 0)
		r = map_write(sp, first, last);
	if (r < 0)
		log_debug("a presence map cannot be written: %d", r);
	return 0;
}

void sparse_drop(struct sparse *sp, uint32_t off)
{
	uint32_t word = map_word(off);

	if (word >= sp->words)
		return;
	atomic_fetch_and(&sp->map[word], ~map_bit(off));
	(void)map_write(sp, word, word);
}

/* --- becoming whole --- */

void sparse_freeze(struct sparse *sp)
{
	pthread_rwlock_wrlock(&sp->lock);
	sp->frozen++;
	pthread_rwlock_unlock(&sp->lock);
}

void sparse_thaw(struct sparse *sp)
{
	pthread_rwlock_wrlock(&sp->lock);
	sp->frozen--;
	pthread_rwlock_unlock(&sp->lock);
}

/* The directory <hh> of packs; its name is synced as well. */
static int packs_subdir(int packs_dirfd, const char *path, int *ret_fd)
{
	char hh[3] = { path[0], path[1], '\0' };
	int fd;

	if (mkdirat(packs_dirfd, hh, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (fsync(packs_dirfd) < 0)
		return -errno;
	fd = openat(packs_dirfd, hh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Whether the name still is this file's. */
static int check_same(const struct sparse *sp, const char *path)
{
	struct stat mine, there;

	if (fstat(sp->fd, &mine) < 0 ||
	    fstatat(sp->dirfd, path, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return mine.st_dev == there.st_dev && mine.st_ino == there.st_ino ?
		       0 :
		       -ESTALE;
}

int sparse_finish(struct sparse *sp, int packs_dirfd)
{
	_cleanup_close_ int subfd = -1;
	char path[MAP_PATH_LEN];
	int r = fault_check("sparse.whole");

	if (r < 0)
		return r;
	if (fsync(sp->fd) < 0)
		return -errno;
	pack_path(&sp->name, path);
	r = check_same(sp, path);
	if (r == 0)
		r = packs_subdir(packs_dirfd, path, &subfd);
	if (r < 0)
		return r;
	if (renameat(sp->dirfd, path, subfd, path + 3) < 0 || fsync(subfd) < 0)
		return -errno;
	map_path(&sp->name, path);
	unlinkat(sp->dirfd, path, 0);
	return 0;
}
