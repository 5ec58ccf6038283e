/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor, with a worker that serves views on real mounts. The test
 * tells whichever worker lives what to do over a socket pair that all workers
 * inherit as the listening descriptor. Where FUSE cannot be used, the tests
 * that mount are skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/session.h"
#include "fs/supervisor.h"
#include "fs/supervisor_msg.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define ID "0123456789abcdef"
#define MOUNTS_MAX 4

/* --- the worker process --- */

struct worker {
	struct supervisor_link *link;
	struct fetch *fetch;
	const char *dir;
	struct served {
		char id[32], desc[128];
		struct worker *worker;
		struct view *view;
		struct session *session;
		int state_fd;
	} served[MOUNTS_MAX];
	unsigned count, adopted;
};

static void save_init(void *arg, const void *init, size_t len)
{
	struct served *m = arg;

	if (supervisor_save_init(m->worker->link, m->id, init, len) < 0)
		abort();
}

/* Serves the view that <dir>/state/<id> holds. */
static int serve(struct worker *w, const char *id, const char *desc,
		 const void *init, size_t init_len, int fd)
{
	struct served *m = &w->served[w->count++];
	_cleanup_free_ char *path = io_path("%s/state/%s", w->dir, id);
	struct session_options so = { .init = init,
				      .init_len = init_len,
				      .save_init = save_init,
				      .arg = m };
	struct view_options vo = { .uid = getuid(), .gid = getgid() };
	bool damaged;

	snprintf(m->id, sizeof(m->id), "%s", id);
	snprintf(m->desc, sizeof(m->desc), "%s", desc);
	m->worker = w;
	(void)mkdir(path, 0700);
	vo.dirfd = m->state_fd = open(path, O_RDONLY | O_DIRECTORY);
	if (view_open(NULL, w->fetch, &vo, &m->view, &damaged) < 0 || damaged)
		return -EIO;
	return session_start(fd, m->view, &so, &m->session);
}

static int adopt(void *arg, const char *id, const char *dir, const char *desc,
		 const void *init, size_t init_len, int fd)
{
	struct worker *w = arg;

	(void)dir;
	w->adopted++;
	return serve(w, id, desc, init, init_len, fd);
}

static void served_end(struct served *m)
{
	session_stop(m->session);
	session_join(m->session);
	session_free(m->session);
	view_close(m->view);
	close(m->state_fd);
}

/* {"do":"mount", ...} and so on; the answer. */
static json_t *do_mount(struct worker *w, const json_t *order)
{
	_cleanup_free_ char *dir = supervisor_msg_get_bytes(order, "dir");
	const char *id = json_string_value(json_object_get(order, "id"));
	struct supervisor_mount m = {
		.id = id,
		.dir = dir,
		.fsname = "larder:test@1,\\",
		.desc = "\xff{}",
		.read_only = json_is_true(json_object_get(order, "ro")),
	};
	_cleanup_free_ char *error = NULL;
	json_t *answer;
	int fd, r;

	r = supervisor_mount(w->link, &m, &fd, &error);
	if (r == 0)
		r = serve(w, id, m.desc, NULL, 0, fd);
	answer = json_pack("{si}", "result", r);
	if (error)
		supervisor_msg_set_bytes(answer, "error", error);
	return answer;
}

static json_t *do_umount(struct worker *w, const json_t *order)
{
	_cleanup_free_ char *error = NULL;
	json_t *answer;
	int r;

	r = supervisor_umount(w->link,
			      json_string_value(json_object_get(order, "id")),
			      json_is_true(json_object_get(order, "lazy")),
			      &error);
	answer = json_pack("{si}", "result", r);
	if (error)
		supervisor_msg_set_bytes(answer, "error", error);
	return answer;
}

static json_t *do_state(struct worker *w)
{
	json_t *answer = json_pack("{si si si}", "pid", (int)getpid(),
				   "adopted", (int)w->adopted, "supervisor",
				   (int)getppid());

	if (w->count > 0)
		supervisor_msg_set_bytes(answer, "desc", w->served[0].desc);
	return answer;
}

