/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a store, its state and its control socket are, and making and
 * reaching that socket. No state; any thread. Sockets are named through
 * /proc/self/fd, since sun_path has room for 107 bytes only and a runtime
 * directory may be deeper than that.
 */
#include "rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/digest.h"

#include "own_dir.h"

#define BACKLOG 64
#define ALIVE_S 1 /* who accepts nobody for so long is there all the same */

/* A variable that holds an absolute path; the XDG specification has others
 * ignored. */
static const char *path_variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/* systemd gives a service several directories divided by colons. */
static char *service_dir(const char *name)
{
	const char *value = path_variable(name);

	return value ? strndup(value, strcspn(value, ":")) : NULL;
}

static char *home_dir(void)
{
	const char *home = path_variable("HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (home)
		return strdup(home);
	if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) == 0 &&
	    found && found->pw_dir && found->pw_dir[0] == '/')
		return strdup(found->pw_dir);
	return strdup("/");
}

static char *user_dir(const char *service, const char *xdg, const char *below)
{
	_cleanup_free_ char *home = NULL;
	const char *base;
	char *dir = service_dir(service);

	if (dir)
		return dir;
	base = path_variable(xdg);
	if (base)
		return io_path("%s/larder", base);
	home = home_dir();
	return home ? io_path("%s/%s/larder", home, below) : NULL;
}

char *rpc_store_dir(void)
{
	return user_dir("CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache");
}

char *rpc_state_dir(void)
{
	return user_dir("STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state");
}

/* The directory that holds larder/; *ret_shared where others write beside
 * it, so that it is ours to make and to check. */
static char *runtime_base(bool *ret_shared)
{
	const char *base = path_variable("XDG_RUNTIME_DIR");
	char *dir;

	*ret_shared = false;
	if (base)
		return strdup(base);
	dir = io_path("/run/user/%u", (unsigned)geteuid());
	if (!dir || access(dir, F_OK) == 0)
		return dir;
	free(dir);
	*ret_shared = true;
	return io_path("/tmp/larder-runtime-%u", (unsigned)geteuid());
}

char *rpc_runtime_dir(void)
{
	_cleanup_free_ char *base = NULL;
	bool shared;

	base = runtime_base(&shared);
	return base ? io_path("%s/larder", base) : NULL;
}

char *rpc_socket_name(const char *store_dir)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;

	if (digest_of(store_dir, strlen(store_dir), &d) < 0)
		return NULL;
	digest_hex(&d, hex);
	return io_path("%.16s.sock", hex);
}

/* Opens a directory that nobody but this user may enter, after making it
 * where it is missing. `shown` is its name in messages. */
static int open_private(int dirfd, const char *name, const char *shown)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return log_error(-errno, "cannot make directory %s", shown);
	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return log_error(-errno, "cannot open directory %s", shown);
	if (fstat(fd, &st) < 0)
		return log_error(-errno, "cannot stat directory %s", shown);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return log_error(-EACCES,
				 "directory %s is not this user's alone "
				 "(chmod 700 it, or remove it)",
				 shown);
	return steal_fd(&fd);
}

int rpc_runtime_open(void)
{
	_cleanup_free_ char *base = NULL;
	_cleanup_free_ char *dir = NULL;
	_cleanup_close_ int base_fd = -1;
	char why[OWN_DIR_WHY_MAX];
	bool shared;

	base = runtime_base(&shared);
	dir = base ? io_path("%s/larder", base) : NULL;
	if (!dir)
		return -ENOMEM;
	if (shared) {
		base_fd = open_private(AT_FDCWD, base, base);
		return base_fd < 0 ? base_fd :
				     open_private(base_fd, "larder", dir);
	}
	base_fd = own_dir_open(base, true, why);
	if (base_fd < 0)
		return log_error(base_fd, "XDG_RUNTIME_DIR: %s", why);
	return open_private(base_fd, "larder", dir);
}

static int socket_address(int dirfd, const char *name, struct sockaddr_un *addr)
{
	int n;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	n = snprintf(addr->sun_path, sizeof(addr->sun_path),
		     "/proc/self/fd/%d/%s", dirfd, name);
	return n < 0 || (size_t)n >= sizeof(addr->sun_path) ? -ENAMETOOLONG : 0;
}

/* What connect() waits for while the line of those who wait is full. */
static int set_timeout(int fd, unsigned timeout_s)
{
	const struct timeval limit = { .tv_sec = timeout_s };

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
			       0 ?
		       -errno :
		       0;
}

/* Who listens, by the credentials that the kernel kept when it began to: a
 * request may hold secrets. Root may (systemd does, for its units). */
static int check_listener(int fd, const char *name)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	if (peer.uid == geteuid() || peer.uid == 0)
		return 0;
	return log_error(-EACCES,
			 "who listens at the control socket %s is another user "
			 "(uid %u), not the daemon; remove the socket",
			 name, (unsigned)peer.uid);
}

int rpc_connect(int runtime_dirfd, const char *name, unsigned timeout_s)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int r = socket_address(runtime_dirfd, name, &addr);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = timeout_s ? set_timeout(fd, timeout_s) : 0;
	if (r < 0)
		return r;
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		if (errno != EINTR)
			return -errno;
	r = check_listener(fd, name);
	if (r == 0 && timeout_s)
		r = set_timeout(fd, 0);
	return r < 0 ? r : steal_fd(&fd);
}

static void unlock_dir(int *fd)
{
	flock(*fd, LOCK_UN);
}

/* Binds, in place of a socket that nobody answers. The caller holds the
 * directory's lock, so that two do not both find the same socket dead. */
static int bind_fresh(int fd, int dirfd, const char *name)
{
	_cleanup_close_ int other = -1;
	struct sockaddr_un addr;
	int r = socket_address(dirfd, name, &addr);

	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	other = rpc_connect(dirfd, name, ALIVE_S);
	if (other != -ECONNREFUSED && other != -ENOENT)
		return -EADDRINUSE;
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno :
								      0;
}

int rpc_listen(int runtime_dirfd, const char *name)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The mode that bind() gives the socket's name. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	while (flock(runtime_dirfd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	_cleanup_(unlock_dir) int locked = runtime_dirfd;

	r = bind_fresh(fd, locked, name);
	if (r < 0)
		return r;
	/* Listening before the lock is dropped: until then a connect() would
	 * be refused, and the name taken for a dead one. */
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}
