/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries as structs, and the limits of what they may hold. No state; an entry
 * belongs to one thread at a time.
 */
#include "entry_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void entry_release(struct entry *e)
{
	free(e->tenant);
	free(e->namespace);
	free(e->name);
	free(e->key);
	free(e->branch);
	free(e->creator);
	free(e->parent);
	key_parts_release(&e->parts);
	free(e->signatures);
	*e = (struct entry)ENTRY_INIT;
}

static int copy_string(const char *s, char **ret_copy)
{
	if (!s)
		return 0;
	*ret_copy = strdup(s);
	return *ret_copy ? 0 : -ENOMEM;
}

static int copy_strings(const struct entry *e, struct entry *copy)
{
	if (copy_string(e->tenant, &copy->tenant) < 0 ||
	    copy_string(e->namespace, &copy->namespace) < 0 ||
	    copy_string(e->name, &copy->name) < 0 ||
	    copy_string(e->key, &copy->key) < 0 ||
	    copy_string(e->branch, &copy->branch) < 0 ||
	    copy_string(e->creator, &copy->creator) < 0 ||
	    copy_string(e->parent, &copy->parent) < 0)
		return -ENOMEM;
	return 0;
}

static int copy_parts(const struct key_parts *parts, struct key_parts *copy)
{
	size_t i;
	int r;

	for (i = 0; i < parts->count; i++) {
		const struct key_part *part = &parts->items[i];

		r = key_parts_add(copy, part->kind, part->name, &part->digest);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_signatures(const struct entry *e, struct entry *copy)
{
	if (e->signature_count == 0)
		return 0;
	copy->signatures =
		calloc(e->signature_count, sizeof(*copy->signatures));
	if (!copy->signatures)
		return -ENOMEM;
	memcpy(copy->signatures, e->signatures,
	       e->signature_count * sizeof(*copy->signatures));
	copy->signature_count = e->signature_count;
	return 0;
}

int entry_copy(const struct entry *e, struct entry *ret_entry)
{
	_cleanup_entry_ struct entry copy = *e;
	int r;

	/* The numbers are copied above; nothing is shared from here on. */
	copy.tenant = copy.namespace = copy.name = copy.key = NULL;
	copy.branch = copy.creator = copy.parent = NULL;
	copy.parts = (struct key_parts)KEY_PARTS_INIT;
	copy.signatures = NULL;
	copy.signature_count = 0;
	r = copy_strings(e, &copy);
	if (r == 0)
		r = copy_parts(&e->parts, &copy.parts);
	if (r == 0)
		r = copy_signatures(e, &copy);
	if (r < 0)
		return r;
	*ret_entry = copy;
	copy = (struct entry)ENTRY_INIT;
	return 0;
}

/* Limits, the same in both directions */

static bool text_is_valid(const char *s, size_t max)
{
	return strlen(s) <= max && !strchr(s, '\n');
}

static bool signatures_are_valid(const struct entry *e)
{
	if (e->signature_count > ENTRY_SIGNATURES_MAX)
		return false;
	for (unsigned i = 0; i < e->signature_count; i++) {
		const char *key = e->signatures[i].key;

		if (!key_is_valid(key) ||
		    (i > 0 && strcmp(e->signatures[i - 1].key, key) >= 0))
			return false;
	}
	return true;
}

const char *entry_fault(const struct entry *e)
{
	const char *parent = entry_text(e->parent);

	if (!key_is_valid(entry_text(e->tenant)))
		return "tenant";
	if (!key_is_valid(entry_text(e->namespace)))
		return "namespace";
	if (!key_is_valid(entry_text(e->name)))
		return "name";
	if (!key_is_valid(entry_text(e->key)))
		return "key";
	if (*parent && !key_is_valid(parent))
		return "parent";
	if (!text_is_valid(entry_text(e->branch), ENTRY_BRANCH_MAX))
		return "branch";
	if (!text_is_valid(entry_text(e->creator), ENTRY_CREATOR_MAX))
		return "creator";
	if (e->created_ns < 0)
		return "time of creation";
	if (e->parts.count > ENTRY_PARTS_MAX)
		return "number of parts";
	if (!signatures_are_valid(e))
		return "signature";
	return NULL;
}
