/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation on every kind of place in a union: names of the base only,
 * of the upper only, of both, removed, in a directory made anew, in one that
 * was moved, moved themselves, and with several names. The same steps are done
 * to a plain directory that holds the same tree; results and whole trees must
 * be equal, also after a replay of the log and in the entry of a commit.
 *
 * A model goes along with each side, so that a difference names the side
 * which is wrong: the view's, unless the plain file system disagrees too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "tests/random/mount_ops.h"

#include "view_fixture.h"

/* In steps, %P is a place, %T its file, directory or symlink, and ';' divides
 * them. */
#define CONTENTS                                                         \
	"mkdir %P 0755;create %P/f 0644;write %P/f 0 5000 7;"            \
	"setxattr %P/f user.a 10 3;mkdir %P/d 0755;create %P/d/in 0644;" \
	"write %P/d/in 0 100 8;mkdir %P/d/sub 0755;"                     \
	"create %P/d/sub/deep 0600;symlink no/where %P/l;"               \
	"create %P/other 0600;write %P/other 0 3000 9;mkdir %P/empty 0700"
#define REMOVAL                                            \
	"unlink %P/f;unlink %P/d/in;unlink %P/d/sub/deep;" \
	"rmdir %P/d/sub;rmdir %P/d;unlink %P/l"

struct place {
	const char *name;
	const char *base;  /* steps that make it in the base */
	const char *upper; /* steps on the view before the operation */
};

static const struct place places[] = {
	{ "base", CONTENTS, "" },
	{ "upper", "", CONTENTS },
	{ "both", CONTENTS,
	  "write %P/f 100 10 11;chmod %P/d 0700;create %P/d/new 0644;"
	  "utimens %P/l 5000000000 6000000001;setxattr %P/d user.a 9 4" },
	{ "removed", CONTENTS, REMOVAL },
	{ "opaque", CONTENTS,
	  REMOVAL ";unlink %P/other;rmdir %P/empty;rmdir %P;" CONTENTS },
	{ "parent", "mkdir elsewhere 0755;" CONTENTS ";rename %P elsewhere/p",
	  "rename elsewhere/p %P" },
	{ "moved",
	  CONTENTS ";mkdir away 0755;create away/f 0600;write away/f 0 700 2;"
		   "mkdir away/d 0700;create away/d/in 0600;"
		   "mkdir away/d/sub 0700;symlink x away/l",
	  REMOVAL ";rename away/f %P/f;rename away/d %P/d;"
		  "rename away/l %P/l" },
	{ "linked",
	  CONTENTS ";link %P/f %P/f2;link %P/d/in %P/in2;link %P/l %P/l2",
	  "link %P/f %P/d/f3;link %P/other %P/d/other2" },
};
#define PLACES (sizeof(places) / sizeof(places[0]))

