/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each remote tier that a command would use: whether it answers and how fast,
 * whether its credentials are good, whether it gives parts of objects, and
 * whether its clock agrees. An object that cannot be there is asked for; where
 * the tier may be written to, one is put, read in part, and removed, as a pack
 * that is named after its content, which servers of every kind take. No state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client.h"
#include "doctor.h"
#include "format.h"
#include "fs/tiers.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hex.h"
#include "store/digest.h"
#include "store/entry.h"
#include "store/tier.h"

#define CALL_NS INT64_C(10000000000)
#define CLOCK_SLACK_S 120
#define PROBE_LEN 48
#define PART_OFF 20
#define PART_LEN 8

struct probe {
	struct doctor *d;
	const char *name;
	const char *tenant, *namespace;
	struct chain *chain;
	char path[TIER_PATH_MAX + 1];
	char data[PROBE_LEN + 1];
	char why[TIER_WHY_MAX];
	struct tier_seen seen;
};

static struct tier_call call_of(struct probe *p)
{
	p->why[0] = '\0';
	p->seen = (struct tier_seen){ 0 };
	return (struct tier_call){ .deadline_ns = clock_mono_ns() + CALL_NS,
				   .why = p->why,
				   .seen = &p->seen };
}

static const char *why(const struct probe *p, int err)
{
	return *p->why ? p->why : strerror(-err);
}

/* Content that nobody has, and its place. */
static int make_probe(struct probe *p)
{
	uint8_t random[16];
	char hex[DIGEST_HEX_LEN + 1], nonce[2 * sizeof(random) + 1];
	struct digest digest;
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	hex_encode(random, sizeof(random), nonce);
	snprintf(p->data, sizeof(p->data), "larder doctor: %s\n", nonce);
	r = digest_of(p->data, PROBE_LEN, &digest);
	if (r < 0)
		return r;
	digest_hex(&digest, hex);
	snprintf(p->path, sizeof(p->path), "v1/%.128s/%.128s/packs/%.2s/%s",
		 p->tenant, p->namespace, hex, hex);
	return 0;
}

/* --- what can go wrong --- */

static void say_failure(struct probe *p, const char *what, int err)
{
	const char *advice = "see whether the network and the server are up";

	if (err == -EACCES)
		advice = "see its credentials: larder-config(5), tiers";
	else if (err == -ENOSPC)
		advice = "make room there";
	doctor_say(p->d, DOCTOR_PROBLEM, "tier", advice, "%s: %s: %.300s",
		   p->name, what, why(p, err));
}

static void judge_clock(struct probe *p)
{
	int64_t ahead = p->seen.date_s - clock_wall_ns() / 1000000000;

	if (p->seen.date_s && (ahead > CLOCK_SLACK_S || ahead < -CLOCK_SLACK_S))
		doctor_say(p->d, DOCTOR_WARNING, "clock",
			   "set this machine's clock, or the server's; signed "
			   "requests are refused",
			   "%s: its clock is %lld s %s", p->name,
			   (long long)(ahead > 0 ? ahead : -ahead),
			   ahead > 0 ? "ahead of this one" : "behind this one");
}

static bool check_answer(struct probe *p)
{
	struct tier_call call = call_of(p);
	int64_t begun = clock_mono_ns();
	char text[FORMAT_MAX];
	uint64_t size;
	int r = chain_head_at(p->chain, 0, &call, p->path, &size);

	judge_clock(p);
	if (r < 0 && r != -ENOENT) {
		say_failure(p, "it cannot be asked", r);
		return false;
	}
	doctor_say(p->d, DOCTOR_OK, "tier", NULL, "%s: answers in %s", p->name,
		   format_ms((uint64_t)(clock_mono_ns() - begun) / 1000000,
			     text));
	return true;
}

/* --- parts --- */

struct part {
	char data[PART_LEN];
	size_t len;
};

static int take_part(void *arg, const void *data, size_t len)
{
	struct part *part = arg;

	if (len > sizeof(part->data) - part->len)
		return -EFBIG;
	if (len > 0)
		memcpy(part->data + part->len, data, len);
	part->len += len;
	return 0;
}

static int read_part(struct probe *p, const char *path, struct part *ret_part)
{
	struct tier_call call = call_of(p);

	*ret_part = (struct part){ .len = 0 };
	return chain_get_from(p->chain, 0, &call, path, PART_OFF, PART_LEN,
			      take_part, ret_part);
}

