/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an upper on disk needs and whether it holds anything, told from its log
 * without opening it: for who decides what of the store, or of what mounts left,
 * may go. The log may be in use. Any thread.
 */
#ifndef LARDER_FS_UPPER_TREES_H
#define LARDER_FS_UPPER_TREES_H

#include <stdbool.h>

#include "store/digest.h"

/*
 * Calls `each` for every tree that a record of the log in `dirfd` names, more
 * than once perhaps, and also for one that is not needed any more. What is
 * behind a bad record is not looked at: no replay would come that far. -ESTALE
 * for a log of another version of Larder, whose trees cannot be told.
 */
int upper_trees(int dirfd, int (*each)(void *arg, const struct digest *catalog),
		void *arg);

/* Whether the log in `dirfd` surely says of nothing that was changed since the
 * mount began or since its last commit. False where that cannot be told. */
bool upper_is_clean(int dirfd);

#endif
