/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_format DB N: writes N as the format version of a closed store's index,
 * as a later version of Larder would. Only for the cases.
 */
#include <rocksdb/c.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FAMILIES_MAX 32

static int complain(const char *err)
{
	fprintf(stderr, "store_format: %s\n", err);
	return 1;
}

static int write_format(rocksdb_t *db, uint32_t n)
{
	char value[4] = { (char)n, (char)(n >> 8), (char)(n >> 16),
			  (char)(n >> 24) };
	rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
	char *err = NULL;

	rocksdb_writeoptions_set_sync(options, 1);
	rocksdb_put(db, options, "format", 6, value, sizeof(value), &err);
	rocksdb_writeoptions_destroy(options);
	return err ? complain(err) : 0;
}

int main(int argc, char **argv)
{
	rocksdb_column_family_handle_t *handles[FAMILIES_MAX];
	const rocksdb_options_t *each[FAMILIES_MAX];
	rocksdb_options_t *options = rocksdb_options_create();
	char **names, *err = NULL;
	rocksdb_t *db;
	size_t n;
	int r;

	if (argc != 3)
		return complain("usage: store_format DB N");
	names = rocksdb_list_column_families(options, argv[1], &n, &err);
	if (err)
		return complain(err);
	if (n > FAMILIES_MAX)
		return complain("too many column families");
	for (size_t i = 0; i < n; i++)
		each[i] = options;
	db = rocksdb_open_column_families(options, argv[1], (int)n,
					  (const char *const *)names, each,
					  handles, &err);
	if (err)
		return complain(err);
	r = write_format(db, (uint32_t)strtoul(argv[2], NULL, 10));
	for (size_t i = 0; i < n; i++)
		rocksdb_column_family_handle_destroy(handles[i]);
	rocksdb_close(db);
	rocksdb_list_column_families_destroy(names, n);
	rocksdb_options_destroy(options);
	return r;
}
