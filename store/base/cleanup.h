/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope cleanup: what a scope owns is declared initialised with one of these
 * attributes and is released when the scope ends; handing over is explicit
 * with steal_fd() or steal_ptr().
 */
#ifndef LARDER_BASE_CLEANUP_H
#define LARDER_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* close(2) that keeps errno and takes -1. Never retried: on Linux the
 * descriptor is gone even after EINTR. */
static inline void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_unlock(pthread_mutex_t **lock)
{
	if (*lock)
		pthread_mutex_unlock(*lock);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

#define LOCK_CONCAT_(a, b) a##b
#define LOCK_CONCAT(a, b) LOCK_CONCAT_(a, b)

/* Holds `mutex` until the scope ends. */
#define LOCK_SCOPE(mutex)                                                      \
	_cleanup_(cleanup_unlock)                                              \
		pthread_mutex_t *LOCK_CONCAT(scope_lock_, __LINE__) = (mutex); \
	pthread_mutex_lock(LOCK_CONCAT(scope_lock_, __LINE__))

static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define steal_ptr(p)                            \
	({                                      \
		__typeof__(*(p)) taken_ = *(p); \
		*(p) = NULL;                    \
		taken_;                         \
	})

#endif
