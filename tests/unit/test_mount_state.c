/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.json: what is written is read back, field by field, and what was
 * never written is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount_state.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define ID "0123456789abcdef"

/* --- fixtures --- */

static struct digest digest_filled(uint8_t byte)
{
	struct digest d;

	memset(&d, byte, sizeof(d));
	return d;
}

/* Every field has a value that no other one has. */
static void state_init(struct mount_state *s)
{
	*s = (struct mount_state){
		.id = ID,
		.dir = strdup("/home/\xff\xfe/with \"quotes\"\n"),
		.has_base = true,
		.base = digest_filled(0xA1),
		.has_entry = true,
		.entry = {
			.tenant = strdup("tenant"),
			.namespace = strdup("namespace"),
			.name = strdup("name"),
			.key = strdup("key"),
			.branch = strdup("branch/\xc3\xa4\x80"),
			.creator = strdup("who@\xf0\x9f\x98\x80"),
			.parent = strdup("parent"),
			.parent_catalog = digest_filled(0xB2),
			.catalog = digest_filled(0xC3),
			.files = 11,
			.dirs = 12,
			.bytes = INT64_MAX,
			.new_files = 14,
			.new_bytes = 15,
			.stored_bytes = 16,
			.created_ns = INT64_C(1700000000123456789),
		},
		.read_only = true,
		.suid_dev = true,
		.uid = UINT32_MAX,
		.gid = 18,
		.mounted_ns = INT64_C(1700000001123456789),
		.kept_ns = INT64_C(1700000002123456789),
	};
	assert_non_null(s->dir);
}

static void assert_entry_equal(const struct entry *a, const struct entry *b)
{
	assert_string_equal(a->tenant, b->tenant);
	assert_string_equal(a->namespace, b->namespace);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->key, b->key);
	assert_string_equal(a->branch, b->branch);
	assert_string_equal(a->creator, b->creator);
	assert_string_equal(a->parent, b->parent);
	assert_memory_equal(&a->parent_catalog, &b->parent_catalog,
			    sizeof(a->parent_catalog));
	assert_memory_equal(&a->catalog, &b->catalog, sizeof(a->catalog));
	assert_int_equal(a->parts.count, 0);
	assert_int_equal(b->parts.count, 0);
	assert_true(a->files == b->files);
	assert_true(a->dirs == b->dirs);
	assert_true(a->bytes == b->bytes);
	assert_true(a->new_files == b->new_files);
	assert_true(a->new_bytes == b->new_bytes);
	assert_true(a->stored_bytes == b->stored_bytes);
	assert_true(a->created_ns == b->created_ns);
}

static void assert_state_equal(const struct mount_state *a,
			       const struct mount_state *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->dir, b->dir);
	assert_int_equal(a->has_base, b->has_base);
	if (a->has_base)
		assert_memory_equal(&a->base, &b->base, sizeof(a->base));
	assert_int_equal(a->has_entry, b->has_entry);
	if (a->has_entry)
		assert_entry_equal(&a->entry, &b->entry);
	assert_int_equal(a->read_only, b->read_only);
	assert_int_equal(a->allow_other, b->allow_other);
	assert_int_equal(a->suid_dev, b->suid_dev);
	assert_int_equal(a->stateful_open, b->stateful_open);
	assert_int_equal(a->writeback, b->writeback);
	assert_int_equal(a->over_files, b->over_files);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_true(a->mounted_ns == b->mounted_ns);
	assert_true(a->kept_ns == b->kept_ns);
}

static void assert_round_trip(const struct mount_state *s)
{
	_cleanup_free_ char *text = mount_state_text(s);
	struct mount_state back;

	assert_non_null(text);
	assert_int_equal(mount_state_parse(text, &back), 0);
	assert_state_equal(s, &back);
	mount_state_release(&back);
}

/* --- round trips --- */

static void test_round_trip(void **unused)
{
	struct mount_state s;

	(void)unused;
	state_init(&s);
	assert_round_trip(&s);
	s.read_only = s.suid_dev = false;
	s.allow_other = s.stateful_open = s.over_files = s.writeback = true;
	assert_round_trip(&s);
	mount_state_release(&s);
}

