#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Entries are found, listed and looked into without a mount.

load ../helpers

setup() {
	larder_setup
	mkdir -p tree/sub
	echo content >tree/file
	echo deep >tree/sub/deep
	ln -s file tree/link
	chmod 755 tree/file
	touch -d '2020-02-02 20:20:20.123456789 UTC' tree/file
	larder import tree --name tree --key first-key -q
}

@test "list names the entries, the newest first" {
	echo more >tree/more
	larder import tree --name tree --key second-key --branch topic
	larder import tree --name other --key third-key
	run_json list
	[ "$(json '.entries | length')" -eq 3 ]
	[ "$(json '[.entries[].key] | join(" ")')" = \
		'third-key second-key first-key' ]
	[ "$(json '.entries[1].branch')" = topic ]
	[ "$(json '.entries[2] | [.files, .bytes] | join(" ")')" = '2 13' ]

	run_json list tree
	[ "$(json '[.entries[].key] | join(" ")')" = 'second-key first-key' ]

	run --separate-stderr larder list
	[ "$status" -eq 0 ]
	[[ $output == *first-key* && $output == *third-key* ]]
}

@test "an entry is found by key, by prefix, as the latest and by branch" {
	echo more >tree/more
	larder import tree --name tree --key second-key --branch topic
	for ref in tree@first-key tree@first-; do
		run_json show "$ref"
		[ "$(json .entry.key)" = first-key ]
	done
	for ref in tree@latest tree@branch:topic tree@second; do
		run_json show "$ref"
		[ "$(json .entry.key)" = second-key ]
	done
}

@test "an ambiguous prefix is refused, with what to do" {
	larder import tree --name tree --key first-key-too
	run larder show tree@first-
	[ "$status" -eq 2 ]
	[[ $output == *"more of the key"* ]]
	# A whole key is never ambiguous.
	run_json show tree@first-key
	[ "$(json .entry.key)" = first-key ]
}

@test "what is not there is a miss, exit code 3" {
	for ref in tree@nowhere other@latest tree@branch:none; do
		run larder show "$ref"
		[ "$status" -eq 3 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ $output == *"$ref"* ]]
	done
}

@test "namespaces and tenants keep entries apart" {
	larder import tree/sub --name tree --key first-key --namespace ci
	run_json ls tree@first-key --namespace ci
	[ "$(json '[.items[].name] | join(" ")')" = deep ]
	run_json ls tree@first-key
	[ "$(json '[.items[].name] | join(" ")')" = 'file link sub' ]
	run larder show tree@first-key --tenant another
	[ "$status" -eq 3 ]
}

@test "ls lists a directory of an entry, and a file" {
	run_json ls tree@first-key
	[ "$(json '.items[] | select(.name == "file") |
		[.type, .mode, .size, .mtime] | join(" ")')" = \
		'file 493 8 2020-02-02T20:20:20.123456789Z' ]
	[ "$(json '.items[] | select(.name == "link") |
		[.type, .target] | join(" ")')" = 'symlink file' ]
	[ "$(json '.items[] | select(.name == "sub") | .type')" = dir ]

	run_json ls tree@first-key sub/deep
	[ "$(json '[.items[].name] | join(" ")')" = deep ]
	run larder ls tree@first-key sub/none
	[ "$status" -eq 1 ]
	[[ $output == *sub/none* ]]
}

@test "ls and JSON carry names of any bytes" {
	echo x >$'tree/\xff\xfe'
	echo y >$'tree/line\nbreak'
	larder import tree --name tree --key odd-names
	run_json ls tree@odd-names
	[ "$(json '.items[] | select(.name == "line\nbreak") | .size')" -eq 2 ]
	[ "$(json '[.items[] | select(.name == "\uf7ff\uf7fe")] | length')" \
		-eq 1 ]
	# A name cannot make a line of its own.
	larder ls tree@odd-names >listed
	[ "$(grep -c '^break' listed)" -eq 0 ]
}

@test "cat writes a file of an entry" {
	[ "$(larder cat tree@first-key sub/deep)" = deep ]
	head -c 5000000 /dev/urandom >tree/large
	larder import tree --name tree --key with-large
	larder cat tree@with-large large | cmp - tree/large

	run larder cat tree@first-key sub
	[ "$status" -eq 1 ]
	run larder cat tree@first-key none
	[ "$status" -eq 1 ]
	[[ $output == *none* ]]
}

@test "a key that is imported again is replaced" {
	echo new >tree/file
	larder import tree --name tree --key first-key
	[ "$(larder cat tree@first-key file)" = new ]
	run_json list tree
	[ "$(json '.entries | length')" -eq 1 ]
}

@test "show has the parts of a fingerprint" {
	echo lock >lock
	key=$(larder key --key-file lock --salt v1)
	larder import tree --name tree --key-file lock --salt v1
	run_json show "tree@$key"
	[ "$(json '[.entry.parts[].kind] | sort | join(" ")')" = \
		'file platform salt' ]
}
