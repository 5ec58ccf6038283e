/* SPDX-License-Identifier: Apache-2.0 */
/* Random steps; see choose.h. */
#include "choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PATH_SIZE 2048
#define DEEP 200       /* bytes of path below which directories are entered */
#define MANY_NODES 600 /* more are removed than made */
#define COUNT_EACH 256 /* steps */
#define HUGE_FILE (UINT64_C(5) << 30) /* sparse */
#define SMALL_IO 5000
#define LARGE_IO (300u << 10) /* more than one request */

static const uint8_t tree_weights[STEP_KIND_COUNT] = {
	[STEP_MKDIR] = 6,
	[STEP_CREATE] = 8,
	[STEP_FIFO] = 1,
	[STEP_SYMLINK] = 3,
	[STEP_LINK] = 5,
	[STEP_UNLINK] = 9,
	[STEP_RMDIR] = 5,
	[STEP_RENAME] = 10,
	[STEP_NOREPLACE] = 2,
	[STEP_EXCHANGE] = 4,
	[STEP_OPEN] = 2,
	[STEP_OPEN_CREATE] = 3,
	[STEP_OPEN_TRUNCATE] = 2,
	[STEP_OPEN_APPEND] = 1,
	[STEP_TMPFILE] = 1,
	[STEP_CLOSE] = 6,
	[STEP_WRITE] = 14,
	[STEP_TRUNCATE] = 4,
	[STEP_ALLOCATE] = 1,
	[STEP_ALLOCATE_KEEP] = 1,
	[STEP_PUNCH] = 2,
	[STEP_ZERO] = 1,
	[STEP_ZERO_KEEP] = 1,
	[STEP_COPY] = 3,
	[STEP_MAP_WRITE] = 2,
	[STEP_MAP_WRITE_SYNC] = 1,
	[STEP_MAP_READ] = 1,
	[STEP_READ] = 4,
	[STEP_READ_COLD] = 4,
	[STEP_SEEK_DATA] = 1,
	[STEP_SEEK_HOLE] = 1,
	[STEP_FSYNC] = 1,
	[STEP_CHMOD] = 3,
	[STEP_CHOWN] = 2,
	[STEP_UTIMENS] = 3,
	[STEP_SETXATTR] = 3,
	[STEP_SETXATTR_CREATE] = 1,
	[STEP_SETXATTR_REPLACE] = 1,
	[STEP_REMOVEXATTR] = 2,
	[STEP_STAT] = 5,
	[STEP_LIST] = 3,
	[STEP_XATTRS] = 2,
	[STEP_READLINK] = 1,
};

static const uint8_t file_weights[STEP_KIND_COUNT] = {
	[STEP_CREATE] = 2,	  [STEP_LINK] = 1,
	[STEP_UNLINK] = 1,	  [STEP_RENAME] = 1,
	[STEP_OPEN] = 4,	  [STEP_OPEN_CREATE] = 2,
	[STEP_OPEN_TRUNCATE] = 1, [STEP_OPEN_APPEND] = 1,
	[STEP_TMPFILE] = 1,	  [STEP_CLOSE] = 4,
	[STEP_WRITE] = 30,	  [STEP_TRUNCATE] = 8,
	[STEP_ALLOCATE] = 3,	  [STEP_ALLOCATE_KEEP] = 3,
	[STEP_PUNCH] = 6,	  [STEP_ZERO] = 4,
	[STEP_ZERO_KEEP] = 3,	  [STEP_COPY] = 10,
	[STEP_MAP_WRITE] = 9,	  [STEP_MAP_WRITE_SYNC] = 3,
	[STEP_MAP_READ] = 8,	  [STEP_READ] = 12,
	[STEP_READ_COLD] = 14,	  [STEP_SEEK_DATA] = 4,
	[STEP_SEEK_HOLE] = 4,	  [STEP_FSYNC] = 1,
	[STEP_UTIMENS] = 1,	  [STEP_STAT] = 4,
};

uint64_t choose_number(struct choose *c, uint64_t below)
{
	/* xorshift64* */
	c->rng ^= c->rng >> 12;
	c->rng ^= c->rng << 25;
	c->rng ^= c->rng >> 27;
	return (c->rng * UINT64_C(2685821657736338717) >> 11) % below;
}

static bool one_in(struct choose *c, unsigned n)
{
	return choose_number(c, n) == 0;
}

