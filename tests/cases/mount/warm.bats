#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Once it was walked and read, a mount costs no requests: the kernel keeps all
# of it.

load ../helpers
load ../store/tree

setup_file() {
	numbered_files "$BATS_FILE_TMPDIR/tree" 1000 50
	ln -s 0/module1.js "$BATS_FILE_TMPDIR/tree/link"
	head -c 3000000 /dev/urandom >"$BATS_FILE_TMPDIR/tree/large"
	(cd "$BATS_FILE_TMPDIR/tree" && find . -type f -print0) \
		>"$BATS_FILE_TMPDIR/files"
}

setup() {
	larder_setup
	require_fuse
	need jq
	larder import -q "$BATS_FILE_TMPDIR/tree" --name tree --key one
	mkdir m
}

# Not by find: it begins with a statfs, which the kernel never keeps.
walk() {
	fsops walk m >/dev/null
}

read_all() {
	(cd m && xargs -0 cat <"$BATS_FILE_TMPDIR/files" >/dev/null)
}

missing_names() {
	local name
	for name in m/missing m/0/missing.js m/none/at/all; do
		[ ! -e "$name" ]
	done
}

requests() {
	mount_field m requests_total
}

# costs COUNT COMMAND...
costs() {
	local before after
	before=$(requests)
	"${@:2}"
	after=$(requests)
	[ "$((after - before))" -eq "$1" ] && return
	echo "$((after - before)) requests: $(mount_field m requests)"
	return 1
}

@test "the daemon's counting touches no mount" {
	larder mount -o ro tree@one m
	walk
	costs 0 true
	costs 0 larder status
}

@test "a warm walk, open and read of a read-only mount send no request" {
	larder mount -o ro tree@one m
	[ "$(requests)" -lt 20 ]
	walk
	read_all
	[ "$(requests)" -gt 20 ]
	costs 0 walk
	costs 0 read_all
	costs 0 cp -r m copy
}

@test "a warm walk, open and read of a writable mount send no request" {
	larder mount tree@one m
	walk
	read_all
	# The access times that reading changed are asked for once.
	walk
	costs 0 walk
	costs 0 read_all
	costs 0 walk
}

@test "what a mount was written is warm, too" {
	larder mount --empty m
	cp -r "$BATS_FILE_TMPDIR/tree/." m/
	walk
	read_all
	walk
	costs 0 walk
	costs 0 read_all
}

@test "a name that is missing is asked for once" {
	larder mount -o ro tree@one m
	walk
	missing_names
	costs 0 missing_names
}

@test "a missing name that is made appears at once" {
	larder mount tree@one m
	missing_names
	echo x >m/missing
	[ "$(cat m/missing)" = x ]
	rm m/missing
	missing_names
}

@test "a cold walk asks per directory and not per file" {
	larder mount -o ro tree@one m
	before=$(requests)
	walk
	after=$(requests)
	# 21 directories of at most 51 names, and a symlink.
	[ "$((after - before))" -le 150 ]
}

@test "a file that is made costs no RELEASE" {
	local name
	larder mount --empty m
	for name in one two three; do
		echo "$name" >"m/$name"
	done
	# The first one is a CREATE, whose answer sends the kernel to MKNOD.
	mount_field m requests >requests
	jq -e '.MKNOD == 3 and .CREATE == 1 and .RELEASE == null' requests
	[ "$(cat m/one m/two m/three)" = $'one\ntwo\nthree' ]
}
