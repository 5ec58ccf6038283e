/* SPDX-License-Identifier: Apache-2.0 */
/* larder import: a directory, a tar or a SquashFS image becomes an entry. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "commit.h"
#include "fingerprint.h"
#include "fs/rpc.h"
#include "mode.h"
#include "out.h"
#include "squashfs.h"
#include "store/base/cleanup.h"

/* A descriptor of what is to be read, or -1 after the error was told. */
static int open_source(const char *source, int *ret_exit)
{
	int fd;

	if (strcmp(source, "-") != 0) {
		fd = open(source, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			*ret_exit = out_error(EXIT_ERROR, "cannot open %s: %s",
					      source, strerror(errno));
		return fd;
	}
	if (!isatty(STDIN_FILENO))
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	*ret_exit = out_error(EXIT_USAGE,
			      "standard input is a terminal; give "
			      "a directory, a tar, or - and < FILE");
	return -1;
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Puts the tar of an image in the place of the image. 0 or the exit code. */
static int read_image(int *fd, struct squashfs *ret_image)
{
	struct failure f;
	int tar;

	if (squashfs_check(&f) < 0 ||
	    squashfs_read(*fd, ret_image, &tar, &f) < 0)
		return out_failure(&f);
	close(*fd);
	*fd = tar;
	return 0;
}

static int run(const struct args *args)
{
	_cleanup_squashfs_ struct squashfs image = SQUASHFS_INIT;
	_cleanup_wanted_ struct wanted wanted = WANTED_INIT;
	struct key_options key = args->key;
	const char *source = args->operands[0];
	_cleanup_close_ int fd = -1;
	struct failure f;
	json_t *params;
	int r = EXIT_ERROR;

	if (!args->name)
		return out_error(EXIT_USAGE, "import: --name NAME is missing");
	/* What becomes an entry is no input of its key. */
	key.outputs = (struct strings){ args->operands, 1 };
	if (mode_check_commit("import", args->mode_setting, &f) < 0 ||
	    wanted_compute(&key, &wanted, &f) < 0)
		return out_failure(&f);
	fd = open_source(source, &r);
	if (fd < 0)
		return r;
	if (squashfs_is_image(fd)) {
		r = read_image(&fd, &image);
		if (r)
			return r;
	}
	params = client_params(args);
	json_object_set_new(params, "label",
			    rpc_string(source, strlen(source)));
	json_object_set_new(params, "kind",
			    json_string(is_directory(fd) ? "dir" : "tar"));
	if (args->reread)
		json_object_set_new(params, "reread", json_true());
	return commit_request(args, "import", params, &fd, 1, &wanted);
}

static const struct option_def options[] = {
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "The entry's name (required)." },
	{ "branch", 0, OPTION_VALUE, "BRANCH", offsetof(struct args, branch),
	  "The branch that it is of (default: none)." },
	{ "reread", 0, OPTION_FLAG, NULL, offsetof(struct args, reread),
	  "Read all files of the directory, also those that have the size and "
	  "times they had when it was imported or materialized last." },
	{ "wait", 0, OPTION_FLAG, NULL, offsetof(struct args, wait),
	  "Wait until the entry is in the remote tiers, too; exit code 6 if one "
	  "cannot be reached or refuses it." },
	OPTION_END
};

const struct command cmd_import = {
	.name = "import",
	.summary = "make an entry of a directory, a tar or a SquashFS image",
	.synopsis = "DIR --name NAME (--key KEY | KEY OPTIONS)\n"
		    "TAR|IMAGE --name NAME (--key KEY | KEY OPTIONS)\n"
		    "- --name NAME (--key KEY | KEY OPTIONS) < TAR",
	.description = "Stores the tree of a directory, of a tar in any usual "
		       "compression or of a SquashFS image, and prints the "
		       "new entry as NAME@KEY. Content that is stored already "
		       "is not stored again. Images need the package "
		       "squashfs-tools-ng.",
	.manual =
		"It is refused where LARDER_MODE or ACTIONS_CACHE_MODE do not "
		"allow a commit (larder-run(1)). An upload that fails is exit "
		"code 6 with --wait, though the entry is in the store here "
		"and the upload is tried again.",
	.options = options,
	.key_options = true,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
