/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier in an S3 bucket, in path style: an object is at
 * <endpoint>/<bucket>/<prefix>/<path>. Requests are signed by libcurl (SigV4);
 * it leaves x-amz-content-sha256 to us, and wants queries that are sorted and
 * encoded. A body is hashed before it is sent, so that the server refuses what
 * was changed on the way. Without credentials, requests are not signed (public
 * buckets).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "credentials.h"
#include "digest.h"
#include "http.h"
#include "s3_list.h"
#include "tier_internal.h"

#define URL_MAX (8192 + 3 * TIER_PATH_MAX)
#define LIST_MAX (8u << 20) /* bytes of one answer */
#define PAGES_MAX 10000
#define HASH_STEP (256u << 10)
#define EMPTY_SHA256 \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3_tier {	  /* constant */
	char *bucket_url; /* <endpoint>/<bucket> */
	char *prefix;	  /* "" or "dir/" */
	struct http *http, *unsigned_http;
	struct credentials *credentials;
};

static void s3_free(void *self)
{
	struct s3_tier *t = self;

	free(t->bucket_url);
	free(t->prefix);
	http_free(t->http);
	http_free(t->unsigned_http);
	credentials_free(t->credentials);
	free(t);
}

/* --- a request --- */

static int send_request(struct s3_tier *t, const struct tier_call *c,
			struct http_request *req, const char *sha256,
			uint64_t *ret_length)
{
	_cleanup_credential_ struct credential cred;
	_cleanup_free_ char *token = NULL;
	char sha[sizeof("x-amz-content-sha256: ") + DIGEST_HEX_LEN];
	const char *headers[3] = { sha, NULL, NULL };
	struct http *http = t->unsigned_http;
	long status;
	int r = credentials_get(t->credentials, c, &cred);

	if (r < 0)
		return r;
	snprintf(sha, sizeof(sha), "x-amz-content-sha256: %s", sha256);
	if (cred.lines[0] && cred.lines[1]) {
		http = t->http;
		req->user = cred.lines[0];
		req->password = cred.lines[1];
	}
	if (cred.lines[2]) {
		if (asprintf(&token, "x-amz-security-token: %s",
			     cred.lines[2]) < 0)
			return -ENOMEM;
		headers[1] = token;
	}
	req->headers = headers;
	req->no_redirects = true;
	r = http_do(http, c, req, &status, ret_length);
	if (r == 0)
		r = http_status_error(c, status);
	if (r == -EACCES)
		credentials_refused(t->credentials);
	return r;
}

static int request(struct s3_tier *t, const struct tier_call *c,
		   struct http_request *req, const char *path,
		   const char *sha256, uint64_t *ret_length)
{
	char url[URL_MAX];

	if ((size_t)snprintf(url, sizeof(url), "%s/%s%s", t->bucket_url,
			     t->prefix, path) >= sizeof(url))
		return -EINVAL;
	req->url = url;
	return send_request(t, c, req, sha256, ret_length);
}

static int s3_get(void *self, const struct tier_call *c, const char *path,
		  uint64_t off, uint64_t len, tier_sink sink, void *arg)
{
	struct http_request req = { .method = "GET",
				    .off = off,
				    .len = len,
				    .sink = sink,
				    .arg = arg };
	uint64_t length;

	return request(self, c, &req, path, EMPTY_SHA256, &length);
}

static int hash_source(const struct tier_call *c, uint64_t size,
		       tier_source source, void *arg,
		       char ret_hex[DIGEST_HEX_LEN + 1])
{
	_cleanup_digest_ctx_ struct digest_ctx *ctx = NULL;
	_cleanup_free_ uint8_t *buf = malloc(HASH_STEP);
	struct digest digest;
	uint64_t off = 0;
	int r = buf ? digest_ctx_new(&ctx) : -ENOMEM;

	while (r == 0 && off < size) {
		ssize_t n = source(
			arg, buf,
			size - off < HASH_STEP ? size - off : HASH_STEP, off);

		if (n <= 0)
			return tier_why(c, n < 0 ? (int)n : -EIO,
					"what is to be put ended early");
		r = digest_ctx_update(ctx, buf, n);
		if (r == 0)
			r = tier_call_check(c);
		off += n;
	}
	if (r == 0)
		r = digest_ctx_final(ctx, &digest);
	if (r == 0)
		digest_hex(&digest, ret_hex);
	return r;
}

static int s3_put(void *self, const struct tier_call *c, const char *path,
		  uint64_t size, tier_source source, void *arg)
{
	struct http_request req = { .method = "PUT",
				    .size = size,
				    .source = source,
				    .arg = arg };
	char hex[DIGEST_HEX_LEN + 1];
	uint64_t length;
	int r = hash_source(c, size, source, arg, hex);

	return r < 0 ? r : request(self, c, &req, path, hex, &length);
}

static int s3_head(void *self, const struct tier_call *c, const char *path,
		   uint64_t *ret_size)
{
	struct http_request req = { .method = "HEAD" };
	uint64_t length;
	int r = request(self, c, &req, path, EMPTY_SHA256, &length);

	if (r < 0)
		return r;
	if (length == UINT64_MAX)
		return tier_why(c, -EIO, "no length is told");
	*ret_size = length;
	return 0;
}

