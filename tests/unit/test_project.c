/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The project file: the three examples of Solano's documentation, defaults
 * and empty lists, Larder's own caches, and what is refused, by line.
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
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/io.h"
#include "tools/cmd.h"
#include "tools/project.h"

static struct project *parse(const char *text)
{
	struct project *p = NULL;
	struct failure f;
	int r = project_parse("larder.yml", text, strlen(text), "/repo",
			      "/home/me", &p, &f);

	if (r < 0)
		print_message("# %s\n", f.message);
	assert_int_equal(r, 0);
	return p;
}

static void expect(const char *text, const char *message)
{
	struct project *p = NULL;
	struct failure f;
	int r = project_parse("larder.yml", text, strlen(text), "/repo",
			      "/home/me", &p, &f);

	if (r == 0)
		fail_msg("taken: %s", text);
	assert_null(p);
	assert_int_equal(f.exit, EXIT_USAGE);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" is not in \"%s\"", message, f.message);
}

static void expect_strings(const struct strings *list,
			   const char *const *expected)
{
	size_t n = 0;

	while (expected[n])
		n++;
	assert_int_equal(list->count, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(list->items[i], expected[i]);
}

#define EXPECT(list, ...) \
	expect_strings(&(list), (const char *const[]){ __VA_ARGS__, NULL })

/* ---- Solano */

static const char example_1[] =
	"cache:\n"
	"  # Changes to key path files will update the full cache\n"
	"  key_paths:\n"
	"    - Gemfile\n"
	"    - Gemfile.lock\n"
	"  save_paths:\n"
	"    - HOME/bundle\n"
	"    - HOME/.gem\n"
	"  update_scripts:\n"
	"    assets:  # user-provided name, can be used for "
	"logging/messaging\n"
	"      key_script: ./scripts/calculate_key_hash.sh app/assets\n"
	"      paths:\n"
	"        - REPO/public/assets\n"
	"        - REPO/tmp/cache/assets\n";

static void test_solano_first(void **state)
{
	_cleanup_project_ struct project *p = parse(example_1);
	const struct project_cache *c;

	(void)state;
	assert_int_equal(p->count, 2);
	c = project_find(p, "cache");
	assert_non_null(c);
	EXPECT(c->paths, "/home/me/bundle", "/home/me/.gem");
	EXPECT(c->key.files, "Gemfile", "Gemfile.lock");
	assert_int_equal(c->key.scripts.count, 0);
	c = project_find(p, "assets");
	assert_non_null(c);
	assert_int_equal(c->line, 10);
	EXPECT(c->paths, "/repo/public/assets", "/repo/tmp/cache/assets");
	/* A key path renews the whole. */
	EXPECT(c->key.files, "Gemfile", "Gemfile.lock");
	EXPECT(c->key.scripts, "./scripts/calculate_key_hash.sh app/assets");
	assert_true(c->always);
	assert_true(c->solano);
	assert_int_equal(c->command.count, 0);
	assert_string_equal(c->key.dir, "/repo");
}

static const char example_2[] =
	"cache:\n"
	"  update_scripts:\n"
	"    ruby: # user-provided name, can be used for logging/messaging\n"
	"      key_script: ./scripts/calculate_key_hash.sh Gemfile "
	"Gemfile.lock\n"
	"      paths:\n"
	"        - HOME/bundle\n"
	"        - HOME/.gem\n"
	"    node:\n"
	"      key_script: ./scripts/calculate_key_hash.sh package.json "
	"bower.json\n"
	"      paths:\n"
	"        - REPO/node_modules\n"
	"        - REPO/bower_components\n"
	"    assets:\n"
	"      key_script: ./scripts/calculate_key_hash.sh app/assets\n"
	"      paths:\n"
	"        - REPO/public/assets\n"
	"        - REPO/tmp/cache/assets\n"
	"  # Empty arrays are provided to override Solano CI defaults\n"
	"  key_paths: []\n"
	"  save_paths: []\n";

static void test_solano_second(void **state)
{
	_cleanup_project_ struct project *p = parse(example_2);
	static const char *const names[] = { "ruby", "node", "assets" };

	(void)state;
	assert_int_equal(p->count, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct project_cache *c = &p->caches[i];

		assert_string_equal(c->name, names[i]);
		assert_int_equal(c->key.files.count, 0);
		assert_int_equal(c->key.optional_files.count, 0);
		assert_int_equal(c->key.scripts.count, 1);
		assert_int_equal(c->paths.count, 2);
	}
	EXPECT(p->caches[1].paths, "/repo/node_modules",
	       "/repo/bower_components");
}

static void test_solano_defaults(void **state)
{
	_cleanup_project_ struct project *p =
		parse("cache:\n"
		      "  save_paths: [vendor/bundle, ./deps/]\n"
		      "  command: bundle install\n"
		      "  update_scripts: {a: {key_script: x, paths: b}}\n");
	const struct project_cache *c = project_find(p, "cache");

	(void)state;
	assert_int_equal(p->count, 2);
	EXPECT(c->paths, "/repo/vendor/bundle", "/repo/deps");
	EXPECT(c->key.optional_files, "Gemfile", "Gemfile.lock",
	       "requirements.txt", "package.json");
	EXPECT(c->command, "/bin/sh", "-c", "bundle install");
	c = project_find(p, "a");
	EXPECT(c->key.optional_files, "Gemfile", "Gemfile.lock",
	       "requirements.txt", "package.json");
	EXPECT(c->command, "/bin/sh", "-c", "bundle install");
}

static void test_solano_refused(void **state)
{
	(void)state;
	expect("cache:\n  key_path: [a]\n",
	       "larder.yml:2: cache: unknown key key_path; did you mean "
	       "key_paths?");
	expect("cache:\n  tiers: [a]\n",
	       "unknown key tiers; it takes key_paths, save_paths, "
	       "update_scripts and command");
	expect("cache:\n  key_paths:\n", "larder.yml:2: cache: key_paths has "
					 "no value; an empty list is []");
	expect("cache:\n  key_paths: {a: b}\n", "key_paths must be");
	expect("cache:\n  key_paths: [[a]]\n", "key_paths must be");
	expect("cache:\n  key_paths: []\n  save_paths: [a]\n",
	       "larder.yml:3: save_paths need key_paths");
	expect("cache:\n  update_scripts:\n    a: {paths: [b]}\n",
	       "larder.yml:3: the update script a has no key_script");
	expect("cache:\n  update_scripts:\n    a: {key_script: x, paths: []}\n",
	       "larder.yml:3: the update script a has no paths");
	expect("cache:\n  update_scripts:\n    a: b\n", "must be a map");
	expect("cache:\n  update_scripts:\n    a b: {key_script: x, paths: "
	       "[y]}\n",
	       "the name \"a b\"");
	expect("cache:\n  save_paths: [x]\n  update_scripts:\n"
	       "    cache: {key_script: x, paths: [y]}\n",
	       "two caches with the name cache");
}

/* ---- Larder's own */

static void test_larder(void **state)
{
	_cleanup_project_ struct project *p =
		parse("caches:\n"
		      "  - name: web\n"
		      "    paths: [node_modules, HOME/.cache/x]\n"
		      "    key:\n"
		      "      files: [package-lock.json, REPO/.npmrc?]\n"
		      "      git: yes\n"
		      "      scripts: ./hash\n"
		      "      commands: [node --version]\n"
		      "      env: [NODE_ENV]\n"
		      "      salt: v1\n"
		      "    command: npm ci\n"
		      "    mode: read-only\n"
		      "    always: true\n"
		      "    environment: {A: REPO/b, C: 'd=e'}\n"
		      "  - name: tool\n"
		      "    paths: bin\n"
		      "    key: v1.2\n"
		      "    restore: [v1., v]\n"
		      "    command: [make, -C, bin]\n");
	const struct project_cache *c = &p->caches[0];

	(void)state;
	assert_int_equal(p->count, 2);
	assert_string_equal(c->name, "web");
	EXPECT(c->paths, "/repo/node_modules", "/home/me/.cache/x");
	EXPECT(c->key.files, "package-lock.json", ".npmrc?");
	assert_true(c->key.git);
	EXPECT(c->key.scripts, "./hash");
	EXPECT(c->key.commands, "node --version");
	EXPECT(c->key.envs, "NODE_ENV");
	EXPECT(c->key.salts, "v1");
	EXPECT(c->command, "/bin/sh", "-c", "npm ci");
	assert_string_equal(c->mode, "read-only");
	assert_true(c->always);
	assert_false(c->solano);
	EXPECT(c->environment, "A=/repo/b", "C=d=e");
	c++;
	assert_string_equal(c->key.key, "v1.2");
	EXPECT(c->restore, "v1.", "v");
	EXPECT(c->command, "make", "-C", "bin");
	assert_null(c->command.items[3]);
	assert_false(c->always);
	assert_ptr_equal(project_find(p, "tool"), c);
	assert_null(project_find(p, "tol"));
	assert_string_equal(project_nearest(p, "tol"), "tool");
}

#define CACHE(rest) "caches:\n- name: a\n  paths: [b]\n  key: {salt: c}\n" rest

static void test_larder_refused(void **state)
{
	(void)state;
	expect(CACHE("  comand: x\n"),
	       "larder.yml:5: caches: unknown key comand; did you mean "
	       "command?");
	expect("caches: {}\n", "larder.yml:1: a project file: caches must be a "
			       "list of maps");
	expect("caches: [a]\n", "caches must be a list of maps");
	expect("cachs: []\n", "unknown key cachs; did you mean caches?");
	expect("tiers: []\n", "unknown key tiers");
	expect("[]\n", "a project file must be a map");
	expect("caches:\n- paths: [b]\n", "larder.yml:2: this cache has no "
					  "name");
	expect("caches:\n- name: a\n", "the cache a has no paths");
	expect("caches:\n- name: a\n  paths: []\n", "the cache a has no paths");
	expect("caches:\n- name: a\n  paths: [b]\n", "the cache a has no key");
	expect("caches:\n- name: a b\n  paths: [b]\n  key: x\n",
	       "the name \"a b\"");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {}\n",
	       "the key is made of nothing");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {git: no}\n",
	       "the key is made of nothing");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {git: maybe}\n",
	       "git must be true or false");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {env: [A=B]}\n",
	       "no name of a variable");
	expect("caches:\n- name: a\n  paths: [b]\n  key: a/b\n",
	       "the key \"a/b\"");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {files: [../x]}\n",
	       "without ..");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {files: [HOME/x]}\n",
	       "in the repository");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {files: [/x]}\n",
	       "in the repository");
	expect("caches:\n- name: a\n  paths: [b]\n  key: {files: ['']}\n",
	       "in the repository");
	expect(CACHE("  command: []\n"), "the command is empty");
	expect(CACHE("  command: ''\n"), "an empty text");
	expect(CACHE("  mode: fast\n"), "larder.yml:5: \"fast\" is no mode");
	expect(CACHE("  restore: [a/b]\n"), "cannot begin a key");
	expect(CACHE("  environment: {A: [b]}\n"), "a name and a text");
	expect(CACHE("  environment: {A=B: c}\n"), "a name and a text");
	expect(CACHE("  environment: {A: HOME/../x}\n"), "cannot contain ..");
	expect(CACHE("- name: a\n  paths: [c]\n  key: x\n"),
	       "two caches with the name a");
}

