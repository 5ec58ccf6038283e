/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests as files: v1/plain/<device>-<inode>-<birth>, little-endian:
 *
 *	magic		8 bytes, "LARDMFT" and a NUL
 *	version		u32
 *	count		u32
 *	as of		u64, nanoseconds since 1970
 *	catalog		digest
 *	records		40 bytes a file, by ascending inode number: inode
 *			number, size, mtime, ctime (u64 each), node u32, zero
 *			u32
 *	CRC32C		u32, of all that precedes
 *
 * Those that nobody has written for a month are removed when another is made.
 */
#include "manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/io.h"
#include "base/le.h"
#include "base/log.h"
#include "base/publish.h"
#include "store_internal.h"

#define MAGIC "LARDMFT"
#define VERSION 1u
#define HEADER_BYTES 56u
#define RECORD_BYTES 40u
#define CRC_BYTES 4u
#define FILES_MAX (UINT32_C(1) << 24)
#define MANIFEST_BYTES_MAX \
	(HEADER_BYTES + (size_t)FILES_MAX * RECORD_BYTES + CRC_BYTES)

#define KEEP_NS (INT64_C(30) * 24 * 3600 * 1000000000)

struct manifest {
	uint8_t *data;
	uint32_t count;
	int64_t as_of_ns;
	struct digest catalog;
};

struct manifest_name {
	char text[56];
};

static struct manifest_name name_of(const struct manifest_root *root)
{
	struct manifest_name name;

	snprintf(name.text, sizeof(name.text),
		 "%" PRIx64 "-%" PRIx64 "-%" PRIx64, root->dev, root->ino,
		 (uint64_t)root->born_ns);
	return name;
}

int manifest_root_of(int dirfd, struct manifest_root *ret_root)
{
	struct statx st;

	if (statx(dirfd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0)
		return -errno;
	*ret_root = (struct manifest_root){
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.ino = st.stx_ino,
	};
	if (st.stx_mask & STATX_BTIME)
		ret_root->born_ns = st.stx_btime.tv_sec * INT64_C(1000000000) +
				    st.stx_btime.tv_nsec;
	return 0;
}

/* ---- making one */

int manifest_add(struct manifest_list *l, const struct manifest_file *f)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		void *files = realloc(l->files, cap * sizeof(*l->files));

		if (!files)
			return -ENOMEM;
		l->files = files;
		l->cap = cap;
	}
	l->files[l->n++] = *f;
	return 0;
}

int manifest_add_stat(struct manifest_list *l, const struct stat *st,
		      uint32_t node)
{
	const struct manifest_file f = {
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime_ns = clock_timespec_ns(&st->st_mtim),
		.ctime_ns = clock_timespec_ns(&st->st_ctim),
		.node = node,
	};

	return manifest_add(l, &f);
}

void manifest_list_release(struct manifest_list *l)
{
	free(l->files);
	*l = (struct manifest_list){ 0 };
}

static int by_ino(const void *a, const void *b)
{
	const struct manifest_file *f = a, *g = b;

	return f->ino < g->ino ? -1 : f->ino > g->ino;
}

static void encode(const struct manifest_list *l, const struct digest *catalog,
		   int64_t as_of_ns, struct buf *out)
{
	size_t i;

	buf_put(out, MAGIC, sizeof(MAGIC));
	buf_put_u32(out, VERSION);
	buf_put_u32(out, l->n);
	buf_put_u64(out, as_of_ns);
	buf_put(out, catalog, DIGEST_LEN);
	for (i = 0; i < l->n; i++) {
		buf_put_u64(out, l->files[i].ino);
		buf_put_u64(out, l->files[i].size);
		buf_put_u64(out, l->files[i].mtime_ns);
		buf_put_u64(out, l->files[i].ctime_ns);
		buf_put_u32(out, l->files[i].node);
		buf_put_u32(out, 0);
	}
	if (!buf_error(out))
		buf_put_u32(out, crc32c(0, out->data, out->len));
}

