/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of a run, and what an entry has for each of them. One call's
 * thread. Private to control*.c.
 */
#ifndef LARDER_FS_CONTROL_PLACES_H
#define LARDER_FS_CONTROL_PLACES_H

#include "store/roots.h"

#include "control_lookup.h"

/* What is at the path now, as the client says. */
enum control_now {
	NOW_DIR,   /* a directory, perhaps a mount */
	NOW_EMPTY, /* one that holds nothing and is no mount */
	NOW_NONE,  /* nothing */
	NOW_FILE,  /* a regular file */
};

struct control_place {
	char *dir;	  /* absolute */
	const char *root; /* its name in the entry; NULL: is all of it */
	enum control_now now;
	struct digest base; /* of the entry that was found, where has_base */
	bool has_base;
	enum root_kind kind; /* of the base */
};

/* What the path becomes. */
enum control_form {
	FORM_DIR,     /* a mount, or a directory that is written */
	FORM_FILE,    /* a file */
	FORM_NOTHING, /* what the command makes of it */
};

struct control_places {
	struct control_call *call;
	struct control_place items[ROOTS_MAX];
	size_t count;
	bool damaged, other_roots; /* why an entry was passed over */
};

/* The field `now` of a root: "dir" (the default), "empty", "none" or "file".
 * -EINVAL. */
int control_root_now(struct control_call *call, const json_t *root,
		     enum control_now *ret_now);

/* What a root is stored as that is so now. */
enum root_kind control_now_kind(enum control_now now);

/* From `roots` of the parameters. -EINVAL. The caller releases it. */
int control_places_parse(struct control_call *call,
			 struct control_places *ret_places);
void control_places_release(struct control_places *p);

enum control_form control_place_form(const struct control_place *place);

/*
 * Looks an entry up that has all of the places, as the exact one, or some, as
 * a base, and whose trees can be opened; fills in their bases. A fault of the
 * cache is a miss, said once.
 */
void control_places_look_up(struct control_places *p, struct control_lookup *l,
			    struct control_found *ret_found);

#endif
