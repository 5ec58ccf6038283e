/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what of the view of all entries, across workers that are killed.
 * The test is the kernel: it counts what it was given, drops what it does not
 * use, and says so later, in an order of its own. What it holds is never
 * closed; what it does not is closed in the end, and what is remembered of it
 * is bounded.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>

#include "view_all_fixture.h"

#define SECOND_NS INT64_C(1000000000)

static int count_held(void *arg, const struct digest *catalog)
{
	unsigned *n = arg;

	(void)catalog;
	(*n)++;
	return 0;
}

/* What a collection leaves alone. */
static unsigned held(struct all *x)
{
	unsigned n = 0;

	assert_int_equal(all_table_each_held(x->state, count_held, &n), 0);
	return n;
}

static off_t table_size(struct all *x)
{
	struct stat st;

	assert_int_equal(fstatat(x->state, "entries", &st, 0), 0);
	return st.st_size;
}

static void forget(struct all *x, uint64_t node, uint64_t count)
{
	view_all_forget(x->all, node, count);
}

/* --- orders --- */

/* The kernel dropped what the worker before gave it and has the root anew, by
 * a request that overtakes the word of it. */
static void test_overtaken(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x), one = lookup(x, dir, "one"), own;

	assert_true(lookup(x, dir, "one") == one);
	restart(x);
	assert_true(lookup(x, dir, "one") == one); /* the new inode's */
	forget(x, one, 2);			   /* the old one's */
	assert_int_equal(held(x), 1);
	restart(x);
	assert_int_equal(held(x), 1);
	own = lookup(x, one, "own");
	remove_entry(x->f, "one");
	(void)collect(x->f, 0);
	assert_content(x, own, "one");
	forget(x, one, 1);
	assert_int_equal(held(x), 0);
	assert_int_equal(open_entries(x), 0);
}

/* Old and new references come back in one. */
static void test_together(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x), one = lookup(x, dir, "one");

	restart(x);
	assert_true(lookup(x, dir, "one") == one);
	restart(x);
	assert_true(lookup(x, dir, "one") == one);
	forget(x, one, 3);
	assert_int_equal(held(x), 0);
	restart(x);
	assert_int_equal(open_entries(x), 0);
}

/* A tree that was taken for forgotten is open again when the kernel names it,
 * and stays so until it is told. */
static void test_named(void **state)
{
	struct all *x = *state;
	uint64_t one = entry_root(x, "one");
	uint64_t own = lookup(x, one, "own"), d = lookup(x, one, "d");

	forget(x, one, 1);
	assert_int_equal(held(x), 0);
	assert_int_equal(getattr(x, d).mode & S_IFMT, S_IFDIR);
	assert_int_equal(held(x), 1);
	assert_content(x, own, "one");
	forget(x, one, 1);
	assert_int_equal(held(x), 0);
}

/* --- a model of the kernel --- */

#define ROOTS 2
#define FORGETS 64

struct kernel {
	struct all *x;
	uint64_t node[ROOTS];  /* of the roots */
	uint64_t has[ROOTS];   /* references of the inode; 0: there is none */
	uint64_t woken[ROOTS]; /* answers that nobody has looked at yet */
	struct {
		unsigned root;
		uint64_t count;
	} forgets[FORGETS];
	size_t forgets_count;
	bool used[ROOTS]; /* somebody stands in it */
	uint64_t random;
	unsigned asked, pruned, dropped;
	int64_t now, answer_ns; /* the clock, and how long an answer takes */
	unsigned *stop_at;	/* tidying ends when this count is 0 */
	uint64_t nodes[16];	/* the first that were pruned */
	struct view_all_name names[2];
};

static unsigned roll(struct kernel *k, unsigned n)
{
	k->random = k->random * UINT64_C(6364136223846793005) + 1442695041;
	return (unsigned)(k->random >> 33) % n;
}

static const char *root_key(unsigned root)
{
	return root ? "two" : "one";
}

static void kernel_drop(struct kernel *k, unsigned root)
{
	if (k->has[root] == 0 || k->used[root] || k->forgets_count == FORGETS)
		return;
	k->forgets[k->forgets_count].root = root;
	k->forgets[k->forgets_count++].count = k->has[root];
	k->has[root] = 0;
}

static void kernel_read_forget(struct kernel *k, bool lost)
{
	unsigned root = k->forgets[0].root;
	uint64_t count = k->forgets[0].count;

	if (k->forgets_count == 0)
		return;
	memmove(k->forgets, k->forgets + 1,
		--k->forgets_count * sizeof(k->forgets[0]));
	if (!lost)
		forget(k->x, k->node[root], count);
}

static void kernel_run_woken(struct kernel *k, unsigned root)
{
	k->has[root] += k->woken[root];
	k->woken[root] = 0;
}

