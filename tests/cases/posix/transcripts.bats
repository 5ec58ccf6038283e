#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A mount does what the local file system does, call by call.

load ../helpers
load common

setup() {
	larder_setup
	require_fuse
}

@test "every operation changes the times that it should" {
	mount_empty
	same_transcript times
	grep -A 1 '^chown_nothing' m.out | grep -q 'd/f: ctime'
	grep -A 1 '^punch' m.out | grep -q 'd/f: mtime ctime'
	[ "$(grep -c ':' m.out)" -gt 100 ]
}

@test "... also of what is the base's" {
	mkdir -p beside/d beside/e m
	printf 0123456789 >beside/d/f
	printf u >beside/d/u
	printf x >beside/e/x
	: >beside/d/g
	larder import -q beside --name base --key one
	larder mount -q base@one m
	same_transcript times
	[ "$(grep -c ':' m.out)" -gt 100 ]
}

@test "suid, sgid and sticky bits: who keeps them, and what they do" {
	require_root
	mount_empty -o suid,dev,allow_other
	chmod 777 m
	mkdir -m 777 beside
	chmod 777 beside
	chmod 755 .
	same_transcript setid
	grep -q '^owner outside the group, 2644' m.out
	grep -q 'sticky, somebody else: unlink: EPERM' m.out
}
