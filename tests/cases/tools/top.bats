#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder top: rounds on a terminal and elsewhere, and the terminal afterwards.

load ../helpers

setup() {
	larder_setup
	need jq
	mkdir -p tree m
	seq 1 100000 >tree/large
}

mounted() {
	require_fuse
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
}

# has FILTER: whether a round of rounds.out is so.
has() {
	jq -es "any(.[]; $1)" rounds.out >/dev/null
}

@test "without a daemon it says so, and starts none" {
	run larder top --once
	[ "$status" -eq 0 ]
	[[ $output == *'no daemon is running'* ]]
	run_json top --once
	[ "$(json .running)" = false ]
	[ "$(json .schema)" = larder/1 ]
	[ -z "$(daemon_pids "$BATS_TEST_TMPDIR")" ]
	run larder top --sort size
	[ "$status" -eq 2 ]
	run larder top -n 0
	[ "$status" -eq 2 ]
}

@test "a round tells what each mount did, also through a restart" {
	mounted
	larder top --json >rounds.out 3>&- &
	top=$!
	read_again() {
		dd if=m/large of=/dev/null bs=4k iflag=direct status=none
		echo x >>m/new
		has '.mounts[0].per_second | .read_bytes > 0 and .requests > 0'
	}
	wait_until read_again
	has '.mounts[0] | .dir == "'"$PWD"'/m" and .mode == "rw"'
	wait_until has '.mounts[0].per_second.written_bytes > 0
		and .per_second.written_bytes > 0'
	first=$(worker_pid)
	has ".worker_pid == $first"
	larder daemon restart -q
	wait_until has ".worker_pid != $first"
	kill_worker
	third() {
		[ "$(jq -s 'map(.worker_pid) | unique | length' rounds.out)" -ge 3 ]
	}
	wait_until third
	kill "$top"
	wait "$top" || true
}

@test "text has a line a mount; -n ends it" {
	mounted
	larder top -n 1 --sort mount >rounds.out
	grep -qE "^larder [0-9:]{8}, worker $(worker_pid), .* 1 mount, " rounds.out
	grep -qE '^REQ/S +READ/S .* MOUNT$' rounds.out
	grep -qE ' rw +/.*/m$' rounds.out
	run ! grep -q $'\e' rounds.out
}

# on_terminal FILE COMMAND types what is written to descriptor $keys there;
# what is shown is in FILE. The terminal's settings before and behind are
# compared.
on_terminal() {
	mkfifo keys.in
	TERM=xterm script -qec "stty -g >before; $2; echo \$? >code; \
		stty -g >behind" /dev/null <keys.in >"$1" 3>&- &
	terminal=$!
	exec {keys}>keys.in
}

left_alone() {
	exec {keys}>&-
	wait "$terminal"
	cmp before behind
	[[ $(cat shown) == *$'\e[?1049h'*$'\e[?25h\e[?1049l'* ]]
}

@test "on a terminal keys sort and end it, and the terminal is as before" {
	need script
	mounted
	on_terminal shown 'larder top'
	wait_until grep -q 'by requests' shown
	printf '>' >&$keys
	wait_until grep -q 'by read' shown
	printf '<<' >&$keys
	wait_until grep -q 'by mount' shown
	printf q >&$keys
	wait_until test -s behind
	left_alone
	[ "$(cat code)" -eq 0 ]
}

@test "a signal restores the terminal, too" {
	need script
	local top_pid
	on_terminal shown 'sh -c "echo \$\$ >pid; exec larder top"'
	wait_until grep -q 'no daemon' shown
	top_pid=$(cat pid)
	kill -WINCH "$top_pid"
	kill -STOP "$top_pid"
	kill -CONT "$top_pid"
	kill -TERM "$top_pid"
	wait_until test -s behind
	left_alone
	[ "$(cat code)" -eq 143 ]
}

@test "a crash restores the terminal, too" {
	need script
	on_terminal shown 'sh -c "ulimit -c 0; echo \$\$ >pid; exec larder top"'
	wait_until grep -q 'no daemon' shown
	kill -SEGV "$(cat pid)"
	wait_until test -s behind
	left_alone
	[ "$(cat code)" -eq 139 ]
}
