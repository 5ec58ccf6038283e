#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Commands that meet: on one directory, on one mount, at the daemon's end.
#
# What runs beside a test is waited for by its number: bats has a process of
# its own in the background.

load ../helpers

setup() {
	larder_setup
	need jq
	mkdir -p tree m
	echo content >tree/file
}

# background COMMAND... starts it, with its output in out.N and its exit code
# in code.N; N is the number of those before it.
background() {
	local n=${#jobs[@]}
	{
		code=0
		"$@" >"out.$n" 2>&1 || code=$?
		echo "$code" >"code.$n"
	} 3>&- &
	jobs+=("$!")
}

# join waits for all that are in the background.
join() {
	local job
	for job in "${jobs[@]}"; do
		wait "$job"
	done
	jobs=()
}

# codes prints the exit codes, in order of size, a line each.
codes() {
	cat code.* | sort -n
}

ended() {
	[ ! -e "/proc/$1" ]
}

store_files() {
	find "$XDG_CACHE_HOME/larder/v1/packs" -type f
}

# storing: an import or a commit has come so far that it writes.
storing() {
	[ -n "$(store_files 2>/dev/null | head -n 1)" ]
}

# large DIR makes a tree that takes a moment to store.
large() {
	local i
	mkdir -p "$1"
	for i in $(seq "${2:-20}"); do
		head -c 10000000 /dev/urandom >"$1/$i"
	done
}

states() {
	ls "$XDG_STATE_HOME/larder/mounts"
}

no_states() {
	[ -z "$(states)" ]
}

kept() {
	larder status --json | jq '.kept | length'
}

count() {
	find "$1" | wc -l
}

no_mounts() {
	[ "$(larder status --json | jq '.mounts | length')" -eq 0 ]
}

# one_mount_of_tree: what is left of a race for m.
one_mount_of_tree() {
	[ "$(cat m/file)" = content ]
	[ "$(larder status --json | jq '.mounts | length')" -eq 1 ]
	[ "$(grep -cF " $PWD/m " /proc/self/mountinfo)" -eq 1 ]
	# The losers left nothing.
	[ "$(states | wc -l)" -eq 1 ]
	larder umount m
	[ -z "$(states)" ]
}

@test "of parallel mounts of several entries at one directory one wins, the others get exit code 8" {
	require_fuse
	jobs=()
	for n in 1 2 3 4 5 6 7 8; do
		larder import -q tree --name tree --key "key$n"
	done
	for n in 1 2 3 4 5 6 7 8; do
		background larder mount "tree@key$n" m
	done
	join
	[ "$(codes | head -n 1)" -eq 0 ]
	[ "$(codes | tail -n +2 | uniq)" = 8 ]
	for n in $(seq 0 7); do
		[ "$(cat "code.$n")" -ne 0 ] || continue
		[ "$(wc -l <"out.$n")" -eq 1 ]
		grep -qF "$PWD/m" "out.$n"
	done
	one_mount_of_tree
}

@test "parallel mounts of one entry at one directory share one mount" {
	require_fuse
	larder import tree --name tree --key one
	jobs=()
	for _ in 1 2 3 4 5 6 7 8; do
		background larder mount tree@one m
	done
	join
	# Who comes while it is being made may have to try again.
	[ "$(codes | head -n 1)" -eq 0 ]
	[ -z "$(codes | grep -vx -e 0 -e 8)" ]
	one_mount_of_tree
}

@test "of parallel umounts of one directory one wins, and its changes are kept once" {
	require_fuse
	larder mount --empty m
	echo new >m/file
	jobs=()
	for _ in 1 2 3 4 5 6; do
		background larder umount m
	done
	join
	[ "$(grep -c '^0$' code.* | grep -c ':1$')" -eq 1 ]
	# Too late, or at the same time.
	run ! grep -qv '^[018]$' code.*
	run ! mountpoint -q m
	no_mounts
	[ "$(kept)" -eq 1 ]
	larder mount --resume m
	[ "$(cat m/file)" = new ]
}

@test "twenty directories are mounted and unmounted at the same time" {
	require_fuse
	larder import tree --name tree --key one
	jobs=()
	for i in $(seq 20); do
		mkdir "m$i"
		background larder mount tree@one "m$i"
	done
	join
	[ "$(codes | uniq)" = 0 ]
	[ "$(larder status --json | jq '.mounts | length')" -eq 20 ]
	for i in $(seq 20); do
		[ "$(cat "m$i/file")" = content ]
		echo "$i" >"m$i/new"
	done
	rm code.*
	for i in $(seq 20); do
		background larder umount --discard "m$i"
	done
	join
	[ "$(codes | uniq)" = 0 ]
	no_mounts
	no_fuse_mounts "$BATS_TEST_TMPDIR"
	[ "$(kept)" -eq 0 ]
	[ -z "$(states)" ]
}

@test "mounts and umounts of one directory, mixed, end in order" {
	require_fuse
	larder import tree --name tree --key one
	jobs=()
	for _ in 1 2 3 4 5; do
		background larder mount tree@one m
		background larder umount m
		background larder status --json
	done
	join
	run ! grep -qv '^[018]$' code.*
	[ "$(larder status --json | jq '.mounts | length')" -eq \
		"$(grep -cF " $PWD/m " /proc/self/mountinfo)" ]
	larder umount m || true
	larder mount tree@one m
	[ "$(cat m/file)" = content ]
}

@test "while a commit runs, another one and an umount are refused, exit code 8" {
	require_fuse
	larder mount --empty m
	large m
	jobs=()
	background larder commit m --name big --key one
	wait_until storing
	run larder commit m --name big --key two
	[ "$status" -eq 8 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *commit* ]]
	run larder umount m
	[ "$status" -eq 8 ]
	[[ $output == *commit* ]]
	[ ! -e code.0 ]
	join
	[ "$(cat code.0)" -eq 0 ]
	larder cat big@one 20 | cmp - m/20
	run larder show big@two
	[ "$status" -eq 3 ]
	larder commit m --name big --key two
}

