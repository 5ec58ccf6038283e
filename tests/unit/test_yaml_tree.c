/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: the tree and its lines, what is refused, the limits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/yaml_tree.h"

static struct yaml_node *parse(const char *text)
{
	struct yaml_node *root = NULL;
	struct failure f;
	int r = yaml_tree_parse("t.yml", text, strlen(text), &root, &f);

	if (r < 0)
		print_message("# %s\n", f.message);
	assert_int_equal(r, 0);
	return root;
}

static void expect(const char *text, int code, const char *message)
{
	struct yaml_node *root = NULL;
	struct failure f;

	assert_int_equal(
		yaml_tree_parse("t.yml", text, strlen(text), &root, &f), code);
	assert_null(root);
	assert_int_equal(f.exit, EXIT_USAGE);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" is not in \"%s\"", message, f.message);
}

static void test_tree(void **state)
{
	_cleanup_yaml_tree_ struct yaml_node *root =
		parse("# comment\n"
		      "a: one\n"
		      "\n"
		      "b:\n"
		      "  - 'two'\n"
		      "  - [x, {y: z}]\n"
		      "c: |\n"
		      "  line\n"
		      "  line\n"
		      "\"d e\": \"\\u00e9\"\n");
	const struct yaml_node *n;

	(void)state;
	assert_int_equal(root->kind, YAML_MAP);
	n = root->first;
	assert_string_equal(n->key, "a");
	assert_string_equal(n->text, "one");
	assert_true(n->plain);
	assert_int_equal(n->line, 2);
	n = n->next;
	assert_int_equal(n->kind, YAML_LIST);
	assert_int_equal(n->line, 4); /* of its key */
	assert_string_equal(n->first->text, "two");
	assert_false(n->first->plain);
	assert_int_equal(n->first->line, 5);
	assert_int_equal(n->first->next->kind, YAML_LIST);
	assert_string_equal(n->first->next->first->next->first->text, "z");
	assert_null(n->first->next->next);
	n = n->next;
	assert_string_equal(n->text, "line\nline\n");
	n = n->next;
	assert_string_equal(n->key, "d e");
	assert_string_equal(n->text, "\xc3\xa9");
	assert_null(n->next);
}

static void test_nothing(void **state)
{
	static const char *const empty[] = {
		"",	      "\n",  "# only this\n", "---\n",
		"---\n...\n", "~\n", "null\n"
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(empty) / sizeof(*empty); i++)
		assert_null(parse(empty[i]));
}

static void test_null(void **state)
{
	_cleanup_yaml_tree_ struct yaml_node *root =
		parse("a:\nb: ~\nc: Null\nd: ''\ne: 'null'\nf: []\n");
	unsigned nulls = 0;

	(void)state;
	for (const struct yaml_node *n = root->first; n; n = n->next)
		nulls += yaml_node_is_null(n) ? 1 : 0;
	assert_int_equal(nulls, 3);
}

static void test_refused(void **state)
{
	(void)state;
	expect("a: 1\nb: 2\na: 3\n", -EBADMSG, "t.yml:3: the key a ");
	expect("a: {b: 1, b: 2}\n", -EBADMSG, "t.yml:1: the key b ");
	expect("a: &x 1\nb: *x\n", -EBADMSG, "t.yml:1: anchors");
	expect("a: *x\n", -EBADMSG, "t.yml:1: anchors");
	expect("a: &x [1]\n", -EBADMSG, "anchors");
	expect("a: &x {b: 1}\n", -EBADMSG, "anchors");
	expect("a: !!int 1\n", -EBADMSG, "tags");
	expect("a: !x [1]\n", -EBADMSG, "tags");
	expect("a: !x {b: 1}\n", -EBADMSG, "tags");
	expect("a: 1\n---\nb: 1\n", -EBADMSG, "t.yml:2: a second document");
	expect("? [a]\n: b\n", -EBADMSG, "a key must be a text");
	expect("? {a: b}\n: b\n", -EBADMSG, "a key must be a text");
	expect("a: \"x\\0y\"\n", -EBADMSG, "NUL");
	expect("a: [1\n", -EBADMSG, "t.yml:");
	expect("a:\n\tb: 1\n", -EBADMSG, "t.yml:2:");
	expect("a: \xff\n", -EBADMSG, "t.yml: ");
	expect("a: \x01\n", -EBADMSG, "t.yml: ");
}

static void test_depth(void **state)
{
	char text[64];

	(void)state;
	memset(text, '[', YAML_MAX_DEPTH);
	memset(text + YAML_MAX_DEPTH, ']', YAML_MAX_DEPTH);
	text[2 * YAML_MAX_DEPTH] = '\0';
	yaml_tree_free(parse(text));
	memset(text, '[', YAML_MAX_DEPTH + 1);
	text[YAML_MAX_DEPTH + 1] = '\0';
	expect(text, -EFBIG, "deep");
}

static void test_count(void **state)
{
	size_t len = 0;
	char *text = malloc(3 * YAML_MAX_NODES + 16);

	(void)state;
	/* The list is a value too. */
	for (unsigned i = 0; i < YAML_MAX_NODES - 1; i++, len += 2)
		memcpy(text + len, "-\n", 2);
	text[len] = '\0';
	yaml_tree_free(parse(text));
	strcpy(text + len, "-\n");
	expect(text, -EFBIG, "more than 4096 values");
	free(text);
}

static void test_size(void **state)
{
	char *text = malloc(YAML_MAX_BYTES + 2);

	(void)state;
	memset(text, ' ', YAML_MAX_BYTES + 1);
	text[0] = '#';
	text[YAML_MAX_BYTES] = '\0';
	assert_null(parse(text));
	text[YAML_MAX_BYTES] = ' ';
	text[YAML_MAX_BYTES + 1] = '\0';
	expect(text, -EFBIG, "larger than 256 KiB");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),  cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_null),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_depth), cmocka_unit_test(test_count),
		cmocka_unit_test(test_size),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
