/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any text as the description of a mount. What is taken keeps what
 * the header promises, and is written as text that says the same. One thread.
 */
#include <errno.h>
#include <limits.h>

#include "fs/mount_state.h"
#include "fuzz.h"
#include "store/base/cleanup.h"

static void check_state(const struct mount_state *s)
{
	must(mount_state_id_is_valid(s->id));
	must(s->dir && s->dir[0] == '/' && strlen(s->dir) < PATH_MAX);
	must(!s->all || (key_is_valid(s->all) && s->read_only));
	if (!s->has_entry)
		return;
	must(key_is_valid(s->entry.tenant) && key_is_valid(s->entry.namespace));
	must(key_is_valid(s->entry.name) && key_is_valid(s->entry.key));
	must(!*s->entry.parent || key_is_valid(s->entry.parent));
	must(strlen(s->entry.branch) <= ENTRY_BRANCH_MAX);
	must(strlen(s->entry.creator) <= ENTRY_CREATOR_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1), *first = NULL;
	_cleanup_free_ char *second = NULL;
	struct mount_state s, again;
	int r;

	fuzz_quiet();
	must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	r = mount_state_parse(text, &s);
	must(r == 0 || r == -EBADMSG || r == -ESTALE);
	if (r < 0)
		return 0;
	check_state(&s);
	first = mount_state_text(&s);
	must(first && mount_state_parse(first, &again) == 0);
	check_state(&again);
	second = mount_state_text(&again);
	must(second && strcmp(first, second) == 0);
	mount_state_release(&s);
	mount_state_release(&again);
	return 0;
}
