/* SPDX-License-Identifier: Apache-2.0 */
/* How soon a thread runs once it has something to do. */
#ifndef LARDER_FS_SLICE_H
#define LARDER_FS_SLICE_H

#include <stdint.h>

#define SLICE_SHORT_NS UINT64_C(100000) /* the shortest that there is */

/* Gives the calling thread the shortest time slice: one that wakes up takes
 * the processor from one with a longer slice at once, in place of waiting for
 * the next tick. Its share of the processor stays what it was, so it is for who
 * works for moments, and no privilege is needed. Kernels before 6.12 take no
 * slices; there, and where it is forbidden, nothing happens. */
void slice_shorten(void);

/* The calling thread's slice; 0: not known here. */
uint64_t slice_get_ns(void);

#endif
