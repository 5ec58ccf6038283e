/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a mount of all entries: what is written is read, what is not
 * whole counts for nothing, and what nobody could have written is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/all_table.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define HEX32 "00112233445566778899aabbccddeeff"
#define HEX64 HEX32 HEX32
#define HEAD "larder-entries 1 " HEX32 " 1\n"

static char dir[] = "/tmp/larder-table.XXXXXX";
static int state_fd = -1;

static int setup(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(state_fd >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(state_fd);
	return io_remove_tree(AT_FDCWD, dir);
}

static struct all_record record(uint32_t number, const char *key)
{
	struct all_record r = { .number = number };

	memset(r.catalog.bytes, (int)number, DIGEST_LEN);
	r.namespace = strdup("default");
	r.name = strdup("web");
	r.key = strdup(key);
	return r;
}

static void add(int fd, uint32_t number, const char *key)
{
	struct all_record r = record(number, key);

	assert_int_equal(all_table_add(fd, &r), 0);
	all_record_release(&r);
}

/* A new file, open for appending. */
static int begin(struct all_table *t)
{
	int fd;

	assert_int_equal(all_table_init(t), 0);
	assert_int_equal(all_table_save(state_fd, t, &fd), 0);
	return fd;
}

static void test_round_trip(void **state)
{
	struct all_table first, t;
	int fd = begin(&first);

	(void)state;
	add(fd, 1, "k1");
	assert_int_equal(all_table_mark(fd, 1, true), 0);
	add(fd, 2, "k2");
	assert_int_equal(all_table_mark(fd, 2, true), 0);
	assert_int_equal(all_table_mark(fd, 2, false), 0);
	close(fd);
	assert_int_equal(all_table_load(state_fd, &t), 0);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.next, 3);
	assert_memory_equal(t.seed, first.seed, ALL_SEED_LEN);
	assert_int_equal(t.records[0].number, 1);
	assert_true(t.records[0].open);
	assert_string_equal(t.records[0].key, "k1");
	assert_string_equal(t.records[0].namespace, "default");
	assert_string_equal(t.records[0].name, "web");
	assert_int_equal(t.records[0].catalog.bytes[31], 1);
	assert_false(t.records[1].open);

	/* Numbers are not given twice, even where their record is dropped. */
	all_record_release(&t.records[--t.count]);
	assert_int_equal(all_table_save(state_fd, &t, &fd), 0);
	close(fd);
	all_table_release(&t);
	assert_int_equal(all_table_load(state_fd, &t), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.next, 3);
	assert_true(t.records[0].open);
	all_table_release(&t);
}

static int note(void *arg, const struct digest *catalog)
{
	unsigned *sum = arg;

	*sum += catalog->bytes[0];
	return 0;
}

static void test_open_ones(void **state)
{
	unsigned sum = 0;
	struct all_table t;
	int fd;

	(void)state;
	assert_int_equal(all_table_each_open(state_fd, note, &sum), 0);
	assert_int_equal(sum, 0);
	fd = begin(&t);
	add(fd, 1, "k1");
	add(fd, 2, "k2");
	add(fd, 4, "k3");
	assert_int_equal(all_table_mark(fd, 1, true), 0);
	assert_int_equal(all_table_mark(fd, 4, true), 0);
	close(fd);
	assert_int_equal(all_table_each_open(state_fd, note, &sum), 0);
	assert_int_equal(sum, 5);
}

static void put_file(const char *text, size_t len)
{
	int fd = openat(state_fd, "entries",
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, text, len), 0);
	close(fd);
}

/* Whatever is missing of the last line, it was not said. */
static void test_torn(void **state)
{
	static const char text[] = HEAD "entry 7 " HEX64
					" default web k1\nopen 7\n";
	const size_t head = strlen(HEAD), all = strlen(text);
	const size_t entry = all - strlen("open 7\n");
	struct all_table t;

	(void)state;
	for (size_t len = head; len <= all; len++) {
		put_file(text, len);
		assert_int_equal(all_table_load(state_fd, &t), 0);
		assert_int_equal(t.count, len >= entry);
		assert_int_equal(t.count && t.records[0].open, len == all);
		all_table_release(&t);
	}
	put_file(text, head - 1);
	assert_int_equal(all_table_load(state_fd, &t), -EBADMSG);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"larder-entries 2 " HEX32 " 1\n",
		"larder-entries 1 " HEX32 " 0\n",
		"larder-entries 1 " HEX32 "\n",
		"larder-entries 1 short 1\n",
		HEAD "entry 0 " HEX64 " default web k1\n",
		HEAD "entry 268435456 " HEX64 " default web k1\n",
		HEAD "entry 1 " HEX64 " default web ../k\n",
		HEAD "entry 1 " HEX64 " .. web k1\n",
		HEAD "entry 1 " HEX64 "  web k1\n",
		HEAD "entry 1 " HEX32 " default web k1\n",
		HEAD "entry 1 " HEX64 " default web k1 more\n",
		HEAD "entry 1 " HEX64 " default web\n",
		HEAD "entry 1 " HEX64 " default web k1\n"
		     "entry 1 " HEX64 " default web k2\n",
		HEAD "open 1\n",
		HEAD "open -1\n",
		HEAD "open 1x\n",
		HEAD "other 1\n",
		HEAD "\n",
	};
	struct all_table t;

	(void)state;
	assert_int_equal(all_table_load(state_fd, &t), -ENOENT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_file(bad[i], strlen(bad[i]));
		assert_int_equal(all_table_load(state_fd, &t), -EBADMSG);
	}
	put_file(HEAD "open\0 1\n", strlen(HEAD) + 8);
	assert_int_equal(all_table_load(state_fd, &t), -EBADMSG);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { TEST(test_round_trip),
					    TEST(test_open_ones),
					    TEST(test_torn),
					    TEST(test_refused) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
