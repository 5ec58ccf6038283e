/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on directories: listing, with attributes or without. Listings are
 * made in the thread's buffer and are cached by the kernel. Translation only.
 */
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <string.h>

/* As libfuse says it: 0 would be a name that is gone. */
#define UNKNOWN_INO 0xffffffffu

struct listing {
	fuse_req_t req;
	char *buf;
	size_t size, len;
	bool plus;
};

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (ops_env(req)->no_opendir) {
		ops_reply(req, -ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fi->cache_readdir = 1;
	fuse_reply_open(req, fi);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Bytes that the name takes; it is written only where they are left. */
static size_t listing_put(struct listing *l, const char *name,
			  const struct view_attr *attr, uint64_t next)
{
	struct fuse_entry_param e;
	char *at = l->buf + l->len;
	size_t left = l->size - l->len;

	ops_entry(attr, &e);
	if (attr->ino == 0)
		e.attr.st_ino = UNKNOWN_INO;
	if (!l->plus)
		return fuse_add_direntry(l->req, at, left, name, &e.attr, next);
	/* The kernel takes no reference to these and ignores attributes
	 * where the inode is 0; the number shown is that of e.attr. */
	if (is_dot(name))
		e.ino = 0;
	return fuse_add_direntry_plus(l->req, at, left, name, &e, next);
}

static int listing_add(void *arg, const char *name, size_t len,
		       const struct view_attr *attr, uint64_t next)
{
	struct listing *l = arg;
	char text[NAME_MAX + 1];
	size_t taken;

	if (len >= sizeof(text))
		return -EIO;
	memcpy(text, name, len);
	text[len] = '\0';
	taken = listing_put(l, text, attr, next);
	if (taken > l->size - l->len)
		return 1;
	l->len += taken;
	return 0;
}

static int listing_read(struct listing *l, fuse_ino_t ino, off_t off)
{
	const struct ops_env *env = ops_env(l->req);

	return env->all ? view_all_readdir(env->all, ino, off, l->plus,
					   listing_add, l) :
			  view_readdir(env->view, ino, off, l->plus,
				       listing_add, l);
}

static void forget(const struct ops_env *env, uint64_t ino)
{
	if (env->all)
		view_all_forget(env->all, ino, 1);
	else
		view_forget(env->view, ino, 1);
}

/* A listing that did not arrive gives its references back. */
static void listing_forget(const struct ops_env *env, const struct listing *l)
{
	size_t off = 0;

	while (l->plus && off < l->len) {
		struct fuse_direntplus d;

		memcpy(&d, l->buf + off, sizeof(d));
		if (d.entry_out.nodeid != 0)
			forget(env, d.entry_out.nodeid);
		off += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS +
					 d.dirent.namelen);
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 bool plus)
{
	const struct ops_env *env = ops_env(req);
	struct listing l = { .req = req, .buf = ops_buffer(), .plus = plus };
	int r;

	if (!l.buf) {
		ops_reply(req, -ENOMEM);
		return;
	}
	l.size = size < OPS_DATA_MAX ? size : OPS_DATA_MAX;
	r = listing_read(&l, ino, off);
	if (r < 0) {
		listing_forget(env, &l);
		ops_reply(req, r);
		return;
	}
	if (fuse_reply_buf(req, l.buf, l.len) < 0)
		listing_forget(env, &l);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi)
{
	ops_fsync(req, ino, datasync, fi);
}
