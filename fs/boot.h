/* SPDX-License-Identifier: Apache-2.0 */
/* Which boot of the machine this is. No state; any thread. */
#ifndef LARDER_FS_BOOT_H
#define LARDER_FS_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#define BOOT_ID_BYTES 16

/* All zeros where the machine has none: then nothing is known about it. */
void boot_id_read(uint8_t ret_id[BOOT_ID_BYTES]);
bool boot_id_is_known(const uint8_t id[BOOT_ID_BYTES]);

#endif
