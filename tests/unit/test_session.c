/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session on a real mount: what the kernel asks and what it does not, and
 * that each operation arrives as it was meant. A child process serves a view;
 * the test itself is the client, and asks the child for its request counts
 * over a socket. Where FUSE cannot be used the tests are skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/session.h"
#include "fs/supervisor_mount.h"
#include "fs/supervisor_msg.h"
#include "store/base/io.h"

#define MIB (1u << 20)
#define NOBODY 65534
#define OPCODES_MAX 64

/* --- the server process --- */

struct count {
	char opcode[24];
	uint64_t count;
};

enum command {
	COUNTS = 'c', /* answers with an array of struct count */
	HIDDEN = 'h', /* makes a name behind the kernel's back */
	SHOW = 's',   /* says so to the kernel */
	OWN = 'o',    /* the server uses its own mount: answers errno */
	WAIT = 'w',   /* answers 0 once the kernel has ended the connection */
	STOP = 'q',   /* ends without unmounting */
};

struct serve_options {
	bool stateful_open, adopt;
	bool die_at_init; /* with INIT saved and not answered */
};

struct server {
	int control;
	const char *mnt;
	const struct serve_options *with;
	struct view *view;
	struct session *session;
	struct count counts[OPCODES_MAX];
	unsigned ncounts;
	/* In memory shared with the test: */
	struct saved_init {
		size_t len;
		uint8_t bytes[SESSION_INIT_MAX];
	} * init;
};

static void add_count(void *arg, const char *opcode, uint64_t count)
{
	struct server *s = arg;
	struct count *c = &s->counts[s->ncounts++];

	snprintf(c->opcode, sizeof(c->opcode), "%s", opcode);
	c->count = count;
}

static void save_init(void *arg, const void *init, size_t len)
{
	struct server *s = arg;

	memcpy(s->init->bytes, init, len);
	s->init->len = len;
	if (s->with->die_at_init)
		raise(SIGKILL);
}

static int32_t server_make_hidden(struct server *s)
{
	struct view_cred cred = { .uid = 0 };
	struct view_attr attr;

	return view_mknod(s->view, VIEW_ROOT, "hidden", 6, S_IFREG | 0644, 0,
			  &cred, &attr);
}

static int32_t server_use_own(struct server *s)
{
	char *path = io_path("%s/nothing-of-that-name", s->mnt);
	struct stat st;
	int r = stat(path, &st);

	free(path);
	return r < 0 ? -errno : 0;
}

/* False at the end. */
static bool server_command(struct server *s)
{
	char command = STOP;
	int32_t r = 0;

	if (recv(s->control, &command, 1, 0) <= 0 || command == STOP)
		return false;
	if (command == COUNTS) {
		s->ncounts = 0;
		session_requests(s->session, add_count, s);
		send(s->control, s->counts, s->ncounts * sizeof(s->counts[0]),
		     0);
		return true;
	}
	if (command == HIDDEN)
		r = server_make_hidden(s);
	else if (command == SHOW)
		session_invalidate(s->session, VIEW_ROOT, "hidden", 6);
	else if (command == WAIT)
		session_join(s->session);
	else
		r = server_use_own(s);
	send(s->control, &r, sizeof(r), 0);
	return true;
}

/* The exit status: 0 where the kernel ended the connection, 3 where the
 * test asked to stop. */
static int serve(struct server *s, int fd, const char *state_dir)
{
	const struct serve_options *with = s->with;
	struct session_options so = {
		.stateful_open = with->stateful_open,
		.save_init = save_init,
		.arg = s,
	};
	struct view_options vo = {
		.uid = getuid(),
		.gid = getgid(),
		.dirfd = open(state_dir, O_RDONLY | O_DIRECTORY),
	};
	struct fetch *fetch;
	bool damaged, ended;

	if (with->adopt) {
		so.init = s->init->bytes;
		so.init_len = s->init->len;
	}
	if (fetch_new(MIB, &fetch) < 0 ||
	    view_open(NULL, fetch, &vo, &s->view, &damaged) < 0 || damaged ||
	    session_start(fd, s->view, &so, &s->session) < 0)
		return 1;
	while (server_command(s))
		;
	session_stop(s->session);
	session_join(s->session);
	ended = session_ended(s->session);
	session_free(s->session);
	view_close(s->view);
	fetch_free(fetch);
	close(vo.dirfd);
	return ended ? 0 : 3;
}

