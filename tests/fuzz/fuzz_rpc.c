/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes on a connection of the control protocol, in pieces,
 * with descriptors among them. Whatever is received as a request says the same
 * when it is sent on, its strings are the names that they were made from, and
 * what methods read of its parameters keeps what their headers promise or is
 * refused with a sentence. No descriptor is lost. The first byte says how long
 * the pieces are, and every how many have a descriptor. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/control_internal.h"
#include "fs/control_lookup.h"
#include "fs/control_trust.h"
#include "fuzz.h"
#include "store/base/cleanup.h"

#define INPUT_MAX (16u << 10) /* fits into the buffer of a socket */

static void make_pair(int fds[2])
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
}

/* --- what is written --- */

static void write_piece(int sock, const uint8_t *data, size_t len, int fd)
{
	struct iovec iov = { (void *)data, len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	must(sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len);
}

static void write_all(int sock, uint8_t how, const uint8_t *data, size_t size)
{
	size_t piece = (how & 15) ? (size_t)1 << (how & 15) : size + 1;
	unsigned every = how >> 4, n = 0;

	while (size > 0) {
		size_t len = size < piece ? size : piece;
		bool with_fd = every && n % every == 0;

		write_piece(sock, data, len, with_fd ? sock : -1);
		data += len;
		size -= len;
		/* A piece takes room of the socket, however short it is. */
		piece = ++n < 256 ? piece : size;
	}
}

/* --- what is received --- */

static void check_string(const json_t *string)
{
	_cleanup_json_ json_t *again = NULL;
	_cleanup_free_ char *bytes = NULL, *same = NULL;
	size_t len, same_len;

	bytes = rpc_bytes(string, &len);
	if (!bytes) {
		must(memchr(json_string_value(string), 0,
			    json_string_length(string)));
		return;
	}
	must(strlen(bytes) == len);
	again = rpc_string(bytes, len);
	must(again);
	same = rpc_bytes(again, &same_len);
	must(same && same_len == len && memcmp(bytes, same, len) == 0);
}

static void check_strings(json_t *value)
{
	const char *name;
	json_t *item;
	size_t i;

	if (json_is_string(value))
		check_string(value);
	json_array_foreach(value, i, item) check_strings(item);
	json_object_foreach(value, name, item) check_strings(item);
}

/* One that is longer than a line is not sent. */
static void check_sent(json_t *object)
{
	_cleanup_json_ json_t *again = NULL;
	int fds[2], got[RPC_FDS_MAX];
	struct rpc *a = NULL, *b = NULL;
	unsigned n;

	make_pair(fds);
	must(rpc_new(fds[0], &a) == 0 && rpc_new(fds[1], &b) == 0);
	must(rpc_send(a, object, &fds[0], 1) == 0);
	must(rpc_receive(b, &again, got, &n) == 1 && n == 1);
	close(got[0]);
	must(json_equal(object, again));
	rpc_free(a);
	must(rpc_peer_gone(b));
	rpc_free(b);
}

/* --- what methods read of it --- */

static void refused(struct control_call *call, int r)
{
	must(r < 0 && *call->err.message && call->err.code == r);
	must(memchr(call->err.message, 0, sizeof(call->err.message)));
	call->err.message[0] = '\0';
}

static void read_names(struct control_call *call)
{
	struct entry e = ENTRY_INIT;
	struct control_lookup l;
	struct entry_ref ref;
	const char *text;
	int r = control_new_entry(call, &e);

	if (r < 0) {
		refused(call, r);
	} else {
		must(key_is_valid(e.tenant) && key_is_valid(e.namespace));
		must(key_is_valid(e.name) && key_is_valid(e.key));
		must(strlen(e.branch) <= ENTRY_BRANCH_MAX);
		entry_release(&e);
	}
	r = control_entry_ref(call, &ref, &text);
	if (r < 0)
		refused(call, r);
	else
		must(key_is_valid(ref.name));
	r = control_lookup_parse(call, &l);
	if (r < 0) {
		refused(call, r);
		return;
	}
	must(key_is_valid(l.name) && key_is_valid(l.key));
	control_lookup_release(&l);
}

static void read_roots(struct control_call *call)
{
	const json_t *roots = json_object_get(call->params, "roots");
	json_t *root;
	size_t i;

	json_array_foreach(roots, i, root)
	{
		_cleanup_free_ char *dir = NULL;
		const char *name;
		int r = control_root(call, root, &dir, &name);

		if (r < 0)
			refused(call, r);
		else
			must(dir[0] == '/' &&
			     (!name || roots_check_name(name) == 0));
	}
}

static void read_mount(struct control_call *call)
{
	struct mounts_options options;
	_cleanup_free_ char *dir = NULL;
	struct trust *trust = NULL;
	int r = control_mount_options(call, &options);

	if (r < 0)
		refused(call, r);
	else
		must(!options.suid_dev && options.uid == call->uid);
	r = control_bytes(call, "dir", &dir);
	if (r < 0)
		refused(call, r);
	r = control_trust_open(call, &trust);
	if (r < 0)
		refused(call, r);
	trust_free(trust);
}

static void read_request(json_t *request)
{
	_cleanup_json_ json_t *none = json_object();
	json_t *params = json_object_get(request, "params");
	struct control_call call = {
		.params = json_is_object(params) ? params : none,
		.uid = 1000,
		.gid = 1000,
	};

	read_names(&call);
	read_roots(&call);
	read_mount(&call);
}

static void receive_all(struct rpc *rpc)
{
	for (;;) {
		_cleanup_json_ json_t *object = NULL;
		int fds[RPC_FDS_MAX];
		unsigned n = 0;
		int r = rpc_receive(rpc, &object, fds, &n);

		must(r == 0 || r == 1 || r == -EBADMSG);
		if (r <= 0)
			return;
		must(n <= RPC_FDS_MAX);
		while (n > 0)
			must(close(fds[--n]) == 0);
		check_strings(object);
		check_sent(object);
		read_request(object);
	}
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	must(fd >= 0);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = lowest_free(), fds[2];
	struct rpc *rpc;

	fuzz_quiet();
	if (size == 0 || size > INPUT_MAX)
		return 0;
	make_pair(fds);
	must(rpc_new(fds[1], &rpc) == 0);
	write_all(fds[0], data[0], data + 1, size - 1);
	must(shutdown(fds[0], SHUT_WR) == 0);
	receive_all(rpc);
	rpc_free(rpc);
	close(fds[0]);
	must(lowest_free() == before);
	return 0;
}
