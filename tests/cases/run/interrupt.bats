#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Ctrl-C and other signals in the middle of a run.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq setsid
	echo v1 >input
}

teardown() {
	# What a failed test left.
	[ ! -s "$BATS_TEST_TMPDIR/group" ] ||
		kill -KILL -- "-$(cat "$BATS_TEST_TMPDIR/group")" 2>/dev/null ||
		true
	larder_teardown
}

# in_group COMMAND... starts a process group of its own, as a shell does for
# a foreground job; $group is its number.
in_group() {
	rm -f group status
	# What a shell starts in the background ignores SIGINT.
	env --default-signal=INT,QUIT setsid bash -c '
		trap : INT
		echo $$ >group
		"$@"
		echo $? >status' bash "$@" >group.out 2>&1 3>&- &
	wait_until test -s group
	group=$(cat group)
}

# exit_code prints the exit code of the command in the group.
exit_code() {
	wait_until -t 30 test -s status
	cat status
}

entries() {
	larder list --json | jq '.entries | length'
}

@test "ctrl-C ends the command and the run, 130, and nothing is committed" {
	in_group "$LARDER" run --path out --name demo --key-file input -- \
		sh -c 'echo some >out/some; touch started; exec sleep 100'
	wait_until test -e started
	kill -INT -- "-$group"
	[ "$(exit_code)" -eq 130 ]
	[ "$(entries)" -eq 0 ]
	# The mount is there, with what was done so far, and goes on.
	mountpoint -q out
	[ "$(cat out/some)" = some ]
	larder run --path out --name demo --key-file input -- \
		sh -c 'echo more >out/more'
	[ "$(entries)" -eq 1 ]
}

@test "a command that handles ctrl-C decides itself" {
	in_group "$LARDER" run --path out --name demo --key-file input -- \
		bash -c 'trap "echo cleaned >out/cleaned; exit 3" INT
			touch started
			while :; do sleep 0.02; done'
	wait_until test -e started
	kill -INT -- "-$group"
	[ "$(exit_code)" -eq 3 ]
	[ "$(cat out/cleaned)" = cleaned ]
	[ "$(entries)" -eq 0 ]
}

@test "SIGTERM to larder reaches the command" {
	in_group "$LARDER" run --path out --name demo --key-file input -- \
		sh -c 'touch started; exec sleep 100'
	wait_until test -e started
	kill -TERM "$(pgrep -x larder -P "$group")"
	[ "$(exit_code)" -eq 143 ]
	[ "$(entries)" -eq 0 ]
}

@test "ctrl-C during the commit: nothing is committed, nothing is lost" {
	# The commit waits where the daemon is stopped.
	in_group "$LARDER" run --path out --name demo --key-file input -- \
		sh -c 'head -c 30000000 /dev/urandom >out/large
			cp out/large copy; touch built'
	wait_until test -e built
	committing() {
		[ -n "$(find "$XDG_CACHE_HOME/larder/v1/packs" -type f \
			2>/dev/null | head -n 1)" ] || [ -e status ]
	}
	wait_until committing
	kill -INT -- "-$group" 2>/dev/null || true
	code=$(exit_code)
	cmp copy out/large
	# Either the signal came first or the commit did.
	if [ "$code" -eq 0 ]; then
		[ "$(entries)" -eq 1 ]
	else
		[ "$code" -eq 130 ] || [ "$code" -eq 1 ]
		[ "$(entries)" -eq 0 ]
		larder commit -q out --name demo --key-file input
	fi
	larder cat demo@latest large | cmp - copy
}

# reads_pipe: the daemon has the pipe open, as far as that can be seen.
reads_pipe() {
	readlink "/proc/$(worker_pid)/fd/"* | grep -qx "$PWD/pipe"
}

reads_no_pipe() {
	! reads_pipe
}

@test "ctrl-C ends an import that waits for a silent pipe, in the daemon too" {
	mkdir tree
	head -c 100000 /dev/urandom >tree/file
	mkfifo pipe
	exec 8<>pipe
	LARDER_SANDBOX=off larder daemon start
	in_group sh -c 'exec "$LARDER" import - --name demo --key one <pipe 8<&-'
	wait_until reads_pipe
	# In the middle of a member.
	tar cf - tree | head -c 20000 >&8
	kill -INT -- "-$group"
	[ "$(exit_code)" -eq 130 ]
	wait_until reads_no_pipe
	exec 8<&-
	[ "$(entries)" -eq 0 ]
	tar cf - tree | larder import -q - --name demo --key one
	[ "$(entries)" -eq 1 ]
}
