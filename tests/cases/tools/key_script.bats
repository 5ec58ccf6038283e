#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Scripts and probes as parts of a key: what they print counts; failing and
# hanging are errors, and nothing of them stays behind.

load ../helpers

# one_error WORD...: the last run failed with 1 and one sentence with them.
one_error() {
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[[ $stderr == "larder: "* ]]
	for word; do
		[[ $stderr == *"$word"* ]]
	done
}

@test "what a script prints is the part, and nothing else of it" {
	key=$(larder key --key-script 'printf hello')
	[ "$key" = "$(larder key --key-script 'printf hello' 2>/dev/null)" ]
	[ "$key" != "$(larder key --key-script 'printf hell; printf o')" ]
	need jq
	run_json key --explain --key-script 'echo noise >&2; printf hello'
	[ "$(json '.parts[] | select(.kind == "script") | .digest')" = \
		"$(printf hello | sha256sum | cut -d' ' -f1)" ]
	echo one >version
	one=$(larder key --key-command 'cat version')
	echo two >version
	[ "$one" != "$(larder key --key-command 'cat version')" ]
}

@test "a script sorts, and tells the time, alike for everybody" {
	touch a B c
	run_as() {
		env "$@" larder key --key-script 'ls; date -d @0; printenv LC_ALL'
	}
	key=$(run_as LC_ALL=C TZ=UTC)
	[ "$key" = "$(run_as LC_ALL=en_US.UTF-8 TZ=Asia/Tokyo)" ]
	[ "$key" = "$(run_as -u LC_ALL LANG=de_DE.UTF-8 LANGUAGE=de)" ]
}

@test "output of any size and kind" {
	larder key --key-script 'head -c 5000000 /dev/zero'
	larder key --key-script true
	run --separate-stderr larder key --key-command true
	one_error 'printed nothing' '2>&1'
}

@test "a script that fails is an error with its exit code" {
	run --separate-stderr larder key --key-script 'echo x; exit 7'
	one_error 'exit 7' 'exit code 7'
	run --separate-stderr larder key --key-command 'kill -9 $$'
	one_error --key-command Killed
	run larder key --key-script ./not-there
	[ "$status" -eq 1 ]
	[[ $output == *"exit code 127"* ]]
}

@test "a script that hangs is killed with all that it started" {
	run --separate-stderr larder key --key-timeout 1 --key-script \
		'sleep 1000 & echo $! >one; sleep 1001 & echo $! >two; wait'
	one_error 'within 1 s' --key-timeout
	gone() {
		! kill -0 "$(cat one)" "$(cat two)" 2>/dev/null
	}
	wait_until gone
	# One that will not be asked, and one that only leaves its output open.
	run --separate-stderr larder key --key-timeout 1 --key-script \
		'trap "" TERM; while :; do sleep 0.1; done'
	one_error 'within 1 s'
	run --separate-stderr larder key --key-timeout 1 --key-script \
		'sleep 1000 & echo $! >one'
	one_error 'within 1 s'
	wait_until gone
	run --separate-stderr larder key --key-timeout 1 --key-script \
		'exec >&-; echo $$ >one; exec sleep 1000'
	one_error 'within 1 s'
	wait_until gone
}

@test "interrupting the command ends its scripts" {
	larder key --key-script 'echo $$ >pid; exec sleep 1000' 3>&- &
	wait_until test -s pid
	kill "$!"
	run wait "$!"
	gone() {
		! kill -0 "$(cat pid)" 2>/dev/null
	}
	wait_until gone
}

@test "a script finds no input and no terminal" {
	[ "$(echo x | larder key --key-script 'cat; echo y')" = \
		"$(larder key --key-script 'cat; echo y' </dev/null)" ]
	run larder key --key-script 'cat </dev/tty'
	[ "$status" -eq 1 ]
}

@test "times that are none" {
	for seconds in 0 -1 x 1s '' 86401 99999999999999999999; do
		run --separate-stderr larder key --salt x \
			--key-timeout "$seconds"
		[ "$status" -eq 2 ]
		[[ $stderr == *--key-timeout* ]]
	done
	larder key --salt x --key-timeout 86400
}
