/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failing system calls, all of them: a program that is linked with this has
 * the C library's functions that touch files replaced, for itself and for the
 * libraries it uses (RocksDB, too), by ones that count and can fail. Nothing
 * has to be marked in the code that is tested, so no call can be forgotten.
 *
 *	sysfault_arm(n, ENOSPC);
 *	r = what_is_tested();
 *	reached = sysfault_disarm();
 *
 * Calls from all threads count while it is armed. Standard output and error
 * are left alone, and close(), and sync_file_range(), whose failure RocksDB
 * asserts against.
 */
#ifndef LARDER_TESTS_SYSFAULT_H
#define LARDER_TESTS_SYSFAULT_H

#include <stdbool.h>

/* The n-th call from now on (from 1) fails with `err`. */
void sysfault_arm(unsigned long n, int err);

/* No call fails any more. The name of the function that failed; NULL: there
 * were not as many calls. */
const char *sysfault_disarm(void);

/* How many calls there were while it was armed last. */
unsigned long sysfault_calls(void);

#endif