void choose_init(struct choose *c, enum choose_kind kind, uint64_t seed,
		 const struct tree_ops *ops)
{
	static const uint64_t sizes[] = { 100 << 10, 700 << 10, 700 << 10,
					  9 << 20 };
	static const unsigned names[] = { 7, 7, 30, 300 };
	unsigned i;

	*c = (struct choose){ .rng = seed * 2 + 1,
			      .kind = kind,
			      .mapped = ops->map_write,
			      .opens = ops->open };
	for (i = 0; i < 8; i++)
		choose_number(c, 2);
	c->max_file = one_in(c, 20) ? HUGE_FILE : sizes[choose_number(c, 4)];
	c->names = kind == CHOOSE_FILES ? 3 : names[choose_number(c, 4)];
}

/* --- paths --- */

/* Name number `k` of those that are made; a few are unusual. */
static size_t put_name(unsigned k, char *buf, size_t size)
{
	char longest[MODEL_NAME_MAX + 1];

	if (k % 16 == 11)
		return (size_t)snprintf(buf, size, "odd \n\xff\x01%u", k);
	if (k % 16 != 13)
		return (size_t)snprintf(buf, size, "n%u", k);
	memset(longest, 'l', MODEL_NAME_MAX);
	longest[MODEL_NAME_MAX] = '\0';
	return (size_t)snprintf(buf, size, "%03u%s", k % 1000, longest + 3);
}

/* A random directory: its path with a '/' behind it goes to `path`. */
static struct model_node *any_dir(struct choose *c, struct model *m, char *path,
				  size_t *ret_len)
{
	struct model_node *dir = m->root;
	size_t len = 0;
	int tries = 12;

	*path = '\0';
	while (dir->n > 0 && len < DEEP && tries-- > 0 && !one_in(c, 4)) {
		const struct model_name *e =
			&dir->names[choose_number(c, dir->n)];

		if (!S_ISDIR(e->node->mode))
			continue;
		len += (size_t)snprintf(path + len, PATH_SIZE - len, "%s/",
					e->name);
		dir = e->node;
	}
	*ret_len = len;
	return dir;
}

/* A path with a last name that may be there, or surely is. */
static void any_path(struct choose *c, struct model *m, bool exists, char *path)
{
	struct model_node *dir;
	size_t len;

	if (one_in(c, 100)) {
		snprintf(path, PATH_SIZE, "n1/n2/n3/n4/n5");
		return;
	}
	dir = any_dir(c, m, path, &len);
	if (one_in(c, 200)) {
		memset(path + len, 'x', MODEL_NAME_MAX + 1);
		path[len + MODEL_NAME_MAX + 1] = '\0';
	} else if (dir->n > 0 && (exists || one_in(c, 3))) {
		snprintf(path + len, PATH_SIZE - len, "%s",
			 dir->names[choose_number(c, dir->n)].name);
	} else {
		put_name((unsigned)choose_number(c, c->names), path + len,
			 PATH_SIZE - len);
	}
}

static char *own(const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		abort();
	return copy;
}

static char *new_path(struct choose *c, struct model *m)
{
	char path[PATH_SIZE];

	any_path(c, m, false, path);
	return own(path);
}

static char *old_path(struct choose *c, struct model *m)
{
	char path[PATH_SIZE];

	any_path(c, m, true, path);
	return own(path);
}

/* The same, or the root. */
static char *old_path_or_root(struct choose *c, struct model *m)
{
	return one_in(c, 16) ? own("") : old_path(c, m);
}

/* An existing path of this type in most cases, or any. */
static char *path_of_type(struct choose *c, struct model *m, uint32_t type)
{
	char path[PATH_SIZE];
	struct model_node *n;
	int tries;

	for (tries = one_in(c, 40) ? 1 : 30; tries > 0; tries--) {
		any_path(c, m, true, path);
		if (model_find(m, path, &n) == 0 && (n->mode & S_IFMT) == type)
			break;
	}
	return own(path);
}

/* "@N" of an open, or of a free, slot; NULL: none. */
static char *any_slot(struct choose *c, const struct model *m, bool open)
{
	unsigned first = (unsigned)choose_number(c, TREE_SLOTS), i;
	char path[3];

	for (i = 0; i < TREE_SLOTS; i++) {
		unsigned k = (first + i) % TREE_SLOTS;

		if ((m->slots[k].node != NULL) != open)
			continue;
		snprintf(path, sizeof(path), "@%u", k);
		return own(path);
	}
	return NULL;
}