static void kernel_lookup(struct kernel *k, unsigned root)
{
	k->node[root] = lookup(k->x, name_dir(k->x), root_key(root));
	k->woken[root]++;
}

/* It counted and was killed before it answered. */
static void kernel_lookup_unanswered(struct kernel *k, unsigned root)
{
	(void)lookup(k->x, name_dir(k->x), root_key(root));
	restart(k->x);
}

static int kernel_has(void *arg, uint64_t node)
{
	struct kernel *k = arg;

	k->asked++;
	k->now += k->answer_ns;
	for (unsigned i = 0; i < ROOTS; i++)
		if (k->node[i] == node)
			return k->has[i] > 0;
	return 0;
}

static int kernel_drop_names(void *arg, const struct view_all_name *names,
			     size_t count)
{
	struct kernel *k = arg;

	assert_int_equal(k->pruned, 0); /* they come first */
	k->dropped += count;
	for (size_t i = 0; i < count && i < 2; i++)
		k->names[i] = names[i];
	return 0;
}

static int kernel_prune(void *arg, const uint64_t *nodes, size_t count)
{
	struct kernel *k = arg;

	for (size_t i = 0; i < count; i++) {
		if (k->pruned < 16)
			k->nodes[k->pruned] = nodes[i];
		k->pruned++;
		for (unsigned n = 0; n < ROOTS; n++)
			if (k->node[n] == nodes[i])
				kernel_drop(k, n);
	}
	return 0;
}

static int64_t kernel_now(void *arg)
{
	const struct kernel *k = arg;

	return k->now;
}

static bool kernel_stop(void *arg)
{
	const struct kernel *k = arg;

	return k->stop_at && (*k->stop_at == 0 || --*k->stop_at == 0);
}

static size_t tidy(struct kernel *k, int64_t now, int64_t idle, bool urgent)
{
	const struct view_all_kernel kernel = { kernel_drop_names, kernel_prune,
						kernel_has, k };
	const struct view_all_tidying t = {
		&kernel, idle, urgent, kernel_stop, kernel_now, k,
	};

	k->now = now;
	return view_all_tidy(k->x->all, &t);
}

/* What the kernel has, or is about to have, no collection takes. */
static void kernel_check(struct kernel *k)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ROOTS; i++)
		n += k->has[i] + k->woken[i] > 0;
	assert_true(held(k->x) >= n);
}

static void kernel_step(struct kernel *k)
{
	unsigned root = roll(k, ROOTS);

	switch (roll(k, 12)) {
	case 0:
	case 1:
	case 2:
		kernel_lookup(k, root);
		break;
	case 3:
	case 4:
		kernel_run_woken(k, root);
		break;
	case 5:
	case 6:
		kernel_drop(k, root);
		break;
	case 7:
	case 8:
		kernel_read_forget(k, false);
		break;
	case 9:
		kernel_lookup_unanswered(k, root);
		break;
	case 10:
		kernel_read_forget(k, true);
		restart(k->x);
		break;
	default:
		tidy(k, clock_mono_ns(), INT64_MAX, true);
		restart(k->x);
	}
}

/* Nothing is in flight any more, and the kernel has dropped all. */
static void kernel_settle(struct kernel *k)
{
	for (unsigned i = 0; i < ROOTS; i++) {
		kernel_run_woken(k, i);
		kernel_drop(k, i);
	}
	while (k->forgets_count > 0)
		kernel_read_forget(k, false);
}

static void test_orders(void **state)
{
	struct kernel k = { .x = *state };
	int64_t now;

	for (unsigned seed = 1; seed <= 20; seed++) {
		k.random = seed;
		for (unsigned n = 0; n < 60; n++) {
			kernel_step(&k);
			kernel_check(&k);
		}
		kernel_settle(&k);
		now = clock_mono_ns();
		tidy(&k, now, INT64_MAX, false);
		tidy(&k, now + VIEW_ALL_SURE_NS, INT64_MAX, false);
		assert_int_equal(held(k.x), 0);
		assert_int_equal(open_entries(k.x), 0);
		assert_int_equal(files(k.x), 0);
	}
}

/* --- the oracle --- */

