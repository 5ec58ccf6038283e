#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A few of stress-ng's stressors at the same time, for a few seconds;
# contrib/stress runs all of them and compares with the file system below.

load ../helpers

setup() {
	local stressor
	larder_setup
	require_fuse
	need stress-ng
	arguments=(--verify --timeout 3 --hdd-bytes 8M --temp-path m)
	for stressor in chmod copy-file dentry fallocate fpunch getdent hdd \
		link lockofd rename seek symlink utime xattr; do
		arguments+=("--$stressor" 1)
	done
}

@test "stress-ng finds no fault, as root" {
	require_root
	mkdir m
	larder mount -q --empty m
	stress-ng "${arguments[@]}"
	# They remove what they make.
	[ -z "$(ls -A m)" ]
}

@test "stress-ng finds no fault, as an ordinary user" {
	as_user mkdir m
	as_user larder mount -q --empty m
	as_user stress-ng "${arguments[@]}"
	[ -z "$(as_user ls -A m)" ]
}
