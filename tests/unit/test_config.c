/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: which source wins, what a file can say, what is refused. */
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
#include "tools/config.h"

#define KEY "ci:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

struct dirs {
	char top[32];
	char system[64], user[64];
};

static int set_up(void **state)
{
	static struct dirs dirs;

	strcpy(dirs.top, "/tmp/test_config.XXXXXX");
	assert_non_null(mkdtemp(dirs.top));
	snprintf(dirs.system, sizeof(dirs.system), "%s/system.yml", dirs.top);
	snprintf(dirs.user, sizeof(dirs.user), "%s/larder", dirs.top);
	assert_int_equal(mkdir(dirs.user, 0700), 0);
	strcat(dirs.user, "/config.yml");
	setenv("LARDER_SYSTEM_CONFIG", dirs.system, 1);
	setenv("XDG_CONFIG_HOME", dirs.top, 1);
	unsetenv("LARDER_TENANT");
	unsetenv("LARDER_NAMESPACE");
	unsetenv("LARDER_MODE");
	*state = &dirs;
	return 0;
}

static int tear_down(void **state)
{
	const struct dirs *dirs = *state;

	return io_remove_tree(AT_FDCWD, dirs->top);
}

static void write_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void open_config(struct config *c)
{
	struct failure f;
	int r = config_open(c, &f);

	if (r < 0)
		print_message("# %s\n", f.message);
	assert_int_equal(r, 0);
}

static void test_defaults(void **state)
{
	_cleanup_config_ struct config c = CONFIG_INIT;

	(void)state;
	open_config(&c);
	assert_string_equal(config_text(&c, CONFIG_TENANT), "local");
	assert_string_equal(config_text(&c, CONFIG_NAMESPACE), "default");
	assert_string_equal(config_text(&c, CONFIG_MODE), "default");
	assert_int_equal(config_number(&c, CONFIG_KEY_TIMEOUT), 60);
	assert_int_equal(json_array_size(c.values[CONFIG_TRUSTED_KEYS].value),
			 0);
	assert_int_equal(json_array_size(c.values[CONFIG_TIERS].value), 1);
	for (unsigned id = 0; id < CONFIG_COUNT; id++) {
		assert_string_equal(c.values[id].origin, "default");
		assert_int_equal(c.values[id].level, CONFIG_DEFAULT);
	}
}

static void test_order(void **state)
{
	const struct dirs *dirs = *state;
	_cleanup_config_ struct config c = CONFIG_INIT;
	char origin[100];

	write_file(dirs->system, 0644,
		   "tenant: a\nnamespace: b\nmode: read-only\n"
		   "trusted-keys: [" KEY "]\n");
	write_file(dirs->user, 0600,
		   "# mine\nnamespace: c\nmode: force\ntrusted-keys: []\n");
	setenv("LARDER_MODE", "Off", 1);
	setenv("LARDER_TENANT", "", 1); /* as good as unset */
	open_config(&c);
	assert_string_equal(config_text(&c, CONFIG_TENANT), "a");
	snprintf(origin, sizeof(origin), "%s:1", dirs->system);
	assert_string_equal(c.values[CONFIG_TENANT].origin, origin);
	assert_string_equal(config_text(&c, CONFIG_NAMESPACE), "c");
	snprintf(origin, sizeof(origin), "%s:2", dirs->user);
	assert_string_equal(c.values[CONFIG_NAMESPACE].origin, origin);
	assert_int_equal(c.values[CONFIG_NAMESPACE].level, CONFIG_USER);
	assert_string_equal(config_text(&c, CONFIG_MODE), "off");
	assert_string_equal(c.values[CONFIG_MODE].origin,
			    "environment: LARDER_MODE");
	/* An empty list takes the place of a list. */
	assert_int_equal(json_array_size(c.values[CONFIG_TRUSTED_KEYS].value),
			 0);
	assert_int_equal(c.values[CONFIG_TRUSTED_KEYS].level, CONFIG_USER);
}

static void test_values(void **state)
{
	const struct dirs *dirs = *state;
	_cleanup_config_ struct config c = CONFIG_INIT;
	const json_t *tiers, *tier, *keys;

	write_file(dirs->user, 0600,
		   "limits: {key-timeout: 5}\n"
		   "trusted-keys:\n"
		   "- '" KEY "'\n"
		   "- {key: '" KEY "', namespaces: [a, b], tenants: c}\n"
		   "sign-key: /etc/larder/ci.key\n"
		   "tiers:\n"
		   "- name: local\n"
		   "- {name: share, url: 'file:///srv/larder'}\n"
		   "- {name: s3, url: 's3://bucket/prefix', access: rw}\n"
		   "- {name: web, url: 'https://cache.example:8080/x@y', "
		   "access: w}\n");
	open_config(&c);
	assert_int_equal(config_number(&c, CONFIG_KEY_TIMEOUT), 5);
	keys = c.values[CONFIG_TRUSTED_KEYS].value;
	assert_int_equal(json_array_size(keys), 2);
	assert_string_equal(json_string_value(json_array_get(keys, 0)), KEY);
	keys = json_array_get(keys, 1);
	assert_string_equal(field_text(keys, "key"), KEY);
	assert_int_equal(json_array_size(json_object_get(keys, "namespaces")),
			 2);
	assert_int_equal(json_array_size(json_object_get(keys, "tenants")), 1);
	assert_string_equal(config_text(&c, CONFIG_SIGN_KEY),
			    "/etc/larder/ci.key");
	tiers = c.values[CONFIG_TIERS].value;
	assert_int_equal(json_array_size(tiers), 4);
	tier = json_array_get(tiers, 0);
	assert_string_equal(field_text(tier, "access"), "rw");
	assert_null(json_object_get(tier, "url"));
	tier = json_array_get(tiers, 1);
	assert_string_equal(field_text(tier, "access"), "r");
	assert_string_equal(field_text(tier, "url"), "file:///srv/larder");
	assert_string_equal(field_text(json_array_get(tiers, 2), "access"),
			    "rw");
	assert_string_equal(field_text(json_array_get(tiers, 3), "access"),
			    "w");
}