static const char *const operations[] = {
	/* making */
	"create %T 0600",
	"mkdir %T 0700",
	"symlink x %T",
	"fifo %T 0600",
	"create %T/new 0600",
	"mkdir %T/sub 0700",
	"open-create @0 %T 0640;write @0 0 5 5;close @0",
	/* links */
	"link %T %P/new",
	"link %P/other %T",
	"link %T/in %P/new",
	"link %P/other %T/new",
	/* removing */
	"unlink %T",
	"rmdir %T",
	"unlink %T/in",
	"unlink %T/sub/deep;rmdir %T/sub;stat %T",
	"rmdir %T/sub",
	"unlink %T;create %T 0600;write %T 0 7 7",
	"unlink %T;mkdir %T 0700;create %T/in 0600",
	"rmdir %P;rmdir %P/empty",
	/* moving */
	"rename %T %P/new",
	"rename %T %P/other",
	"rename %T %P/empty",
	"rename %P/other %T",
	"rename %P/empty %T",
	"rename %T %T/inside",
	"rename %T out-of-%P",
	"rename %T %P/empty/in",
	"rename %T %P/new;create %T 0600",
	"rename %T %P/new;rename %P/new %T",
	"rename %T/in %P/new",
	"rename %P/other %T/in",
	"rename %T/sub %P/empty",
	"rename %P after-%P;stat after-%P/f;list after-%P/d",
	"noreplace %T %P/new",
	"noreplace %P/other %T",
	"exchange %T %P/other",
	"exchange %T %P/empty",
	"exchange %T %T",
	"exchange %T/in %P/other",
	"exchange %P/d %P/f",
	/* content */
	"write %T 10 20 5",
	"write %T 9000 5 5",
	"write %T/in 50 100 5",
	"truncate %T 0",
	"truncate %T 20000",
	"truncate %T 100;truncate %T 5000",
	"punch %T 100 1000",
	"zero %T 4990 100",
	"zero-keep %T 4990 100",
	"allocate %T 0 9000",
	"allocate-keep %T 0 9000",
	"copy %T 0 %P/other 100 2000",
	"copy %P/other 0 %T 100 2000",
	"copy %T 0 %T 6000 2000",
	"read %T 0 9000",
	"seek-data %T 0",
	"seek-hole %T 0",
	"fsync %T",
	"open-truncate @0 %T;write @0 5 5 5;close @0",
	"open-append @0 %T;write @0 0 5 5;close @0",
	"open @0 %T;unlink %T;write @0 0 10 3;read @0 0 100;stat @0;close @0",
	"open @0 %T;rename %P/other %T;truncate @0 7;stat @0;close @0",
	/* attributes */
	"chmod %T 0711",
	"utimens %T 1000000000123456789 2000000000987654321",
	"setxattr %T user.b 5 5",
	"setxattr-create %T user.a 5 5",
	"setxattr-replace %T user.a 5 6",
	"removexattr %T user.a",
	"chmod %P 0700;chmod %P/d/in 0600;chmod %P/d/sub 0711",
	/* looking */
	"stat %T",
	"list %T",
	"readlink %T",
	"xattrs %T",
	"stat %T/in/in;stat %T/none;stat %P/none/in",
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static const char *const targets[] = { "f", "d", "l" };

static struct fixture fx;
static struct store_tree *first_base;

/* --- steps --- */

static void expand(const char *from, const char *place, const char *target,
		   char *to, size_t size)
{
	size_t len = 0;

	for (; *from && *from != ';'; from++) {
		assert_true(len + 1 < size);
		if (from[0] != '%') {
			to[len++] = *from;
			continue;
		}
		len += (size_t)snprintf(to + len, size - len,
					*++from == 'T' ? "%s/%s" : "%s", place,
					target);
	}
	to[len] = '\0';
}

/* The same steps on each play. */
static void run_steps(struct play *plays, unsigned n, const char *steps,
		      const char *place, const char *target)
{
	char line[256];
	struct step s;
	unsigned i;

	while (*steps) {
		expand(steps, place, target, line, sizeof(line));
		assert_int_equal(step_parse(line, &s), 0);
		for (i = 0; i < n; i++)
			if (!play_step(&plays[i], &s))
				fail_msg("%s, %s: %s",
					 i ? "plain directory" : "view", line,
					 plays[i].failure);
		step_release(&s);
		steps += strcspn(steps, ";");
		steps += *steps == ';';
	}
}

static void make_base(struct play *p)
{
	unsigned i;

	for (i = 0; i < PLACES; i++)
		run_steps(p, 1, places[i].base, places[i].name, "");
}

static void open_plain(struct mount_fs *fs, const char *dir, struct play *p)
{
	*fs = (struct mount_fs)MOUNT_FS_INIT;
	assert_int_equal(mount_fs_open(fs, dir), 0);
	play_init(p, &mount_ops, fs, geteuid(), getegid());
	assert_int_equal(play_load(p, &mount_ops, fs), 0);
}

static void make_base_in(int dirfd)
{
	_cleanup_free_ char *dir = io_path("/proc/self/fd/%d", dirfd);
	struct mount_fs fs;
	struct play p;

	open_plain(&fs, dir, &p);
	make_base(&p);
	play_release(&p);
	mount_fs_close(&fs);
}

/* --- rounds --- */

static void compare(struct play *p, const char *what, const char *operation)
{
	if (!play_compare(p))
		fail_msg("%s, %s: %s", operation, what, p->failure);
}

/* A view of the base that nobody changed; its model is the tree that the base
 * was made of. */
static void open_view(struct play *p)
{
	_cleanup_free_ char *dir = io_path("%s/tree", fx.dir);
	struct mount_fs fs = MOUNT_FS_INIT;

	fixture_view_renew(&fx, first_base);
	assert_int_equal(mount_fs_open(&fs, dir), 0);
	play_init(p, &fixture_ops, &fx, 0, 0);
	assert_int_equal(play_load(p, &mount_ops, &fs), 0);
	mount_fs_close(&fs);
}

static void compare_committed(struct play *p, const char *operation)
{
	struct ingest_result r;
	struct store_tree *tree;

	assert_int_equal(fixture_commit(&fx, "round", &r), 0);
	compare(p, "committed", operation);
	tree = fixture_tree(&fx, &r.catalog);
	fixture_view_renew(&fx, tree);
	store_tree_unref(tree);
	play_new_mount(p);
	compare(p, "the entry", operation);
}

/* One operation on one kind of target in all places. */
static void run_round(const char *operation, const char *target)
{
	_cleanup_free_ char *plain = io_path("%s/plain", fx.dir);
	struct play plays[2];
	struct mount_fs fs;
	unsigned i;

	open_view(&plays[0]);
	assert_int_equal(mkdir(plain, 0755), 0);
	open_plain(&fs, plain, &plays[1]);
	make_base(&plays[1]);
	for (i = 0; i < PLACES; i++)
		run_steps(plays, 2, places[i].upper, places[i].name, "");
	for (i = 0; i < PLACES; i++)
		run_steps(plays, 2, operation, places[i].name, target);
	compare(&plays[1], "plain directory", operation);
	compare(&plays[0], "view", operation);
	fixture_reopen(&fx);
	compare(&plays[0], "replayed", operation);
	compare_committed(&plays[0], operation);
	play_release(&plays[0]);
	play_release(&plays[1]);
	mount_fs_close(&fs);
	assert_int_equal(io_remove_tree(AT_FDCWD, plain), 0);
}

static void run_target(const char *target)
{
	size_t i;

	for (i = 0; i < OPERATIONS; i++)
		run_round(operations[i], target);
}

static void test_on_files(void **state)
{
	(void)state;
	run_target(targets[0]);
}

static void test_on_directories(void **state)
{
	(void)state;
	run_target(targets[1]);
}

static void test_on_symlinks(void **state)
{
	(void)state;
	run_target(targets[2]);
}

static int setup(void **state)
{
	umask(0);
	fixture_open(*state, make_base_in);
	first_base = fx.base;
	store_tree_ref(first_base);
	return 0;
}

static int teardown(void **state)
{
	store_tree_unref(first_base);
	return fixture_teardown(state);
}

#define UNION(f) \
	cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNION(test_on_files),
		UNION(test_on_directories),
		UNION(test_on_symlinks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