/* --- the client --- */

struct mount_fixture {
	char dir[64], mnt[PATH_MAX], state[PATH_MAX];
	char path[PATH_MAX], dev[64]; /* of the mount, for its unmount */
	int fd;			      /* kept so that a server can follow */
	int control;
	pid_t server;
	struct saved_init *init;
};

/* Mounts or unmounts; 0 or the errno of the job. */
static int run_job(struct mount_fixture *f, const struct mount_job *job)
{
	json_t *answer = NULL;
	char *text;
	int sock, r, fd = -1;
	pid_t pid;

	assert_int_equal(mount_job_start(job, &pid, &sock), 0);
	assert_int_equal(supervisor_msg_receive(sock, 0, &answer, &fd), 1);
	waitpid(pid, NULL, 0);
	close(sock);
	r = json_integer_value(json_object_get(answer, "result"));
	if (r == 0 && job->fsname) {
		text = supervisor_msg_get_bytes(answer, "path");
		snprintf(f->path, sizeof(f->path), "%s", text);
		free(text);
		text = supervisor_msg_get_bytes(answer, "dev");
		snprintf(f->dev, sizeof(f->dev), "%s", text);
		free(text);
		f->fd = fd;
	}
	json_decref(answer);
	return r;
}

static int do_umount(struct mount_fixture *f, bool lazy)
{
	struct mount_job job = { .dir = f->path, .dev = f->dev, .lazy = lazy };

	return run_job(f, &job);
}

static void start_server(struct mount_fixture *f,
			 const struct serve_options *with)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	f->server = fork();
	assert_true(f->server >= 0);
	if (f->server == 0) {
		struct server s = { .control = fds[1],
				    .mnt = f->mnt,
				    .with = with,
				    .init = f->init };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		exit(serve(&s, f->fd, f->state));
	}
	close(fds[1]);
	f->control = fds[0];
}

static void command(struct mount_fixture *f, char what)
{
	assert_int_equal(send(f->control, &what, 1, 0), 1);
}

static int ask(struct mount_fixture *f, char what)
{
	int32_t r;

	command(f, what);
	assert_int_equal(recv(f->control, &r, sizeof(r), 0), sizeof(r));
	return r;
}

/* How often the kernel asked `opcode`; NULL: anything. */
static uint64_t requests(struct mount_fixture *f, const char *opcode)
{
	struct count counts[OPCODES_MAX];
	uint64_t sum = 0;
	ssize_t n;
	size_t i;

	command(f, COUNTS);
	n = recv(f->control, counts, sizeof(counts), 0);
	assert_true(n >= 0);
	for (i = 0; i < n / sizeof(counts[0]); i++)
		if (!opcode || strcmp(counts[i].opcode, opcode) == 0)
			sum += counts[i].count;
	return sum;
}