/* ---- paths */

static void expect_path(const char *path, const char *message)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "caches:\n- name: a\n  paths:\n  - '%s'\n  key: x\n", path);
	expect(text, message);
}

static void test_paths_refused(void **state)
{
	(void)state;
	expect_path("../x", "larder.yml:4: ../x: a path cannot contain ..");
	expect_path("a/../b", "cannot contain ..");
	expect_path("a/..", "cannot contain ..");
	expect_path("HOME/..", "cannot contain ..");
	expect_path("HOME/a/../../b", "cannot contain ..");
	expect_path("REPO/..", "cannot contain ..");
	expect_path("/etc", "relative to the repository");
	expect_path("~/x", "relative to the repository");
	expect_path("", "is no path of a cache");
	expect_path(".", "is no path of a cache");
	expect_path("./", "is no path of a cache");
	expect_path("HOME", "is no path of a cache");
	expect_path("HOME/", "is no path of a cache");
	expect_path("HOME/.", "is no path of a cache");
	expect_path("REPO/", "is no path of a cache");
	expect_path(".git", "git's");
	expect_path("sub/.git/x", "git's");
}

static void test_paths_taken(void **state)
{
	_cleanup_project_ struct project *p =
		parse("caches:\n- name: a\n  key: x\n  paths:\n"
		      "  - ..a/b..\n  - HOMEr\n  - HOME//x/./y/\n"
		      "  - REPO/HOME/z\n  - a b\n");

	(void)state;
	EXPECT(p->caches[0].paths, "/repo/..a/b..", "/repo/HOMEr",
	       "/home/me/x/y", "/repo/HOME/z", "/repo/a b");
}

