/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which trees an upper on disk needs, told from its log without opening it: for
 * who decides what of the store may go. The log may be in use. Any thread.
 */
#ifndef LARDER_FS_UPPER_TREES_H
#define LARDER_FS_UPPER_TREES_H

#include "store/digest.h"

/*
 * Calls `each` for every tree that a record of the log in `dirfd` names, more
 * than once perhaps, and also for one that is not needed any more. What is
 * behind a bad record is not looked at: no replay would come that far. -ESTALE
 * for a log of another version of Larder, whose trees cannot be told.
 */
int upper_trees(int dirfd, int (*each)(void *arg, const struct digest *catalog),
		void *arg);

#endif
