/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests through libcurl. A slot is an easy handle with a multi handle of
 * its own, which keeps the connection; idle slots are kept in a stack, so that
 * requests one after the other go over one connection. The multi interface is
 * used for one transfer each, because it can be waited on for a tenth of a
 * second, and curl_easy_perform() looks at a wish to end once a second.
 */
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http_answer.h"

#define IDLE_SLOTS_MAX 8
#define CONNECT_TIMEOUT_MS 10000L
#define LOW_SPEED_BYTES 256L /* in a second, for so many seconds */
#define LOW_SPEED_SECONDS 30L
#define REDIRECTS_MAX 5L

struct slot {
	struct slot *next;
	CURLM *multi;
	CURL *easy;
};

struct http {
	char *ca, *certificate, *certificate_key, *sigv4; /* constant */

	pthread_mutex_t lock; /* guards the next two */
	struct slot *idle;
	unsigned count;
};

/* One request under way; one thread's. */
struct transfer {
	const struct tier_call *call;
	const struct http_request *req;
	CURL *easy;
	char error[CURL_ERROR_SIZE];
	struct curl_slist *headers;
	struct http_answer answer;
	int err; /* what sink, source or a check ended it with */
	uint64_t sent;
};

static void init_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int copy(const char *text, char **ret_copy)
{
	if (!text)
		return 0;
	*ret_copy = strdup(text);
	return *ret_copy ? 0 : -ENOMEM;
}

int http_new(const struct http_config *config, struct http **ret_http)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	pthread_once(&once, init_once);
	pthread_mutex_init(&h->lock, NULL);
	if (copy(config->ca, &h->ca) < 0 ||
	    copy(config->certificate, &h->certificate) < 0 ||
	    copy(config->certificate_key, &h->certificate_key) < 0 ||
	    copy(config->sigv4, &h->sigv4) < 0) {
		http_free(h);
		return -ENOMEM;
	}
	*ret_http = h;
	return 0;
}

/* --- slots --- */

static void slot_free(struct slot *s)
{
	if (!s)
		return;
	curl_easy_cleanup(s->easy);
	if (s->multi)
		curl_multi_cleanup(s->multi);
	free(s);
}

void http_free(struct http *h)
{
	struct slot *s;

	if (!h)
		return;
	while ((s = h->idle)) {
		h->idle = s->next;
		slot_free(s);
	}
	pthread_mutex_destroy(&h->lock);
	free(h->ca);
	free(h->certificate);
	free(h->certificate_key);
	free(h->sigv4);
	free(h);
}

static struct slot *slot_take_idle(struct http *h)
{
	LOCK_SCOPE(&h->lock);
	struct slot *s = h->idle;

	if (s) {
		h->idle = s->next;
		h->count--;
	}
	return s;
}

static struct slot *slot_take(struct http *h)
{
	struct slot *s = slot_take_idle(h);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->multi = curl_multi_init();
	s->easy = curl_easy_init();
	if (!s->multi || !s->easy) {
		slot_free(s);
		return NULL;
	}
	return s;
}

static struct slot *slot_keep(struct http *h, struct slot *s)
{
	LOCK_SCOPE(&h->lock);

	if (h->count >= IDLE_SLOTS_MAX)
		return s;
	s->next = h->idle;
	h->idle = s;
	h->count++;
	return NULL;
}

static void slot_give_back(struct http *h, struct slot *s)
{
	curl_easy_reset(s->easy);
	slot_free(slot_keep(h, s));
}

/* --- callbacks --- */

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT" */
static void note_date(struct tier_seen *seen, const char *line, size_t len)
{
	char text[HTTP_VALUE_MAX];
	time_t date;

	if (!http_header_value(line, len, "date:", text))
		return;
	date = curl_getdate(text, NULL);
	seen->date_s = date > 0 ? date : 0;
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	struct transfer *t = arg;

	len *= one;
	http_answer_header(&t->answer, line, len);
	if (t->call && t->call->seen)
		note_date(t->call->seen, line, len);
	return len;
}

/* Whether the answer is the part that was asked for, or all. */
static int begin_body(struct transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (http_answer_begin(&t->answer, status) < 0)
		return tier_why(t->call, -EIO,
				"another range than was asked for");
	if (t->answer.is_whole && t->call && t->call->seen)
		t->call->seen->whole = true;
	return 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct transfer *t = arg;
	const char *wanted = data;
	size_t n = len * one;

	len = n;
	if (!t->answer.begun)
		t->err = begin_body(t);
	if (t->err == 0) {
		http_answer_body(&t->answer, &wanted, &n);
		if (n > 0)
			t->err = t->req->sink(t->req->arg, wanted, n);
	}
	return t->err || t->answer.enough ? 0 : len;
}

