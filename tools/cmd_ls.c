/* SPDX-License-Identifier: Apache-2.0 */
/* larder ls: a directory of an entry, in the manner of ls -l. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"

static char type_letter(const char *type)
{
	static const char *const types[] = { "file", "dir",    "symlink",
					     "fifo", "socket", "char",
					     "block" };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(type, types[i]) == 0)
			return "-dlpscb"[i];
	return '?';
}

static const char *mode_text(const json_t *item, char ret_text[11])
{
	unsigned mode = (unsigned)field_number(item, "mode");
	static const char letters[] = "rwxrwxrwx";

	ret_text[0] = type_letter(field_text(item, "type"));
	for (unsigned i = 0; i < 9; i++)
		ret_text[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
	if (mode & 04000)
		ret_text[3] = mode & 0100 ? 's' : 'S';
	if (mode & 02000)
		ret_text[6] = mode & 0010 ? 's' : 'S';
	if (mode & 01000)
		ret_text[9] = mode & 0001 ? 't' : 'T';
	ret_text[10] = '\0';
	return ret_text;
}

/* An owner that is null is whoever mounts the entry. */
static const char *user_name(const json_t *uid, char *ret_text)
{
	uid_t id = json_is_null(uid) ? geteuid() :
				       (uid_t)json_integer_value(uid);
	struct passwd *pw = getpwuid(id);

	if (pw)
		snprintf(ret_text, FORMAT_MAX, "%s", pw->pw_name);
	else
		snprintf(ret_text, FORMAT_MAX, "%u", (unsigned)id);
	return ret_text;
}

static const char *group_name(const json_t *gid, char *ret_text)
{
	gid_t id = json_is_null(gid) ? getegid() :
				       (gid_t)json_integer_value(gid);
	struct group *gr = getgrgid(id);

	if (gr)
		snprintf(ret_text, FORMAT_MAX, "%s", gr->gr_name);
	else
		snprintf(ret_text, FORMAT_MAX, "%u", (unsigned)id);
	return ret_text;
}

/* RFC 3339 to local time, to the minute. */
static const char *time_text(const char *rfc3339, char *ret_text)
{
	struct tm tm = { 0 };
	time_t t;

	snprintf(ret_text, FORMAT_MAX, "%.16s", rfc3339);
	if (!strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm))
		return ret_text;
	t = timegm(&tm);
	if (localtime_r(&t, &tm))
		strftime(ret_text, FORMAT_MAX, "%Y-%m-%d %H:%M", &tm);
	return ret_text;
}

/* The name as it is to be seen: quoted, and with its target. */
static void add_name(struct table *t, const json_t *item)
{
	json_t *target = json_object_get(item, "target");
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	format_name(f, json_object_get(item, "name"));
	if (json_is_string(target)) {
		fputs(" -> ", f);
		format_name(f, target);
	}
	fclose(f);
	table_add(t, text);
	free(text);
}

static void add_row(struct table *t, const json_t *item)
{
	char text[FORMAT_MAX], mode[11];

	table_add(t, mode_text(item, mode));
	snprintf(text, sizeof(text), "%lld",
		 (long long)field_number(item, "nlink"));
	table_add(t, text);
	table_add(t, user_name(json_object_get(item, "uid"), text));
	table_add(t, group_name(json_object_get(item, "gid"), text));
	snprintf(text, sizeof(text), "%lld",
		 (long long)field_number(item, "size"));
	table_add(t, text);
	table_add(t, time_text(field_text(item, "mtime"), text));
	add_name(t, item);
}

static int run(const struct args *args)
{
	const char *path = args->count > 1 ? args->operands[1] : "";
	_cleanup_table_ struct table *t = table_new("lrllrll");
	_cleanup_json_ json_t *result = NULL;
	json_t *params = client_params(args), *items, *item;
	size_t i;
	int r;

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "path", rpc_string(path, strlen(path)));
	r = client_request("ls", params, NULL, 0, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	items = json_object_get(result, "items");
	json_array_foreach(items, i, item) add_row(t, item);
	table_print(t, stdout);
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_ls = {
	.name = "ls",
	.summary = "list a directory of an entry",
	.synopsis = "ENTRY [PATH]",
	.description = "Lists the directory PATH of an entry, or its top, in "
		       "the manner of ls -l; a file gives itself. Nothing is "
		       "mounted.",
	.options = options,
	.operands_min = 1,
	.operands_max = 2,
	.run = run,
};
