/* SPDX-License-Identifier: Apache-2.0 */
/* What entry*.c share. Not for others. */
#ifndef LARDER_ENTRY_INTERNAL_H
#define LARDER_ENTRY_INTERNAL_H

#include "entry.h"

static inline const char *entry_text(const char *s)
{
	return s ? s : "";
}

/* The first field outside its limits, or NULL. */
const char *entry_fault(const struct entry *e);

/* Appends all that an entry says, without version and signatures. -EINVAL. */
int entry_encode_fields(const struct entry *e, struct buf *b);

#endif
