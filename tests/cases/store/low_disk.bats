#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A disk that others fill, with the store and the uppers of mounts on it: what
# the daemon gives up by itself, and in which order.

load ../helpers
load ../remote/common

setup() {
	larder_setup
	require_root
	require_fuse
	need jq
	mkdir small share far own m n
	mount -t tmpfs -o size=96m larder-test small ||
		skip "nothing can be mounted here"
	mkdir small/cache small/state
	export XDG_CACHE_HOME=$PWD/small/cache XDG_STATE_HOME=$PWD/small/state
	export LARDER_STORE_GRACE=none LARDER_STORE_MAX_SIZE=none
	export LARDER_STORE_MIN_FREE=$((min_free >> 20))M
}

teardown() {
	local result=0
	machines_teardown || result=1
	umount "$BATS_TEST_TMPDIR/small" 2>/dev/null ||
		umount -l "$BATS_TEST_TMPDIR/small" 2>/dev/null || true
	return "$result"
}

min_free=$((24 << 20))

free_bytes() {
	stat -f -c '%a %S' small | awk '{ print $1 * $2 }'
}

# lack BYTES: others take so much that BYTES of what is to be free are not.
lack() {
	head -c $(($(free_bytes) - min_free + $1)) /dev/zero >>small/filler
}

entry() {
	head -c "$2" /dev/urandom >own/file
	larder import -q own --name app --key "$1"
}

keys() {
	larder list --json | jq -r '[.entries[].key] | sort | join(" ")'
}

fetched_files() {
	find small/cache/larder/v1/sparse -type f | wc -l
}

enough_is_free() {
	[ "$(free_bytes)" -ge "$min_free" ]
}

@test "what was fetched gives way first, then old entries, and changes never" {
	head -c 8000000 /dev/urandom >far/large
	head -c 24000000 /dev/urandom >far/unread
	on one "$LARDER" import -q far --name far --key k1
	on one "$LARDER" push -q --to "file://$PWD/share" far@k1
	entry old 8000000
	entry new 8000000
	larder mount -q app@new n
	head -c 4000000 /dev/urandom >n/changed
	cp n/changed changed
	larder umount -q n
	larder mount -q --from "file://$PWD/share" far@k1 m
	cmp far/large m/large
	larder umount -q m
	[ "$(fetched_files)" -gt 0 ]

	# The daemon looks when the store grows.
	lack 3000000
	entry tiny1 10
	wait_until -t 60 enough_is_free
	[ "$(fetched_files)" -eq 0 ]
	[ "$(keys)" = "k1 new old tiny1" ]

	lack 4000000
	entry tiny2 10
	wait_until -t 60 enough_is_free
	[[ " $(keys) " != *" old "* ]]
	[[ " $(keys) " == *" tiny2 "* ]]

	# There is nothing left that may go.
	lack 3000000
	entry tiny3 10
	run_json gc
	[ "$(json .after.over)" = true ]
	larder mount -q --resume n
	cmp changed n/changed
	larder umount -q --discard n
}