static char *file_path(struct choose *c, struct model *m)
{
	char *path = NULL;

	if (choose_number(c, 8) < (c->kind == CHOOSE_FILES ? 6u : 3u))
		path = any_slot(c, m, true);
	return path ? path : path_of_type(c, m, S_IFREG);
}

/* --- operands --- */

static uint64_t size_of(struct model *m, const char *path)
{
	struct model_node *n;

	return model_find(m, path, &n) == 0 ? n->content.size : 0;
}

/* Places of all kinds, often the end of the file, of a page, of a chunk. */
static uint64_t any_off(struct choose *c, uint64_t size)
{
	const uint64_t max = c->max_file;
	uint64_t off = choose_number(c, max < 16384 ? max : 16384);

	switch (choose_number(c, 8)) {
	case 0:
	case 1:
		off = size;
		break;
	case 2:
	case 3:
		off = choose_number(c, size < max ? size + 1 : max);
		break;
	case 4:
		off += (choose_number(c, 4) + 1) << 21;
		break;
	case 5:
		/* Few files become huge: a commit reads their holes. */
		if (max < HUGE_FILE || one_in(c, 200))
			off += choose_number(c, 3) * (max / 3);
		break;
	default:
		break;
	}
	if (one_in(c, 4))
		off &= ~UINT64_C(4095);
	return off < max ? off : max - 1;
}

static uint64_t any_len(struct choose *c, uint64_t off)
{
	uint64_t room = c->max_file - off;
	uint64_t len = 1 + choose_number(c, one_in(c, 16) ? LARGE_IO :
					    one_in(c, 4)  ? 10 * SMALL_IO :
							    SMALL_IO);

	if (one_in(c, 6))
		len = (len + 4095) & ~UINT64_C(4095);
	return len < room ? len : room;
}

/* Seldom zeros, often bytes that were there before. */
static uint64_t any_seed(struct choose *c)
{
	if (one_in(c, 12))
		return 0;
	return choose_number(c, one_in(c, 3) ? 5 : 1 << 30);
}

/* No sticky directory that others may write to: what the kernel protects there
 * (fs.protected_symlinks and others) is a matter of the machine. */
static uint32_t any_mode(struct choose *c)
{
	uint32_t mode = (uint32_t)choose_number(c, 010000);

	if (!c->root)
		return 0700 | (mode & 077);
	return mode & 022 ? mode & ~(uint32_t)S_ISVTX : mode;
}

/* Nanoseconds since 1970, from 1938 to 2223. */
static uint64_t any_time(struct choose *c, const struct model *m)
{
	if (one_in(c, 3))
		return (uint64_t)m->now;
	return (uint64_t)((int64_t)choose_number(c, UINT64_C(9) << 60) -
			  1000000000000000000);
}

static char *any_attribute(struct choose *c)
{
	static const char *const names[] = { "user.a", "user.b", "user.store.c",
					     "trusted.a" };

	return own(names[choose_number(c, c->root ? 4 : 3)]);
}

/* --- steps --- */

static void count_node(void *arg, struct model_node *n)
{
	struct choose *c = arg;

	(void)n;
	c->nodes++;
}

static enum step_kind any_kind(struct choose *c, struct model *m)
{
	const uint8_t *weights = c->kind == CHOOSE_TREE ? tree_weights :
							  file_weights;
	unsigned sum = 0, k, at;

	if (c->count_in-- == 0) {
		c->nodes = 0;
		model_each(m->root, count_node, c);
		c->count_in = COUNT_EACH;
	}
	if (c->nodes > MANY_NODES && one_in(c, 4))
		return one_in(c, 4) ? STEP_RMDIR : STEP_UNLINK;
	for (k = 0; k < STEP_KIND_COUNT; k++)
		sum += weights[k];
	at = (unsigned)choose_number(c, sum);
	for (k = 0; at >= weights[k]; k++)
		at -= weights[k];
	return k;
}

/* False: this kind can do nothing now. */
static bool choose_open(struct choose *c, struct model *m, struct step *s)
{
	s->a = any_slot(c, m, s->kind == STEP_CLOSE);
	s->mode = 0644;
	if (!s->a || !c->opens)
		return false;
	if (s->kind == STEP_TMPFILE) {
		s->b = one_in(c, 3) ? own("") : path_of_type(c, m, S_IFDIR);
		return c->tmpfile;
	}
	if (s->kind == STEP_OPEN_CREATE)
		s->b = new_path(c, m);
	else if (s->kind != STEP_CLOSE)
		s->b = path_of_type(c, m, S_IFREG);
	return true;
}

