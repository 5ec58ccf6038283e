/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembering which tree a file is, for lone_file*.c. Any thread.
 */
#ifndef LARDER_LONE_FILE_NOTE_H
#define LARDER_LONE_FILE_NOTE_H

#include <sys/stat.h>

#include "manifest.h"

/* Now (since 1970), after waiting until a change of the file could not be
 * mistaken for what it is: see manifest.h. */
int64_t lone_file_settle(const struct stat *st);

/* The open file is the only one of the tree `catalog`, and was at `as_of_ns`.
 * A failure costs the next one time only, and is logged. */
void lone_file_note(struct store *s, int fd, const struct digest *catalog,
		    int64_t as_of_ns, const char *label);

#endif
