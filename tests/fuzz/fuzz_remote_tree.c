/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a digest and any bytes as the tree object of that digest. What
 * decodes has the catalog that was asked for and a placement of it, and what is
 * encoded from it decodes to the same. One thread.
 */
#include <errno.h>

#include "fuzz.h"
#include "store/base/cleanup.h"
#include "store/remote_tree.h"
#include "tests/unit/catalog_walk.h"

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void check_locations(const struct remote_tree *t)
{
	struct catalog_info info;
	struct placement_loc loc;

	catalog_info(t->catalog, &info);
	for (uint32_t i = 0; i < info.chunks; i++) {
		must(placement_find(t->placement, i, &loc) == 0);
		must(loc.pack < placement_packs(t->placement));
	}
}

static void round_trip(const struct remote_tree *t, const struct digest *digest)
{
	_cleanup_buf_ struct buf data = BUF_INIT;
	struct remote_tree again;

	must(remote_tree_encode(t->catalog_blob.data, t->catalog_blob.len,
				t->placement_blob.data, t->placement_blob.len,
				t->ends, t->n_ends, &data) == 0);
	must(remote_tree_decode(data.data, data.len, digest, &again) == 0);
	must(same_bytes(&t->catalog_blob, &again.catalog_blob));
	must(same_bytes(&t->placement_blob, &again.placement_blob));
	must(t->n_ends == again.n_ends);
	for (uint32_t i = 0; i < t->n_ends; i++)
		must(digest_equal(&t->ends[i].name, &again.ends[i].name) &&
		     t->ends[i].bytes == again.ends[i].bytes &&
		     memcmp(t->ends[i].tail, again.ends[i].tail,
			    PACK_TAIL_BYTES) == 0);
	remote_tree_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct remote_tree t;
	struct digest digest, got;
	int r;

	fuzz_quiet();
	if (size < DIGEST_LEN)
		return 0;
	memcpy(digest.bytes, data, DIGEST_LEN);
	r = remote_tree_decode(data + DIGEST_LEN, size - DIGEST_LEN, &digest,
			       &t);
	must(r == 0 || r == -EBADMSG || r == -ENOMEM);
	if (r < 0)
		return 0;
	must(digest_of(t.catalog_blob.data, t.catalog_blob.len, &got) == 0 &&
	     digest_equal(&got, &digest));
	must(catalog_walk(t.catalog) == 0);
	check_locations(&t);
	round_trip(&t, &digest);
	remote_tree_release(&t);
	return 0;
}
