/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as the placement of a catalog of CHUNKS chunks, as
 * they are and with the checksum made right. What passes the full check gives
 * each chunk a place inside a pack, and what is encoded from those places is
 * the same placement, byte for byte once packs are in the order of their use.
 * One thread.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/placement.h"

#define CHUNKS 8u

static struct catalog *catalog;
static struct digest digest;
static struct buf blob;

static void tidy(void)
{
	catalog_unref(catalog);
	buf_release(&blob);
}

static int open_bytes(const uint8_t *data, size_t size, bool full,
		      struct placement **ret_placement)
{
	_cleanup_close_ int fd = memfd_create("placement", MFD_CLOEXEC);

	must(fd >= 0 && (size == 0 || io_pwrite(fd, data, size, 0) == 0));
	return placement_open_fd(fd, catalog, &digest, full, ret_placement);
}

static int find(void *arg, uint32_t chunk, const struct digest *of,
		struct pack_loc *ret_loc)
{
	const struct placement *p = arg;
	struct placement_loc loc;

	(void)of;
	must(placement_find(p, chunk, &loc) == 0);
	must(loc.pack < placement_packs(p));
	must(loc.len > 0 && loc.off <= PACK_MAX_BYTES - loc.len);
	*ret_loc = (struct pack_loc){ .pack = *placement_pack(p, loc.pack),
				      .off = loc.off,
				      .len = loc.len,
				      .has_dict = loc.has_dict };
	return 0;
}

static void same(const struct placement *a, const struct placement *b)
{
	struct placement_loc x, y;

	for (uint32_t i = 0; i < CHUNKS; i++) {
		must(placement_find(a, i, &x) == 0 &&
		     placement_find(b, i, &y) == 0);
		must(x.off == y.off && x.len == y.len &&
		     x.has_dict == y.has_dict &&
		     digest_equal(placement_pack(a, x.pack),
				  placement_pack(b, y.pack)));
	}
}

static void round_trip(struct placement *p)
{
	_cleanup_buf_ struct buf first = BUF_INIT, second = BUF_INIT;
	struct placement *again;

	must(placement_encode(catalog, &digest, find, p, &first) == 0);
	must(open_bytes(first.data, first.len, true, &again) == 0);
	same(p, again);
	must(placement_encode(catalog, &digest, find, again, &second) == 0);
	must(second.len == first.len &&
	     memcmp(second.data, first.data, first.len) == 0);
	placement_free(again);
}

static void read_bytes(const uint8_t *data, size_t size)
{
	struct placement_loc loc;
	struct placement *p;
	int r = open_bytes(data, size, true, &p);

	must(r == 0 || r == -EBADMSG || r == -ESTALE);
	if (r == 0) {
		must(placement_find(p, CHUNKS, &loc) < 0);
		round_trip(p);
		placement_free(p);
	}
	/* Of what was checked before only the header is looked at. */
	if (open_bytes(data, size, false, &p) == 0) {
		for (uint32_t i = 0; i <= CHUNKS; i++)
			if (placement_find(p, i, &loc) == 0)
				must(loc.pack < placement_packs(p));
		placement_free(p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *sealed = fuzz_sealed(data, size);

	if (!catalog) {
		fuzz_quiet();
		catalog = fuzz_catalog(CHUNKS, &blob, &digest);
		atexit(tidy);
	}
	read_bytes(data, size);
	if (sealed)
		read_bytes(sealed, size);
	return 0;
}
