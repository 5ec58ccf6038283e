/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a mount of all entries: what is written is read, slots are used
 * again and numbers are not, a kill leaves either what was or what was to be,
 * a full disk stops nothing but growing, and what nobody could have written is
 * refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/all_table.h"
#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/io.h"
#include "store/base/le.h"

#define SLOT 512u
#define STEP_BYTES (ALL_SLOT_STEP * SLOT)

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

static struct all_record record(const char *key, uint64_t refs)
{
	struct all_record r = { .refs = refs };

	memset(r.catalog.bytes, (int)refs, DIGEST_LEN);
	r.namespace = strdup("default");
	r.name = strdup("web");
	r.key = strdup(key);
	return r;
}

static struct all_record add(struct all_table *t, const char *key,
			     uint64_t refs)
{
	struct all_record r = record(key, refs);

	assert_int_equal(all_table_add(t, &r), 0);
	return r;
}

/* What is read: the last `max` records, in the order of their slots. */
struct seen {
	struct all_record records[512];
	size_t count;
};

static int keep(void *arg, struct all_record *r)
{
	struct seen *s = arg;

	assert_true(s->count < 512);
	s->records[s->count++] = *r;
	*r = (struct all_record){ .number = 0 };
	return 0;
}

static void load(struct all_table *t, struct seen *s)
{
	s->count = 0;
	assert_int_equal(all_table_open(state_fd, t, keep, s), 0);
}

static void seen_release(struct seen *s)
{
	for (size_t i = 0; i < s->count; i++)
		all_record_release(&s->records[i]);
	s->count = 0;
}

static off_t file_size(void)
{
	struct stat st;

	assert_int_equal(fstatat(state_fd, "entries", &st, 0), 0);
	return st.st_size;
}

static void test_round_trip(void **state)
{
	_cleanup_all_record_ struct all_record one = { 0 }, two = { 0 };
	struct all_table first, t;
	struct seen s;

	(void)state;
	assert_int_equal(all_table_create(state_fd, &first), 0);
	one = add(&first, "k1", 0);
	two = add(&first, "k2", 2);
	assert_int_equal(one.number, 1);
	assert_int_equal(two.number, 2);
	one.refs = 5;
	assert_int_equal(all_table_set_refs(&first, &one), 0);
	all_table_close(&first);
	load(&t, &s);
	assert_int_equal(s.count, 2);
	assert_int_equal(t.next, 3);
	assert_memory_equal(t.seed, first.seed, ALL_SEED_LEN);
	assert_int_equal(s.records[0].number, 1);
	assert_int_equal(s.records[0].refs, 5);
	assert_string_equal(s.records[0].key, "k1");
	assert_string_equal(s.records[0].namespace, "default");
	assert_string_equal(s.records[0].name, "web");
	assert_int_equal(s.records[1].catalog.bytes[31], 2);

	/* The slot is used again, the number is not. */
	assert_int_equal(all_table_remove(&t, &s.records[1]), 0);
	seen_release(&s);
	all_table_close(&t);
	load(&t, &s);
	assert_int_equal(s.count, 1);
	all_record_release(&two);
	two = add(&t, "k3", 0);
	assert_int_equal(two.number, 3);
	assert_int_equal(two.slot, 2);
	seen_release(&s);
	all_table_close(&t);
}

