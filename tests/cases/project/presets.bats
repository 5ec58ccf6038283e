#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Presets with the real tools: cold, a hit in another clone, a changed lock
# file. A tool that is not installed is looked for in LARDER_PRESET_TOOLS,
# where contrib/presets installs those of npm's registry.

load ../helpers

setup() {
	# What the user has set up: registries, toolchains.
	local home=$HOME
	export npm_config_userconfig=${npm_config_userconfig:-$home/.npmrc}
	export CARGO_HOME=${CARGO_HOME:-$home/.cargo}
	export RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}
	PATH=$PATH${LARDER_PRESET_TOOLS:+:$LARDER_PRESET_TOOLS}
	larder_setup
	require_fuse
	need jq git
	export npm_config_update_notifier=false npm_config_fund=false
	export npm_config_audit=false
	mkdir app
}

# with_tool TOOL: the test's; a pyenv shim or a proxy without a tool behind it
# is no tool.
with_tool() {
	need "$1"
	"$1" "${2---version}" >/dev/null 2>&1 || skip "$1 does not run"
}

# clone NAME makes another clone of app in NAME and goes there. Without an
# origin, the directory's own name is the project's.
clone() {
	mkdir "$BATS_TEST_TMPDIR/$1"
	cp -a "$BATS_TEST_TMPDIR/app" "$BATS_TEST_TMPDIR/$1/app"
	cd "$BATS_TEST_TMPDIR/$1/app" || return
}

# run_preset PRESET [-- COMMAND...] leaves the report in $output.
run_preset() {
	run_json run --preset "$@"
	echo "$stderr"
}

outcome() {
	json '"\(.outcome) \(.ran) \(.committed)"'
}

package() {
	cat >package.json <<-END
		{ "name": "app", "version": "1.0.0", "private": true,
		  "dependencies": { "ms": "$1" } }
	END
}

# node_modules_preset NAME LOCK-COMMAND...: ms 2.1.2 and then 2.1.3.
node_modules_preset() {
	cd app || return
	package 2.1.2
	timeout 100 "${@:2}" >lock.log 2>&1 ||
		skip "no registry: $(head -n 1 lock.log)"
	rm -rf node_modules
	clone first
	run_preset "$1"
	[ "$(outcome)" = 'miss true true' ]
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.2 ]

	clone second
	run_preset auto
	[ "$(outcome)" = 'exact false false' ]
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.2 ]

	clone third
	package 2.1.3
	timeout 100 "${@:2}" >lock.log 2>&1
	rm -rf node_modules
	run_preset "$1"
	[ "$(outcome)" = 'partial true true' ]
	[ "$(jq -r .version node_modules/ms/package.json)" = 2.1.3 ]
}

@test "npm: cold, hit, changed lock file" {
	with_tool npm
	node_modules_preset npm npm install --package-lock-only
}

@test "npm:store: the command runs, but finds its packages" {
	with_tool npm
	cd app
	package 2.1.2
	timeout 100 npm install --package-lock-only >lock.log 2>&1 ||
		skip "no registry: $(head -n 1 lock.log)"
	clone first
	run_preset npm:store
	[ "$(outcome)" = 'miss true true' ]
	[ -e node_modules/ms/package.json ]
	clone second
	run_preset npm:store -- npm ci --offline
	[ "$(outcome)" = 'exact true false' ]
	[ -e node_modules/ms/package.json ]
	[ "$(cat .larder/.gitignore)" = '*' ]
}

@test "yarn: cold, hit, changed lock file" {
	with_tool yarn
	export YARN_CACHE_FOLDER=$BATS_TEST_TMPDIR/yarn-cache
	node_modules_preset yarn yarn install
}

@test "pnpm: cold, hit, changed lock file" {
	with_tool pnpm
	node_modules_preset pnpm pnpm install --lockfile-only
}

@test "bun: cold, hit, changed lock file" {
	with_tool bun
	node_modules_preset bun bun install
}

crate() {
	printf '[package]\nname = "app"\nversion = "%s"\nedition = "2018"\n' \
		"$1" >Cargo.toml
	mkdir -p src
	echo 'fn main() { println!("{}", env!("CARGO_PKG_VERSION")); }' \
		>src/main.rs
	cargo generate-lockfile --offline
}

