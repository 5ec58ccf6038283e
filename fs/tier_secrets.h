/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the environment has of credentials for a tier: LARDER_TOKEN_<NAME>, or
 * LARDER_TOKEN for one that a command line names by its URL; AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN for S3, with AWS_REGION. Of a
 * command when it names its tiers, and of the daemon for what it does on its own
 * after a restart.
 */
#ifndef LARDER_FS_TIER_SECRETS_H
#define LARDER_FS_TIER_SECRETS_H

#include <jansson.h>
#include <stdbool.h>

/* Adds "secrets" to a tier (tiers.h) that has neither these nor a file or a
 * command that gives them. */
void tier_add_secrets(json_t *tier, bool by_url);

#endif
