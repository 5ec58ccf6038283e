/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a user and of a machine: one table of them, and for each the
 * value that counts and where it comes from. Order: environment, the user's
 * file ($XDG_CONFIG_HOME/larder/config.yml), the system's file
 * (SYSCONFDIR/larder/config.yml, or what LARDER_SYSTEM_CONFIG names), default.
 * The command line goes before all of them, a project file before the user's;
 * both are the caller's matter. A value from a later file takes the place of
 * the whole value, lists too. larder-config(5) describes the files. One
 * thread.
 */
#ifndef LARDER_TOOLS_CONFIG_H
#define LARDER_TOOLS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "out.h"

#define CONFIG_FILE "larder/config.yml"
#define CONFIG_TIER_LOCAL "local"
#define CONFIG_URL_MAX 2048
#define CONFIG_TIERS_MAX 16
#define CONFIG_KEYS_MAX 64

enum config_id {
	CONFIG_TENANT,
	CONFIG_NAMESPACE,
	CONFIG_MODE,
	CONFIG_TIERS,
	CONFIG_TRUSTED_KEYS,
	CONFIG_SIGN_KEY,
	CONFIG_KEY_TIMEOUT,
	CONFIG_MAX_SIZE,
	CONFIG_MAX_OBJECTS,
	CONFIG_MIN_FREE,
	CONFIG_GRACE,
	CONFIG_REPACK,
	CONFIG_LOG_LEVEL,
	CONFIG_SANDBOX,
	CONFIG_COUNT,
};

/* The later ones win. */
enum config_level {
	CONFIG_DEFAULT,
	CONFIG_SYSTEM,
	CONFIG_USER,
	CONFIG_ENVIRONMENT,
};

struct config {
	struct config_value {
		json_t *value;
		enum config_level level;
		char *origin; /* "default", "FILE:LINE", "environment: VAR" */
	} values[CONFIG_COUNT];
};

#define CONFIG_INIT               \
	{                         \
		{                 \
			{         \
				0 \
			}         \
		}                 \
	}

/* As users write it, such as "limits.key-timeout". */
const char *config_name(enum config_id id);

/* The environment variable that has it; NULL: none. */
const char *config_variable(enum config_id id);

/* Reads defaults, files and environment. A file that is absent is none; one
 * that is wrong, or that others than its owner can write, is an error with
 * EXIT_USAGE: a setting that is not understood must not be ignored where it
 * is about trust. */
int config_open(struct config *ret_config, struct failure *ret_failure);
void config_release(struct config *c);

/*
 * Takes over what a file at `level` says. `text` of `len` bytes; messages call
 * it `file`. For config_open() and tests.
 */
int config_parse(struct config *c, enum config_level level, const char *file,
		 const void *text, size_t len, struct failure *ret_failure);

const char *config_text(const struct config *c, enum config_id id);
json_int_t config_number(const struct config *c, enum config_id id);

#define _cleanup_config_ __attribute__((cleanup(config_release)))

#endif
