/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of signed entries, against those that tiers have. */
#include "seen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static struct index_seen_of of_key(const struct entry *e)
{
	return (struct index_seen_of){ INDEX_SEEN_KEY, e->tenant, e->namespace,
				       e->name, e->key };
}

static struct index_seen_of of_branch(const struct entry *e, const char *branch)
{
	return (struct index_seen_of){ INDEX_SEEN_BRANCH, e->tenant,
				       e->namespace, e->name, branch };
}

int seen_note(struct index_batch *b, const struct entry *e,
	      const struct sign_public *signer)
{
	const struct index_seen_of key = of_key(e), any = of_branch(e, "");
	int64_t now = clock_wall_ns();
	struct index_seen seen = {
		.created_ns = e->created_ns < now ? e->created_ns : now,
		.seen_ns = now,
		.key = e->key,
	};
	int r;

	memcpy(seen.signer, signer->bytes, SIGN_KEY_LEN);
	r = index_put_seen(b, &key, &seen);
	if (r == 0)
		r = index_put_seen(b, &any, &seen);
	if (r == 0 && e->branch && *e->branch) {
		const struct index_seen_of own = of_branch(e, e->branch);

		r = index_put_seen(b, &own, &seen);
	}
	return r;
}

struct search {
	const struct trust *trust;
	struct index_seen found;
	char key[KEY_MAX + 1];
};

/* The first that counts is the newest; 1 ends the walk. */
static int take_trusted(void *arg, const struct index_seen *seen)
{
	struct search *s = arg;

	if (!trust_has(s->trust, seen->signer) || strlen(seen->key) > KEY_MAX)
		return 0;
	s->found = *seen;
	snprintf(s->key, sizeof(s->key), "%s", seen->key);
	return 1;
}

static int find(struct index *ix, const struct trust *t,
		const struct index_seen_of *of, struct search *ret_search)
{
	int r;

	ret_search->trust = t;
	if (!t)
		return -ENOENT;
	r = index_each_seen(ix, of, take_trusted, ret_search);
	return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

static int check(struct index *ix, const struct trust *t, const struct entry *e,
		 const struct index_seen_of *of)
{
	struct search s;
	int r = find(ix, t, of, &s);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return e->created_ns < s.found.created_ns ? -EKEYEXPIRED : 0;
}

int seen_check(struct index *ix, const struct trust *t, const struct entry *e)
{
	const struct index_seen_of of = of_key(e);

	return check(ix, t, e, &of);
}

int seen_check_newest(struct index *ix, const struct trust *t,
		      const struct entry *e, const char *branch)
{
	const struct index_seen_of of = of_branch(e, branch);

	return check(ix, t, e, &of);
}

int seen_newest(struct index *ix, const struct trust *t, const char *tenant,
		const char *namespace, const char *name, const char *branch,
		char ret_key[KEY_MAX + 1])
{
	const struct index_seen_of of = { INDEX_SEEN_BRANCH, tenant, namespace,
					  name, branch };
	struct search s;
	int r = find(ix, t, &of, &s);

	if (r == 0)
		memcpy(ret_key, s.key, sizeof(s.key));
	return r;
}

int seen_prune(struct index *ix)
{
	return index_prune_seen(ix, clock_wall_ns() - SEEN_KEPT_NS);
}
