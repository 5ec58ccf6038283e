/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs git; git_records.c takes apart what it prints.
 *
 * `git status` compares the index and the work tree with HEAD by the index's
 * own stat data and rules, and lists untracked files in the same walk. Only
 * the .gitignore files count, so that nobody's key leaves out what another's
 * has: the user's own list is replaced, and where the clone has one, which
 * cannot be, `git ls-files` lists them, at the same time. What could make them say something else is set: no daemon is asked for changes,
 * no refreshed index is written, renames are not looked for, and variables of
 * an enclosing git are taken away.
 */
#include "git.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd.h"
#include "process.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define OUTPUT_MAX (1u << 30)
#define IGNORED_MAX 1000
#define EXCLUDE_MAX (1u << 20)

static const struct variable environment[] = {
	{ "LC_ALL", "C" },
	{ "LANGUAGE", NULL },
	{ "GIT_TERMINAL_PROMPT", "0" },
	{ "GIT_OPTIONAL_LOCKS", "0" },
	{ "GIT_WORK_TREE", NULL },
	{ "GIT_INDEX_FILE", NULL },
	{ "GIT_OBJECT_DIRECTORY", NULL },
	{ "GIT_ALTERNATE_OBJECT_DIRECTORIES", NULL },
	{ "GIT_COMMON_DIR", NULL },
	{ "GIT_NAMESPACE", NULL },
	{ "GIT_PREFIX", NULL },
	{ "GIT_SHALLOW_FILE", NULL },
	{ "GIT_GRAFT_FILE", NULL },
	{ "GIT_LITERAL_PATHSPECS", NULL },
	{ "GIT_GLOB_PATHSPECS", NULL },
	{ "GIT_NOGLOB_PATHSPECS", NULL },
	{ "GIT_ICASE_PATHSPECS", NULL },
	{ "GIT_DIR", NULL }, /* the last: git_read() may give it a value */
	{ NULL, NULL },
};

#define NVARIABLES (sizeof(environment) / sizeof(*environment))

static void environment_of(bool nested, struct variable ret_vars[NVARIABLES])
{
	memcpy(ret_vars, environment, sizeof(environment));
	if (nested)
		ret_vars[NVARIABLES - 2].value = ".git";
}

/* ---- the top */

/* What one git prints; its exit code. */
static int run_one(const struct process_setup *setup, struct buf *ret_out)
{
	_cleanup_process_ struct process p = PROCESS_INIT;
	struct process *const ps[] = { &p };
	struct buf *const bufs[] = { ret_out };
	int r = process_start(setup, &p);

	if (r == 0)
		r = process_read_all(ps, bufs, 1, OUTPUT_MAX);
	return r < 0 ? r : process_wait(&p, PROCESS_FOREVER);
}

/* A text, without the newline at its end. */
static int ask(const char *const argv[], int dirfd, bool merge,
	       struct buf *ret_out)
{
	const struct process_setup setup = { .argv = argv,
					     .variables = environment,
					     .dirfd = dirfd,
					     .mute = !merge,
					     .merge = merge };
	int r = run_one(&setup, ret_out);

	if (r < 0)
		return r;
	if (ret_out->len > 0 && ret_out->data[ret_out->len - 1] == '\n')
		ret_out->len--;
	buf_put_u8(ret_out, '\0');
	return buf_error(ret_out) ? buf_error(ret_out) : r;
}

/* Git's own words: there are more reasons than we know. */
static int no_work_tree(const char *const argv[], int dirfd, struct failure *f)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	const char *why = "";

	if (ask(argv, dirfd, true, &out) > 0) {
		why = (const char *)out.data;
		if (strncmp(why, "fatal: ", 7) == 0)
			why += 7;
	}
	return failure_set(f, -ENOENT, EXIT_ERROR,
			   "--key-git: git finds no work tree here: %.*s",
			   (int)strcspn(why, "\n"), why);
}

