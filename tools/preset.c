/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of presets.
 *
 * Keys. A lock file names everything that npm, yarn, pnpm and bun install, so
 * their keys are made of it, of the files that configure them and of what
 * else decides what is installed: node's version, for packages that compile,
 * and the kind of libc. What cargo, go and a compiler make depends on every
 * source, which git knows best. A virtual environment holds its own path.
 *
 * Stores. The environment that points at a store is what each tool documents.
 * Cargo has no variable for its registry alone: CARGO_HOME moves its
 * configuration too, but cargo also reads .cargo/config.toml in all
 * directories above the project.
 *
 * The form that comes first is the faster one, see contrib/presets.
 */
#include "preset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "options.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"

#define LIST_MAX 8

#define LIBC_SCRIPT \
	"getconf GNU_LIBC_VERSION >/dev/null 2>&1 && echo glibc || echo other"

struct form {
	const char *path;		       /* NULL: there is no such form */
	const char *environment[2 * LIST_MAX]; /* names and values */
	const char *command;
};

struct preset {
	const char *name;
	const char *marks[LIST_MAX]; /* any of them says it is used */
	const char *files[LIST_MAX];
	const char *sources[LIST_MAX]; /* where git is not there to know them;
					* without any, files are enough */
	const char *commands[LIST_MAX], *envs[LIST_MAX];
	const char *scripts[LIST_MAX];
	struct form forms[2]; /* by enum preset_form */
	enum preset_form first;
};

static const struct preset presets[] = {
	{
		.name = "npm",
		.marks = { "package-lock.json", "npm-shrinkwrap.json" },
		.files = { "package-lock.json?", "npm-shrinkwrap.json?",
			   "package.json", ".npmrc?" },
		.commands = { "node --version" },
		.scripts = { LIBC_SCRIPT },
		.envs = { "NODE_ENV" },
		.forms = {
			/* npm ci would first remove what is there. */
			{ "node_modules", { NULL },
			  "case $LARDER_OUTCOME in partial) npm install;; "
			  "*) npm ci;; esac" },
			{ PRESET_STORES "/npm",
			  { "npm_config_cache", "REPO/" PRESET_STORES "/npm" },
			  "npm ci --prefer-offline" },
		},
	},
	{
		.name = "yarn",
		.marks = { "yarn.lock" },
		.files = { "yarn.lock", "package.json", ".yarnrc?",
			   ".yarnrc.yml?", ".npmrc?" },
		.commands = { "node --version" },
		.scripts = { LIBC_SCRIPT },
		.envs = { "NODE_ENV" },
		.forms = {
			{ "node_modules", { NULL },
			  "yarn install --frozen-lockfile" },
			{ PRESET_STORES "/yarn",
			  { "YARN_CACHE_FOLDER", "REPO/" PRESET_STORES "/yarn",
			    "YARN_ENABLE_GLOBAL_CACHE", "false" },
			  "yarn install --frozen-lockfile" },
		},
	},
	{
		.name = "pnpm",
		.marks = { "pnpm-lock.yaml" },
		.files = { "pnpm-lock.yaml", "package.json",
			   "pnpm-workspace.yaml?", ".npmrc?" },
		.commands = { "node --version" },
		.scripts = { LIBC_SCRIPT },
		.envs = { "NODE_ENV" },
		.forms = {
			{ "node_modules", { "CI", "true" },
			  "pnpm install --frozen-lockfile" },
			{ PRESET_STORES "/pnpm",
			  { "npm_config_store_dir",
			    "REPO/" PRESET_STORES "/pnpm",
			    "pnpm_config_store_dir",
			    "REPO/" PRESET_STORES "/pnpm" },
			  "pnpm install --frozen-lockfile" },
		},
	},
	{
		.name = "bun",
		.marks = { "bun.lock", "bun.lockb" },
		.files = { "bun.lock?", "bun.lockb?", "package.json",
			   "bunfig.toml?", ".npmrc?" },
		.commands = { "bun --version" },
		.scripts = { LIBC_SCRIPT },
		.envs = { "NODE_ENV" },
		.forms = {
			{ "node_modules", { NULL },
			  "bun install --frozen-lockfile" },
			{ PRESET_STORES "/bun",
			  { "BUN_INSTALL_CACHE_DIR",
			    "REPO/" PRESET_STORES "/bun" },
			  "bun install --frozen-lockfile" },
		},
	},
	{
		.name = "cargo",
		.marks = { "Cargo.toml" },
		.files = { "Cargo.toml", "Cargo.lock?" },
		.sources = { "**/*.rs", "**/Cargo.toml?" },
		.commands = { "rustc -vV" },
		.envs = { "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS",
			  "CARGO_BUILD_TARGET" },
		.forms = {
			{ "target", { "CARGO_TARGET_DIR", "REPO/target" },
			  "cargo build" },
			{ PRESET_STORES "/cargo",
			  { "CARGO_HOME", "REPO/" PRESET_STORES "/cargo" },
			  "cargo build" },
		},
	},
	{
		.name = "go",
		.marks = { "go.mod" },
		.files = { "go.mod", "go.sum?" },
		.sources = { "**/*.go" },
		.commands = { "go version" },
		.envs = { "GOFLAGS", "GOOS", "GOARCH", "CGO_ENABLED" },
		.forms = {
			{ "bin", { NULL }, "go build -o bin/ ./..." },
			{ PRESET_STORES "/go",
			  { "GOMODCACHE", "REPO/" PRESET_STORES "/go/mod",
			    "GOCACHE", "REPO/" PRESET_STORES "/go/build" },
			  "go build ./..." },
		},
		.first = PRESET_STORE,
	},
	{
		.name = "pip",
		.marks = { "requirements.txt" },
		.files = { "requirements.txt", "requirements-*.txt?",
			   "constraints.txt?" },
		.commands = { "python3 --version" },
		.scripts = { LIBC_SCRIPT, "pwd" },
		.forms = {
			{ ".venv", { NULL },
			  "python3 -m venv --clear .venv && "
			  ".venv/bin/pip install -r requirements.txt" },
			{ PRESET_STORES "/pip",
			  { "PIP_CACHE_DIR", "REPO/" PRESET_STORES "/pip" },
			  "python3 -m pip install -r requirements.txt" },
		},
	},
	{
		.name = "ccache",
		.marks = { "CMakeLists.txt", "configure.ac", "meson.build" },
		.sources = { "**/*.[ch]?", "**/*.cc?", "**/*.cpp?",
			     "**/*.hpp?" },
		.commands = { "${CC:-cc} --version" },
		.envs = { "CFLAGS", "CXXFLAGS" },
		.forms = {
			{ NULL, { NULL }, NULL },
			{ PRESET_STORES "/ccache",
			  { "CCACHE_DIR", "REPO/" PRESET_STORES "/ccache",
			    "CCACHE_BASEDIR", "REPO/", "CCACHE_NOHASHDIR", "1",
			    "CMAKE_C_COMPILER_LAUNCHER", "ccache",
			    "CMAKE_CXX_COMPILER_LAUNCHER", "ccache" },
			  NULL },
		},
		.first = PRESET_STORE,
	},
};

