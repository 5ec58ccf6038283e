/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE requests as the kernel wrote them. A request is changed here only where
 * that lets libfuse take it.
 */
#include "session_request.h"

#include <sys/syscall.h>
#include <unistd.h>

/* The arguments that an opcode has at least; libfuse takes them for granted.
 * Requests come from the kernel, so this guards against a kernel older than
 * any supported, and an adopted INIT that is not one. */
static size_t request_min(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_INIT:
		return offsetof(struct fuse_init_in, flags2);
	case FUSE_WRITE:
		return sizeof(struct fuse_write_in);
	case FUSE_SETATTR:
		return sizeof(struct fuse_setattr_in);
	case FUSE_TMPFILE:
		return sizeof(struct fuse_create_in);
	default:
		return 0;
	}
}

bool request_ok(const void *buf, size_t len)
{
	const struct fuse_in_header *in = buf;

	return len >= sizeof(*in) && in->len == len &&
	       len - sizeof(*in) >= request_min(in->opcode);
}

static bool kills_priv(const struct fuse_in_header *in)
{
	const void *arg = in + 1;

	switch (in->opcode) {
	case FUSE_WRITE:
		return ((const struct fuse_write_in *)arg)->write_flags &
		       FUSE_WRITE_KILL_SUIDGID;
	case FUSE_SETATTR:
		return ((const struct fuse_setattr_in *)arg)->valid &
		       FATTR_KILL_SUIDGID;
	default:
		return false;
	}
}

bool request_is_own(const struct fuse_in_header *in)
{
	static _Thread_local uint32_t last_pid; /* known not to be ours */

	if (in->pid == 0 || in->pid == last_pid)
		return false;
	if (syscall(SYS_tgkill, getpid(), in->pid, 0) == 0)
		return true;
	last_pid = in->pid;
	return false;
}

bool request_is_clean_up(const struct fuse_in_header *in)
{
	return in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
	       in->opcode == FUSE_INTERRUPT || in->opcode == FUSE_RELEASE ||
	       in->opcode == FUSE_RELEASEDIR || in->opcode == FUSE_DESTROY;
}

bool request_changes(const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case FUSE_SETATTR:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
	case FUSE_WRITE:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return true;
	default:
		return false;
	}
}

void request_prepare(struct fuse_in_header *in, struct ops_extra *ret_extra)
{
	*ret_extra = (struct ops_extra){
		.kill_priv = kills_priv(in),
		.tmpfile = in->opcode == FUSE_TMPFILE,
	};
	if (ret_extra->tmpfile)
		in->opcode = FUSE_CREATE;
}
