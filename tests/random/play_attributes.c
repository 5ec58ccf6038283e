/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on attributes; see play.h. */
#include "play.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "play_internal.h"

static struct timespec from_ns(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000,
			       .tv_nsec = ns % 1000000000 };

	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += 1000000000;
	}
	return ts;
}

bool play_step_chmod(struct play *p, const struct step *s)
{
	struct model_node *n = NULL;
	int want = model_find(&p->model, s->a, &n);

	if (want == 0 && S_ISLNK(n->mode))
		want = -EOPNOTSUPP;
	if (want == 0) {
		n->mode = (n->mode & S_IFMT) | s->mode;
		model_changed(&p->model, n);
	}
	return play_result(p, s->a, want, p->ops->chmod(p->fs, s->a, s->mode));
}

bool play_step_chown(struct play *p, const struct step *s)
{
	const uint32_t uid = (uint32_t)s->off, gid = (uint32_t)s->off2;
	struct model_node *n = NULL;
	int want = model_find(&p->model, s->a, &n);

	if (want == 0)
		model_chown(&p->model, n, uid, gid);
	return play_result(p, s->a, want, p->ops->chown(p->fs, s->a, uid, gid));
}

bool play_step_utimens(struct play *p, const struct step *s)
{
	const struct timespec times[2] = { from_ns((int64_t)s->off),
					   from_ns((int64_t)s->off2) };
	struct model_node *n = NULL;
	int want = model_find(&p->model, s->a, &n);

	if (want == 0) {
		model_time_set(&n->atime, (int64_t)s->off);
		model_time_set(&n->mtime, (int64_t)s->off2);
		model_changed(&p->model, n);
		if (n->floating) {
			model_time_may_change(&p->model, &n->mtime);
			model_time_may_change(&p->model, &n->atime);
		}
	}
	return play_result(p, s->a, want, p->ops->utimens(p->fs, s->a, times));
}

/* User attributes are for files and directories. */
static int xattr_error(const struct model_node *n, const char *name)
{
	if (strncmp(name, "user.", 5) == 0 && !S_ISREG(n->mode) &&
	    !S_ISDIR(n->mode))
		return -EPERM;
	return 0;
}

bool play_step_setxattr(struct play *p, const struct step *s)
{
	const int flags = s->kind == STEP_SETXATTR_CREATE  ? XATTR_CREATE :
			  s->kind == STEP_SETXATTR_REPLACE ? XATTR_REPLACE :
							     0;
	struct model_node *n = NULL;
	int want = model_find(&p->model, s->a, &n);
	size_t len = play_io_len(s);

	play_fill(p->buf, len, s->seed);
	if (want == 0)
		want = xattr_error(n, s->b);
	if (want == 0 && model_xattr(n, s->b))
		want = flags == XATTR_CREATE ? -EEXIST : 0;
	else if (want == 0 && flags == XATTR_REPLACE)
		want = -ENODATA;
	if (want == 0) {
		model_set_xattr(n, s->b, p->buf, len);
		model_changed(&p->model, n);
	}
	return play_result(p, s->a, want,
			   p->ops->setxattr(p->fs, s->a, s->b, p->buf, len,
					    flags));
}

bool play_step_removexattr(struct play *p, const struct step *s)
{
	struct model_node *n = NULL;
	struct model_xattr *x;
	int want = model_find(&p->model, s->a, &n);

	if (want == 0)
		want = xattr_error(n, s->b);
	if (want == 0) {
		x = model_xattr(n, s->b);
		want = x ? 0 : -ENODATA;
		if (x) {
			model_remove_xattr(n, x);
			model_changed(&p->model, n);
		}
	}
	return play_result(p, s->a, want,
			   p->ops->removexattr(p->fs, s->a, s->b));
}