static size_t on_upload(char *buf, size_t one, size_t cap, void *arg)
{
	struct transfer *t = arg;
	uint64_t left = t->req->size - t->sent;
	ssize_t n;

	cap *= one;
	if (left == 0)
		return 0;
	n = t->req->source(t->req->arg, buf, left < cap ? left : cap, t->sent);
	if (n <= 0) {
		t->err = tier_why(t->call, n < 0 ? (int)n : -EIO,
				  "what is to be put ended early");
		return CURL_READFUNC_ABORT;
	}
	t->sent += n;
	return n;
}

/* To send it again: on a connection that was closed, or after a redirect. */
static int on_seek(void *arg, curl_off_t off, int origin)
{
	struct transfer *t = arg;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > t->req->size)
		return CURL_SEEKFUNC_FAIL;
	t->sent = off;
	return CURL_SEEKFUNC_OK;
}

/* --- a request --- */

static bool set(CURLcode r)
{
	return r == CURLE_OK;
}

static bool set_text(CURL *e, CURLoption option, const char *text)
{
	return !text || set(curl_easy_setopt(e, option, text));
}

static bool set_security(struct http *h, CURL *e)
{
	return set(curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https")) &&
	       set(curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR,
				    "http,https")) &&
	       set(curl_easy_setopt(e, CURLOPT_SSLVERSION,
				    (long)CURL_SSLVERSION_TLSv1_2)) &&
	       set_text(e, CURLOPT_CAINFO, h->ca) &&
	       set_text(e, CURLOPT_SSLCERT, h->certificate) &&
	       set_text(e, CURLOPT_SSLKEY, h->certificate_key) &&
	       set_text(e, CURLOPT_AWS_SIGV4, h->sigv4);
}

/* libcurl sends neither a token nor a password to another host. */
static bool set_credentials(CURL *e, const struct http_request *req)
{
	if (req->token &&
	    (!set(curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER)) ||
	     !set_text(e, CURLOPT_XOAUTH2_BEARER, req->token)))
		return false;
	return set_text(e, CURLOPT_USERNAME, req->user) &&
	       set_text(e, CURLOPT_PASSWORD, req->password);
}

static bool set_limits(CURL *e, const struct http_request *req)
{
	return set(curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L)) &&
	       set(curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
				    CONNECT_TIMEOUT_MS)) &&
	       set(curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT,
				    LOW_SPEED_BYTES)) &&
	       set(curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME,
				    LOW_SPEED_SECONDS)) &&
	       set(curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION,
				    req->no_redirects ? 0L : 1L)) &&
	       set(curl_easy_setopt(e, CURLOPT_MAXREDIRS, REDIRECTS_MAX)) &&
	       set(curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L)) &&
	       set_text(e, CURLOPT_USERAGENT, "larder/" PACKAGE_VERSION);
}

static bool set_upload(CURL *e, struct transfer *t)
{
	return set(curl_easy_setopt(e, CURLOPT_UPLOAD, 1L)) &&
	       set(curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE,
				    (curl_off_t)t->req->size)) &&
	       set(curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload)) &&
	       set(curl_easy_setopt(e, CURLOPT_READDATA, t)) &&
	       set(curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek)) &&
	       set(curl_easy_setopt(e, CURLOPT_SEEKDATA, t));
}

static bool set_range(CURL *e, const struct http_request *req)
{
	char range[64];

	if (req->off == 0 && req->len == 0)
		return true;
	if (req->len)
		snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, req->off,
			 req->off + req->len - 1);
	else
		snprintf(range, sizeof(range), "%" PRIu64 "-", req->off);
	return set_text(e, CURLOPT_RANGE, range);
}

static bool set_method(CURL *e, struct transfer *t)
{
	const char *method = t->req->method;

	if (strcmp(method, "HEAD") == 0)
		return set(curl_easy_setopt(e, CURLOPT_NOBODY, 1L));
	if (strcmp(method, "PUT") == 0)
		return set_upload(e, t);
	if (strcmp(method, "GET") != 0)
		return set_text(e, CURLOPT_CUSTOMREQUEST, method);
	return set_range(e, t->req);
}

static bool set_headers(CURL *e, struct transfer *t)
{
	const char *const *header = t->req->headers;

	for (; header && *header; header++) {
		struct curl_slist *more =
			curl_slist_append(t->headers, *header);

		if (!more)
			return false;
		t->headers = more;
	}
	return !t->headers ||
	       set(curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers));
}