static void judge_part(struct probe *p, int r)
{
	if (r < 0)
		say_failure(p, "a part of an object cannot be read", r);
	else if (p->seen.whole)
		doctor_say(p->d, DOCTOR_WARNING, "tier",
			   "have the server obey Range, or every file that is "
			   "read fetches a pack",
			   "%s: it gives whole objects in place of parts",
			   p->name);
	else
		doctor_say(p->d, DOCTOR_OK, "tier", NULL,
			   "%s: gives parts of objects", p->name);
}

/* --- a tier that is only read --- */

static int keep_path(void *arg, const struct tier_object *o)
{
	if (o->size < PART_OFF + PART_LEN)
		return 0;
	snprintf(arg, TIER_PATH_MAX + 1, "%s", o->path);
	return 1;
}

static void check_reading(struct probe *p)
{
	struct tier_call call = call_of(p);
	char path[TIER_PATH_MAX + 1] = "";
	struct part part;
	int r = chain_list_at(p->chain, 0, &call, "v1", keep_path, path);

	if (*path) {
		r = read_part(p, path, &part);
		judge_part(p, r);
		return;
	}
	doctor_say(
		p->d, DOCTOR_OK, "tier", NULL,
		"%s: whether it gives parts was not tried, since %s", p->name,
		r == 0 || r == -ENOENT ? "it is empty" : "it cannot be listed");
}

/* --- one that may be written to --- */

static void remove_probe(struct probe *p)
{
	struct tier_call call = call_of(p);
	int r = chain_delete_at(p->chain, 0, &call, p->path);

	if (r < 0 && r != -ENOENT)
		doctor_say(
			p->d, DOCTOR_WARNING, "tier",
			"it does no harm; rm --remote will not work there",
			"%s: %.200s stays, since it cannot be removed: %.200s",
			p->name, p->path, why(p, r));
}

static void check_writing(struct probe *p, bool reads)
{
	struct tier_call call = call_of(p);
	struct part part;
	int r = chain_put_data_to(p->chain, 0, &call, p->path, p->data,
				  PROBE_LEN);

	if (r < 0) {
		say_failure(p, "it cannot be written to", r);
		return;
	}
	doctor_say(p->d, DOCTOR_OK, "tier", NULL, "%s: can be written to",
		   p->name);
	if (reads) {
		r = read_part(p, p->path, &part);
		if (r == 0 &&
		    memcmp(part.data, p->data + PART_OFF, PART_LEN) != 0)
			r = -EBADMSG;
		judge_part(p, r);
	}
	remove_probe(p);
}

/* --- each --- */

static void check_chain(struct probe *p)
{
	unsigned access = chain_access(p->chain, 0);

	if (make_probe(p) < 0 || !check_answer(p))
		return;
	if (access & CHAIN_WRITE)
		check_writing(p, access & CHAIN_READ);
	else
		check_reading(p);
}

static void check_tier(struct doctor *d, struct tiers *tiers, json_t *tier)
{
	_cleanup_json_ json_t *list = json_pack("[O]", tier);
	_cleanup_chain_ struct chain *chain = NULL;
	struct probe p = { .d = d,
			   .name = field_text(tier, "name"),
			   .tenant = d->args->tenant,
			   .namespace = d->args->namespace };
	char fault[TIERS_FAULT_MAX] = "out of memory";

	if (tiers_get(tiers, list, fault, &chain) < 0) {
		doctor_say(d, DOCTOR_PROBLEM, "tier",
			   "see its settings: larder config tiers", "%.600s",
			   fault);
		return;
	}
	if (!p.tenant)
		p.tenant = ENTRY_TENANT_LOCAL;
	if (!p.namespace)
		p.namespace = ENTRY_NAMESPACE_DEFAULT;
	p.chain = chain;
	check_chain(&p);
}

void doctor_tiers(struct doctor *d)
{
	_cleanup_json_ json_t *params = client_params(d->args);
	const json_t *list = json_object_get(params, "tiers");
	struct tiers *tiers;
	json_t *tier;
	size_t i;

	if (json_array_size(list) == 0) {
		doctor_say(d, DOCTOR_OK, "tier", NULL,
			   "no remote tier is configured");
		return;
	}
	if (tiers_new(NULL, &tiers) < 0)
		return;
	json_array_foreach(list, i, tier) check_tier(d, tiers, tier);
	tiers_free(tiers);
}
