#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The modes of larder run, each against a hit, a partial hit and a miss.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	# The entry that a lookup finds: by its key, or as the nearest.
	larder run -q --path first --name demo --key one -- \
		sh -c 'echo base >first/base'
}

# try MODE KEY [NAME] runs a command that records what it finds, in `out`.
try() {
	rm -f seen
	run --separate-stderr "$LARDER" run --json --mode "$1" --path out \
		--name "${3:-demo}" --key "$2" -- sh -c \
		'echo "$LARDER_OUTCOME $(ls out | xargs)" >seen; echo new >out/new'
}

# outcome prints what --json says of the run, and what the command saw.
outcome() {
	json '[.outcome, .rule, .ran, .committed, .exit] | join(" ")'
	cat seen 2>/dev/null || echo 'did not run'
}

has_new() {
	[ "$("$LARDER" cat "$1" new 2>/dev/null)" = new ]
}

names() {
	larder ls "$1" --json | jq -r '.items[].name'
}

entries() {
	larder list --json | jq '.entries | length'
}

@test "default: uses a hit, builds on a partial hit, commits" {
	try default one
	[ "$(outcome)" = 'exact key false false 0
did not run' ]
	larder umount -q out
	try Default two
	[ "$(outcome)" = 'partial name true true 0
partial base' ]
	has_new demo@two
	larder umount -q out
	try default three other
	[ "$(outcome)" = 'miss none true true 0
miss ' ]
	has_new other@three
}

@test "read-only: uses a hit, builds on a partial hit, never commits" {
	try read-only one
	[ "$(outcome)" = 'exact key false false 0
did not run' ]
	larder umount -q out
	try ReadOnly two
	[ "$(outcome)" = 'partial name true false 0
partial base' ]
	[[ $stderr == *'read-only'* ]]
	[ "$(cat out/new)" = new ]
	larder umount -q --discard out
	try read-only three other
	[ "$(outcome)" = 'miss none true false 0
miss ' ]
	[ "$(entries)" -eq 1 ]
}

@test "force: uses a hit, and fails with 3 for all else" {
	try force one
	[ "$(outcome)" = 'exact key false false 0
did not run' ]
	same_tree first out
	larder umount -q out
	try FORCE two
	[ "$status" -eq 3 ]
	[ "$(outcome)" = 'miss none false false 3
did not run' ]
	[ "$(json .error.exit)" -eq 3 ]
	try force three other
	[ "$status" -eq 3 ]
	run ! mountpoint -q out
	[ "$(entries)" -eq 1 ]
}

@test "force: without a daemon nothing runs, exit code 3" {
	run env LARDERD=/nonexistent/larderd XDG_CACHE_HOME="$PWD/elsewhere" \
		"$LARDER" run --mode force --path out --key one -- touch ran
	[ "$status" -eq 3 ]
	[ ! -e ran ]
}

@test "refresh: begins with nothing and replaces" {
	try refresh one
	[ "$(outcome)" = 'miss none true true 0
miss ' ]
	has_new demo@one
	run ! larder cat demo@one base
	larder umount -q out
	try refresh two
	[ "$(outcome)" = 'miss none true true 0
miss ' ]
	has_new demo@two
	[ "$(entries)" -eq 2 ]
}

@test "refresh: LARDER_REBUILD=1 is another spelling" {
	export LARDER_REBUILD=1
	run_json run --path out --name demo --key one -- touch out/rebuilt
	[ "$(json '[.mode, .committed] | join(" ")')" = 'refresh true' ]
	[ "$(names demo@one)" = rebuilt ]
}

@test "refresh: a mount that is there makes room, its changes are kept" {
	echo mine >first/mine
	run_json run --mode refresh --path first --name demo --key one -- \
		sh -c 'ls first >seen; touch first/new'
	[ ! -s seen ]
	[ "$(names demo@one)" = new ]
	id=$(json .kept.id)
	larder umount first
	larder mount --resume "$id"
	[ "$(cat first/mine first/base | xargs)" = 'mine base' ]
}

@test "write-only: begins with nothing, commits where there is no entry" {
	try write-only one
	[ "$(outcome)" = 'miss none true false 0
miss ' ]
	[ "$(larder cat demo@one base)" = base ]
	run ! larder cat demo@one new
	larder umount -q --discard out
	try WriteOnly two
	[ "$(outcome)" = 'miss none true true 0
miss ' ]
	has_new demo@two
	larder umount -q out
	try write-only three other
	[ "$(outcome)" = 'miss none true true 0
miss ' ]
}

@test "off: the command runs on the plain directory, hit or not" {
	try off one
	[ "$(outcome)" = 'miss none true false 0
miss ' ]
	run ! mountpoint -q out
	[ "$(cat out/new)" = new ]
	rm -r out
	try Off two
	[ "$(outcome)" = 'miss none true false 0
miss ' ]
	[ "$(entries)" -eq 1 ]
	run larder run --mode off --path out --key one -- sh -c 'exit 42'
	[ "$status" -eq 42 ]
}

@test "off: touches neither the store nor the daemon" {
	# Nobody can make a directory below a file, not even root.
	touch file
	run env XDG_CACHE_HOME="$PWD/file/cache" \
		XDG_STATE_HOME="$PWD/file/state" \
		XDG_RUNTIME_DIR="$PWD/file/run" LARDERD="$PWD/file/larderd" \
		LARDER_MODE=off "$LARDER" run --path out --key-file 'no*file' \
		-- sh -c 'echo "$LARDER_OUTCOME" >out/x'
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(cat out/x)" = miss ]
}

@test "off: makes no system call that names the store or the daemon" {
	need strace
	run strace -f -o trace -e trace=file,network env LARDER_MODE=off \
		"$LARDER" run --path out --key one -- true
	[ "$status" -eq 0 ]
	grep -q 'execve.*"true"' trace
	run ! grep -E "$XDG_CACHE_HOME|$XDG_STATE_HOME|$XDG_RUNTIME_DIR" trace
	run ! grep -E 'socket\(|connect\(' trace
}

@test "ACTIONS_CACHE_MODE is an upper bound" {
	export ACTIONS_CACHE_MODE=read
	run_json run --path out --name demo --key two -- touch out/new
	[ "$(json '[.mode, .outcome, .committed] | join(" ")')" = \
		'read-only partial false' ]
	[[ $stderr == *ACTIONS_CACHE_MODE* ]]
	larder umount -q --discard out

	export ACTIONS_CACHE_MODE=none
	run_json run --mode refresh --path out --name demo --key two -- true
	[ "$(json .mode)" = off ]
	run larder run --mode force --path out --name demo --key one -- true
	[ "$status" -eq 5 ]

	export ACTIONS_CACHE_MODE=write
	run_json run --path out --name demo --key one -- false
	[ "$(json '[.mode, .outcome] | join(" ")')" = 'default exact' ]
}

@test "commit and import are refused where the mode does not commit" {
	mkdir plain
	for mode in read-only force off; do
		LARDER_MODE=$mode run larder commit first --name demo --key two
		[ "$status" -eq 5 ]
		LARDER_MODE=$mode run larder import plain --name demo --key two
		[ "$status" -eq 5 ]
	done
	ACTIONS_CACHE_MODE=read run larder commit first --name demo --key two
	[ "$status" -eq 5 ]
	[ "$(entries)" -eq 1 ]
	LARDER_MODE=write-only larder commit -q first --name demo --key two
	[ "$(entries)" -eq 2 ]
}

@test "a mode that there is none of: exit code 2, nothing runs" {
	run larder run --mode sometimes --path out --key one -- touch ran
	[ "$status" -eq 2 ]
	[[ $output == *read-only* ]]
	LARDER_MODE=sometimes run larder run --path out --key one -- touch ran
	[ "$status" -eq 2 ]
	[ ! -e ran ]
}
