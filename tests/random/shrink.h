/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a failing script short by delta debugging: steps are left out, and
 * numbers made simple, as long as replaying the rest on a fresh tree still
 * shows the same property to differ. One thread.
 */
#ifndef LARDER_TESTS_SHRINK_H
#define LARDER_TESTS_SHRINK_H

#include "run.h"

/* r->play has failed at the end of `script`, which is changed. Ends after
 * so many seconds with what it has. False: a replay does not fail. */
bool shrink(struct run *r, struct script *script, unsigned seconds);

#endif