static int stop_server(struct mount_fixture *f)
{
	int status;

	close(f->control);
	assert_int_equal(waitpid(f->server, &status, 0), f->server);
	f->server = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int setup_with(void **state, const struct serve_options *with)
{
	struct mount_fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	struct mount_job job = { .fsname = "larder:test,\\x" };

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%.40s/larder-ses-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	snprintf(f->mnt, sizeof(f->mnt), "%s/mnt", f->dir);
	snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	assert_int_equal(mkdir(f->mnt, 0755), 0);
	assert_int_equal(mkdir(f->state, 0700), 0);
	f->init = mmap(NULL, sizeof(*f->init), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(f->init != MAP_FAILED);
	*state = f;
	job.dir = f->mnt;
	job.allow_other = getuid() == 0;
	if (run_job(f, &job) < 0)
		return 0; /* require_mount() skips */
	start_server(f, with);
	return 0;
}

static int setup(void **state)
{
	static const struct serve_options plain;

	return setup_with(state, &plain);
}

static int setup_dying(void **state)
{
	static const struct serve_options with = { .die_at_init = true };

	return setup_with(state, &with);
}

static int setup_stateful(void **state)
{
	static const struct serve_options with = { .stateful_open = true };

	return setup_with(state, &with);
}

static int teardown(void **state)
{
	struct mount_fixture *f = *state;
	int r = 0;

	if (f->path[0]) {
		close(f->fd);
		r = do_umount(f, true);
		if (f->server)
			stop_server(f);
	}
	munmap(f->init, sizeof(*f->init));
	if (r == 0)
		r = io_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return r;
}

/* Goes to the mount. */
static struct mount_fixture *require_mount(void **state)
{
	struct mount_fixture *f = *state;

	if (!f->path[0])
		skip();
	assert_int_equal(chdir(f->mnt), 0);
	return f;
}

/* Leaves it, so that it can be unmounted. */
static void leave(void)
{
	assert_int_equal(chdir("/"), 0);
}

static int make_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, data, len), 0);
	return fd;
}

static void assert_content(const char *path, const void *data, size_t len)
{
	uint8_t *got;
	size_t got_len;

	assert_int_equal(io_read_file(AT_FDCWD, path, 8 * MIB, &got, &got_len),
			 0);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, data, len);
	free(got);
}

/* --- what the kernel caches --- */

/* In requests of a MiB, where the mount may ask for them. */
static void test_reads_ahead(void **state)
{
	enum { MIBS = 8 };
	struct mount_fixture *f = require_mount(state);
	char *path = io_path("/sys/class/bdi/%s/read_ahead_kb", f->dev);
	uint8_t *data = calloc(MIBS, MIB);
	bool allowed = geteuid() == 0 && access(path, W_OK) == 0;
	uint64_t before;
	int fd;

	assert_non_null(data);
	fd = make_file("large", data, (size_t)MIBS * MIB);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
	before = requests(f, "READ");
	assert_content("large", data, (size_t)MIBS * MIB);
	assert_in_range(requests(f, "READ") - before, MIBS,
			allowed ? 3 * MIBS : 16 * MIBS);
	free(data);
	free(path);
	leave();
}

static void make_tree(void)
{
	char path[64];
	unsigned i, j;

	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "d%u", i);
		assert_int_equal(mkdir(path, 0755), 0);
		for (j = 0; j < 20; j++) {
			snprintf(path, sizeof(path), "d%u/f%u", i, j);
			close(make_file(path, path, strlen(path)));
		}
		snprintf(path, sizeof(path), "d%u/link", i);
		assert_int_equal(symlink("f0", path), 0);
	}
}

static unsigned walk_names(const char *path, DIR *dir, bool read)
{
	char name[512], target[64];
	struct dirent *de;
	unsigned seen = 0;
	struct stat st;

	while ((de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, de->d_name);
		assert_int_equal(lstat(name, &st), 0);
		assert_int_equal(st.st_ino, de->d_ino);
		seen++;
		if (S_ISLNK(st.st_mode)) {
			assert_int_equal(readlink(name, target, 64), 2);
		} else if (S_ISDIR(st.st_mode)) {
			DIR *sub = opendir(name);

			assert_non_null(sub);
			seen += walk_names(name, sub, read);
			closedir(sub);
		} else if (read) {
			assert_content(name, name + 2, strlen(name + 2));
		}
	}
	return seen;
}

