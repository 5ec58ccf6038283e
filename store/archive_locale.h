/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libarchive converts names between UTF-8, which pax headers are in, and the
 * thread's character set; in the "C" locale that loses names. Names here are
 * bytes that are mostly UTF-8, so a thread that calls libarchive does so
 * under LC_CTYPE C.UTF-8. For ingest_tar.c and export_tar.c.
 */
#ifndef LARDER_ARCHIVE_LOCALE_H
#define LARDER_ARCHIVE_LOCALE_H

#include <locale.h>

struct archive_locale {
	locale_t utf8, saved;
};

/* Where the system has no such locale, the thread keeps its own. */
static inline void archive_locale_begin(struct archive_locale *l)
{
	l->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	l->saved = l->utf8 ? uselocale(l->utf8) : (locale_t)0;
}

static inline void archive_locale_end(struct archive_locale *l)
{
	if (!l->utf8)
		return;
	uselocale(l->saved);
	freelocale(l->utf8);
}

#endif
