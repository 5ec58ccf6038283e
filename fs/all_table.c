/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a mount's numbered entries: its slots. */
#include "all_table.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/crc32c.h"
#include "store/base/cursor.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/base/map.h"
#include "store/base/publish.h"
#include "store/key.h"

#define FILE_NAME "entries"
#define MAGIC "LARDALL2"
#define MAGIC_LEN 8u
#define SLOT_LEN 512u

#define HEAD_SEED 8u
#define HEAD_NEXT 24u
#define HEAD_CRC 28u
#define HEAD_LEN 32u

#define AT_CRC 8u
#define AT_NUMBER 12u
#define AT_CATALOG 16u
#define AT_NAMES 48u

_Static_assert(AT_NAMES + 3 * (2 + KEY_MAX) <= SLOT_LEN, "a record's length");
_Static_assert(ALL_SEED_LEN == HEAD_NEXT - HEAD_SEED, "a seed's length");

/* A slot that is just being written may be seen by half, for an instant. */
#define LOOKS 1000u

void all_record_release(struct all_record *r)
{
	free(r->namespace);
	free(r->name);
	free(r->key);
	*r = (struct all_record){ .number = 0 };
}

void all_table_close(struct all_table *t)
{
	cleanup_close(&t->fd);
	free(t->used);
	t->used = NULL;
}

static uint64_t slot_off(uint32_t slot)
{
	return (uint64_t)slot * SLOT_LEN;
}

/* --- the head --- */

static int head_write(const struct all_table *t)
{
	uint8_t head[HEAD_LEN];

	memcpy(head, MAGIC, MAGIC_LEN);
	memcpy(head + HEAD_SEED, t->seed, ALL_SEED_LEN);
	le32_put(head + HEAD_NEXT, t->next);
	le32_put(head + HEAD_CRC, crc32c(0, head, HEAD_CRC));
	return io_pwrite(t->fd, head, sizeof(head), 0);
}

static int head_read(struct all_table *t)
{
	uint8_t head[HEAD_LEN];
	int r = io_pread(t->fd, head, sizeof(head), 0);

	if (r == -ENODATA)
		return -EBADMSG;
	if (r < 0)
		return r;
	if (memcmp(head, MAGIC, MAGIC_LEN) != 0 ||
	    le32_get(head + HEAD_CRC) != crc32c(0, head, HEAD_CRC))
		return -EBADMSG;
	memcpy(t->seed, head + HEAD_SEED, ALL_SEED_LEN);
	t->next = le32_get(head + HEAD_NEXT);
	return t->next == 0 || t->next > ALL_NUMBER_MAX + 1 ? -EBADMSG : 0;
}

/* --- a slot --- */

static uint8_t *put_name(uint8_t *p, const char *name)
{
	size_t len = strlen(name);

	le16_put(p, (uint16_t)len);
	memcpy(p + 2, name, len);
	return p + 2 + len;
}

static void slot_encode(const struct all_record *r, uint8_t slot[SLOT_LEN])
{
	uint8_t *p = slot + AT_NAMES;

	memset(slot, 0, SLOT_LEN);
	le64_put(slot, r->refs);
	le32_put(slot + AT_NUMBER, r->number);
	memcpy(slot + AT_CATALOG, r->catalog.bytes, DIGEST_LEN);
	p = put_name(p, r->namespace);
	p = put_name(p, r->name);
	(void)put_name(p, r->key);
	le32_put(slot + AT_CRC,
		 crc32c(0, slot + AT_NUMBER, SLOT_LEN - AT_NUMBER));
}

static char *get_name(struct cursor *c)
{
	char *name = cursor_str16(c, KEY_MAX);

	if (name && !key_is_valid(name)) {
		free(name);
		c->err = -EBADMSG;
		return NULL;
	}
	return name;
}

/* 1: a record; 0: a free slot. */
static int slot_decode(const uint8_t slot[SLOT_LEN], struct all_record *ret)
{
	_cleanup_all_record_ struct all_record r = { .number = 0 };
	struct cursor c;
	uint32_t crc;

	cursor_init(&c, slot, SLOT_LEN);
	r.refs = cursor_u64(&c);
	crc = cursor_u32(&c);
	r.number = cursor_u32(&c);
	if (r.number == 0)
		return 0;
	if (crc != crc32c(0, slot + AT_NUMBER, SLOT_LEN - AT_NUMBER) ||
	    r.number > ALL_NUMBER_MAX || r.refs > ALL_REFS_MAX)
		return -EBADMSG;
	memcpy(r.catalog.bytes, cursor_bytes(&c, DIGEST_LEN), DIGEST_LEN);
	r.namespace = get_name(&c);
	r.name = get_name(&c);
	r.key = get_name(&c);
	if (cursor_error(&c))
		return cursor_error(&c);
	*ret = r;
	r = (struct all_record){ .number = 0 };
	return 1;
}

