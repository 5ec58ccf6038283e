/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the view share: a store and a mount's state directory in a
 * directory of their own, a base made from a plain tree, a view over it that
 * can be closed and opened again, and helpers by path. One thread; failures
 * are cmocka assertions.
 */
#ifndef LARDER_TESTS_VIEW_FIXTURE_H
#define LARDER_TESTS_VIEW_FIXTURE_H

#include <limits.h>

#include "fs/used.h"
#include "fs/view.h"
#include "store/base/buf.h"
#include "store/ingest.h"

#include "tests/random/choose.h"
#include "tests/random/play.h"
#include "tests/random/tree_ops.h"

struct fixture_slot {
	uint64_t ino; /* 0: closed */
	bool append;
	bool linkable; /* made without a name, and has none yet */
};

struct fixture {
	char dir[PATH_MAX / 2];
	struct store *store;
	struct fetch *fetch;
	struct store_tree *base; /* NULL: empty */
	struct view *view;
	int state;    /* descriptor of the state directory */
	bool damaged; /* what the last open said */
	bool keep_dir;
	bool notes_reads; /* of a base, from the next opening on (used.h) */
	struct fixture_slot slots[TREE_SLOTS];
	struct progress *progress; /* of commits; may be NULL */
};

/* `make` puts the base's files below the directory it is given; NULL: an
 * empty base. */
void fixture_open(struct fixture *fx, void (*make)(int dirfd));
void fixture_close(struct fixture *fx);

/* Setups and a teardown of cmocka's; *state is the struct fixture. */
int fixture_setup_base(void **state);
int fixture_setup_empty(void **state);
int fixture_teardown(void **state);
#define FIXTURE_TEST(f, setup, fx) \
	cmocka_unit_test_prestate_setup_teardown(f, setup, fixture_teardown, fx)

/* The same in a directory that is there, which may hold a store and a state
 * already; fixture_close() leaves it. For tests of more than one process. */
void fixture_open_at(struct fixture *fx, const char *dir);

/* The standard base: files, a hard link, a symlink, directories, a file of
 * several chunks, a sparse one, an empty one, one with attributes. */
void fixture_base(int dirfd);

/* Closes the view and opens it again, from the log as it is. */
void fixture_reopen(struct fixture *fx);
void fixture_view_close(struct fixture *fx);
void fixture_view_open(struct fixture *fx);

/* Adds so many records that closing writes a checkpoint. */
void fixture_force_checkpoint(struct fixture *fx);

/* Opens the view again, which has the same tree then; and once more from a
 * checkpoint. */
void fixture_assert_replays(struct fixture *fx);
void fixture_assert_replays_all(struct fixture *fx);

/* Gives up what was changed, and what commits changed below it: a view of
 * this tree again, of which a reference is taken; NULL: of nothing. */
void fixture_view_renew(struct fixture *fx, struct store_tree *base);

/* A second store_tree for an entry's catalog. */
struct store_tree *fixture_tree(struct fixture *fx, const struct digest *d);

/* Commits as NAME@key. */
int fixture_commit(struct fixture *fx, const char *key,
		   struct ingest_result *ret_result);

/* By path below the root; all take back the references they cause. */
uint64_t fixture_ino(struct fixture *fx, const char *path); /* 0: none */
void fixture_attr(struct fixture *fx, const char *path,
		  struct view_attr *ret_attr);
int fixture_mkdir(struct fixture *fx, const char *path);
int fixture_write(struct fixture *fx, const char *path, const char *text);
int fixture_punch(struct fixture *fx, const char *path, uint64_t off,
		  uint64_t len);
void fixture_assert_content(struct fixture *fx, const char *path,
			    const char *text);

/* The same, where it must succeed; how many names; none. */
void fixture_put(struct fixture *fx, const char *path, const char *text);
uint32_t fixture_links(struct fixture *fx, const char *path);
void fixture_assert_absent(struct fixture *fx, const char *path);

/* Random steps on the view and on a model of it. The base's tree is taken
 * over; `max_file` bounds files' sizes. */
struct fixture_random {
	struct play play;
	struct choose choose;
	uint64_t seed;
};
void fixture_random_init(struct fixture_random *w, struct fixture *fx,
			 uint64_t seed, uint64_t max_file);
void fixture_random_release(struct fixture_random *w);
bool fixture_random_step(struct fixture_random *w); /* says what differs */

/* A step that looks at no directory, so that others may make names, too. */
bool fixture_random_change(struct fixture_random *w);
void fixture_random_assert_same(struct fixture_random *w);

/* The whole tree as text: every name in readdir's order, all metadata,
 * targets, attributes and a checksum of the content. */
void fixture_dump(struct view *v, struct buf *out);

/* The same without what a commit does not keep: numbers, order, atime and ctime. */
void fixture_dump_plain(struct view *v, struct buf *out);
void fixture_assert_same(const struct buf *a, const struct buf *b);

/* The diff, a line a change: "A path", "R from -> path". */
void fixture_diff(struct view *v, struct buf *out);
void fixture_assert_diff(struct view *v, const char *want);

/* `fs` is a struct fixture. There are no mappings. */
extern const struct tree_ops fixture_ops;

#endif
