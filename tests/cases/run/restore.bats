#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The restore order: key, prefixes, branch, name; and which branch it is.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	unset "${!GITHUB_@}" "${!CI_@}" "${!BUILDKITE_@}"
}

# entry KEY BRANCH makes an entry that holds its key.
entry() {
	mkdir -p plain
	echo "$1" >plain/key
	larder import -q plain --name demo --key "$1" --branch "$2" >/dev/null
}

# restored ARGUMENT... prints what a run begins with: rule and key.
restored() {
	run_json run --ephemeral --mode read-only --path out --name demo \
		--key none "$@" -- true
	json '"\(.rule) \(.entry.key)"'
}

@test "prefixes in their order, the newest of each; then branch, then name" {
	entry npm-linux-1 main
	entry npm-linux-2 main
	entry npm-mac-1 topic
	entry cargo-1 other

	[ "$(restored --restore-prefix npm-linux-)" = 'prefix npm-linux-2' ]
	[ "$(restored --restore-prefix npm- --branch main)" = \
		'prefix npm-mac-1' ]
	[ "$(restored --restore-prefix gem- --restore-prefix npm-linux- \
		--restore-prefix npm-)" = 'prefix npm-linux-2' ]
	[ "$(restored --restore-prefix gem- --branch topic)" = \
		'branch npm-mac-1' ]
	[ "$(restored --branch new)" = 'name cargo-1' ]
	[ "$(restored)" = 'name cargo-1' ]
}

@test "the key itself comes before all prefixes" {
	entry npm-1 main
	entry npm-2 main
	run_json run --path out --name demo --key npm-1 --restore-prefix npm- \
		-- false
	[ "$(json '[.outcome, .rule, .entry.key] | join(" ")')" = \
		'exact key npm-1' ]
}

@test "--no-restore: by a prefix or not at all" {
	entry npm-1 main
	[ "$(restored --no-restore --branch main)" = 'none null' ]
	[ "$(restored --no-restore --restore-prefix npm-)" = 'prefix npm-1' ]
	[ "$(restored --no-restore --restore-prefix gem-)" = 'none null' ]
}

@test "a prefix that no key begins with is refused" {
	run larder run --path out --key one --restore-prefix 'a/b' -- true
	[ "$status" -eq 2 ]
	[[ $output == *a/b* ]]
}

@test "the branch is git's; with a detached HEAD, the CI system's" {
	git init -q -b trunk .
	git -c user.name=x -c user.email=x commit -q --allow-empty -m x
	branch() {
		run_json run --path out --name demo --key "$1" -- true
		json .branch
	}
	GITHUB_REF_NAME=ci run branch one
	[ "$output" = trunk ]
	git checkout -q --detach
	[ "$(branch two)" = '' ]
	[ "$(GITHUB_REF_NAME=ci branch three)" = ci ]
	[ "$(larder show demo@three --json | jq -r .entry.branch)" = ci ]
	[ "$(CI_COMMIT_BRANCH=lab branch four)" = lab ]
}

@test "a repository without commits, and no git at all" {
	git init -q -b unborn .
	run_json run --path out --name demo --key one -- true
	[ "$(json '[.branch, .committed] | join(" ")')" = 'unborn true' ]
	mkdir bin
	ln -s "$(command -v sh)" "$(command -v fusermount3)" bin/
	output=$(env PATH="$PWD/bin" "$LARDER" run --json --path out \
		--name demo --key two -- sh -c ': >out/x')
	[ "$(json '[.branch, .committed] | join(" ")')" = ' true' ]
}
