/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a file; see content.h. */
#include "content.h"

#include <stdlib.h>
#include <string.h>

struct content_page {
	uint64_t index;
	uint8_t *bytes;
};

/* The place of the first page with at least this index. */
static size_t place(const struct content *c, uint64_t index)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->pages[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint8_t *find(const struct content *c, uint64_t index)
{
	size_t at = place(c, index);

	if (at == c->n || c->pages[at].index != index)
		return NULL;
	return c->pages[at].bytes;
}

static uint8_t *find_or_add(struct content *c, uint64_t index)
{
	size_t at = place(c, index);
	struct content_page *p;

	if (at < c->n && c->pages[at].index == index)
		return c->pages[at].bytes;
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 4;
		p = reallocarray(c->pages, c->cap, sizeof(*p));
		if (!p)
			abort();
		c->pages = p;
	}
	p = &c->pages[at];
	memmove(p + 1, p, (c->n - at) * sizeof(*p));
	c->n++;
	p->index = index;
	p->bytes = calloc(1, CONTENT_PAGE);
	if (!p->bytes)
		abort();
	return p->bytes;
}

/* Removes the pages from index `from` to before `to`. */
static void drop(struct content *c, uint64_t from, uint64_t to)
{
	size_t first = place(c, from), end = place(c, to), i;

	for (i = first; i < end; i++)
		free(c->pages[i].bytes);
	if (end > first)
		memmove(&c->pages[first], &c->pages[end],
			(c->n - end) * sizeof(*c->pages));
	c->n -= end - first;
}

void content_release(struct content *c)
{
	drop(c, 0, UINT64_MAX);
	free(c->pages);
	*c = (struct content){ 0 };
}

static void zero_in_page(struct content *c, uint64_t off, uint64_t end)
{
	uint8_t *page = find(c, off / CONTENT_PAGE);

	if (page && end > off)
		memset(page + off % CONTENT_PAGE, 0, end - off);
}

void content_zero(struct content *c, uint64_t off, uint64_t len)
{
	uint64_t end, first, last;

	if (off >= c->size)
		return;
	end = len < c->size - off ? off + len : c->size;
	first = (off + CONTENT_PAGE - 1) / CONTENT_PAGE;
	last = end / CONTENT_PAGE;
	if (first > last) {
		zero_in_page(c, off, end);
		return;
	}
	zero_in_page(c, off, first * CONTENT_PAGE);
	zero_in_page(c, last * CONTENT_PAGE, end);
	drop(c, first, last);
}

void content_resize(struct content *c, uint64_t size)
{
	if (size < c->size) {
		content_zero(c, size, c->size - size);
		drop(c, (size + CONTENT_PAGE - 1) / CONTENT_PAGE, UINT64_MAX);
	}
	c->size = size;
}

void content_write(struct content *c, const void *buf, size_t len, uint64_t off)
{
	const uint8_t *from = buf;

	if (off + len > c->size)
		c->size = off + len;
	while (len > 0) {
		size_t in = off % CONTENT_PAGE, part = CONTENT_PAGE - in;

		if (part > len)
			part = len;
		memcpy(find_or_add(c, off / CONTENT_PAGE) + in, from, part);
		from += part;
		off += part;
		len -= part;
	}
}

size_t content_read(const struct content *c, void *buf, size_t len,
		    uint64_t off)
{
	uint8_t *to = buf;
	size_t done;

	if (off >= c->size)
		return 0;
	if (len > c->size - off)
		len = c->size - off;
	for (done = 0; done < len;) {
		const uint8_t *page = find(c, off / CONTENT_PAGE);
		size_t in = off % CONTENT_PAGE, part = CONTENT_PAGE - in;

		if (part > len - done)
			part = len - done;
		if (page)
			memcpy(to + done, page + in, part);
		else
			memset(to + done, 0, part);
		done += part;
		off += part;
	}
	return len;
}

uint64_t content_nonzero(const struct content *c, uint64_t off)
{
	size_t at = place(c, off / CONTENT_PAGE), in;

	for (; at < c->n; at++) {
		uint64_t start = c->pages[at].index * CONTENT_PAGE;

		in = off > start ? off - start : 0;
		for (; in < CONTENT_PAGE; in++)
			if (c->pages[at].bytes[in])
				return start + in;
	}
	return c->size;
}