/* As slot_decode(); -ENODATA behind the last. */
static int slot_read(int fd, uint32_t slot, struct all_record *ret)
{
	uint8_t bytes[SLOT_LEN];
	int r = io_pread(fd, bytes, sizeof(bytes), slot_off(slot));

	if (r == 0)
		r = slot_decode(bytes, ret);
	if (r == 1)
		ret->slot = slot;
	return r;
}

/* --- room --- */

static int use_slots(struct all_table *t, uint32_t slots)
{
	bool *used = realloc(t->used, slots * sizeof(*used));

	if (!used)
		return -ENOMEM;
	for (uint32_t n = t->slots; n < slots; n++)
		used[n] = n == 0;
	t->used = used;
	t->slots = slots;
	return 0;
}

static int grow(struct all_table *t)
{
	uint32_t slots = t->slots + ALL_SLOT_STEP;
	int r;

	if (slots > ALL_SLOTS_MAX)
		return log_error(-ENFILE,
				 "a mount of all entries has %u in use",
				 t->slots);
	/* Its number 0 is a free slot's. */
	r = -posix_fallocate(t->fd, 0, (off_t)slot_off(slots));
	return r < 0 ? r : use_slots(t, slots);
}

/* Two free steps at the end are one too many. */
static void shrink(struct all_table *t)
{
	uint32_t end = t->slots, keep;

	while (end > 1 && !t->used[end - 1])
		end--;
	keep = (end / ALL_SLOT_STEP + 2) * ALL_SLOT_STEP;
	if (t->slots > keep && ftruncate(t->fd, (off_t)slot_off(keep)) == 0)
		t->slots = keep;
}

/* 0: none, and no room for more. */
static int find_free(struct all_table *t, uint32_t *ret_slot)
{
	uint32_t n = t->free_hint;
	int r;

	while (n < t->slots && t->used[n])
		n++;
	t->free_hint = n;
	if (n == t->slots) {
		r = grow(t);
		if (r < 0)
			return r;
	}
	*ret_slot = n;
	return 0;
}

/* --- making and reading one --- */

static int create(struct all_table *t, int dirfd)
{
	_cleanup_publish_ struct publish p = PUBLISH_INIT;
	int r;

	if (getrandom(t->seed, ALL_SEED_LEN, 0) != ALL_SEED_LEN)
		return -EIO;
	r = publish_open(&p, dirfd, 0600);
	if (r < 0)
		return r;
	t->fd = fcntl(p.fd, F_DUPFD_CLOEXEC, 3);
	if (t->fd < 0)
		return -errno;
	r = grow(t);
	if (r == 0)
		r = head_write(t);
	return r < 0 ? r : publish_commit_unsynced(&p, FILE_NAME);
}

int all_table_create(int dirfd, struct all_table *ret_table)
{
	struct all_table t = { .fd = -1, .next = 1, .free_hint = 1 };
	int r = create(&t, dirfd);

	if (r < 0) {
		all_table_close(&t);
		return r;
	}
	*ret_table = t;
	return 0;
}

struct reader {
	struct all_table *table;
	struct map numbers; /* that were seen */
	int (*each)(void *arg, struct all_record *r);
	void *arg;
};

static int read_slot(struct reader *rd, uint32_t slot)
{
	_cleanup_all_record_ struct all_record rec = { .number = 0 };
	struct all_table *t = rd->table;
	int r = slot_read(t->fd, slot, &rec);

	if (r <= 0)
		return r;
	if (rec.number >= t->next || map_get(&rd->numbers, rec.number))
		return -EBADMSG;
	r = map_put(&rd->numbers, rec.number, t);
	t->used[slot] = true;
	return r < 0 ? r : rd->each(rd->arg, &rec);
}

