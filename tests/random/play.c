/* SPDX-License-Identifier: Apache-2.0 */
/* A play and its table of steps; see play.h. */
#include "play.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "play_internal.h"

void play_init(struct play *p, const struct tree_ops *ops, void *fs,
	       uint32_t uid, uint32_t gid)
{
	*p = (struct play){ .ops = ops, .fs = fs };
	model_init(&p->model, uid, gid);
	p->buf = malloc(PLAY_IO_MAX);
	p->want = malloc(PLAY_IO_MAX);
	if (!p->buf || !p->want)
		abort();
}

void play_release(struct play *p)
{
	model_release(&p->model);
	free(p->buf);
	free(p->want);
}

/* --- differences --- */

bool play_fail(struct play *p, const char *what, const char *path,
	       const char *format, ...)
{
	va_list ap;
	int n;

	if (p->failed)
		return false;
	p->failed = what;
	n = snprintf(p->failure, sizeof(p->failure), "%s of \"%.200s\": ", what,
		     path);
	va_start(ap, format);
	vsnprintf(p->failure + n, sizeof(p->failure) - (size_t)n, format, ap);
	va_end(ap);
	return false;
}

bool play_same(struct play *p, const char *what, const char *path, int64_t want,
	       int64_t got)
{
	if (want == got)
		return true;
	return play_fail(p, what, path, "%" PRId64 ", expected %" PRId64, got,
			 want);
}

bool play_result(struct play *p, const char *path, int64_t want, int64_t got)
{
	if (want == got)
		return true;
	p->got = got;
	return play_fail(p, "result", path,
			 "%" PRId64 " (%s), expected %" PRId64 " (%s)", got,
			 got < 0 ? strerror((int)-got) : "success", want,
			 want < 0 ? strerror((int)-want) : "success");
}

bool play_same_bytes(struct play *p, const char *path, size_t len, uint64_t off)
{
	size_t i;

	if (memcmp(p->want, p->buf, len) == 0)
		return true;
	for (i = 0; p->want[i] == p->buf[i]; i++)
		;
	return play_fail(p, "bytes", path, "%02x at %" PRIu64 ", expected %02x",
			 p->buf[i], off + i, p->want[i]);
}

int64_t play_ns(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

void play_close_all(struct play *p)
{
	unsigned i;

	for (i = 0; i < TREE_SLOTS; i++) {
		if (!p->model.slots[i].node)
			continue;
		p->ops->close(p->fs, i);
		model_drop(&p->model, i);
	}
}

static void forget_numbers(void *arg, struct model_node *n)
{
	(void)arg;
	n->ino = 0;
	model_time_unknown(&n->ctime);
	model_time_unknown(&n->atime);
}

void play_new_mount(struct play *p)
{
	model_each(p->model.root, forget_numbers, NULL);
}

static void forget_mtime(void *arg, struct model_node *n)
{
	(void)arg;
	model_time_unknown(&n->mtime);
}

void play_new_tree(struct play *p)
{
	play_new_mount(p);
	model_each(p->model.root, forget_mtime, NULL);
}

/* --- looking --- */

static bool step_look(struct play *p, const struct step *s)
{
	struct model_node *n = NULL;
	struct tree_stat st;
	int want = model_find(&p->model, s->a, &n);

	if (want < 0)
		return play_result(p, s->a, want,
				   p->ops->stat(p->fs, s->a, &st));
	if (!play_compare_stat(p, n, s->a))
		return false;
	if (s->kind == STEP_LIST && S_ISDIR(n->mode))
		return play_compare_names(p, n, s->a);
	if (s->kind == STEP_XATTRS)
		return play_compare_xattrs(p, n, s->a);
	if (s->kind == STEP_READLINK && S_ISLNK(n->mode))
		return play_compare_target(p, n, s->a);
	return true;
}

static bool (*const table[STEP_KIND_COUNT])(struct play *,
					    const struct step *) = {
	[STEP_MKDIR] = play_step_make,
	[STEP_CREATE] = play_step_make,
	[STEP_FIFO] = play_step_make,
	[STEP_SYMLINK] = play_step_make,
	[STEP_LINK] = play_step_names,
	[STEP_UNLINK] = play_step_names,
	[STEP_RMDIR] = play_step_names,
	[STEP_RENAME] = play_step_names,
	[STEP_NOREPLACE] = play_step_names,
	[STEP_EXCHANGE] = play_step_names,
	[STEP_OPEN] = play_step_open,
	[STEP_OPEN_CREATE] = play_step_open,
	[STEP_OPEN_TRUNCATE] = play_step_open,
	[STEP_OPEN_APPEND] = play_step_open,
	[STEP_TMPFILE] = play_step_tmpfile,
	[STEP_CLOSE] = play_step_close,
	[STEP_WRITE] = play_step_write,
	[STEP_TRUNCATE] = play_step_truncate,
	[STEP_ALLOCATE] = play_step_fallocate,
	[STEP_ALLOCATE_KEEP] = play_step_fallocate,
	[STEP_PUNCH] = play_step_fallocate,
	[STEP_ZERO] = play_step_fallocate,
	[STEP_ZERO_KEEP] = play_step_fallocate,
	[STEP_COPY] = play_step_copy,
	[STEP_MAP_WRITE] = play_step_map,
	[STEP_MAP_WRITE_SYNC] = play_step_map,
	[STEP_MAP_READ] = play_step_map,
	[STEP_READ] = play_step_read,
	[STEP_READ_COLD] = play_step_read,
	[STEP_SEEK_DATA] = play_step_seek,
	[STEP_SEEK_HOLE] = play_step_seek,
	[STEP_FSYNC] = play_step_fsync,
	[STEP_CHMOD] = play_step_chmod,
	[STEP_CHOWN] = play_step_chown,
	[STEP_UTIMENS] = play_step_utimens,
	[STEP_SETXATTR] = play_step_setxattr,
	[STEP_SETXATTR_CREATE] = play_step_setxattr,
	[STEP_SETXATTR_REPLACE] = play_step_setxattr,
	[STEP_REMOVEXATTR] = play_step_removexattr,
	[STEP_STAT] = step_look,
	[STEP_LIST] = step_look,
	[STEP_XATTRS] = step_look,
	[STEP_READLINK] = step_look,
};

bool play_step(struct play *p, const struct step *s)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	p->model.now = play_ns(&now);
	if (s->kind == STEP_COMPARE)
		return play_compare(p);
	if (!table[s->kind])
		abort();
	return table[s->kind](p, s);
}
