/* SPDX-License-Identifier: Apache-2.0 */
/* larder export: an entry as a tar stream or a SquashFS image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "out.h"
#include "squashfs.h"
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

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && strcmp(text + len - n, end) == 0;
}

/* Which format is meant: 0 or the exit code. */
static int choose_format(const struct args *args, bool *ret_image)
{
	const char *out = args->output ? args->output : "-";
	const char *format = args->format;

	if (!format)
		format = ends_with(out, ".sqfs") ||
					 ends_with(out, ".squashfs") ?
				 "squashfs" :
				 "tar";
	*ret_image = strcmp(format, "squashfs") == 0;
	if (!*ret_image && strcmp(format, "tar") != 0)
		return out_error(EXIT_USAGE,
				 "there is no format %s: tar or squashfs",
				 format);
	if (*ret_image && strcmp(out, "-") == 0)
		return out_error(EXIT_USAGE,
				 "an image is written to a file: use -o FILE");
	if (!*ret_image && (args->compressor || args->block_size))
		return out_error(EXIT_USAGE,
				 "--compressor and --block-size are for images "
				 "(--format squashfs)");
	return 0;
}

/* The descriptor that takes the tar, or -1 after the error was told. */
static int open_image(const struct args *args, struct squashfs *ret_image,
		      int *ret_exit)
{
	struct failure f;
	int fd;

	if (squashfs_check(&f) < 0 ||
	    squashfs_write(args->output, args->compressor, args->block_size,
			   ret_image, &fd, &f) < 0) {
		*ret_exit = out_failure(&f);
		return -1;
	}
	return fd;
}

static int run(const struct args *args)
{
	_cleanup_squashfs_ struct squashfs image = SQUASHFS_INIT;
	_cleanup_json_ json_t *result = NULL;
	_cleanup_close_ int out = -1;
	char files[FORMAT_MAX], bytes[FORMAT_MAX];
	struct failure f;
	json_t *params;
	bool is_image;
	int r;

	r = choose_format(args, &is_image);
	if (r)
		return r;
	out = is_image ? open_image(args, &image, &r) : open_output(args, &r);
	if (out < 0)
		return r;
	params = client_params(args);
	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "progress", json_true());
	r = client_request("export", params, &out, 1, &result);
	if (r)
		return r;
	close(steal_fd(&out));
	if (is_image && squashfs_finish(&image, args->output, &f) < 0)
		return out_failure(&f);
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
	{ "format", 0, OPTION_VALUE, "FORMAT", offsetof(struct args, format),
	  "tar or squashfs (default: by the name of FILE, else tar)." },
	{ "compressor", 0, OPTION_VALUE, "NAME",
	  offsetof(struct args, compressor),
	  "Of an image: zstd (the default), lz4, gzip, xz." },
	{ "block-size", 0, OPTION_VALUE, "BYTES",
	  offsetof(struct args, block_size), "Of an image (default: 131072)." },
	OPTION_END
};

const struct command cmd_export = {
	.name = "export",
	.summary = "write an entry as a tar or a SquashFS image",
	.synopsis = "ENTRY > FILE.tar\nENTRY -o FILE.tar|FILE.sqfs",
	.description = "Writes the tree of an entry as a tar in pax format, "
		       "with times to the nanosecond; or as a SquashFS image, "
		       "which needs the package squashfs-tools-ng and keeps "
		       "whole seconds.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
