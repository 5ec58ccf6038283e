/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of a random run, and scripts of them. A step names all it does, so
 * that it can be done again without the steps before it. As text it is one
 * line: the kind and its operands, divided by blanks,
 *
 *	write dir/n1 4096 100 77
 *	rename dir/n1 a\x20b
 *
 * where a path's unusual bytes are \xHH, and the root is ".". Lines that are
 * empty or begin with '#' are left out. One thread.
 */
#ifndef LARDER_TESTS_STEP_H
#define LARDER_TESTS_STEP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* X(name, text, operands): a and b paths, or b an attribute or a target; o, p
 * offsets; l length; s seed of the bytes; m mode, in octal. */
#define STEP_KINDS(X)                                   \
	X(MKDIR, "mkdir", "am")                         \
	X(CREATE, "create", "am")                       \
	X(FIFO, "fifo", "am")                           \
	X(SYMLINK, "symlink", "ba")                     \
	X(LINK, "link", "ab")                           \
	X(UNLINK, "unlink", "a")                        \
	X(RMDIR, "rmdir", "a")                          \
	X(RENAME, "rename", "ab")                       \
	X(NOREPLACE, "noreplace", "ab")                 \
	X(EXCHANGE, "exchange", "ab")                   \
	X(OPEN, "open", "ab")                           \
	X(OPEN_CREATE, "open-create", "abm")            \
	X(OPEN_TRUNCATE, "open-truncate", "ab")         \
	X(OPEN_APPEND, "open-append", "ab")             \
	X(TMPFILE, "tmpfile", "abm")                    \
	X(CLOSE, "close", "a")                          \
	X(WRITE, "write", "aols")                       \
	X(TRUNCATE, "truncate", "ao")                   \
	X(ALLOCATE, "allocate", "aol")                  \
	X(ALLOCATE_KEEP, "allocate-keep", "aol")        \
	X(PUNCH, "punch", "aol")                        \
	X(ZERO, "zero", "aol")                          \
	X(ZERO_KEEP, "zero-keep", "aol")                \
	X(COPY, "copy", "aobpl")                        \
	X(MAP_WRITE, "map-write", "aols")               \
	X(MAP_WRITE_SYNC, "map-write-sync", "aols")     \
	X(MAP_READ, "map-read", "aol")                  \
	X(READ, "read", "aol")                          \
	X(READ_COLD, "read-cold", "aol")                \
	X(SEEK_DATA, "seek-data", "ao")                 \
	X(SEEK_HOLE, "seek-hole", "ao")                 \
	X(FSYNC, "fsync", "a")                          \
	X(CHMOD, "chmod", "am")                         \
	X(CHOWN, "chown", "aop")                        \
	X(UTIMENS, "utimens", "aop")                    \
	X(SETXATTR, "setxattr", "abls")                 \
	X(SETXATTR_CREATE, "setxattr-create", "abls")   \
	X(SETXATTR_REPLACE, "setxattr-replace", "abls") \
	X(REMOVEXATTR, "removexattr", "ab")             \
	X(STAT, "stat", "a")                            \
	X(LIST, "list", "a")                            \
	X(XATTRS, "xattrs", "a")                        \
	X(READLINK, "readlink", "a")                    \
	X(COMPARE, "compare", "")                       \
	X(REMOUNT, "remount", "o")                      \
	X(REOPEN, "reopen", "o")                        \
	X(DISTURB, "disturb", "o")

#define STEP_ENUM(name, text, operands) STEP_##name,
enum step_kind { STEP_KINDS(STEP_ENUM) STEP_KIND_COUNT };
#undef STEP_ENUM

struct step {
	enum step_kind kind;
	char *a, *b; /* owned; NULL where the kind has none */
	uint64_t off, off2, len, seed;
	uint32_t mode;
};

/* One line without a newline, cut to `size`. */
void step_format(const struct step *s, char *buf, size_t size);

/* -EINVAL: no such step; 1: a line that says nothing. */
int step_parse(const char *line, struct step *ret_step);
void step_release(struct step *s);

const char *step_name(enum step_kind kind);

struct script {
	struct step *steps;
	size_t n, cap;
};

void script_release(struct script *s);
void script_add(struct script *s, struct step *step); /* takes it over */
void script_write(const struct script *s, FILE *f);

/* Says on standard error what was wrong: -EINVAL, -EIO. */
int script_read(const char *path, struct script *ret_script);

#endif
