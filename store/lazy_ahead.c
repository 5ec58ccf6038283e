/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a read of a lazy tree brings besides its own chunk.
 *
 * One that has to wait brings what is around it, before and behind: who reads
 * one file of a directory reads others of it, and rarely from the first on. A
 * little comes in the same request, since the reader waits for what precedes
 * its chunk; more comes in requests of its own, beside it. How much doubles with
 * each wait within SPREAD_NEAR: a program that comes back to a place needs much
 * of it, and one chunk alone costs no more than what lies next to it. In a build
 * that read 4,876 chunks of 40,000, this took away a third of the time that it
 * waited, for 6 MB more. What a record of earlier runs knows needs none of it.
 *
 * Readahead looks at cells, LAZY_CELL_BYTES of a pack each. The first read from
 * a cell asks how many of the cells before it were read from: none, and nothing
 * is fetched ahead; the more there are, the further. A walk in another order
 * than the pack's (depth first, where the pack is breadth first) is a walk
 * forwards in several places at once, and seen as that. Nothing that was
 * fetched ahead leads to more being fetched before it is read.
 *
 * Any thread; all but lazy_touch*() with the lock held.
 */
#include "lazy_internal.h"

#include "base/cleanup.h"

#define CELLS_BACK 8u		  /* that are looked at */
#define SPREAD_FIRST (128u << 10) /* bytes to each side */
#define SPREAD_DOUBLINGS 5u
#define SPREAD_NEAR (4u << 20)
#define GAP_LEARNT (64u << 10) /* LAZY_GAP_MAX of what a record names */

/* What lp->cells has of a cell. */
enum cell {
	CELL_READ = 1,	 /* from it */
	CELL_WAITED = 2, /* by a read, for a chunk of it */
};

/* --- runs --- */

static bool pos_open(const struct lazy_tree *lt, uint32_t pos)
{
	return atomic_load_explicit(&lt->state[lt->order[pos]],
				    memory_order_relaxed) == LAZY_ABSENT;
}

uint32_t lazy_run(const struct lazy_tree *lt, uint32_t first, uint32_t bytes,
		  bool (*wanted)(const struct lazy_tree *lt, uint32_t pos))
{
	const uint32_t gap = wanted ? GAP_LEARNT : LAZY_GAP_MAX;
	struct placement_loc loc, next;
	uint32_t pos = first, end = first + 1, reach;
	uint64_t begin;

	if (lazy_loc(lt, first, &loc) < 0)
		return end;
	begin = loc.off;
	reach = loc.off + loc.len;
	while (++pos < lt->packs[loc.pack].end) {
		if (lazy_loc(lt, pos, &next) < 0 || !pos_open(lt, pos) ||
		    next.off > reach + gap ||
		    (uint64_t)next.off + next.len - begin > bytes)
			break;
		if (wanted && !wanted(lt, pos))
			continue;
		if (next.off + next.len > reach)
			reach = next.off + next.len;
		end = pos + 1;
	}
	return end;
}

/* The first position of a run that ends with `last`: `bytes` in all. */
static uint32_t run_back(const struct lazy_tree *lt, uint32_t last,
			 uint32_t bytes)
{
	struct placement_loc loc, before;
	uint32_t first = last;
	uint64_t stop, begin;

	if (lazy_loc(lt, last, &loc) < 0)
		return last;
	stop = (uint64_t)loc.off + loc.len;
	begin = loc.off;
	while (first > lt->packs[loc.pack].first && pos_open(lt, first - 1) &&
	       lazy_loc(lt, first - 1, &before) == 0 &&
	       (uint64_t)before.off + before.len + LAZY_GAP_MAX >= begin &&
	       stop - before.off <= bytes) {
		first--;
		begin = before.off;
	}
	return first;
}

uint32_t lazy_run_around(const struct lazy_tree *lt, uint32_t pos,
			 uint32_t bytes, uint32_t *ret_first)
{
	uint32_t first = run_back(lt, pos, LAZY_BACK_MAX);
	uint32_t end = lazy_run(lt, first, bytes, NULL);

	*ret_first = end > pos ? first : pos;
	return end > pos ? end : lazy_run(lt, pos, bytes, NULL);
}

