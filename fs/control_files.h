/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a run: paths that are no directories, and so are written to
 * their place rather than mounted there. One call's thread. Private to
 * control*.c.
 */
#ifndef LARDER_FS_CONTROL_FILES_H
#define LARDER_FS_CONTROL_FILES_H

#include "control_places.h"

/* What becomes of a path that is a file, or is to be one. */
enum control_file_step {
	FILE_STAYS,   /* what is there, if anything */
	FILE_WRITTEN, /* the base takes its place */
	FILE_REMOVED,
};

struct control_files {
	struct control_places *at;
	struct {
		enum control_file_step step;
		bool there; /* a file is */
	} items[ROOTS_MAX];
};

/*
 * Decides what becomes of each place whose form is a file:
 *
 *	nothing there		the base is written
 *	any, the run builds	it stays: nothing in the store is nearer
 *	the entry found		it stays, an exact hit
 *	of the same content	the base is written, an exact hit
 *	another of the store's	makes room for an exact hit, or for nothing
 *	of the user's		refused, or stays where it is adopted: then
 *				the hit is none
 *
 * Nothing is changed yet, but *found may be.
 */
int control_files_judge(struct control_places *at,
			const struct control_lookup *l,
			struct control_found *found,
			struct control_files *ret_files);

/* Does it. A base that cannot be written is logged and makes the hit none:
 * the cache fails no build. */
int control_files_put(const struct control_files *f,
		      struct control_found *found);

/* Whether a file was there, and stays. */
bool control_file_reused(const struct control_files *f, size_t i);

/* {"kind","reused"}: what prepare answers for a place that is no directory. */
json_t *control_file_json(const struct control_files *f, size_t i);

/* Stores the file `path` as a root's tree. */
int control_file_ingest(struct control_call *call, const char *path,
			struct ingest_result *ret_result);

#endif