@test "a commit outlives the umount(8) of its mount" {
	require_fuse
	larder mount --empty m
	large source
	cp source/* m/
	jobs=()
	background larder commit m --name big --key one
	wait_until storing
	fusermount3 -u m
	[ ! -e code.0 ]
	join
	[ "$(cat code.0)" -eq 0 ]
	wait_until no_mounts
	# All of it is in the entry, so nothing is kept.
	wait_until no_states
	larder cat big@one 13 | cmp - source/13
	larder mount big@one m
	diff -r source m
}

@test "the mount that fusermount3 -u ended is gone from status, its changes kept" {
	require_fuse
	larder mount --empty m
	echo new >m/file
	[ "$(mount_field m dirty)" = true ]
	fusermount3 -u m
	wait_until no_mounts
	run larder umount m
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	larder mount --resume m
	[ "$(cat m/file)" = new ]
}

@test "what fusermount3 -u ended is resumed, or mounted over, at once" {
	require_fuse
	larder import tree --name tree --key one
	larder mount --empty m
	for i in 1 2 3 4 5; do
		echo "$i" >m/file
		fusermount3 -u m
		larder mount --resume m
		[ "$(cat m/file)" = "$i" ]
	done
	fusermount3 -u m
	larder mount tree@one m
	[ "$(cat m/file)" = content ]
	[ "$(kept)" -eq 1 ]
}

@test "of several uppers kept for a directory the newest is resumed" {
	require_fuse
	for i in 1 2 3; do
		larder mount --empty m
		echo "$i" >m/file
		larder umount m
	done
	[ "$(kept)" -eq 3 ]
	larder mount --resume m
	[ "$(cat m/file)" = 3 ]
	[ "$(kept)" -eq 2 ]
	# What is mounted there keeps the others where they are.
	run_json mount --resume
	[ "$(json '.mounts | length')" -eq 0 ]
	larder umount --discard m
	run_json mount --resume
	[ "$(json '.mounts | length')" -eq 1 ]
	[ "$(cat m/file)" = 2 ]
}

@test "one kept upper that cannot be resumed does not keep the others from it" {
	require_fuse
	mkdir a b c
	for i in a b c; do
		larder mount --empty "$i"
		echo "$i" >"$i/file"
		larder umount "$i"
	done
	rmdir b
	run larder mount --resume
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$PWD/b"* ]]
	[ "$(cat a/file c/file)" = $'a\nc' ]
	mkdir b
	larder mount --resume
	[ "$(cat b/file)" = b ]
}

@test "umount returns while another mount namespace goes on using the mount" {
	require_fuse
	require_root
	need unshare
	larder mount --empty m
	echo new >m/file
	mkfifo go ready
	unshare -m sh -c 'cd m && echo >../ready && read -r _ <../go && cat file' \
		>held 3>&- &
	holder=$!
	read -r _ <ready
	timeout 20 larder umount m
	run ! mountpoint -q m
	run larder umount m
	[ "$status" -eq 1 ]
	larder mount --empty m
	[ -z "$(ls -A m)" ]
	larder umount m
	echo >go
	wait "$holder"
	[ "$(cat held)" = new ]
	wait_until no_mounts
	larder mount --resume m
	[ "$(cat m/file)" = new ]
}

@test "a client that is killed in the middle of an import leaves no entry and no files" {
	large big
	larder import tree --name tree --key one
	store_files | sort >before
	larder import big --name big --key one >/dev/null 2>&1 3>&- &
	client=$!
	importing() {
		! store_files | sort | cmp -s before -
	}
	wait_until importing
	kill -KILL "$client"
	wait "$client" 2>/dev/null || true
	as_before() {
		store_files | sort | cmp -s before -
	}
	wait_until as_before
	run larder show big@one
	[ "$status" -eq 3 ]
	[ -z "$(find "$XDG_CACHE_HOME/larder" "$XDG_STATE_HOME/larder" \
		-name '.tmp-*')" ]
	larder import big --name big --key one
	larder cat big@one 7 | cmp - big/7
}

@test "a restart while programs read and write loses nothing and repeats nothing" {
	require_fuse
	larder import tree --name tree --key one
	larder mount tree@one m
	mkdir copy
	cp tree/file copy/
	# Each step fails when it is done twice, or when a step before is lost.
	work() {
		local i=0
		while [ ! -e ../stop ]; do
			i=$((i + 1))
			mkdir "d$i" && echo "$i" >"d$i/new" &&
				ln "d$i/new" "d$i/link" && mv "d$i/link" "l$i" &&
				echo more >>"l$i" && [ "$(cat "d$i/new")" = "$i
more" ] && rm "d$i/new" && rmdir "d$i" || return
		done
		echo "$i" >../steps
	}
	(cd m && work) >worked 2>&1 3>&- &
	worker=$!
	for _ in 1 2 3 4; do
		steps=$(count m)
		going_on() {
			[ "$(count m)" -gt $((steps + 20)) ] || ended "$worker"
		}
		wait_until going_on
		larder daemon restart
	done
	touch stop
	wait "$worker"
	[ ! -s worked ]
	for i in $(seq "$(cat steps)"); do
		printf '%s\nmore\n' "$i" >"copy/l$i"
	done
	diff -r copy m
}

@test "a stop does not wait for clients that ask for nothing" {
	need python3
	larder daemon start
	cat >idle.py <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
		s.recv(100000)
		print("idle", flush=True)
		while s.recv(100000):
		    pass
	END
	python3 idle.py "$(find "$XDG_RUNTIME_DIR" -name '*.sock')" >said 3>&- &
	client=$!
	wait_until grep -q idle said
	timeout 4 larder daemon stop
	no_daemon "$BATS_TEST_TMPDIR"
	# It was told that nobody is there any more.
	wait "$client"
}

@test "a stop gives up an import that takes too long, and nothing of it stays" {
	need python3
	mkfifo stream
	larder daemon start
	# A stream that never ends: the client waits for as long as the daemon.
	larder import -q - --name slow --key one <stream >said 2>&1 3>&- &
	client=$!
	exec {stream_fd}>stream
	python3 - >&"$stream_fd" <<-'END'
		import sys, tarfile, io
		t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')
		i = tarfile.TarInfo('file')
		i.size = 1 << 20
		t.addfile(i, io.BytesIO(bytes(1 << 20)))
		sys.stdout.flush()
	END
	timeout 60 larder daemon stop
	exec {stream_fd}>&-
	run wait "$client"
	[ "$status" -ne 0 ]
	[ "$(wc -l <said)" -eq 1 ]
	no_daemon "$BATS_TEST_TMPDIR"
	run larder show slow@one
	[ "$status" -eq 3 ]
}

@test "a command that comes when the daemon ends for idleness is served" {
	export LARDER_IDLE_SECONDS=1
	for i in 1 2 3; do
		larder status --json >status.json
		wait_until ended "$(jq .worker_pid status.json)"
		larder import tree --name tree --key "key$i"
	done
	[ "$(larder list --json | jq '.entries | length')" -eq 3 ]
}
