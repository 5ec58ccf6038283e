/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a manifest, as they are and with the checksum made
 * right. One that opens finds nothing that it does not hold, and one that is
 * damaged is removed. The store is no more than the directory of manifests. One
 * thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/manifest.h"
#include "store/store_internal.h"

#define NAME "1-2-3"
#define HEADER_BYTES 56u
#define RECORD_BYTES 40u

static const struct manifest_root root = { .dev = 1, .ino = 2, .born_ns = 3 };
static char path[4096];
static struct store store;

static void tidy(void)
{
	close(store.plain_fd);
	io_remove_tree(AT_FDCWD, path);
}

static void prepare(void)
{
	fuzz_quiet();
	fuzz_make_dir(path, sizeof(path));
	store.dir = path;
	store.plain_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(store.plain_fd >= 0);
	atexit(tidy);
}

static void put_file(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd =
		openat(store.plain_fd, NAME,
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && io_write(fd, data, size) == 0);
}

/* Whether one of the records says just this. */
static bool holds(const uint8_t *data, size_t size,
		  const struct manifest_file *f, uint32_t node)
{
	for (size_t at = HEADER_BYTES;
	     at + RECORD_BYTES + FUZZ_CRC_BYTES <= size; at += RECORD_BYTES)
		if (le64_get(data + at) == f->ino &&
		    le64_get(data + at + 8) == f->size &&
		    (int64_t)le64_get(data + at + 16) == f->mtime_ns &&
		    (int64_t)le64_get(data + at + 24) == f->ctime_ns &&
		    le32_get(data + at + 32) == node)
			return true;
	return false;
}

/* The file of the record at `at`, and files that are a little like it. */
static void look_for(const struct manifest *m, const uint8_t *data, size_t size,
		     size_t at)
{
	struct manifest_file f = {
		.ino = le64_get(data + at),
		.size = le64_get(data + at + 8),
		.mtime_ns = (int64_t)le64_get(data + at + 16),
		.ctime_ns = (int64_t)le64_get(data + at + 24)
	};

	for (unsigned i = 0; i < 3; i++) {
		uint32_t node;

		if (manifest_find(m, &f, &node))
			must(holds(data, size, &f, node));
		if (i == 0)
			f.size = ~f.size;
		else
			f.ino++;
	}
}

static void check(const uint8_t *data, size_t size)
{
	struct manifest *m;
	int r;

	put_file(data, size);
	r = manifest_open(&store, &root, &m);
	if (r < 0) {
		must(r == -EBADMSG);
		must(faccessat(store.plain_fd, NAME, F_OK, 0) < 0);
		return;
	}
	must(memcmp(manifest_catalog(m), data + 24, DIGEST_LEN) == 0);
	for (size_t at = HEADER_BYTES;
	     at + RECORD_BYTES + FUZZ_CRC_BYTES <= size; at += RECORD_BYTES)
		look_for(m, data, size, at);
	manifest_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *sealed = fuzz_sealed(data, size);

	if (!store.dir)
		prepare();
	check(data, size);
	if (sealed)
		check(sealed, size);
	return 0;
}