/* False at the end, with the status to exit with. */
static bool obey(struct worker *w, int orders, int *ret_status)
{
	_cleanup_msg_ json_t *order = NULL, *answer = NULL;
	const char *what;
	int fd;

	if (supervisor_msg_receive(orders, 0, &order, &fd) != 1)
		return false;
	what = json_string_value(json_object_get(order, "do"));
	if (strcmp(what, "exit") == 0) {
		*ret_status =
			json_integer_value(json_object_get(order, "status"));
		return false;
	}
	if (strcmp(what, "mount") == 0)
		answer = do_mount(w, order);
	else if (strcmp(what, "umount") == 0)
		answer = do_umount(w, order);
	else if (strcmp(what, "state") == 0)
		answer = do_state(w);
	else if (strcmp(what, "forget") == 0)
		answer = json_pack("{si}", "result",
				   supervisor_forget(w->link, ID));
	else
		answer = json_pack("{si}", "result",
				   supervisor_save_desc(w->link, ID, "new"));
	return supervisor_msg_send(orders, answer, -1) == 0;
}

static int run_worker(int channel_fd, int orders, void *arg)
{
	struct worker w = { .dir = arg };
	int status = 7;
	unsigned i;

	if (supervisor_link_new(channel_fd, &w.link) < 0 ||
	    fetch_new(1 << 20, &w.fetch) < 0 ||
	    supervisor_adopt(w.link, adopt, &w) < 0)
		return 8;
	for (;;) {
		struct pollfd fds[] = { { .fd = orders, .events = POLLIN },
					{ .fd = channel_fd } };

		poll(fds, 2, -1);
		if (fds[1].revents) {
			status = 9;
			break;
		}
		if (!obey(&w, orders, &status))
			break;
	}
	for (i = 0; i < w.count; i++)
		if (w.served[i].session)
			served_end(&w.served[i]);
	fetch_free(w.fetch);
	supervisor_link_free(w.link);
	return status;
}

/* --- the test's side --- */

struct harness {
	char dir[64], mnt[PATH_MAX];
	int orders; /* to the worker */
	int ready;  /* from the supervisor */
	pid_t supervisor;
};

static int run_supervisor(struct harness *h, int orders, int ready)
{
	struct supervisor_config config = {
		.listen_fd = orders,
		.ready_fd = ready,
		.worker = run_worker,
		.arg = h->dir,
	};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	return supervisor_run(&config);
}

static void start(struct harness *h)
{
	int orders[2], ready[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    orders),
			 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	h->supervisor = fork();
	assert_true(h->supervisor >= 0);
	if (h->supervisor == 0) {
		close(orders[0]);
		close(ready[0]);
		exit(run_supervisor(h, orders[1], ready[1]));
	}
	close(orders[1]);
	close(ready[1]);
	h->orders = orders[0];
	h->ready = ready[0];
}

