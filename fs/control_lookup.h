/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which entry a run begins with: the restore order. Its rules, in this order:
 *
 *	key	the entry of the key itself: the outcome is exact
 *	prefix	the newest whose key begins with a prefix that was asked for,
 *		one prefix after the other
 *	branch	the newest of the branch
 *	name	the newest of any branch
 *	none	there is none: a miss
 *
 * Each rule asks the store and then the call's tiers; what a tier has is brought
 * into the store, and in the background into those above that tier. Any thread. Private to control*.c.
 */
#ifndef LARDER_FS_CONTROL_LOOKUP_H
#define LARDER_FS_CONTROL_LOOKUP_H

#include "control_internal.h"

#define LOOKUP_PREFIXES_MAX 64

struct control_lookup {
	const char *tenant, *namespace, *name, *key; /* borrowed, as prefixes */
	char *branch;				     /* owned; "" for none */
	const json_t *prefixes; /* array of strings, or NULL */
	bool exact;		/* look for the key */
	bool restore;		/* look for the branch and the name, too */
	bool no_local;		/* ask the tiers alone */
	bool only_look;		/* bring nothing here from a tier */
	/* Whether an entry serves, as the exact one or as a base; -ENOENT has
	 * the next rule's looked at. NULL: all do. */
	int (*accept)(void *arg, const struct entry *e, bool exact);
	void *arg;
};

struct control_found {
	struct entry entry; /* where has_entry */
	bool has_entry;
	const char *outcome; /* "exact", "partial" or "miss" */
	const char *rule;    /* as above */
	int refused; /* why the key's of a tier is (chain_is_refused()), or 0 */
	char reason[ENTRY_BRANCH_MAX + 2 * KEY_MAX + 128];
};

/* From tenant, namespace, name, key, branch, prefixes, exact (default: true)
 * and restore (likewise) of the parameters. -EINVAL. */
int control_lookup_parse(struct control_call *call,
			 struct control_lookup *ret_lookup);
void control_lookup_release(struct control_lookup *l);

/* Adds what a command has to know of why there is no exact entry to a result
 * that tells what was found. */
void control_found_add(const struct control_found *f, json_t *result);

/* 0, a miss too; a fault of the index. The caller releases it. */
int control_lookup(struct control_call *call, const struct control_lookup *l,
		   struct control_found *ret_found);
void control_found_release(struct control_found *f);

#endif
