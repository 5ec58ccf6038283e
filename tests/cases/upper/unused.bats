#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What nobody read: larder diff --unused, and --only-used.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir -p base/{dir/sub,gone/deep,nothing,bin}
	echo one >base/one
	echo two >base/two
	echo in-dir >base/dir/file
	echo sub >base/dir/sub/file
	echo gone >base/gone/deep/file
	echo linked >base/linked
	ln base/linked base/dir/link
	ln -s two base/symlink
	: >base/empty
	printf '#!/bin/sh\necho ran\n' >base/bin/script
	chmod 755 base/bin/script
	cp "$(type -P true)" base/bin/true
	mkdir m
}

mount_base() {
	larder import -q base --name base --key one
	larder mount -q "$@" base@one m
}

# unused prints what nobody read, in one line.
unused() {
	larder diff -q --unused "${1:-m}" | paste -sd' '
}

@test "files that were read, run or mapped are used, and all others are not" {
	mount_base
	[ "$(unused)" = 'bin/script bin/true dir/file dir/link dir/sub/file gone/deep/file linked one two' ]

	# Looking is not reading.
	find m -ls >/dev/null
	stat m/one m/dir/file >/dev/null
	[ "$(unused | wc -w)" -eq 9 ]

	cat m/dir/link m/symlink >/dev/null
	[ "$(m/bin/script)" = ran ]
	m/bin/true
	fsops mmap-private m/one 0 X
	[ "$(unused)" = 'dir/file dir/sub/file gone/deep/file' ]

	run_json diff --unused m
	[ "$(json .known)" = true ]
	[ "$(json .files)" -eq 3 ]
	[ "$(json '.unused[0] | [.path, .size] | join(" ")')" = 'dir/file 7' ]
}

@test "a read-only mount can tell, too" {
	mount_base -o ro
	cat m/two m/one >/dev/null
	[ "$(unused)" = 'bin/script bin/true dir/file dir/link dir/sub/file gone/deep/file linked' ]
}

@test "what was read outlives the worker and the mount" {
	mount_base
	cat m/one >/dev/null
	kill_worker
	cat m/two >/dev/null
	[ "$(unused)" = 'bin/script bin/true dir/file dir/link dir/sub/file gone/deep/file linked' ]

	touch m/changed
	larder umount -q m
	larder mount -q --resume m
	[ "$(unused)" = 'bin/script bin/true dir/file dir/link dir/sub/file gone/deep/file linked' ]
	larder daemon stop --force
	larder mount -q --resume m
	cat m/linked >/dev/null
	[ "$(unused)" = 'bin/script bin/true dir/file dir/sub/file gone/deep/file' ]
}

@test "what was read in another boot is not known, and nothing is left out" {
	mount_base
	touch m/changed
	larder umount -q m
	larder daemon stop
	# Byte 16 is the first one of the boot's id.
	printf '\0\0\0\0' | dd of="$(echo "$XDG_STATE_HOME"/larder/mounts/*/used)" \
		bs=1 seek=16 conv=notrunc status=none
	larder mount -q --resume m
	run -0 --separate-stderr larder diff --unused m
	[ -z "$output" ]
	[[ $stderr == *'is not known'* ]]
	run -0 --separate-stderr larder commit m --only-used --name base --key two
	[[ $stderr == *'nothing of it was left out'* ]]
	[ "$(larder cat base@two gone/deep/file)" = gone ]
}

@test "commit --only-used leaves the rest out, and the mount is what the entry is" {
	mount_base
	cat m/one m/dir/link >/dev/null
	echo new >m/new
	run -0 --separate-stderr larder commit m --only-used --name base --key two
	[[ $stderr == *'left out 6 files'* ]]
	[ "$(cd m && find . | sort | paste -sd' ')" = \
		'. ./dir ./dir/link ./empty ./linked ./new ./nothing ./one ./symlink' ]
	[ "$(larder diff m | wc -l)" -eq 0 ]
	tree_digest m >here
	mkdir again
	larder mount -q -o ro base@two again
	tree_digest again | cmp - here
	larder umount -q again

	# The entry that it was built on is as it was.
	larder materialize -q base@one first
	same_tree base first
}

@test "without --only-used all of it is committed" {
	mount_base
	cat m/one >/dev/null
	larder commit -q m --name base --key two
	larder materialize -q base@two all
	same_tree base all
}

@test "run --only-used: entries that are built on entries stay minimal" {
	larder import -q base --name demo --key one
	run -0 --separate-stderr larder run --only-used --name demo --path m \
		--key two -- sh -c 'cat m/one m/dir/file; echo new >m/new'
	[ "$output" = $'one\nin-dir' ]
	[[ $stderr == *'left out 7 files'* ]]
	[ "$(larder ls demo@two --json | jq -r '.items[].name' | sort | paste -sd' ')" = \
		"$(ls m | sort | paste -sd' ')" ]
	[ ! -e m/two ]
	# The mount serves the next run as it is.
	run_json run --only-used --name demo --path m --key two -- touch ran
	[ "$(json '[.outcome, .reused] | join(" ")')" = 'exact true' ]
	[ ! -e ran ]
	[ -e m/one ]
}

@test "run --only-used counts from its own beginning in a mount that was there" {
	larder import -q base --name demo --key one
	run -0 larder run --name demo --path m --key two -- \
		cat m/one m/two m/dir/file
	echo changed >m/bin/script
	[ "$(unused)" = 'bin/true dir/link dir/sub/file gone/deep/file linked' ]
	# Without it, nothing is forgotten.
	larder run --name demo --path m --key three -- cat m/linked
	[ "$(unused)" = 'bin/true dir/sub/file gone/deep/file' ]

	# What the kernel still has of a file is no reason to call it unread.
	run -0 --separate-stderr larder run --only-used --name demo --path m \
		--key four -- cat m/one m/symlink
	[ "$output" = $'one\ntwo' ]
	[[ $stderr == *'left out 6 files'* ]]
	[ "$(cd m && find . -type f | sort | paste -sd' ')" = \
		'./bin/script ./empty ./one ./two' ]
	[ "$(cat m/bin/script)" = changed ]
	# One that is skipped counts nothing.
	run -0 larder run --only-used --name demo --path m --key four -- false
	[ -z "$(unused)" ]
}

@test "run --only-used with several directories" {
	both() {
		larder run --name demo --path a --path b --key "$@"
	}
	both one -- sh -c 'echo x >a/x; echo y >a/y; echo z >b/z; echo v >b/v'
	larder umount -q a
	larder umount -q b
	run -0 --separate-stderr both two --only-used -- cat a/x b/z
	[[ $stderr == *'left out 2 files'* ]]
	[ "$(larder export demo@two | tar -t | grep -c '/[xyzv]$')" -eq 2 ]
	[ "$(ls a b | paste -sd' ')" = 'a: x  b: z' ]
}

@test "only a mount can tell" {
	run -2 --separate-stderr larder run --only-used --materialize --path m \
		--key k -- true
	[[ $stderr == *'only a mount can tell what was read'* ]]
	mkdir ro && larder import -q base --name base --key one
	larder mount -q -o ro base@one ro
	run -1 --separate-stderr larder commit ro --only-used --name base --key two
	[[ $stderr == *'read-only'* ]]
	run -1 --separate-stderr larder diff --unused base
	[[ $stderr == *'is no Larder mount'* ]]
}