static void test_round_trip_empty(void **unused)
{
	struct mount_state s = { .id = ID, .dir = strdup("/m") };

	(void)unused;
	assert_round_trip(&s);
	/* Committed once: an entry over an empty base. */
	mount_state_release(&s);
	state_init(&s);
	s.has_base = false;
	memset(&s.entry.parent_catalog, 0, sizeof(s.entry.parent_catalog));
	s.entry.parent[0] = s.entry.branch[0] = '\0';
	assert_round_trip(&s);
	mount_state_release(&s);
}

static void test_copy_entry(void **unused)
{
	struct digest d = digest_filled(1);
	struct mount_state s;
	struct entry copy;

	(void)unused;
	state_init(&s);
	assert_int_equal(key_parts_add(&s.entry.parts, "salt", "x", &d), 0);
	assert_int_equal(mount_state_copy_entry(&s.entry, &copy), 0);
	assert_int_equal(s.entry.parts.count, 1);
	key_parts_release(&s.entry.parts);
	memset(&s.entry.parts, 0, sizeof(s.entry.parts));
	assert_entry_equal(&s.entry, &copy);
	entry_release(&copy);
	mount_state_release(&s);
}

static void test_ids_differ(void **unused)
{
	char a[MOUNT_ID_LEN + 1], b[MOUNT_ID_LEN + 1];

	(void)unused;
	assert_int_equal(mount_state_new_id(a), 0);
	assert_int_equal(mount_state_new_id(b), 0);
	assert_int_equal(strspn(a, "0123456789abcdef"), MOUNT_ID_LEN);
	assert_int_equal(a[MOUNT_ID_LEN], '\0');
	assert_string_not_equal(a, b);
}

/* --- what is refused --- */

static json_t *good_json(void)
{
	_cleanup_free_ char *text = NULL;
	struct mount_state s;
	json_t *j;

	state_init(&s);
	text = mount_state_text(&s);
	mount_state_release(&s);
	assert_non_null(text);
	j = json_loads(text, 0, NULL);
	assert_non_null(j);
	return j;
}

static void assert_refused(const json_t *j)
{
	_cleanup_free_ char *text = json_dumps(j, 0);
	struct mount_state s;
	int r = mount_state_parse(text, &s);

	if (r != -EBADMSG)
		fail_msg("%d for %s", r, text);
}

/* What a later version says may mean something else. */
static void test_newer_format(void **unused)
{
	json_t *j = good_json();
	struct mount_state s;
	char *text;

	(void)unused;
	json_object_set_new(j, "format", json_integer(INT64_C(0x100000001)));
	json_object_set_new(j, "dir", json_null());
	text = json_dumps(j, 0);
	assert_int_equal(mount_state_parse(text, &s), -ESTALE);
	free(text);
	json_decref(j);
}

static void test_no_json(void **unused)
{
	static const char *const texts[] = {
		"",
		"{",
		"{}",
		"[]",
		"null",
		"\"text\"",
		"{\"format\":1}",
		"{\"format\":1,\"format\":1}",
		"{\"id\":\"\\u0000\"}",
		"\xff",
	};
	struct mount_state s;

	(void)unused;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(mount_state_parse(texts[i], &s), -EBADMSG);
}

/* Each member in turn: missing, and of each other type. */
static void refuse_members(json_t *whole, json_t *object)
{
	char *names[32]; /* the object's own go with its members */
	const char *name;
	size_t n = 0;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		assert_true(n < 32);
		names[n++] = strdup(name);
	}
	for (size_t i = 0; i < n; i++) {
		json_t *wrong[] = {
			NULL,
			json_object(),
			json_array(),
			json_string("no such value\n/.."),
			json_string(""),
			json_integer(-1),
			json_real(1.5),
			json_null(),
			json_true(),
		};
		json_t *good = json_incref(json_object_get(object, names[i]));

		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			bool right = wrong[k] && (json_typeof(wrong[k]) ==
							  json_typeof(good) ||
						  (json_is_boolean(wrong[k]) &&
						   json_is_boolean(good)));
			bool none = json_is_null(wrong[k]) &&
				    (strcmp(names[i], "base") == 0 ||
				     strcmp(names[i], "entry") == 0);

			if (!wrong[k])
				json_object_del(object, names[i]);
			else
				json_object_set_new(object, names[i], wrong[k]);
			if (!right && !none)
				assert_refused(whole);
		}
		json_object_set_new(object, names[i], good);
		free(names[i]);
	}
}

static void test_members(void **unused)
{
	json_t *j = good_json();

	(void)unused;
	refuse_members(j, j);
	refuse_members(j, json_object_get(j, "entry"));
	json_decref(j);
}

