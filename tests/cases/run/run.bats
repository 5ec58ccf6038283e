#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder run: misses, hits, partial hits, and all that keeps a commit away.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir first second
	cd first || return
	echo v1 >input
	cp input ../second/
	cat >build <<-'END'
		#!/bin/sh
		# Records that it ran, and where.
		echo "$LARDER_OUTCOME ${LARDER_MATCHED:-none}" >>../calls
		echo "$LARDER_KEY" >../key
		mkdir -p out/sub
		cp input out/copy
		echo built >>out/sub/log
	END
	chmod +x build
	cp build ../second/
}

build() {
	larder run --path out --name demo --key-file input "$@" -- ./build
}

calls() {
	cat "$BATS_TEST_TMPDIR/calls"
}

entries() {
	larder list --json | jq '.entries | length'
}

@test "a miss runs the command, commits, and leaves the mount" {
	build
	[ "$(calls)" = 'miss none' ]
	mountpoint -q out
	[ "$(cat out/copy)" = v1 ]
	key=$(larder key --key-file input)
	[ "$(cat ../key)" = "$key" ]
	[ "$(larder cat "demo@$key" copy)" = v1 ]
	run_json show "demo@$key"
	[ "$(json '.entry.parent')" = null ]
	[ "$(json '.entry.parts[0].name')" = input ]
	[ "$(mount_field out dirty)" = false ]
}

@test "a hit in another clone mounts and skips the command" {
	build
	cd ../second
	run build
	[ "$status" -eq 0 ]
	[[ $output == *exact* ]]
	[ "$(calls)" = 'miss none' ]
	same_tree ../first/out out
	# And again, where it is mounted already.
	build
	[ "$(calls | wc -l)" -eq 1 ]
	same_tree ../first/out out
}

@test "a hit after a reset has the entry's tree" {
	build
	rm -r out/sub
	larder reset -q out
	build
	[ "$(calls)" = 'miss none' ]
	[ "$(cat out/copy out/sub/log | xargs)" = 'v1 built' ]
}

@test "a hit makes a directory that was missing, also below others" {
	build
	larder run --path deep/er/out --name demo --key-file input -- false
	same_tree out deep/er/out
}

@test "the clone's own changes do not reach the other's mount" {
	build
	cd ../second
	build
	echo mine >out/mine
	[ ! -e ../first/out/mine ]
	# A hit on what was changed leaves the changes alone.
	build
	[ "$(cat out/mine)" = mine ]
	[ "$(calls | wc -l)" -eq 1 ]
}

@test "a changed input builds on top of the nearest entry" {
	build
	old=$(larder key --key-file input)
	cd ../second
	echo v2 >input
	build
	[ "$(calls | tail -n 1)" = "partial demo@$old" ]
	[ "$(cat out/copy)" = v2 ]
	[ "$(cat out/sub/log | wc -l)" -eq 2 ]
	new=$(larder key --key-file input)
	run_json show "demo@$new"
	[ "$(json .entry.parent)" = "$old" ]
	[ "$(json .entry.new_files)" -eq 2 ]
	# Both entries are what they were committed as.
	[ "$(larder cat "demo@$old" copy)" = v1 ]
	[ "$(larder cat "demo@$old" sub/log | wc -l)" -eq 1 ]
	[ "$(larder cat "demo@$new" copy)" = v2 ]
}

@test "a changed input in a mounted clone builds on top of the mount" {
	build
	echo v2 >input
	build
	[ "$(calls | wc -l)" -eq 2 ]
	[[ $(calls | tail -n 1) == "partial demo@"* ]]
	[ "$(wc -l <out/sub/log)" -eq 2 ]
	# Back to the first input: a hit in the same clone.
	echo v1 >input
	build
	[ "$(calls | wc -l)" -eq 2 ]
	[ "$(cat out/copy)" = v1 ]
	[ "$(wc -l <out/sub/log)" -eq 1 ]
	# And forth.
	echo v2 >input
	build
	[ "$(calls | wc -l)" -eq 2 ]
	[ "$(cat out/copy)" = v2 ]
}

