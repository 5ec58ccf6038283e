/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Landlock part of the worker's sandbox: whoever is in a domain can neither
 * trace processes outside of it nor read their memory; with newer kernels
 * neither signal them (ABI 6) nor bind a TCP socket (ABI 4). No file access is
 * restricted (sandbox.h), and so kernels before ABI 4 are left out: there,
 * a ruleset would forbid renaming from directory to directory all the same.
 *
 * By system calls, since the C library has no functions for them, and by own
 * definitions, since the oldest kernel headers that are supported lack the newer
 * fields (<linux/landlock.h>). No state.
 */
#include "sandbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#if defined(SYS_landlock_create_ruleset) && defined(SYS_landlock_restrict_self)

#define RULESET_VERSION (1u << 0)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

#define ABI_NET 4
#define ABI_SCOPE 6

struct ruleset {
	uint64_t fs, net, scoped;
};
_Static_assert(sizeof(struct ruleset) == 24, "struct landlock_ruleset_attr");

/* The kernel takes no more of the struct than its ABI has. */
static size_t ruleset_size(long abi)
{
	return abi >= ABI_SCOPE ? sizeof(struct ruleset) :
				  offsetof(struct ruleset, scoped);
}

int sandbox_landlock(void)
{
	long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
	struct ruleset set = { .net = NET_BIND_TCP };
	_cleanup_close_ int fd = -1;

	if (abi < ABI_NET) /* or there is none, or it is turned off */
		return -ENOSYS;
	if (abi >= ABI_SCOPE)
		set.scoped = SCOPE_SIGNAL;
	/* The descriptor is made close-on-exec. */
	fd = (int)syscall(SYS_landlock_create_ruleset, &set, ruleset_size(abi),
			  0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return -errno;
	return 0;
}

#else

int sandbox_landlock(void)
{
	return -ENOSYS;
}

#endif
