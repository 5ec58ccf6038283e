#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A full disk: an error that says so, nothing lost, and all goes on when there
# is room again.

load ../helpers

setup() {
	larder_setup
	require_root
	need jq
	mkdir -p tree m small
	echo content >tree/file
	head -c 3000000 /dev/urandom >tree/large
	mount -t tmpfs -o size=32m larder-test small ||
		skip "nothing can be mounted here"
}

teardown() {
	local result=0
	larder_teardown || result=1
	umount "$BATS_TEST_TMPDIR/small" 2>/dev/null ||
		umount -l "$BATS_TEST_TMPDIR/small" 2>/dev/null || true
	return "$result"
}

fill() {
	dd if=/dev/zero of=small/filler bs=64k status=none 2>/dev/null || true
	dd if=/dev/zero of=small/filler bs=1k oflag=append conv=notrunc \
		status=none 2>/dev/null || true
}

make_room() {
	rm -f small/filler
}

# run_until_full COMMAND PREFIX: with a number behind it, until it fails.
run_until_full() {
	local i
	for ((i = 0; i < 20000; i++)); do
		"$1" "$2$i" 2>/dev/null || return 0
	done
	echo "never full" >&2
	return 1
}

# says_full STATUS: the last command failed and said why, in a sentence.
says_full() {
	if [ "$status" -ne 1 ] || [[ $output != *"o space"* ]]; then
		echo "status $status: $output"
		return 1
	fi
}

@test "an import into a store that has no room" {
	export XDG_CACHE_HOME=$PWD/small
	larder import -q tree --name tree --key one
	mkdir more
	head -c 60000000 /dev/urandom >more/large
	run larder import more --name tree --key two
	says_full
	run larder show tree@two
	[ "$status" -eq 3 ]
	larder cat tree@one large | cmp - tree/large

	# What was written is gone, so there is room for less.
	head -c 5000000 /dev/urandom >more/large
	larder import -q more --name tree --key two
	larder cat tree@two large | cmp - more/large
	larder daemon stop
}

@test "a commit into a store that has no room" {
	require_fuse
	export XDG_CACHE_HOME=$PWD/small
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	head -c 4000000 /dev/urandom >m/new
	cp m/new copy
	fill
	run larder commit m --name tree --key two
	says_full
	cmp copy m/new
	run larder show tree@two
	[ "$status" -eq 3 ]

	make_room
	larder commit -q m --name tree --key two
	larder cat tree@two new | cmp - copy
	cmp copy m/new
	larder umount m
	larder daemon stop
}

@test "writing in a mount whose upper has no room" {
	require_fuse
	export XDG_STATE_HOME=$PWD/small
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	echo kept >m/kept
	sync -f m
	run dd if=/dev/urandom of=m/new bs=1M count=60 conv=fsync status=none
	[ "$status" -ne 0 ]
	[[ $output == *"o space"* ]]
	[ "$(cat m/kept)" = kept ]
	cmp tree/large m/large

	# Room comes back with what is removed.
	rm -f m/new
	echo again >m/again
	sync -f m
	head -c 5000000 /dev/urandom >copy
	cp copy m/copy
	sync -f m
	cmp copy m/copy
	larder umount m
	larder mount -q --resume m
	[ "$(cat m/kept m/again | xargs)" = 'kept again' ]
	cmp copy m/copy
	larder umount --discard m
	larder daemon stop
}

@test "each change in a mount fails when there is no room, and none is half" {
	require_fuse
	export XDG_STATE_HOME=$PWD/small
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	mkdir m/dir
	echo 1 >m/a
	fill
	# Until the room in the last block is used up.
	for i in $(seq 5000); do
		touch "m/name$i" 2>/dev/null || break
	done
	[ "$i" -lt 5000 ]
	before=$(ls -R m)
	for change in 'touch m/new' 'mkdir m/made' 'mv m/a m/b' \
		'ln m/a m/hard' 'ln -s x m/soft'; do
		run bash -c "$change"
		[ "$status" -ne 0 ]
	done
	[ "$(ls -R m)" = "$before" ]
	make_room
	mv m/a m/b
	rmdir m/dir
	touch m/new
	larder umount m
	larder mount -q --resume m
	[ "$(cat m/b)" = 1 ]
	[ -e m/new ]
	[ ! -e m/dir ]
	larder umount --discard m
	larder daemon stop
}

