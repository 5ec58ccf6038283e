/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests: an import of a directory that was imported or materialized before
 * reads what changed and nothing else, and a manifest that is damaged, foreign
 * or too young is as good as none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "store/base/clock.h"
#include "store/manifest.h"
#include "tree_fixture.h"

#define FILES 40u
#define RACY_NS INT64_C(25000000) /* a little more than the module's */

/* Until all that exists now is older than file systems' clocks are coarse. */
static void grow_old(void)
{
	const struct timespec ms = { 0, 1000000 };
	int64_t until = clock_wall_ns() + RACY_NS;

	while (clock_wall_ns() < until)
		nanosleep(&ms, NULL);
}

static int make_tree(struct fixture *f)
{
	int fd = make_dir(f, "tree");

	make_text_files(fd, FILES);
	write_noise(fd, "large", 5 << 20, 7);
	assert_int_equal(symlinkat("large", fd, "link"), 0);
	grow_old();
	return fd;
}

static uint64_t size_of(int fd, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(fd, name, &st, 0), 0);
	return st.st_size;
}

/* What the entry holds, against the directory. */
static void assert_holds(struct fixture *f, const struct ingest_result *res,
			 int fd)
{
	static unsigned n;
	char name[32];
	struct store_tree *t = open_tree(f, &res->catalog);
	int out;

	snprintf(name, sizeof(name), "out%u", n++);
	out = make_dir(f, name);
	assert_int_equal(export_dir(t, out, &f->self, NULL), 0);
	assert_same_tree(fd, out);
	store_tree_unref(t);
	close(out);
}

static void unchanged_directory_is_not_read(void **state)
{
	struct fixture *f = *state;
	int fd = make_tree(f);
	struct ingest_result first = import_dir(f, fd, "one"), second;

	assert_true(first.read_bytes > 5 << 20);
	second = import_dir(f, fd, "two");
	assert_int_equal(second.read_bytes, 0);
	assert_int_equal(second.new_chunks, 0);
	assert_true(digest_equal(&first.catalog, &second.catalog));
	close(fd);
}

static void changed_file_is_read(void **state)
{
	struct fixture *f = *state;
	int fd = make_tree(f);
	struct ingest_result res;
	struct stat before;

	import_dir(f, fd, "one");
	assert_int_equal(fstatat(fd, "large", &before, 0), 0);
	/* The same size, and the old mtime put back: ctime tells. */
	write_noise(fd, "large", 5 << 20, 8);
	set_time(fd, "large", before.st_mtim.tv_sec, before.st_mtim.tv_nsec);
	write_file(fd, "new", "new", 3);
	res = import_dir(f, fd, "two");
	assert_int_equal(res.read_bytes, size_of(fd, "large") + 3);
	assert_holds(f, &res, fd);
	close(fd);
}

static void renamed_and_removed_files_are_seen(void **state)
{
	struct fixture *f = *state;
	int fd = make_tree(f);
	struct ingest_result res;

	write_file(fd, "gone", "gone", 4);
	import_dir(f, fd, "one");
	assert_int_equal(unlinkat(fd, "gone", 0), 0);
	assert_int_equal(mkdirat(fd, "dir", 0755), 0);
	assert_int_equal(renameat(fd, "large", fd, "dir/moved"), 0);
	assert_int_equal(linkat(fd, "dir/moved", fd, "again", 0), 0);
	res = import_dir(f, fd, "two");
	assert_holds(f, &res, fd);
	close(fd);
}

static void materialized_directory_is_not_read(void **state)
{
	struct fixture *f = *state;
	int fd = make_tree(f), out = make_dir(f, "out");
	struct ingest_result res = import_dir(f, fd, "one");
	struct store_tree *t = open_tree(f, &res.catalog);
	struct ingest_result again;

	assert_int_equal(export_dir(t, out, &f->self, NULL), 0);
	grow_old();
	again = import_dir(f, out, "two");
	/* What was written in the last tick is read once more. */
	assert_true(again.read_bytes <= res.read_bytes);
	assert_true(digest_equal(&res.catalog, &again.catalog));
	write_file(out, "new", "new", 3);
	again = import_dir(f, out, "three");
	assert_int_equal(again.read_bytes, 3);
	assert_holds(f, &again, out);
	store_tree_unref(t);
	close(out);
	close(fd);
}

