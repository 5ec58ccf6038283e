/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing tiers. A URL's query says what config.yml says with keys:
 * s3://bucket/prefix?endpoint=https://host&region=eu-1. Credentials are put in
 * last, under "secrets", and go nowhere but into the request.
 */
#include "tiers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "config_file.h"
#include "fs/tier_secrets.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/key.h"

static struct {
	json_t *remotes; /* an array; NULL: none chosen */
	bool no_local_read, no_local_write;
} chosen;

void tiers_release(void)
{
	json_decref(chosen.remotes);
	chosen.remotes = NULL;
}

bool tiers_local_writable(void)
{
	return !chosen.no_local_write;
}

void tiers_add(json_t *params)
{
	if (json_array_size(chosen.remotes) > 0)
		json_object_set(params, "tiers", chosen.remotes);
	if (chosen.no_local_read)
		json_object_set_new(params, "no_local", json_true());
}

/* ---- a URL's query */

static int take_query(json_t *tier, char *query, struct failure *f)
{
	char *word;

	while ((word = strsep(&query, "&"))) {
		char *value = strchr(word, '=');
		const char *fault;

		if (!*word)
			continue;
		if (value)
			*value++ = '\0';
		if (!value || hex_unescape(value, true) < 0)
			return failure_set(f, -EINVAL, EXIT_USAGE,
					   "the tier %s: \"%.100s\" in its URL "
					   "is no NAME=VALUE",
					   field_text(tier, "name"), word);
		fault = config_tier_option_fault(word, value);
		if (fault)
			return failure_set(f, -EINVAL, EXIT_USAGE,
					   "the tier %s: %.100s in its URL %s",
					   field_text(tier, "name"), word,
					   fault);
		json_object_set_new(tier, word, json_string(value));
	}
	return 0;
}

/* Moves what is behind '?' of the URL into the tier's own keys. */
static int split_url(json_t *tier, struct failure *f)
{
	_cleanup_free_ char *url = strdup(field_text(tier, "url"));
	char *query = url ? strchr(url, '?') : NULL;

	if (!url)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	if (!query || *url == 'f')
		return 0;
	*query++ = '\0';
	json_object_set_new(tier, "url", json_string(url));
	return take_query(tier, query, f);
}

/* ---- the list */

static bool is_local(const json_t *tier)
{
	return strcmp(field_text(tier, "name"), CONFIG_TIER_LOCAL) == 0;
}

/* Takes `tier` over. */
static int choose(json_t *tier, bool by_url, struct failure *f)
{
	const char *access = field_text(tier, "access");
	int r;

	if (is_local(tier)) {
		chosen.no_local_read = !strchr(access, 'r');
		chosen.no_local_write = !strchr(access, 'w');
		json_decref(tier);
		return 0;
	}
	r = split_url(tier, f);
	if (r < 0) {
		json_decref(tier);
		return r;
	}
	tier_add_secrets(tier, by_url);
	if (json_array_append_new(chosen.remotes, tier) < 0)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	return 0;
}

static const json_t *configured(const struct config *config, const char *name)
{
	const json_t *tiers = config->values[CONFIG_TIERS].value;
	json_t *tier;
	size_t i;

	json_array_foreach(tiers, i, tier)
	{
		if (strcmp(field_text(tier, "name"), name) == 0)
			return tier;
	}
	return NULL;
}

static int choose_url(const char *url, const char *access, struct failure *f)
{
	const char *fault = config_url_fault(url);
	char name[32];

	if (fault)
		return failure_set(f, -EINVAL, EXIT_USAGE, "%.300s %s", url,
				   fault);
	snprintf(name, sizeof(name), "url-%zu",
		 json_array_size(chosen.remotes) + 1);
	return choose(json_pack("{s:s, s:s, s:s}", "name", name, "url", url,
				"access", access),
		      true, f);
}

/* TIER:ACCESS */
static int choose_word(const struct config *config, char *word,
		       struct failure *f)
{
	char *access = strrchr(word, ':');
	const json_t *known;
	json_t *tier;

	if (access)
		*access++ = '\0';
	if (!access || (strcmp(access, "r") != 0 && strcmp(access, "w") != 0 &&
			strcmp(access, "rw") != 0))
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "--tiers: %.200s needs :r, :w or :rw behind "
				   "it",
				   word);
	if (strstr(word, "://"))
		return choose_url(word, access, f);
	known = configured(config, word);
	if (!known && strcmp(word, CONFIG_TIER_LOCAL) != 0)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "--tiers: there is no tier %.200s in the "
				   "configuration (larder config tiers)",
				   word);
	tier = known ? json_deep_copy(known) :
		       json_pack("{s:s}", "name", CONFIG_TIER_LOCAL);
	json_object_set_new(tier, "access", json_string(access));
	return choose(tier, false, f);
}

static int choose_list(const struct config *config, const char *list,
		       struct failure *f)
{
	_cleanup_free_ char *words = strdup(list);
	char *rest = words, *word;
	int r = words ? 0 :
			failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");

	while (r == 0 && (word = strsep(&rest, ",")))
		if (*word)
			r = choose_word(config, word, f);
	return r;
}

static int choose_configured(const struct config *config, struct failure *f)
{
	const json_t *tiers = config->values[CONFIG_TIERS].value;
	json_t *tier;
	size_t i;
	int r = 0;

	json_array_foreach(tiers, i, tier)
	{
		if (r == 0)
			r = choose(json_deep_copy(tier), false, f);
	}
	return r;
}

int tiers_choose(const struct config *config, const char *list, const char *to,
		 const char *from, struct failure *f)
{
	int r = 0;

	chosen.remotes = json_array();
	if (!chosen.remotes)
		return failure_set(f, -ENOMEM, EXIT_ERROR, "out of memory");
	if (to || from) {
		if (from)
			r = choose_url(from, "r", f);
		if (r == 0 && to)
			r = choose_url(to, "w", f);
		return r;
	}
	return list ? choose_list(config, list, f) :
		      choose_configured(config, f);
}
