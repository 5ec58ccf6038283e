/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordinary main for a fuzz target: runs it over each file that is named,
 * and over each file in a directory that is named, so that the saved corpus is
 * a test where there is no fuzzer. Prints TAP. One thread. What a target
 * finds, it reports by aborting.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned runs;

static int run_file(int dirfd, const char *path)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;
	int err = io_read_file(dirfd, path, INPUT_MAX, &data, &len);

	if (err)
		return err;
	LLVMFuzzerTestOneInput(data, len);
	printf("ok %u - %s\n", ++runs, path);
	return 0;
}

static int run_path(const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	struct dirent *d;
	int err = 0;

	if (!dir && errno == ENOTDIR)
		return run_file(AT_FDCWD, path);
	if (!dir)
		return -errno;
	while (!err && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			err = run_file(dirfd(dir), d->d_name);
	return err;
}

int main(int argc, char **argv)
{
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 1; i < argc; i++) {
		int err = run_path(argv[i]);

		if (err) {
			printf("Bail out! %s: %s\n", argv[i], strerror(-err));
			return 1;
		}
	}
	printf("1..%u\n", runs);
	return runs ? 0 : 1;
}
