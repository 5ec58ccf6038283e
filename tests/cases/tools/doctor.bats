#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder doctor on this machine, what it cleans up, and umount --force. There
# may be other daemons' mounts, so only what is of this test is looked at.

load ../helpers

setup() {
	larder_setup
	need jq
	mkdir tree m
	echo content >tree/file
}

# doctor [OPTION...]; says LEVEL CHECK TEXT, of what it said.
doctor() {
	larder doctor --json "$@" >result || [ "$?" -eq 1 ]
}

says() {
	jq -e --arg level "$1" --arg check "$2" --arg text "$3" '.checks[] |
		select(.level == $level and .check == $check and
			(.what | contains($text)))' result >/dev/null &&
		return
	jq -r '.checks[] | "\(.level) \(.check) \(.what)"' result
	return 1
}

mounted() {
	require_fuse
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	echo new >m/new
}

kill_supervisor() {
	local worker
	worker=$(worker_pid)
	kill -KILL "$(larder status --json | jq .pid)"
	wait_until no_process "$worker"
}

no_process() {
	! kill -0 "$1" 2>/dev/null
}

@test "each check has a level, and what is not ok has advice" {
	doctor
	jq -e '.checks | length > 8' result
	jq -e 'all(.checks[]; .level == "ok" or (.advice | length > 0))' result
	jq -e 'all(.checks[]; .level |
		IN("ok", "fixed", "warning", "problem"))' result
	for check in kernel fuse helper fuse.conf limits store state config \
		runtime clock daemon tier; do
		jq -e --arg c "$check" 'any(.checks[]; .check == $c)' result
	done
	says ok daemon 'none is running'
	# It starts none, and makes no directory.
	[ -z "$(find cache state -mindepth 1)" ]
	larder doctor | grep -q '^ok  *kernel '
	run larder doctor -q
	[[ $output != *'ok '*kernel* ]]
}

@test "the daemon that answers, and directories of others" {
	larder import -q tree --name tree --key one
	doctor
	says ok daemon 'answers, process'
	says ok sandbox 'gains no privileges'
	says ok clock 'not behind the store'
	chmod 777 cache/larder
	doctor
	says problem store 'others can write to'
	[ "$(jq .problems result)" -ge 1 ]
	run larder doctor
	[ "$status" -eq 1 ]
	chmod 700 cache/larder
	touch -d '+1 hour' cache/larder/v1/owner
	doctor
	says problem clock 'behind the newest files'
	touch cache/larder/v1/owner
}

@test "what a killed daemon leaves is cleaned up, but for changes" {
	mounted
	kill_supervisor
	run ls m
	[ "$status" -ne 0 ]
	doctor
	says problem mounts "$PWD/m is dead"
	says warning left 'the socket'
	says warning changes "$PWD/m"
	run ls m
	[ "$status" -ne 0 ]
	doctor --fix
	says fixed mounts "$PWD/m was dead"
	says fixed left 'the socket'
	says warning changes "$PWD/m"
	[ -z "$(ls -A m)" ]
	[ -z "$(find run -name '*.sock')" ]
	doctor --fix
	says ok left 'no socket and no lock'
	run ! says fixed mounts "$PWD/m"
	larder mount -q --resume m
	[ "$(cat m/new)" = new ]
	doctor
	run ! says warning changes "$PWD/m"
}

@test "a run's lock is removed only where nobody holds it" {
	mkdir -m 700 run/larder
	touch run/larder/run-held.lock run/larder/run-left.lock
	exec {held}<run/larder/run-held.lock
	flock "$held"
	doctor --fix
	says fixed left run-left.lock
	run ! says fixed left run-held.lock
	[ "$(ls run/larder)" = run-held.lock ]
	exec {held}<&-
	doctor
	says warning left run-held.lock
}

@test "a dead mount of another state directory is not taken away" {
	mounted
	kill_supervisor
	XDG_STATE_HOME=$PWD/other doctor --fix
	says problem mounts "$PWD/m is dead"
	run ls m
	[ "$status" -ne 0 ]
	larder umount -q --force m
	ls m
}

@test "a mount that hangs is told of and freed by one command" {
	local worker
	mounted
	worker=$(worker_pid)
	kill -STOP "$worker"
	cat m/file >out 2>&1 3>&- &
	doctor
	says problem mounts "$PWD/m hangs"
	says problem daemon 'does not answer'
	larder umount --force m
	wait "$!" || true
	grep -q 'abort\|not connected' out
	kill -CONT "$worker"
	wait_until kept
	larder mount -q --resume m
	[ "$(cat m/new m/file)" = $'new\ncontent' ]
}

kept() {
	larder status --json | jq -e '.mounts == [] and (.kept | length == 1)'
}

@test "umount --force of what is no mount of Larder" {
	run larder umount --force m
	[ "$status" -eq 1 ]
	[[ $output == *'m is no mount of Larder'* ]]
	run larder umount --force --discard m
	[ "$status" -eq 2 ]
}
