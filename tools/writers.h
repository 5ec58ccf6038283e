/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that running programs have mapped shared and for writing, or open for
 * writing. What they wrote there may be in the page cache only until the kernel
 * writes it back: of mappings always, of open files on mounts with
 * -o writeback. Since Linux 6.18 syncfs(2) does not wait for that on a FUSE
 * file system. (A program that ends, unmaps or closes waits for its own.) No
 * state.
 */
#ifndef LARDER_TOOLS_WRITERS_H
#define LARDER_TOOLS_WRITERS_H

#include <sys/types.h>

/*
 * Writes back what processes that the caller may look into (its own; for root
 * all) have mapped or open of the file system `dev`, and waits for it. Mapped
 * files that have no name any more are left out. -EIO and the like where a file
 * could not be written back.
 */
int writers_flush(dev_t dev);

#endif
