/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operations have in common: the table, the translation of
 * attributes, replies, and two things that each service thread has for itself:
 * a buffer for replies, and the kill-priv flag of the request it processes.
 */
#include "ops.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "store/base/cleanup.h"

#define BLOCK_SIZE 4096

static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;
static pthread_key_t buffer_key; /* constant after buffer_once, as the next */
static int buffer_err;

static _Thread_local struct ops_extra extra_now;

/* Locks (fcntl, flock) and ACCESS have no handler: the kernel does them. FLUSH
 * has none, either, so that libfuse answers ENOSYS and no close(2) asks again.
 * RELEASE and RELEASEDIR, where they come, libfuse answers with success. */
struct fuse_lowlevel_ops ops_table(void)
{
	struct fuse_lowlevel_ops ops = {
		.lookup = ops_lookup,
		.forget = ops_forget,
		.forget_multi = ops_forget_multi,
		.getattr = ops_getattr,
		.setattr = ops_setattr,
		.readlink = ops_readlink,
		.statfs = ops_statfs,
		.opendir = ops_opendir,
		.readdir = ops_readdir,
		.readdirplus = ops_readdirplus,
		.fsyncdir = ops_fsyncdir,
		.open = ops_open,
		.read = ops_read,
		.write = ops_write,
		.fsync = ops_fsync,
		.fallocate = ops_fallocate,
		.lseek = ops_lseek,
		.copy_file_range = ops_copy_file_range,
		.create = ops_create,
		.mknod = ops_mknod,
		.mkdir = ops_mkdir,
		.symlink = ops_symlink,
		.link = ops_link,
		.unlink = ops_unlink,
		.rmdir = ops_rmdir,
		.rename = ops_rename,
		.setxattr = ops_setxattr,
		.getxattr = ops_getxattr,
		.listxattr = ops_listxattr,
		.removexattr = ops_removexattr,
	};

	return ops;
}

static void buffer_init_key(void)
{
	buffer_err = pthread_key_create(&buffer_key, free);
}

void *ops_buffer(void)
{
	void *buf;

	pthread_once(&buffer_once, buffer_init_key);
	if (buffer_err)
		return NULL;
	buf = pthread_getspecific(buffer_key);
	if (buf)
		return buf;
	buf = malloc(OPS_DATA_MAX);
	if (buf && pthread_setspecific(buffer_key, buf) != 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

void ops_set_extra(const struct ops_extra *extra)
{
	extra_now = *extra;
}

const struct ops_extra *ops_extra(void)
{
	return &extra_now;
}

const struct ops_env *ops_env(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct view *ops_view(fuse_req_t req)
{
	return ops_env(req)->view;
}

struct view_cred ops_cred(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct view_cred){ .uid = ctx->uid,
				   .gid = ctx->gid,
				   .umask = ctx->umask };
}

void ops_stat(const struct view_attr *attr, struct stat *ret_st)
{
	*ret_st = (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = attr->size,
		.st_blksize = BLOCK_SIZE,
		.st_blocks = attr->blocks,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

void ops_entry(const struct view_attr *attr, struct fuse_entry_param *ret_e)
{
	*ret_e = (struct fuse_entry_param){
		.ino = attr->ino,
		.attr_timeout = OPS_TIMEOUT,
		.entry_timeout = OPS_TIMEOUT,
	};
	ops_stat(attr, &ret_e->attr);
}

void ops_reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

void ops_reply_attr(fuse_req_t req, int r, const struct view_attr *attr)
{
	struct stat st;

	if (r < 0) {
		ops_reply(req, r);
		return;
	}
	ops_stat(attr, &st);
	fuse_reply_attr(req, &st, OPS_TIMEOUT);
}

void ops_reply_written(fuse_req_t req, ssize_t r)
{
	if (r < 0)
		ops_reply(req, r);
	else
		fuse_reply_write(req, r);
}

void ops_reply_entry(fuse_req_t req, int r, const struct view_attr *attr)
{
	struct view *view = ops_view(req);
	struct fuse_entry_param e;

	if (r < 0) {
		ops_reply(req, r);
		return;
	}
	ops_entry(attr, &e);
	if (fuse_reply_entry(req, &e) < 0)
		view_forget(view, attr->ino, 1);
}

/* --- suid and sgid --- */

bool ops_in_group(fuse_req_t req, uint32_t gid)
{
	_cleanup_free_ gid_t *groups = NULL;
	int count, k;

	if (fuse_req_ctx(req)->gid == gid)
		return true;
	count = fuse_req_getgroups(req, 0, NULL);
	groups = count > 0 ? calloc((size_t)count, sizeof(*groups)) : NULL;
	if (!groups)
		return false;
	/* There may be others by now. */
	k = fuse_req_getgroups(req, count, groups);
	for (k = k < count ? k : count; k > 0; k--)
		if (groups[k - 1] == gid)
			return true;
	return false;
}

enum view_kill ops_kill(fuse_req_t req, fuse_ino_t ino)
{
	uint32_t mode, gid;

	if (view_get_mode(ops_view(req), ino, &mode, &gid) < 0 ||
	    !(mode & S_ISGID) || (mode & S_IXGRP) || ops_in_group(req, gid))
		return VIEW_KILL_PRIV;
	return VIEW_KILL_SGID;
}

/* Like write(2), fallocate(2) and copy_file_range(2) take these bits away, but
 * kernels before 6.0 do not tell the daemon so. Whether the caller has
 * CAP_FSETID is not known here; root is taken to have it. */
void ops_drop_priv(fuse_req_t req, fuse_ino_t ino)
{
	struct view *view = ops_view(req);
	struct view_attr attr;

	if (fuse_req_ctx(req)->uid == 0)
		return;
	if (view_getattr(view, ino, &attr) == 0 &&
	    (attr.mode & (S_ISUID | S_ISGID)))
		(void)view_setattr(view, ino, VIEW_SET_KILL_PRIV, &attr, &attr);
}
