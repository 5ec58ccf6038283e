/* SPDX-License-Identifier: Apache-2.0 */
/* Asks git for the paths between two commits; see why_commits.h. */
#include "why_commits.h"

#include <fcntl.h>
#include <string.h>

#include "fs/rpc.h"
#include "git.h"
#include "out.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define SHA1_HEX_LEN 40

/* The id without the zeros that fill it up. */
static void commit_id(const json_t *change, const char *field,
		      char ret_id[DIGEST_HEX_LEN + 1])
{
	const char *hex = field_text(change, field);

	snprintf(ret_id, DIGEST_HEX_LEN + 1, "%s", hex);
	if (strlen(hex) == DIGEST_HEX_LEN &&
	    strspn(hex + SHA1_HEX_LEN, "0") == DIGEST_HEX_LEN - SHA1_HEX_LEN)
		ret_id[SHA1_HEX_LEN] = '\0';
}

static void add_files(json_t *change, const struct buf *paths)
{
	const char *path = (const char *)paths->data;
	json_t *files = json_array();
	json_int_t more = 0;

	for (size_t pos = 0; pos < paths->len; pos += strlen(path + pos) + 1) {
		if (json_array_size(files) < WHY_FILES_MAX)
			json_array_append_new(files,
					      rpc_string(path + pos,
							 strlen(path + pos)));
		else
			more++;
	}
	json_object_set_new(change, "files", files);
	json_object_set_new(change, "more_files", json_integer(more));
}

static void explain(json_t *change, const char *top)
{
	char was[DIGEST_HEX_LEN + 1], is[DIGEST_HEX_LEN + 1];
	_cleanup_free_ char *name =
		rpc_bytes(json_object_get(change, "name"), NULL);
	_cleanup_free_ char *dir = name ? io_path("%s/%s", top, name) : NULL;
	_cleanup_buf_ struct buf paths = BUF_INIT;
	_cleanup_close_ int fd = -1;

	if (!dir)
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	commit_id(change, "was", was);
	commit_id(change, "is", is);
	if (fd < 0 || git_between(fd, *name != '\0', was, is, &paths) < 0)
		return;
	buf_put_u8(&paths, '\0'); /* whatever git printed, it ends */
	if (buf_error(&paths))
		return;
	paths.len--;
	add_files(change, &paths);
}

static bool is_other_commit(const json_t *change)
{
	return strcmp(field_text(change, "kind"), "git-head") == 0 &&
	       strcmp(field_text(change, "change"), "changed") == 0;
}

void why_commits(json_t *changes, const char *dir)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *top = NULL;
	struct failure f;
	json_t *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		if (!is_other_commit(change))
			continue;
		if (fd < 0)
			fd = open(dir ? dir : ".",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || (!top && git_top(fd, &top, &f) < 0))
			return;
		explain(change, top);
	}
}