static bool set_callbacks(CURL *e, struct transfer *t)
{
	return set(curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error)) &&
	       set(curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header)) &&
	       set(curl_easy_setopt(e, CURLOPT_HEADERDATA, t)) &&
	       set(curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body)) &&
	       set(curl_easy_setopt(e, CURLOPT_WRITEDATA, t));
}

static bool set_up(struct http *h, CURL *e, struct transfer *t)
{
	return set_security(h, e) && set_credentials(e, t->req) &&
	       set_limits(e, t->req) && set_text(e, CURLOPT_URL, t->req->url) &&
	       set_method(e, t) && set_headers(e, t) && set_callbacks(e, t);
}

static int poll_ms(const struct tier_call *call)
{
	int64_t left = INT64_MAX;

	if (call->deadline_ns)
		left = (call->deadline_ns - clock_mono_ns()) / 1000000 + 1;
	return left < TIER_CANCEL_MS ? (left > 0 ? (int)left : 0) :
				       TIER_CANCEL_MS;
}

static bool is_done(CURLM *multi, CURLcode *ret_result)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		*ret_result = msg->data.result;
		return true;
	}
	return false;
}

/* 0 and libcurl's result, or what ended it. */
static int run(struct slot *s, const struct tier_call *call,
	       CURLcode *ret_result)
{
	int running, r;

	if (curl_multi_add_handle(s->multi, s->easy) != CURLM_OK)
		return -ENOMEM;
	for (;;) {
		if (curl_multi_perform(s->multi, &running) != CURLM_OK) {
			r = -EIO;
			break;
		}
		r = 0;
		if (is_done(s->multi, ret_result))
			break;
		r = tier_call_check(call);
		if (r < 0)
			break;
		curl_multi_poll(s->multi, NULL, 0, poll_ms(call), NULL);
	}
	curl_multi_remove_handle(s->multi, s->easy);
	return r;
}

static int transfer_error(const struct transfer *t, CURLcode result)
{
	const char *text = *t->error ? t->error : curl_easy_strerror(result);

	switch (result) {
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		return tier_why(t->call, -ETIMEDOUT, "%s", text);
	default:
		return tier_why(t->call, -EIO, "%s", text);
	}
}

static int finish(struct transfer *t, CURLcode result, long *ret_status,
		  uint64_t *ret_length)
{
	curl_off_t length = -1;

	if (t->err)
		return t->err;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, ret_status);
	if (result != CURLE_OK && !t->answer.enough)
		return transfer_error(t, result);
	/* An empty body never came to begin_body(). */
	if (!t->answer.begun && strcmp(t->req->method, "GET") == 0) {
		int r = begin_body(t);

		if (r < 0)
			return r;
	}
	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	*ret_length = length < 0 ? UINT64_MAX : (uint64_t)length;
	return 0;
}

int http_do(struct http *h, const struct tier_call *call,
	    const struct http_request *req, long *ret_status,
	    uint64_t *ret_length)
{
	struct transfer t = { .call = call,
			      .req = req,
			      .answer = { .off = req->off,
					  .len = req->len,
					  .wants_body = req->sink != NULL } };
	CURLcode result = CURLE_OK;
	struct slot *s = slot_take(h);
	int r;

	if (!s)
		return -ENOMEM;
	t.easy = s->easy;
	r = set_up(h, s->easy, &t) ? run(s, call, &result) : -ENOMEM;
	if (r == 0)
		r = finish(&t, result, ret_status, ret_length);
	else if (t.err)
		r = t.err;
	slot_give_back(h, s);
	curl_slist_free_all(t.headers);
	return r;
}

int http_status_error(const struct tier_call *call, long status)
{
	if (status >= 200 && status < 300)
		return 0;
	switch (status) {
	case 404:
	case 410:
		return tier_why(call, -ENOENT, "HTTP status %ld", status);
	case 401:
	case 403:
	case 407:
		return tier_why(call, -EACCES, "refused, HTTP status %ld",
				status);
	case 413:
	case 507:
		return tier_why(call, -ENOSPC,
				"full or too large, HTTP status %ld", status);
	case 405:
	case 501:
		return tier_why(call, -EOPNOTSUPP,
				"not possible there, HTTP status %ld", status);
	case 408:
	case 504:
		return tier_why(call, -ETIMEDOUT, "HTTP status %ld", status);
	default:
		return tier_why(call, -EIO, "HTTP status %ld", status);
	}
}

/* libcurl's own are freed with curl_free(). */
char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *own = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return own;
}
