/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: libfuse without its mounting and its loop. The descriptor comes
 * from the supervisor; libfuse reads nothing itself, it is given requests
 * (fuse_session_process_buf), and what it writes goes through session_writev().
 * These two places also do what libfuse 3.14 cannot: HANDLE_KILLPRIV_V2 is set
 * in the INIT reply, what libfuse does not pass on is taken from the raw
 * requests (session_request.h), a live connection is adopted by replaying INIT
 * with the reply swallowed, and requests are counted.
 *
 * Owns the descriptor and the libfuse session. The counters are atomic; all
 * else is constant once session_start() or the INIT request is done.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blame.h"
#include "loop.h"
#include "ops.h"
#include "session_ask.h"
#include "session_counts.h"
#include "session_request.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "supervisor.h"

#define MAX_BACKGROUND 128
#define CONGESTION_THRESHOLD 96

/* As libfuse sizes its own buffer: the largest WRITE and its header. */
#define REQUEST_MAX (OPS_DATA_MAX + 4096)

/* Not in the headers of the oldest kernel supported. */
#define NOTIFY_RESEND 7
#define UNIQUE_RESEND (UINT64_C(1) << 63)

struct session {
	struct ops_env env; /* first: it is libfuse's user data */
	struct fuse_session *se;
	struct loop *loop;
	int fd; /* owned by `se` */
	bool stateful_open;
	bool writeback;
	bool adopted;
	struct fuse_init_out init_out; /* the reply, where it was swallowed */
	size_t init_out_len;
	void (*save_init)(void *arg, const void *init, size_t len);
	void *arg;
	struct blame *blame;
	uint64_t id;
	atomic_bool ended;
	struct session_ask ask;
	struct session_counts counts;
};

/* The INIT request that the calling thread processes. */
struct init_state {
	struct session *session;
	const struct fuse_init_in *in;
	bool swallow; /* adopting: the kernel has had its reply */
	int error;    /* of the reply; 1 before it */
};

static _Thread_local struct init_state *init_now;

/* --- what libfuse writes --- */

static size_t iov_bytes(const struct iovec *iov, int count)
{
	size_t n = 0;
	int i;

	for (i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

/* Clearing suid and sgid here saves a GETXATTR before each write. */
static void init_reply_patch(struct init_state *init, struct iovec *iov,
			     int count)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	struct fuse_init_out *out;

	init->error = header->error;
	if (header->error || count != 2 ||
	    iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
		return;
	out = iov[1].iov_base;
	out->flags |= init->in->flags & FUSE_HANDLE_KILLPRIV_V2;
	if (init->swallow && iov[1].iov_len <= sizeof(*out)) {
		init->session->init_out_len = iov[1].iov_len;
		memcpy(&init->session->init_out, out, iov[1].iov_len);
	}
}

/* The connection may be gone by the time of a reply; libfuse prints every
 * error but ENOENT, which means the same to it: nobody waits. */
static ssize_t session_writev(int fd, struct iovec *iov, int count,
			      void *userdata)
{
	ssize_t n;

	(void)userdata;
	if (init_now) {
		init_reply_patch(init_now, iov, count);
		if (init_now->swallow)
			return iov_bytes(iov, count);
	}
	do
		n = writev(fd, iov, count);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ENODEV)
		errno = ENOENT;
	return n;
}

static ssize_t session_read(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

static const struct fuse_custom_io session_io = {
	.writev = session_writev,
	.read = session_read,
};

/* --- INIT --- */

#define CAPS_ON                                                                \
	(FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO | \
	 FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS |                      \
	 FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_POSIX_ACL |                   \
	 FUSE_CAP_DONT_MASK | FUSE_CAP_EXPORT_SUPPORT)

/* The kernel contract (fs/README.md). DONT_MASK, since a directory's default ACL
 * takes the umask's place; EXPORT_SUPPORT for file handles. Off is, above all: ATOMIC_O_TRUNC, with
 * which truncation at a zero-message open would be lost; AUTO_INVAL_DATA and
 * READDIRPLUS_AUTO, which ask again for what cannot have changed; the splices,
 * since replies come from memory; WRITEBACK_CACHE, unless it is asked for. */
static void session_init(void *userdata, struct fuse_conn_info *conn)
{
	struct session *s = userdata;

	conn->want = conn->capable & CAPS_ON;
	/* Of a file, where it is shown is not known. */
	if (s->env.all)
		conn->want &= ~FUSE_CAP_EXPORT_SUPPORT;
	if (s->writeback)
		conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
	/* Of this and of what the mount has, the kernel takes the less. */
	conn->max_readahead = SUPERVISOR_READ_AHEAD;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	s->env.writeback = conn->want & FUSE_CAP_WRITEBACK_CACHE;
	s->env.posix_acl = conn->want & FUSE_CAP_POSIX_ACL;
	s->env.no_open = !s->stateful_open &&
			 (conn->capable & FUSE_CAP_NO_OPEN_SUPPORT);
	s->env.no_opendir = !s->stateful_open &&
			    (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT);
}

static void process_buf(struct session *s, void *buf, size_t len)
{
	struct fuse_buf fbuf = { .mem = buf, .size = len };

	fuse_session_process_buf(s->se, &fbuf);
}

static int process_init(struct session *s, void *buf, size_t len, bool swallow)
{
	struct init_state init = {
		.session = s,
		.in = (const void *)((char *)buf +
				     sizeof(struct fuse_in_header)),
		.swallow = swallow,
		.error = 1,
	};

	init_now = &init;
	process_buf(s, buf, len);
	init_now = NULL;
	return init.error;
}

/* An earlier worker saved this request and died before it answered. libfuse
 * takes no second INIT; the reply is what it gave when this one was adopted. */
static void answer_adopted_init(struct session *s,
				const struct fuse_in_header *in)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + s->init_out_len,
		.unique = in->unique,
	};
	struct iovec iov[] = {
		{ .iov_base = &out, .iov_len = sizeof(out) },
		{ .iov_base = &s->init_out, .iov_len = s->init_out_len },
	};

	if (writev(s->fd, iov, 2) < 0)
		(void)log_error(-errno, "answering INIT failed");
}

