/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collection and two pushes at once, in many orders: each call to the tier is
 * a point where any of the three may go on, as a seed says. And collections of a
 * directory that are killed at every point that they pass.
 *
 * With LARDER_TEST_RACES set to a number, there are so many orders.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>

#include "child.h"
#include "remote_gc_fixture.h"
#include "store/base/log.h"

#define ORDERS 400u
#define CHILD_DIR "LARDER_TEST_REMOTE_GC_DIR"

/* ---- one thread at a time */

enum { FIRST_PUSH, SECOND_PUSH, COLLECTION, ACTORS };

struct schedule {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool alive[ACTORS];
	int turn; /* -1: nobody's */
	uint64_t seed;
	unsigned stay; /* one call in so many is followed by another's */
};

static _Thread_local int self = -1;

static unsigned next_random(struct schedule *s)
{
	s->seed = s->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(s->seed >> 33);
}

/* Under the lock. */
static void choose(struct schedule *s)
{
	int left[ACTORS];
	unsigned n = 0;

	if (s->turn >= 0 && s->alive[s->turn] && next_random(s) % s->stay > 0)
		return;
	for (int i = 0; i < ACTORS; i++)
		if (s->alive[i])
			left[n++] = i;
	s->turn = n > 0 ? left[next_random(s) % n] : -1;
	pthread_cond_broadcast(&s->changed);
}

static void wait_turn(struct schedule *s)
{
	while (s->turn != self)
		pthread_cond_wait(&s->changed, &s->lock);
}

/* Before each call of an actor. */
static void yield(void *arg)
{
	struct schedule *s = arg;

	if (self < 0)
		return;
	LOCK_SCOPE(&s->lock);
	choose(s);
	wait_turn(s);
}

static void leave(struct schedule *s)
{
	LOCK_SCOPE(&s->lock);

	s->alive[self] = false;
	choose(s);
}

/* ---- the actors */

struct actor {
	struct remotes *rs;
	struct schedule *schedule;
	int number;
	const char *key; /* that it pushes */
	unsigned calls;
	int r;
	struct remote_gc_result res;
};

/* Nothing lapses, and whoever waits looks often. */
static const struct remote_pace pace = { .hold_ns = DAY_NS,
					 .notice_ns = DAY_NS,
					 .sweep_ns = DAY_NS,
					 .collector_ns = DAY_NS,
					 .poll_ns = 1 };

static void *act(void *arg)
{
	const struct remote_gc_options o = { .grace_ns = DAY_NS,
					     .keep_last = 1 };
	struct actor *a = arg;
	struct remote r = here(a->rs);
	struct remote_result res;

	r.pace = &pace;
	self = a->number;
	{
		LOCK_SCOPE(&a->schedule->lock);

		wait_turn(a->schedule);
	}
	if (a->number == COLLECTION) {
		a->r = remote_gc(&r, 0, &o, &a->res);
	} else {
		_cleanup_entry_ struct entry e = entry_of(a->rs, a->key);

		a->r = remote_push(&r, 0, &e, false, &res);
	}
	leave(a->schedule);
	return NULL;
}

static void run_all(struct remotes *rs, uint64_t seed, struct actor *actors)
{
	static const char *const keys[] = { "k2", "k1", NULL };
	struct schedule s = { .lock = PTHREAD_MUTEX_INITIALIZER,
			      .changed = PTHREAD_COND_INITIALIZER,
			      .seed = seed,
			      .turn = -1,
			      .stay = 1 + seed % 12 };
	pthread_t threads[ACTORS];

	fault_tier_set_hook(rs->first, yield, &s);
	for (int i = 0; i < ACTORS; i++) {
		s.alive[i] = true;
		actors[i] = (struct actor){ rs, &s, i, keys[i], 0, 0, { 0 } };
		assert_int_equal(
			pthread_create(&threads[i], NULL, act, &actors[i]), 0);
	}
	{
		LOCK_SCOPE(&s.lock);

		choose(&s);
	}
	for (int i = 0; i < ACTORS; i++)
		pthread_join(threads[i], NULL);
	fault_tier_set_hook(rs->first, NULL, NULL);
}