/* S3 says 204 to the removal of what is not there. */
static int s3_delete(void *self, const struct tier_call *c, const char *path)
{
	struct http_request req = { .method = "DELETE" };
	uint64_t length;
	int r = s3_head(self, c, path, &length);

	return r < 0 ? r : request(self, c, &req, path, EMPTY_SHA256, &length);
}

/* --- lists --- */

struct listing {
	const struct s3_tier *tier;
	tier_each each;
	void *arg;
};

static int list_key(void *arg, const struct s3_object *so)
{
	struct listing *l = arg;
	size_t len = strlen(l->tier->prefix);
	const struct tier_object o = { so->key + len, so->size, so->mtime_ns };

	if (strncmp(so->key, l->tier->prefix, len) != 0 ||
	    !tier_path_is_valid(o.path))
		return 0;
	return l->each(l->arg, &o);
}

static int take(void *arg, const void *data, size_t len)
{
	struct buf *b = arg;

	if (len > LIST_MAX - b->len)
		return -EFBIG;
	buf_put(b, data, len);
	return buf_error(b);
}

/* One page; *token is what it continues with, and then what the next does. */
static int list_page(struct s3_tier *t, const struct tier_call *c,
		     const char *prefix, char *token, struct listing *l)
{
	_cleanup_free_ char *escaped = http_escape(prefix);
	_cleanup_free_ char *from = http_escape(token);
	_cleanup_buf_ struct buf body = BUF_INIT;
	struct http_request req = { .method = "GET",
				    .sink = take,
				    .arg = &body };
	_cleanup_free_ char *url = NULL;
	uint64_t length;
	int r;

	if (!escaped || !from ||
	    asprintf(&url, "%s?%s%s%slist-type=2&max-keys=1000&prefix=%s",
		     t->bucket_url, *from ? "continuation-token=" : "", from,
		     *from ? "&" : "", escaped) < 0)
		return -ENOMEM;
	req.url = url;
	r = send_request(t, c, &req, EMPTY_SHA256, &length);
	if (r == 0 && body.len == 0)
		r = -EBADMSG;
	if (r == 0)
		r = s3_list_parse((char *)body.data, body.len, list_key, l,
				  token);
	return r == -EBADMSG ?
		       tier_why(c, -EIO, "the list cannot be understood") :
		       r;
}

static int s3_list(void *self, const struct tier_call *c, const char *prefix,
		   tier_each each, void *arg)
{
	struct s3_tier *t = self;
	struct listing l = { t, each, arg };
	char token[S3_TOKEN_MAX + 1] = "";
	_cleanup_free_ char *whole = NULL;
	int r;

	if (asprintf(&whole, "%s%s%s", t->prefix, prefix, *prefix ? "/" : "") <
	    0)
		return -ENOMEM;
	for (unsigned page = 0; page < PAGES_MAX; page++) {
		r = list_page(t, c, whole, token, &l);
		if (r || !*token)
			return r;
	}
	return tier_why(c, -EFBIG, "the list does not end");
}

static const struct tier_ops s3_ops = {
	.get = s3_get,
	.put = s3_put,
	.head = s3_head,
	.list = s3_list,
	.delete = s3_delete,
	.free = s3_free,
};

/* --- making one --- */

/* BUCKET/PREFIX, without slashes at the ends. */
static int set_place(struct s3_tier *t, const char *place, const char *endpoint,
		     const char *region)
{
	size_t bucket = strcspn(place, "/"), len = strlen(place);
	const char *prefix = place + bucket + (place[bucket] == '/');
	_cleanup_free_ char *server = NULL;
	size_t end;

	while (len > bucket && place[len - 1] == '/')
		len--;
	if (endpoint ? !(server = strdup(endpoint)) :
		       asprintf(&server, "https://s3.%s.amazonaws.com",
				region) < 0)
		return -ENOMEM;
	end = strlen(server);
	while (end > 0 && server[end - 1] == '/')
		server[--end] = '\0';
	if (asprintf(&t->bucket_url, "%s/%.*s", server, (int)bucket, place) < 0)
		return -ENOMEM;
	if (prefix >= place + len)
		t->prefix = strdup("");
	else if (asprintf(&t->prefix, "%.*s/", (int)(place + len - prefix),
			  prefix) < 0)
		return -ENOMEM;
	return t->prefix ? 0 : -ENOMEM;
}

static int set_clients(struct s3_tier *t, const struct tier_options *o,
		       const char *region)
{
	struct http_config config = { .ca = o->ca,
				      .certificate = o->certificate,
				      .certificate_key = o->certificate_key };
	_cleanup_free_ char *sigv4 = NULL;
	int r = http_new(&config, &t->unsigned_http);

	if (r < 0)
		return r;
	if (asprintf(&sigv4, "aws:amz:%s:s3", region) < 0)
		return -ENOMEM;
	config.sigv4 = sigv4;
	r = http_new(&config, &t->http);
	return r < 0 ? r : credentials_new(o, false, &t->credentials);
}

int tier_s3_new(const char *place, const struct tier_options *o,
		struct tier **ret_tier)
{
	const char *region = o->region ? o->region : "us-east-1";
	struct s3_tier *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = set_place(t, place, o->endpoint, region);
	if (r == 0)
		r = set_clients(t, o, region);
	if (r < 0) {
		s3_free(t);
		return r;
	}
	return tier_new(&s3_ops, t, ret_tier);
}
