/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of libcrypto, in our log. */
#include "crypto_error.h"

#include <errno.h>
#include <openssl/err.h>

#include "base/log.h"

int crypto_failed(const char *algorithm, const char *what)
{
	unsigned long code = ERR_get_error();
	char text[160] = "no reason given";

	if (code)
		ERR_error_string_n(code, text, sizeof(text));
	ERR_clear_error();
	return log_error(-EIO, "%s, %s: %s", algorithm, what, text);
}
