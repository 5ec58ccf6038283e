/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common parts of making an entry from the command line.
 */
#include "commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "keys.h"
#include "store/base/cleanup.h"
#include "uploads.h"
#include "writers.h"

#define CHANGED_NAMED 5 /* paths in a warning */

int commit_flush(const char *dir, struct failure *ret_failure)
{
	_cleanup_close_ int fd =
		open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	int r;

	if (fd >= 0 && fstat(fd, &st) == 0 && syncfs(fd) == 0) {
		r = writers_flush(st.st_dev);
		errno = -r;
		if (r == 0)
			return 0;
	}
	return failure_set(ret_failure, -errno, EXIT_ERROR,
			   "cannot write back %s: %s", dir, strerror(errno));
}

void commit_describe(json_t *params, const char *name, const char *branch,
		     const struct wanted *wanted)
{
	json_object_set_new(params, "name", json_string(name));
	json_object_set_new(params, "branch",
			    branch ? rpc_string(branch, strlen(branch)) :
				     json_string(""));
	json_object_set_new(params, "progress", json_true());
	wanted_add(wanted, params);
}

int commit_request(const struct args *args, const char *method, json_t *params,
		   const int *fds, unsigned nfds, const struct wanted *wanted)
{
	_cleanup_json_ json_t *result = NULL;
	int r;

	struct failure f;

	if (keys_add_signer(params, &f) < 0) {
		json_decref(params);
		return out_failure(&f);
	}
	commit_describe(params, args->name, args->branch, wanted);
	json_object_set_new(params, "wait", json_boolean(args->wait));
	r = client_request(method, params, fds, nfds, &result);
	if (r)
		return r;
	/* The entry is here in any case. */
	r = uploads_report(args->name, result);
	if (!args->wait)
		r = 0;
	if (args->json)
		return out_json(json_incref(result)) ? EXIT_ERROR : r;
	commit_report(strcmp(method, "import") == 0 ? "imported" : "committed",
		      result);
	printf("%s@%s\n", args->name, wanted->key);
	return r;
}

/* The first few paths, and how many there are besides. */
static void list_changed(const json_t *result, char *ret_text, size_t size)
{
	const json_t *changed = json_object_get(result, "changed"), *item;
	json_int_t more = field_number(result, "changed_total");
	size_t i, len = 0;

	*ret_text = '\0';
	json_array_foreach(changed, i, item)
	{
		_cleanup_free_ char *path =
			rpc_bytes(json_object_get(item, "path"), NULL);

		if (i == CHANGED_NAMED || !path ||
		    len + strlen(path) + 40 > size)
			break;
		len += (size_t)sprintf(ret_text + len, "%s%s", i ? ", " : "",
				       path);
		more--;
	}
	if (more > 0)
		snprintf(ret_text + len, size - len,
			 "%s%" JSON_INTEGER_FORMAT " %s", i ? " and " : "",
			 more, i ? "more" : "files");
}

/* To write beside a commit is nothing wrong, but whoever thinks that it is in
 * the entry should know. */
static void report_changed(const json_t *result)
{
	char text[700];

	if (field_number(result, "changed_total") == 0)
		return;
	list_changed(result, text, sizeof(text));
	out_warning("changed during the commit, and in the entry as it was "
		    "when that began: %s",
		    text);
}

static void report_left_out(const json_t *result)
{
	const json_t *left_out = json_object_get(result, "left_out");
	char files[FORMAT_MAX], bytes[FORMAT_MAX];
	const char *name = field_text(json_object_get(result, "entry"), "name");

	if (!left_out)
		return;
	if (!field_flag(left_out, "known"))
		out_warning("%s: what was read before the machine restarted "
			    "is not known, so nothing of it was left out",
			    name);
	if (field_number(left_out, "files") > 0)
		out_note("%s: left out %s (%s) that nobody read", name,
			 format_files((uint64_t)field_number(left_out, "files"),
				      files),
			 format_bytes((uint64_t)field_number(left_out, "bytes"),
				      bytes));
}

void commit_report(const char *what, const json_t *result)
{
	const json_t *entry = json_object_get(result, "entry");
	const json_t *counts = json_object_get(result, "result");
	char key[FORMAT_MAX], files[FORMAT_MAX], bytes[FORMAT_MAX];
	char new_files[FORMAT_MAX], new_bytes[FORMAT_MAX];
	char stored[FORMAT_MAX], time[FORMAT_MAX];

	report_left_out(result);
	if (*field_text(result, "sign_error"))
		out_warning("%s: the entry is not signed: %s",
			    field_text(entry, "name"),
			    field_text(result, "sign_error"));
	format_key(field_text(entry, "key"), key);
	format_files((uint64_t)field_number(counts, "files"), files);
	format_bytes((uint64_t)field_number(counts, "bytes"), bytes);
	format_ms((uint64_t)field_number(result, "elapsed_ms"), time);
	if (!counts) {
		out_note("%s: %s has an entry already, which stays; not %s",
			 field_text(entry, "name"), key, what);
		return;
	}
	if (!field_flag(result, "published")) {
		out_note("%s: unchanged, %s is this tree (%s, %s); not %s "
			 "again",
			 field_text(entry, "name"), key, files, bytes, what);
		return;
	}
	if (field_flag(result, "unchanged")) {
		out_note("%s: unchanged, %s as %s (%s, %s) in %s",
			 field_text(entry, "name"), what, key, files, bytes,
			 time);
		report_changed(result);
		return;
	}
	out_note("%s: %s %s: %s, %s; new: %s, %s, %s stored; in %s",
		 field_text(entry, "name"), what, key, files, bytes,
		 format_files((uint64_t)field_number(counts, "new_files"),
			      new_files),
		 format_bytes((uint64_t)field_number(counts, "new_bytes"),
			      new_bytes),
		 format_bytes((uint64_t)field_number(counts, "stored_bytes"),
			      stored),
		 time);
	report_changed(result);
}
