/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a mount's numbered entries: reading it, and writing lines. */
#include "all_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/base/map.h"
#include "store/base/publish.h"
#include "store/key.h"

#define FILE_NAME "entries"
#define FILE_BYTES_MAX ((size_t)256 << 20)
#define FORMAT 1
#define WORDS_MAX 6

void all_record_release(struct all_record *r)
{
	free(r->namespace);
	free(r->name);
	free(r->key);
	*r = (struct all_record){ .number = 0 };
}

void all_table_release(struct all_table *t)
{
	for (size_t i = 0; i < t->count; i++)
		all_record_release(&t->records[i]);
	free(t->records);
	t->records = NULL;
	t->count = 0;
}

int all_table_init(struct all_table *ret_table)
{
	*ret_table = (struct all_table){ .next = 1 };
	return getrandom(ret_table->seed, ALL_SEED_LEN, 0) == ALL_SEED_LEN ?
		       0 :
		       -EIO;
}

/* --- reading --- */

struct reader {
	struct all_table *table;
	struct map by_number; /* number -> index + 1 */
	size_t cap;
};

/* Divides a line at its single spaces, in place; the number of words, or 0
 * where there are more than any line has. */
static size_t split(char *line, char *words[WORDS_MAX])
{
	size_t n = 0;
	char *word;

	while ((word = strsep(&line, " "))) {
		if (n == WORDS_MAX)
			return 0;
		words[n++] = word;
	}
	return n;
}

static int parse_number(const char *text, uint32_t max, uint32_t *ret_number)
{
	char *end;
	unsigned long n;

	if (*text < '1' || *text > '9')
		return -EBADMSG;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n > max)
		return -EBADMSG;
	*ret_number = (uint32_t)n;
	return 0;
}

static int parse_head(struct all_table *t, char *words[], size_t n)
{
	uint32_t format;

	if (n != 4 || strcmp(words[0], "larder-entries") != 0 ||
	    parse_number(words[1], FORMAT, &format) < 0 ||
	    hex_decode(words[2], ALL_SEED_LEN, t->seed) < 0)
		return -EBADMSG;
	return parse_number(words[3], ALL_NUMBER_MAX + 1, &t->next);
}

static int record_parse(char *words[], struct all_record *r)
{
	if (parse_number(words[1], ALL_NUMBER_MAX, &r->number) < 0 ||
	    digest_parse(words[2], &r->catalog) < 0 ||
	    !key_is_valid(words[3]) || !key_is_valid(words[4]) ||
	    !key_is_valid(words[5]))
		return -EBADMSG;
	r->namespace = strdup(words[3]);
	r->name = strdup(words[4]);
	r->key = strdup(words[5]);
	return r->namespace && r->name && r->key ? 0 : -ENOMEM;
}

