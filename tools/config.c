/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings, and the order of their sources. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "config_file.h"
#include "fs/keeper.h"
#include "fs/sandbox.h"
#include "key_options.h"
#include "schema.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/entry.h"

/* What a file can say; `limits`, `store` and `log` are one level below. */
struct config_nodes {
	const struct yaml_node *settings[CONFIG_COUNT], *limits, *store, *log;
};

#define NODE(id) offsetof(struct config_nodes, settings[id])

static const struct schema_key file_keys[] = {
	{ "tenant", SCHEMA_TEXT, NODE(CONFIG_TENANT) },
	{ "namespace", SCHEMA_TEXT, NODE(CONFIG_NAMESPACE) },
	{ "mode", SCHEMA_TEXT, NODE(CONFIG_MODE) },
	{ "tiers", SCHEMA_MAPS, NODE(CONFIG_TIERS) },
	{ "trusted-keys", SCHEMA_TEXTS | SCHEMA_MAPS,
	  NODE(CONFIG_TRUSTED_KEYS) },
	{ "sign-key", SCHEMA_TEXT, NODE(CONFIG_SIGN_KEY) },
	{ "limits", SCHEMA_MAP, offsetof(struct config_nodes, limits) },
	{ "store", SCHEMA_MAP, offsetof(struct config_nodes, store) },
	{ "log", SCHEMA_MAP, offsetof(struct config_nodes, log) },
	{ "sandbox", SCHEMA_TEXT, NODE(CONFIG_SANDBOX) },
	SCHEMA_END
};

static const struct schema_key limit_keys[] = { { "key-timeout", SCHEMA_TEXT,
						  NODE(CONFIG_KEY_TIMEOUT) },
						SCHEMA_END };

static const struct schema_key log_keys[] = { { "level", SCHEMA_TEXT,
						NODE(CONFIG_LOG_LEVEL) },
					      SCHEMA_END };

static const struct schema_key store_keys[] = {
	{ "max-size", SCHEMA_TEXT, NODE(CONFIG_MAX_SIZE) },
	{ "max-objects", SCHEMA_TEXT, NODE(CONFIG_MAX_OBJECTS) },
	{ "min-free", SCHEMA_TEXT, NODE(CONFIG_MIN_FREE) },
	{ "grace", SCHEMA_TEXT, NODE(CONFIG_GRACE) },
	{ "repack", SCHEMA_TEXT, NODE(CONFIG_REPACK) },
	SCHEMA_END
};

static const struct setting {
	const char *name, *variable;
	config_reader *read;
} settings[CONFIG_COUNT] = {
	[CONFIG_TENANT] = { "tenant", "LARDER_TENANT", config_read_word },
	[CONFIG_NAMESPACE] = { "namespace", "LARDER_NAMESPACE",
			       config_read_word },
	[CONFIG_MODE] = { "mode", "LARDER_MODE", config_read_mode },
	[CONFIG_TIERS] = { "tiers", NULL, config_read_tiers },
	[CONFIG_TRUSTED_KEYS] = { "trusted-keys", NULL, config_read_keys },
	[CONFIG_SIGN_KEY] = { "sign-key", "LARDER_SIGN_KEY_FILE",
			      config_read_path },
	[CONFIG_KEY_TIMEOUT] = { "limits.key-timeout", NULL,
				 config_read_seconds },
	[CONFIG_MAX_SIZE] = { "store.max-size", "LARDER_STORE_MAX_SIZE",
			      config_read_size },
	[CONFIG_MAX_OBJECTS] = { "store.max-objects",
				 "LARDER_STORE_MAX_OBJECTS",
				 config_read_count },
	[CONFIG_MIN_FREE] = { "store.min-free", "LARDER_STORE_MIN_FREE",
			      config_read_size },
	[CONFIG_GRACE] = { "store.grace", "LARDER_STORE_GRACE",
			   config_read_count },
	[CONFIG_REPACK] = { "store.repack", "LARDER_STORE_REPACK",
			    config_read_repack },
	[CONFIG_LOG_LEVEL] = { "log.level", LOG_LEVEL_VARIABLE,
			       config_read_log_level },
	[CONFIG_SANDBOX] = { "sandbox", SANDBOX_VARIABLE, config_read_sandbox },
};

const char *config_name(enum config_id id)
{
	return settings[id].name;
}

const char *config_variable(enum config_id id)
{
	return settings[id].variable;
}

const char *config_text(const struct config *c, enum config_id id)
{
	return json_string_value(c->values[id].value);
}

json_int_t config_number(const struct config *c, enum config_id id)
{
	return json_integer_value(c->values[id].value);
}

void config_release(struct config *c)
{
	for (unsigned id = 0; id < CONFIG_COUNT; id++) {
		json_decref(c->values[id].value);
		free(c->values[id].origin);
	}
	*c = (struct config)CONFIG_INIT;
}

/* Both are taken, and NULL is out of memory. */
static int set(struct config *c, enum config_id id, enum config_level level,
	       json_t *value, char *origin, struct failure *f)
{
	struct config_value *v = &c->values[id];

	if (!value || !origin) {
		json_decref(value);
		free(origin);
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	}
	json_decref(v->value);
	free(v->origin);
	*v = (struct config_value){ value, level, origin };
	return 0;
}

/* ---- sources */

