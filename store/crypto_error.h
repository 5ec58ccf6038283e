/* SPDX-License-Identifier: Apache-2.0 */
/* What libcrypto says of a failure. Its queue of errors is the thread's. */
#ifndef LARDER_CRYPTO_ERROR_H
#define LARDER_CRYPTO_ERROR_H

/* Logs why `what` of `algorithm` failed and empties the queue. Returns -EIO. */
int crypto_failed(const char *algorithm, const char *what);

#endif
