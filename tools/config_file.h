/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file's nodes as values: each function checks one kind of
 * setting and makes its JSON value. Private to config*.c. No state.
 */
#ifndef LARDER_TOOLS_CONFIG_FILE_H
#define LARDER_TOOLS_CONFIG_FILE_H

#include <jansson.h>

#include "out.h"
#include "yaml_tree.h"

/* -EINVAL with the sentence; -ENOMEM. */
typedef int config_reader(const char *file, const struct yaml_node *node,
			  json_t **ret_value, struct failure *ret_failure);

config_reader config_read_word, config_read_mode, config_read_tiers,
	config_read_keys, config_read_path, config_read_seconds,
	config_read_size, config_read_count, config_read_repack,
	config_read_log_level, config_read_sandbox;

/* What is wrong with a tier's URL, and with one of its options; NULL: nothing. To
 * stand behind what it is about. */
const char *config_url_fault(const char *url);
const char *config_tier_option_fault(const char *name, const char *value);

#endif