/* --- cells --- */

static uint32_t cell_of(const struct placement_loc *loc)
{
	return loc->off / LAZY_CELL_BYTES;
}

/* How many of the cells before this one were read from. */
static unsigned cells_before(const struct lazy_pack *lp, uint32_t cell)
{
	unsigned n = 0, k;

	for (k = 1; k <= CELLS_BACK && k <= cell; k++)
		n += lp->cells[cell - k] & CELL_READ;
	return n;
}

/* --- the window of a read that waits, and what is around it --- */

static const uint32_t window_bytes[] = { 128u << 10, 256u << 10, 512u << 10 };
#define LAST(array) (sizeof(array) / sizeof((array)[0]) - 1)

uint32_t lazy_window(const struct lazy_tree *lt, uint32_t pos)
{
	struct placement_loc loc;
	unsigned n;

	if (lazy_loc(lt, pos, &loc) < 0)
		return window_bytes[0];
	n = cells_before(&lt->packs[loc.pack], cell_of(&loc));
	return window_bytes[n < LAST(window_bytes) ? n : LAST(window_bytes)];
}

/* How many cells near this one a read has waited for. */
static unsigned waits_near(const struct lazy_pack *lp, uint32_t cell)
{
	const uint32_t near = SPREAD_NEAR / LAZY_CELL_BYTES;
	uint32_t c = cell > near ? cell - near : 0;
	unsigned n = 0;

	for (; c <= cell + near && c < lp->n_cells; c++)
		n += (lp->cells[c] & CELL_WAITED) != 0;
	return n;
}

/* What is around a position, and how far it was asked for. */
struct spread {
	struct lazy_tree *lt;
	uint32_t pack;
	uint64_t from, to; /* offsets */
	uint32_t down, up; /* the next ones are at down - 1, and at up */
};

static bool ask_for(const struct spread *sp, uint32_t first, uint32_t end)
{
	return lazy_submit(sp->lt, LAZY_RANGE, LAZY_AHEAD, sp->pack, first,
			   end) != NULL;
}

static uint32_t at_most(uint64_t bytes)
{
	return bytes < LAZY_REQUEST_MAX ? (uint32_t)bytes : LAZY_REQUEST_MAX;
}

/* The next run above. False: there is none. */
static bool spread_up(struct spread *sp)
{
	uint32_t pos = sp->up, end = sp->lt->packs[sp->pack].end;
	struct placement_loc loc;

	while (pos < end && !pos_open(sp->lt, pos))
		pos++;
	if (pos == end || lazy_loc(sp->lt, pos, &loc) < 0 || loc.off >= sp->to)
		return false;
	sp->up = lazy_run(sp->lt, pos, at_most(sp->to - loc.off), NULL);
	return ask_for(sp, pos, sp->up);
}

static bool spread_down(struct spread *sp)
{
	uint32_t end = sp->down, first = sp->lt->packs[sp->pack].first;
	struct placement_loc loc;

	while (end > first && !pos_open(sp->lt, end - 1))
		end--;
	if (end == first || lazy_loc(sp->lt, end - 1, &loc) < 0 ||
	    loc.off < sp->from)
		return false;
	sp->down = run_back(sp->lt, end - 1,
			    at_most(loc.off + (uint64_t)loc.len - sp->from));
	return ask_for(sp, sp->down, end);
}

void lazy_spread(struct lazy_tree *lt, uint32_t pos)
{
	struct placement_loc loc;
	struct spread sp = { .lt = lt, .down = pos, .up = pos };
	struct lazy_pack *lp;
	uint32_t reach;
	bool more = true;
	unsigned n;

	if (lazy_loc(lt, pos, &loc) < 0)
		return;
	lp = &lt->packs[loc.pack];
	n = waits_near(lp, cell_of(&loc));
	lp->cells[cell_of(&loc)] |= CELL_WAITED;
	if (lt->learnt && lt->in_learnt[lt->order[pos]])
		return;
	reach = SPREAD_FIRST << (n < SPREAD_DOUBLINGS ? n : SPREAD_DOUBLINGS);
	sp.pack = loc.pack;
	sp.from = loc.off > reach ? loc.off - reach : 0;
	sp.to = (uint64_t)loc.off + loc.len + reach;
	while (more) {
		more = spread_up(&sp);
		more |= spread_down(&sp);
	}
}

