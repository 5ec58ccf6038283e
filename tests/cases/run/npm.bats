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

# lock DIR VERSION-OF-MS [DEPENDENCY]... makes package.json and its lock file.
lock() {
	mkdir -p "$1"
	cat >"$1/package.json" <<-END
		{
			"name": "larder-test", "version": "1.0.0", "private": true,
			"dependencies": { "ms": "$2" },
			"devDependencies": {
				$(printf '%s\n' "${@:3}" | paste -sd,)
			}
		}
	END
	(cd "$1" && timeout 100 npm install --package-lock-only --silent) >&2
}

# project DIR VERSION-OF-MS
project() {
	mkdir -p "$1/src"
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
	lock "$@" '"typescript": "5.4.5"' '"webpack": "5.91.0"' \
		'"webpack-cli": "5.1.4"'
}

setup_file() {
	npm_environment
	command -v npm >/dev/null || return 0
	{
		project "$BATS_FILE_TMPDIR/old" 2.1.2 &&
			project "$BATS_FILE_TMPDIR/new" 2.1.3 &&
			lock "$BATS_FILE_TMPDIR/small" 2.1.2 '"lodash": "4.17.21"'
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
		--key-file package-lock.json -- npm ci
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

@test "npm ci is skipped on a hit, and builds on top of the nearest entry" {
	cd first
	install
	[ "$(npm_calls)" -eq 1 ]
	[ "$(find node_modules -type f | wc -l)" -gt 1500 ]
	old=$(larder key --key-file package-lock.json)
	files=$(larder show --json "node_modules@$old" | jq .entry.files)

	# The second clone: complete, and npm was not run.
	cd ../second
	install
	[ "$(npm_calls)" -eq 1 ]
	same_tree ../first/node_modules node_modules
	diff <(tree_links ../first/node_modules) <(tree_links node_modules)
	builds
	npm ls --all >/dev/null
	larder umount node_modules

	# Another version of one dependency.
	cp "$BATS_FILE_TMPDIR"/new/package*.json .
	run_json run --path node_modules --name node_modules \
		--key-file package-lock.json -- npm ci
	[ "$(json .outcome)" = partial ]
	[ "$(json .ran)" = true ]
	[ "$(json .entry.key)" = "$old" ]
	new=$(json .key)
	# ms has four files; npm's own record of the tree differs as well.
	[ "$(json .commit.result.new_files)" -le 10 ]
	[ "$(json .commit.result.new_bytes)" -lt 500000 ]
	[ "$(json .commit.result.files)" -ge $((files - 10)) ]
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.3 ]
	builds

	# Both entries are whole.
	[ "$(larder cat "node_modules@$old" ms/package.json |
		jq -r .version)" = 2.1.2 ]
	mkdir ../old ../new
	larder mount -o ro "node_modules@$old" ../old
	same_tree ../first/node_modules ../old
	larder mount -o ro "node_modules@$new" ../new
	same_tree node_modules ../new
}

@test "npm ci, npm install and rm -rf work in a mounted node_modules" {
	cp -a "$BATS_FILE_TMPDIR/small" small
	cd small
	install
	tree_digest node_modules >../installed
	npm install --silent
	npm ci --silent
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.2 ]
	[ "$(find node_modules -type f | wc -l)" -eq \
		"$(grep -c '^f ' ../installed)" ]
	npm install --silent ms@2.1.3
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.3 ]
	npm uninstall --silent ms
	[ ! -e node_modules/ms ]
	rm -rf node_modules/*
	cp "$BATS_FILE_TMPDIR"/small/package*.json .
	npm ci --silent
	[ "$(node -p 'require("ms")("1h") + require("lodash").add(1, 2)')" = \
		3600003 ]
}
