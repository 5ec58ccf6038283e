/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of mount.json: written with every field, read back with every field
 * checked.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/io.h"
#include "store/base/log.h"

#include "json_scope.h"
#include "mount_state.h"
#include "rpc.h"

#define STATE_FORMAT 1

void mount_state_release(struct mount_state *s)
{
	free(s->dir);
	free(s->tiers);
	free(s->all);
	entry_release(&s->entry);
	memset(s, 0, sizeof(*s));
}

/* The parts may be a million; they are moved aside rather than copied. */
int mount_state_copy_entry(const struct entry *e, struct entry *ret_entry)
{
	struct entry without = *e;

	memset(&without.parts, 0, sizeof(without.parts));
	return entry_copy(&without, ret_entry);
}

int mount_state_new_id(char ret_id[MOUNT_ID_LEN + 1])
{
	uint8_t bytes[MOUNT_ID_LEN / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	hex_encode(bytes, sizeof(bytes), ret_id);
	return 0;
}

/* Numbers are signed in JSON: one above 2^63 is written as a negative one,
 * which is refused when it is read. */
static const struct {
	const char *name;
	size_t offset;
} entry_numbers[] = {
	{ "files", offsetof(struct entry, files) },
	{ "dirs", offsetof(struct entry, dirs) },
	{ "bytes", offsetof(struct entry, bytes) },
	{ "new_files", offsetof(struct entry, new_files) },
	{ "new_bytes", offsetof(struct entry, new_bytes) },
	{ "stored_bytes", offsetof(struct entry, stored_bytes) },
};

#define ENTRY_NUMBERS (sizeof(entry_numbers) / sizeof(entry_numbers[0]))

static json_t *entry_json(const struct entry *e)
{
	char catalog[DIGEST_HEX_LEN + 1], parent_catalog[DIGEST_HEX_LEN + 1];
	json_t *j;

	digest_hex(&e->catalog, catalog);
	digest_hex(&e->parent_catalog, parent_catalog);
	j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:I}",
		      "tenant", e->tenant, "namespace", e->namespace, "name",
		      e->name, "key", e->key, "branch",
		      rpc_string(e->branch, strlen(e->branch)), "creator",
		      rpc_string(e->creator, strlen(e->creator)), "parent",
		      e->parent, "catalog", catalog, "parent_catalog",
		      parent_catalog, "created_ns", (json_int_t)e->created_ns);
	for (size_t i = 0; j && i < ENTRY_NUMBERS; i++) {
		const uint64_t *n = (const void *)((const char *)e +
						   entry_numbers[i].offset);

		json_object_set_new(j, entry_numbers[i].name,
				    json_integer((json_int_t)*n));
	}
	return j;
}

char *mount_state_text(const struct mount_state *s)
{
	_cleanup_json_ json_t *j = NULL;
	char base[DIGEST_HEX_LEN + 1];

	digest_hex(&s->base, base);
	j = json_pack("{s:i, s:s, s:o, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I}",
		      "format", STATE_FORMAT, "id", s->id, "dir",
		      rpc_string(s->dir, strlen(s->dir)), "read_only",
		      s->read_only, "allow_other", s->allow_other, "suid_dev",
		      s->suid_dev, "stateful_open", s->stateful_open, "uid",
		      (json_int_t)s->uid, "gid", (json_int_t)s->gid,
		      "mounted_ns", (json_int_t)s->mounted_ns, "kept_ns",
		      (json_int_t)s->kept_ns);
	if (!j ||
	    json_object_set_new(j, "base",
				s->has_base ? json_string(base) : json_null()) <
		    0 ||
	    json_object_set_new(j, "entry",
				s->has_entry ? entry_json(&s->entry) :
					       json_null()) < 0 ||
	    (s->writeback &&
	     json_object_set_new(j, "writeback", json_true()) < 0) ||
	    (s->over_files &&
	     json_object_set_new(j, "over_files", json_true()) < 0) ||
	    (s->all &&
	     json_object_set_new(j, "all", json_string(s->all)) < 0) ||
	    (s->tiers &&
	     json_object_set_new(j, "tiers", json_loads(s->tiers, 0, NULL)) <
		     0))
		return NULL;
	return json_dumps(j, JSON_COMPACT);
}

/* --- reading --- */

static int parse_strings(const json_t *j, struct entry *e)
{
	const char *tenant, *ns, *name, *key, *parent;
	json_t *branch, *creator;

	if (json_unpack((json_t *)j, "{s:s, s:s, s:s, s:s, s:o, s:o, s:s}",
			"tenant", &tenant, "namespace", &ns, "name", &name,
			"key", &key, "branch", &branch, "creator", &creator,
			"parent", &parent) < 0 ||
	    !key_is_valid(tenant) || !key_is_valid(ns) || !key_is_valid(name) ||
	    !key_is_valid(key) || (*parent && !key_is_valid(parent)) ||
	    !json_is_string(branch) || !json_is_string(creator))
		return -EBADMSG;
	e->tenant = strdup(tenant);
	e->namespace = strdup(ns);
	e->name = strdup(name);
	e->key = strdup(key);
	e->branch = rpc_bytes(branch, NULL);
	e->creator = rpc_bytes(creator, NULL);
	e->parent = strdup(parent);
	if (!e->tenant || !e->namespace || !e->name || !e->key || !e->branch ||
	    !e->creator || !e->parent)
		return -ENOMEM;
	if (strlen(e->branch) > ENTRY_BRANCH_MAX || strchr(e->branch, '\n') ||
	    strlen(e->creator) > ENTRY_CREATOR_MAX)
		return -EBADMSG;
	return 0;
}

