/* SPDX-License-Identifier: Apache-2.0 */
/*
 * larder: finds the subcommand, parses its options, runs it. Errors of the
 * libraries below are told by whoever called them, so their log is silent
 * but for what the commands cannot know.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "help.h"
#include "keys.h"
#include "man_page.h"
#include "mode.h"
#include "out.h"
#include "spawn.h"
#include "tiers.h"
#include "store/base/log.h"

const struct command *const larder_commands[] = {
	&cmd_run,	 &cmd_init,   &cmd_config,   &cmd_key,
	&cmd_why,	 &cmd_mount,  &cmd_prefetch, &cmd_pull,
	&cmd_push,	 &cmd_umount, &cmd_diff,     &cmd_reset,
	&cmd_commit,	 &cmd_import, &cmd_list,     &cmd_show,
	&cmd_ls,	 &cmd_cat,    &cmd_export,   &cmd_materialize,
	&cmd_status,	 &cmd_stats,  &cmd_top,	     &cmd_trace,
	&cmd_gc,	 &cmd_rm,     &cmd_pin,	     &cmd_unpin,
	&cmd_verify,	 &cmd_keygen, &cmd_daemon,   &cmd_doctor,
	&cmd_completion, NULL,
};

static const char *command_name(const void *arg, size_t index)
{
	(void)arg;
	return larder_commands[index] ? larder_commands[index]->name : NULL;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; larder_commands[i]; i++)
		if (strcmp(larder_commands[i]->name, name) == 0)
			return larder_commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *nearest = options_nearest(name, command_name, NULL);

	if (nearest)
		return out_error(EXIT_USAGE,
				 "there is no command %s; did you mean %s?",
				 name, nearest);
	return out_error(EXIT_USAGE,
			 "there is no command %s; larder --help lists them",
			 name);
}

static const char *setting(const struct config *c, enum config_id id)
{
	return c->values[id].level == CONFIG_DEFAULT ? NULL :
						       config_text(c, id);
}

/* What the command line does not say. `larder config` tells the sources of
 * settings apart itself. */
static void apply_config(const struct command *cmd, const struct config *config,
			 struct args *args)
{
	if (cmd == &cmd_config)
		return;
	if (!args->tenant)
		args->tenant = setting(config, CONFIG_TENANT);
	if (!args->namespace)
		args->namespace = setting(config, CONFIG_NAMESPACE);
	if (!args->key.timeout_s)
		args->key.timeout_s =
			(unsigned)config_number(config, CONFIG_KEY_TIMEOUT);
	args->mode_setting = setting(config, CONFIG_MODE);
}

/* What the daemon has to know, should this command start one. */
static void pass_on(const struct config *config, const struct args *args)
{
	static const enum config_id ids[] = {
		CONFIG_MAX_SIZE, CONFIG_MAX_OBJECTS, CONFIG_MIN_FREE,
		CONFIG_GRACE,	 CONFIG_REPACK,	     CONFIG_LOG_LEVEL,
		CONFIG_SANDBOX,
	};

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		spawn_set(config_variable(ids[i]), config_text(config, ids[i]));
	if (args->log_level)
		spawn_set(LOG_LEVEL_VARIABLE, args->log_level);
}

/* What the libraries log here; the daemon has another default. */
static void set_level(const struct args *args)
{
	enum log_level level = args->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;

	if (args->log_level)
		(void)log_level_parse(args->log_level, &level);
	log_set_level(level);
}

static int run_command(const struct command *cmd, int argc, char **argv)
{
	_cleanup_config_ struct config config = CONFIG_INIT;
	_cleanup_args_ struct args args = { 0 };
	struct failure f;
	int r = options_parse(cmd, argc, argv, &args);

	if (r)
		return r;
	if (args.help) {
		help_command(stdout, cmd);
		return 0;
	}
	if (config_open(&config, &f) < 0)
		return out_failure(&f);
	apply_config(cmd, &config, &args);
	if (tiers_choose(&config, args.tiers, args.to, args.from, &f) < 0)
		return out_failure(&f);
	if (!tiers_local_writable())
		mode_forbid_commits("--tiers, or tiers of the configuration");
	keys_choose(&config);
	pass_on(&config, &args);
	set_level(&args);
	r = cmd->run(&args);
	tiers_release();
	keys_release();
	return r;
}

static int print_help(const char *name, const char *form)
{
	const struct command *cmd = name ? find_command(name) : NULL;

	if (name && !cmd)
		return unknown_command(name);
	if (cmd && form && strcmp(form, "--man") == 0)
		man_page_print(stdout, cmd);
	else if (cmd)
		help_command(stdout, cmd);
	else
		help_overview(stdout, larder_commands);
	return 0;
}

static int dispatch(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct command *cmd;

	if (!word) {
		help_overview(stderr, larder_commands);
		return EXIT_USAGE;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		puts("larder " PACKAGE_VERSION);
		return 0;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return print_help(NULL, NULL);
	if (strcmp(word, "help") == 0)
		return print_help(argv[2], argc > 3 ? argv[3] : NULL);
	if (word[0] == '-')
		return out_error(EXIT_USAGE,
				 "%s: options stand behind the command, as in "
				 "larder run %s ...",
				 word, word);
	cmd = find_command(word);
	return cmd ? run_command(cmd, argc - 2, argv + 2) :
		     unknown_command(word);
}

int main(int argc, char **argv)
{
	return out_finish(dispatch(argc, argv));
}