static void young_files_are_read_again(void **state)
{
	struct fixture *f = *state;
	int fd = make_dir(f, "tree");
	struct ingest_result res;
	struct manifest_list l = { 0 };
	struct manifest *m;
	struct manifest_root root;
	struct stat st;
	uint32_t node;
	int64_t ctime;

	write_file(fd, "a", "a", 1);
	res = import_dir(f, fd, "one");
	assert_int_equal(manifest_root_of(fd, &root), 0);
	assert_int_equal(fstatat(fd, "a", &st, 0), 0);
	ctime = st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec;
	for (int64_t age = 0; age <= RACY_NS; age += RACY_NS) {
		assert_int_equal(manifest_add_stat(&l, &st, 2), 0);
		assert_int_equal(manifest_publish(f->store, &root, &res.catalog,
						  ctime + age, &l),
				 0);
		assert_int_equal(manifest_open(f->store, &root, &m), 0);
		assert_int_equal(manifest_find(m, &l.files[0], &node),
				 age == RACY_NS);
		manifest_free(m);
		manifest_list_release(&l);
	}
	assert_int_equal(node, 2);
	close(fd);
}

static void every_field_counts(void **state)
{
	struct fixture *f = *state;
	const struct manifest_file file = { 10, 20, 30, 40, 50 };
	struct manifest_file other[4] = { file, file, file, file };
	const struct digest catalog = { { 1 } };
	struct manifest_root root = { 1, 2, 3 };
	struct manifest_list l = { 0 };
	struct manifest *m;
	uint32_t node = 0;
	unsigned i;

	other[0].ino++;
	other[1].size++;
	other[2].mtime_ns++;
	other[3].ctime_ns--;
	assert_int_equal(manifest_add(&l, &file), 0);
	assert_int_equal(manifest_publish(f->store, &root, &catalog,
					  INT64_C(1) << 60, &l),
			 0);
	assert_int_equal(manifest_open(f->store, &root, &m), 0);
	assert_true(digest_equal(manifest_catalog(m), &catalog));
	for (i = 0; i < 4; i++)
		assert_false(manifest_find(m, &other[i], &node));
	assert_true(manifest_find(m, &file, &node));
	assert_int_equal(node, 50);
	manifest_free(m);
	for (i = 0; i < 3; i++) {
		struct manifest_root another = root;

		*(i == 0 ? &another.dev :
		  i == 1 ? &another.ino :
			   (uint64_t *)&another.born_ns) += 1;
		assert_int_equal(manifest_open(f->store, &another, &m),
				 -ENOENT);
	}
	manifest_list_release(&l);
}

static void damage_anywhere_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct manifest_root root = { 1, 2, 3 };
	const struct digest catalog = { { 1 } };
	struct manifest_file file = { 10, 20, 30, 40, 50 };
	struct manifest *m;
	char path[200];
	uint64_t off, len;

	snprintf(path, sizeof(path), "%s/v1/plain/1-2-3", store_dir(f->store));
	for (off = 0, len = 1; off < len; off++) {
		struct manifest_list l = { 0 };
		struct stat st;

		assert_int_equal(manifest_add(&l, &file), 0);
		assert_int_equal(
			manifest_publish(f->store, &root, &catalog, 99, &l), 0);
		manifest_list_release(&l);
		assert_int_equal(stat(path, &st), 0);
		len = st.st_size;
		flip_byte(path, off);
		assert_int_equal(manifest_open(f->store, &root, &m), -EBADMSG);
		assert_int_equal(manifest_open(f->store, &root, &m), -ENOENT);
	}
	assert_int_equal(len, 56 + 40 + 4);
}

static void manifest_of_a_lost_tree_is_none(void **state)
{
	struct fixture *f = *state;
	const struct digest nowhere = { { 1 } };
	int fd = make_tree(f);
	struct ingest_result first = import_dir(f, fd, "one"), second;
	struct manifest_list l = { 0 };
	struct manifest_root root;

	assert_int_equal(manifest_root_of(fd, &root), 0);
	assert_int_equal(manifest_publish(f->store, &root, &nowhere, 99, &l),
			 0);
	second = import_dir(f, fd, "two");
	assert_int_equal(second.read_bytes, first.read_bytes);
	close(fd);
}

static void reread_reads(void **state)
{
	struct fixture *f = *state;
	int fd = make_tree(f);
	struct ingest_result first = import_dir(f, fd, "one"), second;
	_cleanup_entry_ struct entry e = make_entry("two");

	assert_int_equal(ingest_dir(f->store, fd, "tree", &f->self, true, NULL,
				    &e, &second),
			 0);
	assert_int_equal(second.read_bytes, first.read_bytes);
	close(fd);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unchanged_directory_is_not_read),
		TEST(changed_file_is_read),
		TEST(renamed_and_removed_files_are_seen),
		TEST(materialized_directory_is_not_read),
		TEST(young_files_are_read_again),
		TEST(every_field_counts),
		TEST(damage_anywhere_is_noticed),
		TEST(manifest_of_a_lost_tree_is_none),
		TEST(reread_reads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