/* --- readahead --- */

static const uint32_t ahead_bytes[] = { 0,	  256u << 10, 512u << 10,
					1u << 20, 2u << 20,   4u << 20 };

/*
 * Asks for what is absent within `bytes` behind the position, also in the next
 * packs. A run that is short because the window ends is left for later, when
 * more of it is inside.
 */
static void read_ahead(struct lazy_tree *lt, uint32_t pos, uint32_t bytes)
{
	struct placement_loc loc;
	uint64_t seen = 0;

	while (++pos < lt->n_chunks && seen < bytes) {
		const struct lazy_pack *lp;
		uint32_t end;

		if (lazy_loc(lt, pos, &loc) < 0)
			return;
		lp = &lt->packs[loc.pack];
		if (lp->state == LAZY_PACK_WHOLE) {
			pos = lp->end - 1;
			continue;
		}
		if (!pos_open(lt, pos)) {
			seen += loc.len;
			continue;
		}
		if (seen * 2 > bytes)
			return;
		end = lazy_run(lt, pos, LAZY_REQUEST_MAX, NULL);
		if (!lazy_submit(lt, LAZY_RANGE, LAZY_AHEAD, loc.pack, pos,
				 end))
			return;
		pos--;
	}
}

/* The bytes of a frame may lie in several cells. True where one of them is
 * new. */
static bool cells_mark(struct lazy_pack *lp, const struct placement_loc *loc)
{
	uint32_t cell = cell_of(loc);
	uint32_t last = (loc->off + loc->len - 1) / LAZY_CELL_BYTES;
	bool fresh = false;

	for (; cell <= last && cell < lp->n_cells; cell++) {
		fresh |= !(lp->cells[cell] & CELL_READ);
		lp->cells[cell] |= CELL_READ;
	}
	return fresh;
}

static void touch_locked(struct lazy_tree *lt, uint32_t chunk)
{
	uint32_t pos = lt->rank[chunk];
	struct placement_loc loc;
	struct lazy_pack *lp;
	unsigned n;

	lt->stats.reads++;
	lt->read[lt->n_read++] = chunk;
	if (lazy_loc(lt, pos, &loc) < 0)
		return;
	lp = &lt->packs[loc.pack];
	if (lp->state == LAZY_PACK_WHOLE || !cells_mark(lp, &loc))
		return;
	n = cells_before(lp, cell_of(&loc));
	read_ahead(lt, pos,
		   ahead_bytes[n < LAST(ahead_bytes) ? n : LAST(ahead_bytes)]);
}

/* --- first reads --- */

/* Of several threads that read a chunk for the first time, one notes it. */
void lazy_touch(struct lazy_tree *lt, uint32_t chunk)
{
	uint8_t ready = LAZY_READY;

	if (!atomic_compare_exchange_strong(&lt->state[chunk], &ready,
					    LAZY_USED))
		return;
	LOCK_SCOPE(&lt->lazy->lock);
	if (lt->n_read < lt->n_chunks)
		touch_locked(lt, chunk);
}

void lazy_touch_locked(struct lazy_tree *lt, uint32_t chunk)
{
	uint8_t pending = LAZY_PENDING, ready = LAZY_READY;

	if (lt->n_read < lt->n_chunks &&
	    (atomic_compare_exchange_strong(&lt->state[chunk], &pending,
					    LAZY_EARLY) ||
	     atomic_compare_exchange_strong(&lt->state[chunk], &ready,
					    LAZY_USED)))
		touch_locked(lt, chunk);
}

void lazy_touch_early(struct lazy_tree *lt, uint32_t chunk)
{
	LOCK_SCOPE(&lt->lazy->lock);

	lazy_touch_locked(lt, chunk);
}
