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

int child_run(const char *const argv[], const char *dir,
	      const struct variable *variables, bool quiet_stdout)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	interrupt_hold();
	pid = fork();
	if (pid == 0)
		become(argv, dir, variables, quiet_stdout);
	if (pid < 0)
		out_warning("cannot start a process: %s", strerror(errno));
	interrupt_forward(pid);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	interrupt_restore();
	if (pid < 0)
		return EXIT_NOT_EXECUTABLE;
	return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) :
				     WEXITSTATUS(status);
}
