/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines and the errno dialect.
 *
 * Every function of Larder that can fail returns 0 (or a positive value that
 * its header explains) or a negative errno; what each code means across
 * store/ is listed in store/README.md. The place that knows the cause logs
 * once and returns the code in one expression:
 *
 *	return log_error(-EBADMSG, "pack %s: bad footer", name);
 *
 * Thread-safe; one line is one write(2). Lines go to standard error, with
 * "<N>" priority prefixes where standard error is the journal. The same line
 * again and again is counted and not written (log_limit.h).
 */
#ifndef LARDER_BASE_LOG_H
#define LARDER_BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR = 3, /* values are syslog's */
	LOG_LEVEL_WARN = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* Lines above this level are dropped. Starts at LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/* "error", "warning", "info" or "debug". -EINVAL for no level. */
#define LOG_LEVEL_VARIABLE "LARDER_LOG_LEVEL" /* the daemon's, at its start */
int log_level_parse(const char *name, enum log_level *ret_level);

/* Writes one line; `fmt` takes no newline. Returns `err` unchanged. */
int log_at(enum log_level level, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(err, ...) log_at(LOG_LEVEL_ERROR, (err), __VA_ARGS__)
#define log_warn(err, ...) log_at(LOG_LEVEL_WARN, (err), __VA_ARGS__)
#define log_info(...) ((void)log_at(LOG_LEVEL_INFO, 0, __VA_ARGS__))
#define log_debug(...) ((void)log_at(LOG_LEVEL_DEBUG, 0, __VA_ARGS__))

#endif
