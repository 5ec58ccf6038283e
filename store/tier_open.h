/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiers by URL: file:///path, http(s)://host/prefix, s3://bucket/prefix.
 */
#ifndef LARDER_TIER_OPEN_H
#define LARDER_TIER_OPEN_H

#include "tier.h"

/* What a URL does not say; each NULL where it is not given. All is copied. */
struct tier_options {
	const char *layout;   /* "bazel": /cas/ and /ac/ (http) */
	const char *endpoint; /* URL of the server (s3) */
	const char *region;   /* s3; default: us-east-1 */
	const char *ca;	      /* file of certificates to trust */
	const char *certificate, *certificate_key; /* the client's own */
	/* Read before each connection, so that they may change: a bearer token
	 * (http); an access key and a secret, a line each, and a session token
	 * where there is a third (s3); a command that prints either. */
	const char *token_file, *credentials, *credential_helper;
	/* The same from the environment of who asks. Secret. */
	const char *token, *access_key, *secret_key, *session_token;
};

#define TIER_OPEN_FAULT_MAX 512

/* -EINVAL with one sentence in ret_fault (TIER_OPEN_FAULT_MAX bytes) for what
 * is no tier; -ENOMEM. Whether it answers shows when it is used. */
int tier_open(const char *url, const struct tier_options *options,
	      char *ret_fault, struct tier **ret_tier);

#endif
