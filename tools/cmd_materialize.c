/* SPDX-License-Identifier: Apache-2.0 */
/* larder materialize: an entry as a plain directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"
#include "format.h"
#include "fs/rpc.h"
#include "out.h"
#include "place.h"
#include "store/base/cleanup.h"

static int request(const struct args *args, const char *dir, int fd,
		   json_t **ret_result)
{
	json_t *params = client_params(args);

	json_object_set_new(params, "entry", json_string(args->operands[0]));
	json_object_set_new(params, "label", rpc_string(dir, strlen(dir)));
	json_object_set_new(params, "progress", json_true());
	return client_request("materialize", params, &fd, 1, ret_result);
}

static int run(const struct args *args)
{
	_cleanup_json_ json_t *result = NULL;
	_cleanup_free_ char *dir = NULL;
	_cleanup_close_ int fd = -1;
	char files[FORMAT_MAX], bytes[FORMAT_MAX], time[FORMAT_MAX];
	bool existed = access(args->operands[1], F_OK) == 0;
	struct failure f;
	int r;

	if (place_make(args->operands[1], &dir, &f) < 0)
		return out_failure(&f);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return out_error(EXIT_ERROR, "cannot open directory %s: %s",
				 args->operands[1], strerror(errno));
	r = request(args, dir, fd, &result);
	if (r) {
		if (!existed && rmdir(dir) < 0 && errno == ENOTEMPTY)
			out_warning("%s holds a part of the tree: remove it "
				    "before you try again",
				    args->operands[1]);
		return r;
	}
	if (args->json)
		return out_json(json_incref(result));
	out_note("materialized %s in %s: %s, %s in %s", args->operands[0],
		 args->operands[1],
		 format_files((uint64_t)field_number(result, "files"), files),
		 format_bytes((uint64_t)field_number(result, "bytes"), bytes),
		 format_ms((uint64_t)field_number(result, "elapsed_ms"), time));
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_materialize = {
	.name = "materialize",
	.summary = "write an entry as a plain directory",
	.synopsis = "ENTRY DIR",
	.description = "Writes the tree of an entry into DIR, which is created "
		       "where it is missing and must be empty: for places "
		       "without FUSE.",
	.options = options,
	.operands_min = 2,
	.operands_max = 2,
	.run = run,
};