@test "cargo: cold, hit, changed lock file" {
	with_tool cargo
	cd app
	crate 1.0.0
	clone first
	run_preset cargo
	[ "$(outcome)" = 'miss true true' ]
	[ "$(target/debug/app)" = 1.0.0 ]
	clone second
	run_preset auto
	[ "$(outcome)" = 'exact false false' ]
	[ "$(target/debug/app)" = 1.0.0 ]
	clone third
	crate 1.1.0
	run_preset cargo
	[ "$(outcome)" = 'partial true true' ]
	[ "$(target/debug/app)" = 1.1.0 ]
}

@test "go: its caches are there in another clone, and for other sources" {
	with_tool go version
	cd app
	printf 'module app\n\ngo 1.19\n' >go.mod
	printf 'package main\n\nfunc main() { println("one") }\n' >main.go
	clone first
	run_preset go
	[ "$(outcome)" = 'miss true true' ]
	clone second
	run_preset auto
	[ "$(outcome)" = 'exact true false' ]
	clone third
	printf 'package main\n\nfunc main() { println("two") }\n' >main.go
	run_preset go
	[ "$(outcome)" = 'partial true true' ]
	[ -d .larder/go/build ]
}

# wheel VERSION makes a package with nothing but its version.
wheel() {
	mkdir -p wheels
	python3 - "$1" <<-'END'
		import sys, zipfile
		version = sys.argv[1]
		info = f"larder_test-{version}.dist-info/"
		files = {
		    "larder_test.py": f"version = '{version}'\n",
		    info + "METADATA": "Metadata-Version: 2.1\n"
		        f"Name: larder-test\nVersion: {version}\n",
		    info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
		        "Root-Is-Purelib: true\nTag: py3-none-any\n",
		}
		record = "".join(f"{name},,\n" for name in files)
		files[info + "RECORD"] = record + info + "RECORD,,\n"
		name = f"wheels/larder_test-{version}-py3-none-any.whl"
		with zipfile.ZipFile(name, "w") as whl:
		    for name, text in files.items():
		        whl.writestr(name, text)
	END
}

requirements() {
	printf -- '--no-index\n--find-links wheels\nlarder-test==%s\n' "$1" \
		>requirements.txt
}

installed_version() {
	.venv/bin/python -c 'import larder_test; print(larder_test.version)'
}

@test "pip: cold, hit, changed requirements" {
	with_tool python3
	python3 -c 'import venv, ensurepip' 2>/dev/null ||
		skip "python3 has no venv"
	cd app
	wheel 1.0
	wheel 1.1
	requirements 1.0
	run_preset pip
	[ "$(outcome)" = 'miss true true' ]
	[ "$(installed_version)" = 1.0 ]
	larder umount --discard .venv
	run_preset auto
	[ "$(outcome)" = 'exact false false' ]
	[ "$(installed_version)" = 1.0 ]
	# The preset's own command would install pip itself once more, which is
	# most of this case's time; what it does to a filled mount is to clear it.
	requirements 1.1
	run_preset pip -- .venv/bin/pip --disable-pip-version-check install \
		-r requirements.txt
	[ "$(outcome)" = 'partial true true' ]
	[ "$(installed_version)" = 1.1 ]
	python3 -m venv --clear --without-pip .venv
	[ -e .venv/bin/python ] && [ ! -e .venv/bin/pip ]
	# An environment holds its own path, so it is not for another one.
	larder umount --discard .venv
	clone other
	run -3 larder run --preset pip --mode force
	[ ! -e .venv/bin ]
}

@test "ccache: objects of another clone are hits" {
	with_tool ccache
	with_tool cc
	cd app
	git init -q .
	echo 'int main(void) { return 0; }' >main.c
	git add .
	git -c user.name=t -c user.email=t@t commit -qm one
	clone first
	run_preset ccache -- ccache cc -c main.c -o "$BATS_TEST_TMPDIR/main.o"
	[ "$(outcome)" = 'miss true true' ]
	clone second
	run_preset ccache -- sh -c 'ccache -z >/dev/null
		ccache cc -c main.c -o "$BATS_TEST_TMPDIR/main.o"
		ccache --print-stats >"$BATS_TEST_TMPDIR/stats"'
	[ "$(outcome)" = 'exact true false' ]
	[ "$(awk '$1 ~ /^(direct|preprocessed)_cache_hit$/ { n += $2 }
		END { print n }' "$BATS_TEST_TMPDIR/stats")" = 1 ]
	clone third
	echo 'int f(void) { return 1; }' >>main.c
	run_preset ccache -- ccache cc -c main.c -o "$BATS_TEST_TMPDIR/main.o"
	[ "$(outcome)" = 'partial true true' ]
}