static int reader_grow(struct reader *rd)
{
	struct all_record *grown;
	size_t cap = rd->cap ? rd->cap * 2 : 64;

	if (rd->table->count < rd->cap)
		return 0;
	grown = reallocarray(rd->table->records, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	rd->table->records = grown;
	rd->cap = cap;
	return 0;
}

static int add_record(struct reader *rd, char *words[])
{
	struct all_table *t = rd->table;
	struct all_record r = { .number = 0 };
	int err = reader_grow(rd);

	if (err == 0)
		err = record_parse(words, &r);
	if (err == 0 && map_get(&rd->by_number, r.number))
		err = -EBADMSG;
	if (err == 0)
		err = map_put(&rd->by_number, r.number,
			      (void *)(uintptr_t)(t->count + 1));
	if (err < 0) {
		all_record_release(&r);
		return err;
	}
	if (r.number >= t->next)
		t->next = r.number + 1;
	t->records[t->count++] = r;
	return 0;
}

static int mark_record(struct reader *rd, const char *text, bool open)
{
	uint32_t number;
	size_t at;

	if (parse_number(text, ALL_NUMBER_MAX, &number) < 0)
		return -EBADMSG;
	at = (size_t)(uintptr_t)map_get(&rd->by_number, number);
	if (at == 0)
		return -EBADMSG;
	rd->table->records[at - 1].open = open;
	return 0;
}

static int read_line(struct reader *rd, char *line)
{
	char *words[WORDS_MAX];
	size_t n = split(line, words);

	if (n == 6 && strcmp(words[0], "entry") == 0)
		return add_record(rd, words);
	if (n == 2 && strcmp(words[0], "open") == 0)
		return mark_record(rd, words[1], true);
	if (n == 2 && strcmp(words[0], "close") == 0)
		return mark_record(rd, words[1], false);
	return -EBADMSG;
}

/* What is behind the last newline was not written to its end. */
static int read_lines(struct reader *rd, char *text)
{
	char *words[WORDS_MAX], *line, *end = strrchr(text, '\n');
	int r;

	if (!end)
		return -EBADMSG;
	*end = '\0';
	line = strsep(&text, "\n");
	r = parse_head(rd->table, words, split(line, words));
	while (r == 0 && (line = strsep(&text, "\n")))
		r = read_line(rd, line);
	return r;
}

int all_table_load(int dirfd, struct all_table *ret_table)
{
	_cleanup_all_table_ struct all_table t = { .next = 1 };
	struct reader rd = { .table = &t, .by_number = MAP_INIT };
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;
	int r = io_read_file(dirfd, FILE_NAME, FILE_BYTES_MAX, &data, &len);

	if (r < 0)
		return r;
	r = strlen((char *)data) == len ? read_lines(&rd, (char *)data) :
					  -EBADMSG;
	map_release(&rd.by_number);
	if (r == -EBADMSG)
		return log_error(r, "the table of a mount of all entries is "
				    "damaged");
	if (r < 0)
		return r;
	*ret_table = t;
	t = (struct all_table){ .next = 1 };
	return 0;
}

int all_table_each_open(int dirfd,
			int (*each)(void *arg, const struct digest *catalog),
			void *arg)
{
	_cleanup_all_table_ struct all_table t = { .next = 1 };
	int r = all_table_load(dirfd, &t);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; r == 0 && i < t.count; i++)
		if (t.records[i].open)
			r = each(arg, &t.records[i].catalog);
	return r;
}

/* --- writing --- */

static void put_record(struct buf *b, const struct all_record *r)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(&r->catalog, hex);
	buf_printf(b, "entry %u %s %s %s %s\n", r->number, hex, r->namespace,
		   r->name, r->key);
}

static void put_mark(struct buf *b, uint32_t number, bool open)
{
	buf_printf(b, "%s %u\n", open ? "open" : "close", number);
}

int all_table_save(int dirfd, const struct all_table *t, int *ret_fd)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;
	char seed[2 * ALL_SEED_LEN + 1];
	int r;

	hex_encode(t->seed, ALL_SEED_LEN, seed);
	buf_printf(&b, "larder-entries %d %s %u\n", FORMAT, seed, t->next);
	for (size_t i = 0; i < t->count; i++) {
		put_record(&b, &t->records[i]);
		if (t->records[i].open)
			put_mark(&b, t->records[i].number, true);
	}
	if (buf_error(&b))
		return buf_error(&b);
	r = publish_open(&p, dirfd, 0600);
	if (r == 0)
		r = io_write(p.fd, b.data, b.len);
	if (r == 0)
		r = publish_commit_unsynced(&p, FILE_NAME);
	if (r < 0)
		return r;
	*ret_fd = openat(dirfd, FILE_NAME,
			 O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* One write(2), so that another worker finds all of a line or, where the
 * machine's disk is full, a part that is no line. */
static int append(int fd, const struct buf *b)
{
	struct stat st;
	int r = buf_error(b);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = io_write(fd, b->data, b->len);
	/* A part in the middle would make all of the table unreadable. */
	if (r < 0 && ftruncate(fd, st.st_size) < 0)
		return log_error(-errno, "the table of entries");
	return r;
}

int all_table_add(int fd, const struct all_record *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	put_record(&b, r);
	return append(fd, &b);
}

int all_table_mark(int fd, uint32_t number, bool open)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	put_mark(&b, number, open);
	return append(fd, &b);
}