int git_top(int dirfd, char **ret_top, struct failure *f)
{
	static const char *const argv[] = { "git", "rev-parse",
					    "--show-toplevel", NULL };
	_cleanup_buf_ struct buf out = BUF_INIT;
	int r = ask(argv, dirfd, false, &out);
	size_t len;

	if (r == EXIT_NOT_FOUND)
		return failure_set(f, -ENOENT, EXIT_ERROR,
				   "--key-git: git is not installed; "
				   "--key-file names inputs without it");
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR,
				   "--key-git: cannot run git: %s",
				   strerror(-r));
	if (r != 0 || out.data[0] != '/')
		return no_work_tree(argv, dirfd, f);
	*ret_top = (char *)buf_take(&out, &len);
	return 0;
}

/* ---- the lists */

/* The beginnings of the commands; patterns and the like follow. */
#define GIT_ARGV                                                           \
	"git", "-c", "core.fsmonitor=false", "-c", "core.trustctime=true", \
		"-c", "core.checkStat=default"

static const char *const status_argv[] = {
	GIT_ARGV,	  "status",
	"--porcelain=v2", "-z",
	"--branch",	  "--no-ahead-behind",
	"--no-renames",	  "--ignore-submodules=all",
};

static const char *const files_argv[] = { GIT_ARGV, "ls-files", "-z",
					  "-v",	    "--stage",	"-c" };

#define NSTATUS (sizeof(status_argv) / sizeof(*status_argv))
#define NFILES (sizeof(files_argv) / sizeof(*files_argv))

void git_lists_release(struct git_lists *lists)
{
	buf_release(&lists->changed);
	buf_release(&lists->files);
}

/* What git is to be asked. */
struct question {
	const char *status[NSTATUS + 4];
	const char *files[NFILES + 2 * IGNORED_MAX + 4];
	bool asks_files;
	int excludes; /* a file in memory with the patterns, or -1 */
	char excludes_option[64];
};

static void question_release(struct question *q)
{
	cleanup_close(&q->excludes);
}

/* Whether the clone's own list of what it ignores has a pattern in it, or
 * cannot be looked at where it usually is. */
static bool clone_ignores(int dirfd)
{
	_cleanup_free_ uint8_t *text = NULL;
	size_t len;
	char *line, *rest;
	int r = io_read_file(dirfd, ".git/info/exclude", EXCLUDE_MAX, &text,
			     &len);

	if (r < 0)
		return r != -ENOENT || faccessat(dirfd, ".git/HEAD", F_OK, 0);
	rest = (char *)text;
	while ((line = strsep(&rest, "\n")))
		if (line[0] && line[0] != '#')
			return true;
	return false;
}

/* The patterns, as a file that the user's own list of them is replaced by.
 * -EINVAL where one cannot be written as a line. */
