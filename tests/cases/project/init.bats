#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder init: a project file after looking at the project.

load ../helpers

setup() {
	larder_setup
	need git jq
	mkdir shop
	cd shop || return
}

@test "a cache for each tool whose files are here" {
	touch package-lock.json Cargo.toml
	larder init
	run_json config
	[ "$(json '.settings["caches.shop-npm"].value.paths[0]')" = \
		"$PWD/node_modules" ]
	[ "$(json '.settings["caches.shop-cargo"].value.key.files[0]')" = \
		Cargo.toml ]
	[ "$(json '.settings["caches.shop-cargo"].value.key.git')" = null ]
}

@test "in a work tree of git, sources are what git knows; the name is origin's" {
	git init -q .
	git remote add origin https://git.example/team/market.git/
	touch Cargo.toml
	larder init
	run_json config
	[ "$(json '.settings["caches.market-cargo"].value.key.git')" = true ]
}

@test "a file that is there is not touched" {
	touch go.mod
	echo mine >larder.yml
	run larder init
	[ "$status" -eq 1 ]
	[[ "$output" == *'larder.yml is there already'* ]]
	[ "$(cat larder.yml)" = mine ]
	larder init -o - >printed
	grep -q GOMODCACHE printed
	[ "$(cat larder.yml)" = mine ]
}

@test "nothing to go by, and too much" {
	run larder init
	[ "$status" -eq 1 ]
	[[ "$output" == *'--preset'* ]]
	touch yarn.lock package-lock.json
	run larder init
	[ "$status" -eq 2 ]
	[[ "$output" == *'npm and yarn both fill node_modules'* ]]
	larder init --preset yarn:store --preset npm
	run_json config
	[ "$(json '.settings | keys[] | select(startswith("caches."))')" = \
		$'caches.shop-npm\ncaches.shop-yarn-store' ]
}

@test "run --preset auto finds the tool, and says so where it cannot" {
	run larder run --preset auto
	[ "$status" -eq 2 ]
	[[ "$output" == *'there is no lock file here'* ]]
	touch yarn.lock Cargo.toml
	run larder run --preset auto
	[ "$status" -eq 2 ]
	[[ "$output" == *'several fit (yarn, cargo)'* ]]
	run larder run --preset npn
	[ "$status" -eq 2 ]
	[[ "$output" == *'did you mean npm?'* ]]
	run larder run --preset ccache
	[ "$status" -eq 2 ]
	[[ "$output" == *'-- COMMAND'* ]]
}