static void flip(uint64_t off)
{
	_cleanup_close_ int fd =
		openat(state_fd, "entries", O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(io_pread(fd, &byte, 1, off), 0);
	byte ^= 0x24;
	assert_int_equal(io_pwrite(fd, &byte, 1, off), 0);
}

static int note(void *arg, const struct digest *catalog)
{
	unsigned *sum = arg;

	*sum += catalog->bytes[0];
	return 0;
}

static void test_held_ones(void **state)
{
	_cleanup_all_record_ struct all_record one = { 0 }, two = { 0 },
					       three = { 0 };
	_cleanup_all_table_ struct all_table t = { .fd = -1 };
	unsigned sum = 0;

	(void)state;
	assert_int_equal(all_table_each_held(state_fd, note, &sum), 0);
	assert_int_equal(sum, 0);
	assert_int_equal(all_table_create(state_fd, &t), 0);
	one = add(&t, "k1", 1);
	two = add(&t, "k2", 2);
	three = add(&t, "k3", 4);
	two.refs = 0;
	assert_int_equal(all_table_set_refs(&t, &two), 0);
	assert_int_equal(all_table_each_held(state_fd, note, &sum), 0);
	assert_int_equal(sum, 5);
	/* One that is damaged is said, and does not hide the others. */
	flip(SLOT + 100);
	sum = 0;
	assert_int_equal(all_table_each_held(state_fd, note, &sum), -EBADMSG);
	assert_int_equal(sum, 4);
}

/* However many have come and gone, the file is as large as what is there. */
static void test_bounded(void **state)
{
	_cleanup_all_table_ struct all_table t = { .fd = -1 };
	struct all_record kept[300] = { { 0 } };
	char key[16];

	(void)state;
	assert_int_equal(all_table_create(state_fd, &t), 0);
	for (unsigned n = 0; n < 20000; n++) {
		struct all_record *r = &kept[n % 300];

		if (r->number)
			assert_int_equal(all_table_remove(&t, r), 0);
		all_record_release(r);
		snprintf(key, sizeof(key), "k%u", n);
		*r = add(&t, key, 1);
		assert_int_equal(r->number, n + 1);
		assert_true(file_size() <= 5 * STEP_BYTES);
	}
	for (unsigned n = 0; n < 300; n++) {
		assert_int_equal(all_table_remove(&t, &kept[n]), 0);
		all_record_release(&kept[n]);
	}
	assert_true(file_size() <= 2 * STEP_BYTES);
	kept[0] = add(&t, "last", 1);
	assert_int_equal(kept[0].number, 20001);
	all_record_release(&kept[0]);
}

/* What is there can be changed, and adopted, where nothing can be allocated. */
static void test_full_disk(void **state)
{
	struct rlimit was, tight;
	struct all_table t;
	struct all_record r[ALL_SLOT_STEP];
	struct seen s;

	(void)state;
	assert_int_equal(all_table_create(state_fd, &t), 0);
	for (unsigned n = 1; n < ALL_SLOT_STEP; n++)
		r[n] = add(&t, "k", 1);
	/* As a full disk, this lets no file grow. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	tight = was;
	tight.rlim_cur = (rlim_t)file_size();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	r[0] = record("one-more", 1);
	assert_int_equal(all_table_add(&t, &r[0]), -EFBIG);
	r[1].refs = 7;
	assert_int_equal(all_table_set_refs(&t, &r[1]), 0);
	all_table_close(&t);
	load(&t, &s);
	assert_int_equal(s.count, ALL_SLOT_STEP - 1);
	assert_int_equal(s.records[0].refs, 7);
	assert_int_equal(all_table_remove(&t, &r[9]), 0);
	assert_int_equal(all_table_add(&t, &r[0]), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	for (unsigned n = 0; n < ALL_SLOT_STEP; n++)
		all_record_release(&r[n]);
	seen_release(&s);
	all_table_close(&t);
}

/* --- a kill at any moment --- */

/* What the child is about to do, shared with the parent. */
struct intent {
	uint64_t rounds;
	uint32_t last; /* number that was given */
	struct {
		uint32_t number; /* 0: none */
		uint64_t before, after;
	} slots[64];
};

static _Noreturn void change_for_ever(struct intent *in)
{
	struct all_record r[64] = { { 0 } };
	struct all_table t;

	if (all_table_create(state_fd, &t) < 0)
		_exit(1);
	for (uint32_t n = 1;; n++) {
		unsigned i = (n * 2654435761u >> 8) % 64;

		if (!r[i].number) {
			r[i] = record("key", n);
			in->slots[i].before = in->slots[i].after = n;
			if (all_table_add(&t, &r[i]) < 0)
				_exit(1);
			in->slots[i].number = r[i].number;
			in->last = r[i].number;
		} else if (n % 5 == 0) {
			in->slots[i].number = 0;
			if (all_table_remove(&t, &r[i]) < 0)
				_exit(1);
			all_record_release(&r[i]);
		} else {
			in->slots[i].before = r[i].refs;
			in->slots[i].after = r[i].refs = n;
			if (all_table_set_refs(&t, &r[i]) < 0)
				_exit(1);
		}
		in->rounds++;
	}
}

/* All that was there is, and of what was being changed, one of the two. */
static void check_intent(const struct intent *in)
{
	struct all_table t;
	struct seen s;
	unsigned found = 0, there = 0;

	load(&t, &s);
	assert_true(t.next > in->last);
	for (unsigned i = 0; i < 64; i++) {
		there += in->slots[i].number != 0;
		for (size_t n = 0; n < s.count; n++) {
			if (s.records[n].number != in->slots[i].number)
				continue;
			found++;
			assert_true(s.records[n].refs == in->slots[i].before ||
				    s.records[n].refs == in->slots[i].after);
		}
	}
	assert_int_equal(found, there);
	/* One may be on its way in, or out. */
	assert_true(s.count <= there + 1);
	seen_release(&s);
	all_table_close(&t);
}

static void test_kills(void **state)
{
	struct intent *in = mmap(NULL, sizeof(*in), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	(void)state;
	assert_true(in != MAP_FAILED);
	for (unsigned round = 0; round < 40; round++) {
		pid_t pid;

		memset(in, 0, sizeof(*in));
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			change_for_ever(in);
		while (__atomic_load_n(&in->rounds, __ATOMIC_RELAXED) <
		       100 + round * 37)
			usleep(10);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		check_intent(in);
	}
	munmap(in, sizeof(*in));
}

/* --- what nobody could have written --- */

static int ignore(void *arg, struct all_record *r)
{
	(void)arg;
	(void)r;
	return 0;
}

static int try_open(void)
{
	struct all_table t;
	int r = all_table_open(state_fd, &t, ignore, NULL);

	if (r == 0)
		all_table_close(&t);
	return r;
}

/* A file with two records, made anew. */
static void make_file(void)
{
	_cleanup_all_record_ struct all_record one = { 0 }, two = { 0 };
	_cleanup_all_table_ struct all_table t = { .fd = -1 };

	assert_int_equal(all_table_create(state_fd, &t), 0);
	one = add(&t, "k1", 1);
	two = add(&t, "k2", 1);
}

/* With a checksum that is right, so that what is checked is what is said. */
static void poke_slot(unsigned slot, unsigned at, const void *bytes, size_t len)
{
	_cleanup_close_ int fd =
		openat(state_fd, "entries", O_RDWR | O_CLOEXEC);
	uint8_t b[SLOT];

	assert_int_equal(io_pread(fd, b, SLOT, slot * SLOT), 0);
	memcpy(b + at, bytes, len);
	le32_put(b + 8, crc32c(0, b + 12, SLOT - 12));
	assert_int_equal(io_pwrite(fd, b, SLOT, slot * SLOT), 0);
}

static void test_refused(void **state)
{
	static const struct {
		unsigned at, len;
		const char *bytes;
	} bad[] = {
		{ 7, 1, "\x80" },	 /* references */
		{ 12, 4, "\x02\0\0\0" }, /* the other one's number */
		{ 12, 4, "\x03\0\0\0" }, /* one that was not given */
		{ 12, 4, "\0\0\0\x10" }, /* one that cannot be */
		{ 48, 2, "\xff\xff" },	 /* a name without an end */
		{ 48, 2, "\0\0" },	 /* none */
		{ 50, 2, ".." },	 /* one that is none */
		{ 50, 1, "/" },
	};

	(void)state;
	assert_int_equal(try_open(), -ENOENT);
	make_file();
	assert_int_equal(try_open(), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_file();
		poke_slot(1, bad[i].at, bad[i].bytes, bad[i].len);
		assert_int_equal(try_open(), -EBADMSG);
	}
	/* Any bit of a record but for its references, and of the head. */
	for (unsigned at = 8; at < SLOT; at += 7) {
		make_file();
		flip(SLOT + at);
		assert_int_equal(try_open(), -EBADMSG);
	}
	for (unsigned at = 0; at < 32; at++) {
		make_file();
		flip(at);
		assert_int_equal(try_open(), -EBADMSG);
	}
}

static void test_cut_off(void **state)
{
	const size_t lens[] = { 0, 1, 31, 32, SLOT - 1 };
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/entries", dir);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		make_file();
		assert_int_equal(truncate(path, (off_t)lens[i]), 0);
		assert_int_equal(try_open(), -EBADMSG);
	}
	make_file();
	assert_int_equal(truncate(path, 2 * SLOT + 9), 0);
	assert_int_equal(try_open(), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip), TEST(test_held_ones), TEST(test_bounded),
		TEST(test_full_disk),  TEST(test_kills),     TEST(test_refused),
		TEST(test_cut_off),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
