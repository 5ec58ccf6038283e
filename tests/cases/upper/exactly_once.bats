#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The worker dies after it wrote the record of a change and before it answered,
# at every change: the next one answers from the log. No program sees an error,
# and nothing is done twice. The supervisor gives up on a worker that dies more
# often than it may, so each case makes a few changes only.

load ../helpers
load common

setup_file() {
	upper_setup_file
}

setup() {
	upper_setup
	larder umount -q m
	larder daemon stop -q
	export -f fsops
	export LARDER_FAULT=log.appended:1:kill
	larder mount -q base@one m
	log=$XDG_STATE_HOME/larder/larderd.log
}

deaths() {
	grep -c 'killed by signal 9' "$log"
}

# dies COUNT SCRIPT: the script does the same in m and in plain, and the worker
# dies so many times meanwhile.
dies() {
	in_both "$2"
	echo "the worker died $(deaths) times"
	[ "$(deaths)" -eq "$1" ]
}

@test "making and linking" {
	dies 5 '
		mkdir new-dir
		mkfifo new-dir/fifo
		ln -s ../a new-dir/link
		ln a new-dir/hard
		: >new-dir/file
	'
	[ "$(stat -c %h m/a)" -eq 2 ]
}

@test "removing and renaming" {
	dies 5 '
		rm a
		rmdir empty
		mv b dir/moved
		fsops exchange dir/moved other/file
		mv -T dir other/n1.d
	'
}

@test "a name taken by a rename stays taken" {
	dies 3 '
		fsops noreplace b fresh
		! fsops noreplace script fresh
		mv fresh script
		rm script
	'
}

@test "writing, at the end and in the middle" {
	dies 5 '
		echo more >>a
		printf X | dd of=b conv=notrunc status=none
		printf 0123456789 | dd of=large bs=10 seek=400000 \
			conv=notrunc iflag=fullblock status=none
		fallocate -p -o 4096 -l 8192 large
		truncate -s 4999999 large
	'
}

@test "attributes" {
	dies 4 '
		chmod 640 a
		touch -d 2001-02-03 b
		setfattr -n user.x -v y hard1
		setfattr -x user.x hard1
	'
	[ "$(stat -c %y m/b)" = "$(stat -c %y plain/b)" ]
}

@test "a request that every worker dies of fails alone" {
	larder umount -q --discard m
	larder daemon stop -q
	export LARDER_FAULT=log.append:1:abort
	larder mount -q base@one m
	run mkdir m/new-dir
	[ "$status" -eq 1 ]
	[[ $output == *"Input/output error"* ]]
	[ "$(grep -c 'killed by signal 6' "$log")" -eq 3 ]
	grep -q 'workers died of a MKDIR of node 1: it fails' "$log"
	same_shape plain m
	[ "$(larder status --json | jq '.mounts | length')" -eq 1 ]
}

is_gone() {
	! kill -0 "$1" 2>/dev/null
}

# unanswered LARDER-ARGUMENT...: the worker dies when it has done what the command
# asks for; the next one is asked again. Each dies at its third answer.
unanswered() {
	larder daemon stop -q
	LARDER_FAULT=control.answer:3:kill larder list -q >/dev/null
	supervisor=$(larder status --json | jq .pid)
	run larder "$@"
	kill "$supervisor"
	wait_until is_gone "$supervisor"
	[ "$(deaths)" -eq 1 ]
	: >"$log"
}

@test "a command whose answer was lost is not done twice" {
	larder umount -q --discard m
	unset LARDER_FAULT
	: >"$log"
	larder import -q plain --name other --key one
	larder import -q plain --name other --key two

	unanswered mount --empty m
	[ "$status" -eq 0 ]
	larder mount -q --empty m
	echo new >m/file
	larder umount -q m
	unanswered mount --resume m
	[ "$status" -eq 0 ]
	larder mount -q --resume m
	[ "$(cat m/file)" = new ]
	larder umount -q m
	unanswered rm other@one
	[ "$status" -eq 0 ]
	[ "$(larder list --json | jq -r '[.entries[] |
		select(.name == "other").key] | join(" ")')" = two ]
}

@test "an umount whose answer was lost says what became of the changes" {
	larder umount -q --discard m
	larder daemon stop -q
	: >"$log"
	export LARDER_FAULT=control.answer:2:kill
	larder mount -q --empty m
	echo new >m/file
	run larder umount m
	[ "$status" -eq 0 ]
	[[ $output == *"its changes are kept"* ]]
	[ "$(deaths)" -eq 1 ]
	[ -z "$(ls -A m)" ]
}

@test "what may name another entry when it is asked again is not removed" {
	larder umount -q --discard m
	unset LARDER_FAULT
	: >"$log"
	larder import -q plain --name other --key one
	larder import -q plain --name other --key two
	unanswered rm other@latest
	[ "$status" -eq 1 ]
	[[ $output == *"may name another entry now"* ]]
	[ "$(larder list --json | jq -r '[.entries[] |
		select(.name == "other").key] | join(" ")')" = one ]
}
