/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of FUSE's opcodes, for counting requests. Constants; any thread.
 */
#ifndef LARDER_FS_OPCODE_H
#define LARDER_FS_OPCODE_H

#include <stdint.h>

#define OPCODE_COUNT 64 /* all are below */

/* "LOOKUP"; "OTHER" for one without a name here. */
const char *opcode_name(uint32_t opcode);

#endif