static unsigned walk(bool read)
{
	DIR *dir = opendir(".");
	unsigned seen;

	assert_non_null(dir);
	seen = walk_names(".", dir, read);
	closedir(dir);
	return seen;
}

/* The first walk reads the directories and the links, for which a writable
 * mount makes the kernel forget their access times; the second asks for these
 * alone. */
static void test_warm_walk_asks_nothing(void **state)
{
	struct mount_fixture *f = require_mount(state);
	uint64_t before, attrs;

	make_tree();
	assert_int_equal(walk(false), 5 * 22);
	before = requests(f, NULL);
	attrs = requests(f, "GETATTR");
	assert_int_equal(walk(false), 5 * 22);
	attrs = requests(f, "GETATTR") - attrs;
	assert_int_equal(requests(f, NULL) - before, attrs);
	before = requests(f, NULL);
	assert_int_equal(walk(false), 5 * 22);
	assert_int_equal(requests(f, NULL), before);
	leave();
}

/* On a read-only mount the second pass over everything is free. */
static void test_read_only_warm_asks_nothing(void **state)
{
	struct mount_fixture *f = require_mount(state);
	uint64_t before;

	if (getuid() != 0) {
		leave();
		skip();
	}
	make_tree();
	assert_int_equal(
		mount(NULL, f->mnt, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(walk(true), 5 * 22);
	before = requests(f, NULL);
	assert_int_equal(walk(true), 5 * 22);
	assert_int_equal(requests(f, NULL), before);
	leave();
}

/* Opening and reading files that were read before asks for nothing but the
 * access time, which a writable mount makes the kernel forget. */
static void test_warm_read_reads_nothing(void **state)
{
	struct mount_fixture *f = require_mount(state);
	uint64_t before, attrs;

	make_tree();
	walk(true);
	walk(true);
	before = requests(f, NULL);
	attrs = requests(f, "GETATTR");
	walk(true);
	attrs = requests(f, "GETATTR") - attrs;
	assert_int_equal(requests(f, NULL) - before, attrs);
	assert_true(attrs <= 100);
	leave();
}

static void test_open_asks_once(void **state)
{
	struct mount_fixture *f = require_mount(state);
	unsigned i;

	close(make_file("a", "1", 1));
	for (i = 0; i < 50; i++) {
		assert_content("a", "1", 1);
		assert_int_equal(walk(false), 1);
	}
	assert_int_equal(requests(f, "OPEN"), 1);
	assert_int_equal(requests(f, "OPENDIR"), 1);
	assert_int_equal(requests(f, "FLUSH"), 1);
	leave();
}

static void test_stateful_open_asks_each_time(void **state)
{
	struct mount_fixture *f = require_mount(state);
	unsigned i;

	close(make_file("a", "1", 1));
	for (i = 0; i < 50; i++)
		assert_content("a", "1", 1);
	assert_int_equal(requests(f, "OPEN"), 50);
	assert_true(requests(f, "READ") <= 1);
	leave();
}

static void test_missing_name_is_cached(void **state)
{
	struct mount_fixture *f = require_mount(state);
	uint64_t before = requests(f, "LOOKUP");
	struct stat st;
	unsigned i;

	for (i = 0; i < 10; i++) {
		assert_int_equal(stat("missing", &st), -1);
		assert_int_equal(errno, ENOENT);
	}
	assert_int_equal(requests(f, "LOOKUP"), before + 1);
	close(make_file("missing", "x", 1));
	assert_int_equal(stat("missing", &st), 0);
	leave();
}

static void test_long_listing(void **state)
{
	enum { NAMES = 5000 };
	struct mount_fixture *f = require_mount(state);
	unsigned char seen[NAMES] = { 0 };
	struct dirent *de;
	char name[16];
	struct stat st;
	unsigned i, n;
	uint64_t before;
	DIR *dir;

	for (i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(mknod(name, S_IFREG | 0600, 0), 0);
	}
	dir = opendir(".");
	assert_non_null(dir);
	while ((de = readdir(dir)))
		if (sscanf(de->d_name, "n%u", &n) == 1 && n < NAMES)
			seen[n]++;
	closedir(dir);
	before = requests(f, NULL);
	for (i = 0; i < NAMES; i++) {
		assert_int_equal(seen[i], 1);
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(stat(name, &st), 0);
	}
	assert_int_equal(requests(f, NULL), before);
	leave();
}

/* --- writing --- */

static void test_large_writes_arrive_whole(void **state)
{
	struct mount_fixture *f = require_mount(state);
	uint8_t *data = malloc(4 * MIB);
	uint64_t before;
	int fd = make_file("big", "", 0);
	unsigned i;

	assert_non_null(data);
	for (i = 0; i < 4 * MIB; i++)
		data[i] = i * 2654435761u >> 24;
	before = requests(f, "WRITE");
	for (i = 0; i < 4; i++)
		assert_int_equal(pwrite(fd, data + i * MIB, MIB, i * MIB), MIB);
	assert_int_equal(requests(f, "WRITE"), before + 4);
	close(fd);
	assert_content("big", data, 4 * MIB);
	free(data);
	leave();
}

static void test_writes_ask_for_no_xattr(void **state)
{
	struct mount_fixture *f = require_mount(state);
	int fd = make_file("f", "", 0);
	uint64_t before;
	unsigned i;

	assert_int_equal(write(fd, "0", 1), 1);
	before = requests(f, NULL);
	for (i = 0; i < 20; i++)
		assert_int_equal(write(fd, "1", 1), 1);
	assert_int_equal(requests(f, NULL), before + 20);
	close(fd);
	leave();
}

/* Does `what` to the file as an ordinary user who may write to it. */
static void as_user(void (*what)(const char *path), const char *path)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (getuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
			_exit(1);
		what(path);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void do_write(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, "x", 1) != 1)
		_exit(2);
}

static void do_truncate(const char *path)
{
	if (truncate(path, 3) < 0)
		_exit(2);
}

static void do_open_trunc(const char *path)
{
	if (open(path, O_WRONLY | O_TRUNC) < 0)
		_exit(2);
}

static void do_allocate(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || fallocate(fd, 0, 0, 10000) < 0)
		_exit(2);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & ALLPERMS;
}