static void test_reference_too_many(void **state)
{
	struct kernel k = { .x = *state };
	int64_t now = clock_mono_ns();

	kernel_lookup(&k, 0);
	kernel_run_woken(&k, 0);
	kernel_lookup_unanswered(&k, 0);
	kernel_settle(&k);
	assert_int_equal(held(k.x), 1);
	/* One look is not enough, nor are two that are close. */
	assert_int_equal(tidy(&k, now, INT64_MAX, true), 0);
	assert_int_equal(tidy(&k, now + VIEW_ALL_SURE_NS - 1, INT64_MAX, true),
			 0);
	assert_int_equal(held(k.x), 1);
	/* Nor any where something came between. */
	kernel_lookup(&k, 0);
	assert_int_equal(tidy(&k, now + 2 * VIEW_ALL_SURE_NS, INT64_MAX, true),
			 0);
	kernel_run_woken(&k, 0);
	assert_int_equal(tidy(&k, now + 4 * VIEW_ALL_SURE_NS, INT64_MAX, true),
			 0);
	assert_int_equal(held(k.x), 1);
	kernel_settle(&k);
	now += 5 * VIEW_ALL_SURE_NS;
	assert_int_equal(tidy(&k, now, INT64_MAX, true), 0);
	assert_int_equal(tidy(&k, now + VIEW_ALL_SURE_NS, INT64_MAX, true), 1);
	assert_int_equal(held(k.x), 0);
}

/* A question that waits for its answer is not over before that comes. */
static void test_slow_answer(void **state)
{
	struct kernel k = { .x = *state };
	int64_t now = clock_mono_ns();

	kernel_lookup(&k, 0);
	kernel_run_woken(&k, 0);
	kernel_lookup_unanswered(&k, 0);
	kernel_settle(&k);
	k.answer_ns = VIEW_ALL_SURE_NS;
	assert_int_equal(tidy(&k, now, INT64_MAX, true), 0);
	assert_int_equal(
		tidy(&k, now + 2 * VIEW_ALL_SURE_NS - 1, INT64_MAX, true), 0);
	assert_int_equal(held(k.x), 1);
	assert_int_equal(tidy(&k, now + 2 * VIEW_ALL_SURE_NS, INT64_MAX, true),
			 1);
	assert_int_equal(held(k.x), 0);
}

/* It ends between any two questions, and the rest is for the next time. */
static void test_stopped(void **state)
{
	struct kernel k = { .x = *state };
	bool stopped = true;
	unsigned n, stop_at;

	kernel_lookup(&k, 0);
	kernel_lookup(&k, 1);
	kernel_run_woken(&k, 0);
	kernel_run_woken(&k, 1);
	k.used[0] = k.used[1] = true;
	k.stop_at = &stop_at;
	for (n = 1; stopped; n++) {
		assert_true(n < 64);
		k.asked = k.pruned = k.dropped = 0;
		stop_at = n;
		tidy(&k, clock_mono_ns(), 0, true);
		if (n == 1)
			assert_int_equal(k.asked + k.pruned, 0);
		stopped = stop_at == 0;
	}
	assert_int_equal(k.asked, 2);
	assert_true(n > 4);
	k.stop_at = NULL;
	k.used[0] = k.used[1] = false;
	k.pruned = 0;
	tidy(&k, clock_mono_ns(), 0, true);
	while (k.forgets_count > 0)
		kernel_read_forget(&k, false);
	assert_int_equal(held(k.x), 0);
}

/* Where all references are this worker's own, there is nothing to ask. */
static void test_sure(void **state)
{
	struct kernel k = { .x = *state };

	kernel_lookup(&k, 0);
	tidy(&k, clock_mono_ns(), INT64_MAX, true);
	assert_int_equal(k.asked, 0);
	assert_int_equal(k.pruned, 0);
	restart(k.x);
	tidy(&k, clock_mono_ns(), INT64_MAX, true);
	assert_int_equal(k.asked, 1);
}

/* --- caches --- */

static void test_idle(void **state)
{
	struct kernel k = { .x = *state };
	int64_t now;

	kernel_lookup(&k, 0);
	kernel_lookup(&k, 1);
	kernel_run_woken(&k, 0);
	kernel_run_woken(&k, 1);
	k.used[1] = true;
	now = clock_mono_ns();
	tidy(&k, now, SECOND_NS, false);
	assert_int_equal(k.pruned, 0);
	tidy(&k, now + SECOND_NS, SECOND_NS, false);
	assert_int_equal(k.forgets_count, 1);
	kernel_read_forget(&k, false);
	assert_int_equal(held(k.x), 1);
	assert_int_equal(open_entries(k.x), 1);
	/* What was in use is not asked for again at once, but where it is
	 * urgent. */
	k.pruned = 0;
	tidy(&k, now + 2 * SECOND_NS, SECOND_NS, false);
	assert_int_equal(k.pruned, 0);
	k.used[1] = false;
	tidy(&k, now + 2 * SECOND_NS, SECOND_NS, true);
	assert_true(k.pruned > 0);
	kernel_read_forget(&k, false);
	assert_int_equal(held(k.x), 0);
}

static bool is_name(const struct view_all_name *n, uint64_t parent,
		    const char *name)
{
	return n->parent == parent && n->len == strlen(name) &&
	       memcmp(n->name, name, n->len) == 0;
}

