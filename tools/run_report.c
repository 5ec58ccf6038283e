/* SPDX-License-Identifier: Apache-2.0 */
/* What a run tells: its notes, and the object that --json prints. */
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "fs/rpc.h"
#include "run_internal.h"

/* ---- the object */

static json_t *report_roots(const struct run *run)
{
	json_t *roots = json_array();

	for (size_t i = 0; i < run->count; i++) {
		const struct run_root *root = &run->roots[i];

		json_array_append_new(
			roots,
			json_pack("{s:o, s:o, s:s?}", "path",
				  rpc_string(root->path, strlen(root->path)),
				  "dir",
				  rpc_string(root->dir, strlen(root->dir)),
				  "root", root->name));
	}
	return roots;
}

/* A run of one directory has its fields in the object itself, too. */
static void copy_root(struct run *run)
{
	static const char *const fields[] = { "dir", "kind", "mount", "reused",
					      "kept" };
	json_t *roots = json_object_get(run->report, "roots");

	if (run->count != 1)
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		json_t *value =
			json_object_get(json_array_get(roots, 0), fields[i]);

		if (value)
			json_object_set(run->report, fields[i], value);
	}
}

void run_report_begin(struct run *run)
{
	run->report =
		json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:b, s:b, s:b, s:o}",
			  "name", run->name, "key", run->wanted.key, "branch",
			  rpc_string(run->branch, strlen(run->branch)), "mode",
			  mode_name(run->plan->mode), "outcome", "miss", "rule",
			  "none", "mounted", 0, "ran", 0, "committed", 0,
			  "roots", report_roots(run));
	copy_root(run);
}

void run_report_mount(struct run *run, uint64_t ms)
{
	static const char *const fields[] = { "outcome", "rule", "entry",
					      "reason", "reused" };
	json_t *roots = json_object_get(run->report, "roots"), *mount;
	json_t *mounts = json_object_get(run->base, "mounts");
	bool mounted = false;
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		json_object_set(run->report, fields[i],
				json_object_get(run->base, fields[i]));
	json_object_set_new(run->report, "materialized",
			    json_boolean(run->plain));
	json_array_foreach(mounts, i, mount)
		json_object_update(json_array_get(roots, i), mount);
	for (i = 0; i < run->count; i++)
		mounted |= run->roots[i].mounted;
	json_object_set_new(run->report, "mounted", json_boolean(mounted));
	json_object_set_new(run->report, "mount_ms",
			    json_integer((json_int_t)ms));
	copy_root(run);
}

void run_report_root(struct run *run, size_t i, json_t *mount)
{
	json_object_update(json_array_get(json_object_get(run->report, "roots"),
					  i),
			   mount);
	json_object_set_new(run->report, "mounted", json_true());
	copy_root(run);
}

int run_report_failed(struct run *run, const struct failure *f)
{
	json_object_set_new(run->report, "error", out_failure_json(f));
	return out_failure_line(f);
}

/* ---- notes */

/* Empty where the base is no entry. */
static void describe_entry(const json_t *entry, char *ret_text)
{
	char key[FORMAT_MAX], files[FORMAT_MAX], bytes[FORMAT_MAX];

	*ret_text = '\0';
	if (!json_is_object(entry))
		return;
	snprintf(ret_text, 3 * FORMAT_MAX, "%s (%s, %s)",
		 format_key(field_text(entry, "key"), key),
		 format_files((uint64_t)field_number(entry, "files"), files),
		 format_bytes((uint64_t)field_number(entry, "bytes"), bytes));
}

/* The command as far as it fits into a line. */
static const char *command_text(const char *const *words, char *ret_text)
{
	size_t len = 0;

	ret_text[0] = '\0';
	for (unsigned i = 0; words[i] && len < 60; i++)
		len += (size_t)snprintf(ret_text + len, FORMAT_MAX - len,
					"%s%.60s", i ? " " : "", words[i]);
	return ret_text;
}

static void say_kept(const struct run *run)
{
	const json_t *mounts = json_object_get(run->base, "mounts"), *mount;
	size_t i;

	json_array_foreach(mounts, i, mount)
	{
		const char *id =
			field_text(json_object_get(mount, "kept"), "id");

		if (*id)
			out_note("%s: the mount that was there had changes; "
				 "they are kept: larder umount %s, then larder "
				 "mount --resume %s",
				 run->name, run->roots[i].path, id);
	}
}

static bool is_absent(const json_t *mount)
{
	return strcmp(field_text(mount, "kind"), "absent") == 0;
}

/* Whether nothing had to be mounted or written. */
static bool all_reused(const struct run *run)
{
	const json_t *mounts = json_object_get(run->base, "mounts"), *mount;
	size_t i;

	json_array_foreach(mounts, i,
			   mount) if (!field_flag(mount, "reused") &&
				      !is_absent(mount)) return false;
	return true;
}

static const char *how_it_came(const struct run *run)
{
	bool mounted = false;

	if (run->plain)
		return field_flag(run->base, "reused") ? "found in place" :
							 "materialized";
	for (size_t i = 0; i < run->count; i++)
		mounted |= run->roots[i].mounted;
	if (all_reused(run))
		return mounted ? "found mounted" : "found in place";
	return mounted ? "mounted" : "written out";
}

void run_say_outcome(const struct run *run, bool runs, uint64_t ms)
{
	const char *outcome = field_text(run->base, "outcome");
	const char *reason = field_text(run->base, "reason");
	const char *how = how_it_came(run);
	char entry[3 * FORMAT_MAX], time[FORMAT_MAX], text[FORMAT_MAX];

	describe_entry(json_object_get(run->base, "entry"), entry);
	format_ms(ms, time);
	command_text(run->plan->command, text);
	if (strcmp(outcome, "exact") == 0)
		out_note("%s: exact hit %s %s in %s; %s%s", run->name, entry,
			 how, time, runs ? "still running " : "command skipped",
			 runs ? text : "");
	else if (strcmp(outcome, "partial") == 0)
		out_note("%s: partial hit: %s; %s%s%s in %s; running %s",
			 run->name, reason, entry, *entry ? " " : "", how, time,
			 text);
	else
		out_note("%s: miss: %s; running %s", run->name, reason, text);
	say_kept(run);
}