/* --- what the loop reads --- */

static void session_refuse(struct session *s, const struct fuse_in_header *in,
			   int error)
{
	struct fuse_out_header out = {
		.len = sizeof(out),
		.error = error,
		.unique = in->unique,
	};

	(void)!write(s->fd, &out, sizeof(out));
}

static void session_serve_one(struct session *s, void *buf, size_t len)
{
	struct fuse_in_header *in = buf;
	struct ops_extra extra;

	request_prepare(in, &extra);
	ops_set_extra(&extra);
	view_request_begin(in->unique & ~UNIQUE_RESEND,
			   in->unique & UNIQUE_RESEND);
	process_buf(s, buf, len);
	view_request_end(s->env.view);
}

static void session_process_init(struct session *s, void *buf, size_t len)
{
	if (s->adopted) {
		answer_adopted_init(s, buf);
		return;
	}
	if (s->save_init && len <= SESSION_INIT_MAX)
		s->save_init(s->arg, buf, len);
	(void)process_init(s, buf, len, false);
}

static void session_process(void *arg, void *buf, size_t len)
{
	struct fuse_in_header *in = buf;
	struct session *s = arg;

	if (!request_ok(buf, len)) {
		log_error(-EPROTO, "malformed FUSE request of %zu bytes", len);
		return;
	}
	session_counts_add(&s->counts, in->opcode);
	if (in->opcode == FUSE_INIT) {
		session_process_init(s, buf, len);
		return;
	}
	if (request_is_own(in) && !request_is_clean_up(in)) {
		log_warn(-EDEADLK,
			 "refused a request of the daemon to its own mount");
		session_refuse(s, in, -EDEADLK);
		return;
	}
	/* Root may have made the mount writable. */
	if (s->env.all && request_changes(in)) {
		session_refuse(s, in, -EROFS);
		return;
	}
	if (!blame_begin(s->blame, s->id, in->unique & ~UNIQUE_RESEND,
			 in->unique & UNIQUE_RESEND)) {
		(void)log_error(-EIO,
				"workers died of a %s of node %" PRIu64
				": it fails",
				opcode_name(in->opcode), in->nodeid);
		session_refuse(s, in, -EIO);
		return;
	}
	session_serve_one(s, buf, len);
	blame_end();
}

/* EINTR, and ENOENT (the request was aborted while it was read), are no
 * request. */
static ssize_t session_receive(void *arg, void *buf, size_t size)
{
	struct session *s = arg;
	ssize_t n = read(s->fd, buf, size);

	if (n > 0)
		return n;
	if (n == 0 || errno == EINTR || errno == ENOENT || errno == EAGAIN)
		return -EAGAIN;
	if (errno == ENODEV || errno == ECONNABORTED) {
		atomic_store(&s->ended, true);
		return -ENODEV;
	}
	return -errno;
}

static const struct loop_ops session_loop_ops = {
	.receive = session_receive,
	.process = session_process,
};

/* --- adopting --- */

/* Asks for the requests that an earlier worker read and did not answer. They
 * come again with a bit in their unique number that the reply must have, too,
 * which it has by itself. Kernels before 6.9 say EINVAL: there such requests
 * wait until their callers are killed. */
static int session_resend(struct session *s)
{
	struct fuse_out_header out = {
		.len = sizeof(out),
		.error = NOTIFY_RESEND,
	};

	if (write(s->fd, &out, sizeof(out)) >= 0 || errno == ENODEV)
		return 0;
	return -errno;
}

