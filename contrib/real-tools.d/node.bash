# shellcheck shell=bash disable=SC2154,SC2164 # real-tools sets both
# SPDX-License-Identifier: Apache-2.0
#
# Parts of real-tools: npm, pnpm and yarn install a project with webpack and
# typescript, change one dependency, install again from nothing, and build.
# pnpm's store is in the directory too, so that it links to it or copies from it.

# Versions are fixed, so that no platform package is newer than what a mirror
# of the registry has.
node_project() {
	mkdir -p project/src
	cat >project/package.json <<-END
		{
			"name": "project", "version": "1.0.0", "private": true,
			"dependencies": { "ms": "$1", "lodash": "4.17.21" },
			"devDependencies": {
				"typescript": "5.4.5", "webpack": "5.91.0",
				"webpack-cli": "5.1.4", "esbuild": "0.20.2"
			}
		}
	END
	cat >project/tsconfig.json <<-'END'
		{
			"compilerOptions": {
				"strict": true, "target": "es2019",
				"module": "commonjs", "outDir": "built", "types": []
			},
			"include": ["src"]
		}
	END
	cat >project/src/index.ts <<-'END'
		declare function require(name: string): any;
		console.log(require("ms")("1h") + require("lodash").add(1, 2));
	END
}

node_environment() {
	export npm_config_cache=$bench_dir/npm-cache
	export npm_config_audit=false npm_config_fund=false
	export npm_config_update_notifier=false npm_config_progress=false
	export YARN_CACHE_FOLDER=$bench_dir/yarn-cache
	PATH=$bench_dir/node-tools/node_modules/.bin:$PATH
}

# node_tool PACKAGE... can be installed, or the part is skipped.
node_tool() {
	node_environment
	if ! command -v npm || ! command -v node; then
		echo "npm or node is not installed"
		return 77
	fi
	timeout 300 npm install --silent --prefix "$bench_dir/node-tools" \
		"$@" || {
		echo "no registry that has $*"
		return 77
	}
}

# node_builds: what was installed works.
node_builds() {
	node_modules/.bin/tsc
	[ "$(node built/index.js)" = 3600003 ]
	node_modules/.bin/webpack --mode development --devtool false \
		--entry ./built/index.js
	[ "$(node dist/main.js)" = 3600003 ]
	node_modules/.bin/esbuild --bundle --platform=node built/index.js \
		--outfile=bundled.js --log-level=error
	[ "$(node bundled.js)" = 3600003 ]
}

# node_result DIR: all that is installed and built, with modes, links and
# contents, but for what says when or where.
node_result() (
	cd "$1/project"
	find . -type d -printf '%y %m %P\n' -o -type l -printf '%y %P %l\n' -o \
		-printf '%y %m %n %P\n' | grep -v ' node_modules/\.cache' | sort
	find . -type f ! -path '*/node_modules/.cache/*' \
		! -name .modules.yaml ! -name '.pnpm-workspace-state*' \
		! -name lock.yaml -print0 | sort -z | xargs -0 sha256sum
)

npm_inputs() { node_tool npm@10; }
npm_first() {
	node_environment
	node_project 2.1.2
	cd project
	npm install --silent
	node_builds
}
npm_second() {
	node_environment
	node_project 2.1.3
	cd project
	npm install --silent
	grep -q '"version": "2.1.3"' node_modules/ms/package.json
	npm uninstall --silent lodash
	[ ! -e node_modules/lodash ]
	npm install --silent --save-exact lodash@4.17.21
	npm ci --silent
	npm ls --all >/dev/null
	node_builds
}
npm_result() { node_result "$1"; }

pnpm_inputs() { node_tool pnpm@9; }
pnpm_install() {
	# hardlink and copy, by turns: clone-or-copy links, too, where nothing
	# can be cloned.
	pnpm install --silent --store-dir "$work/store" \
		--package-import-method "$@"
}
pnpm_first() {
	node_environment
	node_project 2.1.2
	cd project
	pnpm_install hardlink
	[ "$(find node_modules -type f -links +1 | wc -l)" -gt 1000 ]
	node_builds
}
pnpm_second() {
	node_environment
	node_project 2.1.3
	cd project
	pnpm_install hardlink --no-frozen-lockfile
	grep -q '"version": "2.1.3"' node_modules/ms/package.json
	rm -rf node_modules
	pnpm_install copy --frozen-lockfile
	# esbuild's own script links its program.
	[ "$(find node_modules -type f -links +1 | wc -l)" -le 2 ]
	rm -rf node_modules
	pnpm_install hardlink --frozen-lockfile --offline
	[ "$(find node_modules -type f -links +1 | wc -l)" -gt 1000 ]
	# That script writes to a file that is a link into the store.
	pnpm store status --store-dir "$work/store" >status 2>&1 ||
		[ "$(grep -o '[^ ]*@[0-9][0-9.]*' status)" = esbuild@0.20.2 ]
	rm status
	node_builds
}
pnpm_result() { node_result "$1"; }

yarn_inputs() { node_tool yarn@1.22.22; }
yarn_first() {
	node_environment
	node_project 2.1.2
	cd project
	yarn install --silent --non-interactive
	node_builds
}
yarn_second() {
	node_environment
	node_project 2.1.3
	cd project
	yarn install --silent --non-interactive
	grep -q '"version": "2.1.3"' node_modules/ms/package.json
	yarn remove --silent --non-interactive lodash
	yarn add --silent --non-interactive --exact lodash@4.17.21
	yarn check --silent --integrity
	rm -rf node_modules
	yarn install --silent --non-interactive --frozen-lockfile --offline ||
		yarn install --silent --non-interactive --frozen-lockfile
	yarn check --silent --integrity
	node_builds
}
yarn_result() { node_result "$1"; }