# fill_files DIR SIZE [COUNT]: files of SIZE random bytes until one of them finds
# no room; copies of those that were written whole are in copies/.
fill_files() {
	local i
	mkdir -p copies
	for ((i = 0; i < ${3:-5000}; i++)); do
		head -c "$2" /dev/urandom >"copies/f$2-$i"
		if ! dd if="copies/f$2-$i" of="$1/f$2-$i" bs=1M status=none \
			2>/dev/null; then
			rm "copies/f$2-$i"
			return 0
		fi
	done
	echo "never full" >&2
	return 1
}

same_files() {
	local file
	for file in copies/*; do
		cmp "$file" "m/${file##*/}" || return
	done
}

@test "store and state share a disk that is filled to the last block" {
	require_fuse
	export XDG_STATE_HOME=$PWD/small/state XDG_CACHE_HOME=$PWD/small/cache
	larder mount -q --empty m
	fill_files m 3000000
	fill_files m 20000
	fill_files m 300
	same_files
	drop_caches
	same_files

	# No old byte is lost to one that cannot be written.
	run dd if=/dev/urandom of=m/f3000000-0 bs=1M count=2 conv=notrunc \
		status=none
	[ "$status" -ne 0 ]
	drop_caches
	same_files

	# What removes works, and makes room at once for everything.
	rm m/f3000000-1 copies/f3000000-1
	mkdir m/made
	head -c 2000000 /dev/urandom >copies/again
	wait_until cp copies/again m/again
	same_files
	kill_worker
	same_files

	rm m/f3000000-[2-9] copies/f3000000-[2-9]
	rmdir m/made
	larder commit -q m --name full --key one
	mkdir checked
	larder mount -q -o ro full@one checked
	diff -r m checked
	same_files
	larder umount checked
	larder umount m
	larder daemon stop
}

@test "a commit has the room of what was removed before" {
	require_fuse
	export XDG_STATE_HOME=$PWD/small/state XDG_CACHE_HOME=$PWD/small/cache
	larder mount -q --empty m
	head -c 1000000 /dev/urandom >copy
	cp copy m/copy
	fill_files m 3000000
	# The mount has room again, and the disk then has not.
	rm m/f3000000-0
	wait_until mkdir m/made
	fill
	rm m/f3000000-*
	larder commit -q m --name full --key one
	larder cat full@one copy | cmp - copy
	larder umount m
	larder daemon stop
}

@test "files are removed from a disk without a free block" {
	require_fuse
	export XDG_STATE_HOME=$PWD/small
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	mkdir m/dir
	for i in $(seq 200); do
		echo "$i" >"m/dir/$i"
	done
	sync -f m
	fill
	run_until_full touch m/new
	rm m/file m/dir/*
	rmdir m/dir
	truncate -s 0 m/large
	[ ! -e m/dir ]
	make_room
	larder umount m
	larder mount -q --resume m
	[ ! -e m/file ]
	[ ! -e m/dir ]
	[ "$(stat -c %s m/large)" -eq 0 ]
	larder umount --discard m
	larder daemon stop
}

@test "a mount whose state has no room is refused" {
	require_fuse
	export XDG_STATE_HOME=$PWD/small
	larder import -q tree --name tree --key one
	fill
	run larder mount tree@one m
	says_full
	run ! mountpoint -q m
	make_room
	larder mount -q tree@one m
	larder umount m
	larder daemon stop
}

@test "a run whose commit has no room keeps what was built" {
	require_fuse
	export XDG_CACHE_HOME=$PWD/small
	larder daemon start
	run larder run --path out --key one -- \
		dd if=/dev/urandom of=out/large bs=1M count=60 status=none
	# The build is done, so it has not failed.
	[ "$status" -eq 0 ]
	[[ $output == *"o space"* ]]
	[ "$(stat -c %s out/large)" -eq 62914560 ]
	run_json list
	[ "$(json '.entries | length')" -eq 0 ]
	larder umount --discard out
	larder daemon stop
}

@test "an import that fails at any point of its publication" {
	# Opening a new store publishes, too.
	larder daemon start
	for point in publish.open publish.sync publish.rename \
		publish.dirsync store.blob ingest.index; do
		larder daemon stop
		LARDER_FAULT=$point:1:ENOSPC larder daemon start
		run larder import tree --name tree --key "$point"
		if [ "$status" -ne 0 ]; then
			says_full
			run larder show "tree@$point"
			[ "$status" -eq 3 ]
		fi
		larder import -q tree --name tree --key "$point"
		larder cat "tree@$point" large | cmp - tree/large
	done
}
