/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is lost with a damaged log is named: each byte of the log, and of a
 * checkpoint, is changed in turn, and whatever the view does not show then as
 * it was before is among the paths that are said to be lost, unless the
 * damaged record itself was about it.
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
#include <unistd.h>

#include "fs/upper_loss.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "view_fixture.h"

#define SEGMENT "log-00000001"
#define SECOND "log-00000002"

static struct fixture fx;
static const struct tree_ops *const ops = &fixture_ops;

static void put(const char *path, const char *text)
{
	assert_int_equal(fixture_write(&fx, path, text), 0);
}

static bool is_lost(const char *path)
{
	const struct upper_loss *loss = view_loss(fx.view);

	for (size_t k = 0; loss && k < loss->npaths; k++)
		if (strcmp(loss->paths[k], path) == 0)
			return true;
	return false;
}

static void assert_sorted(const struct upper_loss *loss)
{
	for (size_t k = 1; k < loss->npaths; k++)
		assert_true(strcmp(loss->paths[k - 1], loss->paths[k]) < 0);
}

static uint64_t size_of(const char *name)
{
	off_t size;
	int fd = openat(fx.state, name, O_RDONLY);

	assert_true(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	close(fd);
	return (uint64_t)size;
}

static void put_bytes(const char *name, const uint8_t *bytes, size_t len)
{
	int fd = openat(fx.state, name, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, 0), len);
	close(fd);
}

/* Opens the view with the byte changed. Afterwards the file is as it was, also
 * where what was changed was cut off. */
static void reopen_flipped(const char *name, uint64_t at)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t len;

	fixture_view_close(&fx);
	assert_int_equal(io_read_file(fx.state, name, 1u << 24, &bytes, &len),
			 0);
	bytes[at] ^= 0x10;
	put_bytes(name, bytes, len);
	fixture_view_open(&fx);
	bytes[at] ^= 0x10;
	put_bytes(name, bytes, len);
}

/* --- by hand --- */

static void test_each_kind_of_change(void **state)
{
	const struct upper_loss *loss;
	uint64_t at;

	(void)state;
	put("kept", "kept");
	at = size_of(SEGMENT);
	put("damaged", "damaged");
	put("a", "content of a base file");
	assert_int_equal(fixture_mkdir(&fx, "new"), 0);
	assert_int_equal(fixture_mkdir(&fx, "new/below"), 0);
	put("new/below/file", "x");
	put("kept", "and then more");
	assert_int_equal(ops->unlink(&fx, "b"), 0);
	assert_int_equal(ops->rename(&fx, "dir", "moved", 0), 0);
	assert_int_equal(ops->chmod(&fx, "suid", 0700), 0);
	reopen_flipped(SEGMENT, at + 4);
	assert_true(fx.damaged);
	loss = view_loss(fx.view);
	assert_non_null(loss);
	assert_int_equal(loss->damage.segment, 1);
	assert_int_equal(loss->damage.off, at);
	assert_true(loss->damage.changes >= 10);
	assert_false(loss->more);
	assert_sorted(loss);
	assert_true(is_lost("a"));
	assert_true(is_lost("b"));
	assert_true(is_lost("dir"));
	assert_true(is_lost("moved"));
	assert_true(is_lost("new"));
	assert_true(is_lost("new/below"));
	assert_true(is_lost("new/below/file"));
	assert_true(is_lost("kept"));
	assert_true(is_lost("suid"));
	assert_int_equal(loss->npaths, 9);
	fixture_assert_content(&fx, "kept", "kept");
}

static void test_nothing_is_lost(void **state)
{
	(void)state;
	put("x", "x");
	fixture_reopen(&fx);
	assert_false(fx.damaged);
	assert_null(view_loss(fx.view));
}

