#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# How the command speaks: help, streams, JSON, quiet, colours.

load ../helpers

commands="run key why mount umount diff reset commit import list show ls cat
	export materialize status daemon"

setup() {
	larder_setup
	mkdir tree
	echo content >tree/file
}

too_wide() {
	awk 'length > 79 { print; wide = 1 } END { exit !wide }'
}

@test "every command has help on standard output, within 80 columns" {
	for command in $commands; do
		run --separate-stderr larder "$command" --help
		[ "$status" -eq 0 ]
		[ -z "$stderr" ]
		[[ ${lines[0]} == "usage: larder $command"* ]]
		run ! too_wide <<<"$output"
		for option in json quiet verbose help; do
			larder "$command" --help | grep -q -e "--$option"
		done
		[ "$(larder help "$command")" = "$(larder "$command" -h)" ]
	done
}

@test "the overview names every command and the exit codes" {
	run --separate-stderr larder --help
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	for command in $commands; do
		[[ $output == *$'\n'"  $command "* ]]
	done
	[[ $output == *"8 busy"* ]]
	[ "$(larder help)" = "$output" ]
	run ! too_wide <<<"$output"

	run --separate-stderr larder
	[ "$status" -eq 2 ]
	[ -z "$output" ]
}

@test "run and key show the key options" {
	for command in run key why commit import; do
		run larder "$command" --help
		[[ $output == *--key-file* ]]
		[[ $output == *--salt* ]]
	done
}

@test "the version is printed" {
	[[ $(larder --version) == "larder "[0-9]*.* ]]
	[[ $(larderd --version) == "larderd "[0-9]*.* ]]
}

@test "an unknown command or option suggests the nearest" {
	run larder improt
	[ "$status" -eq 2 ]
	[[ $output == *"did you mean import?" ]]
	run larder import --nane x
	[ "$status" -eq 2 ]
	[[ $output == *"did you mean --name?" ]]
	run larder daemon stat
	[ "$status" -eq 2 ]
	[[ $output == *start* ]]
	run larder help improt
	[ "$status" -eq 2 ]
}

@test "JSON is one value with a schema, and has the documented fields" {
	need jq
	run_json import tree --name tree --key one
	[ "$(json .schema)" = larder/1 ]
	for field in tenant namespace name key branch creator parent \
		parent_catalog catalog files dirs bytes new_files new_bytes \
		stored_bytes created created_ns; do
		[ "$(json ".entry | has(\"$field\")")" = true ]
	done
	for field in files dirs bytes read_bytes new_chunks new_bytes \
		stored_bytes new_files; do
		[ "$(json ".result.$field | type")" = number ]
	done
	[ "$(json '.elapsed_ms | type')" = number ]
	[[ $(json .entry.catalog) =~ ^[0-9a-f]{64}$ ]]
	[[ $(json .entry.created) =~ ^20[0-9-]+T[0-9:]+\.[0-9]{9}Z$ ]]

	run_json status
	for field in version pid worker_pid store state mounts kept entries \
		packs pack_bytes memory_bytes; do
		[ "$(json "has(\"$field\")")" = true ]
	done
	[ "$(json .entries)" -eq 1 ]
	[ "$(json .packs)" -eq 1 ]
	for arguments in 'list' 'show tree@one' 'ls tree@one' 'key --salt x' \
		'daemon status' 'daemon start'; do
		# shellcheck disable=SC2086 # words
		run_json $arguments
		[ "$(json .schema)" = larder/1 ]
	done
}

@test "JSON of a mount has the documented fields" {
	need jq
	require_fuse
	larder import -q tree --name tree --key one
	mkdir m
	run_json mount tree@one m
	[ "$(json .reused)" = false ]
	for field in id dir mode entry namespace tenant catalog dirty damaged \
		upper_bytes upper_inodes requests requests_total mounted; do
		[ "$(json ".mount | has(\"$field\")")" = true ]
	done
	cat m/file
	run_json status
	[ "$(json '.mounts[0].requests_total')" = \
		"$(json '.mounts[0].requests | add')" ]
	[ "$(json '.mounts[0].requests.LOOKUP')" -ge 1 ]
	echo x >m/new
	run_json diff m
	[ "$(json '.changes[0] | [.change, .path, .size] | join(" ")')" = \
		'added new 2' ]
}

@test "errors are JSON, too, with the exit code" {
	need jq
	run --separate-stderr larder show --json tree@none
	[ "$status" -eq 3 ]
	[ "$(json .error.exit)" -eq 3 ]
	[ "$(json .error.code)" -lt 0 ]
	[ "larder: $(json .error.message)" = "$stderr" ]
	run --separate-stderr larder umount --json
	[ "$status" -eq 2 ]
	[ "$(json .error.exit)" -eq 2 ]
}

@test "results go to standard output, the rest to standard error" {
	run --separate-stderr larder import tree --name tree --key one
	[ "$output" = tree@one ]
	[[ $stderr == *imported* ]]
	run --separate-stderr larder import -q tree --name tree --key one
	[ "$output" = tree@one ]
	[ -z "$stderr" ]
	run --separate-stderr larder list
	[ -z "$stderr" ]
	run --separate-stderr larder list none
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "a full standard output is an error" {
	[ -c /dev/full ] || skip "no /dev/full"
	larder import -q tree --name tree --key one
	for command in 'list' 'key --salt x' 'cat tree@one file' 'status' \
		'export tree@one'; do
		# shellcheck disable=SC2086 # words
		run bash -c "larder $command >/dev/full"
		[ "$status" -eq 1 ]
		[[ $output == *"o space"* ]]
	done
}

@test "a reader that goes away is no error to speak of" {
	larder import -q tree --name tree --key one
	run bash -c 'larder list | true'
	[ "$status" -eq 0 ]
	run bash -c 'larder export tree@one | head -c 10 >/dev/null'
	[[ $output != *signal* ]]
	larder status
}

@test "colours only on a terminal, and not with NO_COLOR" {
	need script
	require_fuse
	mkdir m
	larder mount -q --empty m
	echo x >m/new
	escape=$'\e['
	[[ $(larder diff m) != *"$escape"* ]]
	on_terminal() {
		env TERM=xterm "$@" script -qec "larder diff m" /dev/null
	}
	[[ $(on_terminal) == *"$escape"* ]]
	[[ $(on_terminal NO_COLOR=1) != *"$escape"* ]]
	[[ $(on_terminal NO_COLOR=1) == *"A new"* ]]
}

@test "names with control bytes do not reach the terminal" {
	require_fuse
	mkdir m
	larder mount -q --empty m
	echo x >m/$'bad \e[31m name'
	[[ $(larder diff m) != *$'\e'* ]]
	larder commit -q m --name odd --key one
	[[ $(larder ls odd@one) != *$'\e'* ]]
	run larder cat odd@one $'none \e[31m'
	[[ $output != *$'\e'* ]]
}
