/* SPDX-License-Identifier: Apache-2.0 */
/* The boot's identifier, as the kernel gives it. */
#include "boot.h"

#include <fcntl.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/io.h"

void boot_id_read(uint8_t ret_id[BOOT_ID_BYTES])
{
	_cleanup_free_ uint8_t *text = NULL;
	char digits[2 * BOOT_ID_BYTES + 1];
	size_t len, n = 0;

	memset(ret_id, 0, BOOT_ID_BYTES);
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128,
			 &text, &len) < 0)
		return;
	for (size_t i = 0; i < len && n < 2 * BOOT_ID_BYTES; i++)
		if (text[i] != '-' && text[i] != '\n')
			digits[n++] = (char)text[i];
	digits[n] = '\0';
	if (n != 2 * BOOT_ID_BYTES ||
	    hex_decode(digits, BOOT_ID_BYTES, ret_id) < 0)
		memset(ret_id, 0, BOOT_ID_BYTES);
}

bool boot_id_is_known(const uint8_t id[BOOT_ID_BYTES])
{
	static const uint8_t unknown[BOOT_ID_BYTES];

	return memcmp(id, unknown, BOOT_ID_BYTES) != 0;
}
