#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Random operations on a mount and on a model of it, compared: a short pass of
# what contrib/random runs for long. And the tester itself, which must find
# what is wrong.

load ../helpers

setup() {
	larder_setup
	# shellcheck source=tests/random/random.bash
	. "$LARDER_SRCDIR/tests/random/random.bash"
	random=$LARDER_BUILDDIR/tests/random/random
	# shellcheck disable=SC2016 # the hook's shell expands it
	plain='find "$1" -mindepth 1 -delete'
	mkdir mnt
}

# on_mount KIND ENTRY OPTION...: the tester on a mount, with all hooks.
on_mount() {
	local kind=$1 entry=$2
	shift 2
	require_fuse
	need jq
	random_hooks "$entry"
	"$random" --kind "$kind" "${hooks[@]}" --disturb-every 600 \
		--remount-every 900 --reopen-every 900 --steps 3000 \
		--save failed.script "$@" mnt
	"$LARDER" umount -q --discard mnt
}

on_base() {
	local kind=$1
	shift
	random_base base
	"$LARDER" import -q base --name base --key k >/dev/null
	on_mount "$kind" base@k --base base "$@"
}

@test "a tree of nothing behaves as its model does" {
	on_mount tree --empty --seed 101
}

@test "a tree over a base behaves as its model does" {
	on_base tree --seed 102
}

@test "files of nothing behave as their model does" {
	on_mount files --empty --seed 103
}

@test "files over a base behave as their model does" {
	on_base files --seed 104
}

# found MISTAKE KIND LINES: a mistake is found, shrunk to so many lines or
# fewer, seen again in a replay, and gone without the mistake.
found() {
	run -1 "$random" --mistake "$1" --kind "$2" --seed 5 \
		--fresh "$plain" --save failed.script mnt
	[[ $output == *"expected"* ]]
	[ "$(wc -l <failed.script)" -le "$3" ]
	run -1 "$random" --mistake "$1" --fresh "$plain" \
		--replay failed.script mnt
	run -0 "$random" --fresh "$plain" --replay failed.script mnt
}

@test "the tester finds wrong bytes and makes the script short" {
	found punch files 8
}

@test "the tester finds wrong metadata and makes the script short" {
	found exchange tree 8
}

@test "a script that is none is refused" {
	echo "write" >bad.script
	run -2 "$random" --fresh "$plain" --replay bad.script mnt
	[[ $output == *"bad.script:1: no such step"* ]]
}
