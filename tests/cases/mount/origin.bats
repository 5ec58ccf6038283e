#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What a mount says of its files without reading them: user.larder.*

load ../helpers

setup() {
	larder_setup
	require_fuse
	need getfattr setfattr jq
	mkdir -p tree/sub m
	echo one >tree/one
	echo two >tree/sub/two
	: >tree/empty
	head -c 3000000 /dev/urandom >tree/large
	larder import -q tree --name tree --key first
}

# about FILE NAME prints the attribute.
about() {
	getfattr --only-values -n "user.larder.$2" "$1" 2>/dev/null
}

@test "the digest of a file is that of its content, and nothing is read for it" {
	local file
	larder mount tree@first m
	for file in one sub/two empty; do
		[ "$(about "m/$file" digest)" = \
			"sha256:$(sha256sum <"tree/$file" | cut -d ' ' -f 1)" ]
	done
	[[ $(about m/large digest) =~ ^sha256-pieces:[0-9a-f]{64}$ ]]
	[ "$(about m digest)" = "sha256-catalog:$(larder show --json tree@first |
		jq -r .entry.catalog)" ]
	[ "$(about m/one key)" = first ]
	[ "$(about m/one tier)" = local ]
	mount_field m requests | jq -e '.READ == null and .GETXATTR > 0'
}

@test "what was changed has no digest before it is committed" {
	larder mount tree@first m
	echo more >>m/one
	run ! about m/one digest
	run ! about m digest
	run ! about m/one key
	[ "$(about m key)" = first ]
	larder commit -q m --name tree --key second
	[ "$(about m/one digest)" = \
		"sha256:$(sha256sum <m/one | cut -d ' ' -f 1)" ]
	[ "$(about m/one key)" = second ]
	kill_worker
	[ "$(about m/one key)" = second ]
	[ "$(about m/sub/two key)" = second ]
}

@test "no copy and no list has the attributes" {
	local copy
	setfattr -n user.mine -v x tree/one
	larder import -q tree --name tree --key mine
	larder mount tree@mine m
	[ "$(getfattr -m - m/one 2>/dev/null | grep -c .)" -eq 2 ]
	[ -z "$(getfattr -m 'user.larder' m m/sub/two)" ]
	cp -a m copied
	mkdir unpacked
	tar --xattrs --xattrs-include='*' -C m -cf - . |
		tar --xattrs --xattrs-include='*' -C unpacked -xf -
	for copy in copied unpacked; do
		getfattr -R -d -m - "$copy" >list
		[ "$(grep -c '^user' list)" -eq 1 ]
		grep -q '^user.mine="x"$' list
	done
	larder commit -q m --name tree --key again
	[ "$(larder show --json tree@again | jq -r .entry.catalog)" = \
		"$(larder show --json tree@mine | jq -r .entry.catalog)" ]
}

@test "nobody can set them" {
	larder mount tree@first m
	run setfattr -n user.larder.digest -v x m/one
	[ "$status" -ne 0 ]
	[[ $output == *'Operation not permitted'* ]]
	run setfattr -x user.larder.digest m/one
	[[ $output == *'Operation not permitted'* ]]
	[ "$(larder status --json | jq '.mounts[0].dirty')" = false ]
	setfattr -n user.other -v x m/one
	[ "$(getfattr --only-values -n user.other m/one)" = x ]
}

@test "asking leaves ordinary work as it was" {
	larder mount -o ro tree@first m
	cat m/one m/sub/two >/dev/null
	ls -lR m >/dev/null
	about m/one digest >/dev/null
	mount_field m requests_total >before
	cat m/one m/sub/two >/dev/null
	ls m m/sub >/dev/null
	[ "$(mount_field m requests_total)" -eq "$(cat before)" ]
}
