/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of options, the nearest names, the help texts' width, and
 * numbers and names as people read them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/format.h"
#include "tools/help.h"
#include "tools/options.h"
#include "tools/out.h"

static int never_run(const struct args *args)
{
	(void)args;
	return 0;
}

static const struct option_def options[] = {
	{ "path", 0, OPTION_LIST, "DIR", offsetof(struct args, paths),
	  "A directory, with a text that is long enough to be wrapped at the "
	  "right margin of a terminal with eighty columns, and so is this." },
	{ "output", 'o', OPTION_VALUE, "FILE", offsetof(struct args, output),
	  "A file." },
	{ "a-name-that-leaves-no-room", 'a', OPTION_FLAG, NULL,
	  offsetof(struct args, always), "A flag." },
	OPTION_END
};

static const struct command with_operands = {
	.name = "test",
	.summary = "be tested",
	.synopsis = "A [B]",
	.description = "A test.",
	.options = options,
	.key_options = true,
	.operands_min = 1,
	.operands_max = 2,
	.run = never_run,
};

static const struct command with_command = {
	.name = "test",
	.summary = "be tested",
	.synopsis = "-- COMMAND",
	.description = "A test.",
	.options = options,
	.takes_command = true,
	.operands_min = 1,
	.operands_max = ~0u,
	.run = never_run,
};

/* Parses up to a NULL. */
static int parse(const struct command *cmd, const char *const words[],
		 struct args *ret_args)
{
	int argc = 0;

	while (words[argc])
		argc++;
	return options_parse(cmd, argc, (char **)words, ret_args);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expect_usage(const struct command *cmd, const char *const words[])
{
	_cleanup_args_ struct args a;

	assert_int_equal(parse(cmd, words, &a), EXIT_USAGE);
}

static void test_forms(void **state)
{
	_cleanup_args_ struct args a;

	(void)state;
	assert_int_equal(parse(&with_operands,
			       WORDS("--path", "x", "one", "--path=y=z", "-qo",
				     "file", "--", "--json"),
			       &a),
			 0);
	assert_int_equal(a.paths.count, 2);
	assert_string_equal(a.paths.items[0], "x");
	assert_string_equal(a.paths.items[1], "y=z");
	assert_true(a.quiet);
	assert_false(a.always);
	assert_string_equal(a.output, "file");
	assert_int_equal(a.count, 2);
	assert_string_equal(a.operands[0], "one");
	assert_string_equal(a.operands[1], "--json");
	assert_null(a.operands[2]);
	assert_false(a.json); /* an operand, not an option */
}

static void test_letters(void **state)
{
	_cleanup_args_ struct args a;

	(void)state;
	assert_int_equal(parse(&with_operands, WORDS("-avofile", "-"), &a), 0);
	assert_true(a.always);
	assert_true(a.verbose);
	assert_string_equal(a.output, "file");
	assert_string_equal(a.operands[0], "-"); /* standard input */
}

static void test_key_options(void **state)
{
	_cleanup_args_ struct args a;

	(void)state;
	assert_int_equal(parse(&with_operands,
			       WORDS("--key-file", "*.c", "--key-env=CC",
				     "--salt", "", "x"),
			       &a),
			 0);
	assert_string_equal(a.key.files.items[0], "*.c");
	assert_string_equal(a.key.envs.items[0], "CC");
	assert_string_equal(a.key.salts.items[0], "");
	expect_usage(&with_operands, WORDS("--key", "a", "--salt", "b", "x"));
	expect_usage(&with_operands, WORDS("--key", "-a", "x"));
	expect_usage(&with_operands, WORDS("--key", "a/b", "x"));
	/* A command without key options has none. */
	expect_usage(&with_command, WORDS("--key", "a", "--", "x"));
}

static void test_command(void **state)
{
	_cleanup_args_ struct args a;

	(void)state;
	assert_int_equal(parse(&with_command,
			       WORDS("-q", "--", "npm", "ci", "--json", "--"),
			       &a),
			 0);
	assert_int_equal(a.count, 4);
	assert_string_equal(a.operands[0], "npm");
	assert_string_equal(a.operands[3], "--");
	assert_false(a.json);
	expect_usage(&with_command, WORDS("npm", "ci"));
	expect_usage(&with_command, WORDS("-q"));
	expect_usage(&with_command, WORDS("-q", "--"));
}

static void test_refused(void **state)
{
	(void)state;
	expect_usage(&with_operands, WORDS("--unknown", "x"));
	expect_usage(&with_operands, WORDS("--pat", "y", "x")); /* no prefix */
	expect_usage(&with_operands, WORDS("-z", "x"));
	expect_usage(&with_operands, WORDS("--json=1", "x"));
	expect_usage(&with_operands, WORDS("x", "--output"));
	expect_usage(&with_operands, WORDS("x", "-o"));
	expect_usage(&with_operands, WORDS("-oa", "-ob", "x"));
	expect_usage(&with_operands, WORDS("-q"));
	expect_usage(&with_operands, WORDS("a", "b", "c"));
	expect_usage(&with_operands, WORDS("--tenant", "a b", "x"));
	expect_usage(&with_operands, WORDS("--namespace=", "x"));
}

static void test_help_before_errors(void **state)
{
	_cleanup_args_ struct args a;

	(void)state;
	assert_int_equal(
		parse(&with_operands, WORDS("--help", "--unknown"), &a), 0);
	assert_true(a.help);
}

/* ---- nearest names */

static const char *candidate(const void *arg, size_t index)
{
	static const char *const names[] = { "run",    "key",	      "mount",
					     "umount", "materialize", NULL };

	(void)arg;
	return names[index];
}

static void test_nearest(void **state)
{
	char *longest = calloc(1, 5001);

	(void)state;
	assert_string_equal(options_nearest("rnu", candidate, NULL), "run");
	assert_string_equal(options_nearest("mout", candidate, NULL), "mount");
	assert_string_equal(options_nearest("unmount", candidate, NULL),
			    "umount");
	assert_string_equal(options_nearest("materialise", candidate, NULL),
			    "materialize");
	assert_null(options_nearest("zzzzz", candidate, NULL));
	assert_null(options_nearest("", candidate, NULL));
	memset(longest, 'm', 5000);
	assert_null(options_nearest(longest, candidate, NULL));
	free(longest);
}

/* ---- help */

static void test_help_text(void **state)
{
	char *text = NULL, *line, *rest;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	help_command(f, &with_operands);
	fclose(f);
	assert_ptr_equal(strstr(text, "usage: larder test A [B]\n"), text);
	assert_non_null(strstr(text, "\n      --path DIR        A directory,"));
	assert_non_null(strstr(text, "\n  -o, --output FILE     A file.\n"));
	assert_non_null(strstr(text, "\n      --key-file GLOB"));
	assert_non_null(strstr(text, "\n  -q, --quiet"));
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		assert_true(strlen(line) <= 80);
		assert_true(!*line || line[strlen(line) - 1] != ' ');
	}
	free(text);
}

