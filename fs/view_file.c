/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content of files: writing, holes, copying; reading is in view_read.c.
 *
 * Small writes go into the log with their record. A file goes on in its own file
 * where the log would grow without bound: beyond EXTENT_SOURCE_MAX, when bytes
 * that the upper has are written again, or with many extents. Bytes go to the
 * own file before the record that makes them visible.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>

#include "store/base/crc32c.h"

#include "view_internal.h"

#define LOG_EXTENTS_MAX 64u
#define COPY_BYTES (256u << 10)

static bool goes_own(const struct inode *i, uint64_t off, size_t len)
{
	if (off + len > EXTENT_SOURCE_MAX)
		return true;
	if (!i)
		return false;
	return i->extents.count >= LOG_EXTENTS_MAX ||
	       extents_upper_in(&i->extents, off, len);
}

static int load_file(const struct view *v, uint64_t ino, struct meta *ret_meta)
{
	int r = view_load(v, ino, ret_meta);

	if (r < 0)
		return r;
	if (S_ISDIR(ret_meta->mode))
		return -EISDIR;
	return S_ISREG(ret_meta->mode) ? 0 : -EINVAL;
}

static int put_bytes(struct view *v, uint64_t ino, const void *buf, size_t len,
		     uint64_t off, bool own)
{
	struct item item = { .type = ITEM_DATA };

	if (own)
		return view_put_own(v, ino, buf, len, off);
	item.range = (struct item_range){ .ino = ino,
					  .off = off,
					  .len = len,
					  .crc = crc32c(0, buf, len) };
	item_put(&v->upper.items, &item);
	return upper_append(&v->upper, buf, len);
}

static int write_locked(struct view *v, struct meta *m, const void *buf,
			size_t len, uint64_t off, enum view_kill kill)
{
	const struct inode *i = inodes_get(&v->upper.inodes, m->ino);
	struct timespec now = view_now();
	int r;

	if (off + len > m->size)
		m->size = off + len;
	view_touch(m, &now);
	view_kill_priv(m, kill);
	view_put_inode(v, m);
	r = view_put_xattrs_of_change(v, m, true, false);
	if (r < 0) {
		buf_reset(&v->upper.items);
		return r;
	}
	return put_bytes(v, m->ino, buf, len, off, goes_own(i, off, len));
}

static ssize_t write_once(struct view *v, uint64_t ino, const void *buf,
			  size_t len, uint64_t off, enum view_kill kill)
{
	struct meta m;
	uint64_t done;
	int r;

	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return (ssize_t)len;
	r = view_writable(v);
	if (r == 0)
		r = load_file(v, ino, &m);
	if (r == 0 && len > 0)
		r = write_locked(v, &m, buf, len, off, kill);
	return r < 0 ? r : (ssize_t)len;
}

ssize_t view_write(struct view *v, uint64_t ino, const void *buf, size_t len,
		   uint64_t off, enum view_kill kill)
{
	ssize_t n;

	if (len > INT64_MAX || off > INT64_MAX - len)
		return -EFBIG;
	n = write_once(v, ino, buf, len, off, kill);
	if (!view_make_room(v, n))
		return n;
	return write_once(v, ino, buf, len, off, kill);
}

/* --- fallocate --- */

/* Space is not set aside; but what can never be had is refused now. */
static int check_space(struct view *v, uint64_t len)
{
	struct statvfs st;
	int r = view_statfs(v, &st);

	if (r < 0)
		return r;
	return len / st.f_frsize > st.f_bavail ? -ENOSPC : 0;
}

static int check_mode(int mode)
{
	const int zero = FALLOC_FL_ZERO_RANGE;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | zero))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) &&
	    mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	return 0;
}

static int allocate_locked(struct view *v, struct meta *m, int mode,
			   uint64_t off, uint64_t len)
{
	const bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	struct item item = { .type = ITEM_HOLE };
	struct timespec now = view_now();
	bool grow = !(mode & FALLOC_FL_KEEP_SIZE) && off + len > m->size;
	int r;

	if (grow)
		m->size = off + len;
	view_touch(m, &now);
	view_put_inode(v, m);
	r = view_put_xattrs_of_change(v, m, zero, false);
	if (r < 0) {
		buf_reset(&v->upper.items);
		return r;
	}
	if (zero) {
		item.range = (struct item_range){ .ino = m->ino,
						  .off = off,
						  .len = len };
		item_put(&v->upper.items, &item);
		v->upper.frees = !grow;
	}
	return upper_append(&v->upper, NULL, 0);
}

int view_fallocate(struct view *v, uint64_t ino, int mode, uint64_t off,
		   uint64_t len)
{
	struct meta m;
	uint64_t done;
	int r;

	r = check_mode(mode);
	if (r < 0)
		return r;
	if (len == 0)
		return -EINVAL;
	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	WRITE_SCOPE(v);
	if (view_request_done(v, &done))
		return 0;
	r = view_writable(v);
	if (r == 0)
		r = load_file(v, ino, &m);
	if (r == 0 && !(mode & FALLOC_FL_PUNCH_HOLE))
		r = check_space(v, len);
	return r < 0 ? r : allocate_locked(v, &m, mode, off, len);
}

/* --- copying --- */

static int check_copy(struct view *v, uint64_t ino_in, uint64_t off_in,
		      uint64_t ino_out, uint64_t off_out, uint64_t *len)
{
	struct meta in, out;
	int r;

	READ_SCOPE(v);
	r = view_writable(v);
	if (r == 0)
		r = load_file(v, ino_in, &in);
	if (r == 0)
		r = load_file(v, ino_out, &out);
	if (r < 0)
		return r;
	if (off_in >= in.size)
		*len = 0;
	else if (*len > in.size - off_in)
		*len = in.size - off_in;
	if (off_out > INT64_MAX - *len)
		return -EFBIG;
	if (ino_in == ino_out && off_in < off_out + *len &&
	    off_out < off_in + *len)
		return -EINVAL;
	return 0;
}

ssize_t view_copy_range(struct view *v, uint64_t ino_in, uint64_t off_in,
			uint64_t ino_out, uint64_t off_out, uint64_t len)
{
	_cleanup_free_ void *buf = NULL;
	uint64_t done = 0;
	ssize_t n = 0;
	int r;

	/* Many records: done again from the start. The kernel keeps others
	 * from writing to the file until it is answered. */
	view_request_begin(0, false);
	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	r = check_copy(v, ino_in, off_in, ino_out, off_out, &len);
	if (r < 0 || len == 0)
		return r;
	buf = malloc(len < COPY_BYTES ? len : COPY_BYTES);
	if (!buf)
		return -ENOMEM;
	while (done < len) {
		uint64_t want = len - done < COPY_BYTES ? len - done :
							  COPY_BYTES;

		n = view_read(v, ino_in, buf, want, off_in + done);
		if (n > 0)
			n = view_write(v, ino_out, buf, (size_t)n,
				       off_out + done, VIEW_KILL_NONE);
		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done > 0 ? (ssize_t)done : n;
}
