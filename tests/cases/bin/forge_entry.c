/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forge_entry FILE FIELD VALUE: writes FILE, an entry of a tier, anew with
 * another value in a field (tenant, namespace, name, key, parent, branch,
 * catalog, created; or signatures, of which VALUE are kept), and a checksum that
 * is right; as who can write to the tier could. Only for the cases.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/entry.h"

#define ENTRY_FILE_MAX (1u << 20)

static char **text_field(struct entry *e, const char *name)
{
	if (strcmp(name, "tenant") == 0)
		return &e->tenant;
	if (strcmp(name, "namespace") == 0)
		return &e->namespace;
	if (strcmp(name, "name") == 0)
		return &e->name;
	if (strcmp(name, "key") == 0)
		return &e->key;
	if (strcmp(name, "parent") == 0)
		return &e->parent;
	return strcmp(name, "branch") == 0 ? &e->branch : NULL;
}

static int change(struct entry *e, const char *name, const char *value)
{
	char **text = text_field(e, name);

	if (text) {
		free(*text);
		*text = strdup(value);
		return *text ? 0 : -ENOMEM;
	}
	if (strcmp(name, "catalog") == 0)
		return digest_parse(value, &e->catalog);
	if (strcmp(name, "created") == 0)
		return e->created_ns = strtoll(value, NULL, 10), 0;
	if (strcmp(name, "signatures") == 0)
		return e->signature_count = (unsigned)atoi(value), 0;
	return -EINVAL;
}

static int forge(const char *file, const char *name, const char *value)
{
	_cleanup_entry_ struct entry e = ENTRY_INIT;
	_cleanup_buf_ struct buf blob = BUF_INIT;
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_close_ int fd = -1;
	size_t len;
	int r = io_read_file(AT_FDCWD, file, ENTRY_FILE_MAX, &data, &len);

	if (r == 0)
		r = entry_decode(data, len, &e);
	if (r == 0)
		r = change(&e, name, value);
	if (r == 0)
		r = entry_encode(&e, &blob);
	if (r < 0)
		return r;
	fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	return fd < 0 ? -errno : io_write(fd, blob.data, blob.len);
}

int main(int argc, char **argv)
{
	int r = argc == 4 ? forge(argv[1], argv[2], argv[3]) : -EINVAL;

	if (r < 0)
		fprintf(stderr, "forge_entry: %s\n", strerror(-r));
	return r < 0;
}
