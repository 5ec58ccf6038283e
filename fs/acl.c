/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs: checking, and keeping them and modes in step. No state. The rules are
 * those of POSIX 1003.1e draft 17, section 23.1, as Linux has them.
 */
#include "acl.h"

#include <errno.h>
#include <string.h>

#include "store/base/le.h"

#define VERSION 2u
#define HEADER_BYTES 4u
#define ENTRY_BYTES 8u

enum tag {
	USER_OBJ = 0x01,
	USER = 0x02,
	GROUP_OBJ = 0x04,
	GROUP = 0x08,
	MASK = 0x10,
	OTHER = 0x20,
};

/* The entry behind each class of a mode; `mask` stands in for the group. */
struct classes {
	uint8_t *owner, *group, *mask, *other;
};

static size_t count(size_t len)
{
	return (len - HEADER_BYTES) / ENTRY_BYTES;
}

static uint8_t *entry(void *acl, size_t k)
{
	return (uint8_t *)acl + HEADER_BYTES + k * ENTRY_BYTES;
}

static uint32_t perm_get(const uint8_t *e)
{
	return le16_get(e + 2) & 7u;
}

static void perm_put(uint8_t *e, uint32_t perm)
{
	le16_put(e + 2, (uint16_t)(perm & 7u));
}

/* Takes `e` as the one entry of its class. */
static int claim(uint8_t **at, uint8_t *e)
{
	if (*at)
		return -EINVAL;
	*at = e;
	return 0;
}

/* Finds the classes, *ret_named whether other users or groups have entries,
 * and with that all that can be wrong. */
static int classify(const void *acl, size_t len, struct classes *ret_classes,
		    bool *ret_named)
{
	struct classes c = { 0 };
	bool named = false;
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < count(len); k++) {
		uint8_t *e = entry((void *)acl, k);

		switch (le16_get(e)) {
		case USER_OBJ:
			r = claim(&c.owner, e);
			break;
		case GROUP_OBJ:
			r = claim(&c.group, e);
			break;
		case MASK:
			r = claim(&c.mask, e);
			break;
		case OTHER:
			r = claim(&c.other, e);
			break;
		case USER:
		case GROUP:
			named = true;
			break;
		default:
			return -EINVAL;
		}
		if (le16_get(e + 2) > 7)
			return -EINVAL;
	}
	if (r < 0 || !c.owner || !c.group || !c.other || (named && !c.mask))
		return -EINVAL;
	*ret_classes = c;
	*ret_named = named;
	return 0;
}

bool acl_is_name(const char *name)
{
	return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

int acl_check(const void *acl, size_t len)
{
	struct classes c;
	bool named;

	if (len < HEADER_BYTES || (len - HEADER_BYTES) % ENTRY_BYTES ||
	    le32_get(acl) != VERSION)
		return -EINVAL;
	return classify(acl, len, &c, &named);
}

uint32_t acl_mode(const void *acl, size_t len, uint32_t mode)
{
	struct classes c;
	bool named;

	if (classify(acl, len, &c, &named) < 0)
		return mode;
	return (mode & ~0777u) | perm_get(c.owner) << 6 |
	       perm_get(c.mask ? c.mask : c.group) << 3 | perm_get(c.other);
}

bool acl_is_mode(const void *acl, size_t len)
{
	struct classes c;
	bool named;

	return classify(acl, len, &c, &named) == 0 && !named && !c.mask;
}

void acl_set_mode(void *acl, size_t len, uint32_t mode)
{
	struct classes c;
	bool named;

	if (classify(acl, len, &c, &named) < 0)
		return;
	perm_put(c.owner, mode >> 6);
	perm_put(c.mask ? c.mask : c.group, mode >> 3);
	perm_put(c.other, mode);
}

void acl_inherit(void *acl, size_t len, uint32_t *mode)
{
	*mode &= ~0777u | acl_mode(acl, len, 0);
	acl_set_mode(acl, len, *mode);
}