static int excludes_make(const char *const *ignored, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("larder-excludes", 0);

	if (fd < 0)
		return -errno;
	for (; *ignored; ignored++)
		if (strchr(*ignored, '\n') ||
		    io_write(fd, *ignored, strlen(*ignored)) < 0 ||
		    io_write(fd, "\n", 1) < 0)
			return -EINVAL;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* One walk of the tree finds what has changed and what is untracked. */
static void ask_in_one(struct question *q, bool plain)
{
	size_t n = NSTATUS;

	snprintf(q->excludes_option, sizeof(q->excludes_option),
		 "core.excludesFile=/proc/self/fd/%d", q->excludes);
	/* Behind `git`, in front of the command. */
	memmove(q->status + 3, q->status + 1, (n - 1) * sizeof(*q->status));
	q->status[1] = "-c";
	q->status[2] = q->excludes_option;
	q->status[n + 2] = "--untracked-files=all";
	q->asks_files = !plain;
}

/* Two, where `status` would leave out more than a .gitignore says. */
static void ask_in_two(struct question *q, const char *const *ignored)
{
	size_t n = NFILES;

	q->status[NSTATUS] = "--untracked-files=no";
	q->files[n++] = "-o";
	q->files[n++] = "--exclude-per-directory=.gitignore";
	for (size_t i = 0; ignored[i] && i < IGNORED_MAX; i++) {
		q->files[n++] = "-x";
		q->files[n++] = ignored[i];
	}
	q->asks_files = true;
}

static void question_make(struct question *q, int dirfd, bool plain,
			  const char *const *ignored)
{
	memcpy(q->status, status_argv, sizeof(status_argv));
	memcpy(q->files, files_argv, sizeof(files_argv));
	if (!clone_ignores(dirfd) && excludes_make(ignored, &q->excludes) == 0)
		ask_in_one(q, plain);
	else
		ask_in_two(q, ignored);
}

/* The last exit code that is not 0. */
static int run_both(const struct question *q, int dirfd,
		    const struct variable *vars, struct git_lists *lists)
{
	const struct process_setup setups[] = {
		{ .argv = q->status, .variables = vars, .dirfd = dirfd },
		{ .argv = q->files, .variables = vars, .dirfd = dirfd },
	};
	_cleanup_process_ struct process status = PROCESS_INIT;
	_cleanup_process_ struct process files = PROCESS_INIT;
	struct process *const ps[] = { &status, &files };
	struct buf *const bufs[] = { &lists->changed, &lists->files };
	int r = process_start(&setups[0], &status), r2 = 0;

	if (r == 0 && q->asks_files)
		r = process_start(&setups[1], &files);
	if (r == 0)
		r = process_read_all(ps, bufs, q->asks_files ? 2 : 1,
				     OUTPUT_MAX);
	if (r < 0)
		return r;
	r = process_wait(&status, PROCESS_FOREVER);
	if (q->asks_files)
		r2 = process_wait(&files, PROCESS_FOREVER);
	return r ? r : r2;
}

/* What `status` says of untracked files is as `ls-files` would say it, and
 * goes to its list. */
static int move_untracked(struct git_lists *lists)
{
	struct buf rest = BUF_INIT;
	size_t pos = 0;

	while (pos < lists->changed.len) {
		const char *record = (const char *)lists->changed.data + pos;
		size_t len = strnlen(record, lists->changed.len - pos);

		len += pos + len < lists->changed.len;
		buf_put(record[0] == '?' ? &lists->files : &rest, record, len);
		pos += len;
	}
	buf_release(&lists->changed);
	lists->changed = rest;
	return buf_error(&rest) ? buf_error(&rest) : buf_error(&lists->files);
}

int git_read(int dirfd, bool nested, const char *const *ignored, bool plain,
	     struct git_lists *ret_lists, struct failure *f)
{
	_cleanup_(question_release) struct question q = { .excludes = -1 };
	_cleanup_git_lists_ struct git_lists lists = { .changed = BUF_INIT,
						       .files = BUF_INIT };
	struct variable vars[NVARIABLES];
	int r;

	environment_of(nested, vars);
	question_make(&q, dirfd, plain, ignored);
	r = run_both(&q, dirfd, vars, &lists);
	if (r == 0)
		r = move_untracked(&lists);
	if (r != 0)
		return failure_set(f, r < 0 ? r : -EIO, EXIT_ERROR,
				   "--key-git: git could not list what has "
				   "changed (%s%d)",
				   r < 0 ? "error " : "exit code ",
				   r < 0 ? -r : r);
	*ret_lists = lists;
	lists = (struct git_lists){ 0 };
	return 0;
}

/* ---- commits */

int git_between(int dirfd, bool nested, const char *was, const char *is,
		struct buf *ret_paths)
{
	const char *const argv[] = { "git",
				     "diff-tree",
				     "-r",
				     "-z",
				     "--name-only",
				     "--no-renames",
				     "--no-commit-id",
				     "--ignore-submodules=none",
				     was,
				     is,
				     "--",
				     NULL };
	struct variable vars[NVARIABLES];
	const struct process_setup setup = { .argv = argv,
					     .variables = vars,
					     .dirfd = dirfd,
					     .mute = true };
	int r;

	environment_of(nested, vars);
	r = run_one(&setup, ret_paths);
	if (r < 0)
		return r;
	return r == 0 ? 0 : -ENOENT;
}