static void refuse_value(const char *in, const char *name, json_t *value)
{
	json_t *j = good_json();

	json_object_set_new(in ? json_object_get(j, in) : j, name, value);
	assert_refused(j);
	json_decref(j);
}

static json_t *long_string(size_t len)
{
	_cleanup_free_ char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	text[0] = '/';
	text[len] = '\0';
	return json_string(text);
}

static void test_values(void **unused)
{
	(void)unused;
	refuse_value(NULL, "format", json_integer(0));
	refuse_value(NULL, "format", json_integer(-1));
	refuse_value(NULL, "id", json_string("0123456789abcde"));
	refuse_value(NULL, "id", json_string("0123456789abcdef0"));
	refuse_value(NULL, "id", json_string("0123456789ABCDEF"));
	refuse_value(NULL, "id", json_string("../../../../../."));
	refuse_value(NULL, "over_files", json_integer(1));
	refuse_value(NULL, "dir", json_string("relative"));
	refuse_value(NULL, "dir", long_string(5000));
	refuse_value(NULL, "uid", json_integer(INT64_C(0x100000000)));
	refuse_value(NULL, "gid", json_integer(-1));
	refuse_value(NULL, "mounted_ns", json_integer(-1));
	refuse_value(NULL, "kept_ns", json_integer(-1));
	refuse_value(NULL, "base", json_string("A1"));
	refuse_value("entry", "catalog", json_string("C3"));
	refuse_value("entry", "parent_catalog", json_string(""));
	refuse_value("entry", "tenant", json_string("../x"));
	refuse_value("entry", "namespace", json_string(""));
	refuse_value("entry", "name", json_string("a/b"));
	refuse_value("entry", "key", long_string(1000));
	refuse_value("entry", "parent", json_string("a b"));
	refuse_value("entry", "branch", json_string("a\nb"));
	refuse_value("entry", "branch", long_string(256));
	refuse_value("entry", "creator", long_string(256));
	refuse_value("entry", "files", json_integer(-1));
	refuse_value("entry", "stored_bytes", json_integer(INT64_MIN));
}

/* --- on disk --- */

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = io_path("%s/mount-state.XXXXXX", tmp ? tmp : "/tmp");

	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	int r = io_remove_tree(AT_FDCWD, *state);

	free(*state);
	return r;
}

static int open_dir(void **state)
{
	int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_create_load(void **state)
{
	_cleanup_close_ int dirfd = open_dir(state), fd = -1;
	struct mount_state s, back;
	int again;

	state_init(&s);
	assert_int_equal(mount_state_create(dirfd, &s, &fd), 0);
	assert_int_equal(mount_state_create(dirfd, &s, &again), -EEXIST);
	assert_int_equal(mount_state_load(dirfd, ID, &back), 0);
	assert_state_equal(&s, &back);
	mount_state_release(&back);

	s.kept_ns = 42;
	assert_int_equal(mount_state_save(dirfd, &s), 0);
	assert_int_equal(mount_state_load(dirfd, ID, &back), 0);
	assert_true(back.kept_ns == 42);
	mount_state_release(&back);
	mount_state_release(&s);

	assert_int_equal(mount_state_load(dirfd, "0000000000000000", &back),
			 -ENOENT);
	assert_true(mount_state_bytes(dirfd, ID) > 0);
	assert_int_equal(mount_state_bytes(dirfd, "0000000000000000"), 0);
}

static size_t count_names(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *de;
	size_t n = 0;

	assert_int_equal(io_opendir_at(dirfd, ".", &dir), 0);
	while ((de = readdir(dir)))
		n += strcmp(de->d_name, ".") && strcmp(de->d_name, "..");
	return n;
}

/* A process of its own creates a directory and gets SIGKILL at `point`. */
static void create_killed(int dirfd, const char *point)
{
	struct mount_state s;
	int status, fd;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("LARDER_FAULT", point, 1);
		state_init(&s);
		mount_state_create(dirfd, &s, &fd);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_create_killed(void **state)
{
	static const char *const points[] = { "publish.open:1:kill",
					      "publish.sync:1:kill",
					      "publish.rename:1:kill" };
	_cleanup_close_ int dirfd = open_dir(state);
	struct mount_state back;

	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		create_killed(dirfd, points[i]);
		assert_int_equal(mount_state_load(dirfd, ID, &back), -ENOENT);
		assert_int_equal(count_names(dirfd), 1);
		assert_int_equal(mount_state_sweep(dirfd), 0);
		assert_int_equal(count_names(dirfd), 0);
	}
}

/* What is whole stays, and so does all that someone is at work on. */
static void test_sweep(void **state)
{
	_cleanup_close_ int dirfd = open_dir(state), fd = -1;
	_cleanup_close_ int other = open_dir(state);
	struct mount_state s;

	state_init(&s);
	assert_int_equal(mount_state_create(dirfd, &s, &fd), 0);
	mount_state_release(&s);
	assert_int_equal(mkdirat(dirfd, ".tmp-0000000000000001", 0700), 0);
	assert_int_equal(flock(other, LOCK_SH), 0);
	assert_int_equal(mount_state_sweep(dirfd), 0);
	assert_int_equal(count_names(dirfd), 2);
	assert_int_equal(flock(other, LOCK_UN), 0);
	assert_int_equal(mount_state_sweep(dirfd), 0);
	assert_int_equal(count_names(dirfd), 1);

	assert_int_equal(mount_state_remove(dirfd, ID), 0);
	assert_int_equal(mount_state_remove(dirfd, ID), 0);
	assert_int_equal(count_names(dirfd), 0);
}

static void put_file(int dirfd, const char *path, const char *data, size_t len)
{
	_cleanup_close_ int fd = openat(
		dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, data, len), 0);
}

