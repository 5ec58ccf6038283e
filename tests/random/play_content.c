/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on the bytes of files; see play.h. */
#include "play.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "play_internal.h"

/* --- what others need --- */

void play_fill(uint8_t *buf, size_t len, uint64_t seed)
{
	uint64_t word = seed * UINT64_C(0x9e3779b97f4a7c15);
	size_t i;

	if (seed == 0) {
		memset(buf, 0, len);
		return;
	}
	for (i = 0; i + 8 <= len; i += 8) {
		word = word * UINT64_C(6364136223846793005) + 1;
		memcpy(buf + i, &word, 8);
	}
	memset(buf + i, (int)(word >> 56), len - i);
}

size_t play_io_len(const struct step *s)
{
	return s->len < PLAY_IO_MAX ? (size_t)s->len : PLAY_IO_MAX;
}

void play_resize(struct play *p, struct model_node *n, uint64_t size)
{
	if (size == n->content.size) {
		model_time_may_change(&p->model, &n->mtime);
		model_time_may_change(&p->model, &n->ctime);
		return;
	}
	content_resize(&n->content, size);
	model_modified(&p->model, n);
}

/* --- steps --- */

/* The regular file of a step; *ret_want is the error that it gives otherwise,
 * `special` for fifos. */
static struct model_node *regular(struct play *p, const char *path, int special,
				  int *ret_want)
{
	struct model_node *n = NULL;

	*ret_want = model_find_file(&p->model, path, &n);
	if (*ret_want < 0 || S_ISREG(n->mode))
		return n;
	*ret_want = special;
	return NULL;
}

bool play_step_write(struct play *p, const struct step *s)
{
	const struct model_slot *slot = model_slot(&p->model, s->a);
	size_t len = play_io_len(s);
	struct model_node *n;
	uint64_t off = s->off;
	int want;

	n = regular(p, s->a, -ESPIPE, &want);
	play_fill(p->buf, len, s->seed);
	if (n) {
		if (slot && slot->append)
			off = n->content.size;
		content_write(&n->content, p->buf, len, off);
		model_modified(&p->model, n);
	}
	return play_result(p, s->a, n ? (int64_t)len : want,
			   p->ops->write(p->fs, s->a, p->buf, len, s->off));
}

bool play_step_truncate(struct play *p, const struct step *s)
{
	struct model_node *n;
	int want;

	n = regular(p, s->a, -EINVAL, &want);
	if (n)
		play_resize(p, n, s->off);
	return play_result(p, s->a, want,
			   p->ops->truncate(p->fs, s->a, s->off));
}

bool play_step_fallocate(struct play *p, const struct step *s)
{
	bool punch = s->kind == STEP_PUNCH;
	bool zero = s->kind == STEP_ZERO || s->kind == STEP_ZERO_KEEP;
	bool keep = s->kind != STEP_ALLOCATE && s->kind != STEP_ZERO;
	struct model_node *n;
	int want;

	n = regular(p, s->a, -ESPIPE, &want);
	if (n) {
		if (punch || zero)
			content_zero(&n->content, s->off, s->len);
		model_time_may_change(&p->model, &n->mtime);
		model_time_may_change(&p->model, &n->ctime);
		if (!keep && s->off + s->len > n->content.size)
			play_resize(p, n, s->off + s->len);
	}
	return play_result(
		p, s->a, want,
		p->ops->fallocate(p->fs, s->a,
				  (punch ? FALLOC_FL_PUNCH_HOLE : 0) |
					  (zero ? FALLOC_FL_ZERO_RANGE : 0) |
					  (keep ? FALLOC_FL_KEEP_SIZE : 0),
				  s->off, s->len));
}

/* Both files are opened before either is looked at. */
static int copy_files(struct play *p, const struct step *s,
		      struct model_node **ret_from, struct model_node **ret_to)
{
	int r = model_find_file(&p->model, s->a, ret_from);

	if (r == 0)
		r = model_find_file(&p->model, s->b, ret_to);
	if (r < 0)
		return r;
	return S_ISREG((*ret_from)->mode) && S_ISREG((*ret_to)->mode) ? 0 :
									-EINVAL;
}

/* What may be copied: a length or an error. */
static int64_t copy_room(struct play *p, const struct step *s,
			 const struct model_node *from,
			 const struct model_node *to)
{
	const struct model_slot *slot = model_slot(&p->model, s->b);
	uint64_t len = play_io_len(s), size = from->content.size;

	if (slot && slot->append)
		return -EBADF;
	if (s->off >= size)
		return 0;
	if (len > size - s->off)
		len = size - s->off;
	if (from == to && s->off2 + len > s->off && s->off2 < s->off + len)
		return -EINVAL;
	return (int64_t)len;
}

