/* SPDX-License-Identifier: Apache-2.0 */
/* Trees out of the store, as directories and as tar streams. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "tree_fixture.h"

static void directory_round_trip_keeps_everything(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), to = make_dir(f, "to");
	struct ingest_result res;
	struct store_tree *t;
	struct stat st;

	make_all_types(from);
	res = import_dir(f, from, "k");
	t = open_tree(f, &res.catalog);
	assert_int_equal(export_dir(t, to, &f->self, NULL), 0);
	assert_same_tree(from, to);
	assert_int_equal(fstatat(to, "sparse", &st, 0), 0);
	/* All but the chunk with something in it. */
	assert_true(st.st_blocks * 512 <= 4 << 20);
	assert_int_equal(fstatat(to, "all-hole", &st, 0), 0);
	assert_int_equal(st.st_blocks, 0);
	store_tree_unref(t);
	close(from);
	close(to);
}

static void xattrs_round_trip(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), to = make_dir(f, "to");
	struct ingest_result res;
	struct store_tree *t;

	write_file(from, "f", "x", 1);
	write_file(from, "locked", "x", 1);
	assert_int_equal(mkdirat(from, "d", 0755), 0);
	if (!set_xattr(from, "f", "user.one", "1", 1))
		skip();
	assert_true(set_xattr(from, "f", "user.empty", "", 0));
	assert_true(set_xattr(from, "d", "user.dir", "a\0b", 3));
	assert_true(set_xattr(from, ".", "user.root", "r", 1));
	assert_true(set_xattr(from, "locked", "user.ro", "r", 1));
	assert_int_equal(fchmodat(from, "locked", 0444, 0), 0);
	res = import_dir(f, from, "k");
	t = open_tree(f, &res.catalog);
	assert_int_equal(export_dir(t, to, &f->self, NULL), 0);
	assert_same_tree(from, to);
	store_tree_unref(t);
	close(from);
	close(to);
}

static void non_empty_target_is_refused(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), to = make_dir(f, "to");
	struct ingest_result res = import_dir(f, from, "k");
	struct store_tree *t = open_tree(f, &res.catalog);

	write_file(to, ".hidden", "", 0);
	assert_int_equal(export_dir(t, to, &f->self, NULL), -ENOTEMPTY);
	store_tree_unref(t);
	close(from);
	close(to);
}

/* Deeper than the kernel takes a path for. */
static void deep_tree_round_trip(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), to = make_dir(f, "to");
	char name[201];
	struct ingest_result res;
	struct store_tree *t;
	unsigned depth;
	int fd = dup(from), next;

	memset(name, 'n', 200);
	name[200] = '\0';
	for (depth = 0; depth < 30; depth++) {
		write_file(fd, "file", name, depth + 1);
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	res = import_dir(f, from, "k");
	assert_int_equal(res.dirs, 31);
	t = open_tree(f, &res.catalog);
	assert_int_equal(export_dir(t, to, &f->self, NULL), 0);
	assert_same_tree(from, to);
	store_tree_unref(t);
	close(from);
	close(to);
}

static int make_tar(struct fixture *f, struct store_tree *t, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(export_tar(t, fd, &f->self, NULL), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* The catalog's digest says that nothing at all was lost or changed. */
static void tar_round_trip_gives_the_same_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup_entry_ struct entry e = make_entry("k2");
	int from = make_dir(f, "from"), tar;
	struct ingest_result first, second;
	struct store_tree *t;

	make_all_types(from);
	set_xattr(from, "small", "user.tar", "value\n\0=", 8);
	set_time(from, "small", 1234567890, 123456789);
	first = import_dir(f, from, "k");
	t = open_tree(f, &first.catalog);
	tar = make_tar(f, t, "tar");
	assert_int_equal(ingest_tar(f->store, tar, "tar", &f->self, NULL, &e,
				    &second),
			 0);
	assert_true(digest_equal(&first.catalog, &second.catalog));
	assert_int_equal(second.new_chunks, 0);
	store_tree_unref(t);
	close(tar);
	close(from);
}

static void tar_is_deterministic(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), a, b;
	struct ingest_result res;
	struct store_tree *t;
	struct stat sa, sb;

	make_all_types(from);
	res = import_dir(f, from, "k");
	t = open_tree(f, &res.catalog);
	a = make_tar(f, t, "a");
	b = make_tar(f, t, "b");
	assert_int_equal(fstat(a, &sa), 0);
	assert_int_equal(fstat(b, &sb), 0);
	assert_int_equal(sa.st_size, sb.st_size);
	close(a);
	close(b);
	a = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	{
		uint8_t *da, *db;
		size_t la, lb;

		assert_int_equal(io_read_file(a, "a", 64 << 20, &da, &la), 0);
		assert_int_equal(io_read_file(a, "b", 64 << 20, &db, &lb), 0);
		assert_int_equal(la, lb);
		assert_int_equal(memcmp(da, db, la), 0);
		/* The holes are no part of it. */
		assert_true(la < 16 << 20);
		free(da);
		free(db);
	}
	store_tree_unref(t);
	close(a);
	close(from);
}

static void tar_to_a_closed_pipe_fails(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), fds[2];
	struct ingest_result res;
	struct store_tree *t;

	write_noise(from, "big", 4u << 20, 1);
	res = import_dir(f, from, "k");
	t = open_tree(f, &res.catalog);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	assert_int_equal(export_tar(t, fds[1], &f->self, NULL), -EPIPE);
	close(fds[1]);
	store_tree_unref(t);
	close(from);
}

static int report_cancel(void *arg, const char *phase, uint64_t done_files,
			 uint64_t all_files, uint64_t done_bytes,
			 uint64_t all_bytes)
{
	(void)arg, (void)phase, (void)done_files, (void)all_files;
	(void)done_bytes, (void)all_bytes;
	return -ECANCELED;
}

static void cancelled_export_stops(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), to = make_dir(f, "to");
	struct progress p = { .report = report_cancel };
	struct progress q = { .report = report_cancel };
	struct ingest_result res;
	struct store_tree *t;
	int tar;

	make_all_types(from);
	res = import_dir(f, from, "k");
	t = open_tree(f, &res.catalog);
	assert_int_equal(export_dir(t, to, &f->self, &p), -ECANCELED);
	tar = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(export_tar(t, tar, &f->self, &q), -ECANCELED);
	close(tar);
	store_tree_unref(t);
	close(from);
	close(to);
}

static void damaged_pack_fails_the_export(void **state)
{
	struct fixture *f = *state;
	int from = make_dir(f, "from"), to = make_dir(f, "to");
	struct ingest_result res;
	struct store_tree *t;
	char pack[700];

	write_noise(from, "f", 100000, 1);
	res = import_dir(f, from, "k");
	assert_int_equal(count_objects(f, "packs", pack, sizeof(pack)), 1);
	flip_byte(pack, 5000);
	t = open_tree(f, &res.catalog);
	assert_int_equal(export_dir(t, to, &f->self, NULL), -EIO);
	store_tree_unref(t);
	close(from);
	close(to);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(directory_round_trip_keeps_everything),
		TEST(xattrs_round_trip),
		TEST(non_empty_target_is_refused),
		TEST(deep_tree_round_trip),
		TEST(tar_round_trip_gives_the_same_catalog),
		TEST(tar_is_deterministic),
		TEST(tar_to_a_closed_pipe_fails),
		TEST(cancelled_export_stops),
		TEST(damaged_pack_fails_the_export),
	};

	/* A write to a closed pipe is to give an error. */
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