/* What cannot be looked at or removed is left to the next time. */
static void remove_old(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int64_t now = clock_wall_ns();
	const struct dirent *de;
	struct stat st;

	if (io_opendir_at(dirfd, ".", &dir) < 0)
		return;
	while ((de = readdir(dir)))
		if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) &&
		    now - clock_timespec_ns(&st.st_mtim) > KEEP_NS)
			unlinkat(dirfd, de->d_name, 0);
}

int manifest_publish(struct store *s, const struct manifest_root *root,
		     const struct digest *catalog, int64_t as_of_ns,
		     struct manifest_list *l)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	struct manifest_name name = name_of(root);

	if (l->n > FILES_MAX)
		return -EFBIG;
	if (l->n)
		qsort(l->files, l->n, sizeof(*l->files), by_ino);
	encode(l, catalog, as_of_ns, &out);
	if (buf_error(&out))
		return buf_error(&out);
	remove_old(s->plain_fd);
	return publish_file(s->plain_fd, name.text, out.data, out.len, 0600);
}

/* ---- using one */

static int check(const struct manifest *m, size_t len)
{
	const uint8_t *d = m->data;
	size_t body;

	if (len < HEADER_BYTES + CRC_BYTES || memcmp(d, MAGIC, 8) != 0 ||
	    le32_get(d + 8) != VERSION || le32_get(d + 12) > FILES_MAX ||
	    le64_get(d + 16) > INT64_MAX)
		return -EBADMSG;
	body = HEADER_BYTES + (size_t)le32_get(d + 12) * RECORD_BYTES;
	if (len != body + CRC_BYTES || crc32c(0, d, body) != le32_get(d + body))
		return -EBADMSG;
	return 0;
}

int manifest_open(struct store *s, const struct manifest_root *root,
		  struct manifest **ret_manifest)
{
	_cleanup_manifest_ struct manifest *m = calloc(1, sizeof(*m));
	struct manifest_name name = name_of(root);
	size_t len;
	int r;

	if (!m)
		return -ENOMEM;
	r = io_read_file(s->plain_fd, name.text, MANIFEST_BYTES_MAX, &m->data,
			 &len);
	if (r < 0)
		return r;
	r = check(m, len);
	if (r < 0) {
		unlinkat(s->plain_fd, name.text, 0);
		return log_error(r,
				 "manifest %s/v1/plain/%s is damaged; "
				 "removed it",
				 s->dir, name.text);
	}
	m->count = le32_get(m->data + 12);
	m->as_of_ns = (int64_t)le64_get(m->data + 16);
	memcpy(&m->catalog, m->data + 24, DIGEST_LEN);
	*ret_manifest = steal_ptr(&m);
	return 0;
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	free(m->data);
	free(m);
}

const struct digest *manifest_catalog(const struct manifest *m)
{
	return &m->catalog;
}

/* The first record of an inode number, or NULL. */
static const uint8_t *find_ino(const struct manifest *m, uint64_t ino)
{
	const uint8_t *records = m->data + HEADER_BYTES;
	uint32_t low = 0, high = m->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (le64_get(records + (size_t)mid * RECORD_BYTES) < ino)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == m->count)
		return NULL;
	records += (size_t)low * RECORD_BYTES;
	return le64_get(records) == ino ? records : NULL;
}

bool manifest_find(const struct manifest *m, const struct manifest_file *f,
		   uint32_t *ret_node)
{
	const uint8_t *record = find_ino(m, f->ino);

	if (!record || le64_get(record + 8) != f->size ||
	    (int64_t)le64_get(record + 16) != f->mtime_ns ||
	    (int64_t)le64_get(record + 24) != f->ctime_ns ||
	    f->ctime_ns > m->as_of_ns - MANIFEST_RACY_NS)
		return false;
	*ret_node = le32_get(record + 32);
	return true;
}
