/* SPDX-License-Identifier: Apache-2.0 */
/* larder export: an entry as a tar stream. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "store/base/cleanup.h"

/* The descriptor to write to, or -1 after the error was told with *ret_exit. */
static int open_output(const struct args *args, int *ret_exit)
{
	int fd;

	if (args->output && strcmp(args->output, "-") != 0) {
		fd = open(args->output,
			  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (fd < 0)
			*ret_exit = out_error(EXIT_ERROR, "cannot write %s: %s",
					      args->output, strerror(errno));
		return fd;
	}
	if (args->json)
		*ret_exit = out_error(EXIT_USAGE,
				      "--json and the tar cannot share "
				      "standard output: use -o FILE");
	else if (isatty(STDOUT_FILENO))
		*ret_exit = out_error(EXIT_USAGE,
				      "a tar is not written to a terminal: "
				      "use -o FILE, or > FILE");
	else
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return -1;
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_close_ int out = -1;
	char files[FORMAT_MAX], bytes[FORMAT_MAX];
	json_t *params;
	int r = EXIT_ERROR;

	out = open_output(args, &r);
	if (out < 0)
		return r;
	params = client_params(args);
	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "progress", json_true());
	r = client_request("export", params, &out, 1, &result);
	if (r)
		return r;
	if (args->json)
		return out_json(json_incref(result));
	out_note("exported %s (%s, %s)", args->operands[0],
		 format_files((uint64_t)field_number(result, "files"), files),
		 format_bytes((uint64_t)field_number(result, "bytes"), bytes));
	return 0;
}

static const struct option_def options[] = {
	{ "output", 'o', OPTION_VALUE, "FILE", offsetof(struct args, output),
	  "Write here instead of to standard output." },
	OPTION_END
};

const struct command cmd_export = {
	.name = "export",
	.summary = "write an entry as a tar",
	.synopsis = "ENTRY > FILE.tar\nENTRY -o FILE.tar",
	.description = "Writes the tree of an entry as a tar in pax format, "
		       "with times to the nanosecond.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
