/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: names and forms, what is detected, and that what is written is a
 * project file that says what the preset means.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/io.h"
#include "tools/cmd.h"
#include "tools/preset.h"
#include "tools/project.h"
#include "tools/repo.h"

static const char *const names[] = { "npm",   "yarn", "pnpm", "bun",
				     "cargo", "go",   "pip",  "ccache" };

#define NAMES (sizeof(names) / sizeof(*names))

static struct preset_choice choose(const char *text)
{
	struct preset_choice c;
	struct failure f;

	assert_int_equal(preset_parse(text, "/nowhere", &c, &f), 0);
	return c;
}

static void refuse(const char *text, const char *dir, const char *message)
{
	struct preset_choice c;
	struct failure f;

	assert_int_equal(preset_parse(text, dir, &c, &f), -EINVAL);
	assert_int_equal(f.exit, EXIT_USAGE);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" is not in \"%s\"", message, f.message);
}

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++)
		assert_string_equal(preset_name(choose(names[i]).preset),
				    names[i]);
	assert_int_equal(choose("npm:store").form, PRESET_STORE);
	assert_int_equal(choose("go:output").form, PRESET_OUTPUT);
	assert_int_equal(choose("npm").form, PRESET_OUTPUT);
	assert_int_equal(choose("ccache").form, PRESET_STORE);
	refuse("npn", "/nowhere", "did you mean npm?");
	refuse("np", "/nowhere", "there is no preset np");
	refuse("", "/nowhere", "there are npm, yarn");
	refuse(":store", "/nowhere", "there is no preset");
	refuse("npm:stores", "/nowhere", "npm:output or npm:store");
	refuse("npm:", "/nowhere", "npm:output or npm:store");
	refuse("ccache:output", "/nowhere", "has no form output");
}

static void touch(const char *dir, const char *name)
{
	char *path = io_path("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
	free(path);
}

static void test_detect(void **state)
{
	char dir[] = "/tmp/test_preset.XXXXXX";
	struct preset_choice found[PRESET_MAX], c;
	struct failure f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(preset_detect(dir, found), 0);
	refuse(PRESET_AUTO, dir, "no lock file here");
	touch(dir, "package.json"); /* says too little */
	assert_int_equal(preset_detect(dir, found), 0);
	touch(dir, "bun.lockb");
	assert_int_equal(preset_detect(dir, found), 1);
	assert_string_equal(preset_name(found[0].preset), "bun");
	assert_int_equal(preset_parse(PRESET_AUTO, dir, &c, &f), 0);
	assert_ptr_equal(c.preset, found[0].preset);
	touch(dir, "Cargo.toml");
	assert_int_equal(preset_detect(dir, found), 2);
	refuse(PRESET_AUTO, dir, "several fit (bun, cargo)");
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

/* ---- what is written */

static struct project *written(const struct preset_choice *choice, bool in_git)
{
	struct project *p = NULL;
	struct failure f;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("caches:\n", out);
	preset_write(out, choice, "proj", in_git);
	fclose(out);
	if (project_parse("p.yml", text, len, "/repo", NULL, &p, &f) < 0)
		fail_msg("%s in:\n%s", f.message, text);
	free(text);
	return p;
}

static void check_form(const struct preset_choice *choice, bool in_git)
{
	_cleanup_project_ struct project *p = written(choice, in_git);
	const struct project_cache *c = &p->caches[0];
	const char *command = preset_command(choice);
	bool store = choice->form == PRESET_STORE;

	assert_int_equal(p->count, 1);
	assert_int_equal(c->paths.count, 1);
	assert_string_equal(c->paths.items[0] + strlen("/repo/"),
			    preset_path(choice));
	assert_int_equal(c->always, store);
	assert_true(c->key.commands.count > 0);
	assert_true(c->key.git || c->key.files.count > 0);
	if (!in_git)
		assert_false(c->key.git);
	if (store) /* something must lead the tool to it */
		assert_non_null(
			strstr(c->environment.items[0], c->paths.items[0]));
	if (command)
		assert_string_equal(c->command.items[2], command);
	else
		assert_int_equal(c->command.count, 0);
}

static void test_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		struct preset_choice c = choose(names[i]);

		for (int form = PRESET_OUTPUT; form <= PRESET_STORE; form++) {
			c.form = (enum preset_form)form;
			if (!preset_path(&c))
				continue;
			check_form(&c, false);
			check_form(&c, true);
		}
	}
}

static void test_values(void **state)
{
	struct preset_choice npm = choose("npm"), ccache = choose("ccache");
	_cleanup_project_ struct project *p = written(&npm, true);

	(void)state;
	assert_string_equal(p->caches[0].name, "proj-npm");
	assert_false(p->caches[0].key.git); /* the lock file is enough */
	assert_string_equal(p->caches[0].key.files.items[0],
			    "package-lock.json?");
	project_free(p);
	p = written(&ccache, true);
	assert_string_equal(p->caches[0].name, "proj-ccache-store");
	assert_true(p->caches[0].key.git);
	assert_string_equal(p->caches[0].environment.items[1],
			    "CCACHE_BASEDIR=/repo");
	assert_string_equal(p->caches[0].environment.items[2],
			    "CCACHE_NOHASHDIR=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_values),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