/* Files, then directories from the leaves up, and before all of them what is
 * known to be missing. */
static void test_order_said(void **state)
{
	struct all *x = *state;
	struct kernel k = { .x = x };
	uint64_t node, root, d;

	kernel_lookup(&k, 0);
	kernel_run_woken(&k, 0);
	root = k.node[0];
	assert_int_equal(try_lookup(x, root, "none", &node), -ENOENT);
	d = lookup(x, root, "d");
	assert_int_equal(try_lookup(x, d, "not", &node), -ENOENT);
	assert_int_equal(try_lookup(x, d, "not", &node), -ENOENT);
	k.used[0] = true;
	tidy(&k, clock_mono_ns(), 0, true);
	assert_int_equal(k.dropped, 2);
	assert_true(is_name(&k.names[0], root, "none") ||
		    is_name(&k.names[1], root, "none"));
	assert_true(is_name(&k.names[0], d, "not") ||
		    is_name(&k.names[1], d, "not"));
	/* same, big, own, pair, link, deep; d; the root */
	assert_int_equal(k.pruned, 8);
	assert_true(k.nodes[7] == root);
	assert_true(k.nodes[6] == d);
	node = lookup(x, d, "deep");
	for (unsigned i = 0; i < 6; i++)
		if (k.nodes[i] == node)
			return;
	fail();
}

/* Of an entry that was removed, whatever the time. */
static void test_removed(void **state)
{
	struct kernel k = { .x = *state };

	kernel_lookup(&k, 0);
	kernel_lookup(&k, 1);
	kernel_run_woken(&k, 0);
	kernel_run_woken(&k, 1);
	restart(k.x);
	remove_entry(k.x->f, "one");
	tidy(&k, clock_mono_ns(), INT64_MAX, false);
	kernel_settle(&k);
	assert_int_equal(held(k.x), 0);
	assert_int_equal(k.pruned, 8);
}

static void test_missing_bounded(void **state)
{
	struct all *x = *state;
	struct kernel k = { .x = x };
	uint64_t node;
	char name[32];

	kernel_lookup(&k, 0);
	kernel_run_woken(&k, 0);
	for (unsigned i = 0; i < 70000; i++) {
		snprintf(name, sizeof(name), "missing-%u", i);
		assert_int_equal(try_lookup(x, k.node[0], name, &node),
				 -ENOENT);
	}
	tidy(&k, clock_mono_ns(), 0, true);
	assert_int_equal(k.dropped, 65536);
}

/* --- generations --- */

/* An entry of a key of its own, with the tree of "one". */
static void put_entry(struct all *x, const char *key)
{
	_cleanup_entry_ struct entry e = get_entry(x->f, "one");
	struct index_batch *b;

	free(e.key);
	e.key = strdup(key);
	assert_int_equal(index_batch_begin(store_index(x->f->store), &b), 0);
	assert_int_equal(index_put_entry(b, &e), 0);
	assert_int_equal(index_batch_commit(b, false), 0);
}

static void test_generations(void **state)
{
	struct all *x = *state;
	uint64_t dir = name_dir(x), before = 0, node[8] = { 0 };
	char key[32];

	for (unsigned n = 0; n < 4000; n++) {
		unsigned i = n % 8;

		snprintf(key, sizeof(key), "g%u", n);
		put_entry(x, key);
		if (node[i])
			forget(x, node[i], 1);
		node[i] = lookup(x, dir, key);
		assert_true(node[i] > before); /* never a second time */
		before = node[i];
		remove_entry(x->f, key);
		if (n % 500 == 499)
			restart(x);
	}
	assert_int_equal(held(x), 8);
	assert_true(table_size(x) <= 11 * 128 * 512);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(getattr(x, node[i]).mode & S_IFMT, S_IFDIR);
}

/* Another worker takes over, and serves, where no file can grow. */
static void test_full_disk(void **state)
{
	struct all *x = *state;
	struct rlimit was, tight;
	uint64_t one = entry_root(x, "one"), two;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	tight = was;
	tight.rlim_cur = (rlim_t)table_size(x);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	restart(x);
	assert_int_equal(open_entries(x), 1);
	assert_content(x, lookup(x, one, "own"), "one");
	two = entry_root(x, "two");
	assert_int_equal(held(x), 2);
	forget(x, one, 1);
	forget(x, two, 1);
	assert_int_equal(held(x), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_overtaken),
		TEST(test_together),
		TEST(test_named),
		TEST(test_orders),
		TEST(test_reference_too_many),
		TEST(test_slow_answer),
		TEST(test_stopped),
		TEST(test_sure),
		TEST(test_idle),
		TEST(test_order_said),
		TEST(test_removed),
		TEST(test_missing_bounded),
		TEST(test_generations),
		TEST(test_full_disk),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