#define PRESETS (sizeof(presets) / sizeof(presets[0]))
_Static_assert(PRESETS <= PRESET_MAX, "preset_detect() may return as many");

static const char *const form_names[] = { "output", "store" };

/* ---- names */

const char *preset_name(const struct preset *preset)
{
	return preset->name;
}

static const struct form *form_of(const struct preset_choice *c)
{
	return &c->preset->forms[c->form];
}

const char *preset_path(const struct preset_choice *choice)
{
	return form_of(choice)->path;
}

const char *preset_command(const struct preset_choice *choice)
{
	return form_of(choice)->command;
}

static const char *name_at(const void *arg, size_t index)
{
	(void)arg;
	if (index == PRESETS)
		return PRESET_AUTO;
	return index < PRESETS ? presets[index].name : NULL;
}

static int unknown(const char *text, struct failure *f)
{
	const char *nearest = options_nearest(text, name_at, NULL);

	if (nearest)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "there is no preset %.100s; did you mean "
				   "%s?",
				   text, nearest);
	return failure_set(f, -EINVAL, EXIT_USAGE,
			   "there is no preset %.100s; there are npm, yarn, "
			   "pnpm, bun, cargo, go, pip, ccache and auto",
			   text);
}

static int parse_form(const char *text, struct preset_choice *c,
		      struct failure *f)
{
	for (unsigned i = 0; i < 2; i++) {
		if (strcmp(text, form_names[i]) != 0)
			continue;
		c->form = (enum preset_form)i;
		if (form_of(c)->path)
			return 0;
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "the preset %s has no form %s",
				   c->preset->name, text);
	}
	return failure_set(
		f, -EINVAL, EXIT_USAGE,
		"the preset %s has no form \"%.100s\": use %s:output "
		"or %s:store",
		c->preset->name, text, c->preset->name, c->preset->name);
}