static void test_overlap(void **state)
{
	(void)state;
	expect("caches:\n- name: a\n  key: x\n  paths: [b, b]\n",
	       "are in one another");
	expect("caches:\n- name: a\n  key: x\n  paths: [b, b/c]\n",
	       "are in one another");
	expect("caches:\n- {name: a, key: x, paths: [b/c]}\n"
	       "- {name: d, key: x, paths: [b]}\n",
	       "larder.yml:3: /repo/b/c and /repo/b (a, d)");
	project_free(parse("caches:\n- {name: a, key: x, paths: [b]}\n"
			   "- {name: d, key: x, paths: [bc, HOME/b]}\n"));
}

static void test_no_home(void **state)
{
	static const char text[] = "caches: [{name: a, key: x, paths: "
				   "[HOME/b]}]";
	struct project *p = NULL;
	struct failure f;

	(void)state;
	assert_int_equal(project_parse("larder.yml", text, strlen(text),
				       "/repo", NULL, &p, &f),
			 -EINVAL);
	assert_non_null(strstr(f.message, "set HOME"));
}

/* ---- where paths lead */

static void expect_confined(const struct project *p, const char *path, int code)
{
	char *absolute = io_path("%s/%s", p->repo, path);
	struct failure f;

	assert_int_equal(project_confine(p, absolute, &f), code);
	free(absolute);
}

