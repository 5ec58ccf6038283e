/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the kernel that are in the log and perhaps not answered. A
 * worker that dies between the two leaves it to the next one to answer: the
 * kernel sends the request again, and doing it twice would be wrong (a second
 * MKDIR finds the directory there).
 *
 * So each record made for a request ends with the list of all such requests,
 * itself included; a replay takes over the list of the last record. There are
 * never more than service threads, and mostly one, so that costs 18 bytes a
 * record and no bookkeeping elsewhere. A list may hold requests that were
 * answered meanwhile: the kernel does not ask for those again.
 *
 * The list is guarded by the view's lock; which request a thread works for is
 * its own.
 */
#include <string.h>

#include "store/base/le.h"

#include "upper.h"

static _Thread_local struct {
	uint64_t unique; /* 0: none */
	bool resent;	 /* an earlier worker may have done it */
	bool recorded;
} now;

void upper_request_begin(uint64_t unique, bool resent)
{
	now.unique = unique;
	now.resent = resent;
	now.recorded = false;
}

bool upper_request_recorded(void)
{
	return now.recorded;
}

static struct upper_request *find(struct upper *u, uint64_t unique)
{
	unsigned k;

	for (k = 0; k < u->nrequests; k++)
		if (u->requests[k].unique == unique)
			return &u->requests[k];
	return NULL;
}

static void forget(struct upper *u, uint64_t unique)
{
	struct upper_request *q = find(u, unique);

	if (q)
		*q = u->requests[--u->nrequests];
}

void upper_request_end(struct upper *u)
{
	forget(u, now.unique);
	upper_request_begin(0, false);
}

bool upper_request_done(struct upper *u, uint64_t *ret_ino)
{
	const struct upper_request *q;

	if (!now.resent)
		return false;
	q = find(u, now.unique);
	/* Once: what follows for the same request may not have been done. */
	now.resent = false;
	if (!q)
		return false;
	*ret_ino = q->ino;
	now.recorded = true;
	return true;
}

void upper_requests_put(const struct upper *u, struct buf *items)
{
	uint8_t list[UPPER_REQUESTS * ITEM_REQUEST_BYTES];
	struct item item = { .type = ITEM_REQUESTS };
	unsigned k;

	for (k = 0; k < u->nrequests; k++) {
		le64_put(list + k * ITEM_REQUEST_BYTES, u->requests[k].unique);
		le64_put(list + k * ITEM_REQUEST_BYTES + 8, u->requests[k].ino);
	}
	item.requests = (struct item_requests){ (uint8_t)u->nrequests, list };
	item_put(items, &item);
}

/* The inode that the record being made begins with: of one that makes or
 * links something, that. 0: it begins with something else. */
static uint64_t first_ino(const struct buf *items)
{
	struct cursor c;
	struct item item;

	cursor_init(&c, items->data, items->len);
	if (item_take(&c, &item) <= 0 || item.type != ITEM_INODE)
		return 0;
	return item.inode.ino;
}

void upper_request_put(struct upper *u)
{
	struct upper_request *q;

	if (now.unique == 0 || buf_error(&u->items))
		return;
	q = find(u, now.unique);
	if (!q && u->nrequests < UPPER_REQUESTS) {
		q = &u->requests[u->nrequests++];
		*q = (struct upper_request){ now.unique, first_ino(&u->items) };
	}
	upper_requests_put(u, &u->items);
}

void upper_request_put_done(struct upper *u, bool written)
{
	if (now.unique == 0)
		return;
	if (written)
		now.recorded = true;
	else if (!now.recorded)
		forget(u, now.unique);
}

void upper_requests_apply(struct upper *u, const struct item_requests *list)
{
	const uint8_t *at = list->list;
	unsigned k;

	for (k = 0; k < list->count; k++, at += ITEM_REQUEST_BYTES)
		u->requests[k] = (struct upper_request){ le64_get(at),
							 le64_get(at + 8) };
	u->nrequests = list->count;
}
