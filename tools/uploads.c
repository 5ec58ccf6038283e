/* SPDX-License-Identifier: Apache-2.0 */
/* One line for each tier. */
#include "uploads.h"

#include "cmd.h"
#include "format.h"
#include "out.h"

static int report_one(const char *entry, const json_t *upload)
{
	const char *tier = field_text(upload, "tier");
	char bytes[FORMAT_MAX];

	if (*field_text(upload, "error")) {
		out_warning("%s is not in the tier %s%s: %s; %s", entry, tier,
			    field_flag(upload, "given_up") ? "" : " yet",
			    field_text(upload, "error"),
			    field_flag(upload, "given_up") ?
				    "the upload is given up" :
				    "the upload is tried again in the "
				    "background");
		return EXIT_REMOTE;
	}
	if (field_flag(upload, "queued"))
		out_note("%s: upload to %s in the background", entry, tier);
	else
		out_note("%s: in %s; %lld of %lld packs sent, %s", entry, tier,
			 (long long)field_number(upload, "packs_moved"),
			 (long long)field_number(upload, "packs"),
			 format_bytes((uint64_t)field_number(upload,
							     "bytes_moved"),
				      bytes));
	return 0;
}

int uploads_report(const char *entry, const json_t *result)
{
	const char *error = field_text(result, "upload_error");
	json_t *upload;
	int exit = 0;
	size_t i;

	if (*error) {
		out_warning("%s is not uploaded: %s; larder push uploads it",
			    entry, error);
		exit = EXIT_REMOTE;
	}
	json_array_foreach(json_object_get(result, "uploads"), i, upload)
	{
		int r = report_one(entry, upload);

		exit = exit ? exit : r;
	}
	return exit;
}
