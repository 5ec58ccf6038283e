/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier on a web server that answers GET (best with ranges), HEAD and PUT: an
 * object is at <url>/<path>. Such servers cannot list.
 *
 * With the layout "bazel", for servers of that kind, a pack is at
 * <url>/cas/<its SHA-256> and every other object at <url>/ac/<SHA-256 of its
 * path>. Tenant and namespace, where they are not the default, come in front of
 * that as an instance name: <url>/<tenant>/<namespace>/cas/...
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "credentials.h"
#include "digest.h"
#include "entry.h"
#include "http.h"
#include "tier_internal.h"

/* For what moves no object. */
#define URL_MAX (4096 + TIER_PATH_MAX)

struct http_tier { /* constant */
	char *url;
	bool is_bazel;
	struct http *http;
	struct credentials *credentials;
};

static void http_tier_free(void *self)
{
	struct http_tier *t = self;

	free(t->url);
	http_free(t->http);
	credentials_free(t->credentials);
	free(t);
}

/* --- URLs --- */

/* "v1/T/N/packs/hh/hex" -> "T/N/cas/hex"; others "T/N/ac/<SHA-256>". */
static int bazel_path(const char *path, char *ret_text, size_t size)
{
	char tenant[KEY_MAX + 1], namespace[KEY_MAX + 1], kind[16];
	char hex[DIGEST_HEX_LEN + 1], instance[2 * KEY_MAX + 3] = "";
	struct digest digest;
	const char *last = strrchr(path, '/');
	bool is_pack;
	int r;

	if (sscanf(path, "v1/%128[^/]/%128[^/]/%15[^/]/", tenant, namespace,
		   kind) != 3) {
		tenant[0] = kind[0] = '\0';
	} else if (strcmp(tenant, ENTRY_TENANT_LOCAL) != 0 ||
		   strcmp(namespace, ENTRY_NAMESPACE_DEFAULT) != 0) {
		snprintf(instance, sizeof(instance), "%s/%s/", tenant,
			 namespace);
	}
	is_pack = strcmp(kind, "packs") == 0;
	r = digest_of(path, strlen(path), &digest);
	if (r < 0)
		return r;
	digest_hex(&digest, hex);
	snprintf(ret_text, size, "%s%s/%s", instance, is_pack ? "cas" : "ac",
		 is_pack ? last + 1 : hex);
	return 0;
}

static int object_url(const struct http_tier *t, const char *path,
		      char ret_url[URL_MAX])
{
	char text[TIER_PATH_MAX + DIGEST_HEX_LEN + 8];

	if (t->is_bazel) {
		int r = bazel_path(path, text, sizeof(text));

		if (r < 0)
			return r;
		path = text;
	}
	snprintf(ret_url, URL_MAX, "%s/%s", t->url, path);
	return 0;
}

/* --- calls --- */

/* What all have in common; a token that is refused is asked for again. */
static int request(struct http_tier *t, const struct tier_call *c,
		   struct http_request *req, const char *path,
		   uint64_t *ret_length)
{
	_cleanup_credential_ struct credential credential;
	char url[URL_MAX];
	long status;
	int r = credentials_get(t->credentials, c, &credential);

	if (r == 0)
		r = object_url(t, path, url);
	if (r < 0)
		return r;
	req->url = url;
	req->token = credential.lines[0];
	r = http_do(t->http, c, req, &status, ret_length);
	if (r == 0)
		r = http_status_error(c, status);
	if (r == -EACCES)
		credentials_refused(t->credentials);
	return r;
}

static int http_get(void *self, const struct tier_call *c, const char *path,
		    uint64_t off, uint64_t len, tier_sink sink, void *arg)
{
	struct http_request req = { .method = "GET",
				    .off = off,
				    .len = len,
				    .sink = sink,
				    .arg = arg };
	uint64_t length;

	return request(self, c, &req, path, &length);
}

static int http_put(void *self, const struct tier_call *c, const char *path,
		    uint64_t size, tier_source source, void *arg)
{
	struct http_request req = { .method = "PUT",
				    .size = size,
				    .source = source,
				    .arg = arg };
	uint64_t length;

	return request(self, c, &req, path, &length);
}

static int http_head(void *self, const struct tier_call *c, const char *path,
		     uint64_t *ret_size)
{
	struct http_request req = { .method = "HEAD" };
	uint64_t length;
	int r = request(self, c, &req, path, &length);

	if (r < 0)
		return r;
	if (length == UINT64_MAX)
		return tier_why(c, -EIO, "no length is told");
	*ret_size = length;
	return 0;
}

static int http_list(void *self, const struct tier_call *c, const char *prefix,
		     tier_each each, void *arg)
{
	(void)self, (void)prefix, (void)each, (void)arg;
	return tier_why(c, -EOPNOTSUPP, "a web server cannot list");
}

static int http_delete(void *self, const struct tier_call *c, const char *path)
{
	struct http_request req = { .method = "DELETE" };
	uint64_t length;

	return request(self, c, &req, path, &length);
}

static const struct tier_ops http_ops = {
	.get = http_get,
	.put = http_put,
	.head = http_head,
	.list = http_list,
	.delete = http_delete,
	.free = http_tier_free,
};

int tier_http_new(const char *url, const struct tier_options *o,
		  struct tier **ret_tier)
{
	const struct http_config config = { .ca = o->ca,
					    .certificate = o->certificate,
					    .certificate_key =
						    o->certificate_key };
	struct http_tier *t = calloc(1, sizeof(*t));
	size_t len = strlen(url);
	int r;

	if (!t)
		return -ENOMEM;
	while (len > 0 && url[len - 1] == '/')
		len--;
	t->url = strndup(url, len);
	t->is_bazel = o->layout != NULL;
	r = t->url ? http_new(&config, &t->http) : -ENOMEM;
	if (r == 0)
		r = credentials_new(o, true, &t->credentials);
	if (r < 0) {
		http_tier_free(t);
		return r;
	}
	return tier_new(&http_ops, t, ret_tier);
}
