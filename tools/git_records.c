/* SPDX-License-Identifier: Apache-2.0 */
/* Takes apart what git prints. No state but the lists' positions. */
#include "git.h"

#include <errno.h>
#include <string.h>

#include "store/base/hex.h"

/* The next NUL-terminated record of `b`, or NULL. */
static char *next_record(struct buf *b, size_t *pos)
{
	char *record = (char *)b->data + *pos;
	const char *end;

	if (*pos >= b->len)
		return NULL;
	end = memchr(record, '\0', b->len - *pos);
	if (!end)
		return NULL;
	*pos += (size_t)(end - record) + 1;
	return record;
}

/* What follows `n` blanks; NULL where there are fewer. */
static const char *field_after(const char *record, int n)
{
	while (n-- > 0) {
		record = strchr(record, ' ');
		if (!record)
			return NULL;
		record++;
	}
	return record;
}

static int read_mode(const char *field, unsigned *ret_mode)
{
	unsigned mode = 0;

	for (; *field >= '0' && *field <= '7'; field++)
		mode = mode << 3 | (unsigned)(*field - '0');
	if (*field != ' ')
		return -EBADMSG;
	*ret_mode = mode;
	return 1;
}

/* Commits are SHA-1 or SHA-256. */
static int read_head(const char *id, struct git_change *c)
{
	size_t len = strlen(id);

	*c = (struct git_change){ .is_head = true };
	if (strcmp(id, "(initial)") == 0)
		return 1;
	if (len < 40 || len > DIGEST_HEX_LEN || len % 2 ||
	    hex_decode(id, len / 2, c->head.bytes) < 0)
		return -EBADMSG;
	return 1;
}

/*
 *	# branch.oid ID
 *	1 XY SUB MODE-HEAD MODE-INDEX MODE-WORKTREE ID ID PATH
 *	u XY SUB MODE MODE MODE MODE-WORKTREE ID ID ID PATH
 */
static int read_change(const char *record, struct git_change *c)
{
	bool unmerged = record[0] == 'u';
	const char *mode = field_after(record, unmerged ? 6 : 5);
	const char *path = field_after(record, unmerged ? 10 : 8);

	if ((record[0] != '1' && !unmerged) || !mode || !path || !*path)
		return -EBADMSG;
	*c = (struct git_change){ .path = path };
	return read_mode(mode, &c->mode);
}

int git_next_change(struct git_lists *lists, struct git_change *ret_change)
{
	static const char head[] = "# branch.oid ";
	const char *record;

	while ((record = next_record(&lists->changed, &lists->changed_pos))) {
		if (strncmp(record, head, sizeof(head) - 1) == 0)
			return read_head(record + sizeof(head) - 1, ret_change);
		if (record[0] != '#')
			return read_change(record, ret_change);
	}
	return lists->changed_pos < lists->changed.len ? -EBADMSG : 0;
}

/*
 *	? PATH
 *	TAG MODE ID STAGE\tPATH
 * A tag is in lower case where the file is assumed to be unchanged.
 */
static int read_file(const char *record, struct git_file *file)
{
	const char *path = strchr(record, '\t');
	unsigned mode;

	file->tracked = false;
	if (record[0] == '?' && record[1] == ' ' && record[2]) {
		path = record + 2;
		file->state = path[strlen(path) - 1] == '/' ? GIT_REPOSITORY :
							      GIT_UNTRACKED;
		file->path = path;
		return 1;
	}
	if (!record[0] || record[1] != ' ' || !path || !path[1] ||
	    read_mode(record + 2, &mode) < 0)
		return -EBADMSG;
	file->path = path + 1;
	file->tracked = true;
	file->state = mode == 0160000			   ? GIT_REPOSITORY :
		      record[0] == 'S' || record[0] == 's' ? GIT_SPARSE :
		      record[0] >= 'a' && record[0] <= 'z' ? GIT_UNWATCHED :
							     GIT_TRACKED;
	return 1;
}

int git_next_file(struct git_lists *lists, struct git_file *ret_file)
{
	const char *record = next_record(&lists->files, &lists->files_pos);

	if (record)
		return read_file(record, ret_file);
	return lists->files_pos < lists->files.len ? -EBADMSG : 0;
}
