/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the chunks of a catalog's tree may be had that are not here: a source
 * for each catalog that came up in this process. Guarded by the store's lock.
 * What is made on top of a tree takes its source over (ingest.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "lazy.h"
#include "store_internal.h"

struct offer {
	struct dmap_node node; /* first; the digest is the catalog's */
	struct lazy_source *source;
};

static void offer_free(struct dmap_node *n)
{
	lazy_source_unref(((struct offer *)n)->source);
	free(n);
}

void store_release_sources(struct store *s)
{
	dmap_release(&s->sources, offer_free);
}

/* With the lock held; *ret_old is to be given back without it. */
static int offer(struct store *s, const struct digest *catalog,
		 struct lazy_source *src, struct lazy_source **ret_old)
{
	struct offer *o = (struct offer *)dmap_find(&s->sources, catalog);

	*ret_old = NULL;
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->node.digest = *catalog;
		if (dmap_add(&s->sources, &o->node) < 0) {
			free(o);
			return -ENOMEM;
		}
	}
	*ret_old = o->source;
	o->source = lazy_source_ref(src);
	return 0;
}

int store_offer_source(struct store *s, const struct digest *catalog,
		       struct lazy_source *src)
{
	struct lazy_source *old;
	int r;

	pthread_mutex_lock(&s->lock);
	r = offer(s, catalog, src, &old);
	pthread_mutex_unlock(&s->lock);
	lazy_source_unref(old);
	return r;
}

struct lazy_source *store_find_source(struct store *s,
				      const struct digest *catalog)
{
	LOCK_SCOPE(&s->lock);
	struct offer *o = (struct offer *)dmap_find(&s->sources, catalog);

	return o ? lazy_source_ref(o->source) : NULL;
}
