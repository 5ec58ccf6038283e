/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp part of the worker's sandbox: the only file that knows
 * libseccomp. A list of what is denied, and not of what is allowed: RocksDB, curl,
 * the C library and credential helpers of any kind use whatever their versions
 * like. Denied is what changes the system, its mounts and name spaces, what
 * looks into other processes, and large interfaces of the kernel that nothing
 * here uses. Keyrings stay, since a helper may take its secret from one. No state.
 */
#include "sandbox.h"

#include <errno.h>

#ifdef HAVE_SECCOMP

#include <sched.h>
#include <seccomp.h>
#include <stddef.h>

/* By name: an architecture may lack one, and the library may be older. */
static const char *const denied[] = {
	/* mounts and name spaces */
	"mount", "umount", "umount2", "pivot_root", "chroot", "move_mount",
	"open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
	"setns", "unshare", "quotactl", "quotactl_fd", "swapon", "swapoff",
	/* the system */
	"reboot", "kexec_load", "kexec_file_load", "init_module",
	"finit_module", "delete_module", "create_module", "settimeofday",
	"stime", "clock_settime", "clock_settime64", "adjtimex",
	"clock_adjtime", "clock_adjtime64", "sethostname", "setdomainname",
	"syslog", "acct", "iopl", "ioperm", "vhangup", "nfsservctl",
	/* other processes */
	"process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
	"pidfd_getfd", "migrate_pages", "move_pages",
	/* files behind the back of their directories */
	"open_by_handle_at", "fanotify_init",
	/* what attackers of the kernel like best */
	"bpf", "perf_event_open", "userfaultfd", "modify_ldt", "lookup_dcookie",
	"uselib", "_sysctl"
};

/* As on a kernel without it: who would use it does without. The C library takes
 * clone(2) in place of clone3(2), whose flags no filter can see. */
static const char *const absent[] = { "io_uring_setup", "io_uring_enter",
				      "io_uring_register", "clone3" };

/* New name spaces, by clone(2). */
static const unsigned long clone_flags[] = { CLONE_NEWNS,  CLONE_NEWCGROUP,
					     CLONE_NEWUTS, CLONE_NEWIPC,
					     CLONE_NEWPID, CLONE_NEWUSER,
					     CLONE_NEWNET };

#ifdef __s390__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif

static int deny(scmp_filter_ctx filter, uint32_t action, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	int r;

	if (number == __NR_SCMP_ERROR)
		return 0; /* too new for the library */
	r = seccomp_rule_add(filter, action, number, 0);
	return r == -EDOM ? 0 : r; /* not on this architecture */
}

static int deny_clone(scmp_filter_ctx filter)
{
	const size_t n = sizeof(clone_flags) / sizeof(clone_flags[0]);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(
			filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
			SCMP_CMP(CLONE_FLAGS_ARG, SCMP_CMP_MASKED_EQ,
				 clone_flags[i], clone_flags[i]));
	return r;
}

static int deny_all(scmp_filter_ctx filter, bool traces)
{
	const size_t n_denied = sizeof(denied) / sizeof(denied[0]);
	const size_t n_absent = sizeof(absent) / sizeof(absent[0]);
	size_t i;
	int r = traces ? 0 : deny(filter, SCMP_ACT_ERRNO(EPERM), "ptrace");

	for (i = 0; r == 0 && i < n_denied; i++)
		r = deny(filter, SCMP_ACT_ERRNO(EPERM), denied[i]);
	for (i = 0; r == 0 && i < n_absent; i++)
		r = deny(filter, SCMP_ACT_ERRNO(ENOSYS), absent[i]);
	return r < 0 ? r : deny_clone(filter);
}

/* The kernel is not to slow the process down on the grounds that a filter
 * means untrusted code; and calls of another architecture, which the list does
 * not cover, fail, rather than to kill who makes them. */
static int set_attributes(scmp_filter_ctx filter)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);

	if (r == 0 || r == -EOPNOTSUPP)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
				     SCMP_ACT_ERRNO(ENOSYS));
	return r;
}

int sandbox_seccomp(bool traces)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	r = set_attributes(filter);
	if (r == 0)
		r = deny_all(filter, traces);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	/* Where the kernel has no filters. */
	return r == -EINVAL ? -ENOSYS : r;
}

#else

int sandbox_seccomp(bool traces)
{
	(void)traces;
	return -ENOSYS;
}

#endif