static int setup(void **state)
{
	struct harness *h = calloc(1, sizeof(*h));
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	assert_non_null(h);
	snprintf(h->dir, sizeof(h->dir), "%.40s/larder-sup-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(h->dir));
	snprintf(h->mnt, sizeof(h->mnt), "%s/mount, point\\ \xfe", h->dir);
	assert_int_equal(mkdir(h->mnt, 0755), 0);
	snprintf(path, sizeof(path), "%s/state", h->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	start(h);
	*state = h;
	return 0;
}

/* The supervisor's exit status. */
static int wait_supervisor(struct harness *h)
{
	int status;

	assert_int_equal(waitpid(h->supervisor, &status, 0), h->supervisor);
	h->supervisor = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_mounted(const struct harness *h)
{
	_cleanup_free_ uint8_t *text = NULL;
	const char *last = strrchr(h->dir, '/');
	size_t len;

	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/mounts", 1 << 20,
				      &text, &len),
			 0);
	return strstr((char *)text, last);
}

static json_t *order(struct harness *h, json_t *what)
{
	json_t *answer;
	int fd;

	assert_int_equal(supervisor_msg_send(h->orders, what, -1), 0);
	json_decref(what);
	assert_int_equal(supervisor_msg_receive(h->orders, 0, &answer, &fd), 1);
	return answer;
}

static int result(json_t *answer, char **ret_error)
{
	int r = json_integer_value(json_object_get(answer, "result"));

	if (ret_error)
		*ret_error = supervisor_msg_get_bytes(answer, "error");
	json_decref(answer);
	return r;
}

static int state_of(struct harness *h, const char *what)
{
	json_t *answer = order(h, json_pack("{ss}", "do", "state"));
	int r = json_integer_value(json_object_get(answer, what));

	json_decref(answer);
	return r;
}

static void order_exit(struct harness *h, int status)
{
	json_t *what = json_pack("{ss si}", "do", "exit", "status", status);

	assert_int_equal(supervisor_msg_send(h->orders, what, -1), 0);
	json_decref(what);
}

static int order_mount(struct harness *h, const char *dir, char **ret_error)
{
	json_t *what = json_pack("{ss ss}", "do", "mount", "id", ID);

	assert_int_equal(supervisor_msg_set_bytes(what, "dir", dir), 0);
	return result(order(h, what), ret_error);
}

static int order_umount(struct harness *h, bool lazy, char **ret_error)
{
	return result(order(h, json_pack("{ss ss sb}", "do", "umount", "id", ID,
					 "lazy", lazy)),
		      ret_error);
}

/* Mounts, or skips the test where that cannot be. */
static void require_mount(struct harness *h)
{
	char *error = NULL;
	int r = order_mount(h, h->mnt, &error);

	if (r == -EACCES || r == -ENODEV || r == -ENOENT) {
		print_message("# %s\n", error ? error : strerror(-r));
		free(error);
		skip();
	}
	free(error);
	assert_int_equal(r, 0);
	assert_true(is_mounted(h));
}

static int teardown(void **state)
{
	struct harness *h = *state;

	if (h->supervisor) {
		kill(h->supervisor, SIGTERM);
		wait_supervisor(h);
	}
	close(h->orders);
	close(h->ready);
	assert_false(is_mounted(h));
	assert_int_equal(io_remove_tree(AT_FDCWD, h->dir), 0);
	free(h);
	return 0;
}

/* --- the life of the worker --- */

static void test_says_ready_and_ends_with_the_worker(void **state)
{
	struct harness *h = *state;
	char text[16] = "";

	assert_int_equal(io_read_upto(h->ready, text, 15), 3);
	assert_string_equal(text, "ok\n");
	order_exit(h, 0);
	assert_int_equal(wait_supervisor(h), 0);
}

static void test_starts_the_worker_again(void **state)
{
	struct harness *h = *state;
	int first = state_of(h, "pid"), second, third;

	assert_int_equal(state_of(h, "supervisor"), h->supervisor);
	kill(first, SIGKILL);
	second = state_of(h, "pid");
	assert_int_not_equal(second, first);
	order_exit(h, 3);
	third = state_of(h, "pid");
	assert_int_not_equal(third, second);
	assert_int_equal(state_of(h, "supervisor"), h->supervisor);
	order_exit(h, 0);
	assert_int_equal(wait_supervisor(h), 0);
}

static void test_gives_up_in_the_end(void **state)
{
	struct harness *h = *state;
	unsigned i;

	for (i = 0; i <= SUPERVISOR_RESTARTS_MAX; i++)
		order_exit(h, 1);
	assert_int_equal(wait_supervisor(h), 1);
}

/* The worker takes no heed of signals here, so it dies of it; it is not
 * started again. */
static void test_signal_is_passed_on(void **state)
{
	struct harness *h = *state;

	(void)state_of(h, "pid");
	kill(h->supervisor, SIGHUP);
	(void)state_of(h, "pid");
	kill(h->supervisor, SIGTERM);
	assert_int_equal(wait_supervisor(h), 1);
}

static void test_worker_sees_the_supervisor_end(void **state)
{
	struct harness *h = *state;
	struct pollfd end = { .fd = h->orders };

	(void)state_of(h, "pid");
	kill(h->supervisor, SIGKILL);
	wait_supervisor(h);
	/* The worker held the other end of the orders. */
	assert_int_equal(poll(&end, 1, 60000), 1);
	assert_true(end.revents & POLLHUP);
}

/* --- mounts --- */

static void write_file(struct harness *h, const char *name, const char *text)
{
	_cleanup_free_ char *path = io_path("%s/%s", h->mnt, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, text, strlen(text)), 0);
}

