/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault, with a thread in the supervisor's place: what one worker has put
 * into it the next one finds, and nothing that somebody else made of the file.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/json_scope.h"
#include "fs/supervisor.h"
#include "fs/supervisor_msg.h"
#include "fs/vault.h"
#include "store/base/cleanup.h"

/* An owner, by one byte. */
#define TOO_LONG \
	"0123456789012345678901234567890123456789012345678901234567890123"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct keeper {
	pthread_t thread;
	int ends[2]; /* the thread's, and the link's until that has it */
	struct supervisor_link *link;

	pthread_mutex_t lock;
	int fd; /* the file; -1: none */
};

static void serve(struct keeper *k, const json_t *msg, int fd)
{
	const char *call = json_string_value(json_object_get(msg, "call"));
	_cleanup_json_ json_t *answer = NULL;
	LOCK_SCOPE(&k->lock);

	if (strcmp(call, "save_secrets") == 0) {
		cleanup_close(&k->fd);
		k->fd = fd;
		return;
	}
	answer = json_pack("{s:i}", "result", k->fd < 0 ? -ENOENT : 0);
	supervisor_msg_send(k->ends[0], answer, k->fd);
}

static void *keep(void *arg)
{
	struct keeper *k = arg;
	json_t *msg;
	int fd;

	while (supervisor_msg_receive(k->ends[0], 0, &msg, &fd) == 1) {
		serve(k, msg, fd);
		json_decref(msg);
	}
	return NULL;
}

static int setup(void **state)
{
	struct keeper *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	pthread_mutex_init(&k->lock, NULL);
	k->fd = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    k->ends),
			 0);
	assert_int_equal(supervisor_link_new(k->ends[1], &k->link), 0);
	assert_int_equal(pthread_create(&k->thread, NULL, keep, k), 0);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct keeper *k = *state;

	supervisor_link_free(k->link);
	pthread_join(k->thread, NULL);
	close(k->ends[0]);
	cleanup_close(&k->fd);
	pthread_mutex_destroy(&k->lock);
	free(k);
	return 0;
}

/* Messages come in order, so what was sent before a call has been served. */
static struct vault *next_worker(struct keeper *k)
{
	struct vault *v;

	assert_int_equal(vault_new(k->link, &v), 0);
	return v;
}

static json_t *tiers_with(const char *token)
{
	return json_pack("[{s:s, s:s, s:{s:s}}]", "name", "web", "url",
			 "http://127.0.0.1/", "secrets", "token", token);
}

static void put(struct vault *v, const char *owner, const char *token)
{
	_cleanup_json_ json_t *tiers = tiers_with(token);

	assert_int_equal(vault_put(v, owner, tiers), 0);
}

/* `token` NULL: nothing. */
static void assert_has(struct vault *v, const char *owner, const char *token)
{
	_cleanup_json_ json_t *want = token ? tiers_with(token) : NULL;
	_cleanup_json_ json_t *got = vault_get(v, owner);

	if (token)
		assert_true(json_equal(got, want));
	else
		assert_null(got);
}

static off_t file_bytes(struct keeper *k)
{
	struct stat st;
	LOCK_SCOPE(&k->lock);

	assert_int_equal(fstat(k->fd, &st), 0);
	return st.st_size;
}

static bool is_kept(struct keeper *k)
{
	LOCK_SCOPE(&k->lock);

	return k->fd >= 0;
}

static void the_next_worker_has_it(void **state)
{
	struct keeper *k = *state;
	struct vault *v = next_worker(k);

	assert_has(v, "mount 1", NULL);
	put(v, "mount 1", "one");
	put(v, "upload 2", "two");
	put(v, "mount 3", "one");
	put(v, "mount 4", "four");
	put(v, "mount 4", "five");
	vault_remove(v, "upload 2");
	vault_remove(v, "upload 9");
	vault_free(v);
	for (unsigned worker = 0; worker < 2; worker++) {
		v = next_worker(k);
		assert_has(v, "mount 1", "one");
		assert_has(v, "upload 2", NULL);
		assert_has(v, "mount 3", "one");
		assert_has(v, "mount 4", "five");
		if (worker == 1)
			put(v, "mount 5", "six");
		vault_free(v);
	}
	v = next_worker(k);
	assert_has(v, "mount 1", "one");
	assert_has(v, "mount 5", "six");
	vault_free(v);
}

/* What nobody needs is nowhere. */
static void what_is_removed_is_gone(void **state)
{
	struct keeper *k = *state;
	struct vault *v = next_worker(k);

	put(v, "mount 1", "one");
	vault_free(v);
	v = next_worker(k);
	assert_true(is_kept(k));
	vault_remove(v, "mount 1");
	vault_free(v);
	v = next_worker(k);
	assert_false(is_kept(k));
	assert_has(v, "mount 1", NULL);
	vault_free(v);
}