static unsigned orders(void)
{
	const char *text = getenv("LARDER_TEST_RACES");

	return text && *text ? (unsigned)strtoul(text, NULL, 10) : ORDERS;
}

/*
 * k1 and k2 have a pack in common that lies in the tier. The collection wants to
 * remove k1, which is not the newest, with all it needs, while one push puts k2
 * and the other k1 again. Whatever the order, both are whole in the end; so is
 * k9, unless it was not the newest any more.
 */
static void test_orders(void **state)
{
	struct remotes *rs = *state;
	struct actor actors[ACTORS];
	unsigned removed = 0, saved = 0, n;

	add_entry(rs, "k1", 2);
	add_entry(rs, "k2", 4);
	add_entry(rs, "k9", 1);
	for (n = 0; n < orders(); n++) {
		new_chain(rs);
		push(rs, 0, "k1");
		fault_tier_age(rs->first, DAY_NS);
		push(rs, 0, "k9");
		fault_tier_age(rs->first, 2 * DAY_NS);
		run_all(rs, n + 1, actors);
		for (int i = 0; i < ACTORS; i++)
			if (actors[i].r != 0)
				fail_msg("order %u: actor %d: %d", n, i,
					 actors[i].r);
		for (const char *k = "129"; *k; k++) {
			const char key[] = { 'k', *k, '\0' };
			int r = look_for(rs, key);

			if (r != 0 && (*k != '9' || r != -ENOENT))
				fail_msg("order %u: %s: %d", n, key, r);
		}
		assert_int_equal(count_there(rs, "holds"), 0);
		assert_int_equal(count_there(rs, "gc"), 0);
		removed += actors[COLLECTION].res.removed[REMOTE_PACK] > 0;
		saved += actors[COLLECTION].res.removed[REMOTE_PACK] == 0;
	}
	/* It is a race. */
	assert_true(removed > n / 20);
	assert_true(saved > n / 20);
}

/* ---- killing */

static struct chain *open_dir_chain(const char *dir)
{
	struct chain *c;
	struct tier *t;

	assert_int_equal(chain_new(&c), 0);
	assert_int_equal(tier_dir_new(dir, &t), 0);
	assert_int_equal(chain_add(c, "dir", t, BOTH), 0);
	return c;
}

static const struct remote_gc_options kill_options = { .grace_ns = DAY_NS,
						       .keep_last = 1 };

static void child(void **state)
{
	const char *dir = getenv(CHILD_DIR);
	struct remote r = { .tenant = ENTRY_TENANT_LOCAL,
			    .namespace = ENTRY_NAMESPACE_DEFAULT };
	struct remote_gc_result res;
	char path[200];

	(void)state;
	snprintf(path, sizeof(path), "%.100s/share", dir);
	r.chain = open_dir_chain(path);
	snprintf(path, sizeof(path), "%.100s/collector", dir);
	assert_int_equal(store_open(path, &r.store), 0);
	assert_int_equal(remote_gc(&r, 0, &kill_options, &res), 0);
	chain_unref(r.chain);
	store_close(r.store);
}

/* The fault, or NULL: all points that it passes go to the file `list`. */
static bool was_killed(struct remotes *rs, const char *rule, const char *list)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv(CHILD_DIR, rs->f->dir, 1);
		setenv("LARDER_FAULT", rule, 1);
		if (list)
			setenv("LARDER_FAULT_LIST", list, 1);
		child_exec("test_remote_gc_races");
	}
	return child_was_killed(pid);
}

static void run_command(struct remotes *rs, const char *format)
{
	char command[600];

	snprintf(command, sizeof(command), format, rs->f->dir, rs->f->dir,
		 rs->f->dir);
	assert_int_equal(system(command), 0);
}