@test "the newest entry of the branch comes before a newer one of another" {
	larder run --path out --name demo --key one --branch main -- ./build
	larder umount out
	larder run --path out --name demo --key two --branch topic -- ./build
	larder umount out
	larder run --path out --name demo --key three --branch main -- ./build
	[ "$(calls | tail -n 1)" = 'partial demo@one' ]
	larder umount out
	larder run --path out --name demo --key four --branch new -- ./build
	[ "$(calls | tail -n 1)" = 'partial demo@three' ]
}

@test "switching entries keeps the changes of the mount that was there" {
	build
	cd ../second
	echo v2 >input
	build
	echo precious >out/precious
	echo v1 >input
	run_json run --path out --name demo --key-file input -- ./build
	[ "$(json .outcome)" = exact ]
	id=$(json .kept.id)
	[ ! -e out/precious ]
	[ "$(cat out/copy)" = v1 ]
	[ "$(larder status --json | jq -r '.kept[0].id')" = "$id" ]

	larder umount out
	larder mount --resume "$id"
	[ "$(cat out/precious)" = precious ]
	[ "$(cat out/copy)" = v2 ]
}

@test "--always runs the command on a hit" {
	build
	key=$(larder key --key-file input)
	cd ../second
	build --always
	[ "$(calls | tail -n 1)" = "exact demo@$key" ]
	[ "$(wc -l <out/sub/log)" -eq 2 ]
	[ "$(larder cat "demo@$key" sub/log | wc -l)" -eq 2 ]
}

@test "a command that fails: its exit code, and nothing is committed" {
	for code in 1 2 9 42 255; do
		run larder run --path out --name demo --key-file input -- \
			sh -c "echo $code >out/x; exit $code"
		[ "$status" -eq "$code" ]
	done
	[ "$(entries)" -eq 0 ]
	# What it left is there for the next try.
	[ "$(cat out/x)" -eq 255 ]
	build
	[ "$(entries)" -eq 1 ]
	[ "$(cat out/x)" -eq 255 ]
}

@test "--commit-on-failure commits what a failed command left" {
	run larder run --path out --name demo --key one --commit-on-failure -- \
		sh -c 'echo x >out/x; exit 42'
	[ "$status" -eq 42 ]
	[ "$(larder cat demo@one x)" = x ]
	# One that was interrupted is not.
	run larder run --path out --name demo --key two --commit-on-failure -- \
		sh -c 'kill -INT $$'
	[ "$status" -eq 130 ]
	[ "$(entries)" -eq 1 ]
}

@test "--ephemeral leaves no mount, and nothing that was not committed" {
	run_json run --ephemeral --path out --name demo --key one -- \
		sh -c 'echo x >out/x'
	[ "$(json '[.committed, .mounted] | join(" ")')" = 'true false' ]
	run ! mountpoint -q out
	[ -z "$(ls -A out)" ]
	[ "$(larder cat demo@one x)" = x ]
	# A hit, and a command that fails.
	larder run --ephemeral --path out --name demo --key one -- false
	run larder run --ephemeral --path out --name demo --key two -- \
		sh -c 'echo y >out/y; exit 3'
	[ "$status" -eq 3 ]
	run ! mountpoint -q out
	[ "$(larder status --json | jq '.kept + .mounts | length')" -eq 0 ]
}

@test "--ephemeral leaves a mount that was there, with its changes" {
	build
	echo mine >out/mine
	build --ephemeral --always
	[ "$(cat out/mine)" = mine ]
	mountpoint -q out
}

@test "--ephemeral: a program that is left behind does not hold it up" {
	mkfifo f
	run larder run --ephemeral --path out --name demo --key one -- \
		sh -c 'echo x >out/x; cat f >/dev/null 2>&1 9<out/x 3>&- &'
	[ "$status" -eq 0 ]
	[[ $output == *'in use'* ]]
	run ! mountpoint -q out
	: >f
	[ "$(larder cat demo@one x)" = x ]
}