static bool reads_as(struct harness *h, const char *name, const char *text)
{
	_cleanup_free_ char *path = io_path("%s/%s", h->mnt, name);
	_cleanup_free_ uint8_t *got = NULL;
	size_t len;

	return io_read_file(AT_FDCWD, path, 1 << 20, &got, &len) == 0 &&
	       len == strlen(text) && memcmp(got, text, len) == 0;
}

static void test_mount_and_umount(void **state)
{
	struct harness *h = *state;

	require_mount(h);
	write_file(h, "f", "hello");
	assert_true(reads_as(h, "f", "hello"));
	assert_int_equal(order_mount(h, h->mnt, NULL), -EEXIST);
	assert_int_equal(order_umount(h, false, NULL), 0);
	assert_false(is_mounted(h));
	assert_int_equal(order_umount(h, false, NULL), -ENOENT);
	assert_int_equal(access(h->mnt, F_OK), 0);
}

static void test_busy(void **state)
{
	struct harness *h = *state;
	_cleanup_free_ char *path = io_path("%s/f", h->mnt);
	_cleanup_free_ char *error = NULL;
	int fd;

	require_mount(h);
	write_file(h, "f", "hello");
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(order_umount(h, false, &error), -EBUSY);
	assert_non_null(error);
	assert_non_null(strstr(error, "in use"));
	assert_true(reads_as(h, "f", "hello"));
	assert_int_equal(order_umount(h, true, NULL), 0);
	assert_false(is_mounted(h));
	close(fd);
}

static void test_clear_errors(void **state)
{
	struct harness *h = *state;
	_cleanup_free_ char *link = io_path("%s/link", h->dir);
	_cleanup_free_ char *file = io_path("%s/file", h->dir);
	_cleanup_free_ char *missing = io_path("%s/missing", h->dir);
	_cleanup_free_ char *under = io_path("%s/missing/dir", h->dir);
	_cleanup_free_ char *way = io_path("%s/way", h->dir);
	_cleanup_free_ char *through = io_path("%s/mnt", way);
	_cleanup_free_ char *dots = io_path("%s/../x/mnt", h->dir);
	static const struct {
		int err;
		const char *words;
	} want[] = {
		{ -ENOTDIR, "not a directory" },
		{ -ENOTDIR, "not a directory" },
		{ -ENOENT, "does not exist" },
		{ -ENOENT, "does not exist" },
		{ -ELOOP, "through a symbolic link" },
		{ -EINVAL, "cannot be a mount point" },
		{ -EINVAL, "cannot be a mount point" },
		{ -EINVAL, "cannot be a mount point" },
	};
	const char *dirs[] = { link,	file, missing, under,
			       through, dots, "/",     "relative" };
	unsigned i;

	assert_int_equal(symlink(h->mnt, link), 0);
	assert_int_equal(symlink(h->dir, way), 0);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		_cleanup_free_ char *error = NULL;

		assert_int_equal(order_mount(h, dirs[i], &error), want[i].err);
		assert_non_null(error);
		assert_non_null(strstr(error, want[i].words));
	}
	assert_false(is_mounted(h));
}

/* A mount whose worker went away in good order goes, too. */
static void test_leaves_no_mount_behind(void **state)
{
	struct harness *h = *state;

	require_mount(h);
	order_exit(h, 0);
	assert_int_equal(wait_supervisor(h), 0);
	assert_false(is_mounted(h));
}

