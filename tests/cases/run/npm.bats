#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# npm with real packages in a mounted node_modules. Needs a registry that npm
# is set up for; the packages are downloaded once a file.

load ../helpers

npm_environment() {
	# The user's own configuration says which registry and how.
	export npm_config_userconfig=${npm_config_userconfig:-$HOME/.npmrc}
	export npm_config_cache=$BATS_FILE_TMPDIR/npm-cache
	export npm_config_update_notifier=false npm_config_fund=false
	export npm_config_audit=false npm_config_progress=false
}

# project DIR VERSION-OF-MS
project() {
	mkdir -p "$1/src"
	cat >"$1/package.json" <<-END
		{
			"name": "larder-test", "version": "1.0.0", "private": true,
			"dependencies": { "ms": "$2" },
			"devDependencies": {
				"typescript": "5.4.5",
				"webpack": "5.91.0", "webpack-cli": "5.1.4"
			}
		}
	END
	cat >"$1/tsconfig.json" <<-'END'
		{
			"compilerOptions": {
				"strict": true, "target": "es2019",
				"module": "commonjs", "outDir": "built",
				"types": []
			},
			"include": ["src"]
		}
	END
	cat >"$1/src/index.ts" <<-'END'
		const parse: (text: string) => number = require("ms");
		declare function require(name: string): any;
		console.log(`an hour is ${parse("1h")}`);
	END
	(cd "$1" && timeout 100 npm install --package-lock-only --silent) >&2
}

setup_file() {
	npm_environment
	command -v npm >/dev/null || return 0
	{
		project "$BATS_FILE_TMPDIR/old" 2.1.2 &&
			project "$BATS_FILE_TMPDIR/new" 2.1.3
	} 2>"$BATS_FILE_TMPDIR/npm.err" || touch "$BATS_FILE_TMPDIR/offline"
}

setup() {
	npm_environment
	need npm node jq
	[ ! -e "$BATS_FILE_TMPDIR/offline" ] ||
		skip "no registry: $(head -n 1 "$BATS_FILE_TMPDIR/npm.err")"
	larder_setup
	require_fuse
	cp -a "$BATS_FILE_TMPDIR/old" first
	cp -a "$BATS_FILE_TMPDIR/old" second
	# Records each call of npm.
	mkdir bin
	printf '#!/bin/sh\necho "$@" >>"%s"\nexec "%s" "$@"\n' \
		"$PWD/npm-calls" "$(command -v npm)" >bin/npm
	chmod +x bin/npm
	PATH=$PWD/bin:$PATH
	: >npm-calls
}

install() {
	larder run --path node_modules --name node_modules \
		--key-file package-lock.json "$@" -- npm ci
}

npm_calls() {
	wc -l <"$BATS_TEST_TMPDIR/npm-calls"
}

builds() {
	npx --no-install tsc
	[ "$(node built/index.js)" = 'an hour is 3600000' ]
	npx --no-install webpack --mode development --devtool false \
		--entry ./built/index.js >webpack.out
	[ "$(node dist/main.js)" = 'an hour is 3600000' ]
}

@test "the second clone's npm ci is skipped, and its node_modules is complete" {
	cd first
	install
	[ "$(npm_calls)" -eq 1 ]
	[ "$(find node_modules -type f | wc -l)" -gt 1500 ]
	builds

	cd ../second
	install
	[ "$(npm_calls)" -eq 1 ]
	same_tree ../first/node_modules node_modules
	diff <(tree_links ../first/node_modules) <(tree_links node_modules)
	builds
	npm ls --all >/dev/null
}

@test "a changed dependency is installed on top of the nearest entry" {
	cd first
	install
	old=$(larder key --key-file package-lock.json)
	files=$(larder show --json "node_modules@$old" | jq .entry.files)

	cd ../second
	cp "$BATS_FILE_TMPDIR"/new/package*.json .
	run_json run --path node_modules --name node_modules \
		--key-file package-lock.json -- npm ci
	[ "$(npm_calls)" -eq 2 ]
	[ "$(json .outcome)" = partial ]
	[ "$(json .entry.key)" = "$old" ]
	# ms has four files; npm's own record of the tree differs as well.
	[ "$(json .commit.result.new_files)" -le 10 ]
	[ "$(json .commit.result.new_bytes)" -lt 500000 ]
	[ "$(json .commit.result.files)" -ge $((files - 10)) ]
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.3 ]
	builds

	# Both entries are whole.
	new=$(json .key)
	[ "$(larder cat "node_modules@$old" ms/package.json |
		jq -r .version)" = 2.1.2 ]
	mkdir ../old ../new
	larder mount -o ro "node_modules@$old" ../old
	same_tree ../first/node_modules ../old
	larder mount -o ro "node_modules@$new" ../new
	same_tree node_modules ../new
}

@test "npm ci, npm install and rm -rf work in a mounted node_modules" {
	cd first
	install
	npm install --silent
	[ -z "$(git -C "$PWD" status --porcelain package-lock.json \
		2>/dev/null)" ]
	npm ci --silent
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.2 ]
	npm install --silent ms@2.1.3
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.3 ]
	npm uninstall --silent ms
	[ ! -e node_modules/ms ]
	rm -rf node_modules/*
	cp "$BATS_FILE_TMPDIR"/old/package*.json .
	npm ci --silent
	builds
	larder reset node_modules
	builds
}