static void test_writing_takes_suid_away(void **state)
{
	static void (*const ways[])(const char *path) = {
		do_write,
		do_truncate,
		do_open_trunc,
		do_allocate,
	};
	unsigned i;

	require_mount(state);
	close(make_file("s", "data", 4));
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		assert_int_equal(chmod("s", 06777), 0);
		assert_int_equal(mode_of("s"), 06777);
		as_user(ways[i], "s");
		assert_int_equal(mode_of("s"), 0777);
	}
	leave();
}

/* Root may keep them, but a new owner does not get them. */
static void test_suid_and_root(void **state)
{
	require_mount(state);
	if (getuid() != 0) {
		leave();
		skip();
	}
	close(make_file("s", "data", 4));
	assert_int_equal(chmod("s", 06777), 0);
	do_write("s");
	do_truncate("s");
	assert_int_equal(mode_of("s"), 06777);
	assert_int_equal(chown("s", 1, 1), 0);
	assert_int_equal(mode_of("s"), 0777);
	leave();
}

static void test_open_truncates(void **state)
{
	int fd;

	require_mount(state);
	close(make_file("t", "content", 7));
	fd = open("t", O_RDWR | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "new", 3), 3);
	close(fd);
	assert_content("t", "new", 3);
	fd = open("t", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "er", 2), 2);
	close(fd);
	assert_content("t", "newer", 5);
	leave();
}

