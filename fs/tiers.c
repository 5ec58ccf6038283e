/* SPDX-License-Identifier: Apache-2.0 */
/* Chains by what they were made from, in a list, most recently used first. */
#include "tiers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/key.h"
#include "store/tier_open.h"

#include "json_scope.h"
#include "tier_secrets.h"

#define KEPT_MAX 8

struct known {
	TAILQ_ENTRY(known) all;
	json_t *list;
	struct chain *chain;
};

TAILQ_HEAD(known_list, known);

struct tiers {
	struct vault *vault; /* constant */

	pthread_mutex_t lock; /* guards all below */
	struct known_list known;
	unsigned count;
};

int tiers_new(struct supervisor_link *link, struct tiers **ret_tiers)
{
	struct tiers *t = calloc(1, sizeof(*t));
	int r = t ? vault_new(link, &t->vault) : -ENOMEM;

	if (r < 0) {
		free(t);
		return r;
	}
	pthread_mutex_init(&t->lock, NULL);
	TAILQ_INIT(&t->known);
	*ret_tiers = t;
	return 0;
}

static void known_free(struct known *k)
{
	if (!k)
		return;
	json_decref(k->list);
	chain_unref(k->chain);
	free(k);
}

void tiers_free(struct tiers *t)
{
	struct known *k;

	if (!t)
		return;
	while ((k = TAILQ_FIRST(&t->known))) {
		TAILQ_REMOVE(&t->known, k, all);
		known_free(k);
	}
	vault_free(t->vault);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

json_t *tiers_public(const json_t *list)
{
	json_t *copy = json_deep_copy(list), *tier;
	size_t i;

	json_array_foreach(copy, i, tier) json_object_del(tier, "secrets");
	return copy;
}

/* --- making one --- */

static const char *text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static unsigned parse_access(const char *access)
{
	if (!access || strcmp(access, "r") == 0)
		return CHAIN_READ;
	if (strcmp(access, "w") == 0)
		return CHAIN_WRITE;
	return strcmp(access, "rw") == 0 ? CHAIN_READ | CHAIN_WRITE : 0;
}

static int add_tier(struct chain *c, const json_t *tier, char *ret_fault)
{
	const json_t *secrets = json_object_get(tier, "secrets");
	const struct tier_options options = {
		.layout = text(tier, "layout"),
		.endpoint = text(tier, "endpoint"),
		.region = text(tier, "region"),
		.ca = text(tier, "ca"),
		.certificate = text(tier, "certificate"),
		.certificate_key = text(tier, "certificate-key"),
		.token_file = text(tier, "token-file"),
		.credentials = text(tier, "credentials"),
		.credential_helper = text(tier, "credential-helper"),
		.token = text(secrets, "token"),
		.access_key = text(secrets, "access-key"),
		.secret_key = text(secrets, "secret-key"),
		.session_token = text(secrets, "session-token"),
	};
	const char *name = text(tier, "name"), *url = text(tier, "url");
	unsigned access = parse_access(text(tier, "access"));
	char fault[TIER_OPEN_FAULT_MAX] = "";
	struct tier *t;
	int r;

	if (!name || !key_is_valid(name) || !url || !access) {
		snprintf(ret_fault, TIERS_FAULT_MAX,
			 "a tier needs a name, a url and an access of r, w or "
			 "rw");
		return -EINVAL;
	}
	r = tier_open(url, &options, fault, &t);
	if (r < 0) {
		snprintf(ret_fault, TIERS_FAULT_MAX, "the tier %s: %s", name,
			 *fault ? fault : strerror(-r));
		return r;
	}
	return chain_add(c, name, t, access);
}

static int make_chain(const json_t *list, char *ret_fault,
		      struct chain **ret_chain)
{
	_cleanup_chain_ struct chain *c = NULL;
	int r = chain_new(&c);
	json_t *tier;
	size_t i;

	if (json_array_size(list) > CHAIN_TIERS_MAX) {
		snprintf(ret_fault, TIERS_FAULT_MAX, "more than %d tiers",
			 CHAIN_TIERS_MAX);
		return -EINVAL;
	}
	json_array_foreach(list, i, tier)
	{
		if (r == 0)
			r = add_tier(c, tier, ret_fault);
	}
	if (r == 0)
		*ret_chain = steal_ptr(&c);
	else if (!*ret_fault)
		snprintf(ret_fault, TIERS_FAULT_MAX, "%s", strerror(-r));
	return r;
}

/* --- finding one --- */

/* Under the lock, as the next two. */
static struct chain *find(struct tiers *t, const json_t *list)
{
	struct known *k;

	TAILQ_FOREACH(k, &t->known, all)
	{
		if (!json_equal(k->list, list))
			continue;
		TAILQ_REMOVE(&t->known, k, all);
		TAILQ_INSERT_HEAD(&t->known, k, all);
		return chain_ref(k->chain);
	}
	return NULL;
}

/* What falls out of the list is the caller's to free. */
static struct known *add(struct tiers *t, struct known *k)
{
	TAILQ_INSERT_HEAD(&t->known, k, all);
	if (++t->count <= KEPT_MAX)
		return NULL;
	k = TAILQ_LAST(&t->known, known_list);
	TAILQ_REMOVE(&t->known, k, all);
	t->count--;
	return k;
}

static struct chain *find_locked(struct tiers *t, const json_t *list)
{
	LOCK_SCOPE(&t->lock);

	return find(t, list);
}

/* Another thread may have made the same meanwhile; then that one is used. */
static struct known *add_locked(struct tiers *t, struct known *k,
				struct chain **ret_chain)
{
	LOCK_SCOPE(&t->lock);

	*ret_chain = find(t, k->list);
	if (*ret_chain)
		return k;
	*ret_chain = chain_ref(k->chain);
	return add(t, k);
}

int tiers_get(struct tiers *t, const json_t *list, char *ret_fault,
	      struct chain **ret_chain)
{
	struct known *k;
	int r;

	*ret_fault = '\0';
	*ret_chain = find_locked(t, list);
	if (*ret_chain)
		return 0;
	k = calloc(1, sizeof(*k));
	r = k ? make_chain(list, ret_fault, &k->chain) : -ENOMEM;
	if (r == 0) {
		k->list = json_deep_copy(list);
		r = k->list ? 0 : -ENOMEM;
	}
	if (r < 0) {
		known_free(k);
		return r;
	}
	known_free(add_locked(t, k, ret_chain));
	return 0;
}

/* --- without their secrets --- */

/* What is kept for an owner, where it is of these tiers. */
static json_t *find_kept(struct tiers *t, const char *owner, const json_t *list)
{
	json_t *kept = vault_get(t->vault, owner);
	_cleanup_json_ json_t *public = kept ? tiers_public(kept) : NULL;

	if (json_equal(public, list))
		return kept;
	json_decref(kept);
	return NULL;
}

static json_t *with_environment(const json_t *list)
{
	json_t *own = json_deep_copy(list), *tier;
	size_t i;

	json_array_foreach(own, i, tier) tier_add_secrets(tier, false);
	return own;
}

int tiers_get_kept(struct tiers *t, const char *owner, const json_t *list,
		   char *ret_fault, struct chain **ret_chain)
{
	_cleanup_json_ json_t *own = find_kept(t, owner, list);

	*ret_fault = '\0';
	if (!own)
		own = with_environment(list);
	return own ? tiers_get(t, own, ret_fault, ret_chain) : -ENOMEM;
}

static bool any_secrets(const json_t *list)
{
	const json_t *tier;
	size_t i;

	json_array_foreach(list, i, tier)
	{
		if (json_object_get(tier, "secrets"))
			return true;
	}
	return false;
}

void tiers_keep(struct tiers *t, const char *owner, const json_t *list)
{
	int r = any_secrets(list) ? vault_put(t->vault, owner, list) : 0;

	if (r < 0)
		log_warn(r, "the secrets of tiers are not kept for the %s",
			 owner);
}

json_t *tiers_kept(struct tiers *t, const char *owner)
{
	return vault_get(t->vault, owner);
}

void tiers_forget(struct tiers *t, const char *owner)
{
	vault_remove(t->vault, owner);
}

void tiers_sweep(struct tiers *t, bool (*lives)(void *arg, const char *owner),
		 void *arg)
{
	vault_sweep(t->vault, lives, arg);
}

int tiers_each(struct tiers *t,
	       int (*each)(void *arg, struct chain *c, const json_t *list),
	       void *arg)
{
	LOCK_SCOPE(&t->lock);
	struct known *k;
	int r = 0;

	TAILQ_FOREACH(k, &t->known, all)
	{
		if (r == 0)
			r = each(arg, k->chain, k->list);
	}
	return r;
}
