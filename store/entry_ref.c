/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ENTRY as users write it. Names and keys have no '@', so the first one
 * separates them and a branch may contain more. Pure function; looks nothing
 * up.
 */
#include "entry.h"

#include <errno.h>
#include <string.h>

static const char branch_prefix[] = "branch:";

static int parse_branch(const char *text, struct entry_ref *ref)
{
	size_t len = strlen(text);

	if (len == 0 || len > ENTRY_BRANCH_MAX || strchr(text, '\n'))
		return -EINVAL;
	ref->kind = ENTRY_REF_BRANCH;
	memcpy(ref->arg, text, len + 1);
	return 0;
}

static int parse_key(const char *text, struct entry_ref *ref)
{
	if (!key_is_valid(text))
		return -EINVAL;
	ref->kind = ENTRY_REF_KEY;
	memcpy(ref->arg, text, strlen(text) + 1);
	return 0;
}

static int parse_arg(const char *text, struct entry_ref *ref)
{
	size_t prefix_len = strlen(branch_prefix);

	if (strncmp(text, branch_prefix, prefix_len) == 0)
		return parse_branch(text + prefix_len, ref);
	if (strcmp(text, "latest") != 0)
		return parse_key(text, ref);
	ref->kind = ENTRY_REF_LATEST;
	return 0;
}

int entry_ref_parse(const char *text, struct entry_ref *ret_ref)
{
	const char *at = strchr(text, '@');
	struct entry_ref ref = { 0 };
	int r;

	if (!at || (size_t)(at - text) >= sizeof(ref.name))
		return -EINVAL;
	memcpy(ref.name, text, at - text);
	if (!key_is_valid(ref.name))
		return -EINVAL;
	r = parse_arg(at + 1, &ref);
	if (r < 0)
		return r;
	*ret_ref = ref;
	return 0;
}
