#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# umount --discard, or umount of a mount without changes, and the worker, or
# all of the daemon, dies in the middle: either nothing has happened, or what
# was there is gone. Nothing is left that nobody asked to keep.

load ../helpers

setup() {
	larder_setup
	require_fuse
	mkdir m
}

mount_with_changes() {
	LARDER_FAULT=$1:1:kill larder daemon start -q
	larder mount -q --empty m
	echo changed >m/file
}

worker_is_new() {
	local pid
	pid=$(larder status --json | jq -e .worker_pid) && [ "$pid" != "$1" ]
}

# umount_dies STATUS [ARGUMENT...]: the worker goes, and another one comes, which
# is asked again: it finds done what was to be done, or dies of it, too.
umount_dies() {
	local want=$1 worker
	shift
	worker=$(larder status --json | jq .worker_pid)
	run "-$want" larder umount "$@" m
	wait_until worker_is_new "$worker"
}

kept() {
	larder status --json | jq '.kept | length'
}

nothing_is_kept() {
	[ "$(kept)" -eq 0 ] && [ -z "$(ls -A "$XDG_STATE_HOME/larder/mounts")" ]
}

@test "the worker dies when the kernel has unmounted: the changes are gone" {
	mount_with_changes umount.unmounted
	umount_dies 0 --discard
	run ! mountpoint -q m
	wait_until nothing_is_kept
}

@test "the worker dies before that: the mount is there, and counts" {
	mount_with_changes umount.marked
	umount_dies 1 --discard
	[ "$(cat m/file)" = changed ]
	echo more >m/more
	# An umount that keeps does keep, whatever was asked for before.
	larder umount -q m
	[ "$(kept)" -eq 1 ]
	larder daemon stop -q
	larder mount -q --resume m
	[ "$(cat m/file m/more)" = $'changed\nmore' ]
	larder umount -q --discard m
	nothing_is_kept
}

@test "the whole daemon dies before that: a dead mount was not unmounted" {
	mount_with_changes umount.marked
	pid=$(larder status --json | jq .pid)
	kill -STOP "$pid"
	larder umount --discard m 2>/dev/null 3>&- &
	umount=$!
	marked() {
		[ -e "$(echo "$XDG_STATE_HOME"/larder/mounts/*)/discard" ]
	}
	wait_until marked
	kill -KILL "$pid"
	run ! wait "$umount"
	wait_until -t 60 no_daemon "$BATS_TEST_TMPDIR"
	run ! ls m
	[ "$(kept)" -eq 1 ]
	fusermount3 -uz m
	larder mount -q --resume m
	[ "$(cat m/file)" = changed ]
}

@test "the whole daemon dies when the kernel has unmounted" {
	mount_with_changes umount.unmounted
	larder umount --discard m 2>/dev/null 3>&- &
	umount=$!
	# Whoever looks at m itself keeps it from being unmounted.
	unmounted() {
		! grep -qF " $PWD/m " /proc/mounts
	}
	wait_until unmounted
	for pid in $(daemon_pids "$BATS_TEST_TMPDIR"); do
		kill -KILL "$pid"
	done
	wait "$umount" || true
	wait_until -t 60 no_daemon "$BATS_TEST_TMPDIR"
	nothing_is_kept
}

@test "nothing was changed, and the worker dies when the kernel has unmounted" {
	LARDER_FAULT=umount.unmounted:1:kill larder daemon start -q
	larder mount -q --empty m
	[ -z "$(ls m)" ]
	umount_dies 0
	run ! mountpoint -q m
	wait_until nothing_is_kept
}

@test "all was committed, and the worker dies when the kernel has unmounted" {
	mount_with_changes umount.unmounted
	larder commit -q m --name kept --key one
	umount_dies 0
	wait_until nothing_is_kept
}

@test "changes that are to be kept are kept when the worker dies" {
	mount_with_changes umount.unmounted
	larder commit -q m --name kept --key one
	echo more >m/more
	umount_dies 0
	[ "$(kept)" -eq 1 ]
	larder daemon stop -q
	[ "$(kept)" -eq 1 ]
	larder mount -q --resume m
	[ "$(cat m/file m/more)" = $'changed\nmore' ]
}

@test "changes made behind the look whether there are any are kept" {
	LARDER_FAULT=umount.marked:1:kill larder daemon start -q
	larder mount -q --empty m
	worker=$(larder status --json | jq .worker_pid)
	pid=$(larder status --json | jq .pid)
	run ! larder umount m
	wait_until worker_is_new "$worker"
	# As if this had come between the mark and the umount.
	echo changed >m/file
	kill -STOP "$pid"
	touch "$(echo "$XDG_STATE_HOME"/larder/mounts/*)/unmount"
	for pid in $(daemon_pids "$BATS_TEST_TMPDIR"); do
		kill -KILL "$pid"
	done
	wait_until -t 60 no_daemon "$BATS_TEST_TMPDIR"
	fusermount3 -uz m
	[ "$(kept)" -eq 1 ]
	larder mount -q --resume m
	[ "$(cat m/file)" = changed ]
	larder umount -q --discard m
	nothing_is_kept
}

@test "a busy mount that was not to be kept is kept after all" {
	larder mount -q --empty m
	echo changed >m/file
	exec 8<m/file
	run larder umount --discard m
	[ "$status" -eq 8 ]
	exec 8<&-
	[ -z "$(ls "$XDG_STATE_HOME"/larder/mounts/*/discard 2>/dev/null)" ]
	larder umount -q m
	larder daemon stop -q
	[ "$(kept)" -eq 1 ]
}
