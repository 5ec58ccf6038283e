#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# -o writeback: the kernel gathers writes, and nobody sees the difference but by
# the requests. `written_fd` is a file that is open for writing, with a MiB in it
# that is in small pieces and not closed.

load ../helpers
load common

setup_file() {
	upper_setup_file
	head -c 1048576 /dev/urandom >"$BATS_FILE_TMPDIR/noise"
}

setup() {
	upper_setup
	noise=$BATS_FILE_TMPDIR/noise
	larder umount -q m
	larder mount -q -o writeback base@one m
}

write_open() {
	exec {written_fd}>>"$1"
	dd if="$noise" bs=1k status=none >&"$written_fd"
}

close_written() {
	exec {written_fd}>&-
}

writes() {
	mount_field m 'requests.WRITE // 0'
}

worker_is_not() {
	local pid
	pid=$(worker_pid) && [ "$pid" != "$1" ]
}

@test "small writes are few requests" {
	write_open m/new
	close_written
	[ "$(writes)" -gt 0 ]
	[ "$(writes)" -lt 200 ]
	cmp "$noise" m/new
}

@test "what is not closed yet is copied whole, without holes" {
	write_open m/new
	cp --sparse=always m/new copy
	cp m/new plain-copy
	close_written
	cmp "$noise" copy
	cmp "$noise" plain-copy
}

@test "a commit has what is in open files, and their times" {
	write_open m/new
	modified=$(stat -c %Y m/new)
	larder commit -q m --name base --key two
	larder cat base@two new | cmp - "$noise"
	mkdir seen
	larder mount -q -o ro base@two seen
	[ "$(stat -c %Y seen/new)" = "$modified" ]
	larder umount -q seen
	close_written
}

@test "the worker dies, and writers go on" {
	write_open m/new
	for _ in 1 2; do
		pid=$(worker_pid)
		kill -KILL "$pid"
		wait_until worker_is_not "$pid"
		dd if="$noise" bs=1k status=none >&"$written_fd"
	done
	close_written
	cat "$noise" "$noise" "$noise" | cmp - m/new
	before=$(writes)
	write_open m/another
	close_written
	[ "$(($(writes) - before))" -lt 200 ]
	cmp "$noise" m/another
}

@test "all of the daemon dies: what was closed or synced is there" {
	may_hang=1
	write_open m/open
	sync m/open
	dd if="$noise" of=m/closed bs=1k status=none
	read -r supervisor worker < <(larder status --json |
		jq -r '"\(.pid) \(.worker_pid)"')
	kill -KILL "$supervisor" "$worker"
	close_written || true
	fusermount3 -uz m
	larder mount -q --resume m
	cmp "$noise" m/open
	cmp "$noise" m/closed
}

@test "what is mounted again is as it was, and gathers again" {
	in_both 'echo more >>a; : >b; cat a large >new; truncate -s 4000000 large
		touch -d "2001-02-03 04:05:06.789 UTC" new; rm -r other'
	settles
	before=$(writes)
	write_open m/late
	close_written
	[ "$(($(writes) - before))" -lt 200 ]
}

@test "reset takes back sizes too, of a mount that is not in use" {
	echo more >>m/a
	: >m/b
	write_open m/large
	run -8 larder reset m
	[[ $output == *'is in use'* ]]
	close_written
	larder reset -q m
	tree_state m >seen
	diff "$BATS_FILE_TMPDIR/base.state" seen
	write_open m/new
	close_written
	[ "$(writes)" -lt 200 ]
}

@test "reset of a mount of nothing" {
	mkdir n
	larder mount -q -o writeback --empty n
	echo new >n/file
	larder reset -q n
	[ -z "$(ls -A n)" ]
	echo newer >n/file
	[ "$(cat n/file)" = newer ]
	larder umount -q --discard n
}

@test "run --writeback" {
	mkdir out
	run_json run --writeback --name demo --path out --key one -- \
		dd if="$noise" of=out/file bs=1k status=none
	cmp "$noise" out/file
	[ "$(mount_field out requests.WRITE)" -lt 200 ]
	larder cat demo@one file | cmp - "$noise"
}