/* Someone else unmounted it: nothing is left to unmount, and the worker may
 * say so. */
static void test_unmounted_by_others(void **state)
{
	struct harness *h = *state;
	int first;

	require_mount(h);
	if (umount2(h->mnt, UMOUNT_NOFOLLOW) < 0) {
		order_umount(h, false, NULL);
		skip();
	}
	assert_int_equal(order_umount(h, false, NULL), 0);
	require_mount(h);
	assert_int_equal(umount2(h->mnt, UMOUNT_NOFOLLOW), 0);
	assert_int_equal(
		result(order(h, json_pack("{ss}", "do", "forget")), NULL), 0);
	first = state_of(h, "pid");
	kill(first, SIGKILL);
	assert_int_equal(state_of(h, "adopted"), 0);
}

static void test_description_is_kept(void **state)
{
	struct harness *h = *state;
	_cleanup_free_ char *desc = NULL, *changed = NULL;
	json_t *answer;

	require_mount(h);
	kill(state_of(h, "pid"), SIGKILL);
	answer = order(h, json_pack("{ss}", "do", "state"));
	desc = supervisor_msg_get_bytes(answer, "desc");
	json_decref(answer);
	assert_string_equal(desc, "\xff{}");
	assert_int_equal(
		result(order(h, json_pack("{ss}", "do", "desc")), NULL), 0);
	kill(state_of(h, "pid"), SIGKILL);
	answer = order(h, json_pack("{ss}", "do", "state"));
	changed = supervisor_msg_get_bytes(answer, "desc");
	json_decref(answer);
	assert_string_equal(changed, "new");
	assert_int_equal(order_umount(h, false, NULL), 0);
}

/* Programs that work on the mount while its workers are killed. */
struct load {
	struct harness *h;
	atomic_bool stop, failed;
	atomic_uint rounds;
	pthread_t thread;
};

static void *read_on(void *arg)
{
	struct load *l = arg;
	char name[32];
	unsigned i;

	for (i = 0; !atomic_load(&l->stop); i++) {
		_cleanup_free_ char *path = NULL;
		struct stat st;

		snprintf(name, sizeof(name), "f%u", i % 10);
		if (!reads_as(l->h, name, name))
			atomic_store(&l->failed, true);
		/* A name that was never asked for before. */
		path = io_path("%s/none-%u", l->h->mnt, i);
		if (stat(path, &st) == 0 || errno != ENOENT)
			atomic_store(&l->failed, true);
		atomic_fetch_add(&l->rounds, 1);
	}
	return NULL;
}

static void wait_rounds(struct load *l, unsigned more)
{
	unsigned until = atomic_load(&l->rounds) + more;

	while ((int)(until - atomic_load(&l->rounds)) > 0)
		sched_yield();
}

static void test_readers_survive_kills(void **state)
{
	struct harness *h = *state;
	struct load l = { .h = h };
	char name[32];
	unsigned i;

	require_mount(h);
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		write_file(h, name, name);
	}
	assert_int_equal(pthread_create(&l.thread, NULL, read_on, &l), 0);
	for (i = 0; i < 4; i++) {
		wait_rounds(&l, 20);
		kill(state_of(h, "pid"), SIGKILL);
		assert_int_equal(state_of(h, "adopted"), 1);
	}
	wait_rounds(&l, 20);
	atomic_store(&l.stop, true);
	pthread_join(l.thread, NULL);
	assert_false(atomic_load(&l.failed));
	assert_int_equal(order_umount(h, false, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		WITH(test_says_ready_and_ends_with_the_worker),
		WITH(test_starts_the_worker_again),
		WITH(test_gives_up_in_the_end),
		WITH(test_signal_is_passed_on),
		WITH(test_worker_sees_the_supervisor_end),
		WITH(test_mount_and_umount),
		WITH(test_busy),
		WITH(test_clear_errors),
		WITH(test_leaves_no_mount_behind),
		WITH(test_unmounted_by_others),
		WITH(test_description_is_kept),
		WITH(test_readers_survive_kills),
	};

	umask(022);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
