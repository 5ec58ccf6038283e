/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to ListObjectsV2, read strictly: its elements in any order, no
 * comments, declarations or sections inside, text with the five entities of XML
 * and numeric ones. Pure function over memory.
 */
#ifndef LARDER_S3_LIST_H
#define LARDER_S3_LIST_H

#include <stddef.h>
#include <stdint.h>

#define S3_KEY_MAX 1024
#define S3_TOKEN_MAX 4096

struct s3_object {
	const char *key; /* borrowed */
	uint64_t size;
	int64_t mtime_ns; /* 0: LastModified is missing or no such time */
};

/* Calls `each` for every object; *ret_token is "" at the end of the list, else
 * what the next request continues with. -EBADMSG; what `each` returns other
 * than 0 ends it. */
int s3_list_parse(const char *text, size_t len,
		  int (*each)(void *arg, const struct s3_object *o), void *arg,
		  char ret_token[S3_TOKEN_MAX + 1]);

#endif
