/* SPDX-License-Identifier: Apache-2.0 */
/* Children that a fault is to kill. No state. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

_Noreturn void child_exec(const char *name)
{
	if (freopen("/dev/null", "w", stdout))
		execl("/proc/self/exe", name, (char *)NULL);
	_exit(127);
}

bool child_was_killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}
