#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# One mount of every entry and the kernel's caches: what nobody uses is given
# back when it is in the way, and what somebody uses is not.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	export LARDER_STORE_GRACE=none LARDER_STORE_MIN_FREE=none
	mkdir -p all one/d/e two/d
	for n in 1 2 3; do
		head -c 5000 /dev/urandom >"one/d/e/$n"
		head -c 5000 /dev/urandom >"two/$n"
	done
	echo 1 >one/own
}

import() {
	larder import -q one --name web --key k1
	larder import -q two --name web --key k2
	larder mount --all all
	web=all/default/web
}

# use TREE KEY: the kernel knows of all of it, and of what is not there.
use() {
	same_tree "$1" "$web/$2"
	[ ! -e "$web/$2/none" ]
	[ ! -e "$web/$2/d/none" ]
}

held() {
	mount_field all all.entries
}

needs_pruning() {
	awk -F. '{ exit !($1 > 6 || ($1 == 6 && $2 >= 18)) }' \
		/proc/sys/kernel/osrelease ||
		skip "this kernel cannot be asked to drop nodes"
}

has_entry() {
	larder list | grep -qw "$1"
}

# stand_in DIR COMMAND... runs a shell that stands in DIR and has a file of it
# open; leave makes it look around and go.
stand_in() {
	mkfifo stand.in
	(
		here=$PWD
		cd "$1"
		exec 7<1
		echo ready
		read -r _
		[ "$(/bin/pwd)" = "$here/$1" ]
		cmp 2 "$here/$2/2"
		cmp /proc/self/fd/7 "$here/$2/1"
		case $(readlink /proc/self/fd/7) in *deleted*) exit 1 ;; esac
		echo done
	) <stand.in >stand.out 2>&1 3>&- &
	stand_pid=$!
	exec {stand_fd}>stand.in
	wait_until grep -q ready stand.out
}

leave() {
	echo >&"$stand_fd"
	exec {stand_fd}>&-
	wait "$stand_pid" || { cat stand.out; return 1; }
	rm stand.in
}

# collected N: no more than N entries are held after a collection; who has just
# ended may hold one for a moment.
collected() {
	larder gc -q
	[ "$(held)" -eq "$1" ]
}

@test "a collection takes an entry that was removed, though it is cached" {
	needs_pruning
	import
	use one k1
	use two k2
	[ "$(held)" -eq 2 ]
	larder rm -q web@k1
	wait_until collected 1
	# The other one has lost nothing.
	before=$(mount_field all 'requests | [.READ, .READDIRPLUS]')
	same_tree two $web/k2
	[ "$(mount_field all 'requests | [.READ, .READDIRPLUS]')" = \
		"$before" ]
}

@test "what somebody uses is not taken, and is as it was" {
	needs_pruning
	import
	use one k1
	use two k2
	stand_in $web/k1/d/e one/d/e
	larder rm -q web@k2
	wait_until collected 1
	leave
	# The same of an entry that is gone: the files stay.
	exec 7<$web/k1/own
	larder rm -q web@k1
	larder gc -q
	[ "$(held)" -eq 1 ]
	[ "$(cat <&7)" = 1 ]
	exec 7<&-
	wait_until collected 0
}

@test "a store that is too large gets what is only cached" {
	needs_pruning
	# What is used and what is not: only the former is left.
	export LARDER_STORE_MAX_SIZE=6K
	import
	use one k1
	use two k2
	stand_in $web/k1/d/e one/d/e
	wait_until collected 1
	has_entry k1
	run has_entry k2
	[ "$status" -ne 0 ]
	[ ! -e $web/k2 ]
	leave
}

@test "another mount is unmounted while the kernel is being asked" {
	local messenger gc
	larder import -q two --name other --key k1
	mkdir m
	larder mount -q other@k1 m
	import
	use one k1
	messenger=$(pgrep -x -P "$(worker_pid)" larder-messages)
	kill -STOP "$messenger"
	larder rm -q web@k1
	larder gc -q 3>&- &
	gc=$!
	# Its answer is waited for, ten seconds, of which one has passed.
	sleep 1
	timeout 8 "$LARDER" umount -q m
	kill -CONT "$messenger"
	wait "$gc"
	# And the mount of all entries itself.
	larder umount -q all
}

@test "after a worker's death, too" {
	needs_pruning
	require_root
	import
	same_tree one $web/k1
	same_tree two $web/k2
	exec 7<$web/k2/1
	kill_worker
	larder rm -q web@k1
	larder rm -q web@k2
	wait_until collected 1
	cmp /proc/self/fd/7 two/1
	exec 7<&-
	wait_until collected 0
}
