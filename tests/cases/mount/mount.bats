#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The life of a mount.

load ../helpers

setup() {
	larder_setup
	require_fuse
	mkdir -p tree/sub m
	echo content >tree/file
	printf '#!/bin/sh\necho ran\n' >tree/script
	chmod 755 tree/script
	cp /bin/true tree/true
	larder import -q tree --name tree --key one
}

@test "mount shows the entry, umount the directory" {
	larder mount tree@one m
	same_tree tree m
	larder umount m
	[ -z "$(ls -A m)" ]
	run ! mountpoint -q m
}

@test "a read-only mount refuses every change" {
	larder mount -o ro tree@one m
	run bash -c 'echo x >m/file'
	[ "$status" -ne 0 ]
	[[ $output == *"Read-only file system"* ]]
	for change in 'rm m/file' 'mkdir m/new' 'mv m/file m/sub/' \
		'chmod 600 m/file' 'touch m/new' 'ln m/file m/hard' \
		'ln -s x m/soft' 'truncate -s 0 m/file'; do
		run bash -c "$change"
		[ "$status" -ne 0 ]
	done
	same_tree tree m
	larder umount m
}

@test "programs run from the mount, and so do scripts" {
	larder mount tree@one m
	m/true
	[ "$(m/script)" = ran ]
	cp /bin/echo m/echo
	[ "$(m/echo hello)" = hello ]
}

@test "a mount is nosuid and nodev" {
	larder mount tree@one m
	options=$(findmnt -n -o OPTIONS m)
	[[ ,$options, == *,nosuid,* ]]
	[[ ,$options, == *,nodev,* ]]
}

@test "the mount table names the entry" {
	larder mount -o ro tree@one m
	[[ $(findmnt -n -o SOURCE m) == *tree@one* ]]
	run_json status
	[ "$(json '.mounts | length')" -eq 1 ]
	[ "$(json '.mounts[0] | [.dir, .mode, .entry] | join(" ")')" = \
		"$PWD/m ro tree@one" ]
	larder umount m
	run_json status
	[ "$(json '.mounts | length')" -eq 0 ]
}

@test "fusermount3 ends a mount as well" {
	larder mount tree@one m
	fusermount3 -u m
	no_mounts() {
		[ "$(larder status --json | jq '.mounts | length')" -eq 0 ]
	}
	wait_until no_mounts
	larder mount tree@one m
	same_tree tree m
}

@test "umount of a clean mount keeps nothing" {
	larder mount tree@one m
	cat m/file
	run_json umount m
	[ "$(json .kept)" = false ]
	run_json status
	[ "$(json '.kept | length')" -eq 0 ]
	[ -z "$(ls -A "$XDG_STATE_HOME/larder/mounts")" ]
}

@test "umount --discard drops the changes" {
	larder mount tree@one m
	echo changed >m/file
	larder umount --discard m
	run_json status
	[ "$(json '.kept | length')" -eq 0 ]
	[ -z "$(ls -A "$XDG_STATE_HOME/larder/mounts")" ]
	larder mount tree@one m
	same_tree tree m
}

@test "umount of a busy mount is refused, exit code 8; --lazy lets go" {
	larder mount tree@one m
	hold hold-read m/file
	run larder umount m
	[ "$status" -eq 8 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$PWD/m"* ]]
	same_tree tree m

	larder umount --lazy m
	run ! mountpoint -q m
	release
	grep -q content held.out
	gone() {
		[ "$(larder status --json | jq '.mounts | length')" -eq 0 ]
	}
	wait_until gone
}

@test "two mounts of one entry do not see each other's changes" {
	mkdir n
	larder mount tree@one m
	larder mount tree@one n
	echo 'of m' >m/file
	echo 'of n' >n/new
	[ "$(cat n/file)" = content ]
	[ ! -e m/new ]
	larder umount --discard n
	[ "$(cat m/file)" = 'of m' ]
}

@test "an empty mount begins with nothing and takes a tree" {
	larder mount --empty m
	[ -z "$(ls -A m)" ]
	cp -a tree/. m/
	same_tree tree m
}

@test "directories and names are case-sensitive and of 255 bytes at most" {
	larder mount --empty m
	mkdir m/Sub m/sub
	name=$(printf 'n%.0s' $(seq 255))
	echo x >"m/$name"
	run bash -c "echo x >m/${name}n"
	[[ $output == *"too long"* ]]
}

@test "statfs says what is free" {
	larder mount --empty m
	run stat -f -c '%s %b %a %l' m
	read -r size blocks free names <<<"$output"
	[ "$size" -gt 0 ]
	[ "$blocks" -gt 0 ]
	[ "$free" -gt 0 ]
	[ "$names" -eq 255 ]
}

@test "inode numbers are the same at each mount, and after copy-up" {
	larder mount tree@one m
	before=$(find m -printf '%i %P\n' | sort)
	echo more >>m/file
	mv m/sub m/dir
	[ "$(stat -c %i m/file)" = "$(awk '$2 == "file" { print $1 }' \
		<<<"$before")" ]
	[ "$(stat -c %i m/dir)" = "$(awk '$2 == "sub" { print $1 }' \
		<<<"$before")" ]
	larder umount --discard m
	larder mount -o ro tree@one m
	[ "$(find m -printf '%i %P\n' | sort)" = "$before" ]
}
