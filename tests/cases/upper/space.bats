#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What is deleted, overwritten or committed gives its disk space back while
# the mount goes on.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir m
	larder mount -q --empty m
}

state_bytes() {
	du -s --block-size=1 "$XDG_STATE_HOME" | cut -f 1
}

state_is_below() {
	[ "$(state_bytes)" -lt "$1" ]
}

# Zeros take space as all else does.
write_mib() {
	dd if=/dev/zero of="$1" bs=1M count="$2" status=none "${@:3}"
}

@test "a deleted file" {
	write_mib m/large 48
	[ "$(state_bytes)" -gt $((48 << 20)) ]
	rm m/large
	wait_until state_is_below $((4 << 20))
}

@test "a file that is overwritten in place again and again" {
	for i in $(seq 6); do
		write_mib m/large 16 conv=notrunc
	done
	wait_until state_is_below $(((16 + 36) << 20))
	[ "$(stat -c %s m/large)" -eq $((16 << 20)) ]
}

@test "holes in a file" {
	write_mib m/large 48
	fallocate -p -o 4MiB -l 40MiB m/large
	wait_until state_is_below $((12 << 20))
}

@test "small files" {
	mkdir m/dir
	for i in $(seq 400); do
		head -c 250000 /dev/zero >"m/dir/$i"
	done
	[ "$(state_bytes)" -gt $((90 << 20)) ]
	rm -r m/dir
	# 32 MiB of what is dead and as much of stale records may stay.
	wait_until state_is_below $((68 << 20))
}

@test "what a commit has" {
	for i in $(seq 20); do
		head -c 250000 /dev/urandom >"m/$i"
	done
	head -c 3000000 /dev/urandom >m/large
	cp m/large large
	[ "$(state_bytes)" -gt 8000000 ]
	larder commit -q m --name space --key one
	wait_until state_is_below 2000000
	cmp large m/large
}
