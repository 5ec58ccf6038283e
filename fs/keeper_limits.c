/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the store as text. No state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/log.h"

#include "keeper.h"

#define SECOND_NS INT64_C(1000000000)
#define GRACE_MAX_S (UINT64_C(10) * 365 * 24 * 3600)

/* Digits only, and what follows them. */
static int parse_digits(const char *text, uint64_t *ret_number,
			const char **ret_rest)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	*ret_rest = end;
	return errno ? -EINVAL : 0;
}

static int unit_shift(const char *unit)
{
	static const char units[] = "KMGT";
	const char *found = *unit ? strchr(units, *unit) : NULL;

	if (!*unit)
		return 0;
	return found && !unit[1] ? 10 * (int)(found - units + 1) : -EINVAL;
}

int keeper_size_parse(const char *text, struct keeper_size *ret_size)
{
	struct keeper_size size = { 0, 0 };
	const char *rest;
	int shift;

	if (strcmp(text, "none") == 0) {
		*ret_size = size;
		return 0;
	}
	if (parse_digits(text, &size.bytes, &rest) < 0 || size.bytes == 0)
		return -EINVAL;
	if (strcmp(rest, "%") == 0) {
		if (size.bytes > 100)
			return -EINVAL;
		size.percent = (unsigned)size.bytes;
		size.bytes = 0;
	} else {
		shift = unit_shift(rest);
		if (shift < 0 || size.bytes > UINT64_MAX >> shift)
			return -EINVAL;
		size.bytes <<= shift;
	}
	*ret_size = size;
	return 0;
}

int keeper_number_parse(const char *text, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *rest = "";

	if (strcmp(text, "none") != 0 &&
	    (parse_digits(text, &number, &rest) < 0 || *rest || number == 0))
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int keeper_repack_parse(const char *text, bool *ret_idle)
{
	if (strcmp(text, "idle") != 0 && strcmp(text, "off") != 0)
		return -EINVAL;
	*ret_idle = *text == 'i';
	return 0;
}

static void read_size(const char *variable, const char *standard,
		      struct keeper_size *ret_size)
{
	const char *text = getenv(variable);

	if (text && *text && keeper_size_parse(text, ret_size) == 0)
		return;
	if (text && *text)
		log_warn(0, "%s=%s is no size; it is %s", variable, text,
			 standard);
	if (keeper_size_parse(standard, ret_size) < 0)
		*ret_size = (struct keeper_size){ 0, 0 };
}

static uint64_t read_number(const char *variable, uint64_t standard)
{
	const char *text = getenv(variable);
	uint64_t number;

	if (!text || !*text)
		return standard;
	if (keeper_number_parse(text, &number) == 0)
		return number;
	log_warn(0, "%s=%s is no number", variable, text);
	return standard;
}

static bool read_repack(void)
{
	const char *text = getenv("LARDER_STORE_REPACK");
	bool idle = true;

	if (text && *text && keeper_repack_parse(text, &idle) < 0)
		log_warn(0,
			 "LARDER_STORE_REPACK=%s is neither idle nor off; it "
			 "is %s",
			 text, KEEPER_REPACK);
	return idle;
}

void keeper_limits_read(struct keeper_limits *ret_limits)
{
	uint64_t grace =
		read_number("LARDER_STORE_GRACE", GC_GRACE_NS / SECOND_NS);

	read_size("LARDER_STORE_MAX_SIZE", KEEPER_MAX_SIZE,
		  &ret_limits->max_size);
	read_size("LARDER_STORE_MIN_FREE", KEEPER_MIN_FREE,
		  &ret_limits->min_free);
	ret_limits->max_objects = read_number("LARDER_STORE_MAX_OBJECTS", 0);
	if (grace > GRACE_MAX_S)
		grace = GRACE_MAX_S;
	ret_limits->grace_ns = (int64_t)grace * SECOND_NS;
	ret_limits->repack = read_repack();
}
