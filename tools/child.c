/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command in the foreground: same process group, same standard
 * streams. It gets the terminal's signals itself; we wait for it and stay
 * alive to say what became of the build.
 */
#include "child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "interrupt.h"
#include "out.h"

static void become(const char *const argv[], const char *dir,
		   const struct variable *variables, bool quiet_stdout)
{
	interrupt_child();
	for (; variables->name; variables++)
		setenv(variables->name, variables->value, 1);
	if (dir && chdir(dir) < 0) {
		out_warning("cannot go to %s: %s", dir, strerror(errno));
		_exit(EXIT_NOT_EXECUTABLE);
	}
	if (quiet_stdout)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], (char *const *)argv);
	out_warning("cannot run %s: %s", argv[0],
		    errno == ENOENT ? "command not found" : strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

int child_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

int child_run(const char *const argv[], const char *dir,
	      const struct variable *variables, bool quiet_stdout)
{
	int code = EXIT_NOT_EXECUTABLE;
	pid_t pid;

	fflush(NULL);
	interrupt_hold();
	pid = fork();
	if (pid == 0)
		become(argv, dir, variables, quiet_stdout);
	if (pid < 0)
		out_warning("cannot start a process: %s", strerror(errno));
	interrupt_forward(pid);
	if (pid > 0)
		code = child_wait(pid);
	interrupt_restore();
	return code < 0 ? EXIT_NOT_EXECUTABLE : code;
}