static int parse_numbers(const json_t *j, struct entry *e)
{
	const json_t *created = json_object_get(j, "created_ns");

	for (size_t i = 0; i < ENTRY_NUMBERS; i++) {
		const json_t *n = json_object_get(j, entry_numbers[i].name);

		if (!json_is_integer(n) || json_integer_value(n) < 0)
			return -EBADMSG;
		*(uint64_t *)(void *)((char *)e + entry_numbers[i].offset) =
			(uint64_t)json_integer_value(n);
	}
	if (!json_is_integer(created))
		return -EBADMSG;
	e->created_ns = json_integer_value(created);
	return 0;
}

static int parse_digest(const json_t *object, const char *name,
			struct digest *ret_digest)
{
	const char *hex = json_string_value(json_object_get(object, name));

	return hex && digest_parse(hex, ret_digest) == 0 ? 0 : -EBADMSG;
}

static int entry_parse(const json_t *j, struct entry *ret_entry)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	int r;

	r = parse_strings(j, &e);
	if (r == 0)
		r = parse_numbers(j, &e);
	if (r == 0)
		r = parse_digest(j, "catalog", &e.catalog);
	if (r == 0)
		r = parse_digest(j, "parent_catalog", &e.parent_catalog);
	if (r < 0)
		return r;
	*ret_entry = e;
	e = (struct entry)ENTRY_INIT;
	return 0;
}

bool mount_state_id_is_valid(const char *id)
{
	return strlen(id) == MOUNT_ID_LEN &&
	       strspn(id, "0123456789abcdef") == MOUNT_ID_LEN;
}

/* -ESTALE: by a later version, which may have changed all else. */
static int check_format(const json_t *j)
{
	const json_t *format = json_object_get(j, "format");

	if (!json_is_integer(format) || json_integer_value(format) < 1)
		return -EBADMSG;
	return json_integer_value(format) > STATE_FORMAT ? -ESTALE : 0;
}

static int parse_fields(json_t *j, struct mount_state *s)
{
	int read_only, allow_other, suid_dev, stateful_open;
	int writeback = 0, over_files = 0;
	json_int_t format, uid, gid, mounted, kept;
	const char *id, *all = NULL;
	json_t *dir, *tiers;

	if (json_unpack(
		    j,
		    "{s:I, s:s, s:o, s:b, s:b, s:b, s:b, s?b, s?b, s?s, s:I, "
		    "s:I, s:I, s:I}",
		    "format", &format, "id", &id, "dir", &dir, "read_only",
		    &read_only, "allow_other", &allow_other, "suid_dev",
		    &suid_dev, "stateful_open", &stateful_open, "writeback",
		    &writeback, "over_files", &over_files, "all", &all, "uid",
		    &uid, "gid", &gid, "mounted_ns", &mounted, "kept_ns",
		    &kept) < 0 ||
	    format != STATE_FORMAT || !mount_state_id_is_valid(id) || uid < 0 ||
	    uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX || mounted < 0 ||
	    kept < 0 || !json_is_string(dir))
		return -EBADMSG;
	memcpy(s->id, id, sizeof(s->id));
	s->read_only = read_only;
	s->allow_other = allow_other;
	s->suid_dev = suid_dev;
	s->stateful_open = stateful_open;
	s->writeback = writeback;
	s->over_files = over_files;
	s->uid = (uint32_t)uid;
	s->gid = (uint32_t)gid;
	s->mounted_ns = mounted;
	s->kept_ns = kept;
	s->dir = rpc_bytes(dir, NULL);
	tiers = json_object_get(j, "tiers");
	if (tiers && !json_is_array(tiers))
		return -EBADMSG;
	s->tiers = tiers ? json_dumps(tiers, JSON_COMPACT) : NULL;
	if (all && (!key_is_valid(all) || !read_only))
		return -EBADMSG;
	s->all = all ? strdup(all) : NULL;
	if (all && !s->all)
		return -ENOMEM;
	return s->dir && s->dir[0] == '/' && strlen(s->dir) < PATH_MAX ?
		       0 :
		       -EBADMSG;
}

/* Base and entry may be null, but nothing else: an upper over the wrong base
 * would show a tree that never was. */
static int parse_tree(const json_t *j, struct mount_state *s)
{
	const json_t *base = json_object_get(j, "base");
	const json_t *entry = json_object_get(j, "entry");
	int r;

	if (!json_is_null(base)) {
		r = parse_digest(j, "base", &s->base);
		if (r < 0)
			return r;
		s->has_base = true;
	}
	if (json_is_null(entry))
		return 0;
	r = entry_parse(entry, &s->entry);
	if (r < 0)
		return r;
	s->has_entry = true;
	return 0;
}

int mount_state_parse(const char *text, struct mount_state *ret)
{
	_cleanup_json_ json_t *j =
		json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	struct mount_state s = { .dir = NULL };
	int r;

	if (!j)
		return -EBADMSG;
	r = check_format(j);
	if (r == 0)
		r = parse_fields(j, &s);
	if (r == 0)
		r = parse_tree(j, &s);
	if (r < 0) {
		mount_state_release(&s);
		return r;
	}
	*ret = s;
	return 0;
}