@test "an unchanged tree is not committed again" {
	build
	created=$(larder list --json | jq .entries[0].created_ns)
	run_json run --path out --name demo --key-file input --always -- true
	[ "$(json '[.outcome, .ran, .committed, .commit.unchanged] |
		join(" ")')" = 'exact true false true' ]
	[ "$(larder list --json | jq .entries[0].created_ns)" = "$created" ]
	# Under another key, the same tree is another entry.
	run_json run --path out --name demo --key other -- true
	[ "$(json '[.committed, .commit.unchanged] | join(" ")')" = \
		'true true' ]
	[ "$(entries)" -eq 2 ]
}

@test "a directory that another name's entry is mounted at is refused" {
	build
	run larder run --path out --name different --key one -- touch ran
	[ "$status" -eq 8 ]
	[[ $output == *demo@* ]]
	[ ! -e ran ]
}

@test "a command that cannot be run" {
	run -127 larder run --path out --key one -- ./no-such-program
	[[ $output == *no-such-program* ]]
	run -126 larder run --path out --key one -- ./input
	[ "$(entries)" -eq 0 ]
}

@test "a command that is killed: 128 and the signal" {
	run larder run --path out --key one -- sh -c 'kill -9 $$'
	[ "$status" -eq 137 ]
	run larder run --path out --key one -- sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
	[ "$(entries)" -eq 0 ]
}

@test "inputs that change during the build: no commit, exit code 9" {
	run larder run --path out --name demo --key-file input \
		--key-file 'in*' -- sh -c 'echo x >out/x; echo v2 >input'
	[ "$status" -eq 9 ]
	[[ $output == *input* ]]
	[ "$(entries)" -eq 0 ]
	[ "$(cat out/x)" = x ]

	run larder run --path out --name demo --key-file input -- rm input
	[ "$status" -eq 9 ]
	[ "$(entries)" -eq 0 ]
}

@test "the command has the terminal's streams, environment and directory" {
	export SOMETHING='of mine'
	run --separate-stderr larder run -q --path out --key one -- \
		sh -c 'read line; echo "out $line"; echo "$SOMETHING" >&2; pwd' \
		<<<'a line'
	[ "$status" -eq 0 ]
	[ "$output" = "out a line
$PWD" ]
	[ "$stderr" = 'of mine' ]
}

@test "--json describes the run, and the command's output goes elsewhere" {
	run_json run --path out --name demo --key-file input -- \
		sh -c 'echo noise; echo x >out/x'
	[[ $stderr == *noise* ]]
	[ "$(json '[.name, .outcome, .ran, .committed, .exit] | join(" ")')" = \
		'demo miss true true 0' ]
	[ "$(json .key)" = "$(larder key --key-file input)" ]
	[ "$(json .dir)" = "$PWD/out" ]
	[ "$(json .commit.result.files)" -eq 1 ]
	run_json run --path out --name demo --key-file input -- false
	[ "$(json '[.outcome, .ran, .committed, .reused] | join(" ")')" = \
		'exact false false true' ]
}

@test "a directory with files of the user's is refused" {
	mkdir out
	echo mine >out/mine
	run build
	[ "$status" -eq 1 ]
	[[ $output == *"not empty"* ]]
	[ "$(cat out/mine)" = mine ]
	[ ! -e ../calls ]
}

@test "an error in the key stops before anything is done" {
	run larder run --path out --name demo --key-file 'no*such' -- ./build
	[ "$status" -eq 1 ]
	[[ $output == *'no*such'* ]]
	[ ! -e ../calls ]
	run ! mountpoint -q out
}

@test "an exact entry for a mount in use is refused, exit code 8" {
	build
	echo v2 >input
	build
	echo v1 >input
	hold hold-read out/copy
	run build
	[ "$status" -eq 8 ]
	[[ $output == *"$PWD/out"* ]]
	[ "$(cat out/copy)" = v2 ]
	release
	build
	[ "$(cat out/copy)" = v1 ]
}

@test "the current directory may not be in the mount" {
	build
	cd out
	run larder run --path . --name demo --key one -- true
	[ "$status" -eq 8 ]
	run larder run --path ../out --name demo --key one -- true
	[ "$status" -eq 8 ]
}

@test "the default name is the path in the git work tree" {
	git init -q .
	mkdir -p web/app
	cp input web/app/
	cd web/app
	larder run --path .out --key-file input -- sh -c 'echo x >.out/x'
	[ "$(larder list --json | jq -r '.entries[0] | .name')" = \
		web-app-.out ]
}

@test "without a daemon the command runs on the plain directory" {
	run env LARDERD=/nonexistent/larderd "$LARDER" run --path out \
		--name demo --key-file input -- ./build
	[ "$status" -eq 0 ]
	[[ $output == *larderd* ]]
	[ "$(cat out/copy)" = v1 ]
	run ! mountpoint -q out
	run env LARDERD=/nonexistent/larderd "$LARDER" run --path out2 \
		--key one -- sh -c 'exit 42'
	[ "$status" -eq 42 ]
}

@test "a daemon that is killed during the build does not stop it" {
	larder run --path out --name demo --key-file input -- sh -c '
		echo before >out/before
		kill -9 $("$LARDER" status --json | jq .worker_pid)
		echo after >out/after
		cat out/before'
	[ "$(entries)" -eq 1 ]
	key=$(larder key --key-file input)
	[ "$(larder cat "demo@$key" before)" = before ]
	[ "$(larder cat "demo@$key" after)" = after ]
}

@test "two runs at a time in one directory: one after the other" {
	build_slowly() {
		larder run --path out --name demo --key "$1" -- \
			sh -c 'until [ -e ../go ]; do sleep 0.02; done
				echo x >out/'"$1"
	}
	build_slowly a 3>&- &
	first=$!
	wait_until mountpoint -q out
	build_slowly b 2>waits 3>&- &
	second=$!
	wait_until grep -q waiting waits
	run larder run --no-wait --path out --name demo --key c -- touch out/c
	[ "$status" -eq 8 ]
	touch ../go
	wait "$first"
	wait "$second"
	[ "$(cat out/a out/b | xargs)" = 'x x' ]
	[ "$(entries)" -eq 2 ]
	[ "$(larder cat demo@b a)" = x ]
	run ! larder cat demo@a b
}

@test "two runs of one key at a time build once" {
	slowly() {
		larder run --path "$1" --name demo --key one -- sh -c '
			echo ran >>../calls
			until [ -e ../go ]; do sleep 0.02; done
			echo x >'"$1"/x
	}
	slowly a 3>&- &
	first=$!
	wait_until test -e ../calls
	slowly b 2>waits 3>&- &
	second=$!
	wait_until grep -q waiting waits
	run ! mountpoint -q b
	# One that is not to wait builds too.
	larder run --no-wait --path c --name demo --key one -- touch c/x
	larder umount c
	touch ../go
	wait "$first"
	wait "$second"
	[ "$(calls | wc -l)" -eq 1 ]
	[ "$(cat b/x)" = x ]
	grep -q exact waits
}

@test "a run that dies lets go: the one that waits builds" {
	larder run --path a --name demo --key one -- sh -c \
		'echo $PPID >pid; until [ -e go ]; do sleep 0.02; done' 3>&- &
	wait_until test -s pid
	larder run --path b --name demo --key one -- touch b/x 2>waits 3>&- &
	second=$!
	wait_until grep -q waiting waits
	kill -9 "$(cat pid)"
	wait "$second"
	touch go
	[ -e b/x ]
	grep -q committed waits
}

@test "runs of different names inside of each other; not of the same place" {
	larder run --path a --name outer --key one -- sh -c '
		"$LARDER" run --path b --name inner --key one -- touch b/x &&
		cp b/x a/x'
	[ -e a/x ]
	[ "$(entries)" -eq 2 ]
	larder run --path c --name outer --key two -- sh -c '
		"$LARDER" run --path c --name inner --key two -- true
		echo $? >code'
	[ "$(cat code)" -eq 8 ]
	# The same key in another place does not wait for itself.
	larder run --path d --name outer --key three -- \
		"$LARDER" run --path e --name outer --key three -- touch e/x
	[ -e e/x ]
}
