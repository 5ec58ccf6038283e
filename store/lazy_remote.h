/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source of lazy trees that a chain of remote tiers is, for one tenant and
 * namespace; and bringing here what a mount needs of a tree before the first
 * read. Any thread.
 */
#ifndef LARDER_LAZY_REMOTE_H
#define LARDER_LAZY_REMOTE_H

#include "lazy.h"
#include "remote.h"

/* One reference. The chain is referenced, the strings are copied. */
int lazy_remote_new(struct chain *chain, const char *tenant,
		    const char *namespace, struct lazy_source **ret_source);

/* The chain of a source that lazy_remote_new() made; borrowed. */
struct chain *lazy_remote_chain(const struct lazy_source *src);

/* Brings catalog and placement of an entry's tree here where they are not yet,
 * with one request and no chunk, and then the entry itself. Errors as of
 * remote_pull(). */
int lazy_remote_bring(const struct remote *r, const struct entry *e);

static inline void cleanup_lazy_source(struct lazy_source **src)
{
	lazy_source_unref(*src);
}

#define _cleanup_lazy_source_ __attribute__((cleanup(cleanup_lazy_source)))

#endif
