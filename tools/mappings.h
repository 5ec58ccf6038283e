/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that running programs have mapped shared and for writing. What they
 * write there is in the page cache until the kernel writes it back, and since
 * Linux 6.18 syncfs(2) does not wait for that on a FUSE file system. (A program
 * that ends or unmaps waits for its own.) No state.
 */
#ifndef LARDER_TOOLS_MAPPINGS_H
#define LARDER_TOOLS_MAPPINGS_H

#include <sys/types.h>

/*
 * Writes back what is mapped so of the file system `dev`, by the processes
 * that the caller may look into: its own, for root all. Files that have no
 * name any more are left out. -EIO and the like where a file could not be
 * written back.
 */
int mappings_flush(dev_t dev);

#endif