static int read_slots(struct reader *rd)
{
	struct all_table *t = rd->table;
	struct stat st;
	int r = 0;

	if (fstat(t->fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)SLOT_LEN ||
	    st.st_size > (off_t)slot_off(ALL_SLOTS_MAX))
		return -EBADMSG;
	r = use_slots(t, (uint32_t)(st.st_size / SLOT_LEN));
	for (uint32_t n = 1; r == 0 && n < t->slots; n++)
		r = read_slot(rd, n);
	return r;
}

static int open_file(int dirfd, int flags)
{
	int fd = openat(dirfd, FILE_NAME, flags | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int all_table_open(int dirfd, struct all_table *ret_table,
		   int (*each)(void *arg, struct all_record *r), void *arg)
{
	struct all_table t = { .fd = open_file(dirfd, O_RDWR), .free_hint = 1 };
	struct reader rd = { &t, MAP_INIT, each, arg };
	int r = t.fd < 0 ? t.fd : head_read(&t);

	if (r == 0)
		r = read_slots(&rd);
	map_release(&rd.numbers);
	if (r < 0) {
		all_table_close(&t);
		return r == -EBADMSG ? log_error(r, "the table of a mount of "
						    "all entries is damaged, "
						    "or another version's") :
				       r;
	}
	*ret_table = t;
	return 0;
}

static int head_look(struct all_table *t)
{
	int r = head_read(t);

	for (unsigned n = 0; r == -EBADMSG && n < LOOKS; n++) {
		sched_yield();
		r = head_read(t);
	}
	return r;
}

static int held_slot(int fd, uint32_t slot,
		     int (*each)(void *arg, const struct digest *catalog),
		     void *arg)
{
	_cleanup_all_record_ struct all_record rec = { .number = 0 };
	int r = slot_read(fd, slot, &rec);

	for (unsigned n = 0; r == -EBADMSG && n < LOOKS; n++) {
		sched_yield();
		r = slot_read(fd, slot, &rec);
	}
	return r == 1 && rec.refs > 0 ? each(arg, &rec.catalog) :
	       r == 1		      ? 0 :
					r;
}

int all_table_each_held(int dirfd,
			int (*each)(void *arg, const struct digest *catalog),
			void *arg)
{
	_cleanup_all_table_ struct all_table t = { .fd = open_file(dirfd,
								   O_RDONLY) };
	bool damaged = false;
	int r;

	if (t.fd < 0)
		return t.fd == -ENOENT ? 0 : t.fd;
	r = head_look(&t);
	for (uint32_t n = 1; r == 0 && n < ALL_SLOTS_MAX; n++) {
		r = held_slot(t.fd, n, each, arg);
		if (r == -EBADMSG) {
			damaged = true;
			r = 0;
		}
	}
	if (r == -ENODATA)
		r = 0;
	return r == 0 && damaged ? -EBADMSG : r;
}

/* --- changing it --- */

static int record_write(const struct all_table *t, const struct all_record *r)
{
	uint8_t slot[SLOT_LEN];

	slot_encode(r, slot);
	return io_pwrite(t->fd, slot, sizeof(slot), slot_off(r->slot));
}

/* The head goes first: a number is lost at most. */
int all_table_add(struct all_table *t, struct all_record *r)
{
	int err;

	if (!key_is_valid(r->namespace) || !key_is_valid(r->name) ||
	    !key_is_valid(r->key))
		return -EINVAL;
	if (t->next > ALL_NUMBER_MAX)
		return log_error(-ENFILE,
				 "a mount of all entries has had %u: mount it "
				 "anew",
				 ALL_NUMBER_MAX);
	err = find_free(t, &r->slot);
	if (err < 0)
		return err;
	r->number = t->next++;
	err = head_write(t);
	if (err == 0)
		err = record_write(t, r);
	if (err == 0)
		t->used[r->slot] = true;
	return err;
}

int all_table_set_refs(const struct all_table *t, const struct all_record *r)
{
	uint8_t refs[8];

	le64_put(refs, r->refs);
	return io_pwrite(t->fd, refs, sizeof(refs), slot_off(r->slot));
}

int all_table_remove(struct all_table *t, const struct all_record *r)
{
	static const uint8_t none[SLOT_LEN];
	int err = io_pwrite(t->fd, none, sizeof(none), slot_off(r->slot));

	if (err < 0)
		return err;
	t->used[r->slot] = false;
	if (r->slot < t->free_hint)
		t->free_hint = r->slot;
	shrink(t);
	return 0;
}
