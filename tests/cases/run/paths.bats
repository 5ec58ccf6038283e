#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder run with several --path: one entry with several roots.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir first second
	cd first || return
	git init -q .
	git init -q ../second
}

# build KEY [OPTION...] -- COMMAND... runs in three directories.
build() {
	larder run --name demo --path web/out --path gen --path "$HOME/.store" \
		--key "$@"
}

fill() {
	build "$1" -- sh -c '
		echo web >web/out/f && ln web/out/f web/out/g
		mkdir gen/sub && echo gen >gen/sub/f
		echo store >"$HOME/.store/f" && chmod 500 "$HOME/.store"'
}

umount_all() {
	larder umount web/out
	larder umount gen
	larder umount "$HOME/.store"
}

entries() {
	larder list --json | jq '.entries | length'
}

@test "one entry has them all, and each is mounted in its place" {
	fill one
	[ "$(entries)" -eq 1 ]
	[ "$(larder cat demo@one REPO/web/out/g)" = web ]
	[ "$(larder cat demo@one REPO/gen/sub/f)" = gen ]
	[ "$(larder cat demo@one HOME/.store/f)" = store ]
	[ "$(larder list --json | jq '.entries[0] |
		[.files, .new_files] | join(" ")' -r)" = '3 3' ]
	tree_digest web/out >web.txt
	tree_digest gen >gen.txt
	tree_digest "$HOME/.store" >store.txt
	umount_all

	run_json run --name demo --path web/out --path gen \
		--path "$HOME/.store" --key one -- touch ran
	[ "$(json '[.outcome, .mounted] | join(" ")')" = 'exact true' ]
	[ "$(json '[.roots[].root] | join(" ")')" = \
		'REPO/web/out REPO/gen HOME/.store' ]
	[ ! -e ran ]
	tree_digest web/out | cmp - web.txt
	tree_digest gen | cmp - gen.txt
	tree_digest "$HOME/.store" | cmp - store.txt
	[ web/out/f -ef web/out/g ]
}

@test "another clone hits, with the same tree" {
	fill one
	tree_digest gen >../gen.txt
	larder umount "$HOME/.store"
	cd ../second
	build one -- false
	tree_digest gen | cmp - ../gen.txt
	[ "$(cat web/out/f "$HOME/.store/f" | xargs)" = 'web store' ]
}

@test "a partial hit builds on each, and stores only what is new" {
	fill one
	run_json run --name demo --path web/out --path gen \
		--path "$HOME/.store" --key two -- sh -c 'echo more >gen/more'
	[ "$(json '[.outcome, .committed, .commit.result.new_files] |
		join(" ")')" = 'partial true 1' ]
	[ "$(larder show demo@two --json | jq -r .entry.parent)" = one ]
	[ "$(larder show demo@two --json | jq -r .entry.parent_catalog)" = \
		"$(larder show demo@one --json | jq -r .entry.catalog)" ]
	run ! larder cat demo@one REPO/gen/more
	[ "$(larder cat demo@two REPO/web/out/f)" = web ]
	[ "$(mount_field gen dirty)" = false ]
	# The mounts are what was committed: a reset changes nothing.
	larder reset gen
	[ "$(cat gen/more)" = more ]
}

@test "an unchanged tree is not committed again" {
	fill one
	run_json run --name demo --path gen --path web/out \
		--path "$HOME/.store" --key one --always -- true
	[ "$(json '[.outcome, .committed, .commit.unchanged] | join(" ")')" = \
		'exact false true' ]
}

@test "entries of other directories: a base for those that they have" {
	fill one
	umount_all
	run_json run --name demo --path gen --path new --key one -- \
		sh -c 'ls gen new >../seen'
	[ "$(json '[.outcome, .rule] | join(" ")')" = 'partial branch' ]
	grep -q sub ../seen
	larder umount gen
	# And a run of one directory has no use for it at all.
	run_json run --name demo --path gen --key one -- \
		sh -c 'ls gen >../seen'
	[ "$(json .outcome)" = miss ]
	[[ $(json .reason) == *'other directories'* ]]
	[ ! -s ../seen ]
}

@test "what the store has lost of the parts is made again" {
	fill one
	umount_all
	larder daemon stop
	joined=$(larder show demo@one --json | jq -r .entry.catalog)
	larder daemon stop
	find "$XDG_CACHE_HOME/larder/v1/catalogs" -type f \
		! -name "*${joined:2}" -delete
	build one -- false
	[ "$(cat gen/sub/f web/out/f "$HOME/.store/f" | xargs)" = \
		'gen web store' ]
}

@test "a commit that fails leaves all mounts as they were" {
	larder daemon stop
	LARDER_FAULT=ingest.index:4:EIO larder daemon start
	run fill one
	[ "$status" -eq 0 ]
	[[ $output == *'NOT committed'* ]]
	[ "$(entries)" -eq 0 ]
	[ "$(mount_field gen dirty)" = true ]
	# The next one has it all.
	build one -- true
	[ "$(larder cat demo@one REPO/gen/sub/f)" = gen ]
}

@test "one directory that cannot be used: none is mounted" {
	mkdir gen
	echo mine >gen/mine
	run build one -- touch ran
	[ "$status" -eq 1 ]
	[[ $output == *gen* ]]
	[ ! -e ran ]
	run ! mountpoint -q web/out
	[ "$(cat gen/mine)" = mine ]
}

@test "directories in one another, and no name: exit code 2" {
	run larder run --name demo --path a --path a/b --key one -- true
	[ "$status" -eq 2 ]
	run larder run --name demo --path a --path ./a --key one -- true
	[ "$status" -eq 2 ]
	run larder run --path a --path b --key one -- true
	[ "$status" -eq 2 ]
	[[ $output == *--name* ]]
}
