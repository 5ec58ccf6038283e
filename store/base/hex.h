/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text of byte strings. */
#ifndef LARDER_BASE_HEX_H
#define LARDER_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2*len lower-case digits and a NUL. */
void hex_encode(const void *data, size_t len, char *ret_text);

/* Reads exactly 2*len digits followed by NUL; lower case only (one spelling
 * a name). 0 or -EINVAL. */
int hex_decode(const char *text, size_t len, void *ret_data);

/* Decodes each %XX of a string in place; with `fold` in either case. -EINVAL
 * for a % without two digits and for a NUL. */
int hex_unescape(char *text, bool fold);

#endif
