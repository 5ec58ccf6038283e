/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests, for tiers: the only owner of libcurl. A client keeps a few
 * connections open and gives each request one of its own. Certificates are
 * verified. Any thread.
 */
#ifndef LARDER_HTTP_H
#define LARDER_HTTP_H

#include "tier.h"

struct http;

struct http_config { /* all copied; each may be NULL */
	const char *ca, *certificate, *certificate_key;
	const char *sigv4; /* "aws:amz:REGION:s3": requests are signed */
};

int http_new(const struct http_config *config, struct http **ret_http);
void http_free(struct http *h); /* no request is under way; NULL is fine */

struct http_request {
	const char *method; /* GET, HEAD, PUT, DELETE */
	const char *url;
	const char *const *headers;  /* "Name: value", NULL-terminated; NULL */
	const char *token;	     /* bearer; NULL: none */
	const char *user, *password; /* for signing; NULL: none */
	bool no_redirects;

	/* GET: `len` bytes at `off`; 0: to the end. A server that gives all in
	 * place of a part is read as far as that. */
	uint64_t off, len;
	tier_sink sink;

	uint64_t size; /* PUT */
	tier_source source;
	void *arg; /* of sink and source */
};

/*
 * 0 for any answer that came whole, *ret_status its code; the sink was given
 * the body of a 200 or 206 and no other. *ret_length: what the answer said of
 * its length, UINT64_MAX for nothing. Errors as of tier.h, with call->why.
 */
int http_do(struct http *h, const struct tier_call *call,
	    const struct http_request *req, long *ret_status,
	    uint64_t *ret_length);

/* What a status means to a tier: 0 for 2xx, or an errno, with call->why. */
int http_status_error(const struct tier_call *call, long status);

/* Encodes a value of a query; the caller frees. NULL: out of memory. */
char *http_escape(const char *text);

#endif
