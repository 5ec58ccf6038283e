/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table: a slot for each thread that is at a request, and the suspects,
 * which were in a slot when the last worker died. Those of an earlier death
 * that were not in flight at this one are dropped: the blame is for deaths in
 * a row.
 *
 * A request whose own thread faulted weighs two, others that a worker had in
 * flight when it was killed (by the kernel, which lacked memory, or by
 * somebody) one: fewer than the new workers that the supervisor allows in ten
 * seconds (supervisor.c), so one of these refuses.
 */
#include "blame.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 256 /* threads beyond these are not watched */
#define GUILTY 5
#define WEIGHT_FAULT 2
#define WEIGHT_KILLED 1

struct blame_slot {
	_Atomic uint64_t unique; /* 0: free */
	uint64_t mount;		 /* of the slot's owner, as the next */
	bool faulted;
};

struct suspect {
	uint64_t mount, unique; /* unique 0: none */
	unsigned weight;
};

struct blame {
	struct blame_slot slots[SLOTS];
	/* Written by the supervisor between workers. */
	struct suspect suspects[SLOTS];
};

/* The calling thread's slot while it is at a request; where it looks first. */
static _Thread_local struct blame_slot *volatile own;
static _Thread_local unsigned own_index;

int blame_new(struct blame **ret_blame)
{
	struct blame *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		return -errno;
	*ret_blame = b;
	return 0;
}

void blame_free(struct blame *b)
{
	if (b)
		munmap(b, sizeof(*b));
}

/* --- the worker --- */

/* Returns to where the fault is, which then has its default effect; one that
 * was sent to the thread (abort()) has no such place. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (own)
		own->faulted = true;
	if (info->si_code <= 0)
		raise(sig);
}

void blame_watch(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
				       SIGABRT };
	struct sigaction old, action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER,
	};
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
}

static bool is_guilty(const struct blame *b, uint64_t mount, uint64_t unique)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		if (b->suspects[i].unique == unique &&
		    b->suspects[i].mount == mount)
			return b->suspects[i].weight >= GUILTY;
	return false;
}

bool blame_begin(struct blame *b, uint64_t mount, uint64_t unique, bool resent)
{
	struct blame_slot *slot;
	uint64_t free_slot;
	unsigned i;

	if (!b)
		return true;
	if (resent && is_guilty(b, mount, unique))
		return false;
	for (i = 0; i < SLOTS; i++) {
		slot = &b->slots[(own_index + i) % SLOTS];
		free_slot = 0;
		if (atomic_compare_exchange_strong(&slot->unique, &free_slot,
						   unique)) {
			slot->mount = mount;
			own_index = (own_index + i) % SLOTS;
			own = slot;
			break;
		}
	}
	return true;
}

void blame_end(void)
{
	struct blame_slot *slot = own;

	own = NULL;
	if (slot)
		atomic_store(&slot->unique, 0);
}

/* --- the supervisor --- */

static bool in_flight(const struct blame *b, const struct suspect *s)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		if (b->slots[i].unique == s->unique &&
		    b->slots[i].mount == s->mount)
			return true;
	return false;
}

static void drop_suspects(struct blame *b)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		if (!in_flight(b, &b->suspects[i]))
			b->suspects[i] = (struct suspect){ 0 };
}

/* There is room: as many suspects as slots, and who is in no slot was
 * dropped. */
static void accuse(struct blame *b, const struct blame_slot *slot,
		   unsigned weight)
{
	struct suspect *s, *room = NULL;
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		s = &b->suspects[i];
		if (s->unique == slot->unique && s->mount == slot->mount)
			break;
		if (s->unique == 0 && !room)
			room = s;
	}
	if (i == SLOTS) {
		s = room;
		*s = (struct suspect){ .mount = slot->mount,
				       .unique = slot->unique };
	}
	s->weight += weight;
}

static bool any_faulted(const struct blame *b)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		if (b->slots[i].unique && b->slots[i].faulted)
			return true;
	return false;
}

void blame_collect(struct blame *b, bool killed)
{
	bool faulted;
	unsigned i;

	if (!b)
		return;
	faulted = any_faulted(b);
	drop_suspects(b);
	for (i = 0; killed && i < SLOTS; i++) {
		if (b->slots[i].unique == 0)
			continue;
		if (!faulted)
			accuse(b, &b->slots[i], WEIGHT_KILLED);
		else if (b->slots[i].faulted)
			accuse(b, &b->slots[i], WEIGHT_FAULT);
	}
	memset(b->slots, 0, sizeof(b->slots));
}