static int session_adopt(struct session *s, const void *init, size_t len)
{
	_Alignas(8) char buf[SESSION_INIT_MAX];
	const struct fuse_in_header *in = (const void *)buf;

	if (len > sizeof(buf))
		return -EINVAL;
	memcpy(buf, init, len);
	if (!request_ok(buf, len) || in->opcode != FUSE_INIT ||
	    process_init(s, buf, len, true) != 0)
		return log_error(-EPROTO, "the saved INIT request is not one");
	s->adopted = true;
	return 0;
}

/* --- the session --- */

static void session_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[512];

	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	if (level <= FUSE_LOG_ERR)
		(void)log_error(0, "libfuse: %s", line);
	else
		log_debug("libfuse: %s", line);
}

static void session_set_log(void)
{
	fuse_set_log_func(session_log);
}

static int session_new_fuse(struct session *s, int fd)
{
	static pthread_once_t log_once = PTHREAD_ONCE_INIT;
	struct fuse_lowlevel_ops ops = s->env.all ? ops_table_all() :
						    ops_table();
	char name[] = "larder";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int r;

	pthread_once(&log_once, session_set_log);
	ops.init = session_init;
	s->se = fuse_session_new(&args, &ops, sizeof(ops), s);
	fuse_opt_free_args(&args);
	if (!s->se)
		return -ENOMEM;
	r = fuse_session_custom_io(s->se, &session_io, fd);
	return r < 0 ? r : 0;
}

/* O_NONBLOCK belongs to the open file, so the supervisor's duplicate has it,
 * too; it reads nothing. */
static int session_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int session_serve(struct session *s, int *fd,
			 const struct session_options *opt)
{
	int r = session_set_nonblock(*fd);

	if (r < 0)
		return r;
	r = session_new_fuse(s, *fd);
	if (r < 0)
		return r;
	s->fd = s->ask.fd = steal_fd(fd);
	r = opt->init ? session_adopt(s, opt->init, opt->init_len) : 0;
	if (r < 0)
		return r;
	/* Also where no INIT was saved: a worker that read INIT itself may
	 * have died before it could save it. */
	r = session_resend(s);
	if (r < 0 && s->adopted)
		(void)log_warn(r, "requests in flight are not sent again");
	return loop_start(s->fd, REQUEST_MAX, &session_loop_ops, s, &s->loop);
}

int session_start(int fd, struct view *view, const struct session_options *opt,
		  struct session **ret_session)
{
	_cleanup_close_ int owned = fd;
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	session_counts_begin(&s->counts);
	s->env.counts = &s->counts;
	s->env.view = view;
	s->env.all = opt->all;
	s->stateful_open = opt->stateful_open;
	s->writeback = opt->writeback && !opt->read_only;
	s->save_init = opt->save_init;
	s->arg = opt->arg;
	s->blame = opt->blame;
	s->ask.messenger = opt->messenger;
	s->id = opt->id;
	r = trace_new(&s->env.trace);
	if (r == 0)
		r = session_serve(s, &owned, opt);
	if (r < 0) {
		session_free(s);
		return r;
	}
	*ret_session = s;
	return 0;
}

void session_join(struct session *s)
{
	loop_join(s->loop);
	trace_end(s->env.trace);
}

void session_stop(struct session *s)
{
	loop_stop(s->loop);
}

void session_free(struct session *s)
{
	if (!s)
		return;
	loop_free(s->loop);
	session_counts_end(&s->counts);
	if (s->se)
		fuse_session_destroy(s->se);
	trace_free(s->env.trace);
	free(s);
}

bool session_ended(const struct session *s)
{
	return atomic_load(&s->ended);
}

/* What the kernel does not know, it need not forget. */
void session_invalidate(struct session *s, uint64_t ino, const char *name,
			size_t len)
{
	int r;

	if (name)
		r = fuse_lowlevel_notify_inval_entry(s->se, ino, name, len);
	else
		r = fuse_lowlevel_notify_inval_inode(s->se, ino, 0, 0);
	if (r < 0 && r != -ENOENT)
		(void)log_warn(r, "the kernel may show inode %llu as it was",
			       (unsigned long long)ino);
}

void session_ask(struct session *s, struct view_all_kernel *ret_kernel)
{
	session_ask_kernel(&s->ask, ret_kernel);
}

void session_requests(const struct session *s,
		      void (*each)(void *arg, const char *opcode,
				   uint64_t count),
		      void *arg)
{
	session_counts_each(&s->counts, each, arg);
}

void session_bytes(const struct session *s, struct session_bytes *ret_bytes)
{
	session_counts_bytes(&s->counts, ret_bytes);
}

struct trace *session_trace(struct session *s)
{
	return s->env.trace;
}