/* Where the kernel can make such a file. */
static void the_file_is_not_to_be_run(void **state)
{
	int probe = memfd_create("test", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	struct keeper *k = *state;
	struct vault *v = next_worker(k);
	struct stat st;

	put(v, "mount 1", "one");
	vault_free(v);
	v = next_worker(k);
	assert_has(v, "mount 1", "one");
	pthread_mutex_lock(&k->lock);
	assert_int_equal(fstat(k->fd, &st), 0);
	pthread_mutex_unlock(&k->lock);
	vault_free(v);
	if (probe < 0)
		skip();
	close(probe);
	assert_int_equal(st.st_mode & 0111, 0);
}

static void equal_lists_are_kept_once(void **state)
{
	struct keeper *k = *state;
	struct vault *v = next_worker(k);
	char owner[VAULT_OWNER_MAX];
	off_t of_one;

	put(v, "upload 100000", "a token that is long enough to be seen");
	vault_free(v);
	v = next_worker(k);
	of_one = file_bytes(k);
	for (unsigned n = 1; n < 1000; n++) {
		snprintf(owner, sizeof(owner), "upload %u", 100000 + n);
		put(v, owner, "a token that is long enough to be seen");
	}
	vault_free(v);
	v = next_worker(k);
	assert_true(file_bytes(k) < of_one + 1000 * 20);
	assert_has(v, "upload 100999",
		   "a token that is long enough to be seen");
	vault_free(v);
}

/* It may use the vault, and what it asks may wait for who does. */
static bool is_mount(void *arg, const char *owner)
{
	_cleanup_json_ json_t *has = vault_get(arg, owner);

	assert_non_null(has);
	return strncmp(owner, "mount ", 6) == 0;
}

static void what_nobody_owns_is_swept(void **state)
{
	struct keeper *k = *state;
	struct vault *v = next_worker(k);

	put(v, "mount 1", "one");
	put(v, "upload 1", "two");
	vault_sweep(v, is_mount, v);
	assert_has(v, "upload 1", NULL);
	vault_free(v);
	v = next_worker(k);
	assert_has(v, "mount 1", "one");
	assert_has(v, "upload 1", NULL);
	vault_free(v);
}

static void leave_file(struct keeper *k, const char *text, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	assert_int_equal(supervisor_save_secrets(k->link, fd), 0);
	close(fd);
}

static void nothing_else_is_believed(void **state)
{
	static const char *const texts[] = {
		"",
		"nonsense",
		"[]x",
		"{\"lists\":[[]],\"owners\":{\"mount 1\":1}}",
		"{\"lists\":[[]],\"owners\":{\"mount 1\":-1}}",
		"{\"lists\":[[]],\"owners\":{\"mount 1\":\"0\"}}",
		"{\"lists\":[{}],\"owners\":{\"mount 1\":0}}",
		"{\"lists\":{},\"owners\":{\"mount 1\":0}}",
		"{\"lists\":[[]],\"owners\":{\"\":0}}",
		"{\"lists\":[[]],\"owners\":{\"mount 1\":0,\"mount 1\":0}}",
		"{\"lists\":[[]],\"owners\":{\"mount 1\":0,\"" TOO_LONG
		"\":0}}",
	};
	struct keeper *k = *state;
	struct vault *v;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		leave_file(k, texts[i], SEALS);
		v = next_worker(k);
		assert_has(v, "mount 1", NULL);
		/* It works all the same. */
		put(v, "mount 2", "two");
		vault_free(v);
		v = next_worker(k);
		assert_has(v, "mount 2", "two");
		vault_free(v);
	}
	leave_file(k, "{\"lists\":[[1]],\"owners\":{\"mount 1\":0}}", 0);
	v = next_worker(k);
	assert_has(v, "mount 1", NULL);
	vault_free(v);
	/* Right, and so it is taken. */
	leave_file(k, "{\"lists\":[[1]],\"owners\":{\"mount 1\":0}}", SEALS);
	v = next_worker(k);
	vault_remove(v, "mount 1");
	vault_free(v);
	v = next_worker(k);
	assert_false(is_kept(k));
	vault_free(v);
}

static void it_works_without_a_supervisor(void **state)
{
	struct vault *v;

	(void)state;
	assert_int_equal(vault_new(NULL, &v), 0);
	put(v, "mount 1", "one");
	assert_has(v, "mount 1", "one");
	vault_remove(v, "mount 1");
	assert_has(v, "mount 1", NULL);
	vault_free(v);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_next_worker_has_it),
		TEST(what_is_removed_is_gone),
		TEST(the_file_is_not_to_be_run),
		TEST(equal_lists_are_kept_once),
		TEST(what_nobody_owns_is_swept),
		TEST(nothing_else_is_believed),
		TEST(it_works_without_a_supervisor),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
