/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.larder: what mount(8) calls for `mount -t larder ENTRY DIR` and for
 * lines of fstab. Drops the options that mount(8) keeps for itself or that
 * every mount of Larder has, and becomes `larder mount`. namespace=NAME and
 * tenant=NAME are options here, since fstab has no place for others.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 1 /* mount(8)'s exit codes, not larder's */
#define EXIT_SYSTEM 2
#define ARGS_MAX 16

struct call {
	const char *argv[ARGS_MAX];
	unsigned argc;
	char options[4096]; /* for -o */
	char *scope[2];	    /* --namespace=, --tenant= */
};

static void add(struct call *c, const char *word)
{
	if (c->argc < ARGS_MAX - 1)
		c->argv[c->argc++] = word;
}

static bool is_for_others(const char *word)
{
	static const char *const words[] = {
		"defaults", "auto",	"noauto",     "user",	    "nouser",
		"users",    "group",	"owner",      "nofail",	    "_netdev",
		"exec",	    "async",	"relatime",   "norelatime", "atime",
		"noatime",  "diratime", "nodiratime", NULL
	};

	if (strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0 ||
	    strncmp(word, "comment=", 8) == 0)
		return true;
	for (size_t i = 0; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

static int keep(struct call *c, const char *word)
{
	size_t used = strlen(c->options);
	int n = snprintf(c->options + used, sizeof(c->options) - used, "%s%s",
			 used ? "," : "", word);

	if (n >= 0 && (size_t)n < sizeof(c->options) - used)
		return 0;
	fprintf(stderr, "mount.larder: the options are too long\n");
	return EXIT_USAGE;
}

static int take_option(struct call *c, char *word)
{
	char **scope = NULL;

	if (strncmp(word, "namespace=", 10) == 0)
		scope = &c->scope[0];
	else if (strncmp(word, "tenant=", 7) == 0)
		scope = &c->scope[1];
	else if (!*word || is_for_others(word))
		return 0;
	else
		return keep(c, word);
	free(*scope);
	if (asprintf(scope, "--%s", word) < 0) {
		*scope = NULL;
		fprintf(stderr, "mount.larder: out of memory\n");
		return EXIT_SYSTEM;
	}
	return 0;
}

static int take_options(struct call *c, char *text)
{
	char *word;
	int r = 0;

	while (r == 0 && (word = strsep(&text, ",")))
		r = take_option(c, word);
	return r;
}

/* Beside this program where it was built or linked from, else in PATH. */
static void become_larder(struct call *c)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash && slash + sizeof("/larder") <= path + sizeof(path)) {
			strcpy(slash, "/larder");
			execv(path, (char *const *)c->argv);
		}
	}
	execvp("larder", (char *const *)c->argv);
	fprintf(stderr, "mount.larder: cannot run larder: %s\n",
		strerror(errno));
}

static int usage(void)
{
	fprintf(stderr, "usage: mount.larder ENTRY DIR [-sfnv] [-o OPTIONS]\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct call c = { .argc = 0 };
	bool fake = false;
	int opt, r = 0;

	add(&c, "larder");
	add(&c, "mount");
	while (r == 0 && (opt = getopt(argc, argv, "sfnvN:o:t:")) != -1)
		switch (opt) {
		case 'f':
			fake = true;
			break;
		case 'v':
			add(&c, "-v");
			break;
		case 'o':
			r = take_options(&c, optarg);
			break;
		case '?':
			r = usage();
			break;
		default: /* sloppiness, mtab, namespaces, the type */
			break;
		}
	if (r == 0 && argc - optind != 2)
		r = usage();
	if (r || fake)
		return r;
	for (size_t i = 0; i < 2; i++)
		if (c.scope[i])
			add(&c, c.scope[i]);
	if (c.options[0]) {
		add(&c, "-o");
		add(&c, c.options);
	}
	add(&c, "--");
	add(&c, argv[optind]);
	add(&c, argv[optind + 1]);
	become_larder(&c);
	return EXIT_SYSTEM;
}
