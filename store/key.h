/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys. A key is a string of the user's own, or a fingerprint: the SHA-256 of
 * the format version and the sorted parts. A part is (kind, name, digest); an
 * entry keeps its parts, so that a miss can be explained.
 *
 * Fingerprint input, each line ended by '\n':
 *	larder-key 2
 *	<kind> <hex digest> <name with '\\' and '\n' escaped>	(sorted bytewise)
 *
 *	kind	  name			digest of
 *	file	  path			its content
 *	link	  path			a symbolic link's target
 *	env	  variable		its value; zeros where it is not set
 *	salt				the text
 *	script	  command line		what it prints on standard output
 *	command	  command line		the same, of a tool's probe
 *	platform  key_platform()	that name
 *
 * A work tree's parts (git-...) are described in tools/fingerprint_git.c.
 */
#ifndef LARDER_KEY_H
#define LARDER_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

struct stat_cache;

#define KEY_MAX 128
#define KEY_PREFIX_MIN 6 /* of ENTRY's abbreviated keys */
#define KEY_KIND_MAX 32	 /* of a part's kind: lower-case letters and '-' */
#define KEY_PART_NAME_MAX 65535

struct key_part {
	char *kind; /* of the table above */
	char *name; /* a path relative to the root, a variable's name, ... */
	struct digest digest;
};

/* A set of parts under construction. One thread. */
struct key_parts {
	struct key_part *items;
	size_t count;
	size_t cap;
};

#define KEY_PARTS_INIT     \
	{                  \
		NULL, 0, 0 \
	}

void key_parts_release(struct key_parts *p);
bool key_part_is_valid(const char *kind, const char *name);

/* -EINVAL for a part that is not valid. */
int key_parts_add(struct key_parts *p, const char *kind, const char *name,
		  const struct digest *digest);
void key_parts_sort(struct key_parts *p); /* and drops equal ones */

/* Where patterns are looked for. All borrowed. */
struct key_place {
	int rootfd;
	struct stat_cache *cache; /* of paths relative to it; may be NULL */
	/* Paths relative to the root: directories that are not entered, and
	 * files that count only where a pattern without wildcards names them. */
	const char *const *outputs;
	size_t noutputs;
};

/*
 * Adds every file below the root that matches `glob` (relative to it; `*`,
 * `?` and `[...]` within a name, `**` for any number of directories; hidden
 * names only where the pattern says so; directories .git and mounted file
 * systems are not entered). A symbolic link counts as its target text, kind
 * "link". The exec bit is not part of the digest. Sockets, pipes and devices do
 * not match. Names are bytes, whatever the locale.
 * -EINVAL for an absolute pattern, "..", a trailing '/' and more than 63
 * components; -ENOENT where nothing matches (logged by the caller, who knows
 * the option).
 * *ret_bad gets the path of the file that failed, where one did (caller frees).
 */
int key_add_files(struct key_parts *p, const struct key_place *place,
		  const char *glob, char **ret_bad);

/* A variable's value (absent: a digest of zeros, so that absent and empty
 * differ), and a salt. */
int key_add_env(struct key_parts *p, const char *var);
int key_add_salt(struct key_parts *p, const char *salt);
int key_add_platform(struct key_parts *p);

/* Sorts and hashes. -EINVAL for no parts. */
int key_fingerprint(struct key_parts *p, struct digest *ret_digest);

/* Alphabet of keys and names: [A-Za-z0-9][A-Za-z0-9._-]{0,127}. */
bool key_is_valid(const char *key);

/* "linux-x86_64" and so on. */
const char *key_platform(void);

#endif
