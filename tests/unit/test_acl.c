/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX ACLs: what is one, and how it and a mode follow each other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/acl.h"
#include "store/base/le.h"

#define USER_OBJ 0x01
#define USER 0x02
#define GROUP_OBJ 0x04
#define MASK 0x10
#define OTHER 0x20

struct text {
	uint8_t bytes[64];
	size_t len;
};

static void start(struct text *t)
{
	le32_put(t->bytes, 2);
	t->len = 4;
}

static void put(struct text *t, uint16_t tag, uint16_t perm)
{
	le16_put(t->bytes + t->len, tag);
	le16_put(t->bytes + t->len + 2, perm);
	le32_put(t->bytes + t->len + 4, tag == USER ? 9 : UINT32_MAX);
	t->len += 8;
}

static uint16_t perm(const struct text *t, unsigned k)
{
	return le16_get(t->bytes + 4 + 8 * k + 2);
}

static void base(struct text *t)
{
	start(t);
	put(t, USER_OBJ, 7);
	put(t, GROUP_OBJ, 5);
	put(t, OTHER, 1);
}

static void masked(struct text *t)
{
	start(t);
	put(t, USER_OBJ, 7);
	put(t, USER, 6);
	put(t, GROUP_OBJ, 1);
	put(t, MASK, 6);
	put(t, OTHER, 4);
}

static int check(const struct text *t)
{
	return acl_check(t->bytes, t->len);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(acl_is_name("system.posix_acl_access"));
	assert_true(acl_is_name("system.posix_acl_default"));
	assert_false(acl_is_name("system.posix_acl_accesses"));
	assert_false(acl_is_name("user.posix_acl_access"));
}

static void test_check(void **state)
{
	struct text t;

	(void)state;
	base(&t);
	assert_int_equal(check(&t), 0);
	t.len--;
	assert_int_equal(check(&t), -EINVAL);
	assert_int_equal(acl_check(t.bytes, 3), -EINVAL);
	assert_int_equal(acl_check(t.bytes, 4), -EINVAL);
	masked(&t);
	assert_int_equal(check(&t), 0);
	le32_put(t.bytes, 1);
	assert_int_equal(check(&t), -EINVAL);

	base(&t); /* a second owner */
	put(&t, USER_OBJ, 0);
	assert_int_equal(check(&t), -EINVAL);
	base(&t); /* a name without a mask */
	put(&t, USER, 0);
	assert_int_equal(check(&t), -EINVAL);
	base(&t);
	put(&t, 0x40, 0);
	assert_int_equal(check(&t), -EINVAL);
	base(&t);
	put(&t, MASK, 8);
	assert_int_equal(check(&t), -EINVAL);
	start(&t); /* nobody else */
	put(&t, USER_OBJ, 7);
	put(&t, GROUP_OBJ, 7);
	assert_int_equal(check(&t), -EINVAL);
}

static void test_mode_of_acl(void **state)
{
	struct text t;

	(void)state;
	base(&t);
	assert_true(acl_is_mode(t.bytes, t.len));
	assert_int_equal(acl_mode(t.bytes, t.len, 0104000), 0104751);
	put(&t, MASK, 2);
	assert_false(acl_is_mode(t.bytes, t.len));
	assert_int_equal(acl_mode(t.bytes, t.len, 0), 0721);
	masked(&t);
	assert_false(acl_is_mode(t.bytes, t.len));
	assert_int_equal(acl_mode(t.bytes, t.len, 0777), 0764);
}

static void test_acl_of_mode(void **state)
{
	struct text t;

	(void)state;
	base(&t);
	acl_set_mode(t.bytes, t.len, 0106420);
	assert_int_equal(perm(&t, 0), 4);
	assert_int_equal(perm(&t, 1), 2);
	assert_int_equal(perm(&t, 2), 0);
	masked(&t);
	acl_set_mode(t.bytes, t.len, 0421);
	assert_int_equal(perm(&t, 0), 4);
	assert_int_equal(perm(&t, 1), 6); /* names and group stay */
	assert_int_equal(perm(&t, 2), 1);
	assert_int_equal(perm(&t, 3), 2);
	assert_int_equal(perm(&t, 4), 1);
}

static void test_inherit(void **state)
{
	uint32_t mode = 0102526;
	struct text t;

	(void)state;
	masked(&t);
	acl_inherit(t.bytes, t.len, &mode);
	assert_int_equal(mode, 0102524);
	assert_int_equal(perm(&t, 0), 5);
	assert_int_equal(perm(&t, 1), 6);
	assert_int_equal(perm(&t, 2), 1);
	assert_int_equal(perm(&t, 3), 2);
	assert_int_equal(perm(&t, 4), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_mode_of_acl),
		cmocka_unit_test(test_acl_of_mode),
		cmocka_unit_test(test_inherit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