static bool choose_content(struct choose *c, struct model *m, struct step *s)
{
	s->a = file_path(c, m);
	s->off = any_off(c, size_of(m, s->a));
	s->len = any_len(c, s->off);
	s->seed = any_seed(c);
	if (s->kind == STEP_COPY) {
		s->b = file_path(c, m);
		s->off2 = any_off(c, size_of(m, s->b));
		if (s->len > c->max_file - s->off2)
			s->len = c->max_file - s->off2;
	}
	if (s->kind == STEP_TRUNCATE && one_in(c, 5))
		s->off = 0;
	return c->mapped ||
	       (s->kind != STEP_MAP_WRITE && s->kind != STEP_MAP_WRITE_SYNC &&
		s->kind != STEP_MAP_READ);
}

static bool choose_name(struct choose *c, struct model *m, struct step *s)
{
	static const char *const targets[] = { "no/where", "n1", "../n2", "x" };

	s->mode = s->kind == STEP_MKDIR ? 0750 : 0640;
	switch (s->kind) {
	case STEP_UNLINK:
		s->a = one_in(c, 8) ? old_path(c, m) :
				      path_of_type(c, m, S_IFREG);
		return true;
	case STEP_RMDIR:
		s->a = path_of_type(c, m, S_IFDIR);
		return true;
	case STEP_LINK:
		s->a = one_in(c, 8) ? any_slot(c, m, true) :
				      path_of_type(c, m, S_IFREG);
		s->b = new_path(c, m);
		return s->a;
	case STEP_RENAME:
	case STEP_NOREPLACE:
		s->a = old_path(c, m);
		s->b = new_path(c, m);
		return true;
	case STEP_EXCHANGE:
		s->a = old_path(c, m);
		s->b = old_path(c, m);
		return true;
	default:
		s->a = new_path(c, m);
		if (s->kind == STEP_SYMLINK)
			s->b = own(targets[choose_number(c, 4)]);
		return true;
	}
}

static bool choose_attribute(struct choose *c, struct model *m, struct step *s)
{
	static const uint32_t owners[] = { 0, 1000, 65534 };

	s->a = one_in(c, 6) ? any_slot(c, m, true) : old_path_or_root(c, m);
	switch (s->kind) {
	case STEP_CHMOD:
		s->mode = any_mode(c);
		break;
	case STEP_CHOWN:
		s->off = owners[choose_number(c, 3)];
		s->off2 = owners[choose_number(c, 3)];
		break;
	case STEP_UTIMENS:
		s->off = any_time(c, m);
		s->off2 = any_time(c, m);
		break;
	default:
		s->b = any_attribute(c);
		s->len = choose_number(c, one_in(c, 8) ? 700 : 64);
		s->seed = any_seed(c);
		break;
	}
	return s->a && (c->root || s->kind != STEP_CHOWN);
}

static bool choose_look(struct choose *c, struct model *m, struct step *s)
{
	switch (s->kind) {
	case STEP_FSYNC:
		s->a = one_in(c, 4) ? own("") : file_path(c, m);
		break;
	case STEP_LIST:
		s->a = one_in(c, 8) ? own("") : path_of_type(c, m, S_IFDIR);
		break;
	case STEP_READLINK:
		s->a = path_of_type(c, m, S_IFLNK);
		break;
	default:
		s->a = one_in(c, 4) ? file_path(c, m) : old_path_or_root(c, m);
		break;
	}
	return true;
}

static bool choose_operands(struct choose *c, struct model *m, struct step *s)
{
	switch (s->kind) {
	case STEP_MKDIR ... STEP_EXCHANGE:
		return choose_name(c, m, s);
	case STEP_OPEN ... STEP_CLOSE:
		return choose_open(c, m, s);
	case STEP_WRITE ... STEP_SEEK_HOLE:
		return choose_content(c, m, s);
	case STEP_CHMOD ... STEP_REMOVEXATTR:
		return choose_attribute(c, m, s);
	default:
		return choose_look(c, m, s);
	}
}

void choose_step(struct choose *c, struct model *m, struct step *ret_step)
{
	struct step s;

	for (;;) {
		s = (struct step){ .kind = any_kind(c, m) };
		if (choose_operands(c, m, &s))
			break;
		step_release(&s);
	}
	*ret_step = s;
}