static void expect(const char *text, const char *message)
{
	_cleanup_config_ struct config c = CONFIG_INIT;
	struct failure f;

	if (config_parse(&c, CONFIG_USER, "c.yml", text, strlen(text), &f) == 0)
		fail_msg("taken: %s", text);
	assert_int_equal(f.exit, EXIT_USAGE);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" is not in \"%s\"", message, f.message);
}

#define SECRET \
	"larder-secret-key:ci:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

/* What is secret is in no message. */
static void expect_hidden(const char *text, const char *message)
{
	_cleanup_config_ struct config c = CONFIG_INIT;
	struct failure f;

	expect(text, message);
	assert_true(config_parse(&c, CONFIG_USER, "c.yml", text, strlen(text),
				 &f) < 0);
	assert_null(strstr(f.message, "nWGxne"));
}

#define TIER(rest) "tiers: [{name: a, " rest "}]"

static void test_refused(void **state)
{
	(void)state;
	expect("tennant: a\n", "c.yml:1: a configuration file: unknown key "
			       "tennant; did you mean tenant?");
	expect("limits:\n  key-timout: 3\n",
	       "c.yml:2: limits: unknown key key-timout; did you mean "
	       "key-timeout?");
	expect("tenant: a b\n", "c.yml:1: tenant: \"a b\"");
	expect("tenant: [a]\n", "tenant must be a text");
	expect("mode: fast\n", "\"fast\" is no mode");
	expect("limits: {key-timeout: 0}\n", "no number of seconds");
	expect("limits: {key-timeout: 86401}\n", "no number of seconds");
	expect("limits: {key-timeout: 1m}\n", "no number of seconds");
	expect("limits: {key-timeout: 99999999999999999999}\n",
	       "no number of seconds");
	expect("trusted-keys: [ci]\n", "NAME:KEY");
	expect("trusted-keys: ['ci:AAAA']\n", "NAME:KEY");
	expect("trusted-keys: ['" KEY "A']\n", "NAME:KEY");
	expect("trusted-keys: [':" KEY "']\n", "NAME:KEY");
	expect("trusted-keys: {key: '" KEY "'}\n", "a list of texts and maps");
	expect("trusted-keys: [{namespaces: [a]}]\n", "this one has no key");
	expect("trusted-keys: [{key: '" KEY "', namespace: a}]\n",
	       "did you mean namespaces?");
	expect("trusted-keys: [{key: '" KEY "', namespaces: [a b]}]\n",
	       "\"a b\" names no namespaces");
	expect("trusted-keys: [{key: '" KEY "', tenants: []}]\n",
	       "a key for no tenants is for nothing");
	expect("trusted-keys: ['" KEY "', {key: ci}]\n", "NAME:KEY");
	expect("sign-key: ci.key\n", "must be an absolute path");
	expect_hidden("sign-key: '" SECRET "'\n", "this is a secret key");
	expect_hidden("trusted-keys: ['" SECRET "']\n", "this is a secret key");
	expect_hidden("trusted-keys: [{key: '" SECRET "'}]\n",
		      "this is a secret key");
	expect("tiers: [{url: 'file:///x'}]\n", "this tier has no name");
	expect("tiers: [{name: a}]\n", "the tier a has no url");
	expect("tiers: [{name: local, url: 'file:///x'}]\n", "has no url");
	expect("tiers: [{name: local}, {name: local}]\n",
	       "two tiers with the name local");
	expect(TIER("url: 'ftp://x/y'"), "url: ftp://x/y must be");
	expect(TIER("url: 'file://x'"), "must be");
	expect(TIER("url: 'http:///x'"), "must be");
	expect(TIER("url: 's3://'"), "must be");
	expect(TIER("url: 'https://me:secret@host/x'"),
	       "must not have a user or a password");
	expect(TIER("url: 'https://host/x y'"), "has a space");
	expect(TIER("url: 'file:///x', access: rx"), "must be r, w or rw");
	expect(TIER("url: 'file:///x', token: y"), "unknown key token");
}

static void test_file_refused(void **state)
{
	const struct dirs *dirs = *state;
	_cleanup_config_ struct config c = CONFIG_INIT;
	struct failure f;

	write_file(dirs->user, 0620, "tenant: a\n");
	assert_int_equal(config_open(&c, &f), -EACCES);
	assert_non_null(strstr(f.message, "chmod go-w"));
	write_file(dirs->user, 0602, "tenant: a\n");
	assert_int_equal(config_open(&c, &f), -EACCES);
	assert_int_equal(unlink(dirs->user), 0);
	assert_int_equal(mkdir(dirs->user, 0700), 0);
	assert_int_equal(config_open(&c, &f), -EINVAL);
	assert_int_equal(rmdir(dirs->user), 0);
	assert_int_equal(mkfifo(dirs->user, 0600), 0); /* must not wait */
	assert_int_equal(config_open(&c, &f), -EINVAL);
}

static void test_environment_refused(void **state)
{
	_cleanup_config_ struct config c = CONFIG_INIT;
	struct failure f;

	(void)state;
	setenv("LARDER_TENANT", "a/b", 1);
	assert_int_equal(config_open(&c, &f), -EINVAL);
	assert_non_null(strstr(f.message, "environment: LARDER_TENANT: "));
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),	 TEST(test_order),
		TEST(test_values),	 TEST(test_refused),
		TEST(test_file_refused), TEST(test_environment_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