static int parse_auto(const char *dir, struct preset_choice *ret_choice,
		      struct failure *f)
{
	struct preset_choice found[PRESET_MAX];
	unsigned n = preset_detect(dir, found);
	char names[200];
	size_t len = 0;

	if (n == 1) {
		*ret_choice = found[0];
		return 0;
	}
	if (n == 0)
		return failure_set(f, -EINVAL, EXIT_USAGE,
				   "--preset auto: there is no lock file here, "
				   "or other file of a tool that is known");
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len,
					"%s%s", i ? ", " : "",
					found[i].preset->name);
	return failure_set(f, -EINVAL, EXIT_USAGE,
			   "--preset auto: several fit (%s); choose one, or "
			   "let larder init write a cache for each",
			   names);
}

int preset_parse(const char *text, const char *dir,
		 struct preset_choice *ret_choice, struct failure *ret_failure)
{
	size_t len = strcspn(text, ":");

	if (strcmp(text, PRESET_AUTO) == 0)
		return parse_auto(dir, ret_choice, ret_failure);
	for (size_t i = 0; i < PRESETS; i++) {
		const struct preset *p = &presets[i];

		if (strncmp(text, p->name, len) != 0 || p->name[len])
			continue;
		*ret_choice = (struct preset_choice){ p, p->first };
		return text[len] ? parse_form(text + len + 1, ret_choice,
					      ret_failure) :
				   0;
	}
	return unknown(text, ret_failure);
}

/* ---- projects */

static bool is_marked(const struct preset *p, const char *dir)
{
	for (unsigned i = 0; p->marks[i]; i++) {
		_cleanup_free_ char *path = io_path("%s/%s", dir, p->marks[i]);

		if (path && access(path, F_OK) == 0)
			return true;
	}
	return false;
}

unsigned preset_detect(const char *dir, struct preset_choice *ret_choices)
{
	unsigned n = 0;

	for (size_t i = 0; i < PRESETS; i++)
		if (is_marked(&presets[i], dir))
			ret_choices[n++] =
				(struct preset_choice){ &presets[i],
							presets[i].first };
	return n;
}

/* ---- texts */

/* Plain where that cannot be taken for anything else, and else in quotes. */
static void write_text(FILE *f, const char *text)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz"
				   "0123456789_./-? ";

	if (*text && text[strspn(text, safe)] == '\0' &&
	    !strchr("-? ", *text) && strcmp(text, "true") != 0 &&
	    strcmp(text, "false") != 0) {
		fputs(text, f);
		return;
	}
	fputc('\'', f);
	for (; *text; text++)
		fprintf(f, *text == '\'' ? "''" : "%c", *text);
	fputc('\'', f);
}

static void write_items(FILE *f, const char *const *texts)
{
	for (; *texts; texts++) {
		fputs("        - ", f);
		write_text(f, *texts);
		fputc('\n', f);
	}
}

static void write_list(FILE *f, const char *name, const char *const *texts)
{
	if (!*texts)
		return;
	fprintf(f, "      %s:\n", name);
	write_items(f, texts);
}

static void write_key(FILE *f, const struct preset *p, bool in_git)
{
	bool git = in_git && p->sources[0];

	fprintf(f, "    key:\n%s", git ? "      git: true\n" : "");
	/* A lock file may be one that git ignores. */
	write_list(f, "files", p->files);
	if (!git && p->sources[0]) {
		if (!p->files[0])
			fputs("      files:\n", f);
		write_items(f, p->sources);
	}
	write_list(f, "scripts", p->scripts);
	write_list(f, "commands", p->commands);
	write_list(f, "env", p->envs);
}

static void write_environment(FILE *f, const char *const *words)
{
	if (!*words)
		return;
	fputs("    environment:\n", f);
	for (; *words; words += 2) {
		fprintf(f, "      %s: ", words[0]);
		write_text(f, words[1]);
		fputc('\n', f);
	}
}

void preset_write(FILE *f, const struct preset_choice *choice,
		  const char *project, bool in_git)
{
	const struct form *form = form_of(choice);
	bool store = choice->form == PRESET_STORE;

	fprintf(f, "  - name: %s-%s%s\n", project, choice->preset->name,
		store ? "-store" : "");
	fprintf(f, "    paths:\n      - %s\n", form->path);
	write_key(f, choice->preset, in_git);
	if (store)
		fputs("    always: true\n", f);
	write_environment(f, form->environment);
	if (form->command) {
		fputs("    command: ", f);
		write_text(f, form->command);
		fputc('\n', f);
	}
}
