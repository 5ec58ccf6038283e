/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small table of texts by their hash (64 bits of FNV-1a). Two texts of one hash
 * would be taken for one, which costs a line of a log.
 */
#include "log_limit.h"

#include <pthread.h>
#include <string.h>

#include "cleanup.h"

#define SLOTS 32

struct slot {
	uint64_t hash; /* 0: free */
	int64_t begun_ns, last_ns;
	unsigned count; /* in this time */
	struct log_dropped dropped;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static struct slot slots[SLOTS];

struct say {
	struct log_dropped *list;
	unsigned max, count;
};

static uint64_t hash_of(int level, const char *text, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (unsigned)level;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

/* False where there is no room to say it. */
static bool say(struct slot *s, struct say *out)
{
	if (s->dropped.count == 0)
		return true;
	if (out->count == out->max)
		return false;
	out->list[out->count++] = s->dropped;
	s->dropped.count = 0;
	return true;
}

static bool is_over(const struct slot *s, int64_t now_ns)
{
	return now_ns - s->begun_ns >= LOG_LIMIT_NS;
}

static void say_what_is_over(int64_t now_ns, struct say *out)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].hash && is_over(&slots[i], now_ns) &&
		    say(&slots[i], out))
			slots[i].hash = 0;
}

/* NULL: all have something to say, and there is no room to. */
static struct slot *take_slot(uint64_t hash, struct say *out)
{
	struct slot *s = &slots[0];

	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i].hash == hash)
			return &slots[i];
		if (s->hash &&
		    (!slots[i].hash || slots[i].last_ns < s->last_ns))
			s = &slots[i];
	}
	if (s->hash && !say(s, out))
		return NULL;
	*s = (struct slot){ 0 };
	return s;
}

static void begin(struct slot *s, uint64_t hash, int level, const char *text,
		  size_t len, int64_t now_ns)
{
	size_t n = len < LOG_LIMIT_TEXT_MAX ? len : LOG_LIMIT_TEXT_MAX;

	s->hash = hash;
	s->begun_ns = now_ns;
	s->dropped.level = level;
	memcpy(s->dropped.text, text, n);
	s->dropped.text[n] = '\0';
}

bool log_limit_pass(int level, const char *text, size_t len, int64_t now_ns,
		    struct log_dropped *said, unsigned max, unsigned *ret_nsaid)
{
	uint64_t hash = hash_of(level, text, len);
	struct say out = { said, max, 0 };
	struct slot *s;
	bool pass = true;

	LOCK_SCOPE(&lock);
	say_what_is_over(now_ns, &out);
	s = take_slot(hash, &out);
	if (s && s->hash == 0)
		begin(s, hash, level, text, len, now_ns);
	if (s) {
		s->last_ns = now_ns;
		pass = ++s->count <= LOG_LIMIT_COUNT;
		s->dropped.count += !pass;
	}
	*ret_nsaid = out.count;
	return pass;
}
