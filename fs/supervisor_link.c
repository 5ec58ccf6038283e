/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of the channel. A call sends one message and waits for its
 * answer under a mutex, so that one is outstanding at a time; the answer to
 * an earlier call that was given up cannot be there. What needs no answer is
 * only sent: the supervisor reads the channel to its end also when the worker
 * dies right afterwards. Owns the descriptor of the channel.
 */
#include "supervisor.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/log.h"
#include "session.h"
#include "supervisor_msg.h"

struct supervisor_link {
	int channel_fd;	      /* constant */
	pthread_mutex_t lock; /* a call and its answer */
};

int supervisor_link_new(int channel_fd, struct supervisor_link **ret_link)
{
	struct supervisor_link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->channel_fd = channel_fd;
	pthread_mutex_init(&l->lock, NULL);
	*ret_link = l;
	return 0;
}

void supervisor_link_free(struct supervisor_link *l)
{
	if (!l)
		return;
	close(l->channel_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* Sends without waiting for anything. */
static int link_tell_with(struct supervisor_link *l, const json_t *msg, int fd)
{
	return msg ? supervisor_msg_send(l->channel_fd, msg, fd) : -ENOMEM;
}

static int link_tell(struct supervisor_link *l, const json_t *msg)
{
	return link_tell_with(l, msg, -1);
}

static int link_exchange(struct supervisor_link *l, const json_t *msg,
			 json_t **ret_answer, int *ret_fd)
{
	int r;
	LOCK_SCOPE(&l->lock);

	r = link_tell(l, msg);
	if (r < 0)
		return r;
	r = supervisor_msg_receive(l->channel_fd, 0, ret_answer, ret_fd);
	if (r == 0)
		return -EPIPE;
	return r < 0 ? r : 0;
}

/* A call: the "result" of its answer, and the sentence where there is one.
 * `ret_answer` and `ret_fd` are set where the result is no error. */
static int link_call(struct supervisor_link *l, const json_t *msg,
		     json_t **ret_answer, int *ret_fd, char **ret_error)
{
	_cleanup_msg_ json_t *answer = NULL;
	_cleanup_close_ int fd = -1;
	int r = link_exchange(l, msg, &answer, &fd);

	if (r < 0)
		return log_error(r, "the supervisor does not answer");
	r = json_integer_value(json_object_get(answer, "result"));
	if (r < 0) {
		if (ret_error)
			*ret_error = supervisor_msg_get_bytes(answer, "error");
		return r;
	}
	*ret_answer = steal_ptr(&answer);
	*ret_fd = steal_fd(&fd);
	return r;
}

static json_t *mount_message(const struct supervisor_mount *m)
{
	json_t *msg = json_pack("{ss ss sb sb sb}", "call", "mount", "id",
				m->id, "read_only", m->read_only, "allow_other",
				m->allow_other, "suid_dev", m->suid_dev);

	if (msg && supervisor_msg_set_bytes(msg, "dir", m->dir) == 0 &&
	    supervisor_msg_set_bytes(msg, "fsname", m->fsname) == 0 &&
	    supervisor_msg_set_bytes(msg, "desc", m->desc) == 0)
		return msg;
	json_decref(msg);
	return NULL;
}

int supervisor_mount(struct supervisor_link *l,
		     const struct supervisor_mount *m, int *ret_fd,
		     char **ret_error)
{
	_cleanup_msg_ json_t *msg = mount_message(m);
	_cleanup_msg_ json_t *answer = NULL;
	int fd, r;

	if (ret_error)
		*ret_error = NULL;
	r = link_call(l, msg, &answer, &fd, ret_error);
	if (r < 0)
		return r;
	if (fd < 0)
		return -EBADMSG;
	*ret_fd = fd;
	return 0;
}

int supervisor_umount(struct supervisor_link *l, const char *id, bool lazy,
		      char **ret_error)
{
	_cleanup_msg_ json_t *msg = json_pack("{ss ss sb}", "call", "umount",
					      "id", id, "lazy", lazy);
	_cleanup_msg_ json_t *answer = NULL;
	_cleanup_close_ int fd = -1;

	if (ret_error)
		*ret_error = NULL;
	return link_call(l, msg, &answer, &fd, ret_error);
}

int supervisor_save_init(struct supervisor_link *l, const char *id,
			 const void *init, size_t len)
{
	_cleanup_msg_ json_t *msg = NULL;
	char hex[2 * SESSION_INIT_MAX + 1];

	if (len > SESSION_INIT_MAX)
		return -EMSGSIZE;
	hex_encode(init, len, hex);
	msg = json_pack("{ss ss ss}", "call", "save_init", "id", id, "init",
			hex);
	return link_tell(l, msg);
}

int supervisor_save_desc(struct supervisor_link *l, const char *id,
			 const char *desc)
{
	_cleanup_msg_ json_t *msg =
		json_pack("{ss ss}", "call", "save_desc", "id", id);

	if (!msg || supervisor_msg_set_bytes(msg, "desc", desc) < 0)
		return -ENOMEM;
	return link_tell(l, msg);
}

int supervisor_forget(struct supervisor_link *l, const char *id)
{
	_cleanup_msg_ json_t *msg =
		json_pack("{ss ss}", "call", "forget", "id", id);

	return link_tell(l, msg);
}

int supervisor_save_secrets(struct supervisor_link *l, int fd)
{
	_cleanup_msg_ json_t *msg = json_pack("{ss}", "call", "save_secrets");

	return link_tell_with(l, msg, fd);
}

int supervisor_take_secrets(struct supervisor_link *l, int *ret_fd)
{
	_cleanup_msg_ json_t *msg = json_pack("{ss}", "call", "secrets");
	_cleanup_msg_ json_t *answer = NULL;
	int fd, r = link_call(l, msg, &answer, &fd, NULL);

	if (r < 0)
		return r;
	if (fd < 0)
		return -EBADMSG;
	*ret_fd = fd;
	return 0;
}

/* --- adopting --- */

struct adopted {
	const char *id; /* borrowed from the answer */
	char *dir, *desc;
	uint8_t init[SESSION_INIT_MAX];
	size_t init_len;
};

static void adopted_release(struct adopted *a)
{
	free(a->dir);
	free(a->desc);
}

static int adopted_parse(const json_t *answer, struct adopted *ret_a)
{
	const char *hex = json_string_value(json_object_get(answer, "init"));
	size_t len = hex ? strlen(hex) : 0;

	ret_a->id = json_string_value(json_object_get(answer, "id"));
	ret_a->dir = supervisor_msg_get_bytes(answer, "dir");
	ret_a->desc = supervisor_msg_get_bytes(answer, "desc");
	if (!ret_a->id || !ret_a->dir || !ret_a->desc)
		return -EBADMSG;
	if (len % 2 != 0 || len > 2 * SESSION_INIT_MAX)
		return -EBADMSG;
	ret_a->init_len = len / 2;
	return len ? hex_decode(hex, len / 2, ret_a->init) : 0;
}

typedef int (*adopt_fn)(void *arg, const char *id, const char *dir,
			const char *desc, const void *init, size_t init_len,
			int fd);

static int adopt_one(const json_t *answer, int fd, adopt_fn each, void *arg)
{
	__attribute__((cleanup(adopted_release))) struct adopted a = { 0 };
	int r = adopted_parse(answer, &a);

	if (r < 0 || fd < 0) {
		cleanup_close(&fd);
		return log_error(-EBADMSG, "a mount cannot be taken over");
	}
	return each(arg, a.id, a.dir, a.desc, a.init_len ? a.init : NULL,
		    a.init_len, fd);
}

/* By the id before, since `each` may call the supervisor and change what it
 * has. */
int supervisor_adopt(struct supervisor_link *l, adopt_fn each, void *arg)
{
	_cleanup_free_ char *after = strdup("");
	int r;

	for (;;) {
		_cleanup_msg_ json_t *answer = NULL;
		_cleanup_msg_ json_t *msg = after ? json_pack("{ss ss}", "call",
							      "adopt", "after",
							      after) :
						    NULL;
		int fd;

		r = link_call(l, msg, &answer, &fd, NULL);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return r;
		free(after);
		after = strdup(
			json_string_value(json_object_get(answer, "id")) ?: "");
		r = adopt_one(answer, fd, each, arg);
		if (r < 0)
			return r;
	}
}
