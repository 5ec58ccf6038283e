/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32C (Castagnoli, RFC 3720 appendix B.4), with the processor's
 * instruction where it has one (SSE4.2, chosen at run time), else tables.
 */
#ifndef LARDER_BASE_CRC32C_H
#define LARDER_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to start) over `data`. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The same by tables alone, whatever the processor; for tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len);

#endif
