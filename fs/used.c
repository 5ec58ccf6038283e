/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of what was read. Its blocks are allocated before it is mapped: a
 * full disk must not end the worker with a signal.
 */
#include "used.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"

#include "boot.h"

#define USED_FILE "used"
#define USED_MAGIC "LARDUSE\1"
#define USED_HEADER 32u

struct used {
	uint32_t inodes;      /* constant, as the next two */
	size_t len;	      /* of the file */
	_Atomic uint8_t *map; /* NULL: unknown */
};

static void header_make(uint32_t inodes, uint8_t ret_header[USED_HEADER])
{
	memcpy(ret_header, USED_MAGIC, 8);
	le32_put(ret_header + 8, inodes);
	le32_put(ret_header + 12, 0);
	boot_id_read(ret_header + 16);
}

static int create(const struct used *u, int dirfd, int *ret_fd)
{
	_cleanup_close_ int fd = openat(
		dirfd, USED_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint8_t header[USED_HEADER];
	int r;

	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)u->len);
	if (r < 0)
		return r;
	header_make(u->inodes, header);
	r = io_pwrite(fd, header, sizeof(header), 0);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

/* -ESTALE: of another boot, or of one that is not known. */
static int open_old(const struct used *u, int dirfd, int *ret_fd)
{
	_cleanup_close_ int fd =
		openat(dirfd, USED_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	uint8_t header[USED_HEADER], want[USED_HEADER];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != u->len)
		return -EBADMSG;
	r = io_pread(fd, header, sizeof(header), 0);
	if (r < 0)
		return r;
	header_make(u->inodes, want);
	if (memcmp(header, want, 16) != 0)
		return -EBADMSG;
	if (!boot_id_is_known(want + 16) || memcmp(header, want, 32) != 0)
		return -ESTALE;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int map(struct used *u, int fd)
{
	void *p = mmap(NULL, u->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	u->map = p;
	return 0;
}

struct used *used_open(int dirfd, uint32_t inodes, bool fresh)
{
	struct used *u = calloc(1, sizeof(*u));
	_cleanup_close_ int fd = -1;
	int r;

	if (!u)
		return NULL;
	u->inodes = inodes;
	u->len = USED_HEADER + inodes / 8 + 1;
	r = fresh ? create(u, dirfd, &fd) : open_old(u, dirfd, &fd);
	if (r == 0)
		r = map(u, fd);
	if (r < 0 && r != -ESTALE)
		log_warn(r, "what is read of a mount cannot be noted");
	return u;
}

void used_close(struct used *u)
{
	if (!u)
		return;
	if (u->map)
		munmap((void *)u->map, u->len);
	free(u);
}

/* Most reads find the bit set, and then leave the page clean. */
void used_mark(struct used *u, uint64_t ino)
{
	uint8_t bit = (uint8_t)(1u << (ino % 8));

	if (u->map && ino <= u->inodes &&
	    !(atomic_load_explicit(&u->map[USED_HEADER + ino / 8],
				   memory_order_relaxed) &
	      bit))
		atomic_fetch_or_explicit(&u->map[USED_HEADER + ino / 8], bit,
					 memory_order_relaxed);
}

void used_restart(struct used *u, void (*each)(void *arg, uint64_t ino),
		  void *arg)
{
	for (size_t i = USED_HEADER; u->map && i < u->len; i++) {
		uint8_t bits =
			atomic_load_explicit(&u->map[i], memory_order_relaxed);

		if (bits)
			bits = atomic_exchange_explicit(&u->map[i], 0,
							memory_order_relaxed);
		for (unsigned bit = 0; bits >> bit; bit++)
			if (bits >> bit & 1)
				each(arg, (i - USED_HEADER) * 8 + bit);
	}
}

bool used_is_known(const struct used *u)
{
	return u->map != NULL;
}

bool used_has(const struct used *u, uint64_t ino)
{
	return !u->map || ino > u->inodes ||
	       (atomic_load_explicit(&u->map[USED_HEADER + ino / 8],
				     memory_order_relaxed) &
		(1u << (ino % 8)));
}