/* One directory's state under the name of another, and what goes on behind a
 * NUL. */
static void test_load_hostile(void **state)
{
	_cleanup_close_ int dirfd = open_dir(state), fd = -1;
	_cleanup_free_ char *text = NULL;
	struct mount_state s, back;

	state_init(&s);
	assert_int_equal(mount_state_create(dirfd, &s, &fd), 0);
	text = mount_state_text(&s);
	mount_state_release(&s);
	assert_non_null(text);

	assert_int_equal(mkdirat(dirfd, "0000000000000000", 0700), 0);
	put_file(dirfd, "0000000000000000/mount.json", text, strlen(text));
	assert_int_equal(mount_state_load(dirfd, "0000000000000000", &back),
			 -EBADMSG);
	put_file(dirfd, ID "/mount.json", text, strlen(text) + 1);
	assert_int_equal(mount_state_load(dirfd, ID, &back), -EBADMSG);
	put_file(dirfd, ID "/mount.json", "", 0);
	assert_int_equal(mount_state_load(dirfd, ID, &back), -EBADMSG);

	/* A link in place of the directory is not followed. */
	assert_int_equal(symlinkat(ID, dirfd, "1111111111111111"), 0);
	assert_true(mount_state_load(dirfd, "1111111111111111", &back) < 0);
}

static int count_one(void *arg, const struct mount_state *s)
{
	unsigned *count = arg;

	assert_string_equal(s->id, ID);
	(*count)++;
	return 0;
}

static int refuse_one(void *arg, const struct mount_state *s)
{
	(void)arg;
	(void)s;
	return -ECANCELED;
}

/* Those that cannot be read, and what is no state, are passed over. */
static void test_each(void **state)
{
	_cleanup_close_ int dirfd = open_dir(state), fd = -1;
	struct mount_state s;
	unsigned count = 0;

	state_init(&s);
	assert_int_equal(mount_state_create(dirfd, &s, &fd), 0);
	mount_state_release(&s);
	assert_int_equal(mkdirat(dirfd, "0000000000000000", 0700), 0);
	assert_int_equal(mkdirat(dirfd, "1111111111111111", 0700), 0);
	put_file(dirfd, "1111111111111111/mount.json", "{}", 2);
	assert_int_equal(mkdirat(dirfd, "lost+found", 0700), 0);
	put_file(dirfd, "2222222222222222", "", 0);
	assert_int_equal(mount_state_each(dirfd, count_one, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(mount_state_each(dirfd, refuse_one, NULL), -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: a process reads LARDER_FAULT once. */
		cmocka_unit_test_setup_teardown(test_create_killed, setup,
						teardown),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_empty),
		cmocka_unit_test(test_copy_entry),
		cmocka_unit_test(test_ids_differ),
		cmocka_unit_test(test_newer_format),
		cmocka_unit_test(test_no_json),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_values),
		cmocka_unit_test_setup_teardown(test_create_load, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_hostile, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_each, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
