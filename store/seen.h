/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest signed entries that this machine has had, so that nobody who can
 * write to a tier can put an older one, which was signed rightly in its time,
 * back in its place. Of each key, and of each branch of a name ("": of any), the
 * index remembers when the newest was made, what its key is and who signed it; also
 * when the entry itself was removed or collected. An entry of a tier that is
 * older than what is remembered is refused: of its key, or, where it is to be
 * the newest of a branch, of that branch.
 *
 * What a key has signed that is not trusted any more counts for nothing. A time
 * that has not come yet is remembered as the present, so that one wrong clock
 * does not shut out all that comes after it. What nobody has asked for in a year is forgotten.
 *
 * Entries that need no signature are not looked at: who can write to a tier
 * can give those any time. No state but the index; any thread.
 */
#ifndef LARDER_SEEN_H
#define LARDER_SEEN_H

#include "index.h"
#include "trust.h"

#define SEEN_KEPT_NS (INT64_C(365) * 24 * 3600 * 1000000000)

/* Notes an entry that `signer` has signed. */
int seen_note(struct index_batch *b, const struct entry *e,
	      const struct sign_public *signer);

/* -EKEYEXPIRED where a newer entry of the same key was here that one of `t` had
 * signed; for the second, a newer one of `branch`. 0 where `t` is NULL. */
int seen_check(struct index *ix, const struct trust *t, const struct entry *e);
int seen_check_newest(struct index *ix, const struct trust *t,
		      const struct entry *e, const char *branch);

/* The key of the newest of a branch that was here. -ENOENT. */
int seen_newest(struct index *ix, const struct trust *t, const char *tenant,
		const char *namespace, const char *name, const char *branch,
		char ret_key[KEY_MAX + 1]);

/* Forgets what was last here more than SEEN_KEPT_NS ago. */
int seen_prune(struct index *ix);

#endif
