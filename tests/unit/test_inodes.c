/* SPDX-License-Identifier: Apache-2.0 */
/* The inode table: what goes in comes out, also after many removals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/inodes.h"

static void add(struct inodes *t, uint64_t ino)
{
	struct inode *i = inode_new(ino, S_IFREG | 0600);

	assert_non_null(i);
	assert_int_equal(inodes_reserve(t, 1), 0);
	inodes_insert(t, i);
}

static void test_add_find_remove(void **state)
{
	struct inodes t = { 0 };
	struct inode *i;
	uint64_t ino;

	(void)state;
	assert_null(inodes_get(&t, 1));
	inodes_remove(&t, 1);
	for (ino = 1; ino <= 10000; ino++)
		add(&t, ino << 20);
	assert_int_equal(t.count, 10000);
	for (ino = 1; ino <= 10000; ino += 2) {
		i = inodes_get(&t, ino << 20);
		inodes_remove(&t, ino << 20);
		inode_free(i);
	}
	for (ino = 1; ino <= 10000; ino++) {
		i = inodes_get(&t, ino << 20);
		assert_int_equal(i != NULL, ino % 2 == 0);
		if (i)
			assert_int_equal(i->m.ino, ino << 20);
	}
	assert_int_equal(t.count, 5000);
	inodes_release(&t);
}

static void test_iteration(void **state)
{
	bool seen[101] = { false };
	struct inodes t = { 0 };
	struct inode *i;
	size_t pos = 0;
	uint64_t ino;

	(void)state;
	assert_null(inodes_next(&t, &pos));
	for (ino = 1; ino <= 100; ino++)
		add(&t, ino);
	while ((i = inodes_next(&t, &pos))) {
		assert_false(seen[i->m.ino]);
		seen[i->m.ino] = true;
	}
	for (ino = 1; ino <= 100; ino++)
		assert_true(seen[ino]);
	inodes_release(&t);
}

/* After a reservation inserting moves nothing. */
static void test_reserve(void **state)
{
	struct inodes t = { 0 };
	struct inode **slots;
	uint64_t ino;

	(void)state;
	assert_int_equal(inodes_reserve(&t, 1000), 0);
	slots = t.slots;
	for (ino = 1; ino <= 1000; ino++)
		inodes_insert(&t, inode_new(ino, S_IFDIR));
	assert_ptr_equal(t.slots, slots);
	inodes_release(&t);
}

/* A record frees what its type owns. */
static void test_owned_memory(void **state)
{
	struct inodes t = { 0 };
	struct inode *i = inode_new(5, S_IFLNK | 0777);

	(void)state;
	i->target = blob_new("there", 5);
	i->xattrs = blob_new(NULL, 0);
	assert_non_null(i->xattrs);
	assert_memory_equal(i->target->data, "there", 5);
	assert_int_equal(inodes_reserve(&t, 1), 0);
	inodes_insert(&t, i);
	i = inode_new(6, S_IFREG);
	assert_int_equal(extents_reserve(&i->extents, 0), 0);
	assert_int_equal(inodes_reserve(&t, 1), 0);
	inodes_insert(&t, i);
	inodes_release(&t);
	assert_null(inodes_get(&t, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_find_remove),
		cmocka_unit_test(test_iteration),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_owned_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
