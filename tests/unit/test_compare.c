/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of two keys, compared by what they are of. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "tools/compare.h"

#define _cleanup_parts_ _cleanup_(key_parts_release)

/* "kind name value" each, NULL at the end; a value is a letter or 0. */
static void fill(struct key_parts *p, const char *const parts[])
{
	char kind[64], name[64], value;

	for (; *parts; parts++) {
		struct digest d = { { 0 } };

		assert_int_equal(
			sscanf(*parts, "%63s %63s %c", kind, name, &value), 3);
		if (value != '0')
			assert_int_equal(digest_of(&value, 1, &d), 0);
		assert_int_equal(key_parts_add(p, kind,
					       strcmp(name, "-") ? name : "",
					       &d),
				 0);
	}
}

/* `want`: "change was_kind>kind name, " for each. */
static void check(const char *const was[], const char *const is[],
		  const char *want)
{
	_cleanup_parts_ struct key_parts a = KEY_PARTS_INIT, b = KEY_PARTS_INIT;
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *changes, *c;
	size_t i;

	fill(&a, was);
	fill(&b, is);
	changes = compare_parts(&a, &b);
	assert_non_null(changes);
	json_array_foreach(changes, i, c)
	{
		const char *was_kind =
			json_string_value(json_object_get(c, "was_kind"));
		const char *change =
			json_string_value(json_object_get(c, "change"));

		buf_printf(&text, "%s %s%s%s %s, ", change,
			   was_kind ? was_kind : "", was_kind ? ">" : "",
			   json_string_value(json_object_get(c, "kind")),
			   json_string_value(json_object_get(c, "name")));
		assert_true(json_is_null(json_object_get(c, "was")) ==
			    (strcmp(change, "added") == 0));
		assert_true(json_is_null(json_object_get(c, "is")) ==
			    (strcmp(change, "removed") == 0));
	}
	json_decref(changes);
	buf_put_u8(&text, '\0');
	assert_string_equal((char *)text.data, want);
}

#define PARTS(...) ((const char *const[]){ __VA_ARGS__ NULL })

static void test_nothing(void **state)
{
	(void)state;
	check(PARTS(), PARTS(), "");
	check(PARTS("file a 1", "env B 2", ), PARTS("env B 2", "file a 1", ),
	      "");
	check(PARTS(), PARTS("file a 1", ), "added file a, ");
	check(PARTS("file a 1", ), PARTS(), "removed file a, ");
}

static void test_order(void **state)
{
	(void)state;
	check(PARTS("file c 1", "file a 1", "env X 0", ),
	      PARTS("file b 1", "file a 2", "env X 1", "file c 1", ),
	      "changed env X, changed file a, added file b, ");
}

static void test_other_kind_of_the_same(void **state)
{
	(void)state;
	check(PARTS("file a 1", "git-file b 1", "git-exec c 1", "git-link d 1",
		    "platform one 1", ),
	      PARTS("link a 1", "git-exec b 1", "git-gone c 0", "git-head d 1",
		    "platform two 2", ),
	      "changed file>link a, changed git-file>git-exec b, "
	      "changed git-exec>git-gone c, removed git-link d, "
	      "added git-head d, changed platform two, ");
}

static void test_several_of_one_subject(void **state)
{
	(void)state;
	check(PARTS("salt - 1", "salt - 2", "salt - 3", ),
	      PARTS("salt - 3", "salt - 4", ),
	      "changed salt , removed salt , ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_other_kind_of_the_same),
		cmocka_unit_test(test_several_of_one_subject),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
