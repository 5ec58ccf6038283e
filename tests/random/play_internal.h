/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a play, private to play*.c; each false with the difference noted. */
#ifndef LARDER_TESTS_PLAY_INTERNAL_H
#define LARDER_TESTS_PLAY_INTERNAL_H

#include "play.h"

/* Notes the first difference; returns false. */
bool play_fail(struct play *p, const char *what, const char *path,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));
bool play_same(struct play *p, const char *what, const char *path, int64_t want,
	       int64_t got);

/* The result of a call: a count or a negative errno. */
bool play_result(struct play *p, const char *path, int64_t want, int64_t got);

/* To p->buf; `cold`: past a cache, where there is one. */
ssize_t play_read(struct play *p, const char *path, size_t len, uint64_t off,
		  bool cold);

/* The bytes of p->want and p->buf, which are `off` in the file. */
bool play_same_bytes(struct play *p, const char *path, size_t len,
		     uint64_t off);

bool play_compare_stat(struct play *p, struct model_node *n, const char *path);
bool play_compare_names(struct play *p, struct model_node *dir,
			const char *path);
bool play_compare_xattrs(struct play *p, struct model_node *n,
			 const char *path);
bool play_compare_target(struct play *p, struct model_node *n,
			 const char *path);

/* Gives a file another size, on the model's side. */
void play_resize(struct play *p, struct model_node *n, uint64_t size);

/* How many bytes a step reads or writes, and which: the seed decides, and 0 is
 * for zeros. */
size_t play_io_len(const struct step *s);
void play_fill(uint8_t *buf, size_t len, uint64_t seed);

int64_t play_ns(const struct timespec *ts);

/* Steps, by what they work on. */
bool play_step_make(struct play *p, const struct step *s);
bool play_step_names(struct play *p, const struct step *s);
bool play_step_open(struct play *p, const struct step *s);
bool play_step_tmpfile(struct play *p, const struct step *s);
bool play_step_close(struct play *p, const struct step *s);
bool play_step_write(struct play *p, const struct step *s);
bool play_step_truncate(struct play *p, const struct step *s);
bool play_step_fallocate(struct play *p, const struct step *s);
bool play_step_copy(struct play *p, const struct step *s);
bool play_step_read(struct play *p, const struct step *s);
bool play_step_map(struct play *p, const struct step *s);
bool play_step_seek(struct play *p, const struct step *s);
bool play_step_fsync(struct play *p, const struct step *s);
bool play_step_chmod(struct play *p, const struct step *s);
bool play_step_chown(struct play *p, const struct step *s);
bool play_step_utimens(struct play *p, const struct step *s);
bool play_step_setxattr(struct play *p, const struct step *s);
bool play_step_removexattr(struct play *p, const struct step *s);

#endif