static void test_more_than_are_listed(void **state)
{
	const struct upper_loss *loss;
	char name[16];
	uint64_t at;

	(void)state;
	put("first", "x");
	at = size_of(SEGMENT);
	for (unsigned i = 0; i < 3 * UPPER_LOSS_PATHS; i++) {
		snprintf(name, sizeof(name), "file%03u", i);
		assert_int_equal(ops->create(&fx, name, 0600), 0);
	}
	reopen_flipped(SEGMENT, at);
	loss = view_loss(fx.view);
	assert_non_null(loss);
	assert_int_equal(loss->npaths, UPPER_LOSS_PATHS);
	assert_true(loss->more);
	assert_sorted(loss);
	assert_int_equal(loss->damage.changes, 3 * UPPER_LOSS_PATHS - 1);
}

/* --- every byte --- */

#define FILES 6

static const char *name_of(unsigned n)
{
	static char name[16];

	snprintf(name, sizeof(name), "f%u", n);
	return name;
}

static bool is_right(unsigned n)
{
	struct view_attr a;
	char got[8] = "";
	uint64_t ino = fixture_ino(&fx, name_of(n));

	if (!ino)
		return false;
	fixture_attr(&fx, name_of(n), &a);
	return view_read(fx.view, ino, got, 3, 0) == 3 && got[0] == 'c' &&
	       a.mode == (S_IFREG | 0640);
}

/* At most one file is wrong and not named: the one of the damaged record. */
static void assert_named(void)
{
	unsigned n, unnamed = 0;

	for (n = 0; n < FILES; n++)
		if (!is_right(n) && !is_lost(name_of(n)))
			unnamed++;
	assert_true(unnamed <= 1);
	if (!fx.damaged)
		assert_null(view_loss(fx.view));
}

static void make_files(void)
{
	unsigned n;

	for (n = 0; n < FILES; n++) {
		put(name_of(n), "c..");
		assert_int_equal(ops->chmod(&fx, name_of(n), 0640), 0);
	}
}

static void test_every_byte_of_a_log(void **state)
{
	uint64_t at, size;

	(void)state;
	make_files();
	size = size_of(SEGMENT);
	/* The header is what all records need. */
	for (at = 48; at < size; at++) {
		reopen_flipped(SEGMENT, at);
		assert_named();
	}
}

/* Enough files for a checkpoint of several records when the view is closed. */
#define MANY 6000u

static void test_damaged_checkpoint(void **state)
{
	const struct upper_loss *loss;
	uint64_t at, size;
	char name[16];

	(void)state;
	for (unsigned n = 0; n < MANY; n++) {
		snprintf(name, sizeof(name), "f%04u", n);
		assert_int_equal(ops->create(&fx, name, 0600), 0);
	}
	fixture_reopen(&fx);
	put("later", "x");
	size = size_of("checkpoint");
	for (at = 48; at < size; at += size / 23) {
		reopen_flipped("checkpoint", at);
		assert_true(fx.damaged);
		loss = view_loss(fx.view);
		assert_non_null(loss);
		assert_int_equal(loss->damage.segment, 0);
		assert_true(loss->damage.off <= at);
		assert_int_equal(loss->damage.changes, 2);
		assert_sorted(loss);
		assert_true(loss->npaths > 0);
		/* Names come last in it: most are lost, or the last of them. */
		if (at < size / 2) {
			assert_int_equal(loss->npaths, UPPER_LOSS_PATHS);
			assert_true(loss->more);
		}
	}
	/* Nothing in it can be read without its header; what is behind can. */
	reopen_flipped("checkpoint", 40);
	loss = view_loss(fx.view);
	assert_non_null(loss);
	assert_true(is_lost("later"));
}

#define BASE(f) FIXTURE_TEST(f, fixture_setup_base, &fx)
#define EMPTY(f) FIXTURE_TEST(f, fixture_setup_empty, &fx)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BASE(test_each_kind_of_change),
		BASE(test_nothing_is_lost),
		EMPTY(test_more_than_are_listed),
		EMPTY(test_every_byte_of_a_log),
		EMPTY(test_damaged_checkpoint),
	};

	/* Each of thousands would say what it lost. */
	log_set_level((enum log_level)0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