static void test_attributes(void **state)
{
	struct timespec times[2] = { { 1000000000, 123456789 },
				     { 2000000000, 987654321 } };
	struct stat st;

	require_mount(state);
	close(make_file("a", "12345", 5));
	assert_int_equal(chmod("a", 0640), 0);
	assert_int_equal(utimensat(AT_FDCWD, "a", times, 0), 0);
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_uid, getuid());
	assert_memory_equal(&st.st_atim, &times[0], sizeof(times[0]));
	assert_memory_equal(&st.st_mtim, &times[1], sizeof(times[1]));
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	assert_int_equal(utimensat(AT_FDCWD, "a", times, 0), 0);
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_atim.tv_nsec, 123456789);
	assert_true(st.st_mtim.tv_sec != 2000000000);
	assert_int_equal(truncate("a", 2), 0);
	assert_content("a", "12", 2);
	leave();
}

static void test_names(void **state)
{
	struct stat a, b;
	char target[16];

	require_mount(state);
	close(make_file("a", "a", 1));
	close(make_file("b", "b", 1));
	assert_int_equal(link("a", "hard"), 0);
	assert_int_equal(stat("a", &a), 0);
	assert_int_equal(stat("hard", &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_nlink, 2);
	assert_int_equal(
		renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(
		renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE), 0);
	assert_content("a", "b", 1);
	assert_int_equal(rename("a", "b"), 0);
	assert_content("b", "b", 1);
	assert_int_equal(symlink("somewhere", "s"), 0);
	assert_int_equal(readlink("s", target, 16), 9);
	assert_memory_equal(target, "somewhere", 9);
	assert_int_equal(mkdir("d", 0750), 0);
	assert_int_equal(rename("b", "d/b"), 0);
	assert_int_equal(rmdir("d"), -1);
	assert_int_equal(errno, ENOTEMPTY);
	assert_int_equal(unlink("d/b"), 0);
	assert_int_equal(rmdir("d"), 0);
	assert_int_equal(mkfifo("p", 0600), 0);
	assert_int_equal(lstat("p", &a), 0);
	assert_true(S_ISFIFO(a.st_mode));
	leave();
}

static void test_unlinked_file_lives(void **state)
{
	char buf[4];
	int fd;

	require_mount(state);
	fd = make_file("gone", "data", 4);
	assert_int_equal(unlink("gone"), 0);
	assert_int_equal(pread(fd, buf, 4, 0), 4);
	assert_memory_equal(buf, "data", 4);
	assert_int_equal(pwrite(fd, "DA", 2, 0), 2);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(pread(fd, buf, 4, 0), 4);
	assert_memory_equal(buf, "DAta", 4);
	close(fd);
	leave();
}

static void test_xattrs(void **state)
{
	char buf[64];

	require_mount(state);
	close(make_file("x", "", 0));
	assert_int_equal(setxattr("x", "user.a", "value", 5, XATTR_CREATE), 0);
	assert_int_equal(setxattr("x", "user.a", "v", 1, XATTR_CREATE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(getxattr("x", "user.a", NULL, 0), 5);
	assert_int_equal(getxattr("x", "user.a", buf, 64), 5);
	assert_memory_equal(buf, "value", 5);
	assert_int_equal(getxattr("x", "user.a", buf, 2), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(listxattr("x", NULL, 0), 7);
	assert_int_equal(listxattr("x", buf, 64), 7);
	assert_memory_equal(buf, "user.a", 7);
	assert_int_equal(removexattr("x", "user.a"), 0);
	assert_int_equal(getxattr("x", "user.a", buf, 64), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(setxattr("x", "other.a", "v", 1, 0), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	leave();
}

/* rw- for the owner, r-- for user 9, --- for the group, a mask of r-x. */
static const uint8_t acl[] = {
	2, 0, 0,   0,	0x01, 0,    6,	  0, 255, 255, 255, 255, 0x02, 0,    4,
	0, 9, 0,   0,	0,    0x04, 0,	  0, 0,	  255, 255, 255, 255,  0x10, 0,
	5, 0, 255, 255, 255,  255,  0x20, 0, 0,	  0,   255, 255, 255,  255,
};

static void test_acl(void **state)
{
	static const char name[] = "system.posix_acl_access";
	uint8_t got[sizeof(acl)];
	struct stat st;

	require_mount(state);
	close(make_file("x", "", 0));
	assert_int_equal(getxattr("x", name, got, sizeof(got)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(setxattr("x", name, acl, sizeof(acl), 0), 0);
	assert_int_equal(getxattr("x", name, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, acl, sizeof(acl));
	assert_int_equal(stat("x", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0650);
	assert_int_equal(removexattr("x", name), 0);
	assert_int_equal(removexattr("x", name), 0);
	leave();
}

static void test_tmpfile(void **state)
{
	char path[64], buf[4];
	struct stat st;
	int fd;

	require_mount(state);
	fd = open(".", O_TMPFILE | O_RDWR, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(write(fd, "data", 4), 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, "named",
				AT_SYMLINK_FOLLOW),
			 0);
	close(fd);
	fd = open("named", O_RDONLY);
	assert_int_equal(pread(fd, buf, 4, 0), 4);
	assert_memory_equal(buf, "data", 4);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	close(fd);
	leave();
}

static void test_ranges(void **state)
{
	static const char zeros[8192];
	off_t from = 0, to = 0;
	int fd, copy;

	require_mount(state);
	fd = make_file("r", "0123456789", 10);
	copy = make_file("c", "", 0);
	assert_int_equal(copy_file_range(fd, &from, copy, &to, 10, 0), 10);
	assert_content("c", "0123456789", 10);
	assert_int_equal(fallocate(fd, 0, 0, 16384), 0);
	assert_int_equal(fallocate(fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   0, 8192),
			 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 16384);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 0);
	assert_int_equal(truncate("r", 8192), 0);
	assert_content("r", zeros, 8192);
	close(copy);
	close(fd);
	leave();
}

static void test_shared_mapping(void **state)
{
	char *map;
	int fd;

	require_mount(state);
	fd = make_file("m", "0123456789", 10);
	map = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_memory_equal(map, "0123456789", 10);
	memcpy(map, "abc", 3);
	assert_int_equal(msync(map, 10, MS_SYNC), 0);
	assert_int_equal(fsync(fd), 0);
	munmap(map, 10);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
	assert_content("m", "abc3456789", 10);
	leave();
}

static void test_statfs(void **state)
{
	struct statvfs st;

	require_mount(state);
	assert_int_equal(statvfs(".", &st), 0);
	assert_int_not_equal(st.f_bsize, 0);
	assert_int_not_equal(st.f_blocks, 0);
	assert_int_equal(st.f_namemax, 255);
	assert_true(st.f_flag & ST_NOSUID);
	leave();
}

/* --- the session itself --- */

static void test_invalidate_shows_a_name(void **state)
{
	struct mount_fixture *f = require_mount(state);
	struct stat st;

	assert_int_equal(stat("hidden", &st), -1);
	assert_int_equal(ask(f, HIDDEN), 0);
	assert_int_equal(stat("hidden", &st), -1);
	assert_int_equal(ask(f, SHOW), 0);
	assert_int_equal(stat("hidden", &st), 0);
	leave();
}

static void test_own_requests_are_refused(void **state)
{
	struct mount_fixture *f = require_mount(state);
	struct stat st;

	assert_int_equal(ask(f, OWN), -EDEADLK);
	assert_int_equal(stat("others-are-served", &st), -1);
	assert_int_equal(errno, ENOENT);
	leave();
}

static void test_umount_ends_the_session(void **state)
{
	struct mount_fixture *f = require_mount(state);
	int fd = make_file("open", "x", 1);

	leave();
	assert_int_equal(do_umount(f, false), -EBUSY);
	close(fd);
	assert_int_equal(do_umount(f, false), 0);
	assert_int_equal(do_umount(f, false), 0); /* it is not there */
	assert_int_equal(ask(f, WAIT), 0);
	assert_int_equal(stop_server(f), 0);
}

/* A second server goes on where the first one stopped: the kernel keeps what
 * it cached, open files stay open. */
static void test_adopt(void **state)
{
	static const struct serve_options adopt = { .adopt = true };
	struct mount_fixture *f = require_mount(state);
	int fd = make_file("a", "before", 6);
	uint64_t inits = requests(f, "INIT");
	char buf[6];

	assert_int_equal(inits, 1);
	assert_int_equal(walk(false), 1);
	assert_int_equal(stop_server(f), 3);
	start_server(f, &adopt);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(pread(fd, buf, 6, 0), 6);
	assert_memory_equal(buf, "before", 6);
	assert_int_equal(pwrite(fd, "after!", 6, 0), 6);
	close(fd);
	assert_content("a", "after!", 6);
	close(make_file("b", "", 0));
	assert_int_equal(walk(false), 2);
	assert_int_equal(requests(f, "INIT"), 0);
	leave();
}

/* A request that the first server read and never answered is answered by the
 * second: the client just waits. */
static void test_adopt_after_kill(void **state)
{
	static const struct serve_options adopt = { .adopt = true };
	struct mount_fixture *f = require_mount(state);
	struct stat st;
	int status;
	pid_t pid;

	close(make_file("a", "", 0));
	requests(f, NULL);
	kill(f->server, SIGKILL);
	assert_int_equal(stop_server(f), -1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(stat("not-looked-up", &st) < 0 && errno == ENOENT ? 0 :
									  1);
	start_server(f, &adopt);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(stat("a", &st), 0);
	leave();
}

/* The first server read INIT and died before it answered: the kernel still
 * waits for that. */
static void test_adopt_before_init(void **state)
{
	static const struct serve_options adopt = { .adopt = true };
	struct mount_fixture *f = *state;
	char end;

	if (!f->path[0])
		skip();
	assert_int_equal(recv(f->control, &end, 1, 0), 0); /* it is dead */
	assert_int_equal(stop_server(f), -1);
	assert_int_not_equal(f->init->len, 0);
	start_server(f, &adopt);
	require_mount(state);
	close(make_file("a", "x", 1));
	assert_content("a", "x", 1);
	assert_int_equal(walk(false), 1);
	assert_int_equal(requests(f, "INIT"), 1);
	leave();
}

#define MOUNTED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTED(test_warm_walk_asks_nothing),
		MOUNTED(test_read_only_warm_asks_nothing),
		MOUNTED(test_warm_read_reads_nothing),
		MOUNTED(test_open_asks_once),
		cmocka_unit_test_setup_teardown(
			test_stateful_open_asks_each_time, setup_stateful,
			teardown),
		MOUNTED(test_missing_name_is_cached),
		MOUNTED(test_long_listing),
		MOUNTED(test_large_writes_arrive_whole),
		MOUNTED(test_writes_ask_for_no_xattr),
		MOUNTED(test_writing_takes_suid_away),
		MOUNTED(test_suid_and_root),
		MOUNTED(test_open_truncates),
		MOUNTED(test_attributes),
		MOUNTED(test_names),
		MOUNTED(test_unlinked_file_lives),
		MOUNTED(test_xattrs),
		MOUNTED(test_acl),
		MOUNTED(test_tmpfile),
		MOUNTED(test_ranges),
		MOUNTED(test_shared_mapping),
		MOUNTED(test_statfs),
		MOUNTED(test_invalidate_shows_a_name),
		MOUNTED(test_own_requests_are_refused),
		MOUNTED(test_umount_ends_the_session),
		MOUNTED(test_reads_ahead),
		MOUNTED(test_adopt),
		MOUNTED(test_adopt_after_kill),
		cmocka_unit_test_setup_teardown(test_adopt_before_init,
						setup_dying, teardown),
	};

	umask(022);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
