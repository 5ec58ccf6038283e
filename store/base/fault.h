/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault injection for tests. The environment variable LARDER_FAULT names a
 * point, and what happens at its N-th passage (counted from 1); several such
 * rules are separated by commas:
 *
 *	LARDER_FAULT=log.append:3:ENOSPC	the third passage fails
 *	LARDER_FAULT=log.append:3:kill		the process gets SIGKILL there
 *	LARDER_FAULT=log.append:3:abort		it calls abort() there
 *
 * Errors: ENOSPC, EIO, EDQUOT, EMFILE, ENOMEM, EROFS. The variable is read
 * at the first passage of any point; one that is malformed is logged once
 * and ignored as a whole. Thread-safe.
 *
 * LARDER_FAULT_LIST=FILE appends the name of each point that is passed to FILE,
 * a line a passage: what a sweep over all of them goes through.
 *
 * Built in always and free when the variable is not set (one load of a
 * static). Points in use are listed in tests/README.md.
 */
#ifndef LARDER_BASE_FAULT_H
#define LARDER_BASE_FAULT_H

/* 0, or the negative errno to fail with. */
int fault_check(const char *point);

#endif