/* ---- numbers and names */

static void test_numbers(void **state)
{
	char t[FORMAT_MAX];

	(void)state;
	assert_string_equal(format_count(0, t), "0");
	assert_string_equal(format_count(999, t), "999");
	assert_string_equal(format_count(62285, t), "62,285");
	assert_string_equal(format_count(UINT64_MAX, t),
			    "18,446,744,073,709,551,615");
	assert_string_equal(format_files(1, t), "1 file");
	assert_string_equal(format_files(1234, t), "1,234 files");
	assert_string_equal(format_bytes(999, t), "999 B");
	assert_string_equal(format_bytes(1000, t), "1.0 kB");
	assert_string_equal(format_bytes(12345678, t), "12.3 MB");
	assert_string_equal(format_bytes(379000000, t), "379 MB");
	assert_string_equal(format_bytes(999600, t), "1.0 MB");
	assert_string_equal(format_bytes(UINT64_MAX, t), "18.4 EB");
	assert_string_equal(format_ms(12, t), "12 ms");
	assert_string_equal(format_ms(2100, t), "2.1 s");
	assert_string_equal(format_ms(61000, t), "1 min 1 s");
}

static void test_ages(void **state)
{
	int64_t now = INT64_C(1000000) * 1000000000, s = 1000000000;
	char t[FORMAT_MAX];

	(void)state;
	assert_string_equal(format_ago(now, now, t), "just now");
	assert_string_equal(format_ago(now + 90 * s, now, t), "just now");
	assert_string_equal(format_ago(now - 59 * s, now, t), "just now");
	assert_string_equal(format_ago(now - 180 * s, now, t), "3 min ago");
	assert_string_equal(format_ago(now - 3600 * s, now, t), "1 hour ago");
	assert_string_equal(format_ago(now - 7200 * s, now, t), "2 hours ago");
	assert_string_equal(format_ago(now - 86400 * s, now, t), "1 day ago");
}

static void test_keys(void **state)
{
	char hex[65], t[FORMAT_MAX];

	(void)state;
	memset(hex, 'a', 64);
	hex[64] = '\0';
	assert_string_equal(format_key(hex, t), "aaaaaaaaaaaa");
	hex[63] = '\0';
	assert_string_equal(format_key(hex, t), hex); /* a user's own */
	assert_string_equal(format_key("v1.2", t), "v1.2");
	assert_string_equal(format_entry("web@v1", t), "web@v1");
	assert_string_equal(format_entry("web@0123456789abcdef0123456789abcdef"
					 "0123456789abcdef0123456789abcdef",
					 t),
			    "web@0123456789ab");
}

static void expect_name(const char *json, const char *printed)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	json_t *name = json_loads(json, JSON_DECODE_ANY, NULL);

	assert_non_null(name);
	format_name(f, name);
	fclose(f);
	assert_string_equal(text, printed);
	free(text);
	json_decref(name);
}

static void test_names(void **state)
{
	(void)state;
	expect_name("\"a b/c\"", "a b/c");
	expect_name("\"\\u00e9\\uF7FF\"", "\xc3\xa9\xff"); /* the raw bytes */
	expect_name("\"a\\nb\"", "\"a\\nb\"");
	expect_name("\"\\u001b[31m\"", "\"\\033[31m\"");
	expect_name("\"q\\\"\\\\\"", "\"q\\\"\\\\\"");
}

static void test_table(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct table *t = table_new("lrl");

	(void)state;
	table_add(t, "\xc3\xa9");
	table_add(t, "1");
	table_add(t, "last");
	table_add(t, "abc");
	table_add(t, "1,000");
	table_add(t, "");
	table_print(t, f);
	fclose(f);
	assert_string_equal(text, "\xc3\xa9        1  last\n"
				  "abc  1,000  \n");
	table_free(t);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_key_options),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_help_before_errors),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_help_text),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