static json_t *default_value(enum config_id id)
{
	switch (id) {
	case CONFIG_TENANT:
		return json_string(ENTRY_TENANT_LOCAL);
	case CONFIG_NAMESPACE:
		return json_string(ENTRY_NAMESPACE_DEFAULT);
	case CONFIG_MODE:
		return json_string("default");
	case CONFIG_TIERS:
		return json_pack("[{s:s, s:s}]", "name", CONFIG_TIER_LOCAL,
				 "access", "rw");
	case CONFIG_KEY_TIMEOUT:
		return json_integer(KEY_TIMEOUT_DEFAULT_S);
	case CONFIG_MAX_SIZE:
		return json_string(KEEPER_MAX_SIZE);
	case CONFIG_MAX_OBJECTS:
		return json_string("none");
	case CONFIG_MIN_FREE:
		return json_string(KEEPER_MIN_FREE);
	case CONFIG_GRACE:
		return json_string(KEEPER_GRACE);
	case CONFIG_REPACK:
		return json_string(KEEPER_REPACK);
	case CONFIG_LOG_LEVEL:
		return json_string("info");
	case CONFIG_SANDBOX:
		return json_string("on");
	case CONFIG_SIGN_KEY:
		return json_string("none");
	default:
		return json_array();
	}
}

static int set_defaults(struct config *c, struct failure *f)
{
	int r = 0;

	for (unsigned id = 0; r == 0 && id < CONFIG_COUNT; id++)
		r = set(c, id, CONFIG_DEFAULT, default_value(id),
			strdup("default"), f);
	return r;
}

static int set_node(struct config *c, enum config_id id,
		    enum config_level level, const char *file,
		    const struct yaml_node *node, struct failure *f)
{
	json_t *value;
	int r = settings[id].read(file, node, &value, f);

	return r < 0 ? r :
		       set(c, id, level, value,
			   io_path("%s:%u", file, node->line), f);
}

int config_parse(struct config *c, enum config_level level, const char *file,
		 const void *text, size_t len, struct failure *f)
{
	_cleanup_yaml_tree_ struct yaml_node *root = NULL;
	struct config_nodes nodes = { 0 };
	int r = yaml_tree_parse(file, text, len, &root, f);

	if (r < 0 || !root)
		return r;
	r = schema_read(file, root, "a configuration file", file_keys, &nodes,
			f);
	if (r == 0 && nodes.limits)
		r = schema_read(file, nodes.limits, "limits", limit_keys,
				&nodes, f);
	if (r == 0 && nodes.store)
		r = schema_read(file, nodes.store, "store", store_keys, &nodes,
				f);
	if (r == 0 && nodes.log)
		r = schema_read(file, nodes.log, "log", log_keys, &nodes, f);
	for (unsigned id = 0; r == 0 && id < CONFIG_COUNT; id++)
		if (nodes.settings[id])
			r = set_node(c, id, level, file, nodes.settings[id], f);
	return r;
}

/* Whoever can write the file decides who is trusted. */
static int check_file(const char *file, int fd, struct failure *f)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failure_set(f, -errno, EXIT_ERROR, "%s: %s", file,
				   strerror(errno));
	if (!S_ISREG(st.st_mode))
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "%s is not a regular file", file);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return failure_set(f, -EACCES, EXIT_USAGE,
				   "%s can be written by others than its "
				   "owner: chmod go-w %s",
				   file, file);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return failure_set(f, -EACCES, EXIT_USAGE,
				   "%s belongs to another user (%u)", file,
				   (unsigned)st.st_uid);
	return 0;
}

static int read_file(struct config *c, enum config_level level,
		     const char *file, struct failure *f)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	ssize_t len;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return failure_set(f, -errno, EXIT_ERROR, "%s: %s", file,
				   strerror(errno));
	r = check_file(file, fd, f);
	if (r < 0)
		return r;
	/* One byte more than the limit shows what is over it. */
	text = malloc(YAML_MAX_BYTES + 1);
	if (!text)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	len = io_read_upto(fd, text, YAML_MAX_BYTES + 1);
	if (len < 0)
		return failure_set(f, (int)len, EXIT_ERROR, "%s: %s", file,
				   strerror((int)-len));
	return config_parse(c, level, file, text, (size_t)len, f);
}

static int read_system(struct config *c, struct failure *f)
{
	const char *file = getenv("LARDER_SYSTEM_CONFIG");

	return read_file(c, CONFIG_SYSTEM,
			 file ? file : SYSCONFDIR "/" CONFIG_FILE, f);
}

static int read_user(struct config *c, struct failure *f)
{
	const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	_cleanup_free_ char *file = NULL;

	if (dir && *dir == '/')
		file = io_path("%s/%s", dir, CONFIG_FILE);
	else if (home && *home == '/')
		file = io_path("%s/.config/%s", home, CONFIG_FILE);
	else
		return 0;
	return file ? read_file(c, CONFIG_USER, file, f) :
		      failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
}

/* A variable is one text; empty is as good as unset. */
static int read_environment(struct config *c, struct failure *f)
{
	for (unsigned id = 0; id < CONFIG_COUNT; id++) {
		const char *variable = settings[id].variable;
		const char *text = variable ? getenv(variable) : NULL;
		const struct yaml_node node = { .kind = YAML_TEXT,
						.key = (char *)variable,
						.text = (char *)text };
		json_t *value;
		int r;

		if (!text || !*text)
			continue;
		r = settings[id].read("environment", &node, &value, f);
		if (r == 0)
			r = set(c, id, CONFIG_ENVIRONMENT, value,
				io_path("environment: %s", variable), f);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_open(struct config *ret_config, struct failure *ret_failure)
{
	_cleanup_config_ struct config c = CONFIG_INIT;
	int r = set_defaults(&c, ret_failure);

	if (r == 0)
		r = read_system(&c, ret_failure);
	if (r == 0)
		r = read_user(&c, ret_failure);
	if (r == 0)
		r = read_environment(&c, ret_failure);
	if (r < 0)
		return r;
	*ret_config = c;
	c = (struct config)CONFIG_INIT;
	return 0;
}
