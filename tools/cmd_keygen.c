/* SPDX-License-Identifier: Apache-2.0 */
/* larder keygen: a key that signs entries. Asks no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "keys.h"
#include "out.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/sign.h"

#define SUFFIX ".key"

/* The file's name, without its suffix. */
static char *default_name(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *name = strdup(slash ? slash + 1 : file);
	size_t len = name ? strlen(name) : 0, suffix = strlen(SUFFIX);

	if (len > suffix && strcmp(name + len - suffix, SUFFIX) == 0)
		name[len - suffix] = '\0';
	return name;
}

/* Never over another: what that has signed would be worth nothing. */
static int write_key(const char *file, const struct sign_key *key,
		     struct failure *f)
{
	_cleanup_close_ int fd = -1;
	char text[SIGN_TEXT_MAX];
	int r;

	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return failure_set(f, -errno, EXIT_ERROR, "%s: %s", file,
				   errno == EEXIST ?
					   "is there already, and a key is "
					   "never overwritten" :
					   strerror(errno));
	sign_key_text(key, text);
	r = fchmod(fd, 0600) < 0 ? -errno : io_write(fd, text, strlen(text));
	explicit_bzero(text, sizeof(text));
	if (r == 0)
		r = io_write(fd, "\n", 1);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	unlink(file);
	return failure_set(f, r, EXIT_ERROR, "%s: %s", file, strerror(-r));
}

static int make(const char *file, const char *wanted, struct sign_key **ret_key,
		struct failure *f)
{
	_cleanup_free_ char *name = wanted ? strdup(wanted) :
					     default_name(file);
	_cleanup_sign_key_ struct sign_key *key = NULL;
	int r = name ? sign_key_new(name, &key) : -ENOMEM;

	if (r == -EINVAL)
		return failure_set(f, r, EXIT_USAGE,
				   "keygen: \"%.200s\" cannot be a key's name; "
				   "give one of at most %d of the characters "
				   "A-Z a-z 0-9 . _ - with --name",
				   name, KEY_MAX);
	if (r < 0)
		return failure_set(f, r, EXIT_ERROR, "keygen: %s",
				   strerror(-r));
	r = write_key(file, key, f);
	if (r == 0)
		*ret_key = steal_ptr(&key);
	return r;
}

static int load(const char *file, struct sign_key **ret_key, struct failure *f)
{
	char text[SIGN_TEXT_MAX + 2];
	int r = keys_read_file(file, text, f);

	if (r < 0)
		return r;
	r = sign_key_parse(text, ret_key);
	explicit_bzero(text, sizeof(text));
	return r < 0 ? failure_set(f, r, EXIT_VERIFY,
				   "%s holds no secret key of larder keygen",
				   file) :
		       0;
}

static int run(const struct args *args)
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	const char *file = args->operands[0];
	char text[SIGN_TEXT_MAX];
	struct failure f;
	int r;

	if (args->public && args->name)
		return out_error(EXIT_USAGE,
				 "keygen: the key in %s has its name already; "
				 "leave out --name or --public",
				 file);
	r = args->public ? load(file, &key, &f) :
			   make(file, args->name, &key, &f);
	if (r < 0)
		return out_failure(&f);
	sign_public_text(sign_key_public(key), text);
	if (args->json)
		return out_json(json_pack("{s:s, s:s, s:s}", "name",
					  sign_key_public(key)->name,
					  "public_key", text, "file", file));
	puts(text);
	if (!args->public)
		out_note(
			"the secret key is in %s, for sign-key; the line above "
			"is the public one, for trusted-keys "
			"(larder-config(5))",
			file);
	return 0;
}

static const struct option_def options[] = {
	{ "name", 0, OPTION_VALUE, "NAME", offsetof(struct args, name),
	  "What signatures call the key. Default: FILE without directories and "
	  ".key." },
	{ "public", 0, OPTION_FLAG, NULL, offsetof(struct args, public),
	  "Make none; print the public key of the secret one in FILE." },
	OPTION_END
};

const struct command cmd_keygen = {
	.name = "keygen",
	.summary = "make a key that signs entries",
	.synopsis = "[--name NAME] FILE\n--public FILE",
	.description =
		"Writes a new Ed25519 key to FILE, which only its owner may "
		"read, and prints its public key, a line that goes into "
		"trusted-keys of those who are to believe it "
		"(larder-config(5)). With sign-key: FILE in the configuration, "
		"larder commit, import, run and push sign the entries that "
		"they make. A new key for an old one: trust both, sign with "
		"the new one, and take the old one out when its entries are "
		"not wanted any more. larder show says who has signed an "
		"entry.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
