/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a run, and what an entry has for each of them. One call's
 * thread. Private to control*.c.
 */
#ifndef LARDER_FS_CONTROL_PLACES_H
#define LARDER_FS_CONTROL_PLACES_H

#include "store/roots.h"

#include "control_lookup.h"

struct control_place {
	char *dir;	    /* absolute */
	const char *root;   /* its name in the entry; NULL: is all of it */
	struct digest base; /* of the entry that was found, where has_base */
	bool has_base;
};

struct control_places {
	struct control_call *call;
	struct control_place items[ROOTS_MAX];
	size_t count;
	bool damaged, other_roots; /* why an entry was passed over */
};

/* From `roots` of the parameters. -EINVAL. The caller releases it. */
int control_places_parse(struct control_call *call,
			 struct control_places *ret_places);
void control_places_release(struct control_places *p);

/*
 * Looks an entry up that has all of the places, as the exact one, or some, as
 * a base, and whose trees can be opened; fills in their bases. A fault of the
 * cache is a miss, said once.
 */
void control_places_look_up(struct control_places *p, struct control_lookup *l,
			    struct control_found *ret_found);

#endif