/* Four entries, of which the newest stays, in a directory. The pointer leads to
 * the oldest, as if that had been put again. */
static void make_share(struct remotes *rs)
{
	char path[TIER_PATH_MAX + 1], key[8];

	close(make_dir(rs->f, "share"));
	snprintf(path, sizeof(path), "%s/share", rs->f->dir);
	chain_unref(rs->chain);
	rs->chain = open_dir_chain(path);
	for (unsigned i = 1; i <= 4; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		add_entry(rs, key, i);
		push(rs, 0, key);
		/* All are older than the grace time, k1 the most. */
		snprintf(path, sizeof(path),
			 "find %%s/share -newermt -1hour -type f -exec touch "
			 "-d '-%u days' {} +",
			 9 - i);
		run_command(rs, path);
	}
	assert_int_equal(
		remote_latest_path("local", "default", "test", "", path), 0);
	assert_int_equal(chain_put_data_to(rs->chain, 0, NULL, path, "k1", 2),
			 0);
	run_command(rs, "cp -a %s/share %s/template");
}

static unsigned read_points(struct remotes *rs, char rules[][80], unsigned max)
{
	char list[200], line[60], name[60] = "";
	unsigned n = 0, passed = 0;
	FILE *in;

	snprintf(list, sizeof(list), "%s/points", rs->f->dir);
	assert_false(was_killed(rs, "none:1:kill", list));
	run_command(rs, "grep ^remote_gc %s/points | sort -o %s/points");
	in = fopen(list, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		passed = strcmp(line, name) == 0 ? passed + 1 : 1;
		strcpy(name, line);
		assert_true(n < max);
		snprintf(rules[n++], 80, "%s:%u:kill", name, passed);
	}
	fclose(in);
	return n;
}

static void collect_dir(struct remotes *rs)
{
	struct remote r = here(rs);
	struct remote_gc_result res;

	/* What was killed counts no more. */
	run_command(rs, "find %s/share -path '*/gc/*' -type f -delete");
	assert_int_equal(remote_gc(&r, 0, &kill_options, &res), 0);
}

static void test_killed(void **state)
{
	static char rules[100][80];
	struct remotes *rs = *state;
	char key[KEY_MAX + 1];
	unsigned n;

	make_share(rs);
	n = read_points(rs, rules, 100);
	/* Entries, a pointer, trees, packs; begin, notice, end. */
	assert_int_equal(n, 3 + 1 + 3 + 2 + 3);
	for (unsigned i = 0; i < n; i++) {
		run_command(rs, "rm -rf %s/share && cp -a %s/template "
				"%s/share");
		assert_true(was_killed(rs, rules[i], NULL));
		for (unsigned k = 1; k <= 4; k++) {
			int r;

			snprintf(key, sizeof(key), "k%u", k);
			r = look_for(rs, key);
			if (r != 0 && (k == 4 || r != -ENOENT))
				fail_msg("%s: %s: %d", rules[i], key, r);
		}
		latest(rs, "", key);
		if (look_for(rs, "k1") != 0)
			assert_string_equal(key, "k4");
		collect_dir(rs);
		latest(rs, "", key);
		assert_string_equal(key, "k4");
		assert_int_equal(look_for(rs, "k4"), 0);
		assert_int_equal(count_there(rs, "entries"), 1);
		assert_int_equal(count_there(rs, "trees"), 1);
		assert_int_equal(count_there(rs, "packs"), 2);
		assert_int_equal(count_there(rs, "gc"), 0);
	}
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, remotes_setup, remotes_teardown)
	const struct CMUnitTest tests[] = { TEST(test_orders),
					    TEST(test_killed) };
	const struct CMUnitTest child_tests[] = { cmocka_unit_test(child) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv(CHILD_DIR))
		return cmocka_run_group_tests(child_tests, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