/* What was copied may be less than what was asked for. */
bool play_step_copy(struct play *p, const struct step *s)
{
	struct model_node *from = NULL, *to = NULL;
	int64_t want = copy_files(p, s, &from, &to);
	ssize_t got = p->ops->copy(p->fs, s->a, s->off, s->b, s->off2,
				   play_io_len(s));

	if (want == 0)
		want = copy_room(p, s, from, to);
	if (want <= 0 || got <= 0 || got > want)
		return play_result(p, s->b, want, got);
	content_read(&from->content, p->want, (size_t)got, s->off);
	content_write(&to->content, p->want, (size_t)got, s->off2);
	model_time_may_change(&p->model, &from->atime);
	model_modified(&p->model, to);
	return true;
}

bool play_step_read(struct play *p, const struct step *s)
{
	size_t len = play_io_len(s);
	struct model_node *n;
	ssize_t got;
	int want;

	n = regular(p, s->a, -ESPIPE, &want);
	got = play_read(p, s->a, len, s->off, s->kind == STEP_READ_COLD);
	if (!n)
		return play_result(p, s->a, want, got);
	model_time_may_change(&p->model, &n->atime);
	len = content_read(&n->content, p->want, len, s->off);
	return play_result(p, s->a, (int64_t)len, got) &&
	       play_same_bytes(p, s->a, len, s->off);
}

/* Mappings end where the file does. */
bool play_step_map(struct play *p, const struct step *s)
{
	size_t len = play_io_len(s);
	struct model_node *n;
	int want;

	n = regular(p, s->a, -ENODEV, &want);
	if (n && s->off >= n->content.size)
		return true;
	if (n && len > n->content.size - s->off)
		len = (size_t)(n->content.size - s->off);
	if (s->kind == STEP_MAP_READ) {
		ssize_t got =
			p->ops->map_read(p->fs, s->a, p->buf, len, s->off);

		if (!n)
			return play_result(p, s->a, want, got);
		model_time_may_change(&p->model, &n->atime);
		content_read(&n->content, p->want, len, s->off);
		return play_result(p, s->a, (int64_t)len, got) &&
		       play_same_bytes(p, s->a, len, s->off);
	}
	play_fill(p->buf, len, s->seed);
	if (n) {
		content_write(&n->content, p->buf, len, s->off);
		model_time_may_change(&p->model, &n->atime);
		model_time_may_change(&p->model, &n->mtime);
		model_time_may_change(&p->model, &n->ctime);
		n->floating |= s->kind == STEP_MAP_WRITE;
	}
	return play_result(p, s->a, n ? (int64_t)len : want,
			   p->ops->map_write(p->fs, s->a, p->buf, len, s->off,
					     s->kind == STEP_MAP_WRITE_SYNC));
}

/* A file system may say that zeros are data, and not that data is a hole. */
bool play_step_seek(struct play *p, const struct step *s)
{
	bool data = s->kind == STEP_SEEK_DATA;
	uint64_t at = 0, size, nonzero;
	struct model_node *n;
	int want, got;

	n = regular(p, s->a, -ESPIPE, &want);
	got = p->ops->lseek(p->fs, s->a, s->off, data ? SEEK_DATA : SEEK_HOLE,
			    &at);
	if (!n)
		return play_result(p, s->a, want, got);
	size = n->content.size;
	if (s->off >= size)
		return play_result(p, s->a, -ENXIO, got);
	nonzero = content_nonzero(&n->content, s->off);
	if (data && nonzero == size && got == -ENXIO)
		return true;
	if (got < 0)
		return play_result(p, s->a, 0, got);
	if (at < s->off || at > size)
		return play_fail(p, "place", s->a, "%" PRIu64, at);
	if (data && (at > nonzero || at == size))
		return play_fail(p, "data", s->a,
				 "begins at %" PRIu64 ", expected %" PRIu64, at,
				 nonzero);
	if (!data && at < size && content_nonzero(&n->content, at) == at)
		return play_fail(p, "hole", s->a, "at %" PRIu64 " is data", at);
	return true;
}

static void settle(void *arg, struct model_node *n)
{
	(void)arg;
	n->floating = false;
}

bool play_step_fsync(struct play *p, const struct step *s)
{
	struct model_node *n = NULL;
	int want = model_find(&p->model, s->a, &n);

	if (want == 0 && S_ISLNK(n->mode))
		want = -ELOOP;
	else if (want == 0 && S_ISFIFO(n->mode))
		want = -EINVAL;
	else if (want == 0 && n == p->model.root)
		model_each(n, settle, NULL);
	else if (want == 0)
		n->floating = false;
	return play_result(p, s->a, want, p->ops->fsync(p->fs, s->a));
}
