/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by the configuration and the environment. */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/entry.h"

static const struct config *chosen;

void keys_choose(const struct config *config)
{
	chosen = config;
}

void keys_release(void)
{
	chosen = NULL;
}

/* ---- who is trusted */

static bool has_text(const json_t *list, const char *text)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (strcmp(json_string_value(one), text) == 0)
			return true;
	}
	return false;
}

/* Whether a key counts for `text`, which is a namespace or a tenant. */
static bool is_for(const json_t *key, const char *scope, const char *text)
{
	const json_t *list = json_object_get(key, scope);

	return !list || has_text(list, text);
}

static const char *param(const json_t *params, const char *name,
			 const char *fallback)
{
	const char *text = json_string_value(json_object_get(params, name));

	return text ? text : fallback;
}

void keys_add_trusted(json_t *params)
{
	const char *tenant = param(params, "tenant", ENTRY_TENANT_LOCAL);
	const char *namespace =
		param(params, "namespace", ENTRY_NAMESPACE_DEFAULT);
	_cleanup_json_ json_t *list = json_array();
	json_t *key;
	size_t i;

	if (!chosen)
		return;
	json_array_foreach(chosen->values[CONFIG_TRUSTED_KEYS].value, i, key)
	{
		if (!json_is_object(key))
			json_array_append(list, key);
		else if (is_for(key, "tenants", tenant) &&
			 is_for(key, "namespaces", namespace))
			json_array_append(list, json_object_get(key, "key"));
	}
	if (json_array_size(list) > 0)
		json_object_set(params, "trusted_keys", list);
}

/* ---- who signs */

static int check_file(const char *file, int fd, struct failure *f)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failure_set(f, -errno, EXIT_VERIFY, "%s: %s", file,
				   strerror(errno));
	if (!S_ISREG(st.st_mode))
		return failure_set(f, -EINVAL, EXIT_VERIFY,
				   "%s is not a regular file", file);
	if (st.st_mode & 077)
		return failure_set(f, -EACCES, EXIT_VERIFY,
				   "the secret key %s can be read or written "
				   "by others: chmod 600 %s, or make a new one "
				   "(larder keygen)",
				   file, file);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return failure_set(f, -EACCES, EXIT_VERIFY,
				   "the secret key %s belongs to another user "
				   "(%u)",
				   file, (unsigned)st.st_uid);
	return 0;
}

int keys_read_file(const char *file, char *ret_text, struct failure *f)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len;
	int r;

	if (fd < 0)
		return failure_set(f, -errno, EXIT_VERIFY,
				   "the secret key %s: %s", file,
				   strerror(errno));
	r = check_file(file, fd, f);
	if (r < 0)
		return r;
	len = io_read_upto(fd, ret_text, SIGN_TEXT_MAX + 1);
	if (len < 0)
		return failure_set(f, (int)len, EXIT_VERIFY,
				   "the secret key %s: %s", file,
				   strerror((int)-len));
	ret_text[len] = '\0';
	return 0;
}

/* Takes a key as it stands in a file or a variable. */
static int add(json_t *params, const char *text, const char *where,
	       struct failure *f)
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	char line[SIGN_TEXT_MAX];
	int r = sign_key_parse(text, &key);

	if (r < 0)
		return failure_set(f, r, EXIT_VERIFY,
				   "%s holds no secret key of larder keygen",
				   where);
	sign_key_text(key, line);
	json_object_set_new(params, "sign_key", json_string(line));
	explicit_bzero(line, sizeof(line));
	return 0;
}

int keys_add_signer(json_t *params, struct failure *ret_failure)
{
	const char *text = getenv(KEYS_SIGN_VARIABLE);
	const char *file = chosen ? config_text(chosen, CONFIG_SIGN_KEY) :
				    "none";
	char read[SIGN_TEXT_MAX + 2];
	int r;

	if (text && *text)
		return add(params, text, KEYS_SIGN_VARIABLE, ret_failure);
	if (strcmp(file, "none") == 0)
		return 0;
	r = keys_read_file(file, read, ret_failure);
	if (r == 0)
		r = add(params, read, file, ret_failure);
	explicit_bzero(read, sizeof(read));
	return r;
}

void keys_try_signer(json_t *params)
{
	struct failure f;

	if (keys_add_signer(params, &f) < 0)
		out_warning("%s; the entry will not be signed", f.message);
}
