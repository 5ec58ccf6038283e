/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on the content of files. No open file has state here: the handle
 * is always 0. Translation only.
 */
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include "fetch.h"

/* A copy of more lets other requests pass. */
#define COPY_QUICK (1u << 20)

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (ops_env(req)->no_open) {
		ops_reply(req, -ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* Called on the thread that reads the kernel's INTERRUPT. */
static void set_interrupted(fuse_req_t req, void *flag)
{
	(void)req;
	atomic_store((atomic_bool *)flag, true);
}

void ops_interrupt_begin(fuse_req_t req, atomic_bool *flag)
{
	fuse_req_interrupt_func(req, set_interrupted, flag);
	fetch_set_interrupt(flag);
}

/* libfuse calls back under the request's lock, so not any more once the
 * function is taken away. */
void ops_interrupt_end(fuse_req_t req)
{
	fetch_set_interrupt(NULL);
	fuse_req_interrupt_func(req, NULL, NULL);
}

static ssize_t read_interruptible(fuse_req_t req, fuse_ino_t ino, void *buf,
				  size_t size, off_t off)
{
	atomic_bool flag = false;
	ssize_t n;

	ops_interrupt_begin(req, &flag);
	n = view_read(ops_view(req), ino, buf, size, off);
	ops_interrupt_end(req);
	return n;
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	const struct ops_env *env = ops_env(req);
	char *buf = ops_buffer();
	struct trace_span span;
	bool traced;
	ssize_t n;

	(void)fi;
	if (!buf) {
		ops_reply(req, -ENOMEM);
		return;
	}
	if (size > OPS_DATA_MAX)
		size = OPS_DATA_MAX;
	traced = trace_begin(env->trace, &span, ino, (uint64_t)off);
	n = view_is_lazy(ops_view(req)) ?
		    read_interruptible(req, ino, buf, size, off) :
		    view_read(ops_view(req), ino, buf, size, off);
	if (traced)
		trace_span_end(&span, n);
	session_counts_read(env->counts, n);
	if (n < 0)
		ops_reply(req, n);
	else
		fuse_reply_buf(req, buf, n);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	       off_t off, struct fuse_file_info *fi)
{
	enum view_kill kill = ops_extra()->kill_priv ? ops_kill(req, ino) :
						       VIEW_KILL_NONE;
	ssize_t n = view_write(ops_view(req), ino, buf, size, off, kill);

	(void)fi;
	session_counts_written(ops_env(req)->counts, n);
	ops_reply_written(req, n);
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	       struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	fetch_may_block();
	ops_reply(req, view_fsync(ops_view(req), ino));
}

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		   off_t len, struct fuse_file_info *fi)
{
	int r = OPS_MAKE_ROOM(ops_view(req), view_fallocate(ops_view(req), ino,
							    mode, off, len));

	(void)fi;
	if (r == 0)
		ops_drop_priv(req, ino);
	ops_reply(req, r);
}

void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	       struct fuse_file_info *fi)
{
	uint64_t found;
	int r;

	(void)fi;
	/* The kernel does not write back before it asks: what it has gathered
	 * would be a hole. It is asked once, and takes all for data from then. */
	if (ops_env(req)->writeback)
		r = -ENOSYS;
	else
		r = view_lseek(ops_view(req), ino, off, whence, &found);
	if (r < 0)
		ops_reply(req, r);
	else
		fuse_reply_lseek(req, found);
}

void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			 struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			 off_t off_out, struct fuse_file_info *fi_out,
			 size_t len, int flags)
{
	ssize_t n;

	(void)fi_in;
	(void)fi_out;
	if (flags != 0) {
		ops_reply(req, -EINVAL);
		return;
	}
	if (len > INT_MAX)
		len = INT_MAX;
	if (len > COPY_QUICK)
		fetch_may_block();
	n = view_copy_range(ops_view(req), ino_in, off_in, ino_out, off_out,
			    len);
	if (n > 0)
		ops_drop_priv(req, ino_out);
	ops_reply_written(req, n);
}
