/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a file of the model: pages that were written, in order of
 * their place; what lies between them is zeros. A file of some gigabytes with
 * few bytes in it costs little. One thread. No memory: abort().
 */
#ifndef LARDER_TESTS_CONTENT_H
#define LARDER_TESTS_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#define CONTENT_PAGE 4096u

struct content {
	struct content_page *pages;
	size_t n, cap;
	uint64_t size;
};

void content_release(struct content *c);

/* Zeros where it grows. */
void content_resize(struct content *c, uint64_t size);

/* Grows the content where that is needed. */
void content_write(struct content *c, const void *buf, size_t len,
		   uint64_t off);

/* Within the size; never grows. */
void content_zero(struct content *c, uint64_t off, uint64_t len);

/* Up to `len` bytes; returns how many, fewer only at the end. */
size_t content_read(const struct content *c, void *buf, size_t len,
		    uint64_t off);

/* The first byte at or behind `off` that is not zero, or the size. */
uint64_t content_nonzero(const struct content *c, uint64_t off);

#endif