static void test_confine(void **state)
{
	char dir[] = "/tmp/test_project.XXXXXX", real[4096];
	char file[] = "larder.yml";
	struct project p = { .file = file };

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(realpath(dir, real));
	assert_int_equal(chdir(real), 0);
	p.repo = io_path("%s/repo", real);
	assert_int_equal(mkdir("repo", 0700), 0);
	assert_int_equal(mkdir("home", 0700), 0);
	assert_int_equal(mkdir("repo2", 0700), 0);
	assert_int_equal(symlink("/etc", "repo/out"), 0);
	assert_int_equal(symlink("../repo2", "repo/near"), 0);
	assert_int_equal(symlink("../home", "repo/home"), 0);
	assert_int_equal(chdir("repo"), 0);
	assert_int_equal(setenv("HOME", "../home", 1), 0);
	expect_confined(&p, "a/b/c", 0);
	expect_confined(&p, "out", -EACCES);
	expect_confined(&p, "out/a/b", -EACCES);
	expect_confined(&p, "near/a", -EACCES); /* a name that begins alike */
	expect_confined(&p, "home/a", 0);
	assert_int_equal(unsetenv("HOME"), 0);
	expect_confined(&p, "home/a", -EACCES);
	free(p.repo);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, real), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_solano_first),
		cmocka_unit_test(test_solano_second),
		cmocka_unit_test(test_solano_defaults),
		cmocka_unit_test(test_solano_refused),
		cmocka_unit_test(test_larder),
		cmocka_unit_test(test_larder_refused),
		cmocka_unit_test(test_paths_refused),
		cmocka_unit_test(test_paths_taken),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_no_home),
		cmocka_unit_test(test_confine),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
