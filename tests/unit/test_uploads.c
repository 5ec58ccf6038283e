/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upload queue where requests name the same tier in different lists: an
 * upload that one joins goes where both were meant to go, with all that the
 * later one brought. One tier is a directory, the other a port of this host
 * that refuses connections.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "fs/json_scope.h"
#include "fs/uploads.h"
#include "tree_fixture.h"

struct queue {
	struct fixture *f;
	struct tiers *tiers;
	struct uploads *uploads;
	int wake_fd, port_fd;
	char refuses[64], dir[96], state[80];
};

/* A port that is taken, and where nobody listens. */
static void take_port(struct queue *q)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	q->port_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(q->port_fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(
		getsockname(q->port_fd, (struct sockaddr *)&addr, &len), 0);
	snprintf(q->refuses, sizeof(q->refuses), "http://127.0.0.1:%u/",
		 ntohs(addr.sin_port));
}

static void open_queue(struct queue *q)
{
	assert_int_equal(uploads_new(q->f->store, q->tiers, q->state,
				     q->wake_fd, &q->uploads),
			 0);
}

static int setup(void **state)
{
	struct queue *q = calloc(1, sizeof(*q));
	int from;

	assert_non_null(q);
	fixture_setup((void **)&q->f);
	take_port(q);
	q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(q->state, sizeof(q->state), "%s/state", q->f->dir);
	snprintf(q->dir, sizeof(q->dir), "file://%s/shared", q->f->dir);
	close(make_dir(q->f, "shared"));
	from = make_dir(q->f, "from");
	make_text_files(from, 3);
	import_dir(q->f, from, "k1");
	import_dir(q->f, from, "k2");
	close(from);
	assert_int_equal(tiers_new(NULL, &q->tiers), 0);
	open_queue(q);
	*state = q;
	return 0;
}

static int teardown(void **state)
{
	struct queue *q = *state;

	uploads_free(q->uploads);
	tiers_free(q->tiers);
	close(q->port_fd);
	close(q->wake_fd);
	fixture_teardown((void **)&q->f);
	free(q);
	return 0;
}

/* --- lists --- */

/* Both tiers, each with a token. */
static json_t *both(struct queue *q)
{
	return json_pack("[{s:s, s:s, s:s, s:{s:s}}, "
			 "{s:s, s:s, s:s, s:{s:s}}]",
			 "name", "shared", "url", q->dir, "access", "rw",
			 "secrets", "token", "of-the-list", "name", "web",
			 "url", q->refuses, "access", "rw", "secrets", "token",
			 "of-the-list");
}

/* The second alone, called otherwise. */
static json_t *web_only(struct queue *q)
{
	return json_pack("[{s:s, s:s, s:s, s:{s:s}}]", "name", "alone", "url",
			 q->refuses, "access", "w", "secrets", "token",
			 "of-the-one");
}

static uint64_t add(struct queue *q, const char *key, const json_t *list,
		    unsigned i)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	char fault[TIERS_FAULT_MAX];
	struct chain *c;
	uint64_t id;

	assert_int_equal(
		index_get_entry(store_index(q->f->store), ENTRY_TENANT_LOCAL,
				ENTRY_NAMESPACE_DEFAULT, "test", key, &e),
		0);
	assert_int_equal(tiers_get(q->tiers, list, fault, &c), 0);
	assert_int_equal(uploads_add(q->uploads, &e, c, i, list, false, &id),
			 0);
	chain_unref(c);
	return id;
}

static int go_on(void *arg, uint64_t packs, uint64_t all_packs, uint64_t bytes)
{
	(void)arg, (void)packs, (void)all_packs, (void)bytes;
	return 0;
}

static void add_and_fail(struct queue *q, const char *key, const json_t *list,
			 unsigned i, uint64_t *ret_id)
{
	struct upload_outcome outcome;

	*ret_id = add(q, key, list, i);
	assert_true(uploads_wait(q->uploads, *ret_id, go_on, NULL, &outcome) <
		    0);
	assert_true(uploads_has(q->uploads, *ret_id));
}

static unsigned names_in(struct queue *q, const char *dir)
{
	char path[160];
	unsigned n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", q->f->dir, dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = count_names(fd);
	close(fd);
	return n;
}

/* --- the tests --- */

/* A third request, of the first list, tries what waits again: the joined one
 * must not go to what is first in that list. */
static void test_joined_goes_where_it_is_meant_to(void **state)
{
	struct queue *q = *state;
	_cleanup_json_ json_t *two = both(q), *one = web_only(q);
	uint64_t id, joined, other;

	add_and_fail(q, "k1", two, 1, &id);
	add_and_fail(q, "k1", one, 0, &joined);
	assert_int_equal(joined, id);
	add_and_fail(q, "k2", two, 1, &other);
	assert_true(uploads_has(q->uploads, id));
	assert_int_equal(names_in(q, "shared"), 0);
}

/* Its file and its secrets as well. */
static void test_joined_takes_over_the_list(void **state)
{
	struct queue *q = *state;
	_cleanup_json_ json_t *two = both(q), *one = web_only(q);
	_cleanup_json_ json_t *kept = NULL, *left = NULL, *list = NULL;
	char owner[TIERS_OWNER_MAX];
	uint64_t id, joined;

	add_and_fail(q, "k1", two, 1, &id);
	add_and_fail(q, "k1", one, 0, &joined);
	snprintf(owner, sizeof(owner), TIERS_OWNER_UPLOAD "%u", (unsigned)id);
	kept = tiers_kept(q->tiers, owner);
	assert_true(json_equal(kept, one));
	snprintf(owner, sizeof(owner), TIERS_OWNER_UPLOAD "%u",
		 (unsigned)id + 1);
	left = tiers_kept(q->tiers, owner);
	assert_null(left);
	assert_int_equal(names_in(q, "state/uploads"), 1);
	uploads_free(q->uploads);
	open_queue(q);
	assert_true(uploads_has(q->uploads, id));
	list = uploads_json(q->uploads);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(list, 0), "tier")),
			    "alone");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_joined_goes_where_it_is_meant_to),
		TEST(test_joined_takes_over_the_list),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
